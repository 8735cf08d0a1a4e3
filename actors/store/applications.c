/* applications.c - the durable queue of applications. Its rules are SQL's, in migration 0010, since
 * workflows put applications into it in their own transactions.
 *
 * What submitters say comes many at a time. Each of these can be said twice: a claim gives what the
 * first gave (nobody holds it), a note or an end of a lease that is not held any more does nothing.
 */
#include <string.h>

#include "actors/store/rows.h"
#include "actors/store/store.h"
#include "base/rate_limits.h"

#define LIST_DEFAULT	 100
#define PRUNE_AT_ONCE	 1000
#define PRUNE_TIMEOUT_MS 20000

/* HH may not find a resume for so long after it was made. */
#define RESUME_NEW_FOR	 "interval '60 seconds'"

/* What an application was made of is kept for a retry, and is nobody's business later. What came of
 * it is kept where something did: it never is sent again. */
#define CV_KEPT_FOR	 "interval '30 days'"
#define KEPT_FOR	 "interval '90 days'"

/* --- reading applications --- */

#define SQL_ISO(timestamp)                                                                         \
	"to_char(" timestamp " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define SQL_ISO_UTC(timestamp) "to_char(" timestamp ", 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

/* What read_application() reads, in its order; a is the application. */
/* clang-format off */
#define APPLICATION_COLUMNS                                                                        \
	" a.id, a.user_id, a.job_external_id, a.status, a.hh_resume_id, a.hh_negotiation_id,"      \
	" a.external_url, " SQL_ISO_UTC("a.submitted_at") ", a.idempotency_key, a.workflow_id,"    \
	" a.attempts, case when a.next_attempt_at is not null then coalesce("                      \
	"  " SQL_ISO_UTC("a.rate_limited_until") ","                                               \
	"  case when a.next_attempt_at > clock_timestamp() then " SQL_ISO("a.next_attempt_at") " end) end,"    \
	" a.error_code, a.error_message,"                                                          \
	" case when octet_length(a.error_details::text) <= 16384 then a.error_details end,"        \
	" " SQL_ISO_UTC("a.created_at") " "
/* clang-format on */

static void read_application(const PGresult *rows, size_t row, struct application *out)
{
	const char *error = row_text(rows, row, 12);
	enum msg_error code = error == NULL ? ERR_NONE : error_by_code(error);
	const char *words = code == ERR_NONE ? NULL : error_text(code);

	*out = (struct application){
		.id = row_text(rows, row, 0),
		.user_id = row_text(rows, row, 1),
		.job_external_id = row_text(rows, row, 2),
		.status = row_text(rows, row, 3),
		.resume_id = row_text(rows, row, 4),
		.negotiation_id = row_text(rows, row, 5),
		.external_url = row_text(rows, row, 6),
		.submitted_at = row_text(rows, row, 7),
		.idempotency_key = row_text(rows, row, 8),
		.workflow_id = row_text(rows, row, 9),
		.attempts = row_int(rows, row, 10),
		.retry_at = row_text(rows, row, 11),
		.error = error,
		.error_message = words != NULL ? words : row_text(rows, row, 13),
		.error_message_ru = code == ERR_NONE ? NULL : error_text_ru(code),
		.details = row_text(rows, row, 14),
		.created_at = row_text(rows, row, 15),
	};
}

/* Answers with all of rows. total_column: where each row has the total; -1: they are all. */
static void answer_applications(struct actor_call *call, const PGresult *rows, int64_t total)
{
	size_t count = row_count(rows);
	struct application *list = arena_array(actor_call_arena(call), count, sizeof(*list));
	const struct applications reply = {
		.applications = {.items = list, .count = count},
		.total = total,
	};

	if (list == NULL) {
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "no memory");
		return;
	}
	for (size_t i = 0; i < count; i++)
		read_application(rows, i, &list[i]);
	actor_reply(call, &reply);
}

static void answer_all(struct actor *self, struct unit *unit, size_t statement)
{
	const PGresult *rows = unit_result(unit, statement);

	(void)self;
	answer_applications(unit_call(unit), rows, (int64_t)row_count(rows));
}

static void answer_first(struct actor *self, struct unit *unit)
{
	answer_all(self, unit, 0);
}

