/* refusals.c - see refusals.h. */
#include "actors/rate_limiter/refusals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MS_PER_HOUR 3600000.0

/* FNV-1a. */
static uint64_t hash(uint64_t h, const char *text)
{
	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211U;
	return h;
}

static size_t place_of(const char *user, const char *action)
{
	return hash(hash(14695981039346656037U, user), action) & (REFUSALS_PLACES - 1);
}

void refusals_note(struct refusals *refusals, const char *user, const char *action, double tokens,
		   int64_t at_ms)
{
	struct refusal *r = &refusals->places[place_of(user, action)];

	(void)snprintf(r->user, sizeof(r->user), "%s", user);
	(void)snprintf(r->action, sizeof(r->action), "%s", action);
	r->tokens = tokens;
	r->at_ms = at_ms;
}

bool refusals_hold(const struct refusals *refusals, const char *user, const char *action,
		   int64_t cost, const struct rate_limit *limit, int64_t now_ms,
		   struct refusal_terms *out)
{
	const struct refusal *r = &refusals->places[place_of(user, action)];
	const double per_ms = (double)limit->per_hour / MS_PER_HOUR;
	double tokens;

	if (strcmp(r->user, user) != 0 || strcmp(r->action, action) != 0 || cost > limit->capacity)
		return false;
	tokens = r->tokens + (double)(now_ms - r->at_ms) * per_ms;
	if (tokens >= (double)cost)
		return false;
	*out = (struct refusal_terms){
		.tokens = tokens,
		.retry_ms = (int64_t)ceil(((double)cost - tokens) / per_ms),
	};
	return true;
}

void refusals_clear(struct refusals *refusals)
{
	*refusals = (struct refusals){0};
}
