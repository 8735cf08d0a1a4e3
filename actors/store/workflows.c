/* workflows.c - the queue that auto-apply walks: vacancies of a person, prepared and applied to one
 * after the other. Its rules are SQL's, in migration 0011: an item takes its next step in the
 * transaction in which its application took one, and whoever dies, nobody has to be told.
 *
 * What happens by itself is done here in small parts: items are prepared, pauses that end go on.
 */
#include <string.h>

#include "actors/store/rows.h"
#include "actors/store/store.h"
#include "base/rate_limits.h"
#include "base/vacancy_id.h"

#define PREPARED_AT_ONCE 25
#define WORK_TIMEOUT_MS	 15000
#define LISTED_MAX	 "100" /* the catalogue's limit */

/* What read_workflow() reads, in its order; w is the workflow, $2 and $3 the bucket. */
/* clang-format off */
#define WORKFLOW_COLUMNS                                                                           \
	" w.id, w.user_id, w.state, w.paused_reason, n.pending, n.customizing, n.ready,"           \
	" n.submitting, n.submitted, n.failed, n.rate_limited,"                                    \
	" case when w.state = 'running' then"                                                      \
	"  to_char(workflow_estimate(w.person, $2::integer, $3::integer) at time zone 'UTC',"      \
	"   'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') end "
#define SQL_COUNT(status) " count(*) filter (where q.status = '" status "') as " status
#define WORKFLOW_ITEMS                                                                             \
	" cross join lateral (select" SQL_COUNT("pending") "," SQL_COUNT("customizing") ","        \
	SQL_COUNT("ready") "," SQL_COUNT("submitting") "," SQL_COUNT("submitted") ","              \
	" count(*) filter (where q.status in ('failed', 'cancelled')) as failed,"                  \
	SQL_COUNT("rate_limited")                                                                  \
	" from application_queue q where q.workflow_id = w.id) n"
/* clang-format on */

static const struct sql workflow_read = {
	"workflow_read",
	"select" WORKFLOW_COLUMNS "from workflows w" WORKFLOW_ITEMS " where w.id = $1::uuid",
};

static const struct sql workflows_read = {
	"workflows_read",
	"select" WORKFLOW_COLUMNS "from workflows w" WORKFLOW_ITEMS
	" where w.person = person_of($1::uuid) order by w.place desc limit " LISTED_MAX,
};

static void read_workflow(const PGresult *rows, size_t row, struct queue_counts *counts,
			  struct workflow *out)
{
	*counts = (struct queue_counts){
		.pending = row_int(rows, row, 4),
		.customizing = row_int(rows, row, 5),
		.ready = row_int(rows, row, 6),
		.submitting = row_int(rows, row, 7),
		.submitted = row_int(rows, row, 8),
		.failed = row_int(rows, row, 9),
		.rate_limited = row_int(rows, row, 10),
	};
	*out = (struct workflow){
		.workflow_id = row_text(rows, row, 0),
		.user_id = row_text(rows, row, 1),
		.state = row_text(rows, row, 2),
		.paused_reason = row_text(rows, row, 3),
		.progress = counts,
		.estimated_completion = row_text(rows, row, 11),
	};
}

/* A unit whose estimates know the bucket of applications. NULL: the call was refused. */
static struct unit *limited_unit(struct actor *self, struct actor_call *call, unit_done_fn *done,
				 struct rate_limit *limit)
{
	if (rate_limit_of(RATE_LIMIT_APPLICATION, limit))
		return store_unit(self, call, done);
	actor_refuse(call, ERR_INTERNAL, NULL, "applications have no rate limit");
	return NULL;
}

static void with_limit(struct unit *unit, const struct sql *sql, const char *id,
		       const struct rate_limit *limit)
{
	unit_statement(unit, sql);
	unit_text(unit, id);
	unit_int(unit, limit->capacity);
	unit_int(unit, limit->per_hour);
}

/* --- adding --- */

/* Said twice, it is the same workflow: an outside request has one trace, however often it is sent. The
 * same trace with other vacancies is another request. */
static const struct sql workflow_add = {
	"workflow_add",
	"select f.id, a.added, a.wrong from (select coalesce($1::uuid,"
	"  md5(nullif($2::text, '') || $3::text || $4::text || $5::text)::uuid,"
	"  gen_random_uuid()) as id) f,"
	" workflow_add(f.id, $3::uuid, $4::uuid,"
	"  array(select jsonb_array_elements_text($5::jsonb -> 'job_ids'))) a",
};

static void add_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	struct actor_call *call = unit_call(unit);
	const char *wrong = row_text(rows, 0, 2);
	const struct queue_added reply = {
		.workflow_id = row_text(rows, 0, 0),
		.jobs_added = row_int(rows, 0, 1),
	};

	(void)self;
	if (wrong != NULL)
		actor_refuse(call, ERR_NOT_FOUND, wrong, "%s",
			     strcmp(wrong, "cv_id") == 0
				     ? "there is no such CV of the user's"
				     : "the workflow is another's, or is cancelled");
	else
		actor_reply(call, &reply);
}

void store_on_queue_add(struct actor *self, struct actor_call *call, const void *request)
{
	const struct queue_add *add = request;
	struct unit *unit;

	for (size_t i = 0; i < add->job_ids.count; i++)
		if (!vacancy_id_is_possible(add->job_ids.items[i])) {
			actor_refuse(call, ERR_BAD_REQUEST, "job_ids", VACANCY_IDS_ARE);
			return;
		}
	unit = store_unit(self, call, add_done);
	if (unit == NULL)
		return;
	unit_statement(unit, &workflow_add);
	unit_text(unit, add->workflow_id);
	unit_text(unit, actor_call_trace(call));
	unit_text(unit, add->user_id);
	unit_text(unit, add->cv_id);
	unit_json(unit, RECORD_OF(queue_add), add);
	unit_submit(unit, false);
}

