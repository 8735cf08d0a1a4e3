/* rows.h - reads the columns of a result's row, by number.
 */
#ifndef ACTORS_STORE_ROWS_H
#define ACTORS_STORE_ROWS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "proto/catalogue.h"

/* In SQL: a timestamptz as milliseconds since 1970, cut and never rounded up, so that nothing seems
 * to have happened later than it did. */
#define SQL_MS(timestamp) "floor(extract(epoch from " timestamp ") * 1000)::bigint"

size_t row_count(const PGresult *result);

/* NULL for null. Borrowed from the result. */
const char *row_text(const PGresult *result, size_t row, int column);

/* 0 for null. */
int64_t row_int(const PGresult *result, size_t row, int column);
struct opt_int row_opt_int(const PGresult *result, size_t row, int column);
double row_real(const PGresult *result, size_t row, int column);
bool row_bool(const PGresult *result, size_t row, int column);

/* Decodes a column that holds a `search` as JSON. NULL when it does not fit the catalogue any more
 * (it is logged) or when the arena is full. Lives in arena. */
const struct search *row_search(const PGresult *result, size_t row, int column,
				struct arena *arena);

#endif
