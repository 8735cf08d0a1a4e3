/* test_ws_server.c - what time does to connections, with limits of milliseconds; on loopback, with
 * the clients' bare sockets in the same loop's thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include <cmocka.h>

#include "actors/broadcaster/ws_server.h"

#define DEADLINE_MS 5000

static const char request[] =
	"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char *const paths[] = {"/ws", NULL};

static struct {
	uv_loop_t loop;
	struct ws_server *server;
	int port;
	struct ws_conn *conn; /* the one opened last, while it lives */
	int opened, closed, rooms, texts;
	bool stopped;
	char heard[256];
} world;

static int on_request(struct ws_conn *conn, const char *path, const char *query)
{
	(void)conn;
	(void)path;
	return strcmp(query, "no") == 0 ? 403 : 0;
}

static void on_open(struct ws_conn *conn)
{
	world.conn = conn;
	world.opened++;
}

static void on_text(struct ws_conn *conn, const char *text, size_t len)
{
	(void)conn;
	(void)snprintf(world.heard, sizeof(world.heard), "%.*s", (int)len, text);
	world.texts++;
}

static void on_room(struct ws_conn *conn)
{
	assert_true(ws_conn_has_room(conn));
	world.rooms++;
}

static void on_close(struct ws_conn *conn)
{
	if (world.conn == conn)
		world.conn = NULL;
	world.closed++;
}

static void on_stopped(void *context)
{
	assert_ptr_equal(context, &world);
	world.stopped = true;
}

static const struct ws_callbacks callbacks = {
	.on_request = on_request,
	.on_open = on_open,
	.on_text = on_text,
	.on_room = on_room,
	.on_close = on_close,
};

static int start(const struct ws_limits *limits)
{
	struct ws_config config = {
		.loop = &world.loop,
		.callbacks = &callbacks,
		.paths = paths,
		.limits = *limits,
	};

	memset(&world, 0, sizeof(world));
	assert_int_equal(uv_loop_init(&world.loop), 0);
	assert_int_equal(ws_server_new(&config, &world.server), 0);
	return ws_server_listen(world.server, "127.0.0.1", 0, &world.port);
}

static void finish(void)
{
	ws_server_free(&world.server);
	(void)uv_run(&world.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world.loop), 0);
	assert_int_equal(ws_frames_bytes(), 0);
}

/* Turns the loop until *value is at least `wanted`. */
static void wait_for(const int *value, int wanted)
{
	uint64_t deadline = uv_hrtime() / 1000000 + DEADLINE_MS;

	while (*value < wanted) {
		assert_true(uv_hrtime() / 1000000 < deadline);
		(void)uv_run(&world.loop, UV_RUN_ONCE);
	}
}

static int client(const char *text, int receive_buffer)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)world.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (receive_buffer > 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer,
				 sizeof(receive_buffer));
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return fd;
}

/* A client whose WebSocket is open and whose answer 101 is read. */
static int open_client(int receive_buffer)
{
	int opened = world.opened;
	int fd = client(request, receive_buffer);
	char head[512];
	ssize_t n = -1;

	wait_for(&world.opened, opened + 1);
	while (n < 0) {
		(void)uv_run(&world.loop, UV_RUN_NOWAIT);
		n = recv(fd, head, sizeof(head), 0);
	}
	assert_int_equal(strncmp(head, "HTTP/1.1 101 ", 13), 0);
	return fd;
}

/* Turns the loop until n bytes can be read. Returns how many there were before the end. */
static size_t read_some(int fd, char *buf, size_t n)
{
	uint64_t deadline = uv_hrtime() / 1000000 + DEADLINE_MS;
	size_t got = 0;

	while (got < n) {
		ssize_t rc = recv(fd, buf + got, n - got, 0);

		if (rc > 0)
			got += (size_t)rc;
		else if (rc == 0 || errno == ECONNRESET)
			return got;
		assert_true(uv_hrtime() / 1000000 < deadline);
		(void)uv_run(&world.loop, UV_RUN_NOWAIT);
	}
	return got;
}

