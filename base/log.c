/* log.c - puts a line together without control characters, and writes it; see log.h. */
#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit_codes.h"

/* At most PIPE_BUF, so that lines of several processes never mix in a pipe. */
#define LINE_MAX_BYTES 2048

static const char *process_name = "ugtj";
static uint64_t process_generation;
static enum log_level threshold = LEVEL_INFO;
static atomic_ulong dropped_lines;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_open(const char *name, uint64_t generation)
{
	process_name = name;
	process_generation = generation;
}

void log_set_level(enum log_level level)
{
	threshold = level;
}

int log_level_parse(const char *word)
{
	for (int i = 0; i < (int)(sizeof(level_names) / sizeof(level_names[0])); i++)
		if (strcmp(word, level_names[i]) == 0)
			return i;
	return -1;
}

static size_t clamp(int printed, size_t room)
{
	if (printed < 0)
		return 0;
	return (size_t)printed < room ? (size_t)printed : room - 1;
}

/* The pipe may belong to a reader that stopped: ask first, drop rather than block. */
static void write_line(const char *line, size_t len)
{
	struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0 ||
	    write(STDERR_FILENO, line, len) != (ssize_t)len)
		atomic_fetch_add(&dropped_lines, 1);
}

static size_t line_head(char *line, size_t room, enum log_level level, const char *event)
{
	char when[CLOCK_ISO8601_SIZE];

	return clamp(snprintf(line, room, "%s %-5s %s[%d.%llu] %s ",
			      clock_iso8601(clock_wall_ms(), when), level_names[level],
			      process_name, (int)getpid(), (unsigned long long)process_generation,
			      event),
		     room);
}

static void log_dropped(void)
{
	unsigned long lost = atomic_exchange(&dropped_lines, 0);
	char line[256];
	size_t n;

	if (lost == 0)
		return;
	n = line_head(line, sizeof(line), LEVEL_WARN, "log.dropped");
	n += clamp(snprintf(line + n, sizeof(line) - n, "lines=%lu\n", lost), sizeof(line) - n);
	write_line(line, n);
}

static void log_vline(enum log_level level, const char *event, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

static void log_vline(enum log_level level, const char *event, const char *fmt, va_list args)
{
	char line[LINE_MAX_BYTES];
	size_t head;
	size_t n;

	if (level < threshold)
		return;
	log_dropped();
	head = line_head(line, sizeof(line) - 1, level, event);
	n = head + clamp(vsnprintf(line + head, sizeof(line) - 1 - head, fmt, args),
			 sizeof(line) - 1 - head);
	for (size_t i = head; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	while (n > 0 && line[n - 1] == ' ')
		n--;
	line[n++] = '\n';
	write_line(line, n);
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vline(level, event, fmt, args);
	va_end(args);
}

void fatal(const char *event, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vline(LEVEL_ERROR, event, fmt, args);
	va_end(args);
	exit(EXIT_WORLD);
}

void panic(const char *event, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vline(LEVEL_ERROR, event, fmt, args);
	va_end(args);
	abort();
}
