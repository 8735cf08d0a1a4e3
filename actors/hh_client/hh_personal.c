/* hh_personal.c - a request of a user: which token it is sent with, and who is told what became of
 * it; see hh_personal.h. */
#include "actors/hh_client/hh_personal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/seal.h"

#define OVERLOADED_MS 1000

struct hh_personal {
	const struct hh_personal_want *want; /* in the call's arena */
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

void hh_personal_free(struct hh_personal **personal)
{
	if (*personal == NULL)
		return;
	seal_free(&(*personal)->token);
	free(*personal);
	*personal = NULL;
}

bool hh_personal_once(const struct hh_personal *personal)
{
	return personal != NULL && personal->once;
}

bool hh_personal_asking(const struct hh_personal *personal)
{
	return personal != NULL && personal->asking;
}

/* --- the caller --- */

/* While it is under way it may be written at any moment. */
static bool open_whether_done(const struct hh_request *request)
{
	return request->personal->answered ? request->personal->sent : request->in_flight;
}

void hh_personal_refuse(struct hh_request *request, const struct failure *failure)
{
	const struct hh_personal_want want = *request->personal->want; /* goes with the call */
	const struct hh_personal_result result = {
		.failure = failure,
		.error = error_by_code(failure->error),
		.sent = open_whether_done(request),
		.location = "",
	};

	want.done(want.context, &result);
}

void hh_personal_give(struct hh_personal *personal, const struct hh_reply *reply)
{
	const struct hh_personal_want want = *personal->want;
	const struct hh_personal_result result = {
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
	struct hh_personal *personal = request->personal;

	personal->asking = false;
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
	seal_free(&personal->token);
	personal->token = strdup(token->text);
	personal->version = token->version;
	if (personal->token == NULL || hh_request_queue(request, personal->again) < 0) {
		const struct failure failure = hh_traffic_failure(
			ERR_OVERLOADED, "too many requests wait for HH", OVERLOADED_MS);

		refuse_and_free(request, &failure);
		return;
	}
	hh_traffic_pump_soon(request->traffic);
}

/* not_version: HH did not accept that one. */
static int ask_token(struct hh_request *request, int64_t not_version)
{
	const struct hh_user_tokens *tokens = request->traffic->tokens;
	int rc;

	if (tokens == NULL || request->user[0] == '\0')
		return -ENOENT;
	rc = tokens->ask(tokens->keeper, request->user, not_version, on_token, request);
	request->personal->asking = rc == 0;
	return rc;
}

bool hh_personal_other_token(struct hh_request *request, const json_t *json)
{
	const struct hh_user_tokens *tokens = request->traffic->tokens;
	struct hh_personal *personal = request->personal;

	if (personal->given)
		return false;
	tokens->refused(tokens->keeper, request->user, personal->version,
			hh_names(json, "oauth", "token_expired"));
	if (personal->again || ask_token(request, personal->version) < 0)
		return false;
	personal->again = true;
	request->in_flight = false;
	request->traffic->count.retried++;
	return true;
}

/* --- the request's life --- */

void hh_personal_dress(struct hh_personal *personal, struct hh_http_request *http)
{
	personal->answered = false;
	http->method = personal->want->method;
	http->json = personal->want->json;
	http->fields = personal->want->fields;
	http->once = personal->once;
	http->bearer = personal->token;
}

void hh_personal_answered(struct hh_request *request, long status)
{
	request->personal->answered = true;
	request->personal->sent = request->written && (status < 300 || status > 499);
}

struct hh_judgement hh_personal_judge(const struct hh_personal *personal,
				      const struct hh_reply *reply)
{
	return hh_judge_personal(reply, personal->purpose);
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

static struct hh_personal *personal_new(const struct hh_personal_want *want)
{
	struct hh_personal_want *kept = arena_alloc(actor_call_arena(want->call), sizeof(*kept));
	struct hh_personal *personal = calloc(1, sizeof(*personal));

	if (personal == NULL || kept == NULL) {
		free(personal);
		return NULL;
	}
	*kept = *want;
	personal->want = kept;
	personal->purpose = want->purpose;
	personal->once = want->once;
	personal->given = want->acting->access_token != NULL;
	if (!personal->given)
		return personal;
	personal->token = strdup(want->acting->access_token);
	if (personal->token == NULL)
		hh_personal_free(&personal);
	return personal;
}

int hh_personal_ask(struct hh_traffic *traffic, const struct hh_personal_want *want)
{
	const char *user = want->acting->user_id;
	const struct hh_want general = {
		.kind = want->kind,
		.class = HH_INTERACTIVE,
		.user = user == NULL ? "" : user,
		.key = want->path,
	};
	struct hh_personal *personal = personal_new(want);
	struct hh_request *request =
		personal == NULL ? NULL : hh_request_new(traffic, &general, personal);
	int rc;

	if (request == NULL) {
		hh_personal_free(&personal);
		return -ENOMEM;
	}
	rc = hh_request_join(request, want->call, HH_INTERACTIVE, false);
	if (rc == 0 && !personal->given)
		rc = ask_token(request, 0);
	else if (rc == 0)
		rc = token_fits(personal->token) ? hh_request_queue(request, false) : -ENOENT;
	if (rc < 0) {
		hh_request_free(request);
		return rc;
	}
	hh_traffic_keep_sweeping(traffic);
	hh_traffic_pump_soon(traffic);
	return 0;
}

void hh_personal_refuse_call(struct actor_call *call, int rc)
{
	if (rc == -ENOENT)
		actor_refuse(call, ERR_HH_LOGIN_REQUIRED, NULL, "there is no account to act with");
	else
		actor_refuse_until(call, ERR_OVERLOADED, OVERLOADED_MS,
				   "too many requests wait for HH");
}
