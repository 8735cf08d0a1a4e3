/* session.h - one subscriber's connection, between the WebSocket server (which knows no topics),
 * the feed (which knows no sockets) and the protocol that the connection's path stands for.
 *
 * A protocol is a table of functions (plain.c has the first one): another one is another table,
 * listed in session.c. A session listens to any number of topics.
 */
#ifndef BROADCASTER_SESSION_H
#define BROADCASTER_SESSION_H

#include "actors/broadcaster/feed.h"
#include "actors/broadcaster/ws_messages.h"
#include "actors/broadcaster/ws_server.h"

struct session; /* opaque */

struct protocol {
	const char *path;
	size_t state_size; /* session_state() gives so many zeroed bytes */
	/* A connection asks to be opened. Returns 0, or the HTTP status to refuse it with. */
	int (*request)(struct session *s, const char *query);
	/* It is open. */
	void (*open)(struct session *s);
	/* The other side said something: len bytes of UTF-8. */
	void (*text)(struct session *s, const char *text, size_t len);
	/* What feed_callbacks.placed says, of one of the session's listeners. */
	void (*placed)(struct session *s, struct listener *l, int64_t last);
	/* The event as a text message, malloc'ed, with its length; NULL when out of memory. Made
	 * once for all the protocol's listeners of the topic, so it may depend on nothing else. */
	char *(*event)(const struct event *event, size_t *len);
};

extern const struct protocol plain_protocol;

/* All sessions of the actor. */
struct sessions {
	struct plain_door door; /* filled in before the first connection */
	struct feed *feed;
	struct ws_server *server;
	int64_t sent;		 /* events, to any subscriber, since the start */
	struct ws_frame *shared; /* the event that is being dealt out, as shared_by encodes it */
	const struct protocol *shared_by;
};

/* What ws_server_new() needs, with a struct sessions as its context. */
extern const struct ws_callbacks session_ws_callbacks;
extern const char *const session_paths[];

/* What feed_open() needs, with a struct sessions as its context. */
extern const struct feed_callbacks session_feed_callbacks;

/* --- for protocols
 * -------------------------------------------------------------------------------- */

void *session_state(struct session *s);

/* How a connection may say whose events it wants. */
const struct plain_door *session_door(const struct session *s);

/* Sends a text, which it takes; NULL (out of memory) ends the connection. */
void session_answer(struct session *s, char *text);

/* Listens to a topic, to what is later than `after` (FEED_FROM_NOW). Returns the listener, which
 * ends with session_leave() or with the session. NULL: out of memory, or the name is too long. */
struct listener *session_listen(struct session *s, const char *topic, int64_t after);
void session_leave(struct session *s, struct listener *l);

/* feed_go_back(), and forgets what was queued for l and not sent. */
void session_go_back(struct session *s, struct listener *l, int64_t after);

/* Whether to wait with reading what the other side says. */
void session_hold(struct session *s, bool hold);

#endif
