/* limits.c - the buckets of the rate limits and the clock that fills them. The arithmetic is SQL's, in
 * migration 0009, so that others can spend a token in their own transactions.
 */
#include "actors/store/rows.h"
#include "actors/store/store.h"
#include "base/rate_limits.h"

#define PRUNE_AT_ONCE	 5000
#define PRUNE_TIMEOUT_MS 10000

/* Nobody asks again for a batch after its calls' deadlines, nor under a key that is so old. */
#define BATCHES_KEPT_FOR "interval '1 hour'"
#define KEYS_KEPT_FOR	 "interval '30 days'"

/* --- spending --- */

static const struct sql limiter_spend = {
	"limiter_spend",
	"select (e.answer ->> 'allowed')::boolean, (e.answer ->> 'tokens')::double precision,"
	" (e.answer ->> 'retry_ms')::bigint, coalesce((e.answer ->> 'otherwise')::boolean, false)"
	" from jsonb_array_elements(limiter_spend($1::text, $2::bigint, $3::jsonb -> 'spends'))"
	"  with ordinality as e (answer, n)"
	" order by e.n",
};

static void spend_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	struct actor_call *call = unit_call(unit);
	size_t count = row_count(rows);
	struct limiter_spent *spents =
		arena_array(actor_call_arena(call), count, sizeof(struct limiter_spent));
	const struct limiter_spents reply = {.spents = {.items = spents, .count = count}};

	(void)self;
	if (spents == NULL) {
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "no memory");
		return;
	}
	for (size_t i = 0; i < count; i++)
		spents[i] = (struct limiter_spent){
			.allowed = row_bool(rows, i, 0),
			.tokens = row_real(rows, i, 1),
			.retry_ms = row_opt_int(rows, i, 2),
			.otherwise = row_bool(rows, i, 3),
		};
	actor_reply(call, &reply);
}

void store_on_limiter_spend(struct actor *self, struct actor_call *call, const void *request)
{
	const struct limiter_spends *batch = request;
	struct unit *unit = store_unit(self, call, spend_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &limiter_spend);
	unit_text(unit, batch->batch);
	unit_int(unit, batch->number);
	unit_json(unit, RECORD_OF(limiter_spends), batch);
	unit_submit(unit, false);
}

/* --- status and reset --- */

static const struct sql limiter_status = {
	"limiter_status",
	"select p.tokens, $3::bigint, $4::bigint,"
	" limiter_next_refill(p.tokens, $3::integer, $4::integer), p.allowed,"
	" (select count(*) from applications a where a.person = who.person"
	"  and a.idempotency_key is not null and a.status = 'submitted'"
	"  and a.submitted_at >= date_trunc('day', now() at time zone 'UTC'))"
	" from person_of($1::uuid) as who (person),"
	"  limiter_peek(who.person, $2::text, 1, $3::integer, $4::integer) p",
};

/* Without an action: all of the user's buckets. */
static const struct sql limiter_reset = {
	"limiter_reset",
	"with noted as (insert into audit (act, user_id, detail)"
	"  values ('limit_reset', $1::uuid, coalesce($2::text, 'all actions')))"
	" select limiter_reset(person_of($1::uuid), $2::text)",
};

static const struct sql limiter_tell = {
	"limiter_tell",
	"select tell_rate_limit($1::uuid, person_of($1::uuid), $2::text, $3::integer, $4::integer)",
};

struct limiter_status store_read_limit(const PGresult *rows)
{
	return (struct limiter_status){
		.tokens = row_real(rows, 0, 0),
		.capacity = row_int(rows, 0, 1),
		.refill_rate = row_real(rows, 0, 2),
		.next_refill = row_text(rows, 0, 3),
		.can_apply = row_bool(rows, 0, 4),
		.applications_today = row_int(rows, 0, 5),
	};
}

static void answer_status(struct unit *unit, const PGresult *rows)
{
	const struct limiter_status reply = store_read_limit(rows);

	actor_reply(unit_call(unit), &reply);
}

static void status_done(struct actor *self, struct unit *unit)
{
	(void)self;
	answer_status(unit, unit_result(unit, 0));
}

static void reset_done(struct actor *self, struct unit *unit)
{
	(void)self;
	answer_status(unit, unit_result(unit, 1));
}

