/* inject_syscall.c - lets a thread of another process make a system call: what may that process do?
 *
 *     inject_syscall TID NUMBER [ARGUMENT ...]
 *
 * An argument is a number; or text:WORDS, the address of that text; or tcp:PORT, the address of a sockaddr_in
 * of 127.0.0.1. Prints what the call returned, a negative errno if it failed. A descriptor that was opened
 * stays open there. The thread goes on as if nothing had happened. x86-64; elsewhere the exit code is 77.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>

#define ARGUMENTS_MAX 6
#define EXIT_SKIP     77

#ifdef __x86_64__

#define ROOM	      512  /* for one argument */
#define BELOW_STACK   8192 /* far from what the thread may use */
#define SYSCALL_BYTES 2	   /* of the instruction */

static _Noreturn void fail(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void wait_for_stop(pid_t tid)
{
	int status;

	if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
		fail("the thread does not stop");
}

static void write_memory(pid_t tid, unsigned long long to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i += sizeof(long)) {
		long word = 0;

		memcpy(&word, (const char *)from + i,
		       size - i < sizeof(word) ? size - i : sizeof(word));
		if (ptrace(PTRACE_POKEDATA, tid, (void *)(to + i), (void *)word) < 0)
			fail("memory");
	}
}

static unsigned long long value_of(pid_t tid, const char *argument, unsigned long long room)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	if (strncmp(argument, "text:", 5) == 0) {
		write_memory(tid, room, argument + 5, strlen(argument + 5) + 1);
		return room;
	}
	if (strncmp(argument, "tcp:", 4) == 0) {
		address.sin_port = htons((uint16_t)strtoul(argument + 4, NULL, 10));
		write_memory(tid, room, &address, sizeof(address));
		return room;
	}
	return strtoull(argument, NULL, 0);
}

static long long inject(pid_t tid, int argc, char **argv)
{
	struct user_regs_struct before;
	struct user_regs_struct regs;
	unsigned long long values[ARGUMENTS_MAX] = {0};

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 ||
	    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
		fail("attach");
	wait_for_stop(tid);
	if (ptrace(PTRACE_GETREGS, tid, NULL, &before) < 0)
		fail("registers");
	if ((long long)before.orig_rax < 0)
		return 1000000; /* not in a system call: somebody tries again */
	for (int i = 1; i < argc; i++)
		values[i - 1] = value_of(tid, argv[i],
					 (before.rsp - BELOW_STACK - ROOM * (unsigned)i) & ~15ULL);
	regs = before;
	regs.orig_rax = (unsigned long long)-1; /* what it waited in is not restarted now */
	regs.rip -= SYSCALL_BYTES;
	regs.rax = strtoull(argv[0], NULL, 0);
	regs.rdi = values[0];
	regs.rsi = values[1];
	regs.rdx = values[2];
	regs.r10 = values[3];
	regs.r8 = values[4];
	regs.r9 = values[5];
	if (ptrace(PTRACE_SETREGS, tid, NULL, &regs) < 0 ||
	    ptrace(PTRACE_SINGLESTEP, tid, NULL, NULL) < 0)
		fail("step");
	wait_for_stop(tid);
	if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) < 0 ||
	    ptrace(PTRACE_SETREGS, tid, NULL, &before) < 0 ||
	    ptrace(PTRACE_DETACH, tid, NULL, NULL) < 0)
		fail("restore");
	return (long long)regs.rax;
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc - 3 > ARGUMENTS_MAX)
		return EXIT_FAILURE;
	(void)printf("%lld\n", inject((pid_t)strtol(argv[1], NULL, 10), argc - 2, argv + 2));
	return EXIT_SUCCESS;
}

#else

int main(void)
{
	return EXIT_SKIP;
}

#endif
