/* events.c - the outbox: events to be read by subscribers' broadcasters, and to be handed to the
 * BFF's webhook. runs.c writes them, with the facts that they tell of. */
#include "actors/store/rows.h"
#include "actors/store/store.h"

#define KEPT_FOR	 "interval '7 days'"
#define PRUNE_AT_ONCE	 1000
#define PRUNE_TIMEOUT_MS 20000

/* So many bytes of payload at most in one answer, but always one event: a part of what fits into a
 * message, as text grows a little on its way. */
#define ANSWER_BYTES	 "8000000"

/* What answer_events() reads, in its order; e is the event. */
#define EVENT_COLUMNS	 " e.topic, e.seq, e.type, e.payload, " SQL_MS("e.created_at") " "

/* Answers with rows as an events record; all_found of them there were, with those left out. */
static void answer_events(struct actor_call *call, const PGresult *rows, size_t all_found)
{
	size_t count = row_count(rows);
	struct event *list = arena_array(actor_call_arena(call), count, sizeof(*list));
	struct events reply = {.more = all_found > count};

	if (list == NULL) {
		actor_refuse(call, ERR_TOO_LARGE, "limit", "too much for one answer");
		return;
	}
	for (size_t i = 0; i < count; i++)
		list[i] = (struct event){
			.topic = row_text(rows, i, 0),
			.seq = row_int(rows, i, 1),
			.type = row_text(rows, i, 2),
			.payload = row_text(rows, i, 3),
			.created_ms = row_int(rows, i, 4),
		};
	reply.events.items = list;
	reply.events.count = count;
	actor_reply(call, &reply);
}

/* --- subscribers --- */

/* Looks for one more than the limit, to know whether there is more. */
static const struct sql events_read = {
	"events_read",
	"with cursors as materialized ("
	"  select c.topic, max(c.seq) as seq"
	"  from jsonb_to_recordset($1::jsonb -> 'cursors') as c (topic text, seq bigint)"
	"  group by c.topic),"
	" found as materialized ("
	"  select e.* from (select * from cursors order by topic) c"
	"  cross join lateral (select * from outbox o where o.topic = c.topic and o.seq > c.seq"
	"   order by o.seq limit $2::bigint + 1) e"
	"  order by e.topic, e.seq limit $2::bigint + 1),"
	" sized as ("
	"  select f.*, row_number() over w as n, count(*) over () as all_found,"
	"   sum(octet_length(f.payload::text)) over w as bytes"
	"  from found f window w as (order by f.topic, f.seq))"
	" select" EVENT_COLUMNS ", e.all_found from sized e"
	" where e.n = 1 or (e.n <= $2::bigint and e.bytes <= " ANSWER_BYTES ")"
	" order by e.topic, e.seq",
};

static void events_read_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);

	(void)self;
	answer_events(unit_call(unit), rows,
		      row_count(rows) == 0 ? 0 : (size_t)row_int(rows, 0, 5));
}

void store_on_events_read(struct actor *self, struct actor_call *call, const void *request)
{
	const struct events_read *read = request;
	struct unit *unit = store_unit(self, call, events_read_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &events_read);
	unit_json(unit, RECORD_OF(events_read), read);
	unit_int(unit, read->limit);
	unit_submit(unit, false);
}

static const struct sql events_tail = {
	"events_tail",
	"select coalesce((select last_seq from topics where topic = $1::text), 0), $1::text",
};

static void events_tail_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	const struct cursor reply = {
		.topic = row_text(rows, 0, 1),
		.seq = row_int(rows, 0, 0),
	};

	(void)self;
	actor_reply(unit_call(unit), &reply);
}

void store_on_events_tail(struct actor *self, struct actor_call *call, const void *request)
{
	const struct topic_ref *topic = request;
	struct unit *unit = store_unit(self, call, events_tail_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &events_tail);
	unit_text(unit, topic->topic);
	unit_submit(unit, false);
}

/* --- the webhook --- */

/* Of each topic only the oldest event that was not delivered, so that a topic stays in order: while
 * that one is leased or waits for its retry, those behind it wait too. */
