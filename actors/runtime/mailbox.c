/* mailbox.c - requests from others: receive, check, dispatch, answer.
 *
 * The mailbox is a ROUTER at ipc://NAME.GENERATION. A new generation has a new address, so nothing
 * that was meant for its predecessor can reach it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/runtime/internal.h"
#include "base/clock.h"
#include "base/log.h"

#define OPEN_CALLS_DEFAULT 1000
#define FILE_NAME_SIZE	   (CONTROL_NAME_SIZE + 24)
#define BATCH		   64 /* messages handled before timers and descriptors get their turn */

/* Decoded requests take more than their bytes: pointers, NULs, alignment. */
#define CALL_ARENA_BYTES   (CODEC_MESSAGE_MAX_BYTES * 4)

struct actor_call {
	struct actor *self;
	struct actor_call *next;
	struct actor_call **link;
	struct wire_identity identity;
	const struct message *message;
	int64_t ref;
	uint64_t from_generation;
	int64_t deadline_ms;
	const char *from;
	const char *trace;
	struct arena arena;
};

static actor_call_fn *find_call(const struct actor_spec *spec, enum msg_id id)
{
	for (const struct actor_call_clause *c = spec->calls; c != NULL && c->id != MSG_NONE; c++)
		if (c->id == id)
			return c->handle;
	return NULL;
}

static actor_cast_fn *find_cast(const struct actor_spec *spec, enum msg_id id)
{
	for (const struct actor_cast_clause *c = spec->casts; c != NULL && c->id != MSG_NONE; c++)
		if (c->id == id)
			return c->handle;
	return NULL;
}

static void send_answer(struct actor *self, const struct wire_identity *identity, int64_t ref,
			const char *kind, const void *bytes, size_t len)
{
	const struct envelope envelope = {
		.v = 1,
		.kind = kind,
		.ref = ref,
		.from = self->name,
		.from_generation = (int64_t)self->generation,
	};
	int rc = wire_send(self->mailbox->socket, identity, &envelope, bytes, len);

	self->mailbox->dirty = true;
	if (rc < 0) {
		/* EHOSTUNREACH: the caller is gone, and with it whoever waited */
		self->count.dropped++;
		log_debug("answer.dropped", "ref=%" PRId64 " error=%s", ref, strerror(-rc));
	}
}

static void send_failure(struct actor *self, const struct wire_identity *identity, int64_t ref,
			 const struct failure *failure)
{
	static const struct failure plain = {
		.error = "internal",
		.message = "the error does not fit the catalogue; the log has it",
	};
	struct codec_problem problem = {0};
	void *bytes;
	size_t len;
	int rc = codec_pack(RECORD_OF(failure), failure, &bytes, &len, &problem);

	self->count.refused++;
	if (rc < 0) {
		log_error("failure.unsendable", "error=%s field=%s problem=%s", failure->error,
			  problem.field, problem.message);
		rc = codec_pack(RECORD_OF(failure), &plain, &bytes, &len, &problem);
	}
	if (rc < 0)
		return; /* no memory: the caller's deadline ends its wait */
	send_answer(self, identity, ref, "error", bytes, len);
	free(bytes);
}

static void refuse_wire(struct actor *self, const struct wire *wire, enum msg_error error,
			const struct codec_problem *problem, const char *message)
{
	const struct failure failure = {
		.error = error_code(error),
		.field = problem != NULL && problem->field[0] != '\0' ? problem->field : NULL,
		.message = problem != NULL ? problem->message : message,
	};

	send_failure(self, &wire->identity, wire->envelope.ref, &failure);
}

static void call_link(struct actor *self, struct actor_call *call)
{
	call->next = self->calls;
	if (call->next != NULL)
		call->next->link = &call->next;
	call->link = &self->calls;
	self->calls = call;
	self->open_calls++;
}

static void call_free(struct actor_call *call)
{
	struct actor *self = call->self;

	*call->link = call->next;
	if (call->next != NULL)
		call->next->link = call->link;
	self->open_calls--;
	arena_fini(&call->arena);
	free(call);
}

/* Makes the open call out of what came. NULL: no memory. */
static struct actor_call *call_new(struct actor *self, struct wire *wire, const struct message *m)
{
	struct actor_call *call = calloc(1, sizeof(*call));
	const struct envelope *e = &wire->envelope;
	int64_t now_ms = clock_mono_ms();

	if (call == NULL)
		return NULL;
	call->self = self;
	call->message = m;
	call->ref = e->ref;
	call->from_generation = (uint64_t)e->from_generation;
	call->deadline_ms = now_ms + m->timeout_ms;
	if (e->deadline_ms.set)
		call->deadline_ms = e->deadline_ms.value < now_ms + WAIT_MAX_MS
					    ? e->deadline_ms.value
					    : now_ms + WAIT_MAX_MS;
	arena_init(&call->arena, CALL_ARENA_BYTES);
	call->from = arena_strdup(&call->arena, e->from == NULL ? "" : e->from);
	call->trace = arena_strdup(&call->arena, e->trace == NULL ? "" : e->trace);
	call->identity.size = wire->identity.size;
	memcpy(call->identity.bytes, wire->identity.bytes, wire->identity.size);
	call_link(self, call);
	if (call->from == NULL || call->trace == NULL) {
		call_free(call);
		return NULL;
	}
	return call;
}