/* --- one workflow --- */

static const struct sql workflow_do = {
	"workflow_do",
	"select workflow_do($1::uuid, $2::uuid, $3::text)",
};

static void workflow_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 1);
	const char *wrong = row_text(unit_result(unit, 0), 0, 0);
	struct actor_call *call = unit_call(unit);
	struct queue_counts counts;
	struct workflow workflow;

	if (wrong != NULL && strcmp(wrong, "conflict") == 0) {
		actor_refuse(call, ERR_CONFLICT, "workflow_id", "the workflow is cancelled");
	} else if (wrong != NULL || row_count(rows) == 0) {
		actor_refuse(call, ERR_NOT_FOUND, "workflow_id", "there is no such workflow");
	} else {
		read_workflow(rows, 0, &counts, &workflow);
		actor_reply(call, &workflow);
		if (counts.customizing > 0)
			store_work_on_workflows(self);
	}
}

static void do_with(struct actor *self, struct actor_call *call, const struct workflow_ref *ref,
		    const char *verb)
{
	struct rate_limit limit;
	struct unit *unit = limited_unit(self, call, workflow_done, &limit);

	if (unit == NULL)
		return;
	unit_statement(unit, &workflow_do);
	unit_text(unit, ref->workflow_id);
	unit_text(unit, ref->user_id);
	unit_text(unit, verb);
	with_limit(unit, &workflow_read, ref->workflow_id, &limit);
	unit_submit(unit, false);
}

void store_on_queue_start(struct actor *self, struct actor_call *call, const void *request)
{
	do_with(self, call, request, "start");
}

void store_on_queue_customize(struct actor *self, struct actor_call *call, const void *request)
{
	do_with(self, call, request, "customize");
}

void store_on_queue_progress(struct actor *self, struct actor_call *call, const void *request)
{
	do_with(self, call, request, "look");
}

void store_on_queue_pause(struct actor *self, struct actor_call *call, const void *request)
{
	do_with(self, call, request, "pause");
}

void store_on_queue_resume(struct actor *self, struct actor_call *call, const void *request)
{
	do_with(self, call, request, "resume");
}

void store_on_queue_cancel(struct actor *self, struct actor_call *call, const void *request)
{
	do_with(self, call, request, "cancel");
}

/* --- a user's --- */

/* The user as it was asked; those of the user's workflows that only the BFF knew get their rows. */
static const struct sql workflows_find = {
	"workflows_find",
	"select $1::uuid, count(f.flow) from (select workflow_find(q.workflow_id, null) as flow"
	"  from (select distinct workflow_id from application_queue"
	"   where user_id = person_of($1::uuid)) q"
	"  where not exists (select from workflows w where w.id = q.workflow_id)) f",
};

static void status_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 1);
	const struct limiter_status limit = store_read_limit(unit_result(unit, 2));
	struct actor_call *call = unit_call(unit);
	size_t count = row_count(rows);
	struct workflow *list = arena_array(actor_call_arena(call), count, sizeof(*list));
	struct queue_counts *counts = arena_array(actor_call_arena(call), count, sizeof(*counts));
	const struct queue_status reply = {
		.user_id = row_text(unit_result(unit, 0), 0, 0),
		.rate_limit = &limit,
		.workflows = {.items = list, .count = count},
	};

	(void)self;
	if (list == NULL || counts == NULL) {
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "no memory");
		return;
	}
	for (size_t i = 0; i < count; i++)
		read_workflow(rows, i, &counts[i], &list[i]);
	actor_reply(call, &reply);
}

void store_on_queue_status(struct actor *self, struct actor_call *call, const void *request)
{
	const struct user_ref *user = request;
	struct rate_limit limit;
	struct unit *unit = limited_unit(self, call, status_done, &limit);

	if (unit == NULL)
		return;
	unit_statement(unit, &workflows_find);
	unit_text(unit, user->user_id);
	with_limit(unit, &workflows_read, user->user_id, &limit);
	store_read_limit_of(unit, user->user_id, &limit);
	unit_submit(unit, false);
}

/* --- what happens by itself --- */

static const struct sql workflow_work = {
	"workflow_work",
	"select workflow_work($1::integer)",
};

static void work_done(struct actor *self, struct unit *unit)
{
	struct store *store = actor_state(self);

	store->working_on_workflows = false;
	if (row_int(unit_result(unit, 0), 0, 0) > 0)
		store_work_on_workflows(self);
}

static void work_failed(struct actor *self, struct unit *unit, const struct unit_failure *failure)
{
	struct store *store = actor_state(self);

	(void)unit; /* the timer comes again */
	(void)failure;
	store->working_on_workflows = false;
}

void store_work_on_workflows(struct actor *self)
{
	struct store *store = actor_state(self);
	struct unit *unit;

	if (store->working_on_workflows || pool_problem(store->pool) != NULL ||
	    actor_stopping(self))
		return;
	unit = unit_new(store->pool, NULL, WORK_TIMEOUT_MS, work_done, work_failed);
	if (unit == NULL)
		return;
	store->working_on_workflows = true;
	unit_statement(unit, &workflow_work);
	unit_int(unit, PREPARED_AT_ONCE);
	unit_submit(unit, false);
}
