/* inject_syscall.c - makes a thread of another process make system calls, as somebody would who had
 * taken that process over.
 *
 *     inject_syscall TID CALL [CALL ...]        CALL: NAME,ARGUMENT,...
 *
 * An argument is a number, s:TEXT or x:HEX (put on the thread's stack; its address is the argument)
 * or r:N (the result of the Nth call before, from 1). Prints a result a line, as the kernel gives it:
 * a negative errno for a failure. Ends with 77 where it may not trace.
 *
 * The thread has to be waiting in the kernel, which an idle one is: it stands at an instruction that
 * makes a system call, and that one is executed again with other registers. A process that a call
 * makes is ended before its first step.
 */
#include <elf.h>
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_MAX 6
#define CALLS_MAX     64
#define SCRATCH	      8192 /* below the stack pointer */
#define ITEM_MAX      512
#define TRIES	      200
#define CANNOT_TRACE  77

#if defined(__x86_64__)
typedef struct user_regs_struct registers;
#define PC(r)	       ((r)->rip)
#define SP(r)	       ((r)->rsp)
#define RESULT(r)      ((r)->rax)
#define INSTRUCTION    2 /* bytes of it */
#define IS_SYSCALL(at) ((at)[0] == 0x0f && (at)[1] == 0x05)
#elif defined(__aarch64__)
typedef struct user_regs_struct registers;
#define PC(r)	       ((r)->pc)
#define SP(r)	       ((r)->sp)
#define RESULT(r)      ((r)->regs[0])
#define INSTRUCTION    4
#define IS_SYSCALL(at) ((at)[0] == 0x01 && (at)[1] == 0 && (at)[2] == 0 && (at)[3] == 0xd4)
#else
#error "no registers are known here"
#endif

static _Noreturn void fail(const char *what)
{
	const bool refused = errno == EPERM;

	perror(what);
	exit(refused ? CANNOT_TRACE : EXIT_FAILURE);
}

static void get_registers(pid_t tid, registers *r)
{
	struct iovec place = {r, sizeof(*r)};

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &place) < 0)
		fail("PTRACE_GETREGSET");
}

static void set_registers(pid_t tid, registers *r)
{
	struct iovec place = {r, sizeof(*r)};

	if (ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &place) < 0)
		fail("PTRACE_SETREGSET");
}

static void set_call(registers *r, long number, const uint64_t *arguments)
{
#if defined(__x86_64__)
	r->orig_rax = UINT64_MAX; /* we are in no call that would be restarted */
	r->rax = (uint64_t)number;
	r->rdi = arguments[0];
	r->rsi = arguments[1];
	r->rdx = arguments[2];
	r->r10 = arguments[3];
	r->r8 = arguments[4];
	r->r9 = arguments[5];
#else
	r->regs[8] = (uint64_t)number;
	for (int i = 0; i < ARGUMENTS_MAX; i++)
		r->regs[i] = arguments[i];
#endif
}

/* Waits until the thread has stopped; ends what it has given birth to. */
static void wait_stopped(pid_t tid)
{
	int status;

	for (;;) {
		unsigned long born;
		int event;

		if (waitpid(tid, &status, __WALL) < 0)
			fail("waitpid");
		if (!WIFSTOPPED(status)) {
			(void)fprintf(stderr, "the thread has ended\n");
			exit(EXIT_FAILURE);
		}
		event = status >> 16;
		if (event != PTRACE_EVENT_FORK && event != PTRACE_EVENT_VFORK &&
		    event != PTRACE_EVENT_CLONE)
			return;
		if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &born) == 0)
			(void)kill((pid_t)born, SIGKILL);
		if (ptrace(PTRACE_SINGLESTEP, tid, 0, 0) < 0)
			fail("PTRACE_SINGLESTEP");
	}
}

static bool is_call(pid_t tid, uint64_t address)
{
	unsigned char at[INSTRUCTION];
	struct iovec here = {at, sizeof(at)};
	struct iovec there = {(void *)(uintptr_t)address, sizeof(at)};

	return process_vm_readv(tid, &here, 1, &there, 1, 0) == INSTRUCTION && IS_SYSCALL(at);
}

