/* spawn.c - the birth of a worker: fork, and at once exec of its own program, unless a zygote gives
 * birth to it. See node.h.
 *
 * All that needs memory is done before; between fork and exec there are only system calls. The child
 * keeps standard input, output and error, its end of the control socket and its note, nothing else, and it
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

/* A zygote's argv[1]. Its copies write their own names over it, so it is as long as the longest. */
static char zygote_title[] = "zygote                                                         ";
_Static_assert(sizeof(zygote_title) == CONTROL_NAME_SIZE, "room for any name");

struct birth {
	char *path; /* of the program */
	char *name;
	char **env;
	int control_fd;
	int note_fd; /* -1: none */
	int run_dir_fd;
	pid_t parent;
	int error; /* why the child could not become its program; 0: it has */
};

/* The child's end of the control socket and its note under their numbers of the treaty. By way of
 * higher ones, for each may stand where the other belongs. Returns 0 or -1. */
static int place_descriptors(const struct birth *b)
{
	int control = fcntl(b->control_fd, F_DUPFD, CONTROL_NOTE_FD + 1);
	int note = b->note_fd < 0 ? -1 : fcntl(b->note_fd, F_DUPFD, CONTROL_NOTE_FD + 1);

	if (control < 0 || (b->note_fd >= 0 && note < 0) || dup2(control, CONTROL_FD) < 0)
		return -1;
	if (note >= 0 && dup2(note, CONTROL_NOTE_FD) < 0)
		return -1;
	return close_range(note < 0 ? CONTROL_NOTE_FD : CONTROL_NOTE_FD + 1, ~0U, 0);
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

pid_t spawn_program(struct supervisor *s, const struct child_spec *spec, char *name,
		    uint64_t generation, int control_fd, int note_fd)
{
	struct birth b = {.name = name == NULL ? zygote_title : name,
			  .control_fd = control_fd,
			  .note_fd = note_fd,
			  .run_dir_fd = s->run_dir_fd,
			  .parent = getpid()};
	pid_t pid = child_env_new(spec, name, generation, &b.env);

	if (pid < 0)
		return pid;
	if (asprintf(&b.path, "%s/%s", s->options->libexec, spec->program) < 0) {
		b.path = NULL;
		pid = -ENOMEM;
	} else {
		pid = give_birth(&b);
	}
	child_env_free(&b.env);
	free(b.path);
	return pid;
}

int newborn_open(struct newborn *out, int *childs_end)
{
	int note_fd = note_new();
	int ends[2];

	if (note_fd < 0)
		return note_fd;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		int rc = -errno;

		(void)close(note_fd);
		return rc;
	}
	*out = (struct newborn){.control_fd = ends[0], .note_fd = note_fd};
	*childs_end = ends[1];
	return 0;
}

void newborn_close(struct newborn *newborn)
{
	if (newborn->control_fd >= 0)
		(void)close(newborn->control_fd);
	if (newborn->note_fd >= 0)
		(void)close(newborn->note_fd);
	newborn->control_fd = newborn->note_fd = -1;
}

static int birth_by_exec(struct supervisor *s, struct node *n, struct newborn *out)
{
	int childs_end = -1;
	int rc = newborn_open(out, &childs_end);

	if (rc < 0)
		return rc;
	out->pid = spawn_program(s, n->spec, n->name, n->generation, childs_end, out->note_fd);
	(void)close(childs_end);
	if (out->pid < 0)
		newborn_close(out);
	return out->pid < 0 ? out->pid : 0;
}

/* The process is the node's. If it cannot be, it ends and is reaped as nobody's. */
static int adopt(struct supervisor *s, struct node *n, struct newborn *newborn)
{
	int rc = node_set_pid(s, n, newborn->pid);

	if (rc == 0) {
		rc = control_open(s, n, newborn->control_fd);
		newborn->control_fd = -1; /* taken in any case */
	}
	if (rc == 0) {
		n->note_fd = newborn->note_fd;
		return 0;
	}
	(void)kill(newborn->pid, SIGKILL);
	node_forget_pid(s, n);
	newborn_close(newborn);
	return rc;
}

int spawn_worker(struct supervisor *s, struct node *n)
{
	struct newborn newborn;
	int rc = zygote_birth(s, n, &newborn);

	n->by_zygote = rc == 0;
	if (!n->by_zygote)
		rc = birth_by_exec(s, n, &newborn);
	return rc < 0 ? rc : adopt(s, n, &newborn);
}
