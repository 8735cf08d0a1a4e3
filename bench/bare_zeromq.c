/* bare_zeromq.c - the least that a process with ZeroMQ costs: what restart_latency.py and
 * thousand_fetchers.py are compared with.
 *
 *     bare_zeromq restart COUNT    a process is killed, waited for, forked anew and asked; so many times
 *     bare_zeromq crowd COUNT      so many processes are killed at once, and forked anew, eight at a time
 *
 * A process here is fork(), a context, a ROUTER bound to a file of its own, and one call: in a crowd it
 * asks somebody who is always there, as a fetcher does; else it is asked. It has no supervisor, program,
 * sandbox or state. Works in the current folder. Prints milliseconds, of each restart or of the crowd.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

/* As in the product: how many fetchers start at a time, the sockets that a small actor and its scheduler
 * have room for, and the backlog of a mailbox. */
#define STARTING_MAX  8
#define SOCKETS_SMALL 64
#define SOCKETS_PEER  32768
#define BACKLOG	      1024

static double now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void fail(const char *what)
{
	perror(what);
	exit(71);
}

static void *socket_of(void *context, int type)
{
	const int backlog = BACKLOG;
	const int linger = 0;
	void *socket = zmq_socket(context, type);

	if (socket == NULL || zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof(backlog)) < 0 ||
	    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger)) < 0)
		fail("socket");
	return socket;
}

/* A ROUTER at ipc://NAME. */
static void *bound(const char *name, int sockets, void **context)
{
	char address[64];
	void *router;

	*context = zmq_ctx_new();
	if (*context == NULL || zmq_ctx_set(*context, ZMQ_MAX_SOCKETS, sockets) < 0)
		fail("context");
	router = socket_of(*context, ZMQ_ROUTER);
	(void)snprintf(address, sizeof(address), "ipc://%s", name);
	if (zmq_bind(router, address) < 0)
		fail("bind");
	return router;
}

static void *connected(void *context, const char *name)
{
	void *dealer = socket_of(context, ZMQ_DEALER);
	char address[64];

	(void)snprintf(address, sizeof(address), "ipc://%s", name);
	if (zmq_connect(dealer, address) < 0)
		fail("connect");
	return dealer;
}

static void ask(void *dealer)
{
	char answer[8];

	if (zmq_send(dealer, "?", 1, 0) < 0 || zmq_recv(dealer, answer, sizeof(answer), 0) < 0)
		fail("ask");
}

_Noreturn static void answer_for_ever(void *router)
{
	char who[256];
	char question[8];

	for (;;) {
		int size = zmq_recv(router, who, sizeof(who), 0);

		if (size < 0 || zmq_recv(router, question, sizeof(question), 0) < 0 ||
		    zmq_send(router, who, (size_t)size, ZMQ_SNDMORE) < 0 ||
		    zmq_send(router, question, 1, 0) < 0)
			fail("answer");
	}
}

/* A process at ipc://NAME that says so with a byte to ready. asks: whom it asks before; NULL: nobody. */
static pid_t start(const char *name, int sockets, const char *asks, int ready)
{
	pid_t pid = fork();
	void *context;
	void *router;

	if (pid < 0)
		fail("fork");
	if (pid > 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	router = bound(name, sockets, &context);
	if (asks != NULL)
		ask(connected(context, asks));
	if (write(ready, "r", 1) != 1)
		fail("ready");
	answer_for_ever(router);
}

static void await(int ready)
{
	char byte;

	if (read(ready, &byte, 1) != 1)
		fail("ready");
}

static void finish(pid_t pid)
{
	if (kill(pid, SIGKILL) < 0 || waitpid(pid, NULL, 0) != pid)
		fail("kill");
}

/* The caller's sockets are in a process of their own, as its actors' are, for a context must not be
 * forked: it asks whom it is told to and says when it has the answer. */
_Noreturn static void call_for_ever(int numbers, int answered)
{
	void *context = zmq_ctx_new();
	void *dealer = NULL;
	long number;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(numbers, &number, sizeof(number)) == (ssize_t)sizeof(number)) {
		char name[32];

		if (dealer != NULL)
			(void)zmq_close(dealer);
		(void)snprintf(name, sizeof(name), "bare.%ld", number);
		dealer = connected(context, name);
		ask(dealer);
		if (write(answered, "a", 1) != 1)
			fail("answered");
	}
	_exit(0);
}

static void restart(long count)
{
	int ready[2];
	int numbers[2];
	int answered[2];
	pid_t caller;
	pid_t pid = 0;

	if (pipe(ready) < 0 || pipe(numbers) < 0 || pipe(answered) < 0)
		fail("pipe");
	caller = fork();
	if (caller < 0)
		fail("fork");
	if (caller == 0)
		call_for_ever(numbers[0], answered[1]);
	for (long i = 0; i <= count; i++) {
		double began = now_ms();
		char name[32];

		(void)snprintf(name, sizeof(name), "bare.%ld", i);
		if (pid > 0)
			finish(pid);
		pid = start(name, SOCKETS_SMALL, NULL, ready[1]);
		await(ready[0]);
		if (write(numbers[1], &i, sizeof(i)) != (ssize_t)sizeof(i))
			fail("number");
		await(answered[0]);
		if (i > 0)
			(void)printf("%.3f\n", now_ms() - began);
	}
	finish(pid);
	finish(caller);
}

static void start_crowd(pid_t *pids, long count, int ready[2])
{
	long started = 0;

	for (long up = 0; up < count; up++) {
		for (; started < count && started - up < STARTING_MAX; started++) {
			char name[32];

			(void)snprintf(name, sizeof(name), "bare.%ld", started);
			pids[started] = start(name, SOCKETS_SMALL, "peer", ready[1]);
		}
		await(ready[0]);
	}
}

static void crowd(long count)
{
	pid_t *pids = calloc((size_t)count, sizeof(*pids));
	int ready[2];
	double began;
	pid_t peer;

	if (pids == NULL || pipe(ready) < 0)
		fail("crowd");
	peer = start("peer", SOCKETS_PEER, NULL, ready[1]);
	await(ready[0]);
	start_crowd(pids, count, ready);
	began = now_ms();
	for (long i = 0; i < count; i++)
		(void)kill(pids[i], SIGKILL);
	for (long i = 0; i < count; i++)
		(void)waitpid(pids[i], NULL, 0);
	start_crowd(pids, count, ready);
	(void)printf("%.3f\n", now_ms() - began);
	for (long i = 0; i < count; i++)
		finish(pids[i]);
	finish(peer);
	free(pids);
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	if (count > 0 && strcmp(argv[1], "restart") == 0) {
		restart(count);
	} else if (count > 0 && strcmp(argv[1], "crowd") == 0) {
		crowd(count);
	} else {
		(void)fprintf(stderr, "usage: bare_zeromq restart|crowd COUNT\n");
		return 64;
	}
	return 0;
}
