/* hh_share.h - asking HH once for what many want: the requests that are under way, by what they ask
 * for, and the pages that were answered lately. Pure.
 *
 * Many users have the same search. Who asks for what is already being asked joins that request; and
 * a scheduled search takes an answer that is as young as it said will do. The pages kept are
 * bounded in bytes; the one that was used least recently goes first.
 */
#ifndef HH_CLIENT_HH_SHARE_H
#define HH_CLIENT_HH_SHARE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "proto/catalogue.h"

struct hh_kept; /* a page that is kept */

struct hh_share {
	void *flights; /* tree of struct hh_flight, for tsearch(3) */
	void *pages;   /* tree of struct hh_kept */
	struct hh_kept *newest;
	struct hh_kept *oldest; /* by use */
	size_t bytes;
	size_t limit_bytes;
};

/* A request under way: the first member of the caller's struct. */
struct hh_flight {
	const char *key; /* what it asks for; borrowed while it is under way */
};

void hh_share_init(struct hh_share *share, size_t limit_bytes);

/* Frees the pages. Flights belong to the caller. */
void hh_share_fini(struct hh_share *share);

/* Makes flight known. Its key must not be known yet. Returns 0 or -ENOMEM. */
int hh_share_depart(struct hh_share *share, struct hh_flight *flight)
	__attribute__((warn_unused_result));

/* The request under way for key, NULL when there is none. */
struct hh_flight *hh_share_flight(struct hh_share *share, const char *key);

void hh_share_land(struct hh_share *share, struct hh_flight *flight);

/* Keeps page, whose memory is in arena, as the answer to key from now_ms on, in the place of an
 * older one. Takes arena's memory in any case: *arena is empty afterwards. A page that is too large
 * or that there is no memory for is let go. */
void hh_share_keep(struct hh_share *share, const char *key, struct arena *arena,
		   const struct jobs_page *page, int64_t now_ms);

/* The answer to key, if it is at most max_age_ms old; else NULL. Valid until the next page is kept.
 */
const struct jobs_page *hh_share_page(struct hh_share *share, const char *key, int64_t max_age_ms,
				      int64_t now_ms);

#endif
