/* body.c - a body read to its end or its limit; see body.h. */
#include "gateway/body.h"

#include <civetweb.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

#define CHUNK_BYTES	  16384
#define DISCARD_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define DISCARD_MAX_MS	  2000

static bool is_chunked(const struct mg_connection *conn)
{
	return mg_get_header(conn, "Transfer-Encoding") != NULL;
}

/* civetweb takes the first of several headers, ignores what follows the digits of a length, and
 * does not see headers beyond its maximum. */
bool body_framing_is_clear(const struct mg_connection *conn)
{
	const struct mg_request_info *info = mg_get_request_info(conn);
	int framings = 0;

	if (info->num_headers >= MG_MAX_HEADERS)
		return false;
	for (int i = 0; i < info->num_headers; i++) {
		const struct mg_header *h = &info->http_headers[i];

		if (strcasecmp(h->name, "Transfer-Encoding") == 0) {
			framings++;
		} else if (strcasecmp(h->name, "Content-Length") == 0) {
			framings++;
			if (h->value[0] == '\0' || h->value[strspn(h->value, "0123456789")] != '\0')
				return false;
		}
	}
	return framings <= 1;
}

static void ask_for_it(struct mg_connection *conn)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *expect = mg_get_header(conn, "Expect");

	if (expect != NULL && strcasecmp(expect, "100-continue") == 0)
		(void)mg_write(conn, go_on, sizeof(go_on) - 1); /* the read will tell */
}

/* civetweb waits for all of it; what it gives up on has ended, or takes too long. */
static int read_counted(struct mg_connection *conn, size_t expected, struct body *out)
{
	int n;

	out->data = malloc(expected + 1);
	if (out->data == NULL)
		return -ENOMEM;
	n = mg_read(conn, out->data, expected);
	if (n < 0 || (size_t)n != expected)
		return -EPROTO;
	out->data[expected] = '\0';
	out->len = expected;
	return 0;
}

static int make_room(struct body *body, size_t *room)
{
	size_t wanted = *room == 0 ? CHUNK_BYTES : *room * 2;
	char *grown;

	if (*room - body->len > CHUNK_BYTES)
		return 0;
	grown = realloc(body->data, wanted + CHUNK_BYTES + 1);
	if (grown == NULL)
		return -ENOMEM;
	body->data = grown;
	*room = wanted + CHUNK_BYTES;
	return 0;
}

static int read_chunked(struct mg_connection *conn, size_t max_bytes, struct body *out)
{
	size_t room = 0;
	int n;

	do {
		int rc = make_room(out, &room);

		if (rc < 0)
			return rc;
		n = mg_read(conn, out->data + out->len, CHUNK_BYTES);
		if (n < 0)
			return -EPROTO;
		out->len += (size_t)n;
		if (out->len > max_bytes)
			return -EMSGSIZE;
	} while (n > 0);
	out->data[out->len] = '\0';
	return 0;
}

int body_read(struct mg_connection *conn, size_t max_bytes, struct body *out)
{
	const long long length = mg_get_request_info(conn)->content_length;
	int rc;

	*out = (struct body){0};
	if (is_chunked(conn)) {
		ask_for_it(conn);
		rc = read_chunked(conn, max_bytes, out);
	} else if (length <= 0) {
		return 0;
	} else if ((unsigned long long)length > max_bytes) {
		return -EMSGSIZE;
	} else {
		ask_for_it(conn);
		rc = read_counted(conn, (size_t)length, out);
	}
	if (rc < 0)
		body_fini(out);
	return rc;
}

void body_discard(struct mg_connection *conn)
{
	const int64_t until_ms = clock_mono_ms() + DISCARD_MAX_MS;
	char chunk[CHUNK_BYTES];
	size_t total = 0;
	int n;

	do {
		n = mg_read(conn, chunk, sizeof(chunk));
		total += n > 0 ? (size_t)n : 0;
	} while (n > 0 && total < DISCARD_MAX_BYTES && clock_mono_ms() < until_ms);
}

void body_fini(struct body *body)
{
	free(body->data);
	*body = (struct body){0};
}
