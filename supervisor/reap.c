/* reap.c - leave-taking: every process that ended, and how it ended in words. See node.h. */
#include "supervisor/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "base/log.h"

/* ld.so's, when it cannot load what a program needs. */
#define EXIT_LOADER 127

static const char *exit_meaning(int code)
{
	switch (code) {
	case EXIT_OK:
		return "normal";
	case EXIT_USAGE:
		return "usage";
	case EXIT_UNAVAILABLE:
		return "unavailable";
	case EXIT_PANIC:
		return "panic";
	case EXIT_WORLD:
		return "the world failed it";
	case EXIT_CONFIG:
		return "wrong configuration";
	case EXIT_LOADER:
		return "a library is missing";
	default:
		return NULL;
	}
}

void reap_describe(int status, char *buf, size_t size)
{
	if (WIFEXITED(status)) {
		const char *meaning = exit_meaning(WEXITSTATUS(status));

		(void)snprintf(buf, size, meaning == NULL ? "exit %d" : "exit %d (%s)",
			       WEXITSTATUS(status), meaning);
	} else if (WIFSIGNALED(status)) {
		const char *name = sigabbrev_np(WTERMSIG(status));

		if (name != NULL)
			(void)snprintf(buf, size, "killed by SIG%s%s", name,
				       WCOREDUMP(status) ? " (core dumped)" : "");
		else
			(void)snprintf(buf, size, "killed by signal %d", WTERMSIG(status));
	} else {
		(void)snprintf(buf, size, "ended with status 0x%x", (unsigned)status);
	}
}

/* One signal may stand for many deaths: asks until nobody is left. A dead process is looked at
 * first and taken away second, so that its process group is still its own when what it left behind
 * in it is killed. */
void reap_all(struct supervisor *s)
{
	for (;;) {
		siginfo_t dead = {0};
		struct node *n;
		int status;

		if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) < 0 || dead.si_pid == 0)
			return; /* ECHILD: no children at all; waitid() does not wait, so no EINTR
				 */
		n = node_find_pid(s, dead.si_pid);
		if (n != NULL)
			(void)kill(-dead.si_pid, SIGKILL);
		if (waitpid(dead.si_pid, &status, WNOHANG) != dead.si_pid)
			return;
		if (n != NULL)
			node_exited(s, n, status);
		else
			zygote_exited(s, dead.si_pid, status);
	}
}

/* The kernel's list of our children, e.g. "812 813 "; empty when there are none. */
static size_t read_children(char *buf, size_t size)
{
	char path[64];
	ssize_t got;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, buf, size - 1);
	(void)close(fd);
	buf[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

void reap_orphans(void)
{
	char children[4096];

	while (read_children(children, sizeof(children)) > 0) {
		char *end = NULL;
		long pid = strtol(children, &end, 10);

		if (end == children || pid <= 1)
			return;
		log_warn("orphan.kill", "pid=%ld", pid);
		(void)kill((pid_t)pid, SIGKILL);
		if (waitpid((pid_t)pid, NULL, 0) < 0)
			return;
	}
}
