/* log.h - the one logger: a line to standard error, written with one call and never blocking.
 *
 *     2026-11-24T23:14:33.123Z info  store[812.3] db.connected server=15.20
 *
 * time, level, actor[pid.generation], event, then key=value pairs. Secrets and message bodies are
 * never logged. Where the reader of the pipe has stopped reading, lines are dropped and counted,
 * and the count is said when it reads again: a slow log must not stop an actor.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

enum log_level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR };

/* Names the process in every line from now on. name is borrowed for the life of the process. */
void log_open(const char *name, uint64_t generation);

/* Lines below level are left out. Default: LEVEL_INFO. */
void log_set_level(enum log_level level);

/* "debug", "info", "warn" or "error" to a level; -1 for anything else. */
int log_level_parse(const char *word);

/* Writes a line. event is one dotted word; fmt makes the key=value pairs and may be "".
 * Control characters become '?', a line ends after about 2,000 bytes. */
void log_line(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_debug(event, ...) log_line(LEVEL_DEBUG, (event), __VA_ARGS__)
#define log_info(event, ...)  log_line(LEVEL_INFO, (event), __VA_ARGS__)
#define log_warn(event, ...)  log_line(LEVEL_WARN, (event), __VA_ARGS__)
#define log_error(event, ...) log_line(LEVEL_ERROR, (event), __VA_ARGS__)

/* The world failed: logs at error and exits with EXIT_WORLD. */
_Noreturn void fatal(const char *event, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Our own promise broke: logs at error and aborts, so that there is a core. */
_Noreturn void panic(const char *event, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
