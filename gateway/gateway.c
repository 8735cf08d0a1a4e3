/* gateway.c - HTTP for the BFF: each request is one message of the catalogue.
 *
 * Answers  nothing
 * Accepts  nothing; its requests come over HTTP (routes.c has the table)
 * Owns     the listening socket and the threads that serve its connections. No state that matters:
 *          a restart forgets nothing but the requests in flight, whose clients try again.
 * Never    touches the database, HH or their secrets; lets a thread call the actor's functions (they
 *          go over the bridge); keeps a request longer than its deadline.
 *
 * Starts degraded where the port is taken, and tries again each second. Stops in order: the kernel
 * lets nobody in any more, who was let in is answered, and what takes too long is told to come
 * again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/actors.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"
#include "gateway/auth.h"
#include "gateway/bridge.h"
#include "gateway/exchange.h"
#include "gateway/server.h"

#define PORT_FILE	"http_port"
#define PORT_FILE_NEW	".new_http_port"
#define RETRY_MS	1000
#define DRAIN_POLL_MS	10
#define DRAIN_FRESH_MS	1000 /* who connected and says nothing for so long is not waited for */
#define DRAIN_ANSWER_MS 4500 /* whoever still waits then is told to come again ... */
#define DRAIN_MAX_MS	5500 /* ... and the answers have so long to get out */
#define HANG_UP_MAX_MS	200  /* for idle connections to close */

struct gateway {
	struct auth auth;
	struct bridge bridge;
	struct server server;
	struct exchange_door door;
	struct actor_timer *retry;
	struct actor_timer *drain;
	int64_t stop_began_ms;
	int64_t hung_up_ms; /* when; 0: not yet */
	unsigned idle_polls;
	uv_work_t stopping; /* server_stop(), which blocks, in a thread of libuv's */
	bool bridge_is_open;
};

/* init_auth() · start() · gateway_init() · on_drain() · gateway_stop() · gateway_terminate() */

/* --- start --- */

static void handle(struct mg_connection *conn, void *context)
{
	exchange_handle(context, conn);
}

/* The port that an earlier generation had been given: clients know that one. 0: none. */
static int port_of_before(void)
{
	FILE *file = fopen(PORT_FILE, "re");
	char line[16] = "";
	long port;

	if (file == NULL)
		return 0;
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	(void)fclose(file);
	port = strtol(line, NULL, 10);
	return port > 0 && port <= UINT16_MAX ? (int)port : 0;
}

/* Other programs of the run directory read it; renamed into place, so that they never see half. */
static void tell_port(int port)
{
	FILE *file = fopen(PORT_FILE_NEW, "we");
	bool written;

	if (file == NULL) {
		log_warn("gateway.port_untold", "error=\"%s\"", strerror(errno));
		return;
	}
	written = fprintf(file, "%d\n", port) > 0;
	if (fclose(file) != 0 || !written || rename(PORT_FILE_NEW, PORT_FILE) < 0)
		log_warn("gateway.port_untold", "error=\"%s\"", strerror(errno));
}

static int listen_on(struct gateway *g, const char *address, char problem[SERVER_PROBLEM_SIZE])
{
	const int port = (int)setting_int(PORT);
	const int before = port == 0 ? port_of_before() : 0;
	const size_t threads = (size_t)setting_int(HTTP_THREADS);

	if (before != 0 && server_start(&g->server, address, before, threads, problem) == 0)
		return 0;
	return server_start(&g->server, address, port, threads, problem);
}

static void start(struct actor *self, void *context);

static void try_again(struct actor *self, const char *problem)
{
	struct gateway *g = actor_state(self);

	log_warn("gateway.not_listening", "problem=\"%s\" next_try_ms=%d", problem, RETRY_MS);
	actor_degraded(self, problem);
	g->retry = actor_timer_start(self, RETRY_MS, 0, start, NULL);
	if (g->retry == NULL)
		fatal("gateway.no_memory", "cannot try again to listen");
}

static void start(struct actor *self, void *context)
{
	struct gateway *g = actor_state(self);
	const char *address = setting_text(BIND_ADDRESS);
	char problem[SERVER_PROBLEM_SIZE] = "";

	(void)context;
	g->retry = NULL;
	if (listen_on(g, address, problem) < 0) {
		try_again(self, problem);
		return;
	}
	tell_port(g->server.port);
	log_info("gateway.listening", "address=%s port=%d threads=%zu", address, g->server.port,
		 g->server.threads);
	if (g->server.listener < 0)
		log_warn("gateway.listener_unknown", "a stop may reset connections");
	actor_degraded(self, g->auth.secret != NULL ? NULL
						    : "ORCHESTRATOR_SECRET is not set: nobody is "
						      "let in");
}

