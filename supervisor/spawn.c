/* spawn.c - the birth of a worker: fork, and at once exec of its own program. See node.h.
 *
 * All that needs memory is done before; between fork and exec there are only system calls. The child
 * keeps standard input, output and error and its end of the control socket, nothing else, and it
 * dies with us: by PDEATHSIG, or if that is too late, by its own look at who its parent is.
 *
 * The fork is posix_spawn()'s: the child has our memory, on a stack of its own, and we wait until it
 * has execed. To copy the page tables even of a small process, only to throw them away, costs four
 * times as much (docs/decisions/0008); posix_spawn() itself knows no PDEATHSIG. What the child
 * writes we see, so a failure to become its program comes back as an error.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Enough for a few system calls and, under sanitizers, what is added to them. */
#define STACK_BYTES 65536

struct birth {
	char *path; /* of the program */
	char *name;
	char **env;
	int ends[2]; /* of the control socket: ours, the child's */
	int note_fd;
	int run_dir_fd;
	pid_t parent;
	int error; /* why the child could not become its program; 0: it has */
};

/* The child's end of the control socket and its note under their numbers of the treaty. By way of
 * higher ones, for each may stand where the other belongs. Returns 0 or -1. */
static int place_descriptors(const struct birth *b)
{
	int control = fcntl(b->ends[1], F_DUPFD, CONTROL_NOTE_FD + 1);
	int note = fcntl(b->note_fd, F_DUPFD, CONTROL_NOTE_FD + 1);

	return control < 0 || note < 0 || dup2(control, CONTROL_FD) < 0 ||
			       dup2(note, CONTROL_NOTE_FD) < 0
		       ? -1
		       : close_range(CONTROL_NOTE_FD + 1, ~0U, 0);
}

/* The child, in our memory. Returns only if it fails. */
static int become(void *birth)
{
	struct birth *b = birth;
	char *argv[] = {b->path, b->name, NULL};

	signals_reset_in_child();
	(void)setpgid(0, 0); /* what it forks can be killed with it; the terminal's ^C is ours */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == b->parent &&
	    fchdir(b->run_dir_fd) == 0 && place_descriptors(b) == 0)
		(void)execve(b->path, argv, b->env);
	b->error = errno;
	return EXIT_FAILURE;
}

/* Returns the child's pid or a negative errno. */
static pid_t give_birth(struct birth *b)
{
	static _Alignas(max_align_t) char stack[STACK_BYTES]; /* one child at a time is on it */
	pid_t pid = clone(become, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, b);

	if (pid < 0)
		return -errno;
	return b->error == 0 ? pid : -b->error; /* that one is reaped as nobody's */
}

/* The child exists. From here on a failure ends it; it is then reaped as nobody's. */
static int adopt(struct supervisor *s, struct node *n, pid_t pid, int *end)
{
	int fd = *end;
	int rc = node_set_pid(s, n, pid);

	*end = -1; /* control_open() takes it in any case */
	if (rc == 0)
		rc = control_open(s, n, fd);
	else
		(void)close(fd);
	if (rc < 0) {
		(void)kill(pid, SIGKILL);
		node_forget_pid(s, n);
	}
	return rc;
}

int spawn_worker(struct supervisor *s, struct node *n)
{
	struct birth b = {.name = n->name,
			  .ends = {-1, -1},
			  .note_fd = -1,
			  .run_dir_fd = s->run_dir_fd,
			  .parent = getpid()};
	pid_t pid;
	int rc;

	if (asprintf(&b.path, "%s/%s", s->options->libexec, n->spec->program) < 0) {
		b.path = NULL;
		rc = -ENOMEM;
		goto out;
	}
	rc = child_env_new(n->spec, n->name, n->generation, &b.env);
	if (rc < 0)
		goto out;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, b.ends) < 0) {
		rc = -errno;
		goto out;
	}
	b.note_fd = note_new();
	if (b.note_fd < 0) {
		rc = b.note_fd;
		goto out;
	}
	pid = give_birth(&b);
	rc = pid < 0 ? pid : adopt(s, n, pid, &b.ends[0]);
	if (rc == 0) {
		n->note_fd = b.note_fd;
		b.note_fd = -1;
	}
out:
	if (b.note_fd >= 0)
		(void)close(b.note_fd);
	if (b.ends[0] >= 0)
		(void)close(b.ends[0]);
	if (b.ends[1] >= 0)
		(void)close(b.ends[1]);
	child_env_free(&b.env);
	free(b.path);
	return rc;
}
