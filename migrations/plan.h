/* plan.h - what is to be run: the files on one side, the records of the database on the other.
 *
 * Pure: takes both as arguments, so that every disagreement between them can be tested.
 */
#ifndef MIGRATIONS_PLAN_H
#define MIGRATIONS_PLAN_H

#include "migrations/migration.h"

#define APPLIED_AT_SIZE 32 /* "2026-11-24T23:14:33.123Z" */

/* A row of schema_migrations. */
struct applied {
	int64_t version;
	char name[MIGRATION_NAME_SIZE];
	char checksum[MIGRATION_CHECKSUM_SIZE];
	char applied_at[APPLIED_AT_SIZE];
	int64_t duration_ms;
};

struct applied_list {
	struct applied *items; /* ascending by version */
	size_t count;
};

enum plan_state {
	PLAN_APPLIED, /* and the file is as it was then */
	PLAN_PENDING, /* a file without a record */
	PLAN_CHANGED, /* the file is another than the one applied */
	PLAN_MISSING, /* a record without a file */
};

/* One version, known from its file, its record or both. Borrows from the lists it was made of. */
struct plan_row {
	enum plan_state state;
	const struct migration *file; /* NULL when missing */
	const struct applied *record; /* NULL when pending */
};

struct plan {
	struct plan_row *rows; /* ascending by version */
	size_t count;
	const struct migration **steps; /* what to run, in this order */
	size_t step_count;
};

/* "applied", "pending", "changed" or "missing". */
const char *plan_state_word(enum plan_state state);

/* Lays files and records side by side, without a step yet. Returns 0 or -ENOMEM. Free *out with
 * plan_fini(), before the lists. */
int plan_init(const struct migration_set *files, const struct applied_list *records,
	      struct plan *out) __attribute__((warn_unused_result));

/* Sets the steps to all that is pending. Returns how many things speak against running them, each a
 * line on errors. */
int plan_up(struct plan *p, FILE *errors) __attribute__((warn_unused_result));

/* Sets the steps to undoing the last how_many that are applied, all of them when there are fewer.
 * A changed up file is no hindrance: its down file undoes it. Returns how many things speak against
 * running them, each a line on errors. */
int plan_down(struct plan *p, int64_t how_many, FILE *errors) __attribute__((warn_unused_result));

/* Frees what p holds. A zeroed plan is fine. */
void plan_fini(struct plan *p);

#endif
