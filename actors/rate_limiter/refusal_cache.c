/* refusal_cache.c - a fixed table of the buckets that had too few tokens. */
#include "actors/rate_limiter/refusal_cache.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define UNITS_PER_TOKEN 3600000 /* as the store counts: per_hour of them come in a millisecond */

/* FNV-1a. */
static uint64_t hash(uint64_t h, const char *text)
{
	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211U;
	return h;
}

static size_t row_of(const char *user, const char *action)
{
	uint64_t h = hash(hash(14695981039346656037U, user), action);

	return (h ^ h >> 32) & (REFUSALS_ROWS - 1);
}

static bool is_of(const struct refusal *r, const char *user, const char *action)
{
	return strcmp(r->user, user) == 0 && strcmp(r->action, action) == 0;
}

void refusal_cache_note(struct refusal_cache *refusals, const char *user, const char *action,
			double tokens, int64_t at_ms)
{
	struct refusal *row = refusals->rows[row_of(user, action)];
	struct refusal *r = row;

	for (size_t i = 0; i < REFUSALS_IN_ROW; i++) {
		if (is_of(&row[i], user, action)) {
			r = &row[i];
			break;
		}
		if (row[i].at_ms < r->at_ms)
			r = &row[i];
	}
	(void)snprintf(r->user, sizeof(r->user), "%s", user);
	(void)snprintf(r->action, sizeof(r->action), "%s", action);
	r->units = llround(tokens * UNITS_PER_TOKEN);
	r->at_ms = at_ms;
}

bool refusal_cache_hold(const struct refusal_cache *refusals, const char *user, const char *action,
			int64_t cost, const struct rate_limit *limit, int64_t now_ms,
			struct refusal_terms *out)
{
	const struct refusal *r = refusals->rows[row_of(user, action)];
	const struct refusal *end = r + REFUSALS_IN_ROW;
	int64_t wanted = cost * UNITS_PER_TOKEN;
	int64_t units;

	while (r < end && !is_of(r, user, action))
		r++;
	if (r == end || cost > limit->capacity)
		return false;
	units = r->units + (now_ms - r->at_ms) * limit->per_hour;
	if (units >= wanted)
		return false;
	*out = (struct refusal_terms){
		.tokens = (double)units / UNITS_PER_TOKEN,
		.retry_ms = (wanted - units + limit->per_hour - 1) / limit->per_hour,
	};
	return true;
}

void refusal_cache_clear(struct refusal_cache *refusals)
{
	*refusals = (struct refusal_cache){0};
}
