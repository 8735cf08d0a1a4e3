/* hh_http.c - libcurl driven by libuv, and what it read handed over; see hh_http.h.
 *
 * libcurl says which descriptors and which timeout it waits for (on_socket, on_timeout), libuv says
 * when they come; after each, finished transfers are collected.
 */
#include "actors/hh_client/hh_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Whatever Retry-After says: then one request finds out whether HH still means it. */
#define WAIT_MAX_S	   300

#define CONNECT_TIMEOUT_MS 5000
#define SLOW_BYTES_A_S	   1000 /* slower than this ... */
#define SLOW_SECONDS	   10	/* ... for so long is no answer */
#define BODY_FIRST_BYTES   (64 * 1024)

struct hh_http {
	uv_loop_t *loop;
	uv_timer_t *timer; /* on the heap: it outlives us by its closing */
	CURLM *multi;
	const char *user_agent;
	struct transfer *transfers;
	struct watch *watches;
	size_t count;
};

struct watch {
	uv_poll_t poll;
	struct hh_http *http;
	struct watch *next;
	curl_socket_t socket;
};

struct transfer {
	struct hh_http *http;
	struct transfer *next;
	CURL *easy;
	curl_mime *mime;
	struct curl_slist *headers;
	hh_http_written_fn *written;
	hh_http_done_fn *done;
	void *context;
	char *body;
	size_t len;
	size_t room;
	bool too_large;
};

/* --- transfers
 * ------------------------------------------------------------------------------------ */

/* It does not count any more. */
static void transfer_unlink(struct transfer *t)
{
	for (struct transfer **link = &t->http->transfers; *link != NULL; link = &(*link)->next)
		if (*link == t) {
			*link = t->next;
			t->http->count--;
			break;
		}
}

static void transfer_free(struct transfer *t)
{
	transfer_unlink(t);
	if (t->easy != NULL) {
		(void)curl_multi_remove_handle(t->http->multi, t->easy);
		curl_easy_cleanup(t->easy);
	}
	curl_mime_free(t->mime);
	curl_slist_free_all(t->headers);
	free(t->body);
	free(t);
}

static int make_room(struct transfer *t, size_t more)
{
	size_t room = t->room == 0 ? BODY_FIRST_BYTES : t->room;
	char *body;

	while (room < t->len + more + 1)
		room *= 2;
	if (room == t->room)
		return 0;
	body = realloc(t->body, room);
	if (body == NULL)
		return -ENOMEM;
	t->body = body;
	t->room = room;
	return 0;
}

/* libcurl hands over a piece of the decoded body; taking less than all of it ends the transfer. */
static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
	struct transfer *t = context;
	size_t len = size * count;

	if (len > HH_HTTP_MAX_BYTES - t->len) {
		t->too_large = true;
		return 0;
	}
	if (make_room(t, len) < 0)
		return 0;
	memcpy(t->body + t->len, bytes, len);
	t->len += len;
	t->body[t->len] = '\0';
	return len;
}

/* The connection stands, and the request goes out on it next. */
static int on_connected(void *context, char *ip, char *local_ip, int port, int local_port)
{
	struct transfer *t = context;

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	t->written(t->context);
	return CURL_PREREQFUNC_OK;
}

static const char *header(CURL *easy, const char *name)
{
	struct curl_header *found;

	if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK)
		return "";
	return found->value;
}

static void finish(struct transfer *t, CURLcode code)
{
	curl_off_t wait_s = 0;
	struct hh_http_response response = {
		.curl = code,
		.too_large = t->too_large || code == CURLE_FILESIZE_EXCEEDED,
		.request_id = header(t->easy, "X-Request-ID"),
		.location = header(t->easy, "Location"),
		.body = t->body == NULL ? "" : t->body,
		.body_len = t->len,
	};

	(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &response.status);
	(void)curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &wait_s);
	response.wait_ms = (wait_s < WAIT_MAX_S ? wait_s : WAIT_MAX_S) * 1000;
	transfer_unlink(t);
	t->done(t->context, &response);
	transfer_free(t);
}

static void collect(struct hh_http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		struct transfer *t = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		finish(t, message->data.result);
	}
}