static int gateway_init(struct actor *self)
{
	struct gateway *g = actor_state(self);
	const struct auth_settings settings = {
		.secret = setting_text(ORCHESTRATOR_SECRET),
		.session_base = setting_text(SECRET_KEY_BASE),
		.require_signature = setting_bool(REQUIRE_SIGNATURE),
	};
	int rc = auth_init(&g->auth, &settings);

	if (rc < 0)
		return rc;
	rc = bridge_open(&g->bridge, self, (size_t)setting_int(HTTP_THREADS));
	if (rc < 0)
		return rc;
	g->bridge_is_open = true;
	g->door = (struct exchange_door){
		.auth = &g->auth, .bridge = &g->bridge, .server = &g->server};
	g->server.handle = handle;
	g->server.context = &g->door;
	g->server.listener = -1;
	start(self, NULL);
	return 0;
}

/* --- stop --- */

static void stop_server(uv_work_t *work)
{
	struct gateway *g = work->data;

	server_stop(&g->server);
}

static void on_server_stopped(uv_work_t *work, int status)
{
	(void)status;
	actor_stopped(((struct gateway *)work->data)->bridge.self);
}

/* The last step: all connections end, and then the actor. */
static void end_server(struct actor *self)
{
	struct gateway *g = actor_state(self);

	actor_timer_stop(&g->drain);
	(void)unlink(PORT_FILE); /* may be gone */
	g->stopping.data = g;
	if (uv_queue_work(actor_loop(self), &g->stopping, stop_server, on_server_stopped) < 0)
		actor_stopped(self); /* terminate does it */
}

/* Whether all is answered, or has had its time. */
static bool is_drained(struct gateway *g, int64_t took_ms)
{
	/* Twice in a row: a connection on its way from the kernel to a thread is seen by neither.
	 */
	if (server_is_idle(&g->server, took_ms < DRAIN_FRESH_MS))
		g->idle_polls++;
	else
		g->idle_polls = 0;
	if (took_ms >= DRAIN_ANSWER_MS)
		bridge_shut(&g->bridge);
	return g->idle_polls >= 2 || took_ms >= DRAIN_MAX_MS;
}

static void on_drain(struct actor *self, void *context)
{
	struct gateway *g = actor_state(self);
	const int64_t now_ms = clock_mono_ms();

	(void)context;
	if (g->hung_up_ms == 0 && is_drained(g, now_ms - g->stop_began_ms)) {
		log_info("gateway.drained", "ms=%lld", (long long)(now_ms - g->stop_began_ms));
		server_hang_up(&g->server);
		g->hung_up_ms = now_ms;
	}
	if (g->hung_up_ms != 0 &&
	    (atomic_load(&g->server.open) == 0 || now_ms - g->hung_up_ms >= HANG_UP_MAX_MS))
		end_server(self);
}

static void gateway_stop(struct actor *self)
{
	struct gateway *g = actor_state(self);

	actor_timer_stop(&g->retry);
	if (g->server.civetweb == NULL) {
		actor_stopped(self);
		return;
	}
	g->stop_began_ms = clock_mono_ms();
	server_drain(&g->server);
	g->drain = actor_timer_start(self, DRAIN_POLL_MS, DRAIN_POLL_MS, on_drain, NULL);
	if (g->drain == NULL)
		end_server(self);
}

/* Also the end of a start that failed, so nothing is taken to be there. No thread may be left
 * before the bridge goes. */
static void gateway_terminate(struct actor *self)
{
	struct gateway *g = actor_state(self);

	actor_timer_stop(&g->retry);
	actor_timer_stop(&g->drain);
	if (!g->bridge_is_open)
		return;
	bridge_shut(&g->bridge);
	server_stop(&g->server);
	bridge_close(&g->bridge);
	auth_fini(&g->auth);
}

const struct actor_spec gateway_spec = {
	.state_size = sizeof(struct gateway),
	.init = gateway_init,
	.stop = gateway_stop,
	.terminate = gateway_terminate,
	.may = MAY_LISTEN,
};
