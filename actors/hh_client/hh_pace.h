/* hh_pace.h - how fast HH is asked: never more than HH_MAX_RPS requests in any second. Pure: the
 * clock comes in as an argument, in microseconds.
 *
 * HH counts a request when it reads it, not when we decide to send it: a name lookup and a TLS
 * handshake lie between. So a slot is taken at the decision and is dated when the request is really
 * written. No more than `limit` slots are undated or younger than the window, and the window is a
 * little longer than HH's second, since the network does not delay all requests alike. A token
 * bucket cannot promise this: its burst comes on top of its rate.
 *
 * A 429 stops everybody for as long as HH said, and makes the window longer; it shrinks back while
 * HH is content.
 */
#ifndef HH_CLIENT_HH_PACE_H
#define HH_CLIENT_HH_PACE_H

#include <stdint.h>

#define HH_PACE_NEVER INT64_MAX

struct hh_pace {
	int64_t *written_us; /* a ring: when the last requests were written */
	int64_t limit;	     /* its size: requests in a window */
	int64_t head;	     /* the oldest one */
	int64_t count;
	int64_t undated;   /* slots taken and not yet written */
	int64_t window_us; /* without what a 429 adds */
	int64_t gap_us;	   /* between two launches, so that a burst is not one blow */
	int64_t next_us;   /* not before, for that gap */
	int64_t pause_us;  /* not before, for a 429 */
	int64_t calm_us;   /* when the window shrinks again */
	int slowed;	   /* the window is doubled so many times */
};

/* max_rps is at least 0.1. Returns 0 or -ENOMEM. */
int hh_pace_init(struct hh_pace *p, double max_rps) __attribute__((warn_unused_result));

void hh_pace_fini(struct hh_pace *p);

/* When the next request may go: at most now_us when it may go now, HH_PACE_NEVER when that depends
 * on a request under way. */
int64_t hh_pace_ready_us(struct hh_pace *p, int64_t now_us);

/* Takes a slot. Call it only when one is ready, and then either of the next two. */
void hh_pace_take(struct hh_pace *p, int64_t now_us);

/* The request of a slot is being written. */
void hh_pace_written(struct hh_pace *p, int64_t now_us);

/* It never will be: the slot is free again. */
void hh_pace_untake(struct hh_pace *p);

/* HH said 429. wait_ms: how long all are to be still. */
void hh_pace_slow_down(struct hh_pace *p, int64_t now_us, int64_t wait_ms);

/* HH answered something else. */
void hh_pace_content(struct hh_pace *p, int64_t now_us);

/* How long, about, until `turns` more requests are gone, in milliseconds. */
int64_t hh_pace_estimate_ms(const struct hh_pace *p, int64_t now_us, int64_t turns);

#endif
