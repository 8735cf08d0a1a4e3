/* store.c - PostgreSQL: every query of the system, named and typed; there is no SQL anywhere else.
 *
 * Answers  STORE_PING
 *          SCHEDULE_GET, SCHEDULES_LIST, STORE_SCHEDULE_PUT, _DELETE, _DUE, STORE_CLAIM,
 *          STORE_RELEASE (schedules.c)
 *          STORE_RUN_PLAN, STORE_RUN_PAGE, STORE_RUN_END (runs.c)
 *          EVENTS_READ, EVENTS_TAIL, WEBHOOK_CLAIM, WEBHOOK_RESULT (events.c)
 *          SECRET_CLAIM, SECRET_PUT (secrets.c)
 *          QUEUE_ADD, _START, _CUSTOMIZE, _PROGRESS, _PAUSE, _RESUME, _CANCEL, _STATUS (workflows.c)
 *          STORE_ACCOUNT_CLAIM, _PUT, _PROBLEM, _RELEASE, STORE_OAUTH_STATE, STORE_EXCHANGE_BEGIN,
 *          _END, STORE_SEALED_AFTER, _SWAP (accounts.c)
 *          STORE_LIMITER_SPEND, _STATUS, _RESET, _TICK (limits.c)
 *          APPLICATION_GET, APPLICATIONS_LIST, APPLICATION_RETRY, APPLICATIONS_PUT, _CLAIM, _NOTE,
 *          _END, _READ (applications.c)
 * Sends    SCHEDULES_CHANGED to the scheduler, EVENTS_CHANGED to the broadcaster, LIMITS_CHANGED to
 *          the rate limiter, APPLICATIONS_CHANGED to the submitter (listen.c)
 * Owns     a pool of connections (pool.c, unit.c, conn.c, address.c) and one that listens. All that
 *          matters is in the database; a restart forgets only what waits, which its callers ask
 *          again.
 * Never    exits for the database's sake: while it is down, calls wait for it until shortly before
 *          their deadline, and are then refused with `unavailable`. Never has two effects for a
 *          message that comes twice.
 */
#include "actors/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "actors/actors.h"
#include "actors/store/rows.h"
#include "base/clock.h"
#include "base/settings.h"

#define PING_MS		   2000
#define PRUNE_FIRST_MS	   1000
#define PRUNE_EVERY_MS	   600000
#define WORKFLOWS_EVERY_MS 2000 /* what a store that died had begun, and pauses that end */

const struct sql notify_schedules = {
	"notify_schedules",
	"select pg_notify('" CHANNEL_SCHEDULES "', '')",
};

static const struct sql ping = {
	"ping",
	"select split_part(current_setting('server_version'), ' ', 1), max(version)"
	" from schema_migrations",
};

struct unit *store_unit(struct actor *self, struct actor_call *call, unit_done_fn *done)
{
	struct store *store = actor_state(self);
	struct unit *unit = unit_new(store->pool, call, INT64_MAX, done, NULL);

	if (unit == NULL)
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "no memory");
	return unit;
}

/* --- ping --- */

static void ping_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	struct database_state state = {
		.db = "up",
		.server = row_text(rows, 0, 0),
	};
	char problem[128];

	(void)self;
	if (row_int(rows, 0, 1) < UGTJ_SCHEMA_VERSION) {
		(void)snprintf(problem, sizeof(problem),
			       "the schema is at %" PRId64 " and must be at %d: run ugtj migrate",
			       row_int(rows, 0, 1), UGTJ_SCHEMA_VERSION);
		state.db = "down";
		state.problem = problem;
	}
	actor_reply(unit_call(unit), &state);
}

static void ping_failed(struct actor *self, struct unit *unit, const struct unit_failure *failure)
{
	const struct database_state state = {.db = "down", .problem = failure->message};

	(void)self;
	actor_reply(unit_call(unit), &state);
}

static void on_ping(struct actor *self, struct actor_call *call, const void *request)
{
	struct store *store = actor_state(self);
	const struct database_state down = {.db = "down", .problem = pool_problem(store->pool)};
	struct unit *unit;

	(void)request;
	if (down.problem != NULL) {
		actor_reply(call, &down);
		return;
	}
	unit = unit_new(store->pool, call, PING_MS, ping_done, ping_failed);
	if (unit == NULL) {
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "no memory");
		return;
	}
	unit_statement(unit, &ping);
	unit_submit(unit, true);
}

/* --- the actor --- */

static void on_prune_timer(struct actor *self, void *unused)
{
	(void)unused;
	store_prune(self);
	store_prune_limits(self);
	store_prune_applications(self);
	store_prune_accounts(self);
}

static void on_workflow_timer(struct actor *self, void *unused)
{
	(void)unused;
	store_work_on_workflows(self);
}

static void store_news(struct actor *self, const struct actor_news *news)
{
	struct store *store = actor_state(self);

	if (news->up)
		listener_greet(store->listener, news->name);
}

static int store_init(struct actor *self)
{
	struct store *store = actor_state(self);
	int rc;

	srandom((unsigned)getpid() ^ (unsigned)clock_mono_us());
	store->webhook = setting_text(API_BASE_URL) != NULL;
	rc = pool_open(self, &store->pool);
	if (rc < 0)
		return rc;
	rc = listener_open(self, &store->listener);
	if (rc < 0)
		return rc;
	store->prune_timer =
		actor_timer_start(self, PRUNE_FIRST_MS, PRUNE_EVERY_MS, on_prune_timer, NULL);
	store->workflow_timer = actor_timer_start(self, WORKFLOWS_EVERY_MS, WORKFLOWS_EVERY_MS,
						  on_workflow_timer, NULL);
	return store->prune_timer == NULL || store->workflow_timer == NULL ? -ENOMEM : 0;
}

