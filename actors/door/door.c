/* door.c - the ZeroMQ door: lets outside services send the catalogue's public messages.
 *
 * A ROUTER on tcp://127.0.0.1:ZMQ_PORT. What comes in is the same as inside: two frames, the
 * envelope {v:1, kind:"call", ref, method, ttl_ms?, trace?} and the body. It is checked, sent on to
 * its receiver as a call of ours, and the answer goes back with the caller's ref.
 *
 * Owns     the calls under way; a caller whose call dies with the door gets no answer and asks
 *          again after its own deadline, as with any server.
 * Never    lets through what the catalogue does not call PUBLIC, nor a cast.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/actors.h"
#include "actors/runtime/port.h"
#include "actors/runtime/wire.h"
#include "base/log.h"
#include "base/settings.h"
#include "proto/codec.h"

#define UNDER_WAY_MAX	 1000 /* of all callers together, ... */
#define CALLER_MAX	 64   /* ... and of one, which so takes nobody else's share */
#define UNREAD_MAX	 128  /* answers that a caller has not read; more are dropped */
#define BATCH		 64
#define BIND_RETRY_MS	 1000
#define BODY_ARENA_BYTES ((size_t)8 * 1024 * 1024)

/* What is over the limit by less than this is told so; more closes the connection. */
#define FRAME_MAX_BYTES	 (4 * CODEC_PUBLIC_MAX_BYTES)

struct door {
	struct port *router;
	struct actor_timer *bind_timer;
	size_t under_way;
	struct visit *visits; /* under way */
};

/* An outside call that waits for its answer. */
struct visit {
	struct visit *next;
	struct visit **link;
	struct wire_identity identity;
	int64_t ref;
	const struct message *message;
};

/* --- answers --- */

static void send_back(struct actor *self, const struct wire_identity *identity, int64_t ref,
		      const char *kind, const struct record *record, const void *value)
{
	struct door *door = actor_state(self);
	const struct envelope envelope = {.v = 1, .kind = kind, .ref = ref, .from = "door"};
	struct codec_problem problem;
	void *bytes;
	size_t len;
	int rc = codec_pack(record, value, &bytes, &len, &problem);

	if (rc < 0) {
		log_error("door.unsendable", "field=%s problem=%s", problem.field, problem.message);
		return;
	}
	rc = wire_send(door->router->socket, identity, &envelope, bytes, len);
	door->router->dirty = true;
	if (rc < 0)
		log_debug("door.caller_gone", "ref=%" PRId64, ref);
	free(bytes);
}

static void refuse(struct actor *self, const struct wire *wire, enum msg_error error,
		   const char *field, const char *message)
{
	const struct failure failure = {
		.error = error_code(error),
		.field = field != NULL && field[0] != '\0' ? field : NULL,
		.message = message,
		.retry_after_ms = error == ERR_OVERLOADED ? OPT_INT_OF(1000) : (struct opt_int){0},
	};

	send_back(self, &wire->identity, wire->envelope.ref, "error", RECORD_OF(failure), &failure);
}

static void visit_end(struct actor *self, struct visit *visit)
{
	struct door *door = actor_state(self);

	door->under_way--;
	*visit->link = visit->next;
	if (visit->next != NULL)
		visit->next->link = visit->link;
	free(visit);
	if (actor_stopping(self) && door->under_way == 0)
		actor_stopped(self);
}

static void on_answer(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct visit *visit = context;

	if (answer->error == ERR_NONE)
		send_back(self, &visit->identity, visit->ref, "reply", visit->message->reply,
			  answer->body);
	else
		send_back(self, &visit->identity, visit->ref, "error", RECORD_OF(failure),
			  answer->failure);
	visit_end(self, visit);
}

/* --- requests --- */

static struct visit *visit_new(struct actor *self, struct wire *wire, const struct message *m)
{
	struct door *door = actor_state(self);
	struct visit *visit = calloc(1, sizeof(*visit));

	if (visit == NULL)
		return NULL;
	visit->identity = wire->identity;
	visit->ref = wire->envelope.ref;
	visit->message = m;
	visit->next = door->visits;
	visit->link = &door->visits;
	if (visit->next != NULL)
		visit->next->link = &visit->next;
	door->visits = visit;
	door->under_way++;
	return visit;
}

/* Sends a checked call on to its receiver. */
static void pass_on(struct actor *self, struct wire *wire, const struct message *m,
		    const void *body)
{
	int64_t ttl_ms = wire->envelope.ttl_ms.set ? wire->envelope.ttl_ms.value : m->timeout_ms;
	struct visit *visit = visit_new(self, wire, m);
	int rc = -ENOMEM;

	if (visit != NULL) {
		actor_trace(self, wire->envelope.trace);
		rc = actor_call(self, m->id, body, ttl_ms, on_answer, visit);
		actor_trace(self, NULL);
	}
	if (rc == 0)
		return;
	log_error("door.not_passed", "method=%s error=%s", m->method, strerror(-rc));
	if (visit == NULL)
		return;
	visit_end(self, visit);
	refuse(self, wire, ERR_OVERLOADED, NULL, "too many calls are waiting");
}

static void take_body(struct actor *self, struct wire *wire, const struct message *m)
{
	struct codec_problem problem = {0};
	struct arena arena;
	void *body;
	int rc;

	arena_init(&arena, BODY_ARENA_BYTES);
	body = arena_alloc(&arena, m->request->size);
	rc = body == NULL ? -ENOMEM : wire_body(wire, m->request, &arena, body, &problem);
	if (rc == -EINVAL)
		refuse(self, wire, ERR_BAD_REQUEST,
		       problem.field[0] == '\0' ? "body" : problem.field, problem.message);
	else if (rc < 0)
		refuse(self, wire, ERR_TOO_LARGE, "body", "too much for one message");
	else
		pass_on(self, wire, m, body);
	arena_fini(&arena);
}

