/* routes.c - see routes.h. The table stands at the end. */
#include "gateway/routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/http_error.h"
#include "proto/codec.h"

/* Whoever waits for HH waits longer. */
#define HH_TIMEOUT_MS	  25000
#define TIMEOUT_MS	  10000
#define TREE_TIMEOUT_MS	  5000
/* The store says within 2 s how the database is; the rest is for one that is being replaced. */
#define HEALTH_TIMEOUT_MS 8000

/* --- answers --- */

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

/* The reply as it is. */
static void answer_bare(const struct route *route, const struct route_outcome *outcome,
			struct answer *answer)
{
	char *text = reply_text(route, outcome, answer);

	if (text != NULL)
		answer_set(answer, 200, text);
}

/* {"success":true, and the reply's fields. */
static void answer_success(const struct route *route, const struct route_outcome *outcome,
			   struct answer *answer)
{
	char *text = reply_text(route, outcome, answer);

	if (text != NULL)
		answer_set_merged(answer, 200, "{\"success\":true", text);
	free(text);
}

/* {"success":true,"schedule":the reply}. */
static void answer_schedule(const struct route *route, const struct route_outcome *outcome,
			    struct answer *answer)
{
	char *text = reply_text(route, outcome, answer);

	if (text != NULL)
		answer_set_joined(answer, 200, "{\"success\":true,\"schedule\":", text, "}");
	free(text);
}

/* Whoever asks may be anybody: why the database is down (names of hosts and users) is told only to
 * those who know the secret. */
static void answer_health(const struct route *route, const struct route_outcome *outcome,
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

/* --- finding --- */

/* Whether path is of the pattern; if so, params are what its ':name' parts are. -1: out of memory.
 */
static int pattern_fits(const char *pattern, const struct uri_path *path, struct arena *arena,
			struct route_match *match)
{
	size_t i = 0;

	match->param_count = 0;
	for (pattern++; *pattern != '\0'; i++) {
		size_t len = strcspn(pattern, "/");

		if (i == path->count)
			return 0;
		if (*pattern == ':') {
			struct uri_param *param = &match->params[match->param_count++];

			param->name = arena_strndup(arena, pattern + 1, len - 1);
			param->value = path->segments[i];
			if (param->name == NULL)
				return -1;
		} else if (strlen(path->segments[i]) != len ||
			   memcmp(path->segments[i], pattern, len) != 0) {
			return 0;
		}
		pattern += len;
		pattern += *pattern == '/';
	}
	return i == path->count;
}

static void allow_add(struct route_match *match, const char *verb)
{
	size_t used = strlen(match->allow);

	(void)snprintf(match->allow + used, sizeof(match->allow) - used, "%s%s%s",
		       used > 0 ? ", " : "", verb, strcmp(verb, "GET") == 0 ? ", HEAD" : "");
}

enum msg_error route_find(const char *verb, const char *raw_path, struct arena *arena,
			  struct route_match *match)
{
	struct uri_path path;
	int rc = uri_split_path(raw_path, arena, &path);

	*match = (struct route_match){0};
	if (rc < 0)
		return rc == -ENOMEM ? ERR_INTERNAL : ERR_BAD_REQUEST;
	if (strcmp(verb, "HEAD") == 0)
		verb = "GET";
	for (const struct route *route = routes; route->verb != NULL; route++) {
		int fits = pattern_fits(route->path, &path, arena, match);

		if (fits < 0)
			return ERR_INTERNAL;
		if (fits == 0)
			continue;
		if (strcmp(route->verb, verb) == 0) {
			match->route = route;
			return ERR_NONE;
		}
		allow_add(match, route->verb);
	}
	return match->allow[0] == '\0' ? ERR_NOT_FOUND : ERR_METHOD_NOT_ALLOWED;
}

/* --- the table --- */

/* clang-format off */
const struct route routes[] = {
	{ "GET",    "/api/v1/system/health",         MSG_STORE_PING,      HEALTH_TIMEOUT_MS, ROUTE_OPEN | ROUTE_VITAL, answer_health },
	{ "POST",   "/api/jobs/search",              MSG_JOBS_SEARCH,     HH_TIMEOUT_MS,     ROUTE_BODY,  answer_bare },
	{ "GET",    "/api/jobs/:id",                 MSG_JOBS_GET,        HH_TIMEOUT_MS,     0,           answer_success },
	{ "GET",    "/api/schedules",                MSG_SCHEDULES_LIST,  TIMEOUT_MS,        0,           answer_success },
	{ "GET",    "/api/schedules/:user_id",       MSG_SCHEDULE_GET,    TIMEOUT_MS,        0,           answer_schedule },
	{ "PUT",    "/api/schedules/:user_id",       MSG_SCHEDULE_PUT,    TIMEOUT_MS,        ROUTE_BODY,  answer_schedule },
	{ "DELETE", "/api/schedules/:user_id",       MSG_SCHEDULE_DELETE, TIMEOUT_MS,        0,           answer_success },
	{ "POST",   "/api/schedules/:user_id/fetch", MSG_SCHEDULE_FETCH,  TIMEOUT_MS,        0,           answer_schedule },
	{ "GET",    "/api/tree",                     MSG_TREE_STATE,      TREE_TIMEOUT_MS,   ROUTE_VITAL, answer_success },
	{ .verb = NULL },
};
/* clang-format on */
