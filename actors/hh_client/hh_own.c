/* hh_own.c - see hh_own.h. */
#include "actors/hh_client/hh_own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/seal.h"

#define OVERLOADED_MS 1000

struct hh_own {
	const struct hh_own_want *want; /* in the call's arena */
	enum hh_purpose purpose;
	char *token;
	bool once;
	bool given;  /* the token is the caller's: there is no other */
	bool asking; /* for the token */
	bool again;  /* another token was asked for already */
	int64_t version;
	bool answered; /* the last time that it was sent */
	bool sent;     /* and what came leaves open whether HH did it */
};

void hh_own_free(struct hh_own **own)
{
	if (*own == NULL)
		return;
	seal_free(&(*own)->token);
	free(*own);
	*own = NULL;
}

bool hh_own_once(const struct hh_own *own)
{
	return own != NULL && own->once;
}

bool hh_own_asking(const struct hh_own *own)
{
	return own != NULL && own->asking;
}

/* --- the caller --- */

/* While it is under way it may be written at any moment. */
static bool open_whether_done(const struct hh_request *request)
{
	return request->own->answered ? request->own->sent : request->in_flight;
}

void hh_own_refuse(struct hh_request *request, const struct failure *failure)
{
	const struct hh_own_want want = *request->own->want; /* goes with the call */
	const struct hh_own_result result = {
		.failure = failure,
		.error = error_by_code(failure->error),
		.sent = open_whether_done(request),
		.location = "",
	};

	want.done(want.context, &result);
}

void hh_own_give(struct hh_own *own, const struct hh_reply *reply)
{
	const struct hh_own_want want = *own->want;
	const struct hh_own_result result = {
		.status = reply->status,
		.json = reply->json,
		.location = reply->location,
	};

	want.done(want.context, &result);
}

/* --- the token --- */

static void refuse_and_free(struct hh_request *request, const struct failure *failure)
{
	hh_request_refuse_all(request, failure);
	hh_request_free(request);
}

/* The keeper has answered; those who asked may have given up meanwhile. */
static void on_token(void *context, const struct hh_user_token *token)
{
	struct hh_request *request = context;
	struct hh_own *own = request->own;

	own->asking = false;
	if (request->waiters == NULL) {
		hh_request_free(request);
		return;
	}
	if (token->error != ERR_NONE) {
		struct failure failure = {.error = error_code(token->error), .message = token->why};

		if (token->wait_ms > 0)
			failure.retry_after_ms = OPT_INT_OF(token->wait_ms);
		refuse_and_free(request, &failure);
		return;
	}
	seal_free(&own->token);
	own->token = strdup(token->text);
	own->version = token->version;
	if (own->token == NULL || hh_request_queue(request, own->again) < 0) {
		const struct failure failure = hh_work_failure(
			ERR_OVERLOADED, "too many requests wait for HH", OVERLOADED_MS);

		refuse_and_free(request, &failure);
		return;
	}
	hh_work_pump_soon(request->work);
}

/* not_version: HH did not accept that one. */
static int ask_token(struct hh_request *request, int64_t not_version)
{
	const struct hh_user_tokens *tokens = request->work->tokens;
	int rc;

	if (tokens == NULL || request->user[0] == '\0')
		return -ENOENT;
	rc = tokens->ask(tokens->keeper, request->user, not_version, on_token, request);
	request->own->asking = rc == 0;
	return rc;
}

bool hh_own_other_token(struct hh_request *request, const json_t *json)
{
	const struct hh_user_tokens *tokens = request->work->tokens;
	struct hh_own *own = request->own;

	if (own->given)
		return false;
	tokens->refused(tokens->keeper, request->user, own->version,
			hh_names(json, "oauth", "token_expired"));
	if (own->again || ask_token(request, own->version) < 0)
		return false;
	own->again = true;
	request->in_flight = false;
	request->work->count.retried++;
	return true;
}

/* --- the request's life --- */

void hh_own_dress(struct hh_own *own, struct hh_http_request *http)
{
	own->answered = false;
	http->method = own->want->method;
	http->json = own->want->json;
	http->fields = own->want->fields;
	http->once = own->once;
	http->bearer = own->token;
}

void hh_own_answered(struct hh_request *request, long status)
{
	request->own->answered = true;
	request->own->sent = request->written && (status < 300 || status > 499);
}

struct hh_judgement hh_own_judge(const struct hh_own *own, const struct hh_reply *reply)
{
	return hh_judge_own(reply, own->purpose);
}

/* --- asking --- */

/* Whether a header can carry it. */
static bool token_fits(const char *token)
{
	for (const char *p = token; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return true;
}

static struct hh_own *own_new(const struct hh_own_want *want)
{
	struct hh_own_want *kept = arena_alloc(actor_call_arena(want->call), sizeof(*kept));
	struct hh_own *own = calloc(1, sizeof(*own));

	if (own == NULL || kept == NULL) {
		free(own);
		return NULL;
	}
	*kept = *want;
	own->want = kept;
	own->purpose = want->purpose;
	own->once = want->once;
	own->given = want->acting->access_token != NULL;
	if (!own->given)
		return own;
	own->token = strdup(want->acting->access_token);
	if (own->token == NULL)
		hh_own_free(&own);
	return own;
}

int hh_own_ask(struct hh_work *work, const struct hh_own_want *want)
{
	const char *user = want->acting->user_id;
	const struct hh_want general = {
		.kind = want->kind,
		.class = HH_INTERACTIVE,
		.user = user == NULL ? "" : user,
		.key = want->path,
	};
	struct hh_own *own = own_new(want);
	struct hh_request *request = own == NULL ? NULL : hh_request_new(work, &general, own);
	int rc;

	if (request == NULL) {
		hh_own_free(&own);
		return -ENOMEM;
	}
	rc = hh_request_join(request, want->call, HH_INTERACTIVE, false);
	if (rc == 0 && !own->given)
		rc = ask_token(request, 0);
	else if (rc == 0)
		rc = token_fits(own->token) ? hh_request_queue(request, false) : -ENOENT;
	if (rc < 0) {
		hh_request_free(request);
		return rc;
	}
	hh_work_keep_sweeping(work);
	hh_work_pump_soon(work);
	return 0;
}

void hh_own_refuse_call(struct actor_call *call, int rc)
{
	if (rc == -ENOENT)
		actor_refuse(call, ERR_HH_LOGIN_REQUIRED, NULL, "there is no account to act with");
	else
		actor_refuse_until(call, ERR_OVERLOADED, OVERLOADED_MS,
				   "too many requests wait for HH");
}
