/* conn.h - one connection to PostgreSQL that keeps itself alive: it connects without blocking, says
 * when it is up and when it was lost, and connects again with growing, jittered pauses.
 */
#ifndef ACTORS_STORE_CONN_H
#define ACTORS_STORE_CONN_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "actors/runtime/actor.h"

struct conn;

/* What a connection's owner hears. None of these may call conn_free(). */
struct conn_events {
	/* Connected and set up; conn_pg() is in nonblocking mode and idle. */
	void (*up)(struct conn *conn, void *owner);
	/* Something was read, PQisBusy() may have changed. */
	void (*input)(struct conn *conn, void *owner);
	/* It was up, or it could not come up; conn_pg() is NULL. It will try again by itself. */
	void (*lost)(struct conn *conn, void *owner, const char *why);
};

/* Starts to connect to DATABASE_URL. purpose is seen in pg_stat_activity; setup is SQL, perhaps
 * several statements, that each new session runs before it is up; all pointers are borrowed for
 * ever. Events come later, never from within this function. Returns 0 or -ENOMEM. */
int conn_new(struct actor *self, const char *purpose, const char *setup,
	     const struct conn_events *events, void *owner, struct conn **out)
	__attribute__((warn_unused_result));

/* Closes and frees *conn, clears it. No event follows. NULL is fine. */
void conn_free(struct conn **conn);

/* libpq's connection; NULL unless it is up. Borrowed. */
PGconn *conn_pg(struct conn *conn);

/* Sends what libpq has buffered, now and as the socket takes it. A failure is the event `lost`,
 * perhaps before this returns. */
void conn_flush(struct conn *conn);

/* Closes the connection, e.g. since an answer is overdue; `lost` is called before this returns. The
 * server notices by itself and ends what it was doing. */
void conn_drop(struct conn *conn, const char *why);

/* Tries at once if it is pausing before its next try, since the database is known to be there. */
void conn_try_now(struct conn *conn);

#endif
