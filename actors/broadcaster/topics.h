/* topics.h - who listens to what, how far each has read, and which reads the store is to be asked
 * for. Pure: no socket, no message, no clock.
 *
 * A subscription is placed at a cursor: the seq of the last event that it has had. It is *ready*
 * when it may be given more, *stalled* when its connection is full. Events reach it only by
 * topics_deliver(), which keeps one rule: a read that began after S serves a ready subscription
 * whose cursor is S or later, with what is after the cursor, in order. So whatever reads are under
 * way at once, and whatever bells were lost, no subscription skips an event or gets one twice.
 *
 * Reads are of two kinds. *Live*: many topics at once, each from the cursor of its foremost ready
 * subscription. *Catching up*: one topic, from the cursor of its hindmost. So who is behind costs
 * those who are not behind nothing, and a topic with a long history does not starve the others.
 */
#ifndef BROADCASTER_TOPICS_H
#define BROADCASTER_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/catalogue.h"

/* Longest name of a topic that can be listened to, in bytes, and its NUL. */
#define TOPIC_NAME_SIZE 129

struct topic;

struct subscription {
	struct topic *topic; /* NULL: none */
	void *owner;	     /* whose it is; for topics_deliver_fn */
	TAILQ_ENTRY(subscription) link;
	int64_t cursor;
	bool placed;
	bool stalled;
};

TAILQ_HEAD(topic_list, topic);

struct topics {
	void *by_name; /* tsearch(3) */
	struct topic_list all;
	struct topic_list due;	  /* wait for a live read */
	struct topic_list behind; /* wait for a read that catches up */
	size_t count;
};

/* Gives the event to the subscription. Returns whether it took it: if not, the subscription is
 * stalled. first is true when this is the first subscription in a row that the event goes to, so
 * that what was made of the event can be used again until it is true the next time. */
typedef bool topics_deliver_fn(struct subscription *sub, const struct event *event, bool first,
			       void *context);

void topics_init(struct topics *t);

/* Makes sub, which is the caller's, listen to the topic called name; it gets nothing before it is
 * placed. Returns 0, -ENAMETOOLONG or -ENOMEM. */
int topics_join(struct topics *t, const char *name, struct subscription *sub)
	__attribute__((warn_unused_result));

/* sub listens no more. One that doesn't is fine. */
void topics_leave(struct topics *t, struct subscription *sub);

const char *topics_name(const struct subscription *sub);

/* Puts sub at cursor; what is later will be read for it. May be called again, to go back. */
void topics_place(struct topics *t, struct subscription *sub, int64_t cursor);

/* sub gets nothing until it is placed again. */
void topics_unplace(struct subscription *sub);

/* A stalled subscription can take events again. */
void topics_resume(struct topics *t, struct subscription *sub);

/* The topic has an event seq: it is due for a live read if that is news to somebody. */
void topics_bell(struct topics *t, const char *name, int64_t seq);

/* All topics are due, and a stalled subscription that has_room() is right about can take events. */
void topics_ring_all(struct topics *t, bool (*has_room)(struct subscription *sub));

/* A read to ask the store for; its memory is its own. */
struct topics_read {
	bool alone; /* catches up */
	size_t count;
	struct cursor *cursors; /* what to ask for */
	int64_t *known;		/* by cursor: an event that was committed before */
	char (*names)[TOPIC_NAME_SIZE];
};

/* Gives the next live read, of at most max topics, or the next that catches up (topics_read_free()
 * it). NULL: there is none, or no memory, and then it is given another time. */
struct topics_read *topics_read_live(struct topics *t, size_t max);
struct topics_read *topics_read_behind(struct topics *t);

/* Deals out what the read brought, and notes which topics have to be read again. */
void topics_deliver(struct topics *t, const struct topics_read *read, const struct events *events,
		    topics_deliver_fn *fn, void *context);

/* What to do about a read that failed. */
enum topics_retry {
	TOPICS_RETRY,	    /* the same again */
	TOPICS_RETRY_ALONE, /* each topic by itself: one of them may be the reason */
	TOPICS_RETRY_LATER, /* when the bell rings next */
};

void topics_failed(struct topics *t, const struct topics_read *read, enum topics_retry retry);

/* Frees *read and clears it. NULL is fine. */
void topics_read_free(struct topics_read **read);

#endif
