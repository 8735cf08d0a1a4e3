/* fuzz_websocket.c - a libFuzzer target for what a stranger may send to WS_PORT: the request, its
 * query string, and the messages. (Frames are wslay's; tests/integration throws random ones at the
 * port.)
 *
 * The first byte chooses what the rest is.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "actors/broadcaster/ws_handshake.h"
#include "actors/broadcaster/ws_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer reports what ends by abort(). */
static void demand(bool truth)
{
	if (!truth)
		abort();
}

/* How a request ends that is fed in pieces of so many bytes. Gives its handshake. */
static enum ws_handshake_state feed(const char *text, size_t len, size_t piece,
				    struct ws_handshake **h)
{
	enum ws_handshake_state state = WS_HANDSHAKE_MORE;

	demand(ws_handshake_new(h) == 0);
	for (size_t i = 0; i < len && state == WS_HANDSHAKE_MORE; i += piece) {
		size_t n = len - i < piece ? len - i : piece;
		size_t used = 0;

		state = ws_handshake_feed(*h, text + i, n, &used);
		demand(used <= n);
	}
	return state;
}

/* However it is cut, a request means the same. */
static void request(const char *text, size_t len)
{
	struct ws_handshake *whole = NULL;
	struct ws_handshake *bytes = NULL;
	enum ws_handshake_state state = feed(text, len, len + 1, &whole);

	demand(feed(text, len, 1, &bytes) == state);
	if (state == WS_HANDSHAKE_DONE) {
		char answer[WS_ANSWER_SIZE];

		demand(ws_handshake_status(whole) == ws_handshake_status(bytes));
		demand(strcmp(ws_handshake_path(whole), ws_handshake_path(bytes)) == 0);
		demand(strcmp(ws_handshake_query(whole), ws_handshake_query(bytes)) == 0);
		if (ws_handshake_status(whole) == 0)
			demand(ws_handshake_answer(whole, answer) > 0);
	}
	ws_handshake_free(&whole);
	ws_handshake_free(&bytes);
}

static void query(const char *text, size_t len)
{
	static const struct plain_door door = {.sessions = {.bytes = "key", .set = true}};
	char *copy = strndup(text, len);
	struct plain_hello hello;
	int rc;

	demand(copy != NULL);
	rc = plain_hello_read(&door, copy, 0, &hello);
	demand(rc == 0 || rc == -EINVAL || rc == -EACCES);
	if (rc == 0 && hello.user_id[0] != '\0')
		demand(strlen(hello.user_id) == UUID_SIZE - 1);
	free(copy);
}

/* Whatever is said, the answer is JSON. */
static void message(const char *text, size_t len)
{
	struct plain_wish wish;
	json_t *answer;

	if (plain_read(text, len, "client", 0, &wish) < 0)
		return; /* wslay lets through only what is UTF-8; this was not */
	demand(wish.answer != NULL || wish.after >= 0);
	if (wish.answer == NULL)
		return;
	answer = json_loads(wish.answer, JSON_ALLOW_NUL, NULL);
	demand(json_is_object(answer));
	json_decref(answer);
	free(wish.answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;

	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		request(text, size - 1);
		break;
	case 1:
		query(text, size - 1);
		break;
	default:
		message(text, size - 1);
		break;
	}
	return 0;
}
