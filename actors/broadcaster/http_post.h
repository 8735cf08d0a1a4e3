/* http_post.h - POSTs over HTTP in libuv's loop, by libcurl's multi interface. Never blocks,
 * follows no redirect, keeps connections for the next time.
 */
#ifndef BROADCASTER_HTTP_POST_H
#define BROADCASTER_HTTP_POST_H

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* How much of an answer's body is kept, and its NUL. */
#define HTTP_BODY_KEPT 512

/* What became of a POST. Valid until the function that is told returns. */
struct http_outcome {
	int status;		/* of HTTP; 0: there was no answer */
	const char *error;	/* why not; "" with an answer */
	const char *body;	/* the beginning of the answer's body */
	int64_t retry_after_ms; /* the answer's Retry-After; -1: none */
};

typedef void http_posted_fn(void *context, const struct http_outcome *outcome);

struct http_poster; /* opaque */

/* Gives a poster (http_poster_close() it) that opens at most so many connections to a host. Returns
 * 0 or -ENOMEM. */
int http_poster_open(uv_loop_t *loop, long connections, struct http_poster **out)
	__attribute__((warn_unused_result));

/* Sends len bytes of body, which it takes when it returns 0. headers are borrowed until fn was
 * called, which happens exactly once, never from within this function, or until the poster is
 * closed. Returns 0 or -ENOMEM. */
int http_post(struct http_poster *poster, const char *url, struct curl_slist *headers, char *body,
	      size_t len, long timeout_ms, http_posted_fn *fn, void *context)
	__attribute__((warn_unused_result));

/* Ends all that is under way now: their functions are told that there was no answer. */
void http_poster_abort(struct http_poster *poster);

/* Drops what is under way, telling nobody, and frees *poster; clears it. NULL is fine. */
void http_poster_close(struct http_poster **poster);

#endif
