/* settings.h - the program's settings: from the environment and from .env, checked all at once.
 *
 * settings.def is the table. Values live in the environment, so a child has what its parent has,
 * less the secrets that its child spec does not name.
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum setting_type { SETTING_TEXT, SETTING_INT, SETTING_REAL, SETTING_BOOL, SETTING_URL };

enum setting_flags { SETTING_SECRET = 1 };

struct setting {
	const char *name;
	enum setting_type type;
	const char *fallback; /* NULL: unset */
	double min;
	double max;
	unsigned flags;
	const char *help;
};

enum setting_id {
#define SETTING(name, type, fallback, min, max, flags, help) SETTING_ID_##name,
#include "base/settings.def"
#undef SETTING
	SETTING_COUNT
};

extern const struct setting settings_table[SETTING_COUNT];

/* Reads NAME=value lines of path into the environment; what is there already stays as it is.
 * Blank lines, '#' comments, an "export " and quotes around the value are understood. A file that
 * does not exist is no error. Returns 0 or a negative errno; complaints go to errors, with line
 * numbers. */
int settings_read_file(const char *path, FILE *errors) __attribute__((warn_unused_result));

/* Checks every setting, and the demands that settings make of each other, and says everything that
 * is wrong on errors, a line each. Returns how many lines that were. */
int settings_check(FILE *errors) __attribute__((warn_unused_result));

/* Moves the secrets from where the kernel and core files show a process's environment to memory that
 * no core file has, and blanks the old place. getenv() finds them as before; what it gave before is
 * gone. Called once, before other threads are there. Returns 0 or a negative errno. */
int settings_hide_secrets(void) __attribute__((warn_unused_result));

/* The value or its default, NULL when unset. Borrowed from the environment. */
const char *setting_text_by_id(enum setting_id id);
int64_t setting_int_by_id(enum setting_id id);
double setting_real_by_id(enum setting_id id);
bool setting_bool_by_id(enum setting_id id);

#define setting_text(name) setting_text_by_id(SETTING_ID_##name)
#define setting_int(name)  setting_int_by_id(SETTING_ID_##name)
#define setting_real(name) setting_real_by_id(SETTING_ID_##name)
#define setting_bool(name) setting_bool_by_id(SETTING_ID_##name)

/* The setting called name, or NULL. */
const struct setting *setting_find(const char *name);

/* This node's name in leases: NODE_NAME, else host name and a digest of RUN_DIR. buf is
 * written and returned. */
#define SETTING_NODE_NAME_SIZE 96
char *setting_node_name(char buf[SETTING_NODE_NAME_SIZE]);

#endif
