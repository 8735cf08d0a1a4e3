/* server.c - civetweb's options, its threads, and its end; see server.h. */
#include "gateway/server.h"

#include <civetweb.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "gateway/http_error.h"
#include "gateway/listener.h"
#include "gateway/request_id.h"
#include "gateway/response.h"

/* Threads for what does not wait: health, refusals, connections that come and go. */
#define THREADS_EXTRA	   8
#define REQUEST_TIMEOUT_MS "10000" /* for its headers, and again for its body */
#define HEAD_MAX_BYTES	   "16384" /* request line and headers */

/* What civetweb said first in this thread, for server_start(): it tells why it cannot start to its
 * log, and after that only that it cannot. */
static _Thread_local char first_words[SERVER_PROBLEM_SIZE];

/* --- callbacks: in civetweb's threads --- */

static struct server *server_of(const struct mg_connection *conn)
{
	return mg_get_user_context_data(conn);
}

/* A connection's user data says whether it is fresh. */
static int on_connection(const struct mg_connection *conn, void **conn_data)
{
	struct server *server = server_of(conn);

	atomic_fetch_add(&server->open, 1);
	atomic_fetch_add(&server->fresh, 1);
	*conn_data = server; /* anything but NULL */
	return 0;
}

static void no_longer_fresh(const struct mg_connection *conn)
{
	if (mg_get_user_connection_data(conn) == NULL)
		return;
	mg_set_user_connection_data(conn, NULL);
	atomic_fetch_sub(&server_of(conn)->fresh, 1);
}

static void on_connection_close(const struct mg_connection *conn)
{
	no_longer_fresh(conn);
	atomic_fetch_sub(&server_of(conn)->open, 1);
}

static int on_request(struct mg_connection *conn)
{
	struct server *server = server_of(conn);

	atomic_fetch_add(&server->busy, 1); /* before fresh goes down: never idle in between */
	no_longer_fresh(conn);
	server->handle(conn, server->context);
	return 200; /* any number says that it was answered */
}

static void on_request_end(const struct mg_connection *conn, int status)
{
	(void)status;
	atomic_fetch_sub(&server_of(conn)->busy, 1);
}

/* What civetweb itself refuses: what is no HTTP, or too long. The connection's request is not to be
 * looked at here. */
static int on_http_error(struct mg_connection *conn, int status, const char *message)
{
	char id[REQUEST_ID_SIZE];
	struct answer answer = {0};
	const struct http_error error = {
		.error = status == 413	? ERR_TOO_LARGE
			 : status < 500 ? ERR_BAD_REQUEST
					: ERR_INTERNAL,
		.status = status,
		.message = message,
		.request_id = request_id_new(id),
	};
	const struct response response = {.answer = &answer, .request_id = id};

	http_error_answer(&error, &answer);
	response_write(conn, &response);
	answer_fini(&answer);
	return 0;
}

static int on_log(const struct mg_connection *conn, const char *message)
{
	(void)conn;
	if (first_words[0] == '\0')
		(void)snprintf(first_words, sizeof(first_words), "%s", message);
	log_debug("civetweb", "%s", message);
	return 1;
}

/* --- start --- */

static struct mg_context *start_civetweb(struct server *server, const char *address, int port,
					 char problem[SERVER_PROBLEM_SIZE])
{
	static const struct mg_callbacks callbacks = {
		.begin_request = on_request,
		.end_request = on_request_end,
		.log_message = on_log,
		.http_error = on_http_error,
		.init_connection = on_connection,
		.connection_close = on_connection_close,
	};
	char listen_on[128];
	char threads[24];
	char keep_alive[24];
	const char *options[] = {
		"listening_ports",
		listen_on,
		"num_threads",
		threads,
		"listen_backlog",
		"1024",
		"connection_queue",
		"64",
		"enable_keep_alive",
		"yes",
		"keep_alive_timeout_ms",
		keep_alive,
		"request_timeout_ms",
		REQUEST_TIMEOUT_MS,
		"max_request_size",
		HEAD_MAX_BYTES,
		"tcp_nodelay",
		"1",
		"decode_url",
		"no", /* uri.c does it */
		"enable_auth_domain_check",
		"no",
		NULL,
	};
	struct mg_init_data init = {
		.callbacks = &callbacks,
		.user_data = server,
		.configuration_options = options,
	};
	struct mg_context *civetweb;

	(void)snprintf(listen_on, sizeof(listen_on), "%s:%d", address, port);
	(void)snprintf(threads, sizeof(threads), "%zu", server->threads);
	(void)snprintf(keep_alive, sizeof(keep_alive), "%d", RESPONSE_KEEP_ALIVE_MS);
	first_words[0] = '\0';
	civetweb = mg_start2(&init, NULL);
	if (civetweb == NULL)
		(void)snprintf(problem, SERVER_PROBLEM_SIZE, "%s", first_words);
	return civetweb;
}

int server_start(struct server *server, const char *address, int port, size_t requests_max,
		 char problem[SERVER_PROBLEM_SIZE])
{
	struct mg_server_port ports[1];
	sigset_t all;
	sigset_t before;

	server->threads = requests_max + THREADS_EXTRA;
	server->keep_max = server->threads * 3 / 4;
	if (!server->library) {
		(void)mg_init_library(MG_FEATURES_DEFAULT); /* where it fails, the start says so */
		server->library = true;
	}
	/* Signals are the loop's; threads have their maker's mask. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	server->civetweb = start_civetweb(server, address, port, problem);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (server->civetweb == NULL)
		return -EADDRINUSE;
	if (mg_get_server_ports(server->civetweb, 1, ports) == 1)
		server->port = ports[0].port;
	server->listener = listener_find(server->port);
	return 0;
}

bool server_may_keep_alive(const struct server *server)
{
	return !atomic_load(&server->draining) && atomic_load(&server->open) <= server->keep_max;
}

/* --- stop --- */

void server_drain(struct server *server)
{
	atomic_store(&server->draining, true);
	if (server->listener >= 0 && listener_hush(server->listener) < 0)
		log_warn("gateway.not_hushed", "connections that come now may be reset");
}

bool server_is_idle(const struct server *server, bool patient)
{
	/* All threads in use: connections may be waiting in civetweb's queue, which cannot be seen.
	 */
	if (atomic_load(&server->open) >= server->threads)
		return false;
	if (server->listener >= 0 && listener_backlog(server->listener) > 0)
		return false;
	if (patient && atomic_load(&server->fresh) > 0)
		return false;
	return atomic_load(&server->busy) == 0;
}

void server_hang_up(const struct server *server)
{
	listener_hang_up(server->port);
}

void server_stop(struct server *server)
{
	if (server->civetweb == NULL)
		return;
	/* civetweb's thread that accepts looks up every 2 s only, unless it is woken. */
	if (server->listener >= 0)
		listener_shut(server->listener);
	mg_stop(server->civetweb);
	server->civetweb = NULL;
	server->listener = -1;
}
