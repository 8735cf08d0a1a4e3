/* hh_retry.c - one answer judged by name and status; the backoff; the circuit breaker; see
 * hh_retry.h. */
#include "actors/hh_client/hh_retry.h"

#include <string.h>

/* --- one answer --- */

/* What HH's errors[] may name, and what it means whatever the status. A NULL value is any. Types
 * that are not here (service_unavailable, too_many_requests, ...) are judged by the status. */
static const struct {
	const char *type;
	const char *value;
	enum hh_verdict verdict;
	enum msg_error error;
	const char *why;
} named_errors[] = {
	{"captcha_required", NULL, HH_GIVE_UP, ERR_HH_CAPTCHA, "HH wants a captcha solved"},
	{"oauth", "bad_authorization", HH_BAD_TOKEN, ERR_HH_AUTH, "HH does not know our token"},
	{"oauth", "token_expired", HH_BAD_TOKEN, ERR_HH_AUTH, "our token has expired"},
	{"oauth", "token_revoked", HH_BAD_TOKEN, ERR_HH_AUTH, "our token was revoked"},
	{"oauth", NULL, HH_GIVE_UP, ERR_HH_AUTH, "HH does not accept our token for this"},
	{"forbidden", NULL, HH_GIVE_UP, ERR_HH_REFUSED, "HH does not allow this"},
	{"not_found", NULL, HH_GIVE_UP, ERR_NOT_FOUND, "HH has no such thing"},
	{"bad_argument", NULL, HH_GIVE_UP, ERR_HH_REFUSED, "HH does not take a parameter"},
	{"bad_request", NULL, HH_GIVE_UP, ERR_HH_REFUSED, "HH does not take the request"},
	{"bad_user_agent", NULL, HH_GIVE_UP, ERR_HH_REFUSED, "HH does not take HH_USER_AGENT"},
	{"method_not_allowed", NULL, HH_GIVE_UP, ERR_HH_REFUSED, "HH does not allow this"},
};

#define NAMED_ERRORS (sizeof(named_errors) / sizeof(named_errors[0]))

const char *hh_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

static struct hh_judgement done(void)
{
	return (struct hh_judgement){.verdict = HH_DONE, .health = HH_ALIVE, .why = ""};
}

static struct hh_judgement again(enum hh_health health, const char *why)
{
	return (struct hh_judgement){
		.verdict = HH_TRY_AGAIN, .health = health, .error = ERR_UNAVAILABLE, .why = why};
}

static struct hh_judgement give_up(enum hh_health health, enum msg_error error, const char *why)
{
	return (struct hh_judgement){
		.verdict = HH_GIVE_UP, .health = health, .error = error, .why = why};
}

static struct hh_judgement judge_transfer(const struct hh_reply *reply)
{
	if (reply->too_large)
		return give_up(HH_ALIVE, ERR_HH_REFUSED, "HH's answer is larger than we take");
	switch (reply->curl) {
	case CURLE_OPERATION_TIMEDOUT:
		return again(reply->hurried ? HH_UNCLEAR : HH_AILING, "HH did not answer in time");
	case CURLE_OUT_OF_MEMORY:
		return again(HH_UNCLEAR, "out of memory");
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_BAD_FUNCTION_ARGUMENT:
	case CURLE_FAILED_INIT:
	case CURLE_UNKNOWN_OPTION:
	case CURLE_NOT_BUILT_IN:
		return give_up(HH_UNCLEAR, ERR_INTERNAL, curl_easy_strerror(reply->curl));
	default:
		return again(HH_AILING, curl_easy_strerror(reply->curl));
	}
}

/* Looks through errors[] for one that we know; all of it, since HH may give several. */
static bool judge_named(const json_t *json, struct hh_judgement *out)
{
	const json_t *errors = json_object_get(json, "errors");
	size_t i;
	json_t *error;

	json_array_foreach(errors, i, error)
	{
		const char *type = hh_text(error, "type");
		const char *value = hh_text(error, "value");

		for (size_t n = 0; n < NAMED_ERRORS; n++) {
			if (strcmp(named_errors[n].type, type) != 0 ||
			    (named_errors[n].value != NULL &&
			     strcmp(named_errors[n].value, value) != 0))
				continue;
			*out = give_up(HH_ALIVE, named_errors[n].error, named_errors[n].why);
			out->verdict = named_errors[n].verdict;
			return true;
		}
	}
	return false;
}

