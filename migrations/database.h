/* database.h - the runner's PostgreSQL: one synchronous connection, the lock, the records, the
 * steps.
 *
 * Every function that can fail says why on errors, a line or two for a person, and returns
 *   -ECONNREFUSED  the database cannot be reached, or was lost
 *   -EINVAL        DATABASE_URL or what stands in the database is not what it should be
 *   -EIO           the server refused a statement
 *   -ENOMEM, or what reading a file gave
 */
#ifndef MIGRATIONS_DATABASE_H
#define MIGRATIONS_DATABASE_H

#include <libpq-fe.h>

#include "migrations/plan.h"

/* Connects to url, a URL or libpq keywords, and refuses a server that is too old. */
int database_open(const char *url, FILE *errors, PGconn **out) __attribute__((warn_unused_result));

/* Closes *conn and clears it; the server undoes what was not committed. NULL is fine. */
void database_close(PGconn **conn);

/* Takes the runners' lock if it is free. It is the session's: it goes when the session goes. */
int database_try_lock(PGconn *conn, FILE *errors, bool *taken) __attribute__((warn_unused_result));

/* Waits for the runners' lock. */
int database_lock(PGconn *conn, FILE *errors) __attribute__((warn_unused_result));

/* Makes the table of records where it is missing. */
int database_prepare(PGconn *conn, FILE *errors) __attribute__((warn_unused_result));

/* Gives the records; a database without the table has none. Free out->items with free(). */
int database_records(PGconn *conn, FILE *errors, struct applied_list *out)
	__attribute__((warn_unused_result));

/* How many servers are connected to the database: the store of each holds connections. */
int database_servers(PGconn *conn, FILE *errors, int64_t *out) __attribute__((warn_unused_result));

/* Runs m's file for direction and writes or deletes its record, in one transaction: after anything
 * but success, nothing of it is left. */
int database_step(PGconn *conn, const char *dir, const struct migration *m,
		  enum migration_direction direction, FILE *errors, int64_t *duration_ms)
	__attribute__((warn_unused_result));

#endif
