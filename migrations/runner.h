/* runner.h - the commands of the migration runner, from the command line's words to the database.
 */
#ifndef MIGRATIONS_RUNNER_H
#define MIGRATIONS_RUNNER_H

#include "migrations/report.h"

struct runner_options {
	const char *dir;  /* the folder of the SQL files */
	const char *name; /* of the new migration */
	int64_t count;	  /* how many to roll back */
	bool status;	  /* only look */
	bool yes;	  /* do not ask */
};

/* Each returns an exit code, with the reasons for one that is not EXIT_OK on r->errors. */
int runner_migrate(const struct runner_options *o, struct report *r);
int runner_rollback(const struct runner_options *o, struct report *r);
int runner_reset(const struct runner_options *o, struct report *r);
int runner_new(const struct runner_options *o, struct report *r);

#endif
