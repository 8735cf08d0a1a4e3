/* control.c - the supervisor's end of the treaty (proto/control.h): ready, heartbeat, news,
 * requests. */
#include <fcntl.h>
#include <poll.h>

#include "actors/runtime/internal.h"
#include "base/log.h"

/* The supervisor reads at once; if it does not for this long, it is the one that is stuck. */
#define SEND_PATIENCE_MS 1000

struct control_request {
	struct control_request *next;
	uint32_t ref;
	actor_control_fn *fn;
	void *context;
};

static int control_send(const struct control_packet *packet)
{
	struct pollfd out = {.fd = CONTROL_FD, .events = POLLOUT};

	for (;;) {
		if (send(CONTROL_FD, packet, sizeof(*packet), MSG_NOSIGNAL) ==
		    (ssize_t)sizeof(*packet))
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		if (poll(&out, 1, SEND_PATIENCE_MS) == 0)
			return -EAGAIN;
	}
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
	peers_news(self, &news);
	if (self->spec->news != NULL)
		self->spec->news(self, &news);
}

static void on_packet(struct actor *self, struct control_packet *packet)
{
	packet->name[sizeof(packet->name) - 1] = '\0';
	packet->reason[sizeof(packet->reason) - 1] = '\0';
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

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct actor *self = handle->data;
	struct control_packet packet;
	ssize_t n;

	(void)status;
	(void)events;
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
	(void)control_send(&packet); /* a lost one is followed by the next */
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
	return uv_poll_init(&self->loop, &self->control, CONTROL_FD) < 0 ||
			       uv_poll_start(&self->control, UV_READABLE, on_readable) < 0 ||
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
}

void control_ready(struct actor *self)
{
	struct control_packet packet = packet_of(CONTROL_READY, self->name);

	if (control_send(&packet) < 0)
		fatal("control.ready_unsent", "the supervisor does not read");
	if (self->degraded[0] != '\0')
		on_heartbeat(&self->heartbeat);
}

int control_monitor(struct actor *self, const char *name)
{
	struct control_packet packet = packet_of(CONTROL_MONITOR, name);

	(void)self;
	return control_send(&packet);
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
	rc = control_send(&packet);
	if (rc < 0) {
		free(request);
		return rc;
	}
	request->next = self->requests;
	self->requests = request;
	return 0;
}