static void store_stop(struct actor *self)
{
	struct store *store = actor_state(self);

	pool_drain(store->pool, actor_stopped);
}

static void store_terminate(struct actor *self)
{
	struct store *store = actor_state(self);

	actor_timer_stop(&store->prune_timer);
	actor_timer_stop(&store->workflow_timer);
	listener_close(&store->listener);
	pool_close(&store->pool);
}

static const struct actor_call_clause store_calls[] = {
	{MSG_STORE_PING, on_ping},
	{MSG_SCHEDULE_GET, store_on_schedule_get},
	{MSG_SCHEDULES_LIST, store_on_schedules_list},
	{MSG_STORE_SCHEDULE_PUT, store_on_schedule_put},
	{MSG_STORE_SCHEDULE_DELETE, store_on_schedule_delete},
	{MSG_STORE_SCHEDULE_DUE, store_on_schedule_due},
	{MSG_STORE_CLAIM, store_on_claim},
	{MSG_STORE_RELEASE, store_on_release},
	{MSG_STORE_RUN_PLAN, store_on_run_plan},
	{MSG_STORE_RUN_PAGE, store_on_run_page},
	{MSG_STORE_RUN_END, store_on_run_end},
	{MSG_EVENTS_READ, store_on_events_read},
	{MSG_EVENTS_TAIL, store_on_events_tail},
	{MSG_WEBHOOK_CLAIM, store_on_webhook_claim},
	{MSG_WEBHOOK_RESULT, store_on_webhook_result},
	{MSG_SECRET_CLAIM, store_on_secret_claim},
	{MSG_SECRET_PUT, store_on_secret_put},
	{MSG_STORE_ACCOUNT_CLAIM, store_on_account_claim},
	{MSG_STORE_ACCOUNT_PUT, store_on_account_put},
	{MSG_STORE_ACCOUNT_PROBLEM, store_on_account_problem},
	{MSG_STORE_ACCOUNT_RELEASE, store_on_account_release},
	{MSG_STORE_OAUTH_STATE, store_on_oauth_state},
	{MSG_STORE_EXCHANGE_BEGIN, store_on_exchange_begin},
	{MSG_STORE_EXCHANGE_END, store_on_exchange_end},
	{MSG_STORE_SEALED_AFTER, store_on_sealed_after},
	{MSG_STORE_SEALED_SWAP, store_on_sealed_swap},
	{MSG_STORE_LIMITER_SPEND, store_on_limiter_spend},
	{MSG_STORE_LIMITER_STATUS, store_on_limiter_status},
	{MSG_STORE_LIMITER_RESET, store_on_limiter_reset},
	{MSG_STORE_LIMITER_TICK, store_on_limiter_tick},
	{MSG_APPLICATION_GET, store_on_application_get},
	{MSG_APPLICATIONS_LIST, store_on_applications_list},
	{MSG_APPLICATION_RETRY, store_on_application_retry},
	{MSG_APPLICATIONS_PUT, store_on_applications_put},
	{MSG_APPLICATIONS_CLAIM, store_on_applications_claim},
	{MSG_APPLICATIONS_NOTE, store_on_applications_note},
	{MSG_APPLICATIONS_END, store_on_applications_end},
	{MSG_APPLICATIONS_READ, store_on_applications_read},
	{MSG_QUEUE_ADD, store_on_queue_add},
	{MSG_QUEUE_START, store_on_queue_start},
	{MSG_QUEUE_CUSTOMIZE, store_on_queue_customize},
	{MSG_QUEUE_PROGRESS, store_on_queue_progress},
	{MSG_QUEUE_PAUSE, store_on_queue_pause},
	{MSG_QUEUE_RESUME, store_on_queue_resume},
	{MSG_QUEUE_CANCEL, store_on_queue_cancel},
	{MSG_QUEUE_STATUS, store_on_queue_status},
	{MSG_NONE, NULL},
};

/* libpq's files in the user's home. */
static const char *const store_reads[] = {"~/.pgpass", "~/.pg_service.conf", "~/.postgresql", NULL};

static void add_files(const PQconninfoOption *options, actor_path_fn *add, void *context)
{
	static const char *const names[] = {"passfile",	   "sslcert", "sslkey",
					    "sslrootcert", "sslcrl",  "sslcrldir"};

	for (; options != NULL && options->keyword != NULL; options++)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (options->val != NULL && strcmp(options->keyword, names[i]) == 0)
				add(context, options->val);
}

/* Those that DATABASE_URL or libpq's own variables name. */
static void store_reads_also(actor_path_fn *add, void *context)
{
	PQconninfoOption *named = PQconninfoParse(setting_text(DATABASE_URL), NULL);
	PQconninfoOption *defaults = PQconndefaults();

	add_files(named, add, context);
	add_files(defaults, add, context);
	if (getenv("PGSERVICEFILE") != NULL)
		add(context, getenv("PGSERVICEFILE"));
	PQconninfoFree(named);
	PQconninfoFree(defaults);
}

const struct actor_spec store_spec = {
	.state_size = sizeof(struct store),
	.init = store_init,
	.calls = store_calls,
	.news = store_news,
	.stop = store_stop,
	.terminate = store_terminate,
	.may = MAY_CONNECT,
	.reads = store_reads,
	.reads_also = store_reads_also,
};
