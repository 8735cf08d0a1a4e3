/* hh_query.h - a search of the catalogue as HH's query string. Pure.
 *
 * The fields of a search have HH's own names, so the string is made by walking the catalogue's
 * table: a parameter that is added there is sent from then on. Equal searches give equal strings
 * (values that are lists are sorted), which is how they are recognised as equal.
 */
#ifndef HH_CLIENT_HH_QUERY_H
#define HH_CLIENT_HH_QUERY_H

#include "base/arena.h"
#include "proto/catalogue.h"

#define HH_DEPTH	2000 /* HH shows no vacancy beyond this one of a search */
#define HH_PER_PAGE_MAX 100

struct hh_query {
	const struct record *record; /* of what `search` is: a record with the fields of a search */
	const void *search;
	const char *order_by;	     /* when the search names none; NULL: HH's own order */
	struct opt_int date_from_ms; /* published since, milliseconds since 1970 */
	int64_t now_ms;		     /* wall clock; needed with date_from_ms */
	int64_t page;
	int64_t per_page;
};

/* Gives "text=...&...&page=0&per_page=100" in arena; NULL when out of memory.
 *
 * date_from is rounded down to five minutes, HH's own grain: the same search of many users a moment
 * apart is then one search. HH takes no period together with it, so the later of the two starts is
 * sent. A currency without a salary is left out, and so is an empty text. */
const char *hh_query_build(const struct hh_query *query, struct arena *arena);

/* Whether HH shows that page. */
bool hh_query_within_depth(int64_t page, int64_t per_page);

#endif
