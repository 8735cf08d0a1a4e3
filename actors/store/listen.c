/* listen.c - notifications from PostgreSQL, as casts to the actors here; see listen.h.
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

/* Who is rung for a channel, with what, and with what after bells may have been missed. The first
 * one's bells say which topic; many of another at once are one. */
static const struct empty nothing;
static const struct cursor everything = {.topic = "*", .seq = 0};

static const struct bell {
	const char *channel;
	const char *actor;
	enum msg_id id;
	const void *missed;
} bells[] = {
	{CHANNEL_EVENTS, "broadcaster", MSG_EVENTS_CHANGED, &everything},
	{CHANNEL_SCHEDULES, "scheduler", MSG_SCHEDULES_CHANGED, &nothing},
	{CHANNEL_LIMITS, "rate_limiter", MSG_LIMITS_CHANGED, &nothing},
	{CHANNEL_APPLICATIONS, "submitter", MSG_APPLICATIONS_CHANGED, &nothing},
};

#define BELLS (sizeof(bells) / sizeof(bells[0]))

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

static void ring_all(struct listener *listener)
{
	for (size_t i = 0; i < BELLS; i++)
		cast(listener, bells[i].id, bells[i].missed);
}

void listener_greet(struct listener *listener, const char *name)
{
	if (conn_pg(listener->conn) == NULL)
		return; /* it is rung for once we listen */
	for (size_t i = 0; i < BELLS; i++)
		if (strcmp(name, bells[i].actor) == 0)
			cast(listener, bells[i].id, bells[i].missed);
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

static void ring_notified(struct listener *listener)
{
	bool rung[BELLS] = {false};
	PGnotify *notify;

	while ((notify = PQnotifies(conn_pg(listener->conn))) != NULL) {
		if (strcmp(notify->relname, CHANNEL_EVENTS) == 0)
			ring_event(listener, notify->extra);
		for (size_t i = 1; i < BELLS; i++)
			rung[i] = rung[i] || strcmp(notify->relname, bells[i].channel) == 0;
		PQfreemem(notify);
	}
	for (size_t i = 1; i < BELLS; i++)
		if (rung[i])
			cast(listener, bells[i].id, &nothing);
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
	if (listener->probe == NULL)
		goto out;
	for (size_t i = 0; i < BELLS; i++)
		if (actor_monitor(self, bells[i].actor) < 0)
			goto out;
	rc = conn_new(self, "listen",
		      "listen " CHANNEL_SCHEDULES "; listen " CHANNEL_EVENTS
		      "; listen " CHANNEL_LIMITS "; listen " CHANNEL_APPLICATIONS,
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
