/* hh_client.c - everything that talks to HH; everybody else speaks of vacancies.
 *
 * Answers  JOBS_SEARCH (somebody waits), JOBS_FETCH_PAGE (a scheduled search), JOBS_GET, HH_STATE;
 *          on behalf of a user RESUMES_LIST, RESUME_GET, RESUME_ENSURE, HH_APPLY, HH_APPLIED;
 *          ACCOUNT_REDIRECT, _CONNECT, _REFRESH, _STATUS, _KEEP, KEYS_ROTATE
 * Calls    store, for the application's token, which all nodes share, and for the users' accounts
 * Owns     the budget of requests, the circuit breaker, pages that were answered lately; a new
 *          generation starts with an empty window, a closed circuit and no pages. The token lies in
 *          the store.
 * Never    sends more than HH_MAX_RPS, follows a redirect, reads more than 8 MiB of an answer, logs
 *          a token, shares a user's answer with another, applies twice by itself.
 *
 *   hh_client.c               messages to requests
 *   hh_traffic, hh_request, hh_answer   a request's life: join, turn, send, judge, again, answer
 *   hh_personal               the same on behalf of a user, with his token
 *   hh_resumes, hh_ensure, hh_apply   what is done for a user
 *   hh_token                  what searches are asked with
 *   hh_account, hh_lookup, hh_login, hh_exchange, hh_key_rotation   users' tokens, logins, keys
 *   hh_http                   libcurl on the loop
 *   hh_queue, hh_pace         whose turn, and when            \
 *   hh_retry, hh_failure      what an answer means            |  pure: no clock, no socket of
 *   hh_query                  a search as a query string      |  their own
 *   hh_vacancy, hh_html       a vacancy as a job              |
 *   hh_share                  one request for many            |
 *   hh_refusal                what it means to a user         |
 *   hh_cv, hh_resume_body, hh_resume_life, hh_role, hh_words, hh_choice   a CV as a resume   /
 *
 * A new kind of request is a struct hh_kind and a handler here; one that needs a user's own token
 * is asked with hh_personal_ask().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/actors.h"
#include "actors/hh_client/hh_account.h"
#include "actors/hh_client/hh_apply.h"
#include "actors/hh_client/hh_ensure.h"
#include "actors/hh_client/hh_query.h"
#include "actors/hh_client/hh_resumes.h"
#include "actors/hh_client/hh_traffic.h"
#include "actors/hh_client/hh_vacancy.h"
#include "base/clock.h"

/* More than the queues hold: who joins another's request takes a place as well. */
#define MAILBOX_MAX 8192

struct hh_client {
	struct hh_traffic traffic;
	struct hh_accounts accounts;
	struct hh_ensure *ensures; /* resumes that are being made ready */
};

/* --- kinds of requests --- */

static int read_page(const struct hh_request *request, const json_t *json, struct arena *arena,
		     void *reply)
{
	return hh_vacancy_page(json, request->page, request->per_page, arena, reply);
}

static void share_page(void *reply, bool shared)
{
	((struct jobs_page *)reply)->shared = shared;
}

static void keep_page(struct hh_traffic *traffic, const struct hh_request *request,
		      struct arena *arena, const void *reply)
{
	const struct jobs_page page = *(const struct jobs_page *)reply;

	hh_share_keep(&traffic->share, request->key, arena, &page, clock_mono_ms());
}

static const struct hh_kind page_kind = {
	.name = "page",
	.reply_size = sizeof(struct jobs_page),
	.read = read_page,
	.share = share_page,
	.keep = keep_page,
};

static int read_details(const struct hh_request *request, const json_t *json, struct arena *arena,
			void *reply)
{
	struct job *job = arena_alloc(arena, sizeof(*job));
	struct job_details *details = reply;

	(void)request;
	if (job == NULL)
		return -ENOMEM;
	details->job = job;
	return hh_vacancy_details(json, arena, job);
}

static const struct hh_kind details_kind = {
	.name = "vacancy",
	.reply_size = sizeof(struct job_details),
	.read = read_details,
};

/* --- messages --- */

static const char *text_or(const char *text, const char *fallback)
{
	return text == NULL ? fallback : text;
}

/* The path of a search's page, in the call's arena. NULL: the call is answered. */
static const char *search_path(struct actor_call *call, const struct hh_query *query)
{
	struct arena *arena = actor_call_arena(call);
	const char *parameters;
	const char *path = NULL;

	if (!hh_query_within_depth(query->page, query->per_page)) {
		actor_refuse(call, ERR_BAD_REQUEST, "page",
			     "HH shows the first %d vacancies of a search", HH_DEPTH);
		return NULL;
	}
	parameters = hh_query_build(query, arena);
	if (parameters != NULL)
		path = arena_printf(arena, "/vacancies?%s", parameters);
	if (path == NULL)
		actor_refuse(call, ERR_TOO_LARGE, NULL, "the search is too large");
	return path;
}

static void on_jobs_search(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);
	const struct jobs_search *search = message;
	const struct hh_query query = {
		.record = RECORD_OF(jobs_search),
		.search = search,
		.page = search->page,
		.per_page = search->per_page.set ? search->per_page.value : HH_PER_PAGE_MAX,
	};
	const struct hh_want want = {
		.kind = &page_kind,
		.class = HH_INTERACTIVE,
		.user = text_or(search->user_id, ""),
		.key = search_path(call, &query),
		.page = query.page,
		.per_page = query.per_page,
	};

	if (want.key != NULL)
		hh_traffic_ask(&client->traffic, call, &want);
}

