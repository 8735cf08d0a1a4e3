/* hh_http.h - HTTP to HH: libcurl's multi interface on the actor's loop.
 *
 * HTTP/1.1 with connections kept open, gzip, TLS verified, names looked up in a thread of
 * libcurl's. Redirects are not followed, cookies not kept, and no answer is read beyond the limit,
 * counted after decompression. Nothing is logged here: requests carry tokens.
 */
#ifndef HH_CLIENT_HH_HTTP_H
#define HH_CLIENT_HH_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define HH_HTTP_MAX_BYTES ((size_t)8 * 1024 * 1024)

struct hh_http; /* opaque */

enum hh_http_method { HH_GET, HH_POST, HH_PUT, HH_DELETE };

/* A field of a form. */
struct hh_http_field {
	const char *name; /* NULL ends the form */
	const char *value;
};

/* At most one body: form and fields are POSTed whatever the method says. */
struct hh_http_request {
	const char *url;
	enum hh_http_method method;
	const char *form;		    /* application/x-www-form-urlencoded */
	const char *json;		    /* application/json */
	const struct hh_http_field *fields; /* multipart/form-data */
	const char *bearer;		    /* a token; NULL: none */
	int64_t timeout_ms;		    /* for all of it */
	/* Never written twice: on a connection of its own, since libcurl writes a request again when
	 * a kept one turns out to be closed, which HH may have done after it had read it. */
	bool once;
};

struct hh_http_response {
	CURLcode curl;	/* CURLE_OK: there is a status, and a body that may be empty */
	bool too_large; /* cut off at the limit */
	long status;
	int64_t wait_ms;	/* Retry-After; 0: none */
	const char *request_id; /* X-Request-ID; "": none */
	const char *location;	/* Location, as it came; "": none */
	const char *body;	/* ended by a NUL that is not counted */
	size_t body_len;
};

/* The request is being written: HH will count it, and may carry it out. May be called again when
 * libcurl has to write it on another connection, unless it is to be written once. */
typedef void hh_http_written_fn(void *context);

/* What became of it, exactly once. The response is valid until the function returns. */
typedef void hh_http_done_fn(void *context, const struct hh_http_response *response);

/* max_connections: to HH at once. user_agent is borrowed. Returns 0 or a negative errno. */
int hh_http_open(uv_loop_t *loop, const char *user_agent, long max_connections,
		 struct hh_http **out) __attribute__((warn_unused_result));

/* Sends a request; what it points to is copied. Neither function is called from within. Returns 0,
 * or a negative errno after which neither is called: -ENOMEM, -EINVAL. */
int hh_http_send(struct hh_http *http, const struct hh_http_request *request,
		 hh_http_written_fn *written, hh_http_done_fn *done, void *context)
	__attribute__((warn_unused_result));

/* Requests under way. */
size_t hh_http_count(const struct hh_http *http);

/* Ends all requests without calling their functions. The handles are closed by the loop's next
 * turns; the rest is freed. NULL is fine. */
void hh_http_close(struct hh_http **http);

#endif
