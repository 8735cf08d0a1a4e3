/* hh_query.c - walks the catalogue's fields and writes each as a parameter; see hh_query.h. */
#include "actors/hh_client/hh_query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GRAIN_MS (5 * 60 * (int64_t)1000)
#define DAY_MS	 (24 * 60 * 60 * (int64_t)1000)

/* The string under construction. It moves through the arena as it grows. */
struct text {
	struct arena *arena;
	char *bytes;
	size_t len;
	size_t room;
	bool failed;
};

static void put(struct text *t, const char *s, size_t len)
{
	if (t->failed)
		return;
	if (t->len + len + 1 > t->room) {
		size_t room = (t->len + len + 1) * 2;
		char *bytes = arena_alloc(t->arena, room);

		if (bytes == NULL) {
			t->failed = true;
			return;
		}
		if (t->len > 0)
			memcpy(bytes, t->bytes, t->len);
		t->bytes = bytes;
		t->room = room;
	}
	memcpy(t->bytes + t->len, s, len);
	t->len += len;
	t->bytes[t->len] = '\0';
}

/* RFC 3986: all but the unreserved characters, '+' included. Not libcurl's, which wants a handle
 * and an allocation for each value. */
static void put_escaped(struct text *t, const char *s)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~";

	while (*s != '\0') {
		size_t run = strspn(s, plain);
		char code[4];

		put(t, s, run);
		s += run;
		if (*s == '\0')
			return;
		(void)snprintf(code, sizeof(code), "%%%02X", (unsigned)(unsigned char)*s);
		put(t, code, 3);
		s++;
	}
}

static void put_pair(struct text *t, const char *name, const char *value)
{
	if (t->len > 0)
		put(t, "&", 1);
	put(t, name, strlen(name));
	put(t, "=", 1);
	put_escaped(t, value);
}

static void put_int(struct text *t, const char *name, int64_t value)
{
	char digits[24];

	(void)snprintf(digits, sizeof(digits), "%" PRId64, value);
	put_pair(t, name, digits);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_list(struct text *t, const char *name, const struct strs *values)
{
	const char **sorted = arena_array(t->arena, values->count, sizeof(*sorted));

	if (sorted == NULL) {
		t->failed = true;
		return;
	}
	for (size_t i = 0; i < values->count; i++)
		sorted[i] = values->items[i];
	qsort(sorted, values->count, sizeof(*sorted), compare_texts);
	for (size_t i = 0; i < values->count; i++)
		if (i == 0 || strcmp(sorted[i - 1], sorted[i]) != 0)
			put_pair(t, name, sorted[i]);
}

/* The field called name, NULL when the record has none. */
static const struct field *field_of(const struct record *record, const char *name)
{
	for (const struct field *f = record->fields(); f->name != NULL; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static const void *value_at(const struct hh_query *q, const char *name)
{
	const struct field *f = field_of(q->record, name);

	return f == NULL ? NULL : (const char *)q->search + f->offset;
}

static void put_field(struct text *t, const struct field *f, const void *at)
{
	const char *text;

	if (at == NULL)
		return;
	switch (f->type) {
	case FIELD_STR:
		text = *(const char *const *)at;
		if (text != NULL && text[0] != '\0')
			put_pair(t, f->name, text);
		break;
	case FIELD_STRS:
		put_list(t, f->name, at);
		break;
	case FIELD_OPT_INT:
		if (((const struct opt_int *)at)->set)
			put_int(t, f->name, ((const struct opt_int *)at)->value);
		break;
	case FIELD_BOOL:
		if (*(const bool *)at)
			put_pair(t, f->name, "true");
		break;
	default: /* a search has no others */
		break;
	}
}

static void put_date_from(struct text *t, const struct hh_query *q)
{
	const struct opt_int *period = value_at(q, "period");
	int64_t from_ms = q->date_from_ms.value;
	struct tm tm;
	time_t seconds;
	char date[40];

	if (period != NULL && period->set && from_ms < q->now_ms - period->value * DAY_MS)
		from_ms = q->now_ms - period->value * DAY_MS;
	if (from_ms < 0)
		from_ms = 0;
	seconds = (time_t)(from_ms / GRAIN_MS * GRAIN_MS / 1000);
	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S+0000", &tm) == 0)
		return; /* the year doesn't fit: no date of a vacancy */
	put_pair(t, "date_from", date);
}

/* What HH takes only together with, or only without, something else. */
static bool is_sent(const struct hh_query *q, const struct field *f)
{
	const struct opt_int *salary = value_at(q, "salary");

	if (strcmp(f->name, "period") == 0)
		return !q->date_from_ms.set;
	if (strcmp(f->name, "currency") == 0)
		return salary != NULL && salary->set;
	return true;
}

const char *hh_query_build(const struct hh_query *query, struct arena *arena)
{
	struct text t = {.arena = arena};
	const char *const *order = value_at(query, "order_by");

	for (const struct field *f = RECORD_OF(search)->fields(); f->name != NULL; f++)
		if (is_sent(query, f))
			put_field(&t, f, value_at(query, f->name));
	if (query->order_by != NULL && (order == NULL || *order == NULL))
		put_pair(&t, "order_by", query->order_by);
	if (query->date_from_ms.set)
		put_date_from(&t, query);
	put_int(&t, "page", query->page);
	put_int(&t, "per_page", query->per_page);
	return t.failed ? NULL : t.bytes;
}

bool hh_query_within_depth(int64_t page, int64_t per_page)
{
	return (page + 1) * per_page <= HH_DEPTH;
}