static void on_jobs_fetch_page(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);
	const struct jobs_fetch_page *fetch = message;
	const struct hh_query query = {
		.record = RECORD_OF(search),
		.search = fetch->search,
		.order_by = "publication_time", /* what comes meanwhile comes on the first page */
		.date_from_ms = fetch->date_from_ms,
		.now_ms = clock_wall_ms(),
		.page = fetch->page,
		.per_page = HH_PER_PAGE_MAX,
	};
	const struct hh_want want = {
		.kind = &page_kind,
		.class = HH_BACKGROUND,
		.user = fetch->user_id,
		.key = search_path(call, &query),
		.page = query.page,
		.per_page = query.per_page,
		.keep = fetch->max_age_ms > 0,
	};
	const struct jobs_page *kept;

	if (want.key == NULL)
		return;
	kept = hh_share_page(&client->traffic.share, want.key, fetch->max_age_ms, clock_mono_ms());
	if (kept != NULL)
		hh_traffic_give_kept(&client->traffic, call, kept);
	else
		hh_traffic_ask(&client->traffic, call, &want);
}

static void on_jobs_get(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);
	const struct job_id *wanted = message;
	struct hh_want want = {.kind = &details_kind, .class = HH_INTERACTIVE, .user = ""};

	if (strspn(wanted->id, "0123456789") != strlen(wanted->id)) {
		actor_refuse(call, ERR_BAD_REQUEST, "id", "HH's ids are digits");
		return;
	}
	want.key = arena_printf(actor_call_arena(call), "/vacancies/%s", wanted->id);
	if (want.key == NULL)
		actor_refuse(call, ERR_TOO_LARGE, NULL, "out of memory");
	else
		hh_traffic_ask(&client->traffic, call, &want);
}

static void on_resumes_list(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	hh_resumes_list(&client->traffic, call, message);
}

static void on_resume_get(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	hh_resumes_get(&client->traffic, call, message);
}

static void on_resume_ensure(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	hh_ensure_resume(&client->traffic, &client->ensures, call, message);
}

static void on_hh_apply(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	hh_apply_send(&client->traffic, call, message);
}

static void on_hh_applied(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	hh_apply_find(&client->traffic, call, message);
}

static void on_account_redirect(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	hh_login_redirect(&client->accounts, call, message);
}

static void on_account_connect(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	hh_login_connect(&client->accounts, call, message);
}

static void on_account_refresh(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	hh_login_refresh(&client->accounts, call, message);
}

static void on_account_status(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	hh_account_status(&client->accounts, call, message);
}

static void on_account_keep(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	hh_account_keep(&client->accounts, call, message);
}

static void on_keys_rotate(struct actor *self, struct actor_call *call, const void *message)
{
	struct hh_client *client = actor_state(self);

	(void)message;
	hh_key_rotation_begin(&client->accounts, call);
}

static void on_hh_state(struct actor *self, struct actor_call *call, const void *message)
{
	const struct hh_client *client = actor_state(self);
	const struct hh_traffic *traffic = &client->traffic;
	const struct hh_state state = {
		.circuit = hh_circuit_name(hh_breaker_state(&traffic->breaker, clock_mono_ms())),
		.max_rps = setting_real(HH_MAX_RPS),
		.queued_interactive = (int64_t)hh_queue_count(&traffic->queue, HH_INTERACTIVE),
		.queued_background = (int64_t)hh_queue_count(&traffic->queue, HH_BACKGROUND),
		.wait_ms = hh_traffic_wait_ms(traffic),
		.requests = traffic->count.requests,
		.shared = traffic->count.shared,
		.failed = traffic->count.failed,
		.retried = traffic->count.retried,
	};

	(void)message;
	actor_reply(call, &state);
}

/* --- the actor
 * ------------------------------------------------------------------------------------ */

static int hh_client_init(struct actor *self)
{
	struct hh_client *client = actor_state(self);
	int rc;

	srandom((unsigned)clock_mono_us());
	client->traffic.self = self;
	rc = hh_accounts_init(&client->accounts, &client->traffic);
	return rc < 0 ? rc : hh_traffic_init(&client->traffic, self);
}

static void hh_client_stop(struct actor *self)
{
	struct hh_client *client = actor_state(self);

	hh_traffic_stop(&client->traffic);
}

static void hh_client_terminate(struct actor *self)
{
	struct hh_client *client = actor_state(self);

	hh_ensure_fini(&client->ensures);
	hh_accounts_fini(&client->accounts);
	hh_traffic_fini(&client->traffic);
}

static const struct actor_call_clause hh_client_calls[] = {
	{MSG_JOBS_SEARCH, on_jobs_search},
	{MSG_JOBS_FETCH_PAGE, on_jobs_fetch_page},
	{MSG_JOBS_GET, on_jobs_get},
	{MSG_RESUMES_LIST, on_resumes_list},
	{MSG_RESUME_GET, on_resume_get},
	{MSG_RESUME_ENSURE, on_resume_ensure},
	{MSG_HH_APPLY, on_hh_apply},
	{MSG_HH_APPLIED, on_hh_applied},
	{MSG_HH_STATE, on_hh_state},
	{MSG_ACCOUNT_REDIRECT, on_account_redirect},
	{MSG_ACCOUNT_CONNECT, on_account_connect},
	{MSG_ACCOUNT_REFRESH, on_account_refresh},
	{MSG_ACCOUNT_STATUS, on_account_status},
	{MSG_ACCOUNT_KEEP, on_account_keep},
	{MSG_KEYS_ROTATE, on_keys_rotate},
	{MSG_NONE, NULL},
};

const struct actor_spec hh_client_spec = {
	.state_size = sizeof(struct hh_client),
	.init = hh_client_init,
	.calls = hh_client_calls,
	.stop = hh_client_stop,
	.terminate = hh_client_terminate,
	.mailbox_max = MAILBOX_MAX,
	.may = MAY_CONNECT,
};