static bool has_its_share(const struct door *door, const struct wire_identity *identity)
{
	size_t count = 0;

	for (const struct visit *v = door->visits; v != NULL && count < CALLER_MAX; v = v->next)
		count += v->identity.size == identity->size &&
			 memcmp(v->identity.bytes, identity->bytes, identity->size) == 0;
	return count >= CALLER_MAX;
}

static void on_visitor(struct actor *self, struct wire *wire)
{
	struct door *door = actor_state(self);
	const struct envelope *e = &wire->envelope;
	const struct message *m = e->method == NULL ? NULL : message_by_method(e->method);

	if (strcmp(e->kind, "call") != 0)
		refuse(self, wire, ERR_BAD_REQUEST, "kind", "only calls are taken here");
	else if (e->method == NULL)
		refuse(self, wire, ERR_BAD_REQUEST, "method", "is required");
	else if (m == NULL || (m->flags & MESSAGE_PUBLIC) == 0)
		refuse(self, wire, ERR_UNKNOWN_METHOD, "method", "not a public message");
	else if (wire_body_size(wire) > CODEC_PUBLIC_MAX_BYTES)
		refuse(self, wire, ERR_TOO_LARGE, "body", "is over 1 MiB");
	else if (has_its_share(door, &wire->identity))
		refuse(self, wire, ERR_OVERLOADED, NULL, "too many of your calls are under way");
	else if (door->under_way >= UNDER_WAY_MAX)
		refuse(self, wire, ERR_OVERLOADED, NULL, "too many calls are under way");
	else
		take_body(self, wire, m);
}

static void door_drain(struct port *port)
{
	if (actor_stopping(port->self))
		(void)port_events(port); /* takes the signal, or the loop would spin */
	for (int i = 0; i < BATCH && !actor_stopping(port->self); i++) {
		struct wire wire;
		int rc = wire_receive(port->socket, true, &wire);

		if (rc == WIRE_NOTHING)
			return;
		if (rc == WIRE_MESSAGE) {
			on_visitor(port->self, &wire);
			wire_release(&wire);
		} else {
			log_warn("door.malformed", "ref=%" PRId64 " field=%s problem=%s",
				 wire.envelope.ref, wire.problem.field, wire.problem.message);
			if (wire.envelope.ref != 0)
				refuse(port->self, &wire, ERR_BAD_REQUEST, wire.problem.field,
				       wire.problem.message);
		}
	}
	port->dirty = !actor_stopping(port->self);
}

/* --- the actor --- */

/* Others find the port here when it was chosen by the system (ZMQ_PORT=0). Renamed into place: who
 * reads it never sees a half. */
static void write_port(const char *endpoint)
{
	const char *colon = strrchr(endpoint, ':');
	FILE *file = fopen("new.zmq_port", "we");
	int rc;

	if (file == NULL) {
		log_warn("door.port_unwritten", "error=%s", strerror(errno));
		return;
	}
	(void)fprintf(file, "%s\n", colon == NULL ? "" : colon + 1);
	rc = fclose(file);
	if (rc != 0 || rename("new.zmq_port", "zmq_port") < 0)
		log_warn("door.port_unwritten", "error=%s", strerror(errno));
}

static int door_bind(struct actor *self)
{
	static const struct port_option options[] = {
		{ZMQ_ROUTER_MANDATORY, 1},
		{ZMQ_SNDHWM, UNREAD_MAX},
		{ZMQ_BACKLOG, 1024},
		{ZMQ_LINGER, 500},
		{ZMQ_HEARTBEAT_IVL, 10000},
		{ZMQ_HEARTBEAT_TIMEOUT, 30000},
		{0, 0},
	};
	const int64_t largest = FRAME_MAX_BYTES;
	struct door *door = actor_state(self);
	int64_t wanted = setting_int(ZMQ_PORT);
	void *router = port_socket(self, ZMQ_ROUTER, options);
	char endpoint[64];
	size_t size = sizeof(endpoint);
	int rc;

	if (router == NULL)
		return -errno;
	if (wanted == 0)
		(void)snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:*");
	else
		(void)snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%" PRId64, wanted);
	if (zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &largest, sizeof(largest)) < 0 ||
	    zmq_bind(router, endpoint) < 0 ||
	    zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size) < 0) {
		rc = -errno;
		(void)zmq_close(router);
		return rc;
	}
	write_port(endpoint);
	log_info("door.open", "endpoint=%s", endpoint);
	return port_open(self, router, door_drain, &door->router);
}

static void try_bind(struct actor *self, void *unused)
{
	struct door *door = actor_state(self);
	int rc = door_bind(self);

	(void)unused;
	door->bind_timer = NULL;
	if (rc == 0) {
		actor_degraded(self, NULL);
		return;
	}
	actor_degraded(self, "ZMQ_PORT cannot be listened on: another program has it?");
	door->bind_timer = actor_timer_start(self, BIND_RETRY_MS, 0, try_bind, NULL);
	if (door->bind_timer == NULL)
		fatal("door.no_memory", "a timer");
}

static int door_init(struct actor *self)
{
	try_bind(self, NULL);
	return 0;
}

static void door_stop(struct actor *self)
{
	const struct door *door = actor_state(self);

	if (door->under_way == 0)
		actor_stopped(self);
}

static void door_terminate(struct actor *self)
{
	struct door *door = actor_state(self);

	actor_timer_stop(&door->bind_timer);
	port_close(&door->router);
}

const struct actor_spec door_spec = {
	.state_size = sizeof(struct door),
	.init = door_init,
	.stop = door_stop,
	.terminate = door_terminate,
	.may = MAY_LISTEN,
};
