/* schedules.c - the store's rows of schedules: who wants what searched, and which node does it. */
#include "actors/store/rows.h"
#include "actors/store/store.h"

#define LIST_DEFAULT	   100
#define INTERVAL_DEFAULT_S 1800

/* The moment of a demand is taken when the row is locked, not when the transaction began, and as
 * exactly as run_plan's now_ms: a run whose plan was read after it has seen the change. */
#define SQL_DEMANDED_NOW   "date_trunc('milliseconds', clock_timestamp())"

/* --- one schedule --- */

/* What read_schedule() reads, in its order. */
/* clang-format off */
#define SCHEDULE_COLUMNS                                                                           \
	" user_id, search, interval_s, paused, last_status, last_error,"                           \
	" " SQL_MS("last_run_at") ", " SQL_MS("next_run_at") ","                                   \
	" case when not paused and next_run_at < now()"                                            \
	"  then " SQL_MS("now() - next_run_at") " else last_lag_ms end,"                           \
	" runs, jobs_seen, case when lease_expires_at > now() then lease_node end "
/* clang-format on */

static bool read_schedule(const PGresult *rows, size_t row, struct arena *arena,
			  struct schedule *out)
{
	*out = (struct schedule){
		.user_id = row_text(rows, row, 0),
		.search = row_search(rows, row, 1, arena),
		.interval_s = row_int(rows, row, 2),
		.paused = row_bool(rows, row, 3),
		.last_status = row_text(rows, row, 4),
		.last_error = row_text(rows, row, 5),
		.last_run_ms = row_opt_int(rows, row, 6),
		.next_run_ms = row_int(rows, row, 7),
		.lag_ms = row_int(rows, row, 8),
		.runs = row_int(rows, row, 9),
		.jobs_seen = row_int(rows, row, 10),
		.node = row_text(rows, row, 11),
	};
	return out->search != NULL;
}

/* Answers with the schedule that the unit's first statement gave. */
static void answer_schedule(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	struct actor_call *call = unit_call(unit);
	struct schedule schedule;

	(void)self;
	if (row_count(rows) == 0)
		actor_refuse(call, ERR_NOT_FOUND, NULL, "the user has no schedule");
	else if (!read_schedule(rows, 0, actor_call_arena(call), &schedule))
		actor_refuse(call, ERR_INTERNAL, NULL, "the stored search cannot be read");
	else
		actor_reply(call, &schedule);
}

static void answer_empty(struct actor *self, struct unit *unit)
{
	static const struct empty nothing;

	(void)self;
	actor_reply(unit_call(unit), &nothing);
}

static const struct sql schedule_put = {
	"schedule_put",
	"insert into schedules as s (user_id, search, interval_s, paused, demanded_at)"
	" values ($1::uuid, $2::jsonb, $3::int, $4::boolean, " SQL_DEMANDED_NOW ")"
	" on conflict (user_id) do update set"
	"  search = excluded.search,"
	"  interval_s = excluded.interval_s,"
	"  paused = excluded.paused,"
	"  revision = s.revision + 1,"
	"  next_run_at = now(),"
	"  demanded_at = " SQL_DEMANDED_NOW ","
	"  failures = 0,"
	/* another search: everything is asked for again */
	"  fetched_from = case when s.search = excluded.search then s.fetched_from end,"
	"  full_at = case when s.search = excluded.search then s.full_at end"
	" returning" SCHEDULE_COLUMNS,
};

void store_on_schedule_put(struct actor *self, struct actor_call *call, const void *request)
{
	const struct schedule_put *put = request;
	struct unit *unit;

	unit = store_unit(self, call, answer_schedule);
	if (unit == NULL)
		return;
	unit_statement(unit, &schedule_put);
	unit_text(unit, put->user_id);
	unit_json(unit, RECORD_OF(search), put->search);
	unit_int(unit, put->interval_s.set ? put->interval_s.value : INTERVAL_DEFAULT_S);
	unit_bool(unit, put->paused);
	unit_statement(unit, &notify_schedules);
	unit_submit(unit, false);
}

/* Handles a message that is about one user's schedule. */
static void on_user(struct actor *self, struct actor_call *call, const struct user_ref *user,
		    const struct sql *sql, bool changes, unit_done_fn *done)
{
	struct unit *unit;

	unit = store_unit(self, call, done);
	if (unit == NULL)
		return;
	unit_statement(unit, sql);
	unit_text(unit, user->user_id);
	if (changes)
		unit_statement(unit, &notify_schedules);
	unit_submit(unit, false);
}

static const struct sql schedule_delete = {
	"schedule_delete",
	"delete from schedules where user_id = $1::uuid",
};

void store_on_schedule_delete(struct actor *self, struct actor_call *call, const void *request)
{
	on_user(self, call, request, &schedule_delete, true, answer_empty);
}

static const struct sql schedule_due = {
	"schedule_due",
	"update schedules set next_run_at = now(), demanded_at = " SQL_DEMANDED_NOW ","
	" revision = revision + 1"
	" where user_id = $1::uuid returning" SCHEDULE_COLUMNS,
};

void store_on_schedule_due(struct actor *self, struct actor_call *call, const void *request)
{
	on_user(self, call, request, &schedule_due, true, answer_schedule);
}

static const struct sql schedule_get = {
	"schedule_get",
	"select" SCHEDULE_COLUMNS "from schedules where user_id = $1::uuid",
};

void store_on_schedule_get(struct actor *self, struct actor_call *call, const void *request)
{
	on_user(self, call, request, &schedule_get, false, answer_schedule);
}