static void say(int fd, const char *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

static void queue(struct ws_conn *conn, const char *text, const void *tag)
{
	struct ws_frame *frame = NULL;

	assert_int_equal(ws_frame_new(WSLAY_TEXT_FRAME, text, strlen(text), &frame), 0);
	assert_int_equal(ws_conn_send(conn, frame, tag), 0);
	ws_frame_unref(&frame);
}

/* --- time
 * -------------------------------------------------------------------------------------------- */

static void who_answers_pings_stays_and_who_does_not_is_dropped(void **state)
{
	const struct ws_limits limits = {.handshake_ms = 9000,
					 .ping_ms = 300,
					 .pong_ms = 1000,
					 .stall_ms = 9000,
					 .close_ms = 200,
					 .connections_max = 9};
	int alive;
	int silent;
	char ping[2];

	(void)state;
	assert_int_equal(start(&limits), 0);
	silent = open_client(0);
	alive = open_client(0);
	while (world.closed == 0) {
		if (recv(alive, ping, 2, 0) == 2) {
			assert_memory_equal(ping, "\x89\x00", 2);
			say(alive, "\x8a\x80\x01\x02\x03\x04", 6);
		}
		(void)uv_run(&world.loop, UV_RUN_ONCE);
	}
	assert_non_null(world.conn);
	assert_int_equal(ws_server_count(world.server), 1);
	assert_int_equal(ws_server_slow_closed(world.server), 0);
	(void)close(silent);
	(void)close(alive);
	finish();
}

static void who_takes_nothing_of_what_is_queued_is_closed(void **state)
{
	const struct ws_limits limits = {.handshake_ms = 9000,
					 .ping_ms = 9000,
					 .pong_ms = 9000,
					 .stall_ms = 600,
					 .close_ms = 200,
					 .connections_max = 9};
	static char text[100001];
	int fd;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(start(&limits), 0);
	fd = open_client(4096);
	while (ws_conn_has_room(world.conn))
		queue(world.conn, text, text);
	assert_true(ws_frames_bytes() >= WS_EVENTS_MAX_BYTES);
	assert_true(ws_frames_bytes() < WS_EVENTS_MAX_BYTES + 2 * sizeof(text));
	wait_for(&world.closed, 1);
	assert_int_equal(ws_server_slow_closed(world.server), 1);
	assert_int_equal(world.rooms, 0);
	(void)close(fd);
	finish();
}

static void who_reads_slowly_is_not(void **state)
{
	const struct ws_limits limits = {.handshake_ms = 9000,
					 .ping_ms = 100,
					 .pong_ms = 1500,
					 .stall_ms = 1500,
					 .close_ms = 200,
					 .connections_max = 9};
	static char text[100001];
	static char got[5000000];
	size_t total = 0;
	int fd;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(start(&limits), 0);
	fd = open_client(4096);
	while (ws_conn_has_room(world.conn)) {
		queue(world.conn, text, text);
		total += sizeof(text) - 1 + 10;
	}
	while (world.rooms == 0 && world.closed == 0) { /* far longer than any of the limits */
		uint64_t until = uv_hrtime() + 20 * 1000000;

		(void)read_some(fd, got, 10000);
		while (uv_hrtime() < until)
			(void)uv_run(&world.loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(world.closed, 0);
	assert_int_equal(ws_server_slow_closed(world.server), 0);
	assert_true(ws_frames_bytes() < total / 2);
	(void)close(fd);
	wait_for(&world.closed, 1);
	finish();
}

static void a_request_has_its_time(void **state)
{
	const struct ws_limits limits = {.handshake_ms = 300,
					 .ping_ms = 9000,
					 .pong_ms = 9000,
					 .stall_ms = 9000,
					 .close_ms = 200,
					 .connections_max = 9};
	char answer[512] = "";
	int fd;

	(void)state;
	assert_int_equal(start(&limits), 0);
	fd = client("GET /ws HT", 0);
	assert_true(read_some(fd, answer, sizeof(answer) - 1) > 0);
	assert_int_equal(strncmp(answer, "HTTP/1.1 408 ", 13), 0);
	assert_int_equal(world.opened + world.closed, 0);
	(void)close(fd);
	finish();
}

static void a_stop_takes_no_longer_than_the_closing_may(void **state)
{
	const struct ws_limits limits = {.handshake_ms = 9000,
					 .ping_ms = 9000,
					 .pong_ms = 9000,
					 .stall_ms = 9000,
					 .close_ms = 500,
					 .connections_max = 9};
	int polite;
	int deaf;
	int half;
	char got[64];
	uint64_t began;
	uint64_t took;

	(void)state;
	assert_int_equal(start(&limits), 0);
	deaf = open_client(0);
	polite = open_client(0);
	half = client("GET ", 0);
	(void)uv_run(&world.loop, UV_RUN_ONCE);
	began = uv_hrtime();
	ws_server_stop(world.server, on_stopped, &world);
	assert_int_equal(read_some(polite, got, 4), 4);
	assert_memory_equal(got, "\x88\x0c\x03\xe9", 4); /* close, 1001 */
	say(polite, "\x88\x82\x00\x00\x00\x00\x03\xe9", 8);
	assert_int_equal(read_some(polite, got, sizeof(got)), 10);
	wait_for(&world.closed, 1);
	assert_false(world.stopped);
	while (!world.stopped)
		(void)uv_run(&world.loop, UV_RUN_ONCE);
	took = (uv_hrtime() - began) / 1000000;
	assert_true(took >= 500 && took < 1000);
	assert_int_equal(world.closed, 2);
	(void)close(deaf);
	(void)close(polite);
	(void)close(half);
	finish();
}

/* --- queues and limits
 * -------------------------------------------------------------------------------- */

static const struct ws_limits patient = {.handshake_ms = 9000,
					 .ping_ms = 9000,
					 .pong_ms = 9000,
					 .stall_ms = 9000,
					 .close_ms = 200,
					 .connections_max = 2};

static void answers_are_sent_before_a_close_and_events_are_not(void **state)
{
	char got[64];
	int fd;

	(void)state;
	assert_int_equal(start(&patient), 0);
	fd = open_client(0);
	queue(world.conn, "event", got);
	queue(world.conn, "answer", NULL);
	ws_conn_close(world.conn, WS_POLICY_VIOLATION, "");
	queue(world.conn, "late", NULL);
	assert_int_equal(read_some(fd, got, 12), 12);
	assert_memory_equal(got,
			    "\x81\x06"
			    "answer\x88\x02\x03\xf0",
			    12);
	assert_int_equal(read_some(fd, got, sizeof(got)), 0);
	wait_for(&world.closed, 1);
	(void)close(fd);
	finish();
}

static void frames_are_dropped_by_their_tag(void **state)
{
	const int a = 0;
	const int b = 0;
	char got[16];
	int fd;

	(void)state;
	assert_int_equal(start(&patient), 0);
	fd = open_client(0);
	for (int i = 0; i < 20; i++)
		queue(world.conn, i % 2 == 0 ? "a" : "b", i % 2 == 0 ? &a : &b);
	queue(world.conn, "c", NULL);
	ws_conn_drop(world.conn, &a);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(read_some(fd, got, 3), 3);
		assert_memory_equal(got,
				    "\x81\x01"
				    "b",
				    3);
	}
	assert_int_equal(read_some(fd, got, 3), 3);
	assert_memory_equal(got,
			    "\x81\x01"
			    "c",
			    3);
	(void)close(fd);
	finish();
}

static void a_held_connection_is_not_read_from(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(start(&patient), 0);
	fd = open_client(0);
	ws_conn_hold(world.conn, true);
	(void)uv_run(&world.loop, UV_RUN_NOWAIT);
	say(fd, "\x81\x82\x00\x00\x00\x00hi", 8);
	for (int i = 0; i < 50; i++)
		(void)uv_run(&world.loop, UV_RUN_NOWAIT);
	assert_int_equal(world.texts, 0);
	ws_conn_hold(world.conn, false);
	wait_for(&world.texts, 1);
	assert_string_equal(world.heard, "hi");
	(void)close(fd);
	finish();
}

static void turns_away_whom_there_is_no_place_for(void **state)
{
	char answer[512] = "";
	int fds[3];

	(void)state;
	assert_int_equal(start(&patient), 0);
	fds[0] = open_client(0);
	fds[1] = open_client(0);
	fds[2] = client("", 0);
	assert_true(read_some(fds[2], answer, sizeof(answer) - 1) > 0);
	assert_int_equal(strncmp(answer, "HTTP/1.1 503 ", 13), 0);
	(void)close(fds[0]);
	wait_for(&world.closed, 1);
	(void)close(fds[2]);
	fds[2] = open_client(0);
	assert_int_equal(ws_server_count(world.server), 2);
	(void)close(fds[1]);
	(void)close(fds[2]);
	finish();
}

static void a_refused_request_is_owed_no_close(void **state)
{
	char answer[512] = "";
	char text[sizeof(request) + 8];
	int fd;

	(void)state;
	(void)snprintf(text, sizeof(text), "GET /ws?no%s", request + 7);
	assert_int_equal(start(&patient), 0);
	fd = client(text, 0);
	assert_true(read_some(fd, answer, sizeof(answer) - 1) > 0);
	assert_int_equal(strncmp(answer, "HTTP/1.1 403 ", 13), 0);
	assert_int_equal(world.opened + world.closed, 0);
	(void)close(fd);
	finish();
	assert_int_equal(world.closed, 0);
}

static void says_why_it_cannot_listen(void **state)
{
	struct ws_server *second = NULL;
	const struct ws_config config = {
		.callbacks = &callbacks, .paths = paths, .limits = patient, .loop = &world.loop};
	int port = 0;
	int rc;

	(void)state;
	assert_int_equal(start(&patient), 0);
	assert_int_equal(ws_server_new(&config, &second), 0);
	assert_int_equal(ws_server_listen(second, "127.0.0.1", world.port, &port), -EADDRINUSE);
	assert_int_equal(ws_server_listen(second, "no address", 0, &port), -EINVAL);
	rc = ws_server_listen(second, "::1", 0, &port);
	assert_true(rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT || (rc == 0 && port > 0));
	ws_server_free(&second);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_answers_pings_stays_and_who_does_not_is_dropped),
		cmocka_unit_test(who_takes_nothing_of_what_is_queued_is_closed),
		cmocka_unit_test(who_reads_slowly_is_not),
		cmocka_unit_test(a_request_has_its_time),
		cmocka_unit_test(a_stop_takes_no_longer_than_the_closing_may),
		cmocka_unit_test(answers_are_sent_before_a_close_and_events_are_not),
		cmocka_unit_test(frames_are_dropped_by_their_tag),
		cmocka_unit_test(a_held_connection_is_not_read_from),
		cmocka_unit_test(turns_away_whom_there_is_no_place_for),
		cmocka_unit_test(a_refused_request_is_owed_no_close),
		cmocka_unit_test(says_why_it_cannot_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