/* A statement about the bucket: its user, action, capacity and rate. */
static void about_bucket(struct unit *unit, const struct sql *sql,
			 const struct limiter_bucket *bucket)
{
	unit_statement(unit, sql);
	unit_text(unit, bucket->user_id);
	unit_text(unit, bucket->action);
	unit_int(unit, bucket->capacity);
	unit_int(unit, bucket->per_hour);
}

void store_read_limit_of(struct unit *unit, const char *user_id, const struct rate_limit *limit)
{
	const struct limiter_bucket bucket = {
		.user_id = user_id,
		.action = RATE_LIMIT_APPLICATION,
		.capacity = limit->capacity,
		.per_hour = limit->per_hour,
	};

	about_bucket(unit, &limiter_status, &bucket);
}

void store_on_limiter_status(struct actor *self, struct actor_call *call, const void *request)
{
	const struct limiter_bucket *bucket = request;
	struct unit *unit = store_unit(self, call, status_done);

	if (unit == NULL)
		return;
	about_bucket(unit, &limiter_status, bucket);
	unit_submit(unit, false);
}

void store_on_limiter_reset(struct actor *self, struct actor_call *call, const void *request)
{
	const struct limiter_bucket *bucket = request;
	struct unit *unit = store_unit(self, call, reset_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &limiter_reset);
	unit_text(unit, bucket->user_id);
	unit_text(unit, bucket->all ? NULL : bucket->action);
	about_bucket(unit, &limiter_status, bucket);
	if (bucket->tell)
		about_bucket(unit, &limiter_tell, bucket);
	unit_submit(unit, false);
}

/* --- the clock --- */

static const struct sql limiter_tick = {
	"limiter_tick",
	"select limiter_tick($1::text, $2::bigint, $3::bigint)",
};

/* A statement of its own, since it must see what the tick wrote. */
static const struct sql limiter_time = {
	"limiter_time",
	"select at_ms, case when boot = $1::text then boot_ms end from limiter_clock",
};

static void tick_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 1);
	const struct limiter_time reply = {
		.at_ms = row_int(rows, 0, 0),
		.boot_ms = row_opt_int(rows, 0, 1),
	};

	(void)self;
	actor_reply(unit_call(unit), &reply);
}

void store_on_limiter_tick(struct actor *self, struct actor_call *call, const void *request)
{
	const struct limiter_tick *tick = request;
	struct unit *unit = store_unit(self, call, tick_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &limiter_tick);
	unit_text(unit, tick->boot);
	unit_int(unit, tick->boot_ms);
	unit_opt_int(unit, tick->at_ms);
	unit_statement(unit, &limiter_time);
	unit_text(unit, tick->boot);
	unit_submit(unit, true);
}

/* --- what is too old --- */

/* clang-format off */
static const struct sql prune_limits = {
	"prune_limits",
	"with old as materialized ("
	"  select person, action, key from limiter_spends where spent_at < now() - " KEYS_KEPT_FOR
	"  order by spent_at limit $1::bigint for update skip locked),"
	" gone as (delete from limiter_spends s using old"
	"  where (s.person, s.action, s.key) = (old.person, old.action, old.key) returning 1),"
	" batches as (delete from limiter_batches b using ("
	"   select batch from limiter_batches where written_at < now() - " BATCHES_KEPT_FOR
	"   for update skip locked) as done"
	"  where b.batch = done.batch)"
	" select count(*) from gone",
};
/* clang-format on */

static void prune_done(struct actor *self, struct unit *unit)
{
	if (row_int(unit_result(unit, 0), 0, 0) == PRUNE_AT_ONCE)
		store_prune_limits(self);
}

static void prune_failed(struct actor *self, struct unit *unit, const struct unit_failure *failure)
{
	(void)self; /* the timer comes again */
	(void)unit;
	(void)failure;
}

void store_prune_limits(struct actor *self)
{
	struct store *store = actor_state(self);
	struct unit *unit;

	if (pool_problem(store->pool) != NULL || actor_stopping(self))
		return;
	unit = unit_new(store->pool, NULL, PRUNE_TIMEOUT_MS, prune_done, prune_failed);
	if (unit == NULL)
		return;
	unit_statement(unit, &prune_limits);
	unit_int(unit, PRUNE_AT_ONCE);
	unit_submit(unit, false);
}