/* --- all schedules --- */

static const struct sql schedules_list = {
	"schedules_list",
	"select" SCHEDULE_COLUMNS "from schedules"
	" where $1::uuid is null or user_id > $1::uuid order by user_id limit $2::bigint",
};

/* clang-format off */
static const struct sql schedules_total = {
	"schedules_total",
	"select count(*),"
	" count(*) filter (where not paused and next_run_at < now()),"
	" coalesce(max(" SQL_MS("now() - next_run_at") ")"
	"  filter (where not paused and next_run_at < now()), 0)"
	" from schedules",
};
/* clang-format on */

static void schedules_list_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	const PGresult *totals = unit_result(unit, 1);
	struct actor_call *call = unit_call(unit);
	struct arena *arena = actor_call_arena(call);
	struct schedule *list = arena_array(arena, row_count(rows), sizeof(*list));
	struct schedules reply = {
		.total = row_int(totals, 0, 0),
		.overdue = row_int(totals, 0, 1),
		.max_lag_ms = row_int(totals, 0, 2),
	};

	(void)self;
	if (list == NULL) {
		actor_refuse(call, ERR_TOO_LARGE, "limit", "too much for one answer");
		return;
	}
	for (size_t i = 0; i < row_count(rows); i++)
		if (read_schedule(rows, i, arena, &list[reply.schedules.count]))
			reply.schedules.count++;
	reply.schedules.items = list;
	actor_reply(call, &reply);
}

void store_on_schedules_list(struct actor *self, struct actor_call *call, const void *request)
{
	const struct schedules_list *list = request;
	struct unit *unit;

	unit = store_unit(self, call, schedules_list_done);
	if (unit == NULL)
		return;
	unit_statement(unit, &schedules_list);
	unit_text(unit, list->after);
	unit_int(unit, list->limit.set ? list->limit.value : LIST_DEFAULT);
	unit_statement(unit, &schedules_total);
	unit_submit(unit, false);
}

/* --- leases --------------------------------------------------------------------------------------
 *
 * A claim is four statements in one transaction. A lease of ours that expired, but that nobody
 * took, is simply renewed: its token still fences off everybody else. A row that somebody holds is
 * passed over until the next claim, so that it keeps nobody else's lease from being renewed.
 */

static const struct sql claim_drop = {
	"claim_drop",
	"update schedules set lease_node = null, lease_token = null, lease_expires_at = null"
	" where user_id in (select user_id from schedules"
	"  where lease_node = $1::text and (paused or user_id not in"
	"   (select user_id from schedules where lease_node = $1::text and not paused"
	"    order by user_id limit $2::bigint))"
	"  for no key update skip locked)",
};

static const struct sql claim_renew = {
	"claim_renew",
	"update schedules set lease_expires_at = now() + $2::bigint * interval '1 ms'"
	" where user_id in (select user_id from schedules where lease_node = $1::text"
	"  for no key update skip locked)",
};

static const struct sql claim_take = {
	"claim_take",
	"with free as materialized ("
	" select user_id from schedules"
	" where not paused and (lease_node is null or lease_expires_at < now())"
	" order by next_run_at"
	" limit greatest(0, $2::bigint -"
	"  (select count(*) from schedules where lease_node = $1::text))"
	" for update skip locked)"
	" update schedules s set lease_node = $1::text,"
	"  lease_token = nextval('schedule_lease_tokens'),"
	"  lease_expires_at = now() + $3::bigint * interval '1 ms'"
	" from free where s.user_id = free.user_id",
};

static const struct sql claim_held = {
	"claim_held",
	"select user_id, lease_token, revision from schedules"
	" where lease_node = $1::text and not paused order by user_id",
};

static void claim_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 3);
	struct actor_call *call = unit_call(unit);
	struct lease *list = arena_array(actor_call_arena(call), row_count(rows), sizeof(*list));
	struct leases reply = {0};

	(void)self;
	if (list == NULL) {
		actor_refuse(call, ERR_TOO_LARGE, "capacity", "too much for one answer");
		return;
	}
	for (size_t i = 0; i < row_count(rows); i++)
		list[i] = (struct lease){
			.user_id = row_text(rows, i, 0),
			.token = row_int(rows, i, 1),
			.revision = row_int(rows, i, 2),
		};
	reply.leases.items = list;
	reply.leases.count = row_count(rows);
	actor_reply(call, &reply);
}

void store_on_claim(struct actor *self, struct actor_call *call, const void *request)
{
	const struct claim *claim = request;
	struct unit *unit = store_unit(self, call, claim_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &claim_drop);
	unit_text(unit, claim->node);
	unit_int(unit, claim->capacity);
	unit_statement(unit, &claim_renew);
	unit_text(unit, claim->node);
	unit_int(unit, claim->ttl_ms);
	unit_statement(unit, &claim_take);
	unit_text(unit, claim->node);
	unit_int(unit, claim->capacity);
	unit_int(unit, claim->ttl_ms);
	unit_statement(unit, &claim_held);
	unit_text(unit, claim->node);
	unit_submit(unit, false);
}

static const struct sql release = {
	"release",
	"update schedules set lease_node = null, lease_token = null, lease_expires_at = null"
	" where lease_node = $1::text",
};

void store_on_release(struct actor *self, struct actor_call *call, const void *request)
{
	const struct node_ref *node = request;
	struct unit *unit = store_unit(self, call, answer_empty);

	if (unit == NULL)
		return;
	unit_statement(unit, &release);
	unit_text(unit, node->node);
	unit_statement(unit, &notify_schedules);
	unit_submit(unit, false);
}
