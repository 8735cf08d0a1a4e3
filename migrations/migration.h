/* migration.h - the numbered SQL files: NNNN_name.up.sql makes a change, NNNN_name.down.sql undoes
 * it.
 *
 * Knows files and names only, nothing of a database, so that a test needs none.
 */
#ifndef MIGRATIONS_MIGRATION_H
#define MIGRATIONS_MIGRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MIGRATION_NAME_SIZE	64  /* "users" and its NUL */
#define MIGRATION_LABEL_SIZE	96  /* "0001_users" */
#define MIGRATION_FILE_SIZE	112 /* "0001_users.down.sql" */
#define MIGRATION_CHECKSUM_SIZE 65  /* SHA-256 in hexadecimal */

enum migration_direction { MIGRATION_UP, MIGRATION_DOWN };

struct migration {
	int64_t version; /* from 1, without gaps */
	char name[MIGRATION_NAME_SIZE];
	bool has_up;
	bool has_down;
	char checksum[MIGRATION_CHECKSUM_SIZE]; /* of the up file; "" before it was read */
};

struct migration_set {
	struct migration *items; /* ascending by version once checked */
	size_t count;
	size_t room;
};

/* Writes "0001_users" into buf and returns it. */
char *migration_label(int64_t version, const char *name, char buf[MIGRATION_LABEL_SIZE]);

/* Writes the name of m's file for direction into buf and returns it. */
char *migration_file(const struct migration *m, enum migration_direction direction,
		     char buf[MIGRATION_FILE_SIZE]);

/* Whether name may stand in a file name: [a-z0-9_], neither empty nor too long. */
bool migration_name_is_valid(const char *name);

/* Adds a file of the folder to set; one that does not end in .sql is none of ours and is passed
 * over. Returns 0, -EINVAL when the name is not of the form NNNN_name.(up|down).sql, or -ENOMEM. */
int migration_set_add(struct migration_set *set, const char *file)
	__attribute__((warn_unused_result));

/* Sorts set and writes what is wrong with its numbers and files to errors, a line each. Returns how
 * many lines that were. A missing down file is no fault here: it matters to a rollback only. */
int migration_set_check(struct migration_set *set, FILE *errors)
	__attribute__((warn_unused_result));

/* Reads the folder dir: names, checksums, checks. Returns 0, -EINVAL when something is wrong, or
 * another negative errno; either way the reason is on errors. Free *out with migration_set_fini().
 */
int migration_set_load(const char *dir, FILE *errors, struct migration_set *out)
	__attribute__((warn_unused_result));

/* Frees what set holds. A zeroed set is fine. */
void migration_set_fini(struct migration_set *set);

/* Gives the text of m's file for direction, with its length, NUL-terminated; free() it. Returns 0
 * or a negative errno. */
int migration_read(const char *dir, const struct migration *m, enum migration_direction direction,
		   char **text, size_t *len) __attribute__((warn_unused_result));

/* SHA-256 of len bytes of text. Returns 0 or -ENOMEM. */
int migration_checksum(const char *text, size_t len, char hex[MIGRATION_CHECKSUM_SIZE])
	__attribute__((warn_unused_result));

/* Makes the two files of the next migration in dir. Returns 0 and its number and name in *out, or a
 * negative errno with the reason on errors. */
int migration_create(const char *dir, const char *name, FILE *errors, struct migration *out)
	__attribute__((warn_unused_result));

#endif
