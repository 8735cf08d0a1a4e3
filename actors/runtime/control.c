/* control.c - the supervisor's end of the treaty (proto/control.h): ready, heartbeat, news,
 * requests. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors/runtime/internal.h"
#include "base/log.h"

struct control_request {
	struct control_request *next;
	uint32_t ref;
	actor_control_fn *fn;
	void *context;
};

/* A packet for which the socket had no room. */
struct control_unsent {
	struct control_unsent *next;
	struct control_packet packet;
};

static void on_event(uv_poll_t *handle, int status, int events);

/* One try. Returns 0 or a negative errno. */
static int try_send(const struct control_packet *packet)
{
	ssize_t n;

	do
		n = send(CONTROL_FD, packet, sizeof(*packet), MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Keeps a packet until there is room, behind those that wait already. */
static int keep_unsent(struct actor *self, const struct control_packet *packet)
{
	struct control_unsent *unsent = malloc(sizeof(*unsent));

	if (unsent == NULL)
		return -ENOMEM;
	unsent->next = NULL;
	unsent->packet = *packet;
	*self->last_unsent = unsent;
	self->last_unsent = &unsent->next;
	return uv_poll_start(&self->control, UV_READABLE | UV_WRITABLE, on_event) < 0 ? -EIO : 0;
}

/* Sends without ever waiting: the supervisor does not read on while we do not read its answers, so
 * a thousand requests made by one handler would have us both wait for each other. */
static int control_send(struct actor *self, const struct control_packet *packet)
{
	int rc = self->unsent == NULL ? try_send(packet) : -EAGAIN;

	return rc == -EAGAIN || rc == -ENOBUFS ? keep_unsent(self, packet) : rc;
}

static void send_unsent(struct actor *self)
{
	while (self->unsent != NULL) {
		struct control_unsent *unsent = self->unsent;
		int rc = try_send(&unsent->packet);

		if (rc == -EAGAIN || rc == -ENOBUFS)
			return;
		self->unsent = unsent->next; /* another error: end of file follows */
		free(unsent);
	}
	self->last_unsent = &self->unsent;
	(void)uv_poll_start(&self->control, UV_READABLE, on_event);
}

static struct control_packet packet_of(enum control_type type, const char *name)
{
	struct control_packet packet = {.version = CONTROL_VERSION, .type = (uint16_t)type};

	(void)snprintf(packet.name, sizeof(packet.name), "%s", name);
	return packet;
}

static void on_reply(struct actor *self, const struct control_packet *packet)
{
	for (struct control_request **link = &self->requests; *link != NULL;
	     link = &(*link)->next) {
		struct control_request *request = *link;

		if (request->ref != packet->ref)
			continue;
		*link = request->next;
		if (self->last_request == &request->next)
			self->last_request = link;
		request->fn(self, packet, request->context);
		free(request);
		return;
	}
	log_warn("control.reply_unknown", "ref=%u", packet->ref);
}

static void on_news(struct actor *self, struct control_packet *packet)
{
	const struct actor_news news = {
		.name = packet->name,
		.generation = packet->generation,
		.up = packet->type == CONTROL_UP,
		.reason = packet->reason,
	};

	log_debug(news.up ? "peer.up" : "peer.down", "name=%s generation=%llu %s", news.name,
		  (unsigned long long)news.generation, news.reason);
	peers_news(self, &news, &packet->culprit, packet->value == 1);
	note_begin("news", NULL);
	if (self->spec->news != NULL)
		self->spec->news(self, &news);
	note_end();
}

static void on_packet(struct actor *self, struct control_packet *packet)
{
	packet->name[sizeof(packet->name) - 1] = '\0';
	packet->reason[sizeof(packet->reason) - 1] = '\0';
	if (packet->type == CONTROL_DOWN)
		packet->culprit.from[sizeof(packet->culprit.from) - 1] = '\0';
	switch (packet->type) {
	case CONTROL_UP:
	case CONTROL_DOWN:
		on_news(self, packet);
		break;
	case CONTROL_REPLY:
		on_reply(self, packet);
		break;
	default:
		log_warn("control.unknown", "type=%u", packet->type);
	}
}

static void on_event(uv_poll_t *handle, int status, int events)
{
	struct actor *self = handle->data;
	struct control_packet packet;
	ssize_t n;

	(void)status;
	if (events & UV_WRITABLE)
		send_unsent(self);
	while ((n = recv(CONTROL_FD, &packet, sizeof(packet), 0)) > 0) {
		if (n != (ssize_t)sizeof(packet) || packet.version != CONTROL_VERSION)
			panic("control.malformed", "bytes=%zd version=%u", n, packet.version);
		on_packet(self, &packet);
	}
	if (n == 0) /* the supervisor is gone; nothing that we would do now has an owner */
		_exit(0);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		_exit(0);
}

static void on_heartbeat(uv_timer_t *handle)
{
	struct actor *self = handle->data;
	struct control_packet packet = packet_of(CONTROL_HEARTBEAT, self->name);

	packet.value = self->degraded[0] != '\0';
	memcpy(packet.reason, self->degraded, sizeof(packet.reason));
	if (self->unsent == NULL) /* else what waits is sign of life enough */
		(void)control_send(self, &packet);
}

int control_open(struct actor *self)
{
	int flags = fcntl(CONTROL_FD, F_GETFL);

	if (flags < 0 || fcntl(CONTROL_FD, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	(void)uv_timer_init(&self->loop, &self->heartbeat);
	self->heartbeat.data = self;
	self->control.data = self;
	self->last_unsent = &self->unsent;
	self->last_request = &self->requests;
	return uv_poll_init(&self->loop, &self->control, CONTROL_FD) < 0 ||
			       uv_poll_start(&self->control, UV_READABLE, on_event) < 0 ||
			       uv_timer_start(&self->heartbeat, on_heartbeat, CONTROL_HEARTBEAT_MS,
					      CONTROL_HEARTBEAT_MS) < 0
		       ? -EIO
		       : 0;
}

void control_close(struct actor *self)
{
	while (self->requests != NULL) {
		struct control_request *request = self->requests;

		self->requests = request->next;
		free(request);
	}
	while (self->unsent != NULL) {
		struct control_unsent *unsent = self->unsent;

		self->unsent = unsent->next;
		free(unsent);
	}
}

void control_ready(struct actor *self)
{
	struct control_packet packet = packet_of(CONTROL_READY, self->name);

	if (control_send(self, &packet) < 0)
		fatal("control.ready_unsent", "the supervisor cannot be told");
	if (self->degraded[0] != '\0')
		on_heartbeat(&self->heartbeat);
}

int control_monitor(struct actor *self, const char *name)
{
	struct control_packet packet = packet_of(CONTROL_MONITOR, name);

	return control_send(self, &packet);
}

void actor_degraded(struct actor *self, const char *why)
{
	char now[CONTROL_REASON_SIZE] = "";

	if (why != NULL)
		(void)snprintf(now, sizeof(now), "%s", why);
	if (strcmp(now, self->degraded) == 0)
		return;
	if (now[0] != '\0')
		log_warn("actor.degraded", "%s", now);
	else
		log_info("actor.recovered", "was=\"%s\"", self->degraded);
	memcpy(self->degraded, now, sizeof(now));
	if (self->ready)
		on_heartbeat(&self->heartbeat);
}

int actor_control(struct actor *self, int type, const char *name, int64_t value,
		  actor_control_fn *fn, void *context)
{
	struct control_packet packet = packet_of((enum control_type)type, name);
	struct control_request *request = calloc(1, sizeof(*request));
	int rc;

	if (request == NULL)
		return -ENOMEM;
	packet.value = value;
	packet.ref = request->ref = ++self->last_control_ref;
	request->fn = fn;
	request->context = context;
	rc = control_send(self, &packet);
	if (rc < 0) {
		free(request);
		return rc;
	}
	*self->last_request = request;
	self->last_request = &request->next;
	return 0;
}
