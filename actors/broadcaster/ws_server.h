/* ws_server.h - a WebSocket server in libuv's loop: listens, shakes hands, keeps many connections.
 *
 * Knows nothing of what is said over them. All functions are called from the loop's thread. No
 * function here calls one of the callbacks before it returns, but ws_server_free(); so a callback
 * may do anything to any connection.
 *
 * Sending. Each connection has a queue of shared frames (ws_frame.h), written with one sendmsg()
 * for many. The queue of what carries a tag (events) is bounded: ask ws_conn_has_room() first; when
 * it says no, on_room() tells when there is room again. What carries no tag (answers) is not asked
 * for: while answers pile up the connection is not read from.
 */
#ifndef BROADCASTER_WS_SERVER_H
#define BROADCASTER_WS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "actors/broadcaster/ws_frame.h"

/* A message from outside may be so long; longer ones close the connection with 1009. */
#define WS_MESSAGE_MAX_BYTES ((size_t)64 * 1024)

/* What a connection may have queued of events, and of answers. One event of any size always fits.
 */
#define WS_EVENTS_MAX_BYTES  ((size_t)4 * 1024 * 1024)
#define WS_EVENTS_MAX_FRAMES 256
#define WS_ANSWERS_MAX_BYTES ((size_t)64 * 1024)

/* When all frames of the process together take more, a connection queues one event at a time. */
#define WS_FRAMES_MAX_BYTES  ((size_t)256 * 1024 * 1024)

enum ws_close_code {
	WS_GOING_AWAY = 1001,
	WS_UNSUPPORTED_DATA = 1003,
	WS_POLICY_VIOLATION = 1008,
	WS_TRY_AGAIN_LATER = 1013,
};

struct ws_server; /* opaque */
struct ws_conn;	  /* opaque: one connection */

struct ws_callbacks {
	/* A good request for one of the paths. Returns 0 to open, or an HTTP status to refuse. */
	int (*on_request)(struct ws_conn *conn, const char *path, const char *query);
	/* The connection is open. */
	void (*on_open)(struct ws_conn *conn);
	/* A text message: len bytes of valid UTF-8, with no NUL after them. */
	void (*on_text)(struct ws_conn *conn, const char *text, size_t len);
	/* ws_conn_has_room() said no, and would now say yes. */
	void (*on_room)(struct ws_conn *conn);
	/* The connection is gone. Called once for each one whose on_request returned 0. */
	void (*on_close)(struct ws_conn *conn);
};

struct ws_limits {
	int64_t handshake_ms; /* from accept to a complete request */
	int64_t ping_ms;      /* between pings */
	int64_t pong_ms;      /* without a sign of life after a ping: closed */
	int64_t stall_ms;     /* with something queued and nothing taken of it: closed */
	int64_t close_ms;     /* for the closing handshake */
	size_t connections_max;
};

extern const struct ws_limits ws_limits_default; /* with connections_max by RLIMIT_NOFILE if 0 */

struct ws_config {
	uv_loop_t *loop;
	const struct ws_callbacks *callbacks;
	void *context;
	const char *const
		*paths; /* ended by NULL; all others are answered 404. Borrowed for ever */
	struct ws_limits limits;
};

/* Makes a server that doesn't listen yet (ws_server_free() it). Returns 0 or a negative errno. */
int ws_server_new(const struct ws_config *config, struct ws_server **out)
	__attribute__((warn_unused_result));

/* Listens at the numeric address. port 0 takes a free one; *bound gets the port. Returns 0 or a
 * negative errno, -EADDRINUSE when the port is taken; may then be called again. */
int ws_server_listen(struct ws_server *server, const char *address, int port, int *bound)
	__attribute__((warn_unused_result));

/* Stops listening, says 1001 to everybody and calls done(context) when all are gone, at the latest
 * after limits.close_ms. */
void ws_server_stop(struct ws_server *server, void (*done)(void *context), void *context);

/* Drops all connections and frees *server when the loop has closed its handles; clears it. NULL is
 * fine. */
void ws_server_free(struct ws_server **server);

/* Open connections; connections that were closed for being slow, since the start. */
size_t ws_server_count(const struct ws_server *server);
int64_t ws_server_slow_closed(const struct ws_server *server);

/* The server's context; the connection's own state, NULL at first. */
void *ws_conn_context(const struct ws_conn *conn);
void *ws_conn_state(const struct ws_conn *conn);
void ws_conn_set_state(struct ws_conn *conn, void *state);

/* Whether another event may be queued. */
bool ws_conn_has_room(struct ws_conn *conn);

/* Queues a frame, of which it takes a reference; it is written before the loop sleeps. tag NULL: an
 * answer. On a connection that is closing it has no effect. Returns 0 or -ENOMEM. */
int ws_conn_send(struct ws_conn *conn, struct ws_frame *frame, const void *tag)
	__attribute__((warn_unused_result));

/* Forgets the queued frames with that tag of which nothing was written yet. */
void ws_conn_drop(struct ws_conn *conn, const void *tag);

/* Whether to wait with reading what the peer sends. */
void ws_conn_hold(struct ws_conn *conn, bool hold);

/* Closes in order: answers are still sent, events are not. */
void ws_conn_close(struct ws_conn *conn, enum ws_close_code code, const char *reason);

#endif
