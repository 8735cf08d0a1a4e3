/* session.c - a subscriber from the hello to the end of its connection; see session.h. */
#include "actors/broadcaster/session.h"

#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "base/log.h"

/* The protocols, and their paths in the same order. */
static const struct protocol *const protocols[] = {&plain_protocol, NULL};
const char *const session_paths[] = {"/ws", NULL};

struct seat {
	struct listener listener; /* first: a listener is its seat */
	struct session *session;
	LIST_ENTRY(seat) link;
};

LIST_HEAD(seats, seat);

struct session {
	struct sessions *all;
	struct ws_conn *conn;
	const struct protocol *protocol;
	struct seats seats;
	max_align_t state[];
};

static struct session *session_of(const struct subscription *sub)
{
	return ((const struct seat *)sub)->session;
}

/* --- from the server
 * ------------------------------------------------------------------------------ */

static int on_request(struct ws_conn *conn, const char *path, const char *query)
{
	const struct protocol *protocol = NULL;
	struct session *s;
	int status;

	for (size_t i = 0; protocols[i] != NULL; i++)
		if (strcmp(protocols[i]->path, path) == 0)
			protocol = protocols[i];
	if (protocol == NULL)
		return 404;
	s = calloc(1, sizeof(*s) + protocol->state_size);
	if (s == NULL)
		return 503;
	s->all = ws_conn_context(conn);
	s->conn = conn;
	s->protocol = protocol;
	LIST_INIT(&s->seats);
	status = protocol->request(s, query);
	if (status != 0)
		free(s);
	else
		ws_conn_set_state(conn, s);
	return status;
}

static void on_open(struct ws_conn *conn)
{
	struct session *s = ws_conn_state(conn);

	s->protocol->open(s);
}

static void on_text(struct ws_conn *conn, const char *text, size_t len)
{
	struct session *s = ws_conn_state(conn);

	s->protocol->text(s, text, len);
}

static void on_room(struct ws_conn *conn)
{
	struct session *s = ws_conn_state(conn);
	struct seat *seat;

	LIST_FOREACH (seat, &s->seats, link)
		feed_room(s->all->feed, &seat->listener);
}

static void on_close(struct ws_conn *conn)
{
	struct session *s = ws_conn_state(conn);

	ws_conn_set_state(conn, NULL);
	while (!LIST_EMPTY(&s->seats))
		session_leave(s, &LIST_FIRST(&s->seats)->listener);
	free(s);
}

const struct ws_callbacks session_ws_callbacks = {
	.on_request = on_request,
	.on_open = on_open,
	.on_text = on_text,
	.on_room = on_room,
	.on_close = on_close,
};

/* --- from the feed
 * -------------------------------------------------------------------------------- */

static void dealt(void *context)
{
	struct sessions *all = context;

	ws_frame_unref(&all->shared);
	all->shared_by = NULL;
}

/* The event as the protocol says it, encoded for the first of those who get it. Protocols take
 * turns only where a topic has listeners of several. */
static struct ws_frame *shared_frame(struct sessions *all, const struct protocol *protocol,
				     const struct event *event)
{
	char *text;
	size_t len;

	if (all->shared_by == protocol)
		return all->shared;
	dealt(all);
	text = protocol->event(event, &len);
	if (text == NULL || ws_frame_new(WSLAY_TEXT_FRAME, text, len, &all->shared) < 0)
		all->shared = NULL;
	free(text);
	if (all->shared != NULL)
		all->shared_by = protocol;
	return all->shared;
}

static bool deliver(struct subscription *sub, const struct event *event, bool first, void *context)
{
	struct session *s = session_of(sub);
	struct sessions *all = context;
	struct ws_frame *frame;

	if (first)
		dealt(all);
	if (!ws_conn_has_room(s->conn))
		return false;
	frame = shared_frame(all, s->protocol, event);
	if (frame == NULL || ws_conn_send(s->conn, frame, sub) < 0) {
		log_error("session.no_memory", "topic=%s seq=%lld", event->topic,
			  (long long)event->seq);
		return false; /* the feed's poll finds that there is room, and tries again */
	}
	all->sent++;
	return true;
}

static bool has_room(struct subscription *sub)
{
	return ws_conn_has_room(session_of(sub)->conn);
}

static void placed(struct listener *l, int64_t last)
{
	struct session *s = session_of(&l->sub);

	s->protocol->placed(s, l, last);
}

const struct feed_callbacks session_feed_callbacks = {
	.deliver = deliver,
	.dealt = dealt,
	.has_room = has_room,
	.placed = placed,
};

/* --- for protocols
 * -------------------------------------------------------------------------------- */

void *session_state(struct session *s)
{
	return s->state;
}

const struct plain_door *session_door(const struct session *s)
{
	return &s->all->door;
}

void session_answer(struct session *s, char *text)
{
	struct ws_frame *frame = NULL;

	if (text == NULL || ws_frame_new(WSLAY_TEXT_FRAME, text, strlen(text), &frame) < 0 ||
	    ws_conn_send(s->conn, frame, NULL) < 0)
		ws_conn_close(s->conn, WS_TRY_AGAIN_LATER, "out of memory");
	ws_frame_unref(&frame);
	free(text);
}

struct listener *session_listen(struct session *s, const char *topic, int64_t after)
{
	struct seat *seat = calloc(1, sizeof(*seat));

	if (seat == NULL)
		return NULL;
	seat->session = s;
	seat->listener.sub.owner = s;
	if (feed_join(s->all->feed, &seat->listener, topic, after) < 0) {
		free(seat);
		return NULL;
	}
	LIST_INSERT_HEAD(&s->seats, seat, link);
	return &seat->listener;
}

void session_leave(struct session *s, struct listener *l)
{
	struct seat *seat = (struct seat *)l;

	ws_conn_drop(s->conn, &l->sub);
	feed_leave(s->all->feed, l);
	LIST_REMOVE(seat, link);
	free(seat);
}

void session_go_back(struct session *s, struct listener *l, int64_t after)
{
	ws_conn_drop(s->conn, &l->sub);
	feed_go_back(s->all->feed, l, after);
}

void session_hold(struct session *s, bool hold)
{
	ws_conn_hold(s->conn, hold);
}
