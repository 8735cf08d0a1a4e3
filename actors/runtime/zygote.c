/* zygote.c - an actor's program as a zygote: linked, and copied for each birth (proto/control.h).
 *
 * What makes a start slow is the linking of some twenty libraries; a copy of a process that has done it
 * is there at once, and shares the pages that the linker wrote. Nothing else is done here ahead of a
 * birth: no thread, no socket, no file, no random number may be shared by two actors. A birth is
 * rehearsed, but by a copy that ends with it: to see which pages the others will need.
 */
#include <errno.h>
#include <execinfo.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "actors/runtime/internal.h"
#include "actors/runtime/prefault.h"

struct zygote {
	pid_t supervisor;
	char *title; /* of the process, where ps finds it */
	size_t title_size;
};

static int say(enum control_type type, int64_t value, int result)
{
	const struct control_packet packet = {.version = CONTROL_VERSION,
					      .type = (uint16_t)type,
					      .value = value,
					      .result = result};

	return send(CONTROL_FD, &packet, sizeof(packet), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* fork(), but the copy is our parent's child, whose end is told to it as ours would be. The kernel notes
 * the copy's thread id where libc keeps it of this thread, and that is all that libc's own fork() would
 * do here: there is one thread, and no lock is held. Returns the pid, 0 in the copy, or a negative
 * errno. */
static pid_t fork_for_parent(void)
{
	struct clone_args args = {.flags =
					  CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID};
	pid_t *tid = NULL;
	long pid;

	if (prctl(PR_GET_TID_ADDRESS, &tid) < 0)
		return -errno;
	args.child_tid = (uint64_t)(uintptr_t)tid;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	return pid < 0 ? -errno : (pid_t)pid;
}

/* Receives a BIRTH with its descriptors. Returns 0, or ends the process: the supervisor is gone, or no
 * longer understands us. */
static void receive_birth(struct control_packet *packet, int fds[2])
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = packet, .iov_len = sizeof(*packet)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	struct cmsghdr *header;
	ssize_t n;

	do
		n = recvmsg(CONTROL_FD, &msg, 0);
	while (n < 0 && errno == EINTR);
	header = n == (ssize_t)sizeof(*packet) ? CMSG_FIRSTHDR(&msg) : NULL;
	if (header == NULL || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len != CMSG_LEN(2 * sizeof(int)) || packet->version != CONTROL_VERSION ||
	    packet->type != CONTROL_BIRTH)
		_exit(0);
	memcpy(fds, CMSG_DATA(header), 2 * sizeof(int));
	packet->name[sizeof(packet->name) - 1] = '\0';
}

static int put_treaty_in_environment(const struct control_packet *packet)
{
	const char *colon = strchr(packet->name, ':');
	char generation[24];

	(void)snprintf(generation, sizeof(generation), "%" PRIu64, packet->generation);
	return unsetenv(CONTROL_ENV_ZYGOTE) < 0 || setenv(CONTROL_ENV_NAME, packet->name, 1) < 0 ||
			       setenv(CONTROL_ENV_GENERATION, generation, 1) < 0 ||
			       (colon != NULL && setenv(CONTROL_ENV_ARGUMENT, colon + 1, 1) < 0)
		       ? -errno
		       : 0;
}

/* The copy becomes what the supervisor's own fork would have made. */
static void become(const struct zygote *z, const struct control_packet *packet, const int fds[2])
{
	(void)setpgid(0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != z->supervisor ||
	    dup2(fds[0], CONTROL_FD) < 0 || dup2(fds[1], CONTROL_NOTE_FD) < 0 ||
	    close_range(CONTROL_NOTE_FD + 1, ~0U, 0) < 0 || put_treaty_in_environment(packet) < 0)
		_exit(EXIT_FAILURE);
	memset(z->title, 0, z->title_size);
	(void)snprintf(z->title, z->title_size, "%s", packet->name);
}

/* A question and its answer between two sockets, nearly as an actor and its caller have them. Whatever
 * fails ends the rehearsal. The socket has no file, and what it may hear from others is not looked at. */
static void rehearse(void)
{
	const int wait_ms = 1000;
	void *context = zmq_ctx_new();
	void *ends[] = {zmq_socket(context, ZMQ_ROUTER), zmq_socket(context, ZMQ_DEALER)};
	char endpoint[64];
	char bytes[256];
	int size;

	(void)snprintf(endpoint, sizeof(endpoint), "ipc://@ugtj-zygote-%d", (int)getpid());
	for (size_t i = 0; i < 2; i++)
		if (zmq_setsockopt(ends[i], ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms)) < 0 ||
		    zmq_setsockopt(ends[i], ZMQ_SNDTIMEO, &wait_ms, sizeof(wait_ms)) < 0)
			return;
	if (zmq_bind(ends[0], endpoint) < 0 || zmq_connect(ends[1], endpoint) < 0 ||
	    zmq_send(ends[1], "?", 1, 0) < 0)
		return;
	size = zmq_recv(ends[0], bytes, sizeof(bytes), 0); /* who asks */
	if (size > 0 && zmq_recv(ends[0], bytes + size, 1, 0) >= 0 &&
	    zmq_send(ends[0], bytes, (size_t)size, ZMQ_SNDMORE) >= 0 &&
	    zmq_send(ends[0], "!", 1, 0) >= 0)
		(void)zmq_recv(ends[1], bytes, sizeof(bytes), 0);
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
	prefault_learn(rehearse);
}

void zygote_serve(const struct actor_spec *spec, int argc, char **argv)
{
	struct zygote z = {.supervisor = getppid(), .title = argv[argc - 1]}; /* blank enough */

	z.title_size = strlen(z.title) + 1;
	warm_up(spec);
	if (say(CONTROL_ZYGOTE, 0, 0) < 0)
		_exit(0);
	for (;;) {
		struct control_packet packet;
		int fds[2];
		pid_t pid;

		receive_birth(&packet, fds);
		pid = fork_for_parent();
		if (pid == 0) {
			prefault();
			become(&z, &packet, fds);
			return;
		}
		(void)close(fds[0]);
		(void)close(fds[1]);
		if (say(CONTROL_BORN, pid, pid < 0 ? pid : 0) < 0)
			_exit(0);
	}
}
