/* rows.c - texts and numbers out of a result of libpq; see rows.h. */
#include "actors/store/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/codec.h"

size_t row_count(const PGresult *result)
{
	return (size_t)PQntuples(result);
}

const char *row_text(const PGresult *result, size_t row, int column)
{
	return PQgetisnull(result, (int)row, column) ? NULL : PQgetvalue(result, (int)row, column);
}

int64_t row_int(const PGresult *result, size_t row, int column)
{
	return row_opt_int(result, row, column).value;
}

struct opt_int row_opt_int(const PGresult *result, size_t row, int column)
{
	const char *text = row_text(result, row, column);

	return text == NULL ? (struct opt_int){0} : OPT_INT_OF(strtoll(text, NULL, 10));
}

double row_real(const PGresult *result, size_t row, int column)
{
	const char *text = row_text(result, row, column);

	return text == NULL ? 0 : strtod(text, NULL);
}

bool row_bool(const PGresult *result, size_t row, int column)
{
	const char *text = row_text(result, row, column);

	return text != NULL && text[0] == 't';
}

const struct search *row_search(const PGresult *result, size_t row, int column, struct arena *arena)
{
	const char *text = row_text(result, row, column);
	struct search *search = arena_alloc(arena, sizeof(*search));
	struct codec_problem problem = {.field = "", .message = "no memory"};

	if (text == NULL || search == NULL)
		return NULL;
	if (codec_from_json_text(RECORD_OF(search), text, strlen(text), arena, search, &problem) <
	    0) {
		log_error("store.search_unreadable", "field=%s problem=\"%s\"", problem.field,
			  problem.message);
		return NULL;
	}
	return search;
}
