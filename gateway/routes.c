/* routes.c - see routes.h. The table stands at the end. */
#include "gateway/routes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/route_answers.h"

/* Whoever waits for HH waits longer; an application waits up to 10 s for its outcome. */
#define HH_TIMEOUT_MS	  25000
#define SUBMIT_TIMEOUT_MS 15000
#define TIMEOUT_MS	  10000
#define SHORT_TIMEOUT_MS  5000
/* The store says within 2 s how the database is; the rest is for one that is being replaced. */
#define HEALTH_TIMEOUT_MS 8000

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

/* Which user is meant, see routes.h. A person acts with an account at HH; whoever comes next to the
 * secret may also name the user whose application, bucket or queue it is about. */
#define PERSON	      (ROUTE_ACTS | ROUTE_NEEDS_ACCOUNT)
#define ACTS_OR_NAMES (ROUTE_ACTS | ROUTE_NAMES)

/* clang-format off */
const struct route routes[] = {
	{ "GET",    "/api/v1/system/health",          MSG_STORE_PING,         HEALTH_TIMEOUT_MS, ROUTE_OPEN | ROUTE_VITAL,   answer_health },
	{ "GET",    "/api/tree",                      MSG_TREE_STATE,         SHORT_TIMEOUT_MS,  ROUTE_VITAL,                answer_success },

	{ "POST",   "/api/jobs/search",               MSG_JOBS_SEARCH,        HH_TIMEOUT_MS,     ROUTE_BODY,                 answer_bare },
	{ "GET",    "/api/jobs/:id",                  MSG_JOBS_GET,           HH_TIMEOUT_MS,     0,                          answer_success },
	{ "GET",    "/api/schedules",                 MSG_SCHEDULES_LIST,     TIMEOUT_MS,        0,                          answer_success },
	{ "GET",    "/api/schedules/:user_id",        MSG_SCHEDULE_GET,       TIMEOUT_MS,        0,                          answer_schedule },
	{ "PUT",    "/api/schedules/:user_id",        MSG_SCHEDULE_PUT,       TIMEOUT_MS,        ROUTE_BODY,                 answer_schedule },
	{ "DELETE", "/api/schedules/:user_id",        MSG_SCHEDULE_DELETE,    TIMEOUT_MS,        0,                          answer_success },
	{ "POST",   "/api/schedules/:user_id/fetch",  MSG_SCHEDULE_FETCH,     TIMEOUT_MS,        0,                          answer_schedule },

	{ "GET",    "/auth/hh/redirect",              MSG_ACCOUNT_REDIRECT,   TIMEOUT_MS,        ROUTE_OPEN | ROUTE_ACTS,    answer_bare },
	{ "GET",    "/auth/hh/callback",              MSG_ACCOUNT_CONNECT,    HH_TIMEOUT_MS,     ROUTE_OPEN | ROUTE_ISSUES,  answer_connected },
	{ "POST",   "/auth/hh/refresh",               MSG_ACCOUNT_REFRESH,    HH_TIMEOUT_MS,     ROUTE_BODY,                 answer_refreshed },
	{ "GET",    "/api/hh/status",                 MSG_ACCOUNT_STATUS,     HH_TIMEOUT_MS,     PERSON,                     answer_bare },
	{ "GET",    "/api/hh/resumes",                MSG_RESUMES_LIST,       HH_TIMEOUT_MS,     PERSON,                     answer_success },
	{ "GET",    "/api/hh/resumes/:id",            MSG_RESUME_GET,         HH_TIMEOUT_MS,     PERSON,                     answer_success },

	{ "POST",   "/api/applications/submit",       MSG_APPLICATION_SUBMIT, SUBMIT_TIMEOUT_MS, ROUTE_BODY | ROUTE_WAITS | ACTS_OR_NAMES, answer_submitted },
	{ "GET",    "/api/applications",              MSG_APPLICATIONS_LIST,  TIMEOUT_MS,        ACTS_OR_NAMES,              answer_success },
	{ "GET",    "/api/applications/:id",          MSG_APPLICATION_GET,    TIMEOUT_MS,        ACTS_OR_NAMES,              answer_application },
	{ "POST",   "/api/applications/:id/retry",    MSG_APPLICATION_RETRY,  TIMEOUT_MS,        ACTS_OR_NAMES,              answer_application },

	{ "GET",    "/api/rate-limit/status",         MSG_LIMITER_STATUS,     SHORT_TIMEOUT_MS,  ROUTE_NAMES,                answer_bare },
	{ "GET",    "/api/rate-limit/status/:user_id", MSG_LIMITER_STATUS,    SHORT_TIMEOUT_MS,  0,                          answer_bare },
	{ "POST",   "/api/v1/rate-limit/check",       MSG_LIMITER_CHECK,      SHORT_TIMEOUT_MS,  ROUTE_BODY | ROUTE_NAMES,   answer_bare },
	{ "POST",   "/api/rate-limit/reset",          MSG_LIMITER_RESET,      SHORT_TIMEOUT_MS,  ROUTE_BODY,                 answer_bare },

	{ "POST",   "/api/queue/add",                 MSG_QUEUE_ADD,          TIMEOUT_MS,        ROUTE_BODY | ROUTE_NAMES,   answer_success },
	{ "POST",   "/api/queue/start-workflow",      MSG_QUEUE_START,        TIMEOUT_MS,        ROUTE_BODY | ROUTE_NAMES,   answer_started },
	{ "POST",   "/api/queue/batch-customize",     MSG_QUEUE_CUSTOMIZE,    TIMEOUT_MS,        ROUTE_BODY | ROUTE_NAMES,   answer_success },
	{ "GET",    "/api/queue/progress/:workflow_id", MSG_QUEUE_PROGRESS,   TIMEOUT_MS,        0,                          answer_success },
	{ "GET",    "/api/queue/status/:user_id",     MSG_QUEUE_STATUS,       TIMEOUT_MS,        0,                          answer_success },
	{ "POST",   "/api/queue/pause",               MSG_QUEUE_PAUSE,        TIMEOUT_MS,        ROUTE_BODY | ROUTE_NAMES,   answer_success },
	{ "POST",   "/api/queue/resume",              MSG_QUEUE_RESUME,       TIMEOUT_MS,        ROUTE_BODY | ROUTE_NAMES,   answer_success },
	{ "POST",   "/api/queue/cancel",              MSG_QUEUE_CANCEL,       TIMEOUT_MS,        ROUTE_BODY | ROUTE_NAMES,   answer_success },
	{ .verb = NULL },
};
/* clang-format on */
