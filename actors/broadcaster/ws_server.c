/* ws_server.c - see ws_server.h. Here: the listening socket, the passing of time, start and stop.
 */
#include "actors/broadcaster/ws_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors/broadcaster/ws_internal.h"
#include "base/log.h"

#define BACKLOG		 1024
#define ACCEPTS_PER_TURN 64
#define SWEEP_MS	 200
#define UNSENT_BYTES	 (128 * 1024)
#define SPARE_FILES	 128 /* for the mailbox, the store, the BFF */

const struct ws_limits ws_limits_default = {
	.handshake_ms = 5000,
	.ping_ms = 30000,
	.pong_ms = 60000,
	.stall_ms = 60000,
	.close_ms = 1000,
};

/* --- the passing of time --- */

static void check_open(struct ws_conn *conn, const struct ws_limits *limits, int64_t now)
{
	bool stalled = conn->count > 0 && now - conn->progress_ms >= limits->stall_ms;

	if (stalled) {
		conn->server->slow_closed++;
		log_info("ws.too_slow", "queued=%zu", conn->count);
		ws_conn_close(conn, WS_TRY_AGAIN_LATER, "too slow: come back with after=");
		return;
	}
	/* Who takes what is queued is alive, though its pong waits behind that. */
	if (conn->pinged_ms != 0 && now - conn->pinged_ms >= limits->pong_ms &&
	    (conn->count == 0 || now - conn->progress_ms >= limits->pong_ms)) {
		log_debug("ws.silent", "ms=%lld", (long long)(now - conn->pinged_ms));
		ws_conn_die(conn, true);
		return;
	}
	if (now < conn->ping_at_ms)
		return;
	conn->ping_at_ms = now + limits->ping_ms;
	if (conn->pinged_ms == 0)
		conn->pinged_ms = now;
	if (ws_conn_ping(conn) < 0)
		ws_conn_die(conn, true);
}

static void check(struct ws_conn *conn, const struct ws_limits *limits, int64_t now)
{
	switch (conn->phase) {
	case WS_HANDSHAKE:
		if (now >= conn->deadline_ms)
			ws_conn_refuse(conn, 408);
		break;
	case WS_OPEN:
		check_open(conn, limits, now);
		break;
	case WS_CLOSING:
		if (now >= conn->deadline_ms)
			ws_conn_die(conn, false);
		break;
	case WS_DEAD:
		break;
	}
}

static void check_stopped(struct ws_server *server)
{
	void (*stopped)(void *context) = server->stopped;

	if (stopped == NULL || !TAILQ_EMPTY(&server->conns))
		return;
	server->stopped = NULL;
	(void)uv_timer_stop(&server->sweep);
	stopped(server->stopped_context);
}

static void on_connection(uv_poll_t *handle, int status, int events);
static void on_sweep(uv_timer_t *timer);

/* Whoever was made dirty since the last time has its turn; who is made dirty now has it too. */
static void on_flush(uv_idle_t *idle)
{
	struct ws_server *server = idle->data;
	struct ws_conn *conn;

	while ((conn = TAILQ_FIRST(&server->dirty)) != NULL)
		ws_conn_turn(conn);
	(void)uv_idle_stop(idle);
	check_stopped(server);
}

void ws_server_wake(struct ws_server *server)
{
	(void)uv_idle_start(&server->flush, on_flush); /* no effect when it is active */
}

static void on_sweep(uv_timer_t *timer)
{
	struct ws_server *server = timer->data;
	int64_t now = (int64_t)uv_now(server->config.loop);
	struct ws_conn *conn;

	TAILQ_FOREACH (conn, &server->conns, link)
		check(conn, &server->config.limits, now);
	if (server->accept_paused && server->listen_fd >= 0) {
		server->accept_paused = false;
		(void)uv_poll_start(&server->listener, UV_READABLE, on_connection);
	}
}

/* --- listening --- */

/* What the kernel holds unsent for a slow reader is kept small: events wait in our queue, where
 * they are shared, and behind it in the store. */
static void socket_options(int fd)
{
	const int on = 1;
	const int unsent = UNSENT_BYTES;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

/* The word to somebody who comes when the house is full. He may miss it: nobody waits for him. */
static void turn_away(int fd)
{
	char buf[512];
	size_t len = ws_handshake_refusal(503, buf, sizeof(buf));

	(void)send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(fd, SHUT_WR);
	(void)close(fd);
}

/* Out of descriptors or memory: those who knock wait in the backlog until the next sweep. */
static void pause_accepting(struct ws_server *server, int error)
{
	if (!server->accept_paused)
		log_warn("ws.accept_paused", "error=%s", strerror(error));
	server->accept_paused = true;
	(void)uv_poll_stop(&server->listener);
}

static void on_connection(uv_poll_t *handle, int status, int events)
{
	struct ws_server *server = handle->data;

	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (fd < 0) {
			pause_accepting(server, errno);
			return;
		}
		socket_options(fd);
		if (server->total >= server->config.limits.connections_max)
			turn_away(fd);
		else if (ws_conn_accept(server, fd) < 0)
			log_warn("ws.refused", "error=no memory");
	}
}

