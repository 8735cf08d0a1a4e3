/* zygote.c - an actor's program as a zygote: linked, and copied for each birth (proto/control.h).
 *
 * What makes a start slow is the linking of some twenty libraries; a copy of a process that has done it
 * is there at once, and shares the pages that the linker wrote. What else is done here once for all copies
 * (warm_up()) leaves nothing that two actors must not share: no thread, socket, file or random number. A
 * birth is rehearsed by a throw-away child, to see which pages the copies will need (prefault.h). What two
 * actors may not share, a copy makes for itself, and it may do so long before it is told who it is.
 */
#include <errno.h>
#include <execinfo.h>
#include <linux/sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "actors/runtime/internal.h"
#include "actors/runtime/prefault.h"
#include "base/exit_codes.h"

static struct {
	char *start;
	size_t size;
} title; /* of the process, where ps finds it */

static void set_title(const char *name)
{
	memset(title.start, 0, title.size);
	(void)snprintf(title.start, title.size, "%s", name);
}

static int say(enum control_type type, int64_t value, int result)
{
	const struct control_packet packet = {.version = CONTROL_VERSION,
					      .type = (uint16_t)type,
					      .value = value,
					      .result = result};

	return send(CONTROL_FD, &packet, sizeof(packet), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static pid_t *own_tid; /* where libc keeps the thread id of this thread */

/* An old kernel, or a container, may refuse either call. Once, before the next. */
static bool can_fork_for_parent(void)
{
	return prctl(PR_GET_TID_ADDRESS, &own_tid) == 0 && syscall(SYS_clone3, NULL, 0) < 0 &&
	       errno == EINVAL;
}

/* fork(), but the copy is our parent's child, whose end is told to it as ours would be. The kernel notes
 * the copy's thread id where libc keeps it of this thread, and that is all that libc's own fork() would
 * do here: there is one thread, and no lock is held. Returns the pid, 0 in the copy, or a negative
 * errno. */
static pid_t fork_for_parent(void)
{
	struct clone_args args = {.flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
				  .child_tid = (uint64_t)(uintptr_t)own_tid};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : (pid_t)pid;
}

static bool is_right(const struct control_packet *packet, ssize_t size, enum control_type type)
{
	return size == (ssize_t)sizeof(*packet) && packet->version == CONTROL_VERSION &&
	       packet->type == type;
}

/* Receives a BIRTH and its descriptors, or ends the process: the supervisor is gone, or no longer
 * understands us. Returns whether the copy is made ahead. */
static bool receive_birth(int fds[2])
{
	struct control_packet packet;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = &packet, .iov_len = sizeof(packet)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	struct cmsghdr *header;
	ssize_t n;

	do
		n = recvmsg(CONTROL_FD, &msg, 0);
	while (n < 0 && errno == EINTR);
	header = is_right(&packet, n, CONTROL_BIRTH) ? CMSG_FIRSTHDR(&msg) : NULL;
	if (header == NULL || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len != CMSG_LEN(2 * sizeof(int)))
		_exit(0);
	memcpy(fds, CMSG_DATA(header), 2 * sizeof(int));
	return packet.value != 0;
}

/* The copy becomes what the supervisor's own fork would have made, but for the name. */
static void become(pid_t supervisor, const int fds[2])
{
	(void)setpgid(0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != supervisor ||
	    dup2(fds[0], CONTROL_FD) < 0 || dup2(fds[1], CONTROL_NOTE_FD) < 0 ||
	    close_range(CONTROL_NOTE_FD + 1, ~0U, 0) < 0)
		_exit(EXIT_FAILURE);
	set_title(CONTROL_STANDBY);
}

static void ask_and_answer(void *asker, void *answerer)
{
	char bytes[256];
	int size;

	if (zmq_send(asker, "?", 1, 0) < 0)
		return;
	size = zmq_recv(answerer, bytes, sizeof(bytes), 0); /* who asks */
	if (size > 0 && zmq_recv(answerer, bytes + size, 1, 0) >= 0 &&
	    zmq_send(answerer, bytes, (size_t)size, ZMQ_SNDMORE) >= 0 &&
	    zmq_send(answerer, "!", 1, 0) >= 0)
		(void)zmq_recv(asker, bytes, sizeof(bytes), 0);
}

/* A question and its answer between two sockets, nearly as an actor and its caller have them. Whatever
 * fails ends the rehearsal. The socket has no file, and what it may hear from others is not looked at. */
void zygote_rehearse(void *context)
{
	static const int wait_ms = 1000;
	static const int linger_ms = 0;
	void *ends[] = {zmq_socket(context, ZMQ_ROUTER), zmq_socket(context, ZMQ_DEALER)};
	char endpoint[64];

	(void)snprintf(endpoint, sizeof(endpoint), "ipc://@ugtj-zygote-%d", (int)getpid());
	for (size_t i = 0; i < 2; i++) {
		(void)zmq_setsockopt(ends[i], ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms));
		(void)zmq_setsockopt(ends[i], ZMQ_SNDTIMEO, &wait_ms, sizeof(wait_ms));
		(void)zmq_setsockopt(ends[i], ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
	}
	if (zmq_bind(ends[0], endpoint) == 0 && zmq_connect(ends[1], endpoint) == 0)
		ask_and_answer(ends[1], ends[0]);
	for (size_t i = 0; i < 2; i++)
		(void)zmq_close(ends[i]);
}

static void rehearse_birth(void)
{
	zygote_rehearse(zmq_ctx_new());
}

/* What a process does once, and its copies need not do again. A context of ZeroMQ without sockets has no
 * threads; that it is there keeps the libraries below it set up (one reads /etc/protocols). */
static void warm_up(const struct actor_spec *spec)
{
	static void *context; /* used by nobody, and never ended */
	void *frame;

	(void)backtrace(&frame, 1);
	context = zmq_ctx_new();
	if (context == NULL)
		_exit(EXIT_FAILURE);
	sandbox_prepare(spec);
	prefault_learn(rehearse_birth);
}

bool zygote_serve(const struct actor_spec *spec, int argc, char **argv)
{
	const pid_t supervisor = getppid();

	title.start = argv[argc - 1]; /* blank enough */
	title.size = strlen(title.start) + 1;
	if (!can_fork_for_parent())
		_exit(EXIT_WORLD);
	warm_up(spec);
	if (say(CONTROL_ZYGOTE, 0, 0) < 0)
		_exit(0);
	for (;;) {
		int fds[2];
		bool ahead = receive_birth(fds);
		pid_t pid = fork_for_parent();

		if (pid == 0) {
			prefault();
			become(supervisor, fds);
			return ahead;
		}
		(void)close(fds[0]);
		(void)close(fds[1]);
		if (say(CONTROL_BORN, pid, pid < 0 ? pid : 0) < 0)
			_exit(0);
	}
}

void zygote_await_role(struct control_packet *role)
{
	ssize_t n;

	do
		n = recv(CONTROL_FD, role, sizeof(*role), 0);
	while (n < 0 && errno == EINTR);
	if (!is_right(role, n, CONTROL_ROLE))
		_exit(0); /* nobody needs us any more */
	role->name[sizeof(role->name) - 1] = '\0';
	set_title(role->name);
}
