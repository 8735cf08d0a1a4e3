/* http_post.c - see http_post.h. libcurl names the sockets to watch and the time to wake it. */
#include "actors/broadcaster/http_post.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define CONNECT_TIMEOUT_MS 5000L

struct post {
	TAILQ_ENTRY(post) link;
	struct http_poster *poster;
	CURL *easy;
	char *body;
	http_posted_fn *fn;
	void *context;
	char kept[HTTP_BODY_KEPT];
	size_t kept_len;
};

/* A socket of libcurl's. */
struct watch {
	LIST_ENTRY(watch) link;
	uv_poll_t poll;
	struct http_poster *poster;
	curl_socket_t socket;
};

TAILQ_HEAD(posts, post);
LIST_HEAD(watches, watch);

struct http_poster {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer;
	struct posts posts;
	struct watches watches;
};

/* --- ends
 * ----------------------------------------------------------------------------------------- */

static void post_free(struct post *post)
{
	TAILQ_REMOVE(&post->poster->posts, post, link);
	(void)curl_multi_remove_handle(post->poster->multi, post->easy);
	curl_easy_cleanup(post->easy);
	free(post->body);
	free(post);
}

static void post_end(struct post *post, CURLcode code)
{
	struct http_outcome outcome = {.error = "", .body = post->kept, .retry_after_ms = -1};
	http_posted_fn *fn = post->fn;
	void *context = post->context;
	curl_off_t seconds = 0;
	char kept[HTTP_BODY_KEPT];
	long status = 0;

	(void)curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(post->easy, CURLINFO_RETRY_AFTER, &seconds);
	if (code == CURLE_OK)
		outcome.status = (int)status;
	else
		outcome.error = curl_easy_strerror(code);
	if (code == CURLE_OK && seconds > 0 && seconds < 1000000)
		outcome.retry_after_ms = (int64_t)seconds * 1000;
	memcpy(kept, post->kept, sizeof(kept));
	outcome.body = kept;
	post_free(post);
	fn(context, &outcome);
}

static void reap(struct http_poster *poster)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(poster->multi, &left)) != NULL) {
		struct post *post = NULL;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &post);
		post_end(post, code); /* message is gone with its handle */
	}
}

/* --- libcurl in libuv's loop --- */

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct watch *watch = handle->data;
	struct http_poster *poster = watch->poster;
	int flags = 0;
	int running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	(void)curl_multi_socket_action(poster->multi, watch->socket, flags, &running);
	reap(poster);
}

static void on_timeout(uv_timer_t *timer)
{
	struct http_poster *poster = timer->data;
	int running;

	(void)curl_multi_socket_action(poster->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(poster);
}

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void watch_close(struct watch *watch)
{
	LIST_REMOVE(watch, link);
	uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static struct watch *watch_new(struct http_poster *poster, curl_socket_t socket)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return NULL;
	if (uv_poll_init_socket(poster->loop, &watch->poll, socket) < 0) {
		free(watch);
		return NULL;
	}
	watch->poll.data = watch;
	watch->poster = poster;
	watch->socket = socket;
	LIST_INSERT_HEAD(&poster->watches, watch, link);
	(void)curl_multi_assign(poster->multi, socket, watch);
	return watch;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *assigned)
{
	struct http_poster *poster = user;
	struct watch *watch = assigned;
	int events =
		(what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch != NULL)
			watch_close(watch);
		(void)curl_multi_assign(poster->multi, socket, NULL);
		return 0;
	}
	if (watch == NULL)
		watch = watch_new(poster, socket);
	if (watch == NULL)
		return -1; /* libcurl fails the transfer */
	return uv_poll_start(&watch->poll, events, on_poll) < 0 ? -1 : 0;
}

static int on_timer_wish(CURLM *multi, long timeout_ms, void *user)
{
	struct http_poster *poster = user;

	(void)multi;
	if (timeout_ms < 0)
		(void)uv_timer_stop(&poster->timer);
	else
		(void)uv_timer_start(&poster->timer, on_timeout, (uint64_t)timeout_ms, 0);
	return 0;
}

/* --- a POST
 * --------------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
	struct post *post = user;
	size_t room = sizeof(post->kept) - 1 - post->kept_len;
	size_t len = size * count;

	memcpy(post->kept + post->kept_len, data, len < room ? len : room);
	post->kept_len += len < room ? len : room;
	return len; /* the rest is read and forgotten; the timeout bounds it */
}

static int set_options(struct post *post, const char *url, struct curl_slist *headers, size_t len,
		       long timeout_ms)
{
	CURL *easy = post->easy;
	CURLcode rc = CURLE_OK;

	rc |= curl_easy_setopt(easy, CURLOPT_URL, url);
	rc |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	rc |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	rc |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, post->body);
	rc |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	rc |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, post);
	rc |= curl_easy_setopt(easy, CURLOPT_PRIVATE, post);
	rc |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	rc |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	rc |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	rc |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	rc |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "UllGetTheJob-Core/" UGTJ_VERSION);
	return rc == CURLE_OK ? 0 : -ENOMEM;
}

int http_post(struct http_poster *poster, const char *url, struct curl_slist *headers, char *body,
	      size_t len, long timeout_ms, http_posted_fn *fn, void *context)
{
	struct post *post = calloc(1, sizeof(*post));

	if (post == NULL)
		return -ENOMEM;
	post->poster = poster;
	post->fn = fn;
	post->context = context;
	post->body = body;
	post->easy = curl_easy_init();
	if (post->easy == NULL || set_options(post, url, headers, len, timeout_ms) < 0 ||
	    curl_multi_add_handle(poster->multi, post->easy) != CURLM_OK) {
		curl_easy_cleanup(post->easy);
		free(post);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&poster->posts, post, link);
	return 0;
}

/* --- the poster
 * ----------------------------------------------------------------------------------- */

int http_poster_open(uv_loop_t *loop, long connections, struct http_poster **out)
{
	struct http_poster *poster = calloc(1, sizeof(*poster));

	if (poster == NULL)
		return -ENOMEM;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (poster->multi = curl_multi_init()) == NULL) {
		free(poster);
		return -ENOMEM;
	}
	poster->loop = loop;
	TAILQ_INIT(&poster->posts);
	LIST_INIT(&poster->watches);
	(void)uv_timer_init(loop, &poster->timer); /* cannot fail */
	poster->timer.data = poster;
	(void)curl_multi_setopt(poster->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(poster->multi, CURLMOPT_SOCKETDATA, poster);
	(void)curl_multi_setopt(poster->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish);
	(void)curl_multi_setopt(poster->multi, CURLMOPT_TIMERDATA, poster);
	(void)curl_multi_setopt(poster->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
	*out = poster;
	return 0;
}

void http_poster_abort(struct http_poster *poster)
{
	while (!TAILQ_EMPTY(&poster->posts))
		post_end(TAILQ_FIRST(&poster->posts), CURLE_ABORTED_BY_CALLBACK);
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void http_poster_close(struct http_poster **poster)
{
	struct http_poster *p = *poster;

	if (p == NULL)
		return;
	*poster = NULL;
	while (!TAILQ_EMPTY(&p->posts))
		post_free(TAILQ_FIRST(&p->posts));
	(void)curl_multi_cleanup(p->multi);
	while (!LIST_EMPTY(&p->watches))
		watch_close(LIST_FIRST(&p->watches));
	uv_close((uv_handle_t *)&p->timer, on_timer_closed);
	curl_global_cleanup();
}
