/* actor.c - birth and end of an actor's process, and its loop. */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/runtime/internal.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/settings.h"

#define ROUNDS_MAX	4 /* over the ports, each of at most a batch of messages */

/* Places for ZeroMQ's sockets: of one that speaks to each of many, of the others, and of the many. */
#define SOCKETS_TO_MANY 32768
#define SOCKETS		1024
#define SOCKETS_OF_MANY 64

#define KEPT_BYTES	32768 /* of freed memory, by one of many */

/* --- ports --- */

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct port *port = handle->data;

	(void)status;
	(void)events;
	port->dirty = true; /* drained by the prepare handle, before the loop sleeps */
}

void *port_socket(struct actor *self, int type, const struct port_option *options)
{
	void *socket = zmq_socket(self->zeromq, type);

	for (; socket != NULL && options->name != 0; options++) {
		if (zmq_setsockopt(socket, options->name, &options->value,
				   sizeof(options->value)) == 0)
			continue;
		(void)zmq_close(socket);
		return NULL;
	}
	return socket;
}

static int descriptor_of(void *socket)
{
	size_t size = sizeof(int);
	int fd = -1;

	return zmq_getsockopt(socket, ZMQ_FD, &fd, &size) < 0 ? -1 : fd;
}

int port_events(const struct port *port)
{
	size_t size = sizeof(int);
	int events = 0;

	return zmq_getsockopt(port->socket, ZMQ_EVENTS, &events, &size) < 0 ? 0 : events;
}

int port_open(struct actor *self, void *socket, void (*drain)(struct port *), struct port **out)
{
	struct port *port = calloc(1, sizeof(*port));

	if (port == NULL || uv_poll_init(&self->loop, &port->poll, descriptor_of(socket)) < 0) {
		free(port);
		(void)zmq_close(socket);
		return -ENOMEM;
	}
	port->socket = socket;
	port->self = self;
	port->drain = drain;
	port->poll.data = port;
	port->dirty = true;
	port->next = self->ports;
	self->ports = port;
	(void)uv_poll_start(&port->poll, UV_READABLE, on_poll);
	*out = port;
	return 0;
}

static void on_port_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void port_close(struct port **port)
{
	struct port *p = *port;

	if (p == NULL)
		return;
	*port = NULL;
	for (struct port **link = &p->self->ports; *link != NULL; link = &(*link)->next)
		if (*link == p) {
			*link = p->next;
			break;
		}
	(void)uv_poll_stop(&p->poll); /* before the descriptor goes */
	(void)zmq_close(p->socket);
	uv_close((uv_handle_t *)&p->poll, on_port_closed);
}

/* A used port that had no turn in this round; a round gives each one. */
static struct port *next_dirty(struct actor *self)
{
	for (struct port *port = self->ports; port != NULL; port = port->next)
		if (port->dirty && port->round != self->round)
			return port;
	return NULL;
}

static bool any_dirty(const struct actor *self)
{
	for (const struct port *port = self->ports; port != NULL; port = port->next)
		if (port->dirty)
			return true;
	return false;
}

static void on_idle(uv_idle_t *handle)
{
	(void)handle; /* that it runs is its purpose: the loop polls without sleeping */
}

static void on_check(uv_check_t *handle)
{
	(void)handle;
	note_end(); /* of actor_resume(); what the runtime begins, it ends by itself */
}

/* Drains used ports until all are quiet, or for so many rounds: then timers and descriptors have
 * their turn. In rounds, so that a port that is never quiet starves no other. Looking for one from
 * the front each time is safe when a handler opens or closes ports. */
static void on_prepare(uv_prepare_t *handle)
{
	struct actor *self = handle->data;
	struct port *port;

	for (int rounds = 0; rounds < ROUNDS_MAX && any_dirty(self); rounds++) {
		self->round++;
		while ((port = next_dirty(self)) != NULL) {
			port->round = self->round;
			port->dirty = false;
			port->drain(port);
		}
	}
	if (any_dirty(self))
		(void)uv_idle_start(&self->idle, on_idle);
	else
		(void)uv_idle_stop(&self->idle);
}

/* --- what an actor asks of itself --- */

void *actor_state(struct actor *self)
{
	return self->state;
}

const char *actor_name(const struct actor *self)
{
	return self->name;
}

uint64_t actor_generation(const struct actor *self)
{
	return self->generation;
}

