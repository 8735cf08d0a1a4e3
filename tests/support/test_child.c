/* test_child.c - a child that keeps the treaty of proto/control.h, or breaks it as it is told.
 *
 * What it does stands in the file BEHAVIOUR_DIR/NAME, read at each start, so that a test can change
 * it between two lives; without the file it lives on as a good child. One word a line:
 *
 *   exit=N              ends with N before READY
 *   never-ready         lives, but never says READY
 *   ready-exit=N        says READY and ends with N
 *   last-words=NAME     monitors NAME, stops the supervisor, says READY and ends with 3, the news
 *                       unread
 *   ready-signal=N      says READY and dies of signal N
 *   ignore-term         does not hear SIGTERM
 *   term-exit=N         ends with N at SIGTERM
 *   heartbeat-ms=N      a heartbeat every N ms instead of 50
 *   mute                no heartbeat after READY
 *   burn                loops for ever after READY
 *   close-control       closes its control socket after READY, and lives
 *   garbage=WHAT        sends a packet of a wrong size, version, type or name after READY
 *   spam                sends heartbeats as fast as it can, and listens
 *   deaf=NAME           monitors NAME and never reads
 *   ask-deaf            asks for the tree without end and never reads
 *   degraded=WHY        says so in its heartbeat, until the file is gone
 *   hog=MB              takes so much memory after READY
 *   descend=HOW         forks a child of its own before READY: in its process group, or "away" in a
 *                       session of its own
 *   probe               hands all packets on between the supervisor and PROBE_SOCKET
 *   note=METHOD         notes that it has that message in hand, since this long a time, in ms: ...
 *   held=N              ... N; and that "caller" sent it with trace id "t-1" as number 7
 *   note-garbage        writes nonsense over its whole note
 *   note-backtrace=N    notes that signal N ended it, with a backtrace of two frames
 *   env=FILE            writes its environment to FILE before READY
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/control.h"

static int heartbeat_ms = 50;
static char behaviour[1024];
static const char *name;
static const char *generation;
static int term_exit_code;

/* The value of a word of the behaviour, "" for a word without one, NULL when it is not there. */
static const char *told(const char *word)
{
	static char value[256];
	size_t len = strlen(word);

	for (const char *line = behaviour; *line != '\0'; line += strcspn(line, "\n")) {
		line += *line == '\n';
		if (strncmp(line, word, len) != 0 || strchr("=\n", line[len]) == NULL)
			continue;
		line += len + (line[len] == '=');
		(void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(line, "\n"), line);
		return value;
	}
	return NULL;
}

static int told_number(const char *word)
{
	const char *value = told(word);

	return value == NULL ? -1 : (int)strtol(value, NULL, 10);
}

static void read_behaviour(void)
{
	const char *dir = getenv("BEHAVIOUR_DIR");
	char path[512];
	ssize_t got;
	int fd;

	memset(behaviour, 0, sizeof(behaviour));
	(void)snprintf(path, sizeof(path), "%s/%s", dir == NULL ? "." : dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	got = read(fd, behaviour, sizeof(behaviour) - 1);
	if (got > 0 && behaviour[got - 1] != '\n' && got < (ssize_t)sizeof(behaviour) - 1)
		behaviour[got] = '\n';
	(void)close(fd);
}

static void send_packet(const struct control_packet *packet, size_t size)
{
	if (send(CONTROL_FD, packet, size, MSG_NOSIGNAL) < 0 && errno == EPIPE)
		_exit(0);
}

static void say(enum control_type type, const char *text, int64_t value)
{
	struct control_packet p = {.version = CONTROL_VERSION, .type = (uint16_t)type};

	p.value = value;
	if (type == CONTROL_MONITOR)
		(void)snprintf(p.name, sizeof(p.name), "%s", text);
	else
		(void)snprintf(p.reason, sizeof(p.reason), "%s", text);
	send_packet(&p, sizeof(p));
}

static void heartbeat(void)
{
	const char *why;

	if (told("mute") != NULL)
		return;
	if (told("degraded") != NULL)
		read_behaviour();
	why = told("degraded");
	say(CONTROL_HEARTBEAT, why == NULL ? "" : why, why != NULL);
}

static void on_term(int sig)
{
	(void)sig;
	_exit(term_exit_code);
}

/* What a real actor leaves in RUN_DIR: the socket of its mailbox. */
static void bind_mailbox(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s.%s", name, generation);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("bind");
		_exit(99);
	}
}

