/* pool.c - units of work and the connections that do them; see pool.h.
 *
 * A connection does one unit at a time: its statements go out in libpq's pipeline mode with one
 * Sync at the end, so that they are one implicit transaction and one round trip. A statement that
 * this session has not prepared yet is prepared on the way. The unit is done when the Sync is
 * answered, which is after the commit.
 *
 * A unit's deadline does not depend on the server: when it passes, the unit fails, and a connection
 * that was busy with it is closed, since nothing else can be sent on it. The server then ends the
 * statement by itself (client_connection_check_interval).
 */
#include "actors/store/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "actors/store/conn.h"
#include "actors/store/unit.h"
#include "base/log.h"
#include "base/settings.h"
#include "proto/codec.h"
#include "proto/control.h"

#define SQL_PREPARED_MAX  128
#define UNIT_ATTEMPTS_MAX 8
#define ANSWER_MARGIN_MS  200 /* the answer is on its way before its deadline */
#define RETRY_AFTER_MS	  1000
#define TOLD_PREFIX	  "database: "
#define PROBLEM_SIZE	  512

/* Units that wait for a connection may hold so much in all, then more are refused: an outage must
 * not fill the memory with pages of vacancies. */
#define WAITING_BYTES_MAX ((size_t)128 * 1024 * 1024)

struct slot {
	struct pool *pool;
	struct conn *conn;
	bool up;
	struct unit *unit;		     /* that it does; NULL: free */
	size_t step;			     /* the answer that comes next, see answer_of() */
	bool preparing[UNIT_STATEMENTS_MAX]; /* statements of the unit sent with a Prepare */
	const struct sql *prepared[SQL_PREPARED_MAX];
	size_t prepared_count;
	char sqlstate[6]; /* the unit's first error; "" while there is none */
	const struct sql *failed_sql;
};

struct pool {
	struct actor *self;
	struct slot *slots;
	size_t slot_count;
	size_t up;
	struct unit *first; /* waiting, oldest first */
	size_t units;	    /* waiting or being done */
	size_t waiting_bytes;
	char problem[PROBLEM_SIZE]; /* why none is up; "": that is not known yet */
	bool schema_missing_said;
	void (*idle)(struct actor *self); /* set while draining */
};

/* --- a unit's end --- */

static void unit_end(struct unit *unit, const struct unit_failure *failure)
{
	struct pool *pool = unit->pool;

	if (unit->call != NULL)
		actor_resume(unit->call);
	if (failure == NULL)
		unit->done(pool->self, unit);
	else if (unit->failed != NULL)
		unit->failed(pool->self, unit, failure);
	else if (failure->retry_after_ms > 0)
		actor_refuse_until(unit->call, failure->error, failure->retry_after_ms, "%s",
				   failure->message);
	else
		actor_refuse(unit->call, failure->error, NULL, "%s", failure->message);
	unit_free(&unit);
	pool->units--;
	if (pool->units == 0 && pool->idle != NULL)
		pool->idle(pool->self);
}

static void unit_unavailable(struct unit *unit, const char *message)
{
	const struct unit_failure failure = {
		.error = ERR_UNAVAILABLE,
		.retry_after_ms = RETRY_AFTER_MS,
		.message = message,
	};

	unit_end(unit, &failure);
}

/* --- the queue --- */

/* again: it was begun before, and goes first. The urgent ones keep their order among themselves. */
static void queue_put(struct pool *pool, struct unit *unit, bool again)
{
	struct unit **link = &pool->first;

	while (!again && *link != NULL && (!unit->urgent || (*link)->urgent))
		link = &(*link)->next;
	unit->next = *link;
	*link = unit;
	pool->waiting_bytes += unit->bytes;
}

static struct unit *queue_take(struct pool *pool, struct unit *unit)
{
	struct unit **link = &pool->first;

	while (*link != unit && *link != NULL)
		link = &(*link)->next;
	if (*link == NULL)
		return NULL;
	*link = unit->next;
	unit->next = NULL;
	pool->waiting_bytes -= unit->bytes;
	return unit;
}

static struct slot *slot_of(struct pool *pool, const struct unit *unit)
{
	for (size_t i = 0; i < pool->slot_count; i++)
		if (pool->slots[i].unit == unit)
			return &pool->slots[i];
	return NULL;
}