static void dispatch_call(struct actor *self, struct wire *wire, const struct message *m)
{
	size_t max = self->spec->mailbox_max == 0 ? OPEN_CALLS_DEFAULT : self->spec->mailbox_max;
	actor_call_fn *handle = find_call(self->spec, m->id);
	struct codec_problem problem;
	struct actor_call *call;
	void *request;
	int rc;

	if (handle == NULL) {
		refuse_wire(self, wire, ERR_UNKNOWN_METHOD, NULL, "not a method of this actor");
		return;
	}
	if (self->open_calls >= max) {
		refuse_wire(self, wire, ERR_OVERLOADED, NULL, "the mailbox is full");
		return;
	}
	call = call_new(self, wire, m);
	if (call == NULL) {
		log_error("call.no_memory", "method=%s", m->method);
		return;
	}
	request = arena_alloc(&call->arena, m->request->size);
	rc = request == NULL ? -ENOMEM
			     : wire_body(wire, m->request, &call->arena, request, &problem);
	if (rc == -EINVAL)
		actor_refuse(call, ERR_BAD_REQUEST, problem.field, "%s", problem.message);
	else if (rc < 0)
		actor_refuse(call, ERR_TOO_LARGE, NULL, "too much for one message");
	if (rc < 0)
		return;
	actor_resume(call);
	actor_trace(self, call->trace);
	handle(self, call, request);
	actor_trace(self, NULL);
	note_end();
}

static void dispatch_cast(struct actor *self, struct wire *wire, const struct message *m)
{
	const char *from = wire->envelope.from == NULL ? "" : wire->envelope.from;
	actor_cast_fn *handle = find_cast(self->spec, m->id);
	struct codec_problem problem;
	struct arena arena;
	void *body;

	arena_init(&arena, CALL_ARENA_BYTES);
	body = arena_alloc(&arena, m->request->size);
	if (handle == NULL) {
		self->count.malformed++;
		log_warn("cast.unknown", "method=%s from=%s", m->method, from);
	} else if (body == NULL || wire_body(wire, m->request, &arena, body, &problem) < 0) {
		self->count.malformed++;
		log_warn("cast.malformed", "method=%s from=%s", m->method, from);
	} else {
		const struct control_message in_hand =
			note_message(m->method, from, 0, 0, wire->envelope.trace);

		note_begin("cast", &in_hand);
		handle(self, body);
		note_end();
	}
	arena_fini(&arena);
}

static void dispatch(struct actor *self, struct wire *wire)
{
	const struct envelope *e = &wire->envelope;
	const struct message *m = e->method == NULL ? NULL : message_by_method(e->method);
	bool cast = strcmp(e->kind, "cast") == 0;

	self->count.received++;
	if (!cast && strcmp(e->kind, "call") != 0) {
		self->count.malformed++;
	} else if (e->to_generation != 0 && (uint64_t)e->to_generation != self->generation) {
		self->count.stale++;
	} else if (e->deadline_ms.set && e->deadline_ms.value <= clock_mono_ms()) {
		self->count.expired++; /* nobody waits any more */
	} else if (m == NULL || ((m->flags & MESSAGE_CAST) != 0) != cast) {
		if (!cast)
			refuse_wire(self, wire, ERR_UNKNOWN_METHOD, NULL, "not in the catalogue");
		self->count.malformed++;
	} else if (cast) {
		dispatch_cast(self, wire, m);
	} else {
		dispatch_call(self, wire, m);
	}
}

static void mailbox_drain(struct port *port)
{
	struct actor *self = port->self;

	/* What is still unread when the actor stops stays unread: idempotent calls are carried to
	 * the next generation by their callers, the others fail there with `down`. ZeroMQ's signal
	 * is taken all the same, or the loop would not sleep any more. */
	if (self->stopping)
		(void)port_events(port);
	for (int i = 0; i < BATCH && !self->stopping; i++) {
		struct wire wire;
		int rc = wire_receive(port->socket, true, &wire);

		if (rc == WIRE_NOTHING)
			return;
		if (rc == WIRE_MESSAGE) {
			dispatch(self, &wire);
			wire_release(&wire);
		} else {
			self->count.malformed++;
			log_warn("message.malformed", "where=mailbox");
		}
	}
	port->dirty = !self->stopping;
}

static void name_file(char *file, const char *name, uint64_t generation)
{
	(void)snprintf(file, FILE_NAME_SIZE, "%s.%" PRIu64, name, generation);
}

