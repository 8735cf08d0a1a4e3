/* signals.c - signals as events of the loop: none interrupts anything. See node.h. */
#include "supervisor/node.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

int signals_open(sigset_t *before)
{
	sigset_t taken;
	int fd;

	(void)sigemptyset(&taken);
	(void)sigaddset(&taken, SIGCHLD);
	(void)sigaddset(&taken, SIGTERM);
	(void)sigaddset(&taken, SIGINT);
	(void)sigaddset(&taken, SIGHUP); /* a closed terminal is no reason to stop */
	(void)sigaddset(&taken, SIGPIPE);
	if (sigprocmask(SIG_BLOCK, &taken, before) < 0)
		return -errno;
	(void)signal(SIGCHLD, SIG_DFL); /* inherited SIG_IGN would reap behind our back */
	fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

void signals_read(int signal_fd, struct signals_seen *out)
{
	struct signalfd_siginfo info;

	while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			out->child = true;
			break;
		case SIGINT:
			out->interrupts++;
			out->stops++;
			break;
		case SIGTERM:
			out->stops++;
			break;
		default: /* SIGHUP, SIGPIPE */
			break;
		}
	}
}

void signals_reset_in_child(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL); /* refused for SIGKILL, SIGSTOP and libc's own */
	(void)signal(SIGINT, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}
