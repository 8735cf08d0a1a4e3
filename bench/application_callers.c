/* application_callers.c - a number of callers who submit applications, each the next one as soon as
 * the one before is committed.
 *
 *     application_callers ENDPOINT CALLERS APPLICATIONS ROUND
 *
 * ENDPOINT is the submitter's mailbox. Each application is another person's; ROUND (0 to 999) makes
 * them others than those of another run. One thread and one poll(), a connection for each caller.
 * Prints a line of JSON: applications, seconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/clock.h"
#include "proto/codec.h"

#define CALLERS_MAX	256
#define POLL_TIMEOUT_MS 20000
#define ANSWER_SIZE	4096
#define ARENA_BYTES	65536
#define USER_SIZE	37

static const char cv[] =
	"{\"title\": \"C developer\", \"firstName\": \"Anna\", \"email\": \"a@b.cd\"}";

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr, " (%s)\n", strerror(errno));
	exit(1);
}

static void send_frame(void *socket, const struct record *record, const void *value, int flags)
{
	struct codec_problem problem;
	void *bytes;
	size_t len;

	if (codec_pack(record, value, &bytes, &len, &problem) < 0)
		die("%s %s", problem.field, problem.message);
	if (zmq_send(socket, bytes, len, flags) < 0)
		die("cannot send");
	free(bytes);
}

static void ask(void *socket, unsigned long number, unsigned long run)
{
	char user[USER_SIZE];
	const struct envelope envelope = {
		.v = 1,
		.kind = "call",
		.ref = (int64_t)number,
		.method = "applications.submit",
		.from = "bench",
		.ttl_ms = OPT_INT_OF(15000),
	};
	const struct application_submit submit = {
		.user_id = user,
		.job_external_id = "1",
		.customized_cv = cv,
		.cover_letter = "Good day",
		.wait_ms = OPT_INT_OF(0),
	};

	/* Random ones, as people's ids are. */
	(void)snprintf(user, sizeof(user), "%08lx-%04lx-4000-8000-%012lx", random() & 0xffffffff,
		       run & 0xffff, number);
	send_frame(socket, RECORD_OF(envelope), &envelope, ZMQ_SNDMORE);
	send_frame(socket, RECORD_OF(application_submit), &submit, 0);
}

static void hear(void *socket)
{
	char bytes[ANSWER_SIZE];
	struct codec_problem problem;
	struct envelope envelope;
	struct arena arena;
	int len = zmq_recv(socket, bytes, sizeof(bytes), 0);

	arena_init(&arena, ARENA_BYTES);
	if (len < 0 ||
	    codec_unpack(RECORD_OF(envelope), bytes, (size_t)len, &arena, &envelope, &problem) < 0)
		die("no envelope");
	len = zmq_recv(socket, bytes, sizeof(bytes), 0);
	if (len < 0 || strcmp(envelope.kind, "reply") != 0)
		die("refused: %.*s", len < 0 ? 0 : len, bytes);
	arena_fini(&arena);
}

int main(int argc, char **argv)
{
	static zmq_pollitem_t items[CALLERS_MAX];
	unsigned long callers;
	unsigned long wanted;
	unsigned long run;
	unsigned long asked = 0;
	unsigned long heard = 0;
	int64_t began_us;
	void *context = zmq_ctx_new();

	if (argc != 5 || context == NULL)
		die("usage: see the file's first lines");
	callers = strtoul(argv[2], NULL, 10);
	wanted = strtoul(argv[3], NULL, 10);
	run = strtoul(argv[4], NULL, 10);
	if (callers < 1 || callers > CALLERS_MAX || wanted < callers)
		die("too many or too few");
	srandom((unsigned)clock_mono_us());
	began_us = clock_mono_us();
	for (; asked < callers; asked++) {
		void *socket = zmq_socket(context, ZMQ_DEALER);

		if (socket == NULL || zmq_connect(socket, argv[1]) < 0)
			die("%s", argv[1]);
		items[asked] = (zmq_pollitem_t){.socket = socket, .events = ZMQ_POLLIN};
		ask(socket, asked, run);
	}
	while (heard < wanted) {
		if (zmq_poll(items, (int)callers, POLL_TIMEOUT_MS) <= 0)
			die("no answer");
		for (unsigned long i = 0; i < callers; i++) {
			if ((items[i].revents & ZMQ_POLLIN) == 0)
				continue;
			hear(items[i].socket);
			heard++;
			if (asked < wanted)
				ask(items[i].socket, asked++, run);
		}
	}
	(void)printf("{\"applications\": %lu, \"seconds\": %.4f}\n", heard,
		     (double)(clock_mono_us() - began_us) / 1e6);
	return 0; /* the sockets go with the process */
}