static void answer_second(struct actor *self, struct unit *unit)
{
	answer_all(self, unit, 1);
}

/* --- for people --- */

static const struct sql application_get = {
	"application_get",
	"select" APPLICATION_COLUMNS "from applications a where a.id = $1::uuid"
	" and a.idempotency_key is not null"
	" and ($2::uuid is null or a.user_id = $2::uuid or a.person = person_of($2::uuid))",
};

/* Answers with the one application that the unit's last statement read. */
static void answer_one(struct unit *unit, const PGresult *rows)
{
	struct actor_call *call = unit_call(unit);
	struct application application;

	if (row_count(rows) == 0) {
		actor_refuse(call, ERR_NOT_FOUND, "id", "there is no such application");
		return;
	}
	read_application(rows, 0, &application);
	actor_reply(call, &application);
}

static void get_done(struct actor *self, struct unit *unit)
{
	(void)self;
	answer_one(unit, unit_result(unit, 0));
}

static void read_one(struct unit *unit, const struct application_ref *ref)
{
	unit_statement(unit, &application_get);
	unit_text(unit, ref->id);
	unit_text(unit, ref->user_id);
}

void store_on_application_get(struct actor *self, struct actor_call *call, const void *request)
{
	struct unit *unit = store_unit(self, call, get_done);

	if (unit == NULL)
		return;
	read_one(unit, request);
	unit_submit(unit, false);
}

#define LISTED                                                                                     \
	" a.idempotency_key is not null and ($2::text is null or a.status = $2::text)"             \
	" and ($1::uuid is null or a.user_id = $1::uuid or a.person = person_of($1::uuid))"

static const struct sql applications_list = {
	"applications_list",
	"select" APPLICATION_COLUMNS "from applications a where" LISTED " and ($3::uuid is null"
	"  or a.place < (select place from applications where id = $3::uuid))"
	" order by a.place desc limit $4::bigint",
};

static const struct sql applications_total = {
	"applications_total",
	"select count(*) from applications a where" LISTED,
};

static void list_done(struct actor *self, struct unit *unit)
{
	(void)self;
	answer_applications(unit_call(unit), unit_result(unit, 0),
			    row_int(unit_result(unit, 1), 0, 0));
}

void store_on_applications_list(struct actor *self, struct actor_call *call, const void *request)
{
	const struct applications_list *list = request;
	struct unit *unit = store_unit(self, call, list_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &applications_list);
	unit_text(unit, list->user_id);
	unit_text(unit, list->status);
	unit_text(unit, list->after);
	unit_int(unit, list->limit.set ? list->limit.value : LIST_DEFAULT);
	unit_statement(unit, &applications_total);
	unit_text(unit, list->user_id);
	unit_text(unit, list->status);
	unit_submit(unit, false);
}

static const struct sql application_retry = {
	"application_retry",
	"select application_retry(a.id) from applications a where a.id = $1::uuid"
	" and ($2::uuid is null or a.user_id = $2::uuid or a.person = person_of($2::uuid))",
};

/* One that waits or is in flight is being tried already. */
static void retry_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 1);
	const char *status = row_count(rows) == 0 ? "" : row_text(rows, 0, 3);

	(void)self;
	if (strcmp(status, "submitted") == 0 || strcmp(status, "cancelled") == 0)
		actor_refuse(unit_call(unit), ERR_CONFLICT, "id", "it is %s", status);
	else
		answer_one(unit, rows);
}

void store_on_application_retry(struct actor *self, struct actor_call *call, const void *request)
{
	const struct application_ref *ref = request;
	struct unit *unit = store_unit(self, call, retry_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &application_retry);
	unit_text(unit, ref->id);
	unit_text(unit, ref->user_id);
	read_one(unit, ref);
	unit_submit(unit, false);
}

/* --- for submitters --- */

/* The order of the users is that of most locks: two batches seldom wait for each other in a circle,
 * and where they do one is done again. */