static void on_unit_deadline(struct actor *self, void *context)
{
	struct unit *unit = context;
	struct pool *pool = unit->pool;
	struct slot *slot = slot_of(pool, unit);

	(void)self;
	unit->timer = NULL;
	if (slot == NULL) {
		(void)queue_take(pool, unit);
		unit_unavailable(unit, pool->up > 0 ? "the database is too busy"
						    : "the database is down");
		return;
	}
	slot->unit = NULL;
	log_warn("db.too_slow", "statement=%s", unit->statements[0].sql->name);
	conn_drop(slot->conn, "an answer was overdue");
	unit_unavailable(unit, "the database did not answer in time");
}

/* Fails what waits, as nobody will do it in time. */
static void fail_waiting(struct pool *pool)
{
	while (pool->first != NULL)
		unit_unavailable(queue_take(pool, pool->first), "the database is down");
}

/* The unit goes back to the front of the queue, unless it was tried too often. */
static void try_again(struct pool *pool, struct unit *unit, const char *why)
{
	unit_clear(unit);
	if (unit->attempts >= UNIT_ATTEMPTS_MAX) {
		log_error("db.gave_up", "statement=%s attempts=%u why=\"%s\"",
			  unit->statements[0].sql->name, unit->attempts, why);
		unit_unavailable(unit, "the database failed again and again");
		return;
	}
	queue_put(pool, unit, true);
}

/* --- sending a unit --- */

static bool is_prepared(const struct slot *slot, const struct sql *sql)
{
	for (size_t i = 0; i < slot->prepared_count; i++)
		if (slot->prepared[i] == sql)
			return true;
	return false;
}

static void note_prepared(struct slot *slot, const struct sql *sql)
{
	if (slot->prepared_count == SQL_PREPARED_MAX)
		panic("db.too_many_statements", "statement=%s", sql->name);
	slot->prepared[slot->prepared_count++] = sql;
}

static bool send_statement(struct slot *slot, const struct unit *unit, size_t i)
{
	const struct unit_statement *s = &unit->statements[i];
	PGconn *pg = conn_pg(slot->conn);

	slot->preparing[i] = !is_prepared(slot, s->sql);
	if (slot->preparing[i] && PQsendPrepare(pg, s->sql->name, s->sql->text, 0, NULL) == 0)
		return false;
	return PQsendQueryPrepared(pg, s->sql->name, s->param_count, s->params, NULL, NULL, 0) != 0;
}

static bool send_unit(struct slot *slot, const struct unit *unit)
{
	for (size_t i = 0; i < unit->count; i++)
		if (!send_statement(slot, unit, i))
			return false;
	return PQpipelineSync(conn_pg(slot->conn)) != 0;
}

static void dispatch(struct pool *pool)
{
	for (size_t i = 0; i < pool->slot_count && pool->first != NULL; i++) {
		struct slot *slot = &pool->slots[i];

		if (slot->unit != NULL || conn_pg(slot->conn) == NULL)
			continue;
		slot->unit = queue_take(pool, pool->first);
		slot->unit->attempts++;
		slot->step = 0;
		slot->sqlstate[0] = '\0';
		if (send_unit(slot, slot->unit))
			conn_flush(slot->conn);
		else
			conn_drop(slot->conn, PQerrorMessage(conn_pg(slot->conn)));
	}
}

/* --- what the server says --- */

static bool state_is(const struct slot *slot, const char *prefix)
{
	return strncmp(slot->sqlstate, prefix, strlen(prefix)) == 0;
}

/* Values that a caller gave may be quoted in the server's words, of all classes of errors in these
 * two: data exceptions and violated constraints. The words themselves never go to a caller. */
static void note_error(struct slot *slot, const struct sql *sql, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (slot->sqlstate[0] != '\0' || state == NULL) /* libpq's own: the connection is lost */
		return;
	(void)snprintf(slot->sqlstate, sizeof(slot->sqlstate), "%s", state);
	slot->failed_sql = sql;
	if (words == NULL || state_is(slot, "22") || state_is(slot, "23"))
		words = "";
	if (state_is(slot, "40") || state_is(slot, "57P")) { /* also: the server stops */
		log_debug("db.again", "statement=%s sqlstate=%s", sql->name, slot->sqlstate);
	} else if (!state_is(slot, "42P01") || !slot->pool->schema_missing_said) {
		log_warn("db.error", "statement=%s sqlstate=%s %s", sql->name, slot->sqlstate,
			 words);
		slot->pool->schema_missing_said = state_is(slot, "42P01");
	}
}

static struct unit_failure failure_of(const struct slot *slot)
{
	struct unit_failure failure = {
		.error = ERR_INTERNAL,
		.message = "the database refused the statement",
	};

