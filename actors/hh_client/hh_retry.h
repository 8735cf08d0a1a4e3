/* hh_retry.h - what HH's answers mean: done, try again, or give up, and with which error. Pure.
 *
 * The order of judgement is HH's own advice: what errors[] names comes first, then the status; a
 * body that isn't JSON leaves only the status.
 */
#ifndef HH_CLIENT_HH_RETRY_H
#define HH_CLIENT_HH_RETRY_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/catalogue.h"

/* --- one answer --- */

struct hh_reply {
	CURLcode curl;		/* CURLE_OK: there is a status */
	bool too_large;		/* the answer was cut off at our limit */
	bool hurried;		/* our own time limit was short: its end says nothing about HH */
	long status;		/* of HTTP */
	int64_t wait_ms;	/* Retry-After; 0: none */
	const json_t *json;	/* the body; NULL when it is not JSON */
	const char *request_id; /* X-Request-ID; "" when there is none */
	const char *location;	/* Location; "" when there is none */
};

enum hh_verdict {
	HH_DONE,      /* the answer that was asked for */
	HH_TRY_AGAIN, /* may be mended by time */
	HH_BAD_TOKEN, /* the token was not accepted: another one may be */
	HH_GIVE_UP,   /* the same request will get the same answer */
};

/* What an answer says of HH as a whole. */
enum hh_health { HH_ALIVE, HH_AILING, HH_UNCLEAR };

struct hh_judgement {
	enum hh_verdict verdict;
	enum hh_health health;
	bool too_many;	      /* 429: all requests must slow down */
	enum msg_error error; /* what the caller is told when this is the end; ERR_NONE when done */
	const char *why;      /* in words; static */
};

struct hh_judgement hh_judge(const struct hh_reply *reply);

/* Reads a string that HH may leave out or make null: "" then. object may be NULL. */
const char *hh_text(const json_t *object, const char *key);

/* --- when to try again --- */

/* How long to wait after that many failed attempts (from 1): doubling, capped, half of it random.
 */
int64_t hh_backoff_ms(int attempts, uint32_t random);

/* --- the circuit breaker --- */

enum hh_circuit { HH_CLOSED, HH_OPEN, HH_HALF_OPEN };

struct hh_breaker {
	enum hh_circuit state;
	int failures; /* in a row */
	bool probing; /* half open, and the one request that may try is under way */
	int64_t until_ms;
};

/* Milliseconds until a request may be sent; 0: now. While a probe is under way, what is left is not
 * known and a guess is given. */
int64_t hh_breaker_wait_ms(const struct hh_breaker *b, int64_t now_ms);

/* A request is sent; only when the wait is 0. */
void hh_breaker_sent(struct hh_breaker *b);

/* What came of a request. */
void hh_breaker_heard(struct hh_breaker *b, enum hh_health health, int64_t now_ms);

/* closed, open or half_open, as of now. */
enum hh_circuit hh_breaker_state(const struct hh_breaker *b, int64_t now_ms);
const char *hh_circuit_name(enum hh_circuit state);

#endif