/* --- libcurl's wishes
 * ----------------------------------------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	struct hh_http *http = watch->http;
	int flags = 0;
	int running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	(void)curl_multi_socket_action(http->multi, watch->socket, flags, &running);
	collect(http);
}

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void watch_close(struct watch *watch)
{
	for (struct watch **link = &watch->http->watches; *link != NULL; link = &(*link)->next)
		if (*link == watch) {
			*link = watch->next;
			break;
		}
	(void)uv_poll_stop(&watch->poll);
	uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static struct watch *watch_open(struct hh_http *http, curl_socket_t socket)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return NULL;
	if (uv_poll_init_socket(http->loop, &watch->poll, socket) < 0) {
		free(watch);
		return NULL;
	}
	watch->poll.data = watch;
	watch->http = http;
	watch->socket = socket;
	watch->next = http->watches;
	http->watches = watch;
	return watch;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *given)
{
	struct hh_http *http = context;
	struct watch *watch = given;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch != NULL)
			watch_close(watch);
		(void)curl_multi_assign(http->multi, socket, NULL);
		return 0;
	}
	if (watch == NULL)
		watch = watch_open(http, socket);
	if (watch == NULL)
		return -1; /* libcurl fails the transfers */
	(void)curl_multi_assign(http->multi, socket, watch);
	if (what != CURL_POLL_OUT)
		events |= UV_READABLE;
	if (what != CURL_POLL_IN)
		events |= UV_WRITABLE;
	(void)uv_poll_start(&watch->poll, events, on_ready);
	return 0;
}

static void on_time(uv_timer_t *timer)
{
	struct hh_http *http = timer->data;
	int running;

	(void)curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(http);
}

static int on_timeout(CURLM *multi, long timeout_ms, void *context)
{
	struct hh_http *http = context;

	(void)multi;
	if (timeout_ms < 0)
		return uv_timer_stop(http->timer);
	uv_update_time(http->loop); /* or a turn that took long makes it fire early */
	return uv_timer_start(http->timer, on_time, (uint64_t)timeout_ms, 0);
}

/* --- open, send, close
 * ----------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

void hh_http_close(struct hh_http **http)
{
	struct hh_http *h = *http;

	if (h == NULL)
		return;
	*http = NULL;
	while (h->transfers != NULL)
		transfer_free(h->transfers);
	if (h->multi != NULL)
		(void)curl_multi_cleanup(
			h->multi); /* takes the sockets that idle back: on_socket() */
	while (h->watches != NULL)
		watch_close(h->watches);
	if (h->timer != NULL) {
		(void)uv_timer_stop(h->timer);
		uv_close((uv_handle_t *)h->timer, on_timer_closed);
	}
	free(h);
	curl_global_cleanup();
}

static CURLMcode multi_setup(struct hh_http *http, long max_connections)
{
	CURLMcode code = curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);

	if (code == CURLM_OK)
		code = curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	if (code == CURLM_OK)
		code = curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	if (code == CURLM_OK)
		code = curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	if (code == CURLM_OK)
		code = curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
					 max_connections);
	if (code == CURLM_OK)
		code = curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, max_connections);
	return code;
}

int hh_http_open(uv_loop_t *loop, const char *user_agent, long max_connections,
		 struct hh_http **out)
{
	struct hh_http *http;

	if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
		return -ENOMEM;
	http = calloc(1, sizeof(*http));
	if (http == NULL) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	http->loop = loop;
	http->user_agent = user_agent;
	http->multi = curl_multi_init();
	http->timer = calloc(1, sizeof(*http->timer));
	if (http->timer != NULL) {
		(void)uv_timer_init(loop, http->timer);
		http->timer->data = http;
	}
	if (http->multi == NULL || http->timer == NULL ||
	    multi_setup(http, max_connections) != CURLM_OK) {
		hh_http_close(&http);
		return -ENOMEM;
	}
	*out = http;
	return 0;
}