static struct hh_judgement judge_status(long status, bool json)
{
	struct hh_judgement j;

	if (status >= 500)
		return again(HH_AILING, "HH is out of order");
	switch (status) {
	case 429:
		j = again(HH_ALIVE, "HH says: too many requests");
		j.too_many = true;
		return j;
	case 408:
	case 425:
		return again(HH_ALIVE, "HH says: not now");
	case 401:
		j = give_up(HH_ALIVE, ERR_HH_AUTH, "HH does not accept our token");
		j.verdict = HH_BAD_TOKEN;
		return j;
	case 403:
		/* The guard before HH answers with a page for browsers. It calms down by itself,
		 * and is provoked by insisting: the circuit breaker sees to that. */
		return json ? give_up(HH_ALIVE, ERR_HH_REFUSED, "HH does not allow this")
			    : again(HH_AILING, "HH's guard keeps us out");
	case 404:
		return give_up(HH_ALIVE, ERR_NOT_FOUND, "HH has no such thing");
	default:
		return give_up(HH_ALIVE, ERR_HH_REFUSED, "HH refused the request");
	}
}

struct hh_judgement hh_judge(const struct hh_reply *reply)
{
	struct hh_judgement judgement;

	if (reply->curl != CURLE_OK || reply->too_large)
		return judge_transfer(reply);
	if (reply->status >= 200 && reply->status < 300)
		return json_is_object(reply->json) ? done()
						   : again(HH_AILING, "HH's answer cannot be read");
	if (judge_named(reply->json, &judgement))
		return judgement;
	return judge_status(reply->status, json_is_object(reply->json));
}

/* --- when to try again --- */

#define BACKOFF_FIRST_MS 400
#define BACKOFF_MAX_MS	 20000
#define BACKOFF_DOUBLES	 6

int64_t hh_backoff_ms(int attempts, uint32_t random)
{
	int doubles = attempts - 1 < BACKOFF_DOUBLES ? attempts - 1 : BACKOFF_DOUBLES;
	int64_t wait = (int64_t)BACKOFF_FIRST_MS << (doubles < 0 ? 0 : doubles);

	if (wait > BACKOFF_MAX_MS)
		wait = BACKOFF_MAX_MS;
	return wait / 2 + random % (wait / 2 + 1);
}

/* --- the circuit breaker --- */

#define FAILURES_MAX 5
#define OPEN_MS	     10000
#define PROBE_MS     1000 /* a guess at what a probe under way still takes */

enum hh_circuit hh_breaker_state(const struct hh_breaker *b, int64_t now_ms)
{
	return b->state == HH_OPEN && now_ms >= b->until_ms ? HH_HALF_OPEN : b->state;
}

int64_t hh_breaker_wait_ms(const struct hh_breaker *b, int64_t now_ms)
{
	switch (hh_breaker_state(b, now_ms)) {
	case HH_OPEN:
		return b->until_ms - now_ms;
	case HH_HALF_OPEN:
		return b->probing ? PROBE_MS : 0;
	default:
		return 0;
	}
}

void hh_breaker_sent(struct hh_breaker *b)
{
	if (b->state == HH_CLOSED)
		return;
	b->state = HH_HALF_OPEN;
	b->probing = true;
}

void hh_breaker_heard(struct hh_breaker *b, enum hh_health health, int64_t now_ms)
{
	if (health == HH_ALIVE) {
		*b = (struct hh_breaker){.state = HH_CLOSED};
		return;
	}
	if (b->state == HH_HALF_OPEN)
		b->probing = false; /* unclear: another one may try */
	if (health == HH_UNCLEAR || b->state == HH_OPEN)
		return;
	b->failures++;
	if (b->state == HH_HALF_OPEN || b->failures >= FAILURES_MAX) {
		b->state = HH_OPEN;
		b->until_ms = now_ms + OPEN_MS;
	}
}

const char *hh_circuit_name(enum hh_circuit state)
{
	static const char *const names[] = {"closed", "open", "half_open"};

	return names[state];
}
