/* verdict.c - the table of errors that time mends, and the delays; see verdict.h. */
#include "actors/submitter/verdict.h"

#include <jansson.h>
#include <stddef.h>

#define FIRST_MS     500
#define LAST_MS	     600000
#define NEW_FIRST_MS 1000
#define NEW_LAST_MS  8000
#define EXPONENT_MAX 20

static bool time_mends(enum msg_error error)
{
	switch (error) {
	case ERR_RATE_LIMITED:
	case ERR_INTERNAL: /* ours: perhaps of one process, which is replaced */
	case ERR_DOWN:
	case ERR_OVERLOADED:
	case ERR_UNAVAILABLE:
	case ERR_TIMEOUT:
		return true;
	default:
		return false;
	}
}

/* Doubles from first to last, less up to a half. */
static int64_t delay_ms(int64_t first, int64_t last, int64_t failures, double chance)
{
	int64_t delay = first << (failures < EXPONENT_MAX ? failures : EXPONENT_MAX);

	if (delay > last)
		delay = last;
	return delay - (int64_t)((double)delay / 2 * chance);
}

struct verdict verdict_of(enum msg_error error, int64_t failures, int64_t retry_after_ms,
			  double chance)
{
	struct verdict verdict = {.again = time_mends(error)};

	if (verdict.again && failures + 1 >= FAILURES_MAX) {
		verdict.again = false;
		verdict.dead = true;
	}
	if (verdict.again) {
		verdict.retry_in_ms = delay_ms(FIRST_MS, LAST_MS, failures, chance);
		if (verdict.retry_in_ms < retry_after_ms)
			verdict.retry_in_ms = retry_after_ms;
	}
	return verdict;
}

struct verdict verdict_of_new_resume(int64_t failures, double chance)
{
	return (struct verdict){
		.again = true,
		.retry_in_ms = delay_ms(NEW_FIRST_MS, NEW_LAST_MS, failures, chance),
	};
}

static bool says_unsent(const char *details)
{
	json_t *json = details == NULL ? NULL : json_loads(details, 0, NULL);
	bool unsent = json_is_false(json_object_get(json, "sent"));

	json_decref(json);
	return unsent;
}

bool verdict_unknown(enum msg_error error, const char *details)
{
	return error == ERR_INTERNAL ||
	       ((error == ERR_DOWN || error == ERR_UNAVAILABLE || error == ERR_TIMEOUT) &&
		!says_unsent(details));
}