	if (state_is(slot, "42P01") || state_is(slot, "42703") || state_is(slot, "3F000")) {
		failure.error = ERR_UNAVAILABLE;
		failure.retry_after_ms = RETRY_AFTER_MS * 5;
		failure.message = "the schema is missing: run ugtj migrate";
	} else if (state_is(slot, "57") || state_is(slot, "53") || state_is(slot, "55") ||
		   state_is(slot,
			    "58")) { /* cancelled, out of disk or memory, in use, disk error */
		failure.error = ERR_UNAVAILABLE;
		failure.retry_after_ms = RETRY_AFTER_MS;
		failure.message = "the database cannot do it now";
	} else if (state_is(slot, "22")) {
		failure.error = ERR_BAD_REQUEST;
		failure.message = "a value that the database does not take";
	}
	return failure;
}

/* The Sync was answered: the transaction is committed, or rolled back. */
static void end_unit(struct slot *slot)
{
	struct pool *pool = slot->pool;
	struct unit *unit = slot->unit;
	struct unit_failure failure;

	slot->unit = NULL;
	if (slot->sqlstate[0] == '\0') {
		unit_end(unit, NULL);
	} else if (state_is(slot, "40001") || state_is(slot, "40P01")) {
		try_again(pool, unit, "conflicting transactions");
	} else if (state_is(slot, "25006") || state_is(slot, "26000") || state_is(slot, "42P05")) {
		/* It became a standby, or a pooler gave us another session. */
		try_again(pool, unit, "not the session that it was");
		conn_drop(slot->conn, "the session is not the one that it was");
	} else {
		failure = failure_of(slot);
		unit_end(unit, &failure);
	}
	dispatch(pool);
}

/* Which statement the answer number step of the unit is about; *prepare: about its Prepare. The
 * unit's count: about the Sync. */
static size_t answer_of(const struct slot *slot, bool *prepare)
{
	size_t step = slot->step;

	for (size_t i = 0; i < slot->unit->count; i++) {
		size_t answers = slot->preparing[i] ? 2 : 1;

		if (step < answers) {
			*prepare = answers == 2 && step == 0;
			return i;
		}
		step -= answers;
	}
	*prepare = false;
	return slot->unit->count;
}

/* Takes one answer. Returns false when the unit has ended with it. */
static bool take_answer(struct slot *slot, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	struct unit *unit = slot->unit;
	bool prepare;
	size_t i = answer_of(slot, &prepare);

	if (status == PGRES_PIPELINE_SYNC) {
		PQclear(result);
		end_unit(slot);
		return false;
	}
	slot->step++;
	if (status == PGRES_FATAL_ERROR) {
		/* one at the commit belongs to no statement */
		note_error(slot, unit->statements[i < unit->count ? i : unit->count - 1].sql,
			   result);
	} else if (status == PGRES_PIPELINE_ABORTED) {
		/* an earlier one failed, which was noted */
	} else if (prepare) {
		note_prepared(slot, unit->statements[i].sql);
	} else if (i < unit->count) {
		unit->results[i] = result;
		return true; /* kept */
	}
	PQclear(result);
	return true;
}

static void on_input(struct conn *conn, void *owner)
{
	struct slot *slot = owner;
	PGconn *pg = conn_pg(conn);

	bool parted = false;

	while (pg != NULL && slot->unit != NULL && !PQisBusy(pg)) {
		PGresult *result = PQgetResult(pg);

		if (result == NULL && parted) /* nothing more, as when the connection is lost */
			return;
		parted = result == NULL; /* one parts a statement's answer from the next one's */
		if (!parted && !take_answer(slot, result))
			pg = conn_pg(conn);
	}
}

/* --- connections --- */

static void on_up(struct conn *conn, void *owner)
{
	struct slot *slot = owner;
	struct pool *pool = slot->pool;

	if (PQenterPipelineMode(conn_pg(conn)) == 0) {
		conn_drop(conn, PQerrorMessage(conn_pg(conn)));
		return;
	}
	slot->prepared_count = 0;
	slot->up = true;
	pool->up++;
	pool->problem[0] = '\0';
	pool->schema_missing_said = false;
	actor_degraded(pool->self, NULL);
	for (size_t i = 0; i < pool->slot_count; i++)
		conn_try_now(pool->slots[i].conn);
	dispatch(pool);
}