int mailbox_open(struct actor *self)
{
	static const struct port_option options[] = {
		{ZMQ_ROUTER_MANDATORY, 1},
		{ZMQ_ROUTER_HANDOVER, 1},
		{ZMQ_BACKLOG, 1024},
		{ZMQ_SNDHWM, 1000},
		{ZMQ_RCVHWM, 1000},
		{ZMQ_LINGER, 500},
		{0, 0},
	};
	const int64_t largest = CODEC_MESSAGE_MAX_BYTES;
	void *router = port_socket(self, ZMQ_ROUTER, options);
	char file[FILE_NAME_SIZE];
	char address[FILE_NAME_SIZE + 8];
	int rc;

	if (router == NULL)
		return -errno;
	name_file(file, self->name, self->generation);
	(void)snprintf(address, sizeof(address), "ipc://%s", file);
	if (zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &largest, sizeof(largest)) < 0 ||
	    zmq_bind(router, address) < 0) {
		rc = -errno;
		(void)zmq_close(router);
		return rc;
	}
	return port_open(self, router, mailbox_drain, &self->mailbox);
}

int mailbox_move(struct actor *self, const char *name, uint64_t generation)
{
	char before[FILE_NAME_SIZE];
	char after[FILE_NAME_SIZE];

	name_file(before, self->name, self->generation);
	name_file(after, name, generation);
	return rename(before, after) < 0 ? -errno : 0;
}

void mailbox_close(struct actor *self)
{
	while (self->calls != NULL)
		call_free(self->calls);
	port_close(&self->mailbox);
}

/* --- answers --- */

void actor_reply(struct actor_call *call, const void *body)
{
	struct actor *self = call->self;
	struct codec_problem problem;
	void *bytes;
	size_t len;
	int rc = codec_pack(call->message->reply, body, &bytes, &len, &problem);

	if (rc < 0) {
		log_error("reply.unsendable", "method=%s field=%s problem=%s",
			  call->message->method, problem.field, problem.message);
		actor_refuse(call, ERR_INTERNAL, NULL, "the answer does not fit the catalogue");
		return;
	}
	self->count.answered++;
	send_answer(self, &call->identity, call->ref, "reply", bytes, len);
	free(bytes);
	call_free(call);
	actor_check_stopped(self);
}

void actor_refuse_with(struct actor_call *call, const struct failure *failure)
{
	struct actor *self = call->self;

	send_failure(self, &call->identity, call->ref, failure);
	call_free(call);
	actor_check_stopped(self);
}

/* Makes text of what was formatted: a character that the buffer's end cut goes, and if there are
 * bytes that are none, a question mark stands for each. */
static void fit_message(char *message, bool was_cut)
{
	size_t len = strlen(message);

	for (int i = 0; was_cut && i < 4 && len > 0 && !utf8_valid(message, len, NULL); i++)
		message[--len] = '\0';
	if (!utf8_valid(message, len, NULL))
		for (char *p = message; *p != '\0'; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
}

static void refuse_va(struct actor_call *call, enum msg_error error, const char *field,
		      struct opt_int retry_after_ms, const char *fmt, va_list args)
{
	char message[1024];
	const struct failure failure = {
		.error = error_code(error),
		.field = field != NULL && field[0] != '\0' ? field : NULL,
		.message = message,
		.retry_after_ms = retry_after_ms,
	};

	fit_message(message,
		    vsnprintf(message, sizeof(message), fmt, args) >= (int)sizeof(message));
	actor_refuse_with(call, &failure);
}

void actor_refuse(struct actor_call *call, enum msg_error error, const char *field, const char *fmt,
		  ...)
{
	va_list args;

	va_start(args, fmt);
	refuse_va(call, error, field, (struct opt_int){0}, fmt, args);
	va_end(args);
}

void actor_refuse_until(struct actor_call *call, enum msg_error error, int64_t retry_after_ms,
			const char *fmt, ...)
{
	va_list args;

	if (retry_after_ms < 0)
		retry_after_ms = 0;
	if (retry_after_ms > WAIT_MAX_MS) /* what the catalogue takes, too */
		retry_after_ms = WAIT_MAX_MS;
	va_start(args, fmt);
	refuse_va(call, error, NULL, OPT_INT_OF(retry_after_ms), fmt, args);
	va_end(args);
}

void actor_resume(const struct actor_call *call)
{
	const struct control_message in_hand = note_message(
		call->message->method, call->from, call->from_generation, call->ref, call->trace);

	note_begin("call", &in_hand);
}

int64_t actor_call_remaining_ms(const struct actor_call *call)
{
	int64_t left = call->deadline_ms - clock_mono_ms();

	return left < 0 ? 0 : left;
}

const struct message *actor_call_message(const struct actor_call *call)
{
	return call->message;
}

const char *actor_call_from(const struct actor_call *call)
{
	return call->from;
}

const char *actor_call_trace(const struct actor_call *call)
{
	return call->trace;
}

struct arena *actor_call_arena(struct actor_call *call)
{
	return &call->arena;
}