static const struct sql webhook_claim = {
	"webhook_claim",
	"with due as materialized ("
	"  select o.topic, o.seq, octet_length(o.payload::text) as bytes from outbox o"
	"  where o.webhook_due_at <= now()"
	"   and (o.webhook_lease_until is null or o.webhook_lease_until < now())"
	"   and not exists (select from outbox older where older.topic = o.topic"
	"    and older.seq < o.seq and older.webhook_due_at is not null)"
	"  order by o.webhook_due_at limit $1::bigint"
	"  for update of o skip locked),"
	" sized as ("
	"  select topic, seq, row_number() over w as n, sum(bytes) over w as bytes"
	"  from due window w as (order by topic, seq)),"
	" e as ("
	"  update outbox o set webhook_lease_until = now() + $2::bigint * interval '1 ms'"
	"  from sized s where o.topic = s.topic and o.seq = s.seq"
	"   and (s.n = 1 or s.bytes <= " ANSWER_BYTES ")"
	"  returning o.topic, o.seq, o.type, o.payload, o.created_at)"
	" select" EVENT_COLUMNS ", (select count(*) from due) from e order by e.topic, e.seq",
};

void store_on_webhook_claim(struct actor *self, struct actor_call *call, const void *request)
{
	const struct webhook_claim *claim = request;
	struct unit *unit = store_unit(self, call, events_read_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &webhook_claim);
	unit_int(unit, claim->limit);
	unit_int(unit, claim->ttl_ms);
	unit_submit(unit, false);
}

/* A failure is noted only where there is a claim, which it ends: so it counts once. */
static const struct sql webhook_result = {
	"webhook_result",
	"update outbox set"
	" webhook_due_at = case when not $3::boolean"
	"  then now() + coalesce($4::bigint, 0) * interval '1 ms' end,"
	" webhook_attempts = webhook_attempts + 1,"
	" webhook_problem = $5::text,"
	" webhook_lease_until = null"
	" where topic = $1::text and seq = $2::bigint and webhook_due_at is not null"
	"  and ($3::boolean or webhook_lease_until is not null)",
};

static void webhook_result_done(struct actor *self, struct unit *unit)
{
	static const struct empty nothing;

	(void)self;
	actor_reply(unit_call(unit), &nothing);
}

void store_on_webhook_result(struct actor *self, struct actor_call *call, const void *request)
{
	const struct webhook_result *result = request;
	struct unit *unit = store_unit(self, call, webhook_result_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &webhook_result);
	unit_text(unit, result->topic);
	unit_int(unit, result->seq);
	unit_bool(unit, result->delivered);
	unit_opt_int(unit, result->retry_in_ms);
	unit_text(unit, result->problem);
	unit_submit(unit, false);
}

/* --- what is too old --- */

/* Another node's prune, or a claim, may hold some of them: they are left to the next time. */
static const struct sql prune = {
	"prune",
	"with old as materialized ("
	"  select topic, seq from outbox where created_at < now() - " KEPT_FOR
	"  order by created_at limit $1::bigint for update skip locked),"
	" gone as (delete from outbox o using old where o.topic = old.topic and o.seq = old.seq"
	"  returning 1)"
	" select count(*) from gone",
};

static void prune_done(struct actor *self, struct unit *unit)
{
	if (row_int(unit_result(unit, 0), 0, 0) == PRUNE_AT_ONCE)
		store_prune(self);
}

static void prune_failed(struct actor *self, struct unit *unit, const struct unit_failure *failure)
{
	(void)self; /* the timer comes again */
	(void)unit;
	(void)failure;
}

void store_prune(struct actor *self)
{
	struct store *store = actor_state(self);
	struct unit *unit;

	if (pool_problem(store->pool) != NULL || actor_stopping(self))
		return;
	unit = unit_new(store->pool, NULL, PRUNE_TIMEOUT_MS, prune_done, prune_failed);
	if (unit == NULL)
		return;
	unit_statement(unit, &prune);
	unit_int(unit, PRUNE_AT_ONCE);
	unit_submit(unit, false);
}