static int bound_port(int fd, int *port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {0};
	socklen_t len = sizeof(address);

	if (getsockname(fd, &address.any, &len) < 0)
		return -errno;
	*port = ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port
							: address.v4.sin_port);
	return 0;
}

static int open_listener(const char *address, int port, int *out)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *info = NULL;
	const int on = 1;
	char service[16];
	int fd = -1;
	int rc = -EINVAL;

	(void)snprintf(service, sizeof(service), "%d", port);
	if (getaddrinfo(address, service, &hints, &info) != 0)
		return -EINVAL;
	fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		rc = -errno;
		goto out;
	}
	*out = fd;
	fd = -1;
	rc = 0;
out:
	freeaddrinfo(info);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

int ws_server_listen(struct ws_server *server, const char *address, int port, int *bound)
{
	int fd = -1;
	int rc = open_listener(address, port, &fd);

	if (rc < 0)
		return rc;
	rc = bound_port(fd, bound);
	if (rc == 0)
		rc = uv_poll_init(server->config.loop, &server->listener, fd);
	if (rc < 0) {
		(void)close(fd);
		return rc;
	}
	server->handles++;
	server->listener.data = server;
	server->listen_fd = fd;
	(void)uv_poll_start(&server->listener, UV_READABLE, on_connection);
	return 0;
}

/* --- birth and end --- */

/* As many as there are descriptors for. */
static size_t connections_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 256;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < (rlim_t)2 * SPARE_FILES)
		return SPARE_FILES / 2;
	return (size_t)limit.rlim_cur - SPARE_FILES;
}

int ws_server_new(const struct ws_config *config, struct ws_server **out)
{
	struct ws_server *server = calloc(1, sizeof(*server));
	int rc = -ENOMEM;

	if (server == NULL)
		return -ENOMEM;
	rc = ws_frame_new(WSLAY_PING, NULL, 0, &server->ping);
	if (rc < 0) {
		free(server);
		return rc;
	}
	server->config = *config;
	if (server->config.limits.connections_max == 0)
		server->config.limits.connections_max = connections_max();
	TAILQ_INIT(&server->conns);
	TAILQ_INIT(&server->dirty);
	server->listen_fd = -1;
	(void)uv_timer_init(config->loop, &server->sweep); /* these cannot fail */
	(void)uv_idle_init(config->loop, &server->flush);
	server->sweep.data = server->flush.data = server;
	(void)uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	server->handles = 2;
	*out = server;
	return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct ws_server *server = handle->data;

	if (--server->handles == 0)
		free(server);
}

/* The listener's memory is the server's: a stopped one keeps its closed handle until the end. */
static void stop_listening(struct ws_server *server)
{
	if (server->listen_fd < 0)
		return;
	(void)uv_poll_stop(&server->listener);
	(void)close(server->listen_fd);
	server->listen_fd = -1;
	uv_close((uv_handle_t *)&server->listener, on_handle_closed);
}

void ws_server_stop(struct ws_server *server, void (*done)(void *context), void *context)
{
	struct ws_conn *conn;

	stop_listening(server);
	TAILQ_FOREACH (conn, &server->conns, link)
		ws_conn_close(conn, WS_GOING_AWAY, "going away");
	server->stopped = done;
	server->stopped_context = context;
	ws_server_wake(server);
}

void ws_server_free(struct ws_server **server)
{
	struct ws_server *s = *server;
	struct ws_conn *conn;

	if (s == NULL)
		return;
	*server = NULL;
	stop_listening(s);
	while ((conn = TAILQ_FIRST(&s->conns)) != NULL) {
		ws_conn_die(conn, false);
		ws_conn_turn(conn);
	}
	ws_frame_unref(&s->ping);
	free(s->scratch);
	uv_close((uv_handle_t *)&s->sweep, on_handle_closed);
	uv_close((uv_handle_t *)&s->flush, on_handle_closed);
}

size_t ws_server_count(const struct ws_server *server)
{
	return server->count;
}

int64_t ws_server_slow_closed(const struct ws_server *server)
{
	return server->slow_closed;
}