/* Where the call stands that the thread waits in: before the next instruction, or (arm64, if it is to
 * be made again) at it. 0: it does not wait. */
static uint64_t call_of(pid_t tid, const registers *r)
{
	if (is_call(tid, PC(r) - INSTRUCTION))
		return PC(r) - INSTRUCTION;
	return is_call(tid, PC(r)) ? PC(r) : 0;
}

/* Stops the thread where it waits. */
static void catch (pid_t tid, registers *r)
{
	const struct timespec pause = {.tv_nsec = 5000000};

	if (ptrace(PTRACE_SEIZE, tid, 0,
		   PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			   PTRACE_O_TRACECLONE) < 0)
		fail("PTRACE_SEIZE");
	for (int i = 0; i < TRIES; i++) {
		if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0)
			fail("PTRACE_INTERRUPT");
		wait_stopped(tid);
		get_registers(tid, r);
		if (call_of(tid, r) != 0)
			return;
		(void)ptrace(PTRACE_CONT, tid, 0, 0);
		(void)nanosleep(&pause, NULL);
	}
	(void)fprintf(stderr, "the thread does not come to rest\n");
	exit(EXIT_FAILURE);
}

/* --- arguments --- */

static size_t bytes_of_hex(const char *hex, unsigned char *out)
{
	size_t n = 0;
	unsigned byte;

	for (; n < ITEM_MAX && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[n++] = (unsigned char)byte;
	return n;
}

static void put(pid_t tid, uint64_t address, const void *bytes, size_t len)
{
	struct iovec here = {(void *)(uintptr_t)bytes, len};
	struct iovec there = {(void *)(uintptr_t)address, len};

	if (process_vm_writev(tid, &here, 1, &there, 1, 0) != (ssize_t)len)
		fail("process_vm_writev");
}

static uint64_t argument(pid_t tid, const char *word, uint64_t room, const long *results)
{
	unsigned char bytes[ITEM_MAX];

	if (strncmp(word, "r:", 2) == 0)
		return (uint64_t)results[strtoul(word + 2, NULL, 10) - 1];
	if (strncmp(word, "s:", 2) == 0) {
		put(tid, room, word + 2, strlen(word + 2) + 1);
		return room;
	}
	if (strncmp(word, "x:", 2) == 0) {
		put(tid, room, bytes, bytes_of_hex(word + 2, bytes));
		return room;
	}
	return strtoull(word, NULL, 0);
}

static long make_call(pid_t tid, const registers *before, char *call, const long *results)
{
	uint64_t arguments[ARGUMENTS_MAX] = {0};
	registers now = *before;
	char *rest = call;
	const char *name = strsep(&rest, ",");
	const int number = seccomp_syscall_resolve_name(name);
	siginfo_t why;

	if (number < 0) {
		(void)fprintf(stderr, "there is no call %s\n", name);
		exit(EXIT_FAILURE);
	}
	for (unsigned i = 0; i < ARGUMENTS_MAX && rest != NULL; i++)
		arguments[i] = argument(tid, strsep(&rest, ","),
					SP(before) - SCRATCH + (uint64_t)i * ITEM_MAX, results);
	set_call(&now, number, arguments);
	PC(&now) = call_of(tid, before);
	set_registers(tid, &now);
	do { /* stops for other signals come and go */
		if (ptrace(PTRACE_SINGLESTEP, tid, 0, 0) < 0)
			fail("PTRACE_SINGLESTEP");
		wait_stopped(tid);
	} while (ptrace(PTRACE_GETSIGINFO, tid, 0, &why) < 0 || why.si_signo != SIGTRAP);
	get_registers(tid, &now);
	return (long)RESULT(&now);
}

int main(int argc, char **argv)
{
	long results[CALLS_MAX];
	registers before;
	pid_t tid;

	if (argc < 3 || argc - 2 > CALLS_MAX)
		return EXIT_FAILURE;
	tid = (pid_t)strtol(argv[1], NULL, 10);
	catch (tid, &before);
	for (int i = 2; i < argc; i++) {
		results[i - 2] = make_call(tid, &before, argv[i], results);
		(void)printf("%ld\n", results[i - 2]);
	}
	set_registers(tid, &before);
	return ptrace(PTRACE_DETACH, tid, 0, 0) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
