/* listen.c - see listen.h.
 *
 * A connection that only listens would not notice that its server is gone: nothing is sent on it.
 * So it is asked for a sign of life every PROBE_MS, which is answered within ANSWER_MS or it is
 * closed.
 */
#include "actors/store/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "actors/store/conn.h"
#include "actors/store/store.h"
#include "base/log.h"

#define PROBE_MS      10000
#define ANSWER_MS     5000
#define RING_AGAIN_MS 100
#define SCHEDULER     "scheduler"
#define BROADCASTER   "broadcaster"
#define RATE_LIMITER  "rate_limiter"

struct listener {
	struct actor *self;
	struct conn *conn;
	struct actor_timer *probe;    /* sends the next one */
	struct actor_timer *deadline; /* of the one that was sent; NULL: none is */
	struct actor_timer *again;    /* a bell that could not be rung; NULL: none */
};

/* --- ringing --- */

static void ring_all(struct listener *listener);

static void on_ring_again(struct actor *self, void *context)
{
	struct listener *listener = context;

	(void)self;
	listener->again = NULL;
	ring_all(listener);
}

/* A receiver that is down is rung for when it comes up; one that cannot take it, a little later. */
static void cast(struct listener *listener, enum msg_id id, const void *body)
{
	int rc = actor_cast(listener->self, NULL, id, body);

	if ((rc == -EAGAIN || rc == -ENOMEM) && listener->again == NULL)
		listener->again = actor_timer_start(listener->self, RING_AGAIN_MS, 0, on_ring_again,
						    listener);
}

/* Rings for everything that the actor called name hears of. */
static void ring(struct listener *listener, const char *name)
{
	static const struct empty nothing;
	static const struct cursor everything = {.topic = "*", .seq = 0};

	if (strcmp(name, SCHEDULER) == 0)
		cast(listener, MSG_SCHEDULES_CHANGED, &nothing);
	else if (strcmp(name, BROADCASTER) == 0)
		cast(listener, MSG_EVENTS_CHANGED, &everything);
	else if (strcmp(name, RATE_LIMITER) == 0)
		cast(listener, MSG_LIMITS_CHANGED, &nothing);
}

static void ring_all(struct listener *listener)
{
	ring(listener, SCHEDULER);
	ring(listener, BROADCASTER);
	ring(listener, RATE_LIMITER);
}

void listener_greet(struct listener *listener, const char *name)
{
	if (conn_pg(listener->conn) != NULL) /* else it is rung for once we listen */
		ring(listener, name);
}

/* Takes "TOPIC SEQ" apart, in place, and casts it. */
static void ring_event(struct listener *listener, char *payload)
{
	char *blank = strrchr(payload, ' ');
	struct cursor cursor = {.topic = payload};

	if (blank == NULL) {
		log_warn("notify.malformed", "channel=" CHANNEL_EVENTS);
		return;
	}
	*blank = '\0';
	cursor.seq = strtoll(blank + 1, NULL, 10);
	cast(listener, MSG_EVENTS_CHANGED, &cursor);
}

/* Many changes of schedules, or of limits, at once are one bell. */
static void ring_notified(struct listener *listener)
{
	bool schedules = false;
	bool limits = false;
	PGnotify *notify;

	while ((notify = PQnotifies(conn_pg(listener->conn))) != NULL) {
		if (strcmp(notify->relname, CHANNEL_EVENTS) == 0)
			ring_event(listener, notify->extra);
		else if (strcmp(notify->relname, CHANNEL_LIMITS) == 0)
			limits = true;
		else
			schedules = true;
		PQfreemem(notify);
	}
	if (schedules)
		ring(listener, SCHEDULER);
	if (limits)
		ring(listener, RATE_LIMITER);
}

/* --- the connection --- */

static void on_overdue(struct actor *self, void *context)
{
	struct listener *listener = context;

	(void)self;
	listener->deadline = NULL;
	conn_drop(listener->conn, "no sign of life");
}

static void on_probe(struct actor *self, void *context)
{
	struct listener *listener = context;
	PGconn *pg = conn_pg(listener->conn);

	if (pg == NULL || listener->deadline != NULL)
		return;
	listener->deadline = actor_timer_start(self, ANSWER_MS, 0, on_overdue, listener);
	if (listener->deadline == NULL || PQsendQuery(pg, "select 1") == 0)
		conn_drop(listener->conn, "a sign of life could not be asked for");
	else
		conn_flush(listener->conn);
}

static void on_up(struct conn *conn, void *owner)
{
	struct listener *listener = owner;

	(void)conn;
	ring_all(listener);
}

static void on_input(struct conn *conn, void *owner)
{
	struct listener *listener = owner;
	PGconn *pg = conn_pg(conn);

	ring_notified(listener);
	while (listener->deadline != NULL && !PQisBusy(pg)) {
		PGresult *result = PQgetResult(pg);

		if (result == NULL)
			actor_timer_stop(&listener->deadline);
		PQclear(result);
	}
}

static void on_lost(struct conn *conn, void *owner, const char *why)
{
	struct listener *listener = owner;

	(void)conn; /* whether the database is there is the pool's to say */
	(void)why;
	actor_timer_stop(&listener->deadline);
}

static const struct conn_events listener_events = {
	.up = on_up,
	.input = on_input,
	.lost = on_lost,
};

int listener_open(struct actor *self, struct listener **out)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int rc = -ENOMEM;

	if (listener == NULL)
		goto out;
	listener->self = self;
	listener->probe = actor_timer_start(self, PROBE_MS, PROBE_MS, on_probe, listener);
	if (listener->probe == NULL || actor_monitor(self, SCHEDULER) < 0 ||
	    actor_monitor(self, BROADCASTER) < 0 || actor_monitor(self, RATE_LIMITER) < 0)
		goto out;
	rc = conn_new(self, "listen",
		      "listen " CHANNEL_SCHEDULES "; listen " CHANNEL_EVENTS
		      "; listen " CHANNEL_LIMITS,
		      &listener_events, listener, &listener->conn);
	if (rc < 0)
		goto out;
	*out = listener;
	listener = NULL;
out:
	listener_close(&listener);
	return rc;
}

void listener_close(struct listener **listener)
{
	struct listener *l = *listener;

	if (l == NULL)
		return;
	*listener = NULL;
	conn_free(&l->conn);
	actor_timer_stop(&l->probe);
	actor_timer_stop(&l->deadline);
	actor_timer_stop(&l->again);
	free(l);
}
