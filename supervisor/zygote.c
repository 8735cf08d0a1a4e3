/* zygote.c - births without exec: each program that can has one process that is linked and does nothing
 * but fork (docs/decisions/0015). See node.h.
 *
 * To read a program in and link its libraries takes ten times as long as to copy a process that has
 * done it. A zygote has the spec's secrets in its environment as its children have, and serves that
 * spec alone. It is no node of the tree, nobody waits for it and nothing depends on it: without one,
 * or when it is not ready, fails or is silent, a child is born by spawn_program(), and a zygote that
 * was of no use is killed. Its copies are our own children, with an own pid, socket and note.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

/* A fork takes a millisecond or two; meanwhile we wait, as for an exec. On a busy machine the zygote's
 * turn may come late, and to give it up then would make the machine busier. */
#define BIRTH_WAIT_MS 1000

struct zygote {
	const struct child_spec *spec;
	pid_t pid; /* 0: it ended by itself before it was ready: the spec's program cannot be one */
	int fd;	   /* our end of its socket; -1: closed */
	bool ready;
	LIST_ENTRY(zygote) in_list;
};

static struct zygote *zygote_of(const struct supervisor *s, const struct child_spec *spec)
{
	struct zygote *z;

	LIST_FOREACH (z, &s->zygotes, in_list)
		if (z->spec == spec)
			return z;
	return NULL;
}

/* Ends it, at once: it has nothing that could be lost. Returns its pid, which is reaped as nobody's; 0:
 * it has none. */
static pid_t end(struct zygote *z)
{
	pid_t pid = z->pid;

	if (z->fd >= 0)
		(void)close(z->fd);
	if (pid > 0)
		(void)kill(pid, SIGKILL); /* it is ours and not reaped: the pid is right */
	LIST_REMOVE(z, in_list);
	free(z);
	return pid;
}

void zygote_discard(struct supervisor *s, const struct child_spec *spec)
{
	struct zygote *z = zygote_of(s, spec);

	if (z != NULL)
		(void)end(z);
}

void zygote_discard_all(struct supervisor *s)
{
	while (!LIST_EMPTY(&s->zygotes)) {
		pid_t pid = end(LIST_FIRST(&s->zygotes));

		if (pid > 0)
			(void)waitpid(pid, NULL, 0);
	}
}

bool zygote_exited(struct supervisor *s, pid_t pid)
{
	struct zygote *z;

	LIST_FOREACH (z, &s->zygotes, in_list)
		if (z->pid == pid)
			break;
	if (z == NULL)
		return false;
	log_warn("zygote.died", "name=%s pid=%d next=\"births by exec\"", z->spec->name, (int)pid);
	z->pid = 0;
	if (z->ready)
		(void)end(z); /* the next child that is up brings another */
	return true;
}

void zygote_provide(struct supervisor *s, const struct child_spec *spec)
{
	struct zygote *z;
	int ends[2];

	if (!spec->zygote || s->phase == PHASE_STOP || zygote_of(s, spec) != NULL)
		return;
	z = calloc(1, sizeof(*z));
	if (z == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		free(z);
		return; /* we live without; the next child that is up is the next try */
	}
	z->spec = spec;
	z->fd = ends[0];
	z->pid = spawn_program(s, spec, NULL, 0, ends[1], -1);
	(void)close(ends[1]);
	LIST_INSERT_HEAD(&s->zygotes, z, in_list);
	if (z->pid < 0)
		z->pid = 0;
	log_debug("zygote.start", "name=%s pid=%d", spec->name, (int)z->pid);
}

/* Receives a packet of that type. flags: MSG_DONTWAIT or 0. Returns 0, -EAGAIN or -EPROTO. */
static int receive(const struct zygote *z, enum control_type type, struct control_packet *packet,
		   int flags)
{
	ssize_t n = recv(z->fd, packet, sizeof(*packet), flags);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	return n == (ssize_t)sizeof(*packet) && packet->version == CONTROL_VERSION &&
			       packet->type == type
		       ? 0
		       : -EPROTO;
}

static bool is_ready(struct zygote *z)
{
	struct control_packet packet;

	if (!z->ready && z->pid > 0)
		z->ready = receive(z, CONTROL_ZYGOTE, &packet, MSG_DONTWAIT) == 0;
	return z->ready;
}

static int send_birth(const struct zygote *z, const struct node *n, int control_fd, int note_fd)
{
	struct control_packet packet = {
		.version = CONTROL_VERSION, .type = CONTROL_BIRTH, .generation = n->generation};
	const int fds[] = {control_fd, note_fd};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(fds))];
	} control = {0};
	struct iovec iov = {.iov_base = &packet, .iov_len = sizeof(packet)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

	memcpy(packet.name, n->name, sizeof(packet.name));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(header), fds, sizeof(fds));
	return sendmsg(z->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Waits for the answer to send_birth(). Returns the pid or a negative errno. */
static pid_t receive_born(const struct zygote *z)
{
	struct pollfd answer = {.fd = z->fd, .events = POLLIN};
	struct control_packet packet;
	int rc;

	if (poll(&answer, 1, BIRTH_WAIT_MS) <= 0)
		return -ETIMEDOUT;
	rc = receive(z, CONTROL_BORN, &packet, 0);
	if (rc == 0)
		rc = packet.result;
	return rc < 0 ? rc : (pid_t)packet.value;
}

pid_t zygote_birth(struct supervisor *s, const struct node *n, int control_fd, int note_fd)
{
	struct zygote *z = zygote_of(s, n->spec);
	pid_t pid;

	if (z == NULL || !is_ready(z))
		return -ENOENT;
	pid = send_birth(z, n, control_fd, note_fd);
	if (pid == 0)
		pid = receive_born(z);
	if (pid > 0)
		return pid;
	/* A child that it had and did not tell of ends when it finds its supervisor's end closed. */
	log_warn("zygote.failed", "name=%s pid=%d error=\"%s\" next=\"births by exec\"",
		 z->spec->name, (int)z->pid, strerror(-pid));
	(void)end(z);
	return pid == 0 ? -EPROTO : pid;
}
