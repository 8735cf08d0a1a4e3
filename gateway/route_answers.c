/* route_answers.c - the forms of the answers, one function for each that a route may have. */
#include "gateway/route_answers.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/session_token.h"
#include "gateway/http_error.h"
#include "proto/codec.h"

/* The reply as JSON from malloc, NULL when it has none; answer then says so. */
static char *reply_text(const struct route *route, const struct route_outcome *outcome,
			struct answer *answer)
{
	const struct message *m = message_by_id(route->message);
	struct codec_problem problem = {0};
	char *text;

	if (outcome->error != ERR_NONE) {
		http_error_of_failure(outcome->error, outcome->failure, outcome->request_id,
				      answer);
		return NULL;
	}
	text = codec_to_json_text(m->reply, outcome->body, &problem);
	if (text == NULL) {
		log_error("gateway.reply_unsayable", "method=%s field=%s problem=%s", m->method,
			  problem.field, problem.message);
		http_error_of_failure(ERR_INTERNAL, NULL, outcome->request_id, answer);
	}
	return text;
}

void answer_bare(const struct route *route, const struct route_outcome *outcome,
		 struct answer *answer)
{
	char *text = reply_text(route, outcome, answer);

	if (text != NULL)
		answer_set(answer, 200, text);
}

void answer_success(const struct route *route, const struct route_outcome *outcome,
		    struct answer *answer)
{
	char *text = reply_text(route, outcome, answer);

	if (text != NULL)
		answer_set_merged(answer, 200, "{\"success\":true", text);
	free(text);
}

/* {"success":true,"name":the reply}. */
static void answer_under(const char *name, const struct route *route,
			 const struct route_outcome *outcome, struct answer *answer)
{
	char *text = reply_text(route, outcome, answer);
	char head[64];

	(void)snprintf(head, sizeof(head), "{\"success\":true,\"%s\":", name);
	if (text != NULL)
		answer_set_joined(answer, 200, head, text, "}");
	free(text);
}

void answer_schedule(const struct route *route, const struct route_outcome *outcome,
		     struct answer *answer)
{
	answer_under("schedule", route, outcome, answer);
}

void answer_application(const struct route *route, const struct route_outcome *outcome,
			struct answer *answer)
{
	answer_under("application", route, outcome, answer);
}

/* An object of our own, which is taken. NULL: out of memory. */
static void answer_set_object(struct answer *answer, int status, json_t *object)
{
	answer_set(answer, status, object == NULL ? NULL : json_dumps(object, JSON_COMPACT));
	json_decref(object);
}

/* Whoever asks may be anybody: why the database is down (names of hosts and users) is told only to
 * those who know the secret. */
void answer_health(const struct route *route, const struct route_outcome *outcome,
		   struct answer *answer)
{
	const struct database_state *state = outcome->body;
	const struct database_state degraded = {
		.db = "down",
		.problem = outcome->error != ERR_NONE ? "the store does not answer"
			   : outcome->trusted	      ? state->problem
						      : "the database does not answer",
	};
	char *text;

	(void)route;
	if (outcome->error == ERR_NONE && strcmp(state->db, "up") == 0) {
		answer_set(answer, 200, strdup("{\"status\":\"ok\",\"db\":\"up\"}"));
		return;
	}
	text = codec_to_json_text(RECORD_OF(database_state), &degraded, NULL);
	if (text != NULL)
		answer_set_merged(answer, 503, "{\"status\":\"degraded\"", text);
	else
		answer_set(answer, 503, NULL);
	answer->retry_after_s = 1;
	free(text);
}

/* --- accounts --- */

static void answer_session(const struct route_outcome *outcome, struct answer *answer)
{
	const struct account_connected *connected = outcome->body;
	char *jwt = NULL;
	int rc = session_token_issue(outcome->sessions, connected->user_id, connected->connected_ms,
				     &jwt);

	if (rc < 0) {
		log_error("gateway.no_session_token", "problem=\"%s\"", strerror(-rc));
		http_error_of_failure(ERR_INTERNAL, NULL, outcome->request_id, answer);
		return;
	}
	answer_set_object(answer, 200,
			  json_pack("{s:b,s:s,s:s}", "success", 1, "jwt", jwt, "session_id",
				    connected->user_id));
	free(jwt);
}

/* Whether it was HH that said no, to what the caller gave us for it. */
static bool hh_said_no(enum msg_error error)
{
	const int status = error_http_status(error);

	return error == ERR_HH_AUTH || error == ERR_HH_REFUSED || status == 401 || status == 403;
}

