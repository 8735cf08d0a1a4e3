/* limiter_callers.c - a number of callers who check a rate limit, each again as soon as it has its
 * answer: of the rate limiter over ZeroMQ, or of a token bucket as a script in Redis.
 *
 *     limiter_callers zmq   ENDPOINT CALLERS SECONDS PEOPLE ACTION
 *     limiter_callers redis SOCKET   CALLERS SECONDS PEOPLE SCRIPT CAPACITY PER_HOUR
 *
 * One thread and one poll() for all callers of either, each with a connection of its own. Each check
 * is of a person picked at random. Prints a line of JSON: checks, allowed, seconds, p50_us, p99_us.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "proto/codec.h"

#define CALLERS_MAX	 256
#define LATENCIES	 (1 << 22) /* the rest is not kept */
#define PEOPLE_MAX	 1000000
#define UUID_TEXT_SIZE	 37
#define ANSWER_SIZE	 4096
#define POLL_TIMEOUT_MS	 10000
#define REPLY_BODY_BYTES 65536

struct caller {
	int fd;	      /* Redis */
	void *socket; /* ZeroMQ */
	int64_t since_us;
	int64_t ref;
	char answer[ANSWER_SIZE];
	size_t answer_len;
};

static struct caller callers[CALLERS_MAX];
static size_t caller_count;
static int32_t *latencies_us;
static size_t checks;
static size_t allowed;
static unsigned people;
static const char *action;
static const char *script_sha;
static const char *redis_limits[2];

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr, " (%s)\n", strerror(errno));
	exit(1);
}

static const char *pick_person(char buf[UUID_TEXT_SIZE])
{
	(void)snprintf(buf, UUID_TEXT_SIZE, "00000000-0000-4000-8000-%012u",
		       (unsigned)random() % people);
	return buf;
}

static void count(struct caller *caller, bool was_allowed)
{
	if (checks < LATENCIES)
		latencies_us[checks] = (int32_t)(clock_mono_us() - caller->since_us);
	checks++;
	allowed += was_allowed;
}

/* --- ZeroMQ --- */

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

static void zmq_ask(struct caller *caller)
{
	char person[UUID_TEXT_SIZE];
	const struct envelope envelope = {
		.v = 1,
		.kind = "call",
		.ref = ++caller->ref,
		.method = "limiter.check",
		.from = "bench",
		.ttl_ms = OPT_INT_OF(5000),
	};
	const struct limiter_check check = {.user_id = pick_person(person), .action = action};

	caller->since_us = clock_mono_us();
	send_frame(caller->socket, RECORD_OF(envelope), &envelope, ZMQ_SNDMORE);
	send_frame(caller->socket, RECORD_OF(limiter_check), &check, 0);
}

static void receive_frame(void *socket, const struct record *record, struct arena *arena,
			  void *value)
{
	char bytes[ANSWER_SIZE];
	struct codec_problem problem;
	int len = zmq_recv(socket, bytes, sizeof(bytes), 0);

	if (len < 0)
		die("cannot receive");
	if (codec_unpack(record, bytes, (size_t)len, arena, value, &problem) < 0)
		die("%s: %.*s", problem.message, len, bytes);
}

static void zmq_hear(struct caller *caller)
{
	struct envelope envelope;
	struct limiter_verdict verdict;
	struct arena arena;

	arena_init(&arena, REPLY_BODY_BYTES);
	receive_frame(caller->socket, RECORD_OF(envelope), &arena, &envelope);
	receive_frame(caller->socket, RECORD_OF(limiter_verdict), &arena, &verdict);
	if (strcmp(envelope.kind, "reply") != 0 || envelope.ref != caller->ref)
		die("not the reply");
	count(caller, verdict.allowed);
	arena_fini(&arena);
}

static void run_zmq(const char *endpoint, int64_t end_us)
{
	zmq_pollitem_t items[CALLERS_MAX];
	void *context = zmq_ctx_new();

	for (size_t i = 0; i < caller_count; i++) {
		callers[i].socket = zmq_socket(context, ZMQ_DEALER);
		if (callers[i].socket == NULL || zmq_connect(callers[i].socket, endpoint) < 0)
			die("%s", endpoint);
		items[i] = (zmq_pollitem_t){.socket = callers[i].socket, .events = ZMQ_POLLIN};
		zmq_ask(&callers[i]);
	}
	while (clock_mono_us() < end_us) {
		if (zmq_poll(items, (int)caller_count, POLL_TIMEOUT_MS) <= 0)
			die("no answer");
		for (size_t i = 0; i < caller_count; i++)
			if ((items[i].revents & ZMQ_POLLIN) != 0) {
				zmq_hear(&callers[i]);
				zmq_ask(&callers[i]);
			}
	}
}

