/* ws_conn.c - one connection, from the first byte of its request to its end.
 *
 *   HANDSHAKE --good request--> OPEN --close, from either side--> CLOSING --> DEAD
 *       |                                                            ^
 *       +--------------------- refused in HTTP ---------------------+
 *
 * wslay reads: masks, fragments, lengths, UTF-8, pings, closes. What it wants to write (pongs and
 * closes) is put into frames of our own queue, because frames must not be written into one another.
 * A connection dies only in its turn (ws_conn_turn), never within a callback that was given it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors/broadcaster/ws_internal.h"
#include "base/log.h"

#define READ_BYTES_PER_TURN ((size_t)64 * 1024)
#define LOW_WATER_BYTES	    (WS_EVENTS_MAX_BYTES / 4)
#define LOW_WATER_FRAMES    (WS_EVENTS_MAX_FRAMES / 4)

static int64_t now_ms(const struct ws_conn *conn)
{
	return (int64_t)uv_now(conn->server->config.loop);
}

void ws_conn_dirty(struct ws_conn *conn)
{
	if (conn->is_dirty)
		return;
	conn->is_dirty = true;
	TAILQ_INSERT_TAIL(&conn->server->dirty, conn, dirty);
	ws_server_wake(conn->server);
}

void ws_conn_die(struct ws_conn *conn, bool abort)
{
	conn->phase = WS_DEAD;
	conn->abort = conn->abort || abort;
	ws_conn_dirty(conn);
}

static void start_closing(struct ws_conn *conn)
{
	ws_queue_drop(conn, NULL, true);
	conn->phase = WS_CLOSING;
	conn->deadline_ms = now_ms(conn) + conn->server->config.limits.close_ms;
	ws_conn_dirty(conn);
}

/* --- what wslay writes --- */

static ssize_t on_wslay_send(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags,
			     void *user)
{
	struct ws_conn *conn = user;
	struct ws_server *server = conn->server;

	(void)flags;
	if (server->scratch_room - server->scratch_len < len) {
		size_t room = server->scratch_len + len + 4096;
		uint8_t *more = realloc(server->scratch, room);

		if (more == NULL) {
			wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
			return -1;
		}
		server->scratch = more;
		server->scratch_room = room;
	}
	memcpy(server->scratch + server->scratch_len, data, len);
	server->scratch_len += len;
	return (ssize_t)len;
}

/* Moves what wslay wants to write into the queue. Nothing may follow a close, so that one goes
 * last, and the events before it are left to a later connection. */
static void pump(struct ws_conn *conn)
{
	struct ws_server *server = conn->server;
	struct ws_frame *frame = NULL;
	int rc = 0;

	if (conn->phase == WS_DEAD || !wslay_event_want_write(conn->ws))
		return;
	server->scratch_len = 0;
	if (wslay_event_send(conn->ws) != 0)
		rc = -EIO;
	if (rc == 0 && server->scratch_len > 0)
		rc = ws_frame_raw(server->scratch, server->scratch_len, &frame);
	if (rc == 0 && frame != NULL) {
		bool closing = wslay_event_get_close_sent(conn->ws);

		if (closing)
			start_closing(conn);
		rc = ws_queue_push(conn, frame, NULL, !closing);
		ws_frame_unref(&frame);
	}
	if (rc < 0)
		ws_conn_die(conn, true);
	ws_conn_dirty(conn);
}

/* --- reading --- */

static ssize_t take_early(struct ws_conn *conn, uint8_t *buf, size_t len)
{
	size_t n = conn->early_len - conn->early_used;

	if (n > len)
		n = len;
	memcpy(buf, conn->early + conn->early_used, n);
	conn->early_used += n;
	if (conn->early_used == conn->early_len) {
		free(conn->early);
		conn->early = NULL;
	}
	return (ssize_t)n;
}

