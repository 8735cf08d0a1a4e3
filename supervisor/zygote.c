/* zygote.c - births without exec: each program that can has one process that is linked and does nothing
 * but fork (docs/decisions/0015). See node.h.
 *
 * To read a program in and link its libraries takes ten times as long as to copy a process that has
 * done it. A zygote has the spec's secrets in its environment as its children have, and serves that
 * spec alone. It is no node of the tree and nothing depends on it: without one, or when it is not linked
 * yet, fails, or is silent for a second, a child is born by spawn_program(); one that failed or was silent
 * is killed. Its copies are our own children, each with a pid, a socket and a note of its own. What
 * follows when one ends before it is up, born_again() in child.c says.
 *
 * One copy is made ahead, a while after a child came up: the standby, which has done all that it can
 * do without a name. It is given that name instead of being made when the next child is to be born.
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
#define BIRTH_WAIT_MS	 1000

/* A child that is up has something to do first. */
#define STANDBY_DELAY_MS 100

struct zygote {
	const struct child_spec *spec;
	pid_t pid; /* 0: it ended by itself before it was ready: the spec's program cannot be one */
	int fd;	   /* our end of its socket */
	int64_t due_ms; /* when it is to be ready */
	bool ready;
	/* The one that was asked for last and has no name. control_fd is -1: there is none, and pid means
	 * nothing; else pid is 0 until BORN is read. */
	struct newborn copy;
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

/* Receives a packet of that type. Returns 0, -EAGAIN or -EPROTO. */
static int receive(const struct zygote *z, enum control_type type, struct control_packet *packet)
{
	ssize_t n = recv(z->fd, packet, sizeof(*packet), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	return n == (ssize_t)sizeof(*packet) && packet->version == CONTROL_VERSION &&
			       packet->type == type
		       ? 0
		       : -EPROTO;
}

/* Reads its ZYGOTE, if that has come. */
static bool is_ready(struct zygote *z)
{
	struct control_packet packet;

	if (!z->ready && z->pid > 0)
		z->ready = receive(z, CONTROL_ZYGOTE, &packet) == 0;
	return z->ready;
}

/* Whether nobody has the other end: who had it has ended. */
static bool is_hung_up(int fd)
{
	struct pollfd end = {.fd = fd};

	return poll(&end, 1, 0) > 0 && (end.revents & POLLHUP) != 0;
}

static int receive_born(const struct zygote *z, pid_t *pid)
{
	struct control_packet packet;
	int rc = receive(z, CONTROL_BORN, &packet);

	if (rc == 0)
		rc = packet.result;
	if (rc == 0 && packet.value <= 0)
		rc = -EPROTO;
	if (rc == 0)
		*pid = (pid_t)packet.value;
	return rc;
}

/* Waits for the answer to a BIRTH, until the copy's pid is known. Returns 0 or a negative errno; unless
 * that is -ETIMEDOUT or -EAGAIN, there is no copy then, and another may be asked for. */
static int hear_of_copy(struct zygote *z, int wait_ms)
{
	struct pollfd answer = {.fd = z->fd, .events = POLLIN};
	int rc;

	if (z->copy.pid > 0)
		return 0;
	if (poll(&answer, 1, wait_ms) <= 0)
		return -ETIMEDOUT;
	rc = receive_born(z, &z->copy.pid);
	if (rc < 0 && rc != -EAGAIN)
		newborn_close(&z->copy);
	return rc;
}

/* --- the end of one --- */

/* Kills one that is a child of ours and not reaped, so that the pid is right. Unless it is waited for
 * here, it is reaped as nobody's. */
static void finish(pid_t pid, bool wait)
{
	siginfo_t state;

	if (pid <= 0 || waitid(P_PID, (id_t)pid, &state, WEXITED | WNOHANG | WNOWAIT) < 0)
		return;
	(void)kill(pid, SIGKILL);
	if (wait)
		(void)waitpid(pid, NULL, 0);
}

/* A copy whose pid we were not told ends when it finds our end of its socket closed. One that hung up has
 * ended, and its pid may be another's. */
static void drop_copy(struct zygote *z, bool wait)
{
	if (z->copy.control_fd >= 0 && hear_of_copy(z, 0) == 0 && !is_hung_up(z->copy.control_fd))
		finish(z->copy.pid, wait);
	newborn_close(&z->copy);
}

/* Ends it, at once: it has nothing that could be lost. */
static void end(struct zygote *z, bool wait)
{
	drop_copy(z, wait);
	(void)close(z->fd);
	finish(z->pid, wait);
	LIST_REMOVE(z, in_list);
	free(z);
}

void zygote_discard(struct supervisor *s, const struct child_spec *spec)
{
	struct zygote *z = zygote_of(s, spec);

	if (z != NULL)
		end(z, false);
}

void zygote_discard_all(struct supervisor *s)
{
	while (!LIST_EMPTY(&s->zygotes))
		end(LIST_FIRST(&s->zygotes), true);
}

static void copy_exited(const struct supervisor *s, pid_t pid)
{
	struct zygote *z;

	LIST_FOREACH (z, &s->zygotes, in_list)
		if (z->copy.control_fd >= 0 && hear_of_copy(z, 0) == 0 && z->copy.pid == pid)
			break;
	if (z == NULL)
		return;
	log_warn("standby.died", "name=%s pid=%d", z->spec->name, (int)pid);
	newborn_close(&z->copy); /* the next child that is up brings another */
}

void zygote_exited(struct supervisor *s, pid_t pid, int status)
{
	struct zygote *z;

	LIST_FOREACH (z, &s->zygotes, in_list)
		if (z->pid == pid)
			break;
	if (z == NULL) {
		/* A copy, maybe one that we were never told of. */
		copy_exited(s, pid);
		run_dir_remove_socket(s->run_dir_fd, CONTROL_STANDBY, (uint64_t)pid);
		return;
	}
	log_warn("zygote.died", "name=%s pid=%d next=\"births by exec\"", z->spec->name, (int)pid);
	if (is_ready(z) || WIFSIGNALED(status))
		end(z, false); /* the next child that is up brings another */
	else
		z->pid = 0;
}

/* --- births --- */

void zygote_provide(struct supervisor *s, const struct child_spec *spec)
{
	struct zygote *z;
	int ends[2];

	if (!spec->zygote || s->phase == PHASE_STOP)
		return;
	if (s->standbys_due_ms == NEVER)
		s->standbys_due_ms = s->now_ms + STANDBY_DELAY_MS;
	if (zygote_of(s, spec) != NULL)
		return;
	z = calloc(1, sizeof(*z));
	if (z == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		free(z);
		return; /* we live without; the next child that is up is the next try */
	}
	*z = (struct zygote){.spec = spec,
			     .fd = ends[0],
			     .due_ms = s->now_ms + spec->start_timeout_ms,
			     .copy = {.control_fd = -1, .note_fd = -1}};
	z->pid = spawn_program(s, spec, NULL, 0, ends[1], -1);
	(void)close(ends[1]);
	LIST_INSERT_HEAD(&s->zygotes, z, in_list);
	if (z->pid < 0) {
		end(z, false);
		return;
	}
	log_debug("zygote.start", "name=%s pid=%d", spec->name, (int)z->pid);
}

/* Sends a BIRTH with the copy's descriptors. */
static int send_birth(const struct zygote *z, bool ahead, int control_fd, int note_fd)
{
	struct control_packet packet = {
		.version = CONTROL_VERSION, .type = CONTROL_BIRTH, .value = ahead};
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

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(header), fds, sizeof(fds));
	return sendmsg(z->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Lets there be a copy, unless there is one. */
static int ask_for_copy(struct zygote *z, bool ahead)
{
	int childs_end = -1;
	int rc;

	if (is_hung_up(z->copy.control_fd) && hear_of_copy(z, 0) == 0)
		newborn_close(&z->copy); /* it died before we were told of it */
	if (z->copy.control_fd >= 0)
		return 0;
	rc = newborn_open(&z->copy, &childs_end);
	if (rc < 0)
		return rc;
	rc = send_birth(z, ahead, childs_end, z->copy.note_fd);
	(void)close(childs_end);
	if (rc < 0)
		newborn_close(&z->copy);
	return rc;
}

static void provide_standby(struct supervisor *s, struct zygote *z)
{
	if (is_ready(z)) {
		(void)ask_for_copy(z, true); /* we live without */
	} else if (z->pid > 0 && s->now_ms < z->due_ms) {
		s->standbys_due_ms = s->now_ms + STANDBY_DELAY_MS; /* it is being linked */
	} else if (z->pid > 0) {
		log_warn("zygote.failed", "name=%s pid=%d error=\"not ready in time\"",
			 z->spec->name, (int)z->pid);
		end(z, false);
	}
}

void zygote_provide_standbys(struct supervisor *s)
{
	struct zygote *next;

	s->standbys_due_ms = NEVER;
	if (s->phase == PHASE_STOP)
		return;
	for (struct zygote *z = LIST_FIRST(&s->zygotes); z != NULL; z = next) {
		next = LIST_NEXT(z, in_list);
		provide_standby(s, z);
	}
}

/* A stopped copy (SIGSTOP) would take a name and be silent. */
static bool is_stopped(pid_t pid)
{
	siginfo_t state = {0};

	return waitid(P_PID, (id_t)pid, &state, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
	       state.si_pid == pid;
}

static int send_role(const struct newborn *copy, const struct node *n)
{
	struct control_packet packet = {
		.version = CONTROL_VERSION, .type = CONTROL_ROLE, .generation = n->generation};

	memcpy(packet.name, n->name, sizeof(packet.name));
	if (is_stopped(copy->pid))
		return -ETIMEDOUT;
	return send(copy->control_fd, &packet, sizeof(packet), MSG_NOSIGNAL | MSG_DONTWAIT) < 0
		       ? -errno
		       : 0;
}

int zygote_birth(struct supervisor *s, const struct node *n, struct newborn *out)
{
	struct zygote *z = zygote_of(s, n->spec);
	int rc;

	if (z == NULL || !is_ready(z))
		return -ENOENT;
	rc = ask_for_copy(z, false);
	if (rc == 0)
		rc = hear_of_copy(z, BIRTH_WAIT_MS);
	if (rc == 0)
		rc = send_role(&z->copy, n);
	if (rc == 0) {
		*out = z->copy;
		z->copy.control_fd = z->copy.note_fd = -1; /* taken */
		return 0;
	}
	log_warn("zygote.failed", "name=%s pid=%d error=\"%s\" next=\"births by exec\"",
		 z->spec->name, (int)z->pid, strerror(-rc));
	end(z, false);
	return rc;
}
