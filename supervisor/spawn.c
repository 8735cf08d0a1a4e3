/* spawn.c - the birth of a worker: fork, and at once exec of its own program. See node.h.
 *
 * All that needs memory or may fail is done before the fork; between fork and exec there are only
 * system calls. The child keeps standard input, output and error and its end of the control socket,
 * nothing else, and it dies with us: by PDEATHSIG, or if that is too late, by its own look at who
 * its parent is.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* Exit code of a child that could not become its program, as a shell's. */
#define EXIT_NO_EXEC 127

struct birth {
	char *path; /* of the program */
	char *name;
	char **env;
	int ends[2]; /* of the control socket: ours, the child's */
	int run_dir_fd;
	pid_t parent;
};

static _Noreturn void become(const struct birth *b)
{
	char *argv[] = {b->path, b->name, NULL};

	signals_reset_in_child();
	(void)setpgid(0, 0); /* what it forks can be killed with it; the terminal's ^C is ours */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != b->parent)
		_exit(EXIT_NO_EXEC);
	if (fchdir(b->run_dir_fd) < 0)
		_exit(EXIT_NO_EXEC);
	if (b->ends[1] == CONTROL_FD) {
		if (fcntl(CONTROL_FD, F_SETFD, 0) < 0)
			_exit(EXIT_NO_EXEC);
	} else if (dup2(b->ends[1], CONTROL_FD) < 0) {
		_exit(EXIT_NO_EXEC);
	}
	(void)close_range(CONTROL_FD + 1, ~0U, 0); /* all are close-on-exec: a second lock */
	(void)execve(b->path, argv, b->env);
	_exit(EXIT_NO_EXEC);
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
	struct birth b = {
		.name = n->name, .ends = {-1, -1}, .run_dir_fd = s->run_dir_fd, .parent = getpid()};
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
	pid = fork();
	if (pid == 0)
		become(&b);
	rc = pid < 0 ? -errno : adopt(s, n, pid, &b.ends[0]);
out:
	if (b.ends[0] >= 0)
		(void)close(b.ends[0]);
	if (b.ends[1] >= 0)
		(void)close(b.ends[1]);
	child_env_free(&b.env);
	free(b.path);
	return rc;
}