static void write_environment(const char *path)
{
	FILE *file = fopen(path, "we");

	for (char **e = environ; file != NULL && *e != NULL; e++)
		(void)fprintf(file, "%s\n", *e);
	if (file != NULL)
		(void)fclose(file);
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What a real actor notes of itself. */
static void write_note(void)
{
	struct control_note *note =
		mmap(NULL, sizeof(*note), PROT_READ | PROT_WRITE, MAP_SHARED, CONTROL_NOTE_FD, 0);
	int held_ms = told_number("held");

	if (note == MAP_FAILED)
		_exit(95);
	if (told("note") != NULL) {
		(void)snprintf(note->message.method, sizeof(note->message.method), "%s",
			       told("note"));
		(void)snprintf(note->message.from, sizeof(note->message.from), "caller");
		(void)snprintf(note->message.trace, sizeof(note->message.trace), "t-1");
		(void)snprintf(note->doing, sizeof(note->doing), "call");
		note->message.from_generation = 3;
		note->message.ref = 7;
		note->message.since_ms = now_ms() - (held_ms < 0 ? 0 : held_ms);
		note->in_hand = 1;
	}
	if (told("note-backtrace") != NULL) {
		note->signal = told_number("note-backtrace");
		(void)snprintf(note->frames[0], sizeof(note->frames[0]), "inner+0x1");
		(void)snprintf(note->frames[1], sizeof(note->frames[1]), "outer+0x2");
		note->frame_count = 2;
	}
	if (told("note-garbage") != NULL) {
		memset(note, 0xff, sizeof(*note));
		note->in_hand = 1;
	}
}

static void descend(const char *how)
{
	char moved;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		_exit(96);
	if (fork() != 0) {
		(void)close(ends[1]);
		(void)!read(ends[0], &moved, 1); /* end of file: it is where it should be */
		return;
	}
	if (strcmp(how, "away") == 0)
		(void)setsid();
	(void)close(CONTROL_FD);
	(void)close(ends[1]);
	for (;;)
		(void)pause();
}

static void take_memory(int mb)
{
	/* At once: page by page takes longer, on a slow machine, than a child may be silent. */
	if (mmap(NULL, (size_t)mb << 20, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED)
		_exit(98);
}

static void send_garbage(const char *what)
{
	struct control_packet p = {.version = CONTROL_VERSION, .type = CONTROL_HEARTBEAT};
	size_t size = sizeof(p);

	if (strcmp(what, "size") == 0)
		size = 7;
	else if (strcmp(what, "version") == 0)
		p.version = CONTROL_VERSION + 1;
	else if (strcmp(what, "type") == 0)
		p.type = CONTROL_UP;
	else
		memset(p.name, 'x', sizeof(p.name));
	send_packet(&p, size);
}

/* The supervisor finds all of it at once when it goes on: READY, the end of file, the death. */
static void say_last_words(const char *monitored)
{
	struct pollfd news = {.fd = CONTROL_FD, .events = POLLIN};

	say(CONTROL_MONITOR, monitored, 0);
	while (poll(&news, 1, -1) <= 0)
		;
	(void)kill(getppid(), SIGSTOP);
	say(CONTROL_READY, "", 0);
	_exit(3);
}

static void hand_on(int from, int to)
{
	struct control_packet p;
	ssize_t got = recv(from, &p, sizeof(p), 0);

	if (got <= 0 || send(to, &p, (size_t)got, MSG_NOSIGNAL) < 0)
		_exit(0);
}

static int connect_probe(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("PROBE_SOCKET");
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path == NULL ? "" : path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("probe");
		_exit(97);
	}
	return fd;
}

/* What it does wrong between its READY and its life. */
static void after_ready(void)
{
	if (told("ready-exit") != NULL)
		_exit(told_number("ready-exit"));
	if (told("ready-signal") != NULL)
		(void)kill(getpid(), told_number("ready-signal"));
	if (told("close-control") != NULL)
		for ((void)close(CONTROL_FD);;)
			(void)pause();
	if (told("garbage") != NULL)
		send_garbage(told("garbage"));
	if (told("deaf") != NULL)
		say(CONTROL_MONITOR, told("deaf"), 0);
	if (told("hog") != NULL)
		take_memory(told_number("hog"));
	while (told("spam") != NULL)
		heartbeat();
	while (told("ask-deaf") != NULL)
		say(CONTROL_NEXT_CHILD, "", 0);
	for (volatile bool burn = told("burn") != NULL; burn;)
		;
}

static void live(int probe)
{
	struct pollfd fds[] = {{.fd = CONTROL_FD, .events = POLLIN},
			       {.fd = probe, .events = POLLIN}};
	struct control_packet p;

	if (told("deaf") != NULL)
		fds[0].events = 0;
	for (;;) {
		(void)poll(fds, 2, heartbeat_ms);
		if (fds[1].revents != 0)
			hand_on(probe, CONTROL_FD);
		if (fds[0].revents != 0 && probe >= 0)
			hand_on(CONTROL_FD, probe);
		else if (fds[0].revents != 0 && recv(CONTROL_FD, &p, sizeof(p), 0) <= 0)
			_exit(0); /* the supervisor is gone */
		heartbeat();
	}
}

int main(void)
{
	int probe = -1;

	name = getenv(CONTROL_ENV_NAME);
	generation = getenv(CONTROL_ENV_GENERATION);
	if (name == NULL || generation == NULL)
		return 64;
	read_behaviour();
	if (told("heartbeat-ms") != NULL)
		heartbeat_ms = told_number("heartbeat-ms");
	term_exit_code = told("term-exit") != NULL ? told_number("term-exit") : 0;
	(void)signal(SIGTERM, told("ignore-term") != NULL ? SIG_IGN : on_term);
	if (told("env") != NULL)
		write_environment(told("env"));
	bind_mailbox();
	write_note();
	if (told("exit") != NULL)
		_exit(told_number("exit"));
	if (told("descend") != NULL)
		descend(told("descend"));
	if (told("probe") != NULL)
		probe = connect_probe();
	while (told("never-ready") != NULL)
		(void)pause();
	if (told("last-words") != NULL)
		say_last_words(told("last-words"));
	say(CONTROL_READY, "", 0);
	after_ready();
	live(probe);
}