static const struct sql applications_put = {
	"applications_put",
	"select" APPLICATION_COLUMNS "from ("
	"  select * from jsonb_array_elements($1::jsonb -> 'items') with ordinality as e (item, n)"
	"  cross join lateral jsonb_to_record(e.item) as i (user_id uuid, job_external_id text,"
	"   customized_cv jsonb, cover_letter text, idempotency_key text, priority integer)"
	"  order by i.user_id, e.n) i"
	" cross join lateral application_put(i.user_id, i.job_external_id, i.customized_cv,"
	"  i.cover_letter, i.idempotency_key, i.priority, null, null) a"
	" order by i.n",
};

void store_on_applications_put(struct actor *self, struct actor_call *call, const void *request)
{
	struct unit *unit = store_unit(self, call, answer_first);

	if (unit == NULL)
		return;
	unit_statement(unit, &applications_put);
	unit_json(unit, RECORD_OF(applications_put), request);
	unit_submit(unit, false);
}

static const struct sql applications_claim = {
	"applications_claim",
	"select a.id, a.lease_token, a.user_id, a.job_external_id, a.customized_cv, a.cover_letter,"
	" a.hh_resume_id, a.resume_made_at > now() - " RESUME_NEW_FOR ", a.resume_replaced,"
	" a.sent_at is not null, a.attempts, a.failures"
	" from application_claim($1::text, array(select (h ->> 'token')::bigint"
	"  from jsonb_array_elements($2::jsonb -> 'held') h), $3::integer, $4::bigint,"
	"  $5::integer, $6::integer) a",
};

static const struct sql applications_due = {
	"applications_due",
	"select case when count(*) > 0 then greatest(0, ceil(extract(epoch from min(due_at)"
	"  - clock_timestamp()) * 1000))::bigint end from application_lanes",
};

static void claim_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	struct actor_call *call = unit_call(unit);
	size_t count = row_count(rows);
	struct application_work *work = arena_array(actor_call_arena(call), count, sizeof(*work));
	const struct applications_claimed reply = {
		.work = {.items = work, .count = count},
		.next_due_ms = row_opt_int(unit_result(unit, 1), 0, 0),
	};

	(void)self;
	if (work == NULL) {
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "no memory");
		return;
	}
	for (size_t i = 0; i < count; i++)
		work[i] = (struct application_work){
			.id = row_text(rows, i, 0),
			.token = row_int(rows, i, 1),
			.user_id = row_text(rows, i, 2),
			.job_external_id = row_text(rows, i, 3),
			.customized_cv = row_text(rows, i, 4),
			.cover_letter = row_text(rows, i, 5),
			.resume_id = row_text(rows, i, 6),
			.resume_new = row_bool(rows, i, 7),
			.resume_replaced = row_bool(rows, i, 8),
			.sent = row_bool(rows, i, 9),
			.attempts = row_int(rows, i, 10),
			.failures = row_int(rows, i, 11),
		};
	actor_reply(call, &reply);
}

void store_on_applications_claim(struct actor *self, struct actor_call *call, const void *request)
{
	const struct applications_claim *claim = request;
	struct rate_limit limit;
	struct unit *unit;

	if (!rate_limit_of(RATE_LIMIT_APPLICATION, &limit)) {
		actor_refuse(call, ERR_INTERNAL, NULL, "applications have no rate limit");
		return;
	}
	unit = store_unit(self, call, claim_done);
	if (unit == NULL)
		return;
	unit_statement(unit, &applications_claim);
	unit_text(unit, claim->node);
	unit_json(unit, RECORD_OF(applications_claim), claim);
	unit_int(unit, claim->limit);
	unit_int(unit, claim->ttl_ms);
	unit_int(unit, limit.capacity);
	unit_int(unit, limit.per_hour);
	unit_statement(unit, &applications_due);
	unit_submit(unit, false);
}

/* A resume that is noted again is as new as it was. */
/* clang-format off */
static const struct sql applications_note = {
	"applications_note",
	"update applications a set hh_resume_id = i.resume_id,"
	" resume_made_at = case when i.created then now()"
	"  when a.hh_resume_id = i.resume_id then a.resume_made_at end,"
	" resume_replaced = a.resume_replaced or coalesce(i.replaced, false),"
	" sent_at = coalesce(a.sent_at, now()), updated_at = now()"
	" from jsonb_to_recordset($1::jsonb -> 'items') as i (id uuid, token bigint, resume_id text,"
	"  created boolean, replaced boolean)"
	" where a.id = i.id and a.lease_token = i.token returning a.id, a.lease_token",
};
/* clang-format on */

