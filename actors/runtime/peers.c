/* peers.c - requests to others: queue, send, match answers, deadlines, deaths.
 *
 * A peer is another actor, known by name; the supervisor tells us which generation of it is up. For
 * each generation we connect a DEALER of its own and close it when that generation is down, so an
 * answer can only come from whom we asked. A request is QUEUED until ZeroMQ took it, then SENT.
 * When a generation ends, what was sent to it fails with `down`, or is queued again if it is
 * idempotent, unless it is what they die of (docs/decisions/0010).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/runtime/internal.h"
#include "actors/runtime/peers.h"
#include "base/clock.h"
#include "base/log.h"

#define WAITING_MAX	   20000
#define BATCH		   64
#define CAST_PATIENCE_MS   5000 /* how long a cast waits for its connection */

#define ANSWER_ARENA_BYTES (CODEC_MESSAGE_MAX_BYTES * 4)

static struct peer *peer_find(struct actor *self, const char *name)
{
	for (struct peer *p = self->peers; p != NULL; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

/* The peer called name; the supervisor is asked for its news when it is a new one. NULL: no memory
 * or no supervisor. */
static struct peer *peer_get(struct actor *self, const char *name)
{
	struct peer *peer = peer_find(self, name);

	if (peer != NULL)
		return peer;
	peer = calloc(1, sizeof(*peer));
	if (peer == NULL)
		return NULL;
	(void)snprintf(peer->name, sizeof(peer->name), "%s", name);
	if (control_monitor(self, peer->name) < 0) {
		free(peer);
		return NULL;
	}
	peer->self = self;
	peer->last = &peer->first;
	peer->next = self->peers;
	self->peers = peer;
	return peer;
}

static void request_unlink(struct request *request)
{
	struct peer *peer = request->peer;

	for (struct request **link = &peer->first; *link != NULL; link = &(*link)->next)
		if (*link == request) {
			*link = request->next;
			if (peer->last == &request->next)
				peer->last = link;
			return;
		}
}

static void request_free(struct request *request)
{
	request->peer->self->waiting--;
	actor_timer_stop(&request->timer);
	free(request->bytes);
	free(request);
}

static void request_end(struct request *request, const struct actor_answer *answer)
{
	struct actor *self = request->peer->self;

	request_unlink(request);
	if (request->fn != NULL) {
		note_begin("answer", &request->origin);
		actor_trace(self, request->trace);
		request->fn(self, answer, request->context);
		actor_trace(self, NULL);
		note_end();
	}
	request_free(request);
}

void request_fail(struct request *request, enum msg_error error, const char *message)
{
	const struct failure failure = {.error = error_code(error), .message = message};
	const struct actor_answer answer = {.error = error, .failure = &failure};

	request_end(request, &answer);
}

static void on_deadline(struct actor *self, void *context)
{
	struct request *request = context;
	char message[160];

	request->timer = NULL;
	if (request->fn == NULL)
		self->count.dropped++;
	else
		self->count.timeouts++;
	(void)snprintf(message, sizeof(message), "%s did not answer %s in time",
		       request->peer->name, request->message->method);
	request_fail(request, ERR_TIMEOUT, message);
}

/* --- sending --- */

static int request_send(struct request *request)
{
	struct peer *peer = request->peer;
	struct actor *self = peer->self;
	const struct envelope envelope = {
		.v = 1,
		.kind = request->fn == NULL ? "cast" : "call",
		.ref = request->ref,
		.method = request->message->method,
		.from = self->name,
		.from_generation = (int64_t)self->generation,
		.to_generation = (int64_t)peer->generation,
		.deadline_ms = OPT_INT_OF(request->deadline_ms),
		.trace = request->trace[0] == '\0' ? NULL : request->trace,
	};

	return wire_send(peer->port->socket, NULL, &envelope, request->bytes, request->len);
}

/* Sends what is queued, in order, as far as ZeroMQ takes it. A send, also one that fails, may
 * swallow the signal that an answer came, so the port is looked at again. */
static void peer_flush(struct peer *peer)
{
	struct request *next;
	int rc;

	for (struct request *request = peer->first; request != NULL; request = next) {
		next = request->next;
		if (request->state != REQUEST_QUEUED)
			continue;
		rc = request_send(request);
		if (rc == 0 || rc == -EAGAIN)
			peer->port->dirty = true;
		if (rc < 0)
			return; /* its mailbox is full, or it is gone: POLLOUT wakes us */
		peer->self->count.sent++;
		request->state = REQUEST_SENT;
		if (request->fn == NULL) {
			request_unlink(request);
			request_free(request);
		}
	}
}

static bool peer_has_queued(const struct peer *peer)
{
	for (const struct request *r = peer->first; r != NULL; r = r->next)
		if (r->state == REQUEST_QUEUED)
			return true;
	return false;
}

/* --- receiving --- */

static struct request *request_find(const struct peer *peer, int64_t ref)
{
	for (struct request *r = peer->first; r != NULL; r = r->next)
		if (r->ref == ref && r->state == REQUEST_SENT)
			return r;
	return NULL;
}

static void on_reply(struct request *request, const struct wire *wire)
{
	const struct record *record = request->message->reply;
	struct actor *self = request->peer->self;
	struct codec_problem problem;
	struct arena arena;
	void *body;

	arena_init(&arena, ANSWER_ARENA_BYTES);
	body = arena_alloc(&arena, record->size);
	if (body == NULL || wire_body(wire, record, &arena, body, &problem) < 0) {
		log_error("reply.malformed", "from=%s method=%s", request->peer->name,
			  request->message->method);
		request_fail(request, ERR_INTERNAL, "an answer did not fit the catalogue");
	} else {
		const struct actor_answer answer = {.error = ERR_NONE, .body = body};

		self->count.replies++;
		request_end(request, &answer);
	}
	arena_fini(&arena);
}

static void on_failure(struct request *request, const struct wire *wire)
{
	struct failure failure;
	struct arena arena;

	request->peer->self->count.failures++;
	arena_init(&arena, ANSWER_ARENA_BYTES);
	if (wire_body(wire, RECORD_OF(failure), &arena, &failure, NULL) < 0) {
		request_fail(request, ERR_INTERNAL, "an error did not fit the catalogue");
	} else {
		const struct actor_answer answer = {.error = error_by_code(failure.error),
						    .failure = &failure};

		request_end(request, &answer);
	}
	arena_fini(&arena);
}

static void on_answer(struct peer *peer, const struct wire *wire)
{
	struct request *request = request_find(peer, wire->envelope.ref);

	if (request == NULL)
		peer->self->count.late++;
	else if (strcmp(wire->envelope.kind, "reply") == 0)
		on_reply(request, wire);
	else if (strcmp(wire->envelope.kind, "error") == 0)
		on_failure(request, wire);
	else
		peer->self->count.malformed++;
}

/* Takes what is there in one message. Returns what wire_receive() does. */
static int peer_receive(struct peer *peer)
{
	struct wire wire;
	int rc = wire_receive(peer->port->socket, false, &wire);

	if (rc == WIRE_MESSAGE) {
		on_answer(peer, &wire);
		wire_release(&wire);
	} else if (rc != WIRE_NOTHING) {
		peer->self->count.malformed++;
	}
	return rc;
}

static struct peer *peer_of_port(const struct port *port)
{
	for (struct peer *p = port->self->peers; p != NULL; p = p->next)
		if (p->port == port)
			return p;
	return NULL;
}

/* Of the actors that are as many as users, we speak to each now and then: a connection to each,
 * kept for good, would take all our descriptors. */
static bool peer_is_one_of_many(const struct peer *peer)
{
	return strchr(peer->name, ':') != NULL;
}

static void peer_drain(struct port *port)
{
	struct peer *peer = peer_of_port(port);

	if (peer == NULL)
		return;
	for (int i = 0; i < BATCH; i++) {
		int events;

		if (peer_receive(peer) != WIRE_NOTHING)
			continue;
		events = peer_has_queued(peer) ? port_events(port) : 0;
		if (events & ZMQ_POLLOUT)
			peer_flush(peer);
		if (events & ZMQ_POLLIN) /* came since; its signal is spent */
			port->dirty = true;
		if (peer->first == NULL && peer_is_one_of_many(peer))
			port_close(&peer->port); /* and with it port */
		return;
	}
	port->dirty = true;
}

/* --- news --- */

static void peer_connect(struct peer *peer)
{
	/* Without ZMQ_IMMEDIATE: with it, answers that came together with the end of the connection are
	 * thrown away. There is nobody to queue for by mistake, the address being a generation's. */
	static const struct port_option options[] = {
		{ZMQ_RECONNECT_IVL, 5}, {ZMQ_RECONNECT_IVL_MAX, 2000},
		{ZMQ_LINGER, 500},	{ZMQ_SNDHWM, 1000},
		{ZMQ_RCVHWM, 1000},	{0, 0},
	};
	const int64_t largest = CODEC_MESSAGE_MAX_BYTES;
	struct actor *self = peer->self;
	void *dealer = port_socket(self, ZMQ_DEALER, options);
	char address[CONTROL_NAME_SIZE + 32];

	if (dealer == NULL) {
		log_error("peer.no_socket", "name=%s error=%s", peer->name, strerror(errno));
		return;
	}
	(void)snprintf(address, sizeof(address), "ipc://%s.%" PRIu64, peer->name, peer->generation);
	if (zmq_setsockopt(dealer, ZMQ_MAXMSGSIZE, &largest, sizeof(largest)) < 0 ||
	    zmq_connect(dealer, address) < 0) {
		log_error("peer.unreachable", "name=%s error=%s", peer->name, strerror(errno));
		(void)zmq_close(dealer);
	} else if (port_open(self, dealer, peer_drain, &peer->port) < 0) {
		log_error("peer.no_port", "name=%s", peer->name);
	}
}

/* The new state holds before anybody hears of a failure: an answer function may call the same peer
 * again, and must not do so at the generation that is gone. */
void peers_news(struct actor *self, const struct actor_news *news,
		const struct control_message *culprit, bool own_fault)
{
	struct peer *peer = peer_find(self, news->name);
	struct request *lost = NULL;

	if (peer == NULL ||
	    (news->up && peer->state == PEER_UP && peer->generation == news->generation))
		return;
	if (peer->state == PEER_UP || !news->up) {
		/* What it answered before it died is an answer. */
		while (peer->port != NULL && peer_receive(peer) != WIRE_NOTHING)
			;
		port_close(&peer->port);
		lost = deaths_take_lost(peer, culprit, own_fault && !news->up);
	}
	peer->state = news->up ? PEER_UP : PEER_DOWN;
	peer->generation = news->generation;
	/* Only who has something to say connects; the others wait for their first request. */
	if (news->up && peer->first != NULL)
		peer_connect(peer);
	deaths_fail_lost(self, lost, news);
}

void peers_close(struct actor *self)
{
	while (self->peers != NULL) {
		struct peer *peer = self->peers;

		self->peers = peer->next;
		while (peer->first != NULL) {
			struct request *request = peer->first;

			request_unlink(request);
			request_free(request);
		}
		port_close(&peer->port);
		free(peer);
	}
}

/* --- the actor's side --- */

static void fail_later(struct actor *self, void *context)
{
	struct request *request = context;

	request->timer = NULL;
	self->count.downs++;
	request_fail(request, ERR_DOWN, "the actor that would answer is not up");
}

static struct request *request_new(struct peer *peer, const struct message *m, const void *body,
				   int64_t timeout_ms, int *rc)
{
	struct actor *self = peer->self;
	struct request *request = calloc(1, sizeof(*request));
	struct codec_problem problem;

	*rc = -ENOMEM;
	if (request == NULL)
		return NULL;
	*rc = codec_pack(m->request, body, &request->bytes, &request->len, &problem);
	if (*rc < 0) {
		if (*rc == -EINVAL)
			log_error("request.unsendable", "method=%s field=%s problem=%s", m->method,
				  problem.field, problem.message);
		free(request);
		return NULL;
	}
	request->peer = peer;
	request->message = m;
	request->ref = (int64_t)++self->last_ref;
	request->origin = *note_in_hand();
	if (request->origin.method[0] == '\0')
		request->origin = note_message(m->method, NULL, 0, 0, self->trace);
	timeout_ms = timeout_ms < WAIT_MAX_MS ? timeout_ms : WAIT_MAX_MS;
	request->deadline_ms = clock_mono_ms() + timeout_ms;
	(void)snprintf(request->trace, sizeof(request->trace), "%s", self->trace);
	request->timer = actor_timer_start(self, timeout_ms, 0, on_deadline, request);
	if (request->timer == NULL) {
		*rc = -ENOMEM;
		free(request->bytes);
		free(request);
		return NULL;
	}
	self->waiting++;
	return request;
}

static void request_queue(struct request *request)
{
	struct peer *peer = request->peer;

	*peer->last = request;
	peer->last = &request->next;
	if (peer->state != PEER_UP)
		return;
	if (peer->port == NULL)
		peer_connect(peer);
	if (peer->port != NULL)
		peer->port->dirty = true; /* sent before the loop sleeps */
}

int actor_call_to(struct actor *self, const char *name, enum msg_id id, const void *request,
		  int64_t timeout_ms, actor_answer_fn *fn, void *context)
{
	const struct message *m = message_by_id(id);
	struct peer *peer;
	struct request *r;
	int rc;

	if (self->waiting >= WAITING_MAX)
		return -ENOBUFS;
	peer = peer_get(self, name);
	if (peer == NULL)
		return -ENOMEM;
	r = request_new(peer, m, request, timeout_ms > 0 ? timeout_ms : m->timeout_ms, &rc);
	if (r == NULL)
		return rc;
	r->fn = fn;
	r->context = context;
	request_queue(r);
	if (peer->state == PEER_DOWN && (m->flags & MESSAGE_IDEMPOTENT) == 0) {
		r->state = REQUEST_DOOMED;
		actor_timer_stop(&r->timer);
		r->timer = actor_timer_start(self, 0, 0, fail_later, r);
		if (r->timer == NULL) {
			request_unlink(r);
			request_free(r);
			return -ENOMEM;
		}
	}
	return 0;
}

int actor_call(struct actor *self, enum msg_id id, const void *request, int64_t timeout_ms,
	       actor_answer_fn *fn, void *context)
{
	return actor_call_to(self, message_by_id(id)->receiver, id, request, timeout_ms, fn,
			     context);
}

int actor_cast(struct actor *self, const char *name, enum msg_id id, const void *body)
{
	const struct message *m = message_by_id(id);
	struct peer *peer = peer_get(self, name == NULL ? m->receiver : name);
	struct request *r;
	int rc;

	if (peer == NULL)
		return -ENOMEM;
	if (peer->state == PEER_DOWN) {
		self->count.dropped++;
		return -ESRCH;
	}
	if (self->waiting >= WAITING_MAX) {
		self->count.dropped++;
		return -EAGAIN;
	}
	r = request_new(peer, m, body, CAST_PATIENCE_MS, &rc);
	if (r == NULL)
		return rc;
	request_queue(r);
	return 0;
}

int actor_monitor(struct actor *self, const char *name)
{
	return peer_get(self, name) == NULL ? -ENOMEM : 0;
}
