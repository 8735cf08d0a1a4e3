/* test_ws_handshake.c - the request that becomes a WebSocket, and those that don't. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actors/broadcaster/ws_handshake.h"

#define REST                                                                                       \
	"Host: example.org\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"           \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define REQUEST "GET /ws?a=1&b=%20x#part HTTP/1.1\r\n" REST

/* Feeds text in pieces of so many bytes. Returns the state it ends in; *used is of the last piece.
 */
static enum ws_handshake_state feed(struct ws_handshake *h, const char *text, size_t piece,
				    size_t *used)
{
	enum ws_handshake_state state = WS_HANDSHAKE_MORE;
	size_t len = strlen(text);

	for (size_t i = 0; i < len && state == WS_HANDSHAKE_MORE; i += piece)
		state = ws_handshake_feed(h, text + i, len - i < piece ? len - i : piece, used);
	return state;
}

static int status_of(const char *text)
{
	struct ws_handshake *h = NULL;
	size_t used = 0;
	int status = -1;

	assert_int_equal(ws_handshake_new(&h), 0);
	if (feed(h, text, 4096, &used) != WS_HANDSHAKE_MORE)
		status = ws_handshake_status(h);
	ws_handshake_free(&h);
	assert_null(h);
	return status;
}

static void computes_the_key_of_the_rfc(void **state)
{
	char accept[WS_ACCEPT_SIZE];

	(void)state;
	assert_int_equal(ws_accept_key("dGhlIHNhbXBsZSBub25jZQ==", accept), 0);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void takes_a_request_whole_or_in_pieces(void **state)
{
	(void)state;
	for (size_t piece = 1; piece <= strlen(REQUEST); piece++) {
		struct ws_handshake *h = NULL;
		char answer[WS_ANSWER_SIZE];
		size_t used = 0;

		assert_int_equal(ws_handshake_new(&h), 0);
		assert_int_equal(feed(h, REQUEST, piece, &used), WS_HANDSHAKE_DONE);
		assert_int_equal(ws_handshake_status(h), 0);
		assert_string_equal(ws_handshake_path(h), "/ws");
		assert_string_equal(ws_handshake_query(h), "a=1&b=%20x");
		assert_true(ws_handshake_answer(h, answer) > 0);
		assert_non_null(strstr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
		ws_handshake_free(&h);
	}
}

static void what_follows_the_request_is_not_its(void **state)
{
	struct ws_handshake *h = NULL;
	size_t used = 0;

	(void)state;
	assert_int_equal(ws_handshake_new(&h), 0);
	assert_int_equal(feed(h, REQUEST "\x81\x80", 4096, &used), WS_HANDSHAKE_DONE);
	assert_int_equal(used, strlen(REQUEST));
	ws_handshake_free(&h);
}

static void refuses_each_thing_that_is_wrong(void **state)
{
	(void)state;
	assert_int_equal(status_of("GET /ws HTTP/1.1\r\n" REST), 0);
	assert_int_equal(status_of("POST /ws HTTP/1.1\r\n" REST), 405);
	assert_int_equal(status_of("GET /ws HTTP/1.0\r\n" REST), 400);
	assert_int_equal(status_of("GET /ws HTTP/1.1\r\nHost: b\r\n" REST), 400);
	assert_int_equal(status_of("GET /ws HTTP/1.1\r\nContent-Length: 1\r\n" REST), 400);
	assert_int_equal(status_of("GET /ws HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" REST), 400);
	assert_int_equal(status_of("GET /ws HTTP/1.1\r\nSec-WebSocket-Version: 8\r\n" REST), 426);
	assert_int_equal(status_of("GET /ws HTTP/1.1\r\nSec-WebSocket-Key: x\r\n" REST), 400);
	assert_int_equal(status_of("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"), 426);
	assert_int_equal(status_of("GET http://x/ws HTTP/1.1\r\n" REST), 400);
	assert_int_equal(status_of("CONNECT x:1 HTTP/1.1\r\n" REST), 400);
	assert_int_equal(status_of("\r\n\r\nhello\r\n"), 400);
	assert_int_equal(status_of("GET /ws HTTP/1.1\r\nHost\r\n\r\n"), 400);
	assert_int_equal(status_of("GET /ws HTTP/1.1\r\nHost: x\r\n"), -1);
}

static void is_bounded(void **state)
{
	char text[3 * WS_HEADER_MAX_BYTES];
	char many[WS_TARGET_MAX_BYTES + 2];

	(void)state;
	memset(many, 'a', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	(void)snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\n" REST, many);
	assert_int_equal(status_of(text), 414);
	(void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nA: %s\r\nB: %s\r\n", many, many);
	assert_int_equal(status_of(text), 431);
	(void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s: %s\r\n" REST, many, "x");
	assert_int_equal(status_of(text), 0);
}

static void says_why_it_refuses(void **state)
{
	char buf[512];
	char small[20];
	size_t len = ws_handshake_refusal(426, buf, sizeof(buf));

	(void)state;
	assert_int_equal(strlen(buf), len);
	assert_int_equal(strncmp(buf, "HTTP/1.1 426 Upgrade Required\r\n", 31), 0);
	assert_non_null(strstr(buf, "\r\nSec-WebSocket-Version: 13\r\n"));
	assert_non_null(strstr(buf, "\r\nContent-Length: 17\r\n\r\nUpgrade Required\n"));
	assert_int_equal(ws_handshake_refusal(404, small, sizeof(small)), sizeof(small) - 1);
}

static void finds_parameters(void **state)
{
	char value[8];

	(void)state;
	assert_int_equal(ws_query_get("a=1&bb=2&b=3&b=4", "b", value, sizeof(value)), 1);
	assert_string_equal(value, "3");
	assert_int_equal(ws_query_get("a=1", "b", value, sizeof(value)), 0);
	assert_int_equal(ws_query_get("b", "b", value, sizeof(value)), 0);
	assert_int_equal(ws_query_get("&&b=&", "b", value, sizeof(value)), 1);
	assert_string_equal(value, "");
	assert_int_equal(ws_query_get("b=a+%D1%91%26", "b", value, sizeof(value)), 1);
	assert_string_equal(value, "a ё&");
	assert_int_equal(ws_query_get("b=1234567", "b", value, sizeof(value)), 1);
	assert_int_equal(ws_query_get("b=12345678", "b", value, sizeof(value)), -EINVAL);
	assert_int_equal(ws_query_get("b=%0", "b", value, sizeof(value)), -EINVAL);
	assert_int_equal(ws_query_get("b=%&c=41", "b", value, sizeof(value)), -EINVAL);
	assert_int_equal(ws_query_get("b=%00", "b", value, sizeof(value)), -EINVAL);
	assert_int_equal(ws_query_get("b=%D1", "b", value, sizeof(value)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(computes_the_key_of_the_rfc),
		cmocka_unit_test(takes_a_request_whole_or_in_pieces),
		cmocka_unit_test(what_follows_the_request_is_not_its),
		cmocka_unit_test(refuses_each_thing_that_is_wrong),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(says_why_it_refuses),
		cmocka_unit_test(finds_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
