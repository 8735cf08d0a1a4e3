/* control.c - packets between the supervisor and a child (proto/control.h). See node.h.
 *
 * A child is not trusted to be right, only to be ours. A packet that breaks the treaty is its death
 * sentence. One that does not read cannot block us: what it should hear waits in a bounded place
 * until there is room; one that asks and does not read the answers is not listened to any longer,
 * and then misses its heartbeat.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* Packets read from one child before the others get their turn. */
#define READ_BATCH	32

/* From the end of file to the death of the child, before we help: one that exits has closed its
 * descriptors a moment before it can be reaped. */
#define CLOSED_GRACE_MS 1000

/* An answer that does not fit into the socket yet. */
struct reply {
	struct reply *next;
	struct control_packet packet;
};

static int watch_descriptor(struct supervisor *s, struct node *n, int op)
{
	struct control_link *link = &n->link;
	struct epoll_event ev = {.data.ptr = n};

	ev.events = link->replies == NULL ? EPOLLIN : 0;
	if (link->wants_out)
		ev.events |= EPOLLOUT;
	return epoll_ctl(s->epoll_fd, op, link->fd, &ev) < 0 ? -errno : 0;
}

int control_open(struct supervisor *s, struct node *n, int fd)
{
	int rc;

	n->link.fd = fd;
	n->link.wants_out = false;
	n->link.refused = false;
	rc = watch_descriptor(s, n, EPOLL_CTL_ADD);
	if (rc < 0)
		control_close(s, n);
	return rc;
}

static void free_replies(struct node *n)
{
	while (n->link.replies != NULL) {
		struct reply *reply = n->link.replies;

		n->link.replies = reply->next;
		free(reply);
	}
}

void control_close(struct supervisor *s, struct node *n)
{
	news_forget(s, n);
	free_replies(n);
	if (n->link.fd < 0)
		return;
	/* Closing is not enough: while anybody else holds the same socket, a child that is about to
	 * exec say, epoll would go on to speak of a node that may be freed by then. */
	(void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, n->link.fd, NULL);
	(void)close(n->link.fd);
	n->link.fd = -1;
}

/* --- out --- */

int control_send(struct supervisor *s, struct node *n, const struct control_packet *packet)
{
	ssize_t sent;

	if (n->link.fd < 0)
		return -EPIPE;
	do
		sent = send(n->link.fd, packet, sizeof(*packet), MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return 0; /* a packet goes whole or not at all */
	if (errno != EAGAIN && errno != ENOBUFS)
		return -errno;
	n->link.wants_out = true;
	(void)watch_descriptor(s, n, EPOLL_CTL_MOD);
	return -EAGAIN;
}

/* Keeps an answer behind those that wait already. Returns 0 or -ENOMEM. */
static int keep_reply(struct node *n, const struct control_packet *packet)
{
	struct reply **last = &n->link.replies;
	struct reply *reply = malloc(sizeof(*reply));

	if (reply == NULL)
		return -ENOMEM;
	reply->next = NULL;
	reply->packet = *packet;
	while (*last != NULL)
		last = &(*last)->next;
	*last = reply;
	return 0;
}

void control_reply(struct supervisor *s, struct node *n, const struct control_packet *reply)
{
	if (n->link.replies == NULL && control_send(s, n, reply) != -EAGAIN)
		return; /* sent, or the child is gone */
	if (keep_reply(n, reply) < 0)
		node_condemn(s, n, DEATH_TREATY, "does not read its answers");
	else
		(void)watch_descriptor(s, n, EPOLL_CTL_MOD);
}

void control_writable(struct supervisor *s, struct node *n)
{
	n->link.wants_out = false;
	while (n->link.replies != NULL) {
		struct reply *reply = n->link.replies;

		if (control_send(s, n, &reply->packet) == -EAGAIN)
			return;
		n->link.replies = reply->next;
		free(reply);
	}
	news_flush(s, n);
	if (n->link.fd >= 0 && !n->link.wants_out)
		(void)watch_descriptor(s, n, EPOLL_CTL_MOD);
}

/* --- in --- */

static void on_heartbeat(struct node *n, const struct control_packet *p)
{
	node_set_degraded(n, p->value == 0 ? NULL : p->reason);
}

static void on_monitor(struct supervisor *s, struct node *n, const struct control_packet *p)
{
	int rc = news_monitor(s, n, p->name);

	if (rc < 0)
		node_condemn(s, n, DEATH_TREATY, "cannot monitor: %s", strerror(-rc));
}

static void on_request(struct supervisor *s, struct node *n, const struct control_packet *p)
{
	struct control_packet reply = {
		.version = CONTROL_VERSION, .type = CONTROL_REPLY, .ref = p->ref};

	memcpy(reply.name, p->name, sizeof(reply.name));
	if (request_serve(s, n, p, &reply))
		control_reply(s, n, &reply);
}

/* What is wrong with a packet, or NULL. Its strings end within their fields if nothing is. */
static const char *fault(const struct control_packet *p, ssize_t size)
{
	if (size != (ssize_t)sizeof(*p))
		return "a packet of the wrong size";
	if (p->version != CONTROL_VERSION)
		return "a packet of another version";
	if (p->type < CONTROL_READY || p->type > CONTROL_RENEW_CHILD)
		return "a packet of a type that it may not send";
	if (memchr(p->name, '\0', sizeof(p->name)) == NULL ||
	    memchr(p->reason, '\0', sizeof(p->reason)) == NULL)
		return "a text without an end";
	return NULL;
}

static void on_packet(struct supervisor *s, struct node *n, const struct control_packet *p)
{
	switch (p->type) {
	case CONTROL_READY:
		node_ready(s, n);
		break;
	case CONTROL_HEARTBEAT:
		on_heartbeat(n, p);
		break;
	case CONTROL_MONITOR:
		on_monitor(s, n, p);
		break;
	default: /* fault() has let pass nothing else */
		on_request(s, n, p);
		break;
	}
}

/* The child has closed its end. If it is not ending, it has given up its parent: so do we. */
static void on_end_of_file(struct supervisor *s, struct node *n)
{
	int64_t help_ms = s->now_ms + CLOSED_GRACE_MS;

	control_close(s, n);
	if (!n->condemned && n->state != CHILD_STOPPING && n->due_ms > help_ms)
		node_set_due(s, n, help_ms);
}

bool control_has_unread(const struct node *n)
{
	char byte;

	return n->link.fd >= 0 && n->link.replies == NULL &&
	       recv(n->link.fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) > 0;
}

void control_read(struct supervisor *s, struct node *n)
{
	struct control_packet p;

	for (int i = 0; i < READ_BATCH && n->link.fd >= 0 && n->link.replies == NULL; i++) {
		ssize_t size = recv(n->link.fd, &p, sizeof(p), MSG_DONTWAIT | MSG_TRUNC);
		const char *wrong;

		if (size < 0 && errno == ECONNRESET)
			continue; /* it ended with news unread; what it said before comes next */
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <= 0) {
			on_end_of_file(s, n);
			return;
		}
		if (n->condemned)
			continue; /* read for order's sake, not acted on */
		wrong = fault(&p, size);
		if (wrong != NULL) {
			node_condemn(s, n, DEATH_TREATY, "broke the treaty: sent %s", wrong);
			continue;
		}
		n->heard_ms = s->now_ms;
		on_packet(s, n, &p);
	}
}