const char *actor_argument(const struct actor *self)
{
	return self->argument;
}

uv_loop_t *actor_loop(struct actor *self)
{
	return &self->loop;
}

void actor_trace(struct actor *self, const char *trace)
{
	(void)snprintf(self->trace, sizeof(self->trace), "%s", trace == NULL ? "" : trace);
}

void actor_ready(struct actor *self)
{
	if (self->ready)
		return;
	self->ready = true;
	control_ready(self);
}

bool actor_stopping(const struct actor *self)
{
	return self->stopping;
}

void actor_stopped(struct actor *self)
{
	self->stopped = true;
	uv_stop(&self->loop);
}

void actor_check_stopped(struct actor *self)
{
	if (self->stopping && self->spec->stop == NULL && self->open_calls == 0)
		actor_stopped(self);
}

static void on_sigterm(uv_signal_t *handle, int signum)
{
	struct actor *self = handle->data;

	(void)signum;
	if (self->stopping)
		return;
	self->stopping = true;
	log_debug("actor.stopping", "open=%zu", self->open_calls);
	note_begin("stop", NULL);
	if (self->spec->stop != NULL)
		self->spec->stop(self);
	else
		actor_check_stopped(self);
	note_end();
}

/* --- birth --- */

static int take_role(struct actor *self, const char *name, uint64_t generation)
{
	const char *colon;

	if (strlen(name) >= sizeof(self->name) || generation == 0)
		return -EINVAL;
	(void)snprintf(self->name, sizeof(self->name), "%s", name);
	self->generation = generation;
	colon = strchr(self->name, ':');
	self->argument = colon == NULL ? "" : colon + 1;
	log_open(self->name, self->generation);
	return 0;
}

static int take_role_of_environment(struct actor *self)
{
	const char *name = getenv(CONTROL_ENV_NAME);
	const char *generation = getenv(CONTROL_ENV_GENERATION);

	return name == NULL || generation == NULL
		       ? -EINVAL
		       : take_role(self, name, strtoull(generation, NULL, 10));
}

/* A zygote's copy is told who it is. It may have waited for a day; if the files that it may read were
 * replaced meanwhile, it ends, and the supervisor execs the program instead. */
static int take_role_of_copy(struct actor *self, bool ahead)
{
	struct control_packet role;
	int rc;

	zygote_await_role(&role);
	uv_update_time(&self->loop); /* or init's timers were over before they began */
	note_begin("init", NULL);
	if (ahead && !sandbox_files_are_current(self->spec)) {
		log_info("standby.outdated", "name=%s", role.name);
		_exit(EXIT_WORLD);
	}
	rc = mailbox_move(self, role.name, role.generation);
	return rc < 0 ? rc : take_role(self, role.name, role.generation);
}

/* A thousand processes wait most of the time: what a run needed, they give back. One arena instead of
 * one a thread, and no freed memory kept for later. */
static void save_memory(void)
{
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
	(void)mallopt(M_TOP_PAD, 0);
}

/* ZeroMQ fills a table of so many places at once, which takes memory and, at a restart, time. */
static int zeromq_setup(struct actor *self)
{
	int sockets = self->spec->many_peers	? SOCKETS_TO_MANY
		      : self->spec->one_of_many ? SOCKETS_OF_MANY
						: SOCKETS;

	self->zeromq = zmq_ctx_new();
	return self->zeromq == NULL || zmq_ctx_set(self->zeromq, ZMQ_MAX_SOCKETS, sockets) < 0
		       ? -ENOMEM
		       : 0;
}

static int loop_setup(struct actor *self)
{
	int rc = uv_loop_init(&self->loop);

	if (rc < 0)
		return rc;
	(void)uv_prepare_init(&self->loop, &self->prepare);
	(void)uv_idle_init(&self->loop, &self->idle);
	self->prepare.data = self;
	(void)uv_prepare_start(&self->prepare, on_prepare);
	(void)uv_check_init(&self->loop, &self->check);
	(void)uv_check_start(&self->check, on_check);
	self->sigterm.data = self;
	return uv_signal_init(&self->loop, &self->sigterm);
}

