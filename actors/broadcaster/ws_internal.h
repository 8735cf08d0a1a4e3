/* ws_internal.h - what ws_server.c (listening, time) and ws_conn.c (one connection) share. */
#ifndef BROADCASTER_WS_INTERNAL_H
#define BROADCASTER_WS_INTERNAL_H

#include <sys/queue.h>
#include <wslay/wslay.h>

#include "actors/broadcaster/ws_handshake.h"
#include "actors/broadcaster/ws_server.h"

enum ws_phase {
	WS_HANDSHAKE, /* the request is being read */
	WS_OPEN,
	WS_CLOSING, /* the last words are queued: a close frame, or a refusal in HTTP */
	WS_DEAD,    /* to be freed as soon as nobody is in the middle of it */
};

/* A queued frame. */
struct ws_out {
	struct ws_frame *frame;
	const void *tag; /* NULL: an answer or a control frame */
};

struct ws_conn {
	struct ws_server *server;
	TAILQ_ENTRY(ws_conn) link;  /* in server->conns */
	TAILQ_ENTRY(ws_conn) dirty; /* in server->dirty when is_dirty */
	bool is_dirty;
	uv_poll_t poll;
	int polled; /* the events polled for */
	int fd;
	enum ws_phase phase;
	bool admitted; /* on_request returned 0: on_close is owed */
	bool held;
	bool shut;    /* nothing will be written any more, the peer may hang up */
	bool abort;   /* reset rather than finish */
	bool failed;  /* the socket did, within wslay's reading */
	bool starved; /* ws_conn_has_room() said no */
	void *state;

	struct ws_handshake *handshake; /* NULL after it */
	wslay_event_context_ptr ws;	/* NULL before it */
	char *early;			/* what came right behind the request */
	size_t early_len, early_used;
	size_t read_budget; /* bytes to read in this turn of the loop */

	struct ws_out *queue; /* a ring of room entries */
	size_t room, first, count;
	size_t written; /* of the first frame */
	size_t answers_bytes;
	size_t events_bytes, events_count;

	int64_t deadline_ms; /* of the handshake, or of the closing */
	int64_t ping_at_ms;
	int64_t pinged_ms;   /* a sign of life is awaited since; 0: it came */
	int64_t progress_ms; /* when the peer last took something, or had nothing to take */
};

TAILQ_HEAD(ws_conns, ws_conn);

struct ws_server {
	struct ws_config config;
	struct ws_conns conns;
	struct ws_conns dirty;
	size_t total; /* connections, whatever their phase */
	size_t count; /* that were opened */
	int64_t slow_closed;
	struct ws_frame *ping;
	uv_timer_t sweep;
	uv_idle_t flush; /* active while somebody is dirty */
	uv_poll_t listener;
	int listen_fd; /* -1: not listening */
	bool accept_paused;
	void (*stopped)(void *context); /* not NULL: stopping */
	void *stopped_context;
	unsigned handles; /* that still have to close before the memory may go */
	uint8_t *scratch; /* what wslay wants to write, on its way into a frame */
	size_t scratch_len, scratch_room;
};

/* ws_server.c: those who are dirty get their turn before the loop sleeps. */
void ws_server_wake(struct ws_server *server);

/* ws_conn.c. A new connection takes fd, also on failure. */
int ws_conn_accept(struct ws_server *server, int fd);
void ws_conn_dirty(struct ws_conn *conn);
void ws_conn_turn(struct ws_conn *conn); /* writes, and does what its phase asks for */
void ws_conn_die(struct ws_conn *conn, bool abort);
void ws_conn_refuse(struct ws_conn *conn, int status);
int ws_conn_ping(struct ws_conn *conn);

/* ws_queue.c: the frames that wait to be written. */
int ws_queue_push(struct ws_conn *conn, struct ws_frame *frame, const void *tag, bool urgent);
void ws_queue_drop(struct ws_conn *conn, const void *tag, bool all_events);
void ws_queue_clear(struct ws_conn *conn);
int ws_queue_write(struct ws_conn *conn);

#endif