static void note_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	struct actor_call *call = unit_call(unit);
	size_t count = row_count(rows);
	struct application_lease *held = arena_array(actor_call_arena(call), count, sizeof(*held));
	const struct application_leases reply = {.leases = {.items = held, .count = count}};

	(void)self;
	if (held == NULL) {
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "no memory");
		return;
	}
	for (size_t i = 0; i < count; i++)
		held[i] = (struct application_lease){
			.id = row_text(rows, i, 0),
			.token = row_int(rows, i, 1),
		};
	actor_reply(call, &reply);
}

void store_on_applications_note(struct actor *self, struct actor_call *call, const void *request)
{
	struct unit *unit = store_unit(self, call, note_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &applications_note);
	unit_json(unit, RECORD_OF(applications_note), request);
	unit_submit(unit, false);
}

static const struct sql applications_end = {
	"applications_end",
	"select application_end($1::jsonb -> 'items')",
};

static const struct sql applications_read = {
	"applications_read",
	"select" APPLICATION_COLUMNS "from jsonb_array_elements_text($1::jsonb -> 'ids') i"
	" join applications a on a.id = i::uuid",
};

static const struct sql applications_ended = {
	"applications_ended",
	"select" APPLICATION_COLUMNS "from jsonb_to_recordset($1::jsonb -> 'items') as i (id uuid)"
	" join applications a on a.id = i.id",
};

void store_on_applications_end(struct actor *self, struct actor_call *call, const void *request)
{
	struct unit *unit = store_unit(self, call, answer_second);

	if (unit == NULL)
		return;
	unit_statement(unit, &applications_end);
	unit_json(unit, RECORD_OF(applications_end), request);
	unit_statement(unit, &applications_ended);
	unit_json(unit, RECORD_OF(applications_end), request);
	unit_submit(unit, false);
}

void store_on_applications_read(struct actor *self, struct actor_call *call, const void *request)
{
	struct unit *unit = store_unit(self, call, answer_first);

	if (unit == NULL)
		return;
	unit_statement(unit, &applications_read);
	unit_json(unit, RECORD_OF(applications_read), request);
	unit_submit(unit, false);
}

/* --- what is too old --- */

/* clang-format off */
static const struct sql prune_applications = {
	"prune_applications",
	"with old as materialized ("
	"  select id, status <> 'submitted' and updated_at < now() at time zone 'UTC' - " KEPT_FOR " as gone"
	"  from applications where idempotency_key is not null and lease_token is null"
	"   and next_attempt_at is null"
	"   and updated_at < now() at time zone 'UTC' - " CV_KEPT_FOR
	"   and (customized_cv is not null"
	"    or status <> 'submitted' and updated_at < now() at time zone 'UTC' - " KEPT_FOR ")"
	"  order by updated_at limit $1::bigint for update skip locked),"
	" gone as (delete from applications a using old where a.id = old.id and old.gone returning 1),"
	" bared as (update applications a set customized_cv = null from old"
	"  where a.id = old.id and not old.gone returning 1)"
	" select count(*) from old",
};
/* clang-format on */

static void prune_done(struct actor *self, struct unit *unit)
{
	if (row_int(unit_result(unit, 0), 0, 0) == PRUNE_AT_ONCE)
		store_prune_applications(self);
}

static void prune_failed(struct actor *self, struct unit *unit, const struct unit_failure *failure)
{
	(void)self; /* the timer comes again */
	(void)unit;
	(void)failure;
}

void store_prune_applications(struct actor *self)
{
	struct store *store = actor_state(self);
	struct unit *unit;

	if (pool_problem(store->pool) != NULL || actor_stopping(self))
		return;
	unit = unit_new(store->pool, NULL, PRUNE_TIMEOUT_MS, prune_done, prune_failed);
	if (unit == NULL)
		return;
	unit_statement(unit, &prune_applications);
	unit_int(unit, PRUNE_AT_ONCE);
	unit_submit(unit, false);
}
