/* ws_handshake.h - the HTTP request by which a WebSocket begins (RFC 6455, section 4.2), read byte
 * by byte, and the answer to it. Pure: no socket.
 */
#ifndef BROADCASTER_WS_HANDSHAKE_H
#define BROADCASTER_WS_HANDSHAKE_H

#include <stddef.h>

/* The request line and all headers may take so much; the request's target, with path and query. */
#define WS_HEADER_MAX_BYTES 8192
#define WS_TARGET_MAX_BYTES 4096

/* Room for the answer 101. */
#define WS_ANSWER_SIZE	    256

/* Room for Sec-WebSocket-Accept: 28 characters of base64. */
#define WS_ACCEPT_SIZE	    32

enum ws_handshake_state {
	WS_HANDSHAKE_MORE, /* the request is not complete */
	WS_HANDSHAKE_DONE, /* it is; path, query and status can be asked for */
	WS_HANDSHAKE_BAD,  /* it never will be: status says why */
};

struct ws_handshake; /* opaque: one request being read */

/* Gives a new one (ws_handshake_free() it). Returns 0 or -ENOMEM. */
int ws_handshake_new(struct ws_handshake **out) __attribute__((warn_unused_result));

/* Frees *h and clears it. NULL is fine. */
void ws_handshake_free(struct ws_handshake **h);

/* Reads on. *used gets how many of the len bytes belong to the request: those after it are already
 * the WebSocket's. Not to be called again after DONE or BAD. */
enum ws_handshake_state ws_handshake_feed(struct ws_handshake *h, const char *data, size_t len,
					  size_t *used);

/* 0 when the request may become a WebSocket, else the HTTP status to refuse it with. */
int ws_handshake_status(const struct ws_handshake *h);

/* The path as it was sent, and what follows its '?', "" for none. Borrowed. After DONE only. */
const char *ws_handshake_path(const struct ws_handshake *h);
const char *ws_handshake_query(const struct ws_handshake *h);

/* Writes the answer 101 that ends the handshake. Returns its length or a negative errno. */
int ws_handshake_answer(const struct ws_handshake *h, char buf[WS_ANSWER_SIZE])
	__attribute__((warn_unused_result));

/* Writes an answer that refuses with that HTTP status and has the connection closed, cut to size
 * bytes (512 are enough). Returns its length. */
size_t ws_handshake_refusal(int status, char *buf, size_t size);

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key. Returns 0 or -EIO. */
int ws_accept_key(const char *key, char accept[WS_ACCEPT_SIZE]) __attribute__((warn_unused_result));

/* The value of the parameter called name in a query string, with its percent signs and pluses
 * undone; the first one counts. Returns 1, 0 when there is none, -EINVAL when it is no valid UTF-8,
 * holds a NUL, or does not fit into size bytes with its NUL. */
int ws_query_get(const char *query, const char *name, char *value, size_t size)
	__attribute__((warn_unused_result));

#endif
