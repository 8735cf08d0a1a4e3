/* ws_handshake.c - see ws_handshake.h. The parsing is http_parser's; here is what RFC 6455 demands
 * of the result. */
#include "actors/broadcaster/ws_handshake.h"

#include <ctype.h>
#include <errno.h>
#include <http_parser.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "proto/codec.h"

#define NAME_SIZE  32  /* no header that matters has a longer name */
#define VALUE_SIZE 256 /* nor, honestly meant, a longer value */
#define KEY_LEN	   24  /* base64 of 16 bytes */
#define RFC_GUID   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct ws_handshake {
	http_parser parser;
	size_t total; /* bytes of the request so far */
	bool complete;
	int status;
	char target[WS_TARGET_MAX_BYTES + 1];
	size_t target_len;
	char *query; /* within target */
	/* the header being read */
	char name[NAME_SIZE];
	size_t name_len;
	char value[VALUE_SIZE];
	size_t value_len;
	bool in_value;
	/* what was found */
	char key[KEY_LEN + 1];
	unsigned keys, versions, hosts;
	bool upgrade, connection, version_13, body;
};

/* The first complaint is the one that is answered. */
static void complain(struct ws_handshake *h, int status)
{
	if (h->status == 0)
		h->status = status;
}

/* Whether the comma-separated list has token in it, whatever the case. */
static bool list_has(const char *list, const char *token)
{
	size_t len = strlen(token);

	while (*list != '\0') {
		size_t item;

		list += strspn(list, " \t,");
		item = strcspn(list, " \t,");
		if (item == len && strncasecmp(list, token, len) == 0)
			return true;
		list += item;
	}
	return false;
}

/* 24 characters of base64 that stand for 16 bytes: 22 of the alphabet and two '='. */
static bool key_valid(const char *key)
{
	const size_t body = KEY_LEN - 2;

	if (strlen(key) != KEY_LEN || strcmp(key + body, "==") != 0)
		return false;
	for (size_t i = 0; i < body; i++)
		if (!isalnum((unsigned char)key[i]) && key[i] != '+' && key[i] != '/')
			return false;
	return true;
}

static void header_end(struct ws_handshake *h)
{
	const char *value = h->value;

	if (strcasecmp(h->name, "Upgrade") == 0) {
		h->upgrade = h->upgrade || list_has(value, "websocket");
	} else if (strcasecmp(h->name, "Connection") == 0) {
		h->connection = h->connection || list_has(value, "upgrade");
	} else if (strcasecmp(h->name, "Sec-WebSocket-Version") == 0) {
		h->versions++;
		h->version_13 = strcmp(value, "13") == 0;
	} else if (strcasecmp(h->name, "Sec-WebSocket-Key") == 0) {
		h->keys++;
		if (key_valid(value))
			memcpy(h->key, value, KEY_LEN + 1);
	} else if (strcasecmp(h->name, "Host") == 0) {
		h->hosts++;
	} else if (strcasecmp(h->name, "Transfer-Encoding") == 0 ||
		   (strcasecmp(h->name, "Content-Length") == 0 && strcmp(value, "0") != 0)) {
		h->body = true;
	}
	h->name_len = h->value_len = 0;
	h->name[0] = h->value[0] = '\0';
	h->in_value = false;
}

/* Appends to a text of size bytes; what does not fit is cut off, which no text that matters needs.
 */
static void append(char *text, size_t *text_len, size_t size, const char *at, size_t len)
{
	size_t room = size - 1 - *text_len;

	if (len > room)
		len = room;
	memcpy(text + *text_len, at, len);
	*text_len += len;
	text[*text_len] = '\0';
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct ws_handshake *h = parser->data;

	if (h->target_len + len > WS_TARGET_MAX_BYTES) {
		complain(h, HTTP_STATUS_URI_TOO_LONG);
		return 1;
	}
	append(h->target, &h->target_len, sizeof(h->target), at, len);
	return 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t len)
{
	struct ws_handshake *h = parser->data;

	if (h->in_value)
		header_end(h);
	append(h->name, &h->name_len, sizeof(h->name), at, len);
	return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
	struct ws_handshake *h = parser->data;

	h->in_value = true;
	append(h->value, &h->value_len, sizeof(h->value), at, len);
	return 0;
}

/* What makes a complete request unfit to become a WebSocket. */
static void judge(struct ws_handshake *h)
{
	const http_parser *p = &h->parser;

	if (h->target[0] != '/' || h->body || h->hosts != 1 || p->http_major != 1 ||
	    p->http_minor < 1)
		complain(h, HTTP_STATUS_BAD_REQUEST);
	if (p->method != HTTP_GET)
		complain(h, HTTP_STATUS_METHOD_NOT_ALLOWED);
	if (!h->upgrade || !h->connection || h->versions != 1 || !h->version_13)
		complain(h, HTTP_STATUS_UPGRADE_REQUIRED);
	if (h->keys != 1 || h->key[0] == '\0')
		complain(h, HTTP_STATUS_BAD_REQUEST);
}