/* All that needs neither the final name nor anybody else. */
static int actor_prepare(struct actor *self, bool ahead)
{
	const size_t size = self->spec->state_size;
	int rc;

	log_set_level((enum log_level)log_level_parse(setting_text(LOG_LEVEL)));
	(void)signal(SIGPIPE, SIG_IGN); /* libraries write to what others close: TLS, the log */
	rc = note_open();
	if (rc < 0)
		return rc;
	note_begin("init", NULL);
	if (self->spec->one_of_many)
		save_memory();
	sandbox_files(self->spec);
	self->state = calloc(1, size > 0 ? size : 1);
	if (self->state == NULL)
		return -ENOMEM;
	rc = zeromq_setup(self);
	if (rc == 0)
		rc = loop_setup(self);
	if (rc == 0)
		rc = mailbox_open(self);
	if (rc == 0 && ahead)
		zygote_rehearse(self->zeromq);
	if (rc == 0)
		sandbox_calls(self->spec); /* of ZeroMQ's threads too */
	return rc;
}

static int actor_birth(struct actor *self)
{
	int rc = uv_signal_start(&self->sigterm, on_sigterm, SIGTERM);

	if (rc == 0)
		rc = control_open(self);
	if (rc == 0 && self->spec->init != NULL)
		rc = self->spec->init(self);
	if (rc == 0 && !self->spec->ready_later)
		actor_ready(self);
	return rc;
}

/* --- end --- */

static void close_leftover(uv_handle_t *handle, void *unused)
{
	(void)unused;
	if (uv_is_closing(handle))
		return;
	if (timer_owns_handle(handle))
		timer_close_handle(handle);
	else
		uv_close(handle, NULL);
}

static void actor_end(struct actor *self)
{
	note_begin("stop", NULL);
	if (self->spec->terminate != NULL && self->state != NULL)
		self->spec->terminate(self);
	peers_close(self);
	if (self->mailbox != NULL)
		mailbox_close(self);
	while (self->ports != NULL) {
		struct port *left = self->ports;

		port_close(&left); /* the actor's own, which it left open */
	}
	control_close(self);
	uv_walk(&self->loop, close_leftover, NULL);
	(void)uv_run(&self->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&self->loop) < 0)
		log_warn("loop.busy", "a handle was left open");
	free(self->state);
	if (self->zeromq != NULL)
		(void)zmq_ctx_term(
			self->zeromq); /* waits for what lingers, half a second at most */
	log_debug("actor.count",
		  "received=%" PRIu64 " answered=%" PRIu64 " refused=%" PRIu64 " expired=%" PRIu64
		  " stale=%" PRIu64 " malformed=%" PRIu64 " sent=%" PRIu64 " replies=%" PRIu64
		  " failures=%" PRIu64 " timeouts=%" PRIu64 " downs=%" PRIu64 " set_aside=%" PRIu64
		  " late=%" PRIu64 " dropped=%" PRIu64,
		  self->count.received, self->count.answered, self->count.refused,
		  self->count.expired, self->count.stale, self->count.malformed, self->count.sent,
		  self->count.replies, self->count.failures, self->count.timeouts,
		  self->count.downs, self->count.set_aside, self->count.late, self->count.dropped);
}

int actor_main(const struct actor_spec *spec, int argc, char **argv)
{
	static struct actor self; /* one per process; outlives every handle */
	const bool zygote = getenv(CONTROL_ENV_ZYGOTE) != NULL;
	bool ahead = false;
	int rc;

	self.spec = spec;
	rc = settings_hide_secrets();
	if (rc < 0) {
		(void)fprintf(stderr, "no memory for the secrets: %s\n", strerror(-rc));
		return EXIT_WORLD;
	}
	if (zygote) {
		ahead = zygote_serve(spec, argc, argv);
		(void)take_role(&self, CONTROL_STANDBY, (uint64_t)getpid());
	} else if (take_role_of_environment(&self) < 0) {
		(void)fprintf(stderr,
			      "This program is an actor: it is started by `ugtj server`.\n");
		return EXIT_USAGE;
	}
	rc = actor_prepare(&self, ahead);
	if (rc == 0 && zygote)
		rc = take_role_of_copy(&self, ahead);
	if (rc < 0)
		fatal("actor.start_failed", "error=\"%s\"", strerror(-rc));
	rc = actor_birth(&self);
	note_end();
	if (rc < 0) {
		log_error("actor.init_failed", "error=%s", strerror(-rc));
		actor_end(&self);
		return EXIT_WORLD;
	}
	while (!self.stopped)
		(void)uv_run(&self.loop, UV_RUN_DEFAULT);
	actor_end(&self);
	return EXIT_OK;
}
