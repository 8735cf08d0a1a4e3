/* hh_personal.h - a request to HH on behalf of a user: with the user's own token, for one caller,
 * never shared with another and never kept.
 *
 * It waits for its turn like a search that somebody waits for, in the row of its user. What can be
 * repeated is repeated as every request is; what must not be done twice (once) only when it was
 * never written to a connection. A token that HH does not accept is replaced once, and the request
 * repeated once.
 */
#ifndef HH_CLIENT_HH_PERSONAL_H
#define HH_CLIENT_HH_PERSONAL_H

#include "actors/hh_client/hh_refusal.h"
#include "actors/hh_client/hh_traffic.h"

/* --- the users' tokens --- */

struct hh_user_token {
	enum msg_error error; /* ERR_NONE; ERR_HH_LOGIN_REQUIRED; else there is none for now */
	const char *why;      /* of an error, in words */
	int64_t wait_ms;      /* trying again may help after that; 0: not known */
	const char *text;     /* the token */
	int64_t version;      /* at least 1 */
	int64_t expires_ms;   /* milliseconds since 1970; 0: not known */
};

/* Valid until the function returns. */
typedef void hh_user_token_fn(void *context, const struct hh_user_token *token);

/* Who keeps them. */
struct hh_user_tokens {
	/* Asks for a user's token that works; one that has expired is refreshed first. not_version: HH
	 * did not accept that one, so another is wanted; 0: any. fn is called exactly once, never from
	 * within, and not at all when the actor ends before. Returns 0, or a negative errno after which
	 * fn is not called. */
	int (*ask)(void *keeper, const char *user_id, int64_t not_version, hh_user_token_fn *fn,
		   void *context);
	/* HH did not accept that version; expired: for no other reason than its age. */
	void (*refused)(void *keeper, const char *user_id, int64_t version, bool expired);
	void *keeper;
};

/* --- asking --- */

/* What became of it. Valid until the function that is told returns. */
struct hh_personal_result {
	const struct failure *failure; /* NULL: HH did it */
	enum msg_error error;	       /* of the failure; ERR_NONE: HH did it */
	bool sent;		       /* a failure leaves open whether HH did it all the same */
	long status;		       /* 0: no answer */
	const json_t *json;	       /* the answer's body; NULL: none */
	const char *location;	       /* the header; "": none */
};

/* Is called exactly once, never from within hh_personal_ask(); not at all when the actor ends
 * before. */
typedef void hh_personal_done_fn(void *context, const struct hh_personal_result *result);

/* What json and fields point to lives as long as the call. */
struct hh_personal_want {
	const struct hh_kind *kind;  /* its name */
	struct actor_call *call;     /* whose deadline it has */
	const struct acting *acting; /* whose account; copied */
	enum hh_purpose purpose;
	enum hh_http_method method;
	const char *path; /* with the query; copied */
	const char *json;
	const struct hh_http_field *fields;
	bool once; /* must not be done twice */
	hh_personal_done_fn *done;
	void *context;
};

/* Returns 0, or a negative errno after which done is not called: -ENOENT (there is no token to act
 * with), -ENOMEM, -ENOSPC (too many wait). */
int hh_personal_ask(struct hh_traffic *traffic, const struct hh_personal_want *want)
	__attribute__((warn_unused_result));

/* Answers call when hh_personal_ask() returned rc. */
void hh_personal_refuse_call(struct actor_call *call, int rc);

/* --- for the request's life: hh_traffic.h --- */

/* Puts method, body and token into http. The token is borrowed. */
void hh_personal_dress(struct hh_personal *personal, struct hh_http_request *http);

/* HH answered, with status (0: it did not). */
void hh_personal_answered(struct hh_request *request, long status);

struct hh_judgement hh_personal_judge(const struct hh_personal *personal,
				      const struct hh_reply *reply);

/* The token was not accepted, as HH's answer says: sees to it that the request is repeated with
 * another one. False: not again. */
bool hh_personal_other_token(struct hh_request *request, const json_t *json);

/* Tells the caller. */
void hh_personal_give(struct hh_personal *personal, const struct hh_reply *reply);
void hh_personal_refuse(struct hh_request *request, const struct failure *failure);

/* NULL is fine for these. */
bool hh_personal_once(const struct hh_personal *personal);   /* must not be done twice */
bool hh_personal_asking(const struct hh_personal *personal); /* its token is on its way */
void hh_personal_free(struct hh_personal **personal);

#endif
