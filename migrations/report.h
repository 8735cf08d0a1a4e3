/* report.h - what the runner says: a line as each thing happens, or one JSON object at the end. */
#ifndef MIGRATIONS_REPORT_H
#define MIGRATIONS_REPORT_H

#include <jansson.h>

#include "base/exit_codes.h"
#include "migrations/plan.h"

struct report {
	bool json;
	bool line_open;	   /* a step's line lacks its duration */
	FILE *errors;	   /* complaints, a line each, until report_end() */
	char *errors_text; /* what errors is made of */
	size_t errors_size;
	json_t *body; /* what --json prints */
	json_t *steps;
};

/* Returns 0 or -ENOMEM. End it with report_end() in either case. */
int report_init(struct report *r, bool json) __attribute__((warn_unused_result));

/* Steps follow, perhaps none. */
void report_steps(struct report *r);

/* A step begins, and has ended well. */
void report_step_begins(struct report *r, enum migration_direction direction,
			const struct migration *m);
void report_step_ended(struct report *r, enum migration_direction direction,
		       const struct migration *m, int64_t duration_ms);

/* A line for people, at once; to standard error with --json, which has its object to print. */
void report_note(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* All rows of p, with their states. */
void report_rows(struct report *r, const struct plan *p);

/* Puts a text, or a number, beside the steps of the JSON object. Nothing without --json. */
void report_text(struct report *r, const char *key, const char *value);
void report_number(struct report *r, const char *key, int64_t value);

/* Prints the complaints, and the JSON object. Returns code, as what main() returns. */
int report_end(struct report *r, int code);

#endif