/* What every request has in common. */
static CURLcode set_manners(CURL *easy, const struct hh_http *http)
{
	CURLcode code = curl_easy_setopt(easy, CURLOPT_USERAGENT, http->user_agent);
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{CURLOPT_NOSIGNAL, 1},
		{CURLOPT_FOLLOWLOCATION, 0},
		{CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
		{CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS},
		{CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES_A_S},
		{CURLOPT_LOW_SPEED_TIME, SLOW_SECONDS},
		{CURLOPT_TCP_KEEPALIVE, 1},
		{CURLOPT_MAXFILESIZE, (long)HH_HTTP_MAX_BYTES},
		{CURLOPT_SSL_VERIFYPEER, 1},
		{CURLOPT_SSL_VERIFYHOST, 2},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && code == CURLE_OK; i++)
		code = curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	return code;
}

static CURLcode set_json_type(struct transfer *t)
{
	t->headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (t->headers == NULL)
		return CURLE_OUT_OF_MEMORY;
	return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
}

static CURLcode set_fields(struct transfer *t, const struct hh_http_field *fields)
{
	CURLcode code = CURLE_OK;

	t->mime = curl_mime_init(t->easy);
	if (t->mime == NULL)
		return CURLE_OUT_OF_MEMORY;
	for (const struct hh_http_field *f = fields; f->name != NULL && code == CURLE_OK; f++) {
		curl_mimepart *part = curl_mime_addpart(t->mime);

		if (part == NULL)
			return CURLE_OUT_OF_MEMORY;
		code = curl_mime_name(part, f->name);
		if (code == CURLE_OK)
			code = curl_mime_data(part, f->value, CURL_ZERO_TERMINATED);
	}
	if (code == CURLE_OK)
		code = curl_easy_setopt(t->easy, CURLOPT_MIMEPOST, t->mime);
	return code;
}

static CURLcode set_body(struct transfer *t, const struct hh_http_request *request)
{
	const char *text = request->form != NULL ? request->form : request->json;
	CURLcode code = CURLE_OK;

	if (request->fields != NULL)
		return set_fields(t, request->fields);
	if (text == NULL && request->method == HH_POST)
		text = "";
	if (request->json != NULL)
		code = set_json_type(t);
	if (code == CURLE_OK && text != NULL)
		code = curl_easy_setopt(t->easy, CURLOPT_COPYPOSTFIELDS, text);
	if (code == CURLE_OK && (request->method == HH_PUT || request->method == HH_DELETE))
		code = curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST,
					request->method == HH_PUT ? "PUT" : "DELETE");
	return code;
}

static CURLcode set_request(struct transfer *t, const struct hh_http_request *request)
{
	CURLcode code = curl_easy_setopt(t->easy, CURLOPT_URL, request->url);

	if (code == CURLE_OK)
		code = curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
	if (code == CURLE_OK)
		code = set_body(t, request);
	if (code == CURLE_OK && request->once)
		code = curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
	if (code == CURLE_OK && request->bearer != NULL)
		code = curl_easy_setopt(t->easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
	if (code == CURLE_OK && request->bearer != NULL)
		code = curl_easy_setopt(t->easy, CURLOPT_XOAUTH2_BEARER, request->bearer);
	return code;
}

static CURLcode set_functions(struct transfer *t)
{
	CURLcode code = curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);

	if (code == CURLE_OK)
		code = curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
	if (code == CURLE_OK)
		code = curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	if (code == CURLE_OK)
		code = curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_connected);
	if (code == CURLE_OK)
		code = curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
	return code;
}

int hh_http_send(struct hh_http *http, const struct hh_http_request *request,
		 hh_http_written_fn *written, hh_http_done_fn *done, void *context)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->http = http;
	t->written = written;
	t->done = done;
	t->context = context;
	t->easy = curl_easy_init();
	t->next = http->transfers;
	http->transfers = t;
	http->count++;
	if (t->easy == NULL || set_manners(t->easy, http) != CURLE_OK ||
	    set_functions(t) != CURLE_OK || set_request(t, request) != CURLE_OK ||
	    curl_multi_add_handle(http->multi, t->easy) != CURLM_OK) {
		transfer_free(t);
		return -ENOMEM;
	}
	return 0;
}

size_t hh_http_count(const struct hh_http *http)
{
	return http->count;
}