void answer_connected(const struct route *route, const struct route_outcome *outcome,
		      struct answer *answer)
{
	const struct account_connected *connected = outcome->body;
	char *text = reply_text(route, outcome, answer);

	if (text == NULL && hh_said_no(outcome->error) && answer->status >= 500)
		answer->status = 401;
	else if (text != NULL && connected->user_id != NULL)
		answer_session(outcome, answer);
	else if (text != NULL)
		answer_set_merged(answer, 200, "{\"success\":true", text);
	free(text);
}

void answer_refreshed(const struct route *route, const struct route_outcome *outcome,
		      struct answer *answer)
{
	answer_success(route, outcome, answer);
	if (hh_said_no(outcome->error))
		answer->status = 400;
}

/* --- applications --- */

/* HH does not say when its daily limit ends. */
#define LIMIT_RETRY_AFTER_S 3600

static bool is_under_way(const struct application *a)
{
	static const char *const statuses[] = {"pending", "submitting", "rate_limited"};

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (strcmp(a->status, statuses[i]) == 0)
			return true;
	return false;
}

static json_t *submitted(const struct application *a)
{
	return json_pack("{s:b,s:s,s:s,s:s?,s:s?,s:s?,s:s}", "success", 1, "job_id", a->id,
			 "job_external_id", a->job_external_id, "resume_id", a->resume_id,
			 "negotiation_id", a->negotiation_id, "submitted_at", a->submitted_at,
			 "idempotency_key", a->idempotency_key);
}

/* What it waits for is told where it waits for something. */
static json_t *processing(const struct application *a)
{
	return json_pack("{s:b,s:s,s:s,s:s,s:s,s:s*,s:s*}", "success", 1, "status", "processing",
			 "job_id", a->id, "job_external_id", a->job_external_id, "idempotency_key",
			 a->idempotency_key, "retry_at", a->retry_at, "reason", a->error);
}

/* What is known of a failure: HH's details, and under which names the application is found. */
static char *failure_details(const struct application *a)
{
	json_t *details = a->details == NULL ? NULL : json_loads(a->details, 0, NULL);
	json_t *ours = json_pack("{s:s,s:s,s:s*}", "job_id", a->id, "idempotency_key",
				 a->idempotency_key, "external_url", a->external_url);
	char *text = NULL;

	if (!json_is_object(details)) {
		json_decref(details);
		details = json_object();
	}
	if (json_object_update(details, ours) == 0)
		text = json_dumps(details, JSON_COMPACT);
	json_decref(details);
	json_decref(ours);
	return text;
}

/* It is over and will not change, so the BFF must not ask again: what HH or we said with a 5xx is a
 * 422 here. */
static void answer_failed(const struct application *a, const struct route_outcome *outcome,
			  struct answer *answer)
{
	const enum msg_error error = error_by_code(a->error == NULL ? "" : a->error);
	const int status = error_http_status(error);
	char *details = failure_details(a);
	const struct http_error said = {
		.error = error,
		.status = status >= 500 ? 422 : status,
		.message = a->error_message,
		.details = details,
		.request_id = outcome->request_id,
	};

	http_error_answer(&said, answer);
	answer->retry_after_s = answer->status == 429 ? LIMIT_RETRY_AFTER_S : 0;
	free(details);
}

void answer_submitted(const struct route *route, const struct route_outcome *outcome,
		      struct answer *answer)
{
	const struct application *a = outcome->body;

	(void)route;
	if (outcome->error != ERR_NONE)
		http_error_of_failure(outcome->error, outcome->failure, outcome->request_id,
				      answer);
	else if (strcmp(a->status, "submitted") == 0)
		answer_set_object(answer, 200, submitted(a));
	else if (is_under_way(a))
		answer_set_object(answer, 202, processing(a));
	else
		answer_failed(a, outcome, answer);
}

/* --- workflows --- */

void answer_started(const struct route *route, const struct route_outcome *outcome,
		    struct answer *answer)
{
	const struct workflow *w = outcome->body;
	char *text = reply_text(route, outcome, answer);
	char head[96];

	if (text == NULL)
		return;
	(void)snprintf(head, sizeof(head), "{\"success\":true,\"estimatedCompletion\":%s%s%s",
		       w->estimated_completion == NULL ? "" : "\"",
		       w->estimated_completion == NULL ? "null" : w->estimated_completion,
		       w->estimated_completion == NULL ? "" : "\"");
	answer_set_merged(answer, 200, head, text);
	free(text);
}