/* --- Redis --- */

static void redis_send(int fd, int words, const char *const *word)
{
	char text[ANSWER_SIZE];
	int len = snprintf(text, sizeof(text), "*%d\r\n", words);

	for (int i = 0; i < words; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "$%zu\r\n%s\r\n",
				strlen(word[i]), word[i]);
	if ((size_t)len >= sizeof(text) || write(fd, text, (size_t)len) != len)
		die("cannot send");
}

static void redis_ask(struct caller *caller)
{
	char person[UUID_TEXT_SIZE];
	const char *const words[] = {"EVALSHA",	      script_sha,      "1", pick_person(person),
				     redis_limits[0], redis_limits[1], "1"};

	caller->since_us = clock_mono_us();
	redis_send(caller->fd, sizeof(words) / sizeof(words[0]), words);
}

/* Reads more of the answer *3 :allowed $tokens :retry_ms. Returns whether it is whole. */
static bool redis_hear(struct caller *caller)
{
	ssize_t len = read(caller->fd, caller->answer + caller->answer_len,
			   sizeof(caller->answer) - 1 - caller->answer_len);
	int lines = 0;

	if (len <= 0)
		die("Redis is gone");
	caller->answer_len += (size_t)len;
	caller->answer[caller->answer_len] = '\0';
	if (caller->answer[0] != '*')
		die("%s", caller->answer);
	for (const char *p = caller->answer; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	if (lines < 5)
		return false;
	count(caller, strncmp(caller->answer, "*3\r\n:1", 6) == 0);
	caller->answer_len = 0;
	return true;
}

static void run_redis(const char *path, int64_t end_us)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct pollfd items[CALLERS_MAX];

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	for (size_t i = 0; i < caller_count; i++) {
		callers[i].fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (callers[i].fd < 0 ||
		    connect(callers[i].fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			die("%s", path);
		items[i] = (struct pollfd){.fd = callers[i].fd, .events = POLLIN};
		redis_ask(&callers[i]);
	}
	while (clock_mono_us() < end_us) {
		if (poll(items, (nfds_t)caller_count, POLL_TIMEOUT_MS) <= 0)
			die("no answer");
		for (size_t i = 0; i < caller_count; i++)
			if ((items[i].revents & POLLIN) != 0 && redis_hear(&callers[i]))
				redis_ask(&callers[i]);
	}
}

/* --- the figures --- */

static int compare(const void *a, const void *b)
{
	return *(const int32_t *)a < *(const int32_t *)b
		       ? -1
		       : *(const int32_t *)a > *(const int32_t *)b;
}

static void report(int64_t took_us)
{
	size_t kept = checks < LATENCIES ? checks : LATENCIES;

	if (kept == 0)
		die("nothing was answered");
	qsort(latencies_us, kept, sizeof(*latencies_us), compare);
	(void)printf("{\"checks\": %zu, \"allowed\": %zu, \"seconds\": %.3f, \"p50_us\": %" PRId32
		     ", \"p99_us\": %" PRId32 "}\n",
		     checks, allowed, (double)took_us / 1e6, latencies_us[kept / 2],
		     latencies_us[kept * 99 / 100]);
}

int main(int argc, char **argv)
{
	bool redis = argc == 9 && strcmp(argv[1], "redis") == 0;
	int64_t began_us;
	double seconds;

	if (!redis && (argc != 7 || strcmp(argv[1], "zmq") != 0))
		die("usage: see the file's first lines");
	caller_count = strtoul(argv[3], NULL, 10);
	seconds = strtod(argv[4], NULL);
	people = (unsigned)strtoul(argv[5], NULL, 10);
	latencies_us = calloc(LATENCIES, sizeof(*latencies_us));
	if (caller_count < 1 || caller_count > CALLERS_MAX || people < 1 || people > PEOPLE_MAX ||
	    latencies_us == NULL)
		die("too many or too few");
	began_us = clock_mono_us();
	srandom((unsigned)began_us);
	if (redis) {
		script_sha = argv[6];
		redis_limits[0] = argv[7];
		redis_limits[1] = argv[8];
		run_redis(argv[2], began_us + (int64_t)(seconds * 1e6));
	} else {
		action = argv[6];
		run_zmq(argv[2], began_us + (int64_t)(seconds * 1e6));
	}
	report(clock_mono_us() - began_us);
	return 0; /* the sockets and their memory go with the process */
}