/* Keeps why in words that fit the catalogue, and tells the supervisor as much as fits. */
static void note_problem(struct pool *pool, const char *why)
{
	const size_t room = CONTROL_REASON_SIZE - sizeof(TOLD_PREFIX);
	char told[CONTROL_REASON_SIZE];
	size_t len;

	(void)snprintf(pool->problem, sizeof(pool->problem), "%s", why);
	if (!utf8_valid(pool->problem, strlen(pool->problem), NULL))
		for (char *p = pool->problem; *p != '\0'; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
	len = strlen(pool->problem);
	if (len > room)
		for (len = room; len > 0 && ((unsigned char)pool->problem[len] & 0xC0) == 0x80;)
			len--; /* cut, but not within a character */
	(void)snprintf(told, sizeof(told), TOLD_PREFIX "%.*s", (int)len, pool->problem);
	actor_degraded(pool->self, told);
}

static void on_lost(struct conn *conn, void *owner, const char *why)
{
	struct slot *slot = owner;
	struct pool *pool = slot->pool;
	struct unit *unit = slot->unit;
	bool was_up = slot->up;

	(void)conn;
	slot->up = false;
	slot->unit = NULL;
	if (was_up)
		pool->up--; /* whether the database is down is known after the next try */
	else if (pool->up == 0)
		note_problem(pool, why);
	if (unit != NULL)
		try_again(pool, unit, why);
	if (pool->up == 0 && pool->idle != NULL)
		fail_waiting(pool);
	else
		dispatch(pool);
}

static const struct conn_events slot_events = {
	.up = on_up,
	.input = on_input,
	.lost = on_lost,
};

/* --- the pool --- */

int pool_open(struct actor *self, struct pool **out)
{
	size_t count = (size_t)setting_int(DB_POOL_SIZE);
	struct pool *pool = calloc(1, sizeof(*pool));
	int rc = -ENOMEM;

	if (pool == NULL)
		goto out;
	pool->self = self;
	pool->slots = calloc(count, sizeof(*pool->slots));
	if (pool->slots == NULL)
		goto out;
	pool->slot_count = count;
	for (size_t i = 0; i < count; i++) {
		pool->slots[i].pool = pool;
		rc = conn_new(self, "store", "", &slot_events, &pool->slots[i],
			      &pool->slots[i].conn);
		if (rc < 0)
			goto out;
	}
	*out = pool;
	pool = NULL;
	rc = 0;
out:
	pool_close(&pool);
	return rc;
}

void pool_close(struct pool **pool)
{
	struct pool *p = *pool;

	if (p == NULL)
		return;
	*pool = NULL;
	for (size_t i = 0; i < p->slot_count; i++) {
		conn_free(&p->slots[i].conn);
		unit_free(&p->slots[i].unit);
	}
	while (p->first != NULL) {
		struct unit *unit = queue_take(p, p->first);

		unit_free(&unit);
	}
	free(p->slots);
	free(p);
}

const char *pool_problem(const struct pool *pool)
{
	return pool->up > 0 || pool->problem[0] == '\0' ? NULL : pool->problem;
}

void pool_drain(struct pool *pool, void (*idle)(struct actor *self))
{
	if (pool->units == 0) {
		idle(pool->self);
		return;
	}
	pool->idle = idle;
	if (pool->up == 0)
		fail_waiting(pool);
}

/* When the unit fails if it was not done by then. */
static int64_t patience_ms(const struct unit *unit)
{
	int64_t left = unit->timeout_ms;

	if (unit->call != NULL && actor_call_remaining_ms(unit->call) < left)
		left = actor_call_remaining_ms(unit->call);
	return left > 5 * ANSWER_MARGIN_MS ? left - ANSWER_MARGIN_MS : left * 4 / 5;
}

void unit_submit(struct unit *unit, bool urgent)
{
	struct pool *pool = unit->pool;
	struct unit_failure failure = {
		.error = ERR_INTERNAL,
		.message = "no memory for the statement",
	};

	pool->units++;
	unit->urgent = urgent;
	if (!unit->spoilt)
		unit->timer =
			actor_timer_start(pool->self, patience_ms(unit), 0, on_unit_deadline, unit);
	if (unit->timer == NULL) {
		unit_end(unit, &failure);
		return;
	}
	if (pool->first != NULL && pool->waiting_bytes + unit->bytes > WAITING_BYTES_MAX) {
		failure.error = ERR_OVERLOADED;
		failure.retry_after_ms = RETRY_AFTER_MS;
		failure.message = "too much waits for the database";
		unit_end(unit, &failure);
		return;
	}
	queue_put(pool, unit, false);
	dispatch(pool);
}