/* recv() that says -EAGAIN for "later" and another negative errno for the end. */
static ssize_t receive(struct ws_conn *conn, void *buf, size_t len)
{
	ssize_t n;

	do
		n = recv(conn->fd, buf, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		conn->pinged_ms = 0; /* whatever it is, it is a sign of life */
		return n;
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -EAGAIN;
	return n == 0 ? -ENOTCONN : -errno;
}

static ssize_t on_wslay_recv(wslay_event_context_ptr ws, uint8_t *buf, size_t len, int flags,
			     void *user)
{
	struct ws_conn *conn = user;
	ssize_t n = -EAGAIN;

	(void)flags;
	if (conn->early != NULL)
		return take_early(conn, buf, len);
	if (len > conn->read_budget)
		len = conn->read_budget;
	if (len > 0 && conn->phase != WS_DEAD && conn->answers_bytes <= WS_ANSWERS_MAX_BYTES)
		n = receive(conn, buf, len);
	if (n > 0) {
		conn->read_budget -= (size_t)n;
		return n;
	}
	conn->failed = n != -EAGAIN;
	wslay_event_set_error(ws, conn->failed ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
	return -1;
}

static void on_wslay_message(wslay_event_context_ptr ws,
			     const struct wslay_event_on_msg_recv_arg *message, void *user)
{
	struct ws_conn *conn = user;

	(void)ws;
	if (conn->phase != WS_OPEN)
		return;
	if (message->opcode == WSLAY_TEXT_FRAME)
		conn->server->config.callbacks->on_text(
			conn, message->msg_length == 0 ? "" : (const char *)message->msg,
			message->msg_length);
	else if (message->opcode == WSLAY_BINARY_FRAME)
		ws_conn_close(conn, WS_UNSUPPORTED_DATA, "text is spoken here");
}

/* A frame that RFC 6455 forbids and that wslay gave up over: it says no code, we do. */
static void protocol_error(struct ws_conn *conn)
{
	static const uint8_t code[] = {WSLAY_CODE_PROTOCOL_ERROR >> 8,
				       WSLAY_CODE_PROTOCOL_ERROR & 0xff};
	struct ws_frame *frame = NULL;

	if (conn->phase != WS_OPEN ||
	    ws_frame_new(WSLAY_CONNECTION_CLOSE, code, sizeof(code), &frame) < 0) {
		ws_conn_die(conn, true);
		return;
	}
	start_closing(conn);
	if (ws_queue_push(conn, frame, NULL, false) < 0)
		ws_conn_die(conn, true);
	ws_frame_unref(&frame);
}

static void read_frames(struct ws_conn *conn)
{
	int rc;

	conn->read_budget = READ_BYTES_PER_TURN;
	rc = wslay_event_recv(conn->ws);
	if (rc == 0)
		pump(conn);
	else if (conn->failed || rc == WSLAY_ERR_NOMEM)
		ws_conn_die(conn, false);
	else
		protocol_error(conn);
}

/* The last words are out or on their way: what still comes is not looked at, but has to be read, or
 * the kernel resets the connection and takes our last words with it. */
static void read_and_discard(struct ws_conn *conn)
{
	char buf[4096];

	for (size_t total = 0; total < READ_BYTES_PER_TURN;) {
		ssize_t n = receive(conn, buf, sizeof(buf));

		if (n == -EAGAIN)
			return;
		if (n < 0) {
			ws_conn_die(conn, false);
			return;
		}
		total += (size_t)n;
	}
}

/* --- the handshake --- */

void ws_conn_refuse(struct ws_conn *conn, int status)
{
	struct ws_frame *frame = NULL;
	char buf[512];
	size_t len = ws_handshake_refusal(status, buf, sizeof(buf));

	start_closing(conn);
	if (ws_frame_raw(buf, len, &frame) < 0 || ws_queue_push(conn, frame, NULL, false) < 0)
		ws_conn_die(conn, true);
	ws_frame_unref(&frame);
}

static int wslay_setup(struct ws_conn *conn)
{
	const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_wslay_recv,
		.send_callback = on_wslay_send,
		.on_msg_recv_callback = on_wslay_message,
	};

	if (wslay_event_context_server_init(&conn->ws, &callbacks, conn) != 0) {
		conn->ws = NULL;
		return -ENOMEM;
	}
	wslay_event_config_set_max_recv_msg_length(conn->ws, WS_MESSAGE_MAX_BYTES);
	return 0;
}

static int keep_early(struct ws_conn *conn, const char *data, size_t len)
{
	if (len == 0)
		return 0;
	conn->early = malloc(len);
	if (conn->early == NULL)
		return -ENOMEM;
	memcpy(conn->early, data, len);
	conn->early_len = len;
	conn->early_used = 0;
	return 0;
}

static int answer(struct ws_conn *conn)
{
	struct ws_frame *frame = NULL;
	char buf[WS_ANSWER_SIZE];
	int rc = ws_handshake_answer(conn->handshake, buf);

	if (rc < 0)
		return rc;
	rc = ws_frame_raw(buf, (size_t)rc, &frame);
	if (rc == 0)
		rc = ws_queue_push(conn, frame, NULL, false);
	ws_frame_unref(&frame);
	return rc;
}

static bool path_known(const struct ws_server *server, const char *path)
{
	for (const char *const *p = server->config.paths; *p != NULL; p++)
		if (strcmp(*p, path) == 0)
			return true;
	return false;
}

/* A complete request, and len bytes that came right behind it. */
static void request_done(struct ws_conn *conn, const char *behind, size_t len)
{
	const struct ws_callbacks *callbacks = conn->server->config.callbacks;
	const char *path = ws_handshake_path(conn->handshake);
	int status = path_known(conn->server, path) ? ws_handshake_status(conn->handshake) : 404;

	if (status == 0)
		status = callbacks->on_request(conn, path, ws_handshake_query(conn->handshake));
	if (status != 0) {
		ws_conn_refuse(conn, status);
		return;
	}
	conn->admitted = true;
	if (wslay_setup(conn) < 0 || answer(conn) < 0 || keep_early(conn, behind, len) < 0) {
		ws_conn_die(conn, true);
		return;
	}
	ws_handshake_free(&conn->handshake);
	conn->phase = WS_OPEN;
	conn->server->count++;
	conn->ping_at_ms = now_ms(conn) + conn->server->config.limits.ping_ms;
	callbacks->on_open(conn);
}

static void read_request(struct ws_conn *conn)
{
	char buf[4096];
	size_t used;
	ssize_t n = receive(conn, buf, sizeof(buf));

	if (n == -EAGAIN)
		return;
	if (n < 0) {
		ws_conn_die(conn, false);
		return;
	}
	switch (ws_handshake_feed(conn->handshake, buf, (size_t)n, &used)) {
	case WS_HANDSHAKE_MORE:
		break;
	case WS_HANDSHAKE_DONE:
		request_done(conn, buf + used, (size_t)n - used);
		break;
	case WS_HANDSHAKE_BAD:
		ws_conn_refuse(conn, ws_handshake_status(conn->handshake));
		break;
	}
}

/* --- a turn --- */

static bool wants_read(const struct ws_conn *conn)
{
	return conn->phase != WS_OPEN ||
	       (!conn->held && conn->answers_bytes <= WS_ANSWERS_MAX_BYTES);
}

static void conn_read(struct ws_conn *conn)
{
	if (conn->phase == WS_HANDSHAKE)
		read_request(conn);
	else if (conn->phase != WS_DEAD && conn->ws != NULL && wslay_event_want_read(conn->ws))
		read_frames(conn);
	else if (conn->phase != WS_DEAD)
		read_and_discard(conn);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct ws_conn *conn = handle->data;

	if (status < 0)
		ws_conn_die(conn, true);
	else if (events & UV_READABLE)
		conn_read(conn);
	ws_conn_turn(conn);
}

static void poll_update(struct ws_conn *conn)
{
	int events = (wants_read(conn) ? UV_READABLE : 0) | (conn->count > 0 ? UV_WRITABLE : 0);

	if (events == conn->polled)
		return;
	if (events == 0)
		(void)uv_poll_stop(&conn->poll);
	else if (uv_poll_start(&conn->poll, events, on_poll) < 0)
		ws_conn_die(conn, true);
	conn->polled = events;
}

/* Everything is written. When the peer has said goodbye too, this is the end; when it can't any
 * more, it is told that nothing follows, and gets the time to hang up. */
static void farewell(struct ws_conn *conn)
{
	if (conn->ws != NULL && wslay_event_get_close_received(conn->ws)) {
		ws_conn_die(conn, false);
	} else if (!conn->shut && (conn->ws == NULL || !wslay_event_want_read(conn->ws))) {
		conn->shut = true;
		(void)shutdown(conn->fd, SHUT_WR);
	}
}

static void conn_write(struct ws_conn *conn)
{
	int n = ws_queue_write(conn);

	if (n < 0) {
		ws_conn_die(conn, true);
		return;
	}
	if (n > 0 || conn->count == 0)
		conn->progress_ms = now_ms(conn);
	if (conn->starved && conn->events_bytes <= LOW_WATER_BYTES &&
	    conn->events_count <= LOW_WATER_FRAMES) {
		conn->starved = false;
		if (conn->phase == WS_OPEN)
			conn->server->config.callbacks->on_room(conn);
	}
	if (conn->phase == WS_CLOSING && conn->count == 0)
		farewell(conn);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void conn_free(struct ws_conn *conn)
{
	struct ws_server *server = conn->server;
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};

	TAILQ_REMOVE(&server->conns, conn, link);
	server->total--;
	if (conn->is_dirty)
		TAILQ_REMOVE(&server->dirty, conn, dirty);
	if (conn->handshake == NULL)
		server->count--; /* it was open */
	if (conn->admitted)
		server->config.callbacks->on_close(conn);
	if (conn->abort || conn->count > 0)
		(void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	ws_queue_clear(conn);
	ws_handshake_free(&conn->handshake);
	wslay_event_context_free(conn->ws);
	free(conn->early);
	uv_close((uv_handle_t *)&conn->poll, on_closed);
	(void)close(conn->fd); /* libuv has let go of it */
}

void ws_conn_turn(struct ws_conn *conn)
{
	if (conn->is_dirty) {
		TAILQ_REMOVE(&conn->server->dirty, conn, dirty);
		conn->is_dirty = false;
	}
	if (conn->phase == WS_OPEN && conn->early != NULL && wants_read(conn))
		read_frames(conn);
	if (conn->phase != WS_DEAD)
		conn_write(conn);
	if (conn->phase != WS_DEAD)
		poll_update(conn);
	if (conn->phase == WS_DEAD)
		conn_free(conn);
}

/* --- birth --- */

int ws_conn_accept(struct ws_server *server, int fd)
{
	struct ws_conn *conn = calloc(1, sizeof(*conn));
	int rc = -ENOMEM;

	if (conn == NULL || ws_handshake_new(&conn->handshake) < 0)
		goto out;
	rc = uv_poll_init(server->config.loop, &conn->poll, fd);
	if (rc < 0)
		goto out;
	conn->poll.data = conn;
	conn->server = server;
	conn->fd = fd;
	conn->phase = WS_HANDSHAKE;
	conn->deadline_ms = now_ms(conn) + server->config.limits.handshake_ms;
	conn->progress_ms = now_ms(conn);
	TAILQ_INSERT_TAIL(&server->conns, conn, link);
	server->total++;
	poll_update(conn);
	return 0;
out:
	if (conn != NULL)
		ws_handshake_free(&conn->handshake);
	free(conn);
	(void)close(fd);
	return rc;
}

int ws_conn_ping(struct ws_conn *conn)
{
	ws_conn_dirty(conn);
	return ws_queue_push(conn, conn->server->ping, NULL, true);
}

/* --- what the server's user does with it --- */

void *ws_conn_context(const struct ws_conn *conn)
{
	return conn->server->config.context;
}

void *ws_conn_state(const struct ws_conn *conn)
{
	return conn->state;
}

void ws_conn_set_state(struct ws_conn *conn, void *state)
{
	conn->state = state;
}

bool ws_conn_has_room(struct ws_conn *conn)
{
	bool room = conn->phase == WS_OPEN &&
		    (conn->events_count == 0 || (conn->events_count < WS_EVENTS_MAX_FRAMES &&
						 conn->events_bytes < WS_EVENTS_MAX_BYTES &&
						 ws_frames_bytes() < WS_FRAMES_MAX_BYTES));

	conn->starved = conn->starved || !room;
	return room;
}

int ws_conn_send(struct ws_conn *conn, struct ws_frame *frame, const void *tag)
{
	if (conn->phase != WS_OPEN)
		return 0;
	ws_conn_dirty(conn);
	return ws_queue_push(conn, frame, tag, false);
}

void ws_conn_drop(struct ws_conn *conn, const void *tag)
{
	ws_queue_drop(conn, tag, false);
}

void ws_conn_hold(struct ws_conn *conn, bool hold)
{
	conn->held = hold;
	ws_conn_dirty(conn);
}

void ws_conn_close(struct ws_conn *conn, enum ws_close_code code, const char *reason)
{
	if (conn->phase == WS_HANDSHAKE) {
		ws_conn_die(conn, false);
		return;
	}
	if (conn->phase != WS_OPEN)
		return;
	if (wslay_event_queue_close(conn->ws, (uint16_t)code, (const uint8_t *)reason,
				    strlen(reason)) != 0)
		ws_conn_die(conn, true);
	pump(conn);
}
