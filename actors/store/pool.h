/* pool.h - the database as the store's operations see it: units of work, done by the first free of
 * DB_POOL_SIZE connections.
 *
 * A unit is a few statements, sent together, and one transaction: all of it happens or none. It
 * must be safe to repeat: when the connection is lost before the answer came, or the server asks
 * for it (deadlock, serialization), the unit is done again, within its deadline. While no
 * connection is up, units wait. Each ends in exactly one call of its `done` or `failed`.
 */
#ifndef ACTORS_STORE_POOL_H
#define ACTORS_STORE_POOL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "actors/runtime/actor.h"

#define UNIT_STATEMENTS_MAX  4
#define STATEMENT_PARAMS_MAX 8

/* A statement of the program. Prepared once for each connection under its name. */
struct sql {
	const char *name;
	const char *text; /* parameters are $1, $2, ..., each with its cast */
};

struct pool;
struct unit;

struct unit_failure {
	enum msg_error error;
	int64_t retry_after_ms; /* 0: a retry does not help */
	const char *message;
};

typedef void unit_done_fn(struct actor *self, struct unit *unit);
typedef void unit_failed_fn(struct actor *self, struct unit *unit,
			    const struct unit_failure *failure);

/* Opens the pool, which connects in the background and tells the supervisor (actor_degraded())
 * while no connection is up. Returns 0 or -ENOMEM. */
int pool_open(struct actor *self, struct pool **out) __attribute__((warn_unused_result));

/* Closes *pool and forgets all its units, whose functions are not called. NULL is fine. */
void pool_close(struct pool **pool);

/* Why no connection is up. NULL when one is, and until a try to connect has failed. Borrowed until
 * the pool changes. */
const char *pool_problem(const struct pool *pool);

/* No new units will come: idle is called once those that are there have ended, perhaps at once.
 * From now on units fail rather than wait for a connection. */
void pool_drain(struct pool *pool, void (*idle)(struct actor *self));

/* Makes a unit. call is what it answers (unit_call()), or NULL for the store's own work; its
 * deadline is a little before the call's, or timeout_ms from now, whichever is earlier. failed
 * NULL: the call is refused with the failure. Returns NULL when out of memory. */
struct unit *unit_new(struct pool *pool, struct actor_call *call, int64_t timeout_ms,
		      unit_done_fn *done, unit_failed_fn *failed)
	__attribute__((warn_unused_result));

/* Begins the unit's next statement; sql is borrowed for ever. */
void unit_statement(struct unit *unit, const struct sql *sql);

/* The statement's next parameter. Texts are borrowed until the unit ends; NULL is null. A unit that
 * could not take one (too many, no memory) fails when it is submitted. */
void unit_text(struct unit *unit, const char *value);
void unit_int(struct unit *unit, int64_t value);
void unit_opt_int(struct unit *unit, struct opt_int value);
void unit_bool(struct unit *unit, bool value);

/* The record as JSON. */
void unit_json(struct unit *unit, const struct record *record, const void *value);

/* Hands the unit, which the pool takes, in for execution; urgent: before all others. done or failed
 * are called later, or failed at once. */
void unit_submit(struct unit *unit, bool urgent);

/* In done and failed: whose unit it is; in done: what its statements gave. Borrowed until the
 * function returns. */
struct actor_call *unit_call(const struct unit *unit);
const PGresult *unit_result(const struct unit *unit, size_t statement);

#endif
