/* rate_limits.h - the setting RATE_LIMITS: which actions are limited, and how.
 *
 * A list such as "application=20/8 search=100/3600": a bucket of 20 tokens that gets 8 an hour, one
 * of 100 that gets 3600. `application` is always limited: where the list does not name it, by 20/8.
 */
#ifndef BASE_RATE_LIMITS_H
#define BASE_RATE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_LIMIT_APPLICATION "application"

struct rate_limit {
	int64_t capacity; /* tokens at most: 1 to 1,000,000 */
	int64_t per_hour; /* tokens that come in an hour: the same */
};

/* Finds action's limit. Returns false, and leaves *out alone, when it has none. */
bool rate_limit_of(const char *action, struct rate_limit *out) __attribute__((warn_unused_result));

/* What is wrong with a list; NULL: nothing. */
const char *rate_limits_problem(const char *list);

#endif
