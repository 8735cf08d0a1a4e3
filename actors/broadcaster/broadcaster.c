/* broadcaster.c - tells subscribers and the BFF what happened, in order and until they have it.
 *
 * Answers  BROADCASTER_STATE
 * Accepts  EVENTS_CHANGED (the bell: a topic has a new event)
 * Calls    store (where a topic ends, events, what the BFF has not had)
 * Owns     the WebSockets on WS_PORT and the posts to the BFF. How far a subscriber has read is its
 *          own knowledge: it comes back with it after a restart. What the BFF has had is in the
 *          store.
 * Never    keeps an event that it could read again; waits for nobody: who is slow reads later.
 *
 *   ws_server  sockets      feed  the store's events     webhook  the BFF
 *        \                   /
 *         session + plain (the protocol on /ws)
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/actors.h"
#include "actors/broadcaster/session.h"
#include "actors/broadcaster/webhook.h"
#include "base/log.h"
#include "base/settings.h"

#define PORT_FILE	"ws_port"
#define LISTEN_RETRY_MS 1000

struct broadcaster {
	struct sessions sessions;
	struct feed feed;
	struct ws_server *server;
	struct webhook *webhook;
	struct actor_timer *listen_retry;
	bool listen_failed; /* and was logged */
	unsigned stopping;  /* what has not stopped yet */
};

/* --- listening --- */

/* Whoever wants to know where we listen reads it in RUN_DIR; written whole or not at all. */
static void write_port(int port)
{
	FILE *file = fopen(PORT_FILE ".new", "we");
	bool written = file != NULL && fprintf(file, "%d\n", port) > 0;

	if (file != NULL && fclose(file) != 0)
		written = false;
	if (!written || rename(PORT_FILE ".new", PORT_FILE) < 0)
		log_warn("ws.port_file", "error=%s", strerror(errno));
}

/* Where the generation before listened; 0 when there was none. */
static int read_port(void)
{
	FILE *file = fopen(PORT_FILE, "re");
	char line[16] = "";
	long port = 0;

	if (file == NULL)
		return 0;
	if (fgets(line, sizeof(line), file) != NULL)
		port = strtol(line, NULL, 10);
	(void)fclose(file);
	return port > 0 && port <= 65535 ? (int)port : 0;
}

/* With any port allowed, that of the generation before is the best: its subscribers come back to
 * it. */
static int listen_somewhere(struct broadcaster *b, const char *address, int wanted, int *port)
{
	int before = wanted == 0 ? read_port() : 0;

	if (before != 0 && ws_server_listen(b->server, address, before, port) == 0)
		return 0;
	return ws_server_listen(b->server, address, wanted, port);
}

static void start_listening(struct actor *self, void *unused)
{
	struct broadcaster *b = actor_state(self);
	const char *address = setting_text(BIND_ADDRESS);
	int wanted = (int)setting_int(WS_PORT);
	char why[160];
	int port = 0;
	int rc;

	(void)unused;
	b->listen_retry = NULL;
	if (actor_stopping(self))
		return;
	rc = listen_somewhere(b, address, wanted, &port);
	if (rc == 0) {
		b->listen_failed = false;
		actor_degraded(self, NULL);
		log_info("ws.listening", "address=%s port=%d", address, port);
		write_port(port);
		return;
	}
	(void)snprintf(why, sizeof(why), "cannot listen at %s port %d: %s", address, wanted,
		       strerror(-rc));
	if (!b->listen_failed)
		log_error("ws.not_listening", "why=\"%s\"", why);
	b->listen_failed = true;
	actor_degraded(self, why);
	b->listen_retry = actor_timer_start(self, LISTEN_RETRY_MS, 0, start_listening, NULL);
	if (b->listen_retry == NULL)
		fatal("broadcaster.no_memory", "a timer");
}

/* --- messages --- */

static void on_state(struct actor *self, struct actor_call *call, const void *request)
{
	const struct broadcaster *b = actor_state(self);
	const struct broadcaster_state state = {
		.subscribers = (int64_t)ws_server_count(b->server),
		.topics = (int64_t)b->feed.topics.count,
		.sent = b->sessions.sent,
		.slow_closed = ws_server_slow_closed(b->server),
		.webhook_delivered = webhook_delivered(b->webhook),
		.webhook_failed = webhook_failed(b->webhook),
	};

	(void)request;
	actor_reply(call, &state);
}

static void on_events_changed(struct actor *self, const void *body)
{
	struct broadcaster *b = actor_state(self);
	const struct cursor *bell = body;

	feed_bell(&b->feed, bell->topic, bell->seq);
	webhook_ring(b->webhook);
}

/* Bells rung while the store was away were heard by nobody. */
static void on_news(struct actor *self, const struct actor_news *news)
{
	struct broadcaster *b = actor_state(self);

	if (!news->up || strcmp(news->name, "store") != 0)
		return;
	feed_store_up(&b->feed);
	webhook_ring(b->webhook);
}

/* --- the actor --- */

static int broadcaster_init(struct actor *self)
{
	struct broadcaster *b = actor_state(self);
	const struct ws_config config = {
		.loop = actor_loop(self),
		.callbacks = &session_ws_callbacks,
		.context = &b->sessions,
		.paths = session_paths,
		.limits = ws_limits_default,
	};
	int rc;

	b->sessions.door.needs_token = setting_bool(REQUIRE_WS_TOKEN);
	rc = session_key_derive(setting_text(SECRET_KEY_BASE), &b->sessions.door.sessions);
	if (rc == 0)
		rc = ws_server_new(&config, &b->server);
	if (rc == 0)
		rc = feed_open(&b->feed, self, &session_feed_callbacks, &b->sessions);
	if (rc == 0)
		rc = webhook_open(self, &b->webhook);
	if (rc == 0)
		rc = actor_monitor(self, "store");
	if (rc < 0)
		return rc;
	b->sessions.feed = &b->feed;
	b->sessions.server = b->server;
	start_listening(self, NULL);
	return 0;
}

static void one_stopped(struct actor *self)
{
	struct broadcaster *b = actor_state(self);

	if (--b->stopping == 0)
		actor_stopped(self);
}

static void on_server_stopped(void *self)
{
	one_stopped(self);
}

static void broadcaster_stop(struct actor *self)
{
	struct broadcaster *b = actor_state(self);

	b->stopping = 2;
	actor_timer_stop(&b->listen_retry);
	ws_server_stop(b->server, on_server_stopped, self);
	webhook_stop(b->webhook, self, one_stopped);
}

static void broadcaster_terminate(struct actor *self)
{
	struct broadcaster *b = actor_state(self);

	actor_timer_stop(&b->listen_retry);
	webhook_close(&b->webhook);
	ws_server_free(&b->server); /* ends the sessions, which leave the feed */
	feed_close(&b->feed);
	session_key_wipe(&b->sessions.door.sessions);
}

static const struct actor_call_clause broadcaster_calls[] = {
	{MSG_BROADCASTER_STATE, on_state},
	{MSG_NONE, NULL},
};

static const struct actor_cast_clause broadcaster_casts[] = {
	{MSG_EVENTS_CHANGED, on_events_changed},
	{MSG_NONE, NULL},
};

const struct actor_spec broadcaster_spec = {
	.state_size = sizeof(struct broadcaster),
	.init = broadcaster_init,
	.calls = broadcaster_calls,
	.casts = broadcaster_casts,
	.news = on_news,
	.stop = broadcaster_stop,
	.terminate = broadcaster_terminate,
	.may = MAY_LISTEN | MAY_CONNECT,
};
