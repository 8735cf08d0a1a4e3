/* unit.h - what a unit is made of; for pool.c and unit.c only. */
#ifndef ACTORS_STORE_UNIT_H
#define ACTORS_STORE_UNIT_H

#include "actors/store/pool.h"
#include "base/arena.h"

struct unit_statement {
	const struct sql *sql;
	const char *params[STATEMENT_PARAMS_MAX];
	int param_count;
};

struct unit {
	struct unit *next; /* in the pool's queue */
	struct pool *pool;
	struct actor_call *call;
	unit_done_fn *done;
	unit_failed_fn *failed;
	struct unit_statement statements[UNIT_STATEMENTS_MAX];
	PGresult *results[UNIT_STATEMENTS_MAX];
	size_t count;
	int64_t timeout_ms;	   /* from its submission */
	unsigned attempts;	   /* begun on a connection */
	struct actor_timer *timer; /* its deadline */
	struct arena arena;	   /* parameters that were made for it */
	char *json[UNIT_STATEMENTS_MAX];
	size_t json_count;
	size_t bytes; /* of its parameters made as JSON, which may be large */
	bool spoilt;  /* a parameter could not be taken */
	bool urgent;  /* goes before those that are not */
};

/* Clears the results, before another attempt. */
void unit_clear(struct unit *unit);

/* Frees *unit, clears it. */
void unit_free(struct unit **unit);

#endif