static int on_headers_complete(http_parser *parser)
{
	struct ws_handshake *h = parser->data;

	if (h->in_value)
		header_end(h);
	h->query = h->target + strcspn(h->target, "?#");
	if (*h->query == '?')
		*h->query++ = '\0';
	else
		*h->query = '\0';
	h->query[strcspn(h->query, "#")] = '\0';
	judge(h);
	h->complete = true;
	return 2; /* http_parser: no body follows, stop after the headers */
}

int ws_handshake_new(struct ws_handshake **out)
{
	struct ws_handshake *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return -ENOMEM;
	http_parser_init(&h->parser, HTTP_REQUEST);
	h->parser.data = h;
	*out = h;
	return 0;
}

void ws_handshake_free(struct ws_handshake **h)
{
	free(*h);
	*h = NULL;
}

enum ws_handshake_state ws_handshake_feed(struct ws_handshake *h, const char *data, size_t len,
					  size_t *used)
{
	static const http_parser_settings settings = {
		.on_url = on_url,
		.on_header_field = on_header_field,
		.on_header_value = on_header_value,
		.on_headers_complete = on_headers_complete,
	};
	size_t room = WS_HEADER_MAX_BYTES - h->total;
	bool over = len > room;

	*used = 0;
	if (room > 0) /* http_parser takes no bytes for the end of file */
		*used = http_parser_execute(&h->parser, &settings, data, over ? room : len);
	h->total += *used;
	if (h->complete)
		return WS_HANDSHAKE_DONE;
	if (HTTP_PARSER_ERRNO(&h->parser) != HPE_OK)
		complain(h, HTTP_STATUS_BAD_REQUEST);
	else if (over)
		complain(h, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
	return h->status != 0 ? WS_HANDSHAKE_BAD : WS_HANDSHAKE_MORE;
}

int ws_handshake_status(const struct ws_handshake *h)
{
	return h->status;
}

const char *ws_handshake_path(const struct ws_handshake *h)
{
	return h->target;
}

const char *ws_handshake_query(const struct ws_handshake *h)
{
	return h->query;
}

int ws_accept_key(const char *key, char accept[WS_ACCEPT_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned digest_len = 0;
	char text[128];
	int n = snprintf(text, sizeof(text), "%s" RFC_GUID, key);

	if (n < 0 || (size_t)n >= sizeof(text) ||
	    EVP_Digest(text, (size_t)n, digest, &digest_len, EVP_sha1(), NULL) != 1)
		return -EIO;
	(void)EVP_EncodeBlock((unsigned char *)accept, digest, (int)digest_len);
	return 0;
}

int ws_handshake_answer(const struct ws_handshake *h, char buf[WS_ANSWER_SIZE])
{
	char accept[WS_ACCEPT_SIZE];
	int rc = ws_accept_key(h->key, accept);

	if (rc < 0)
		return rc;
	rc = snprintf(buf, WS_ANSWER_SIZE,
		      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		      "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		      accept);
	return rc < 0 || rc >= WS_ANSWER_SIZE ? -EIO : rc;
}

size_t ws_handshake_refusal(int status, char *buf, size_t size)
{
	const char *word = http_status_str((enum http_status)status);
	const char *more = "";
	int n;

	if (status == HTTP_STATUS_UPGRADE_REQUIRED)
		more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
	else if (status == HTTP_STATUS_METHOD_NOT_ALLOWED)
		more = "Allow: GET\r\n";
	else if (status == HTTP_STATUS_SERVICE_UNAVAILABLE)
		more = "Retry-After: 5\r\n";
	n = snprintf(buf, size,
		     "HTTP/1.1 %d %s\r\n%sConnection: close%s\r\nContent-Type: text/plain\r\n"
		     "Content-Length: %zu\r\n\r\n%s\n",
		     status, word, more, status == HTTP_STATUS_UPGRADE_REQUIRED ? ", Upgrade" : "",
		     strlen(word) + 1, word);
	if (n < 0)
		return 0;
	return (size_t)n < size ? (size_t)n : size - 1;
}

/* --- the query string --- */

static int unescape(const char *from, size_t len, char *to, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = from[i] == '+' ? ' ' : (unsigned char)from[i];

		if (c == '%') {
			int high = len - i > 2 ? hex_digit(from[i + 1]) : -1;
			int low = len - i > 2 ? hex_digit(from[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = high * 16 + low;
			i += 2;
		}
		if (n + 1 >= size)
			return -EINVAL;
		to[n++] = (char)c;
	}
	if (!utf8_valid(to, n, NULL))
		return -EINVAL;
	to[n] = '\0';
	return 1;
}

int ws_query_get(const char *query, const char *name, char *value, size_t size)
{
	size_t name_len = strlen(name);

	while (*query != '\0') {
		size_t len = strcspn(query, "&");

		if (len > name_len && query[name_len] == '=' && strncmp(query, name, name_len) == 0)
			return unescape(query + name_len + 1, len - name_len - 1, value, size);
		query += len;
		query += strspn(query, "&");
	}
	return 0;
}
