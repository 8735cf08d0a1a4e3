/* refusal_cache.h - what a bucket was refused holds until its tokens have come, so it need not be asked for
 * again: a bucket only fills faster than that when it is reset or its clock is set forward.
 *
 * A table of fixed size: where too many buckets meet in a row, the oldest is forgotten. Times are
 * milliseconds on one monotonic clock.
 */
#ifndef ACTORS_RATE_LIMITER_REFUSAL_CACHE_H
#define ACTORS_RATE_LIMITER_REFUSAL_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rate_limits.h"

#define REFUSALS_ROWS	     1024 /* a power of two */
#define REFUSALS_IN_ROW	     4
#define REFUSALS_USER_SIZE   37
#define REFUSALS_ACTION_SIZE 65

struct refusal {
	char user[REFUSALS_USER_SIZE]; /* "": the place is free */
	char action[REFUSALS_ACTION_SIZE];
	int64_t units; /* of tokens that were there at at_ms, at most */
	int64_t at_ms;
};

/* All zero: nothing is remembered. */
struct refusal_cache {
	struct refusal rows[REFUSALS_ROWS][REFUSALS_IN_ROW];
};

struct refusal_terms {
	double tokens;	  /* that are there now, at most */
	int64_t retry_ms; /* until there are enough */
};

/* Remembers that the bucket held no more than tokens at at_ms. */
void refusal_cache_note(struct refusal_cache *refusals, const char *user, const char *action,
			double tokens, int64_t at_ms);

/* Whether the bucket cannot hold cost tokens yet. False: it may, or nothing is known. */
bool refusal_cache_hold(const struct refusal_cache *refusals, const char *user, const char *action,
			int64_t cost, const struct rate_limit *limit, int64_t now_ms,
			struct refusal_terms *out) __attribute__((warn_unused_result));

/* Forgets all. */
void refusal_cache_clear(struct refusal_cache *refusals);

#endif
