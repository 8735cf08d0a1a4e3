/* unit.c - a unit of work and its parameters. See pool.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "actors/store/unit.h"
#include "base/log.h"
#include "proto/codec.h"

/* Numbers only: texts are borrowed and JSON has its own memory. */
#define ARENA_BYTES 4096

void unit_statement(struct unit *unit, const struct sql *sql)
{
	if (unit->count == UNIT_STATEMENTS_MAX)
		panic("unit.too_long", "statement=%s", sql->name);
	unit->statements[unit->count++].sql = sql;
}

void unit_text(struct unit *unit, const char *value)
{
	struct unit_statement *s = &unit->statements[unit->count - 1];

	if (s->param_count == STATEMENT_PARAMS_MAX)
		panic("unit.too_many_parameters", "statement=%s", s->sql->name);
	s->params[s->param_count++] = value;
}

void unit_int(struct unit *unit, int64_t value)
{
	const char *text = arena_printf(&unit->arena, "%" PRId64, value);

	if (text == NULL)
		unit->spoilt = true;
	unit_text(unit, text);
}

void unit_opt_int(struct unit *unit, struct opt_int value)
{
	if (value.set)
		unit_int(unit, value.value);
	else
		unit_text(unit, NULL);
}

void unit_bool(struct unit *unit, bool value)
{
	unit_text(unit, value ? "true" : "false");
}

void unit_json(struct unit *unit, const struct record *record, const void *value)
{
	char *text = NULL;

	if (unit->json_count < UNIT_STATEMENTS_MAX)
		text = codec_to_json_text(record, value, NULL);
	if (text == NULL) {
		unit->spoilt = true;
	} else {
		unit->json[unit->json_count++] = text;
		unit->bytes += strlen(text);
	}
	unit_text(unit, text);
}

struct actor_call *unit_call(const struct unit *unit)
{
	return unit->call;
}

const PGresult *unit_result(const struct unit *unit, size_t statement)
{
	return unit->results[statement];
}

struct unit *unit_new(struct pool *pool, struct actor_call *call, int64_t timeout_ms,
		      unit_done_fn *done, unit_failed_fn *failed)
{
	struct unit *unit = calloc(1, sizeof(*unit));

	if (unit == NULL)
		return NULL;
	unit->pool = pool;
	unit->call = call;
	unit->done = done;
	unit->failed = failed;
	unit->timeout_ms = timeout_ms;
	arena_init(&unit->arena, ARENA_BYTES);
	return unit;
}

void unit_clear(struct unit *unit)
{
	for (size_t i = 0; i < UNIT_STATEMENTS_MAX; i++) {
		PQclear(unit->results[i]);
		unit->results[i] = NULL;
	}
}

void unit_free(struct unit **unit)
{
	struct unit *u = *unit;

	if (u == NULL)
		return;
	*unit = NULL;
	unit_clear(u);
	actor_timer_stop(&u->timer);
	for (size_t i = 0; i < u->json_count; i++)
		free(u->json[i]);
	arena_fini(&u->arena);
	free(u);
}
