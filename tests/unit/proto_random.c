/* proto_random.c - random records; see proto_random.h. */
#include "proto_random.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"
#include "proto/field.h"

/* xorshift64*: the same everywhere, so a failure can be had again. */
static uint64_t next(struct random *r)
{
	uint64_t x = r->state == 0 ? 1 : r->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->state = x;
	return x * UINT64_C(2685821657736338717);
}

uint64_t random_below(struct random *r, uint64_t n)
{
	return (next(r) >> 8) % n;
}

static bool flip(struct random *r)
{
	return random_below(r, 2) == 1;
}

struct arena test_arena(void)
{
	struct arena arena;

	arena_init(&arena, (size_t)256 * 1024 * 1024);
	return arena;
}

static void *need(void *p)
{
	assert_non_null(p);
	return p;
}

const char *random_text(struct random *r, size_t chars)
{
	static const char *const alphabet[] = {
		"a",	    "Z",   "7",	     " ",      "\"",	 "\\",	       "/", "\n",
		"\t",	    "<",   "\x01",   "\x7f",   "ж",	 "Я",	       "ё", "é",
		"\xc2\x80", "₽", "\u2028", "\uffff", "\ud7ff", "\U00010000", "😀", "\U0010ffff",
	};
	size_t kinds = sizeof(alphabet) / sizeof(alphabet[0]);
	char *text = need(arena_alloc(r->arena, chars * 4 + 1));
	char *end = text;

	for (size_t i = 0; i < chars; i++) {
		const char *c = alphabet[random_below(r, kinds)];

		if (r->kind == RANDOM_MAX)
			c = "😀"; /* of the most bytes */
		memcpy(end, c, strlen(c));
		end += strlen(c);
	}
	return text;
}

/* In lower case, as a decoded one is. */
static const char *random_uuid(struct random *r)
{
	char *text = need(arena_alloc(r->arena, UUID_SIZE));

	for (size_t i = 0; i < UUID_CHARS; i++)
		text[i] = i == 8 || i == 13 || i == 18 || i == 23
				  ? '-'
				  : "0123456789abcdef"[random_below(r, 16)];
	return text;
}

static int64_t lesser(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A size between min and max that suits the kind; cap bounds what is only for show. */
static size_t random_size(struct random *r, int64_t min, int64_t max, int64_t cap)
{
	int64_t low = min;
	int64_t high = lesser(max, min + cap);

	switch (r->kind) {
	case RANDOM_MIN:
		return (size_t)min;
	case RANDOM_MAX:
		return (size_t)max;
	case RANDOM_SMALL:
		low = min == 0 ? lesser(1, max) : min;
		high = lesser(max, low + 3);
		break;
	case RANDOM_ANY:
		break;
	}
	return (size_t)low + (size_t)random_below(r, (uint64_t)(high - low) + 1);
}

static int64_t random_int(struct random *r, int64_t min, int64_t max)
{
	uint64_t span = (uint64_t)max - (uint64_t)min;

	if (r->kind == RANDOM_MIN)
		return min;
	if (r->kind == RANDOM_MAX)
		return max;
	/* Numbers of any length, as many short as long ones. */
	span = span == 0 ? 0 : next(r) % span + 1;
	span >>= random_below(r, 64);
	/* What is 0 and optional would count as absent, where RANDOM_SMALL has everything. */
	if (r->kind == RANDOM_SMALL && min == 0 && span == 0 && max > 0)
		span = 1;
	return min + (int64_t)span;
}

/* --- JSON --- */

static json_t *random_json_value(struct random *r, unsigned depth)
{
	json_t *value;
	size_t count = random_below(r, 4);

	switch (random_below(r, depth == 0 ? 6 : 8)) {
	case 0:
		return json_null();
	case 1:
		return json_boolean(flip(r));
	case 2:
		return json_integer((json_int_t)next(r));
	case 3:
		return json_real((double)(int64_t)next(r) / 1024.0);
	case 4:
	case 5:
		return json_string(random_text(r, random_below(r, 12)));
	case 6:
		value = json_array();
		for (size_t i = 0; i < count; i++)
			json_array_append_new(value, random_json_value(r, depth - 1));
		return value;
	default:
		value = json_object();
		for (size_t i = 0; i < count; i++)
			json_object_set_new(value, random_text(r, 1 + random_below(r, 5)),
					    random_json_value(r, depth - 1));
		return value;
	}
}

/* A JSON text of exactly bytes bytes: a string. */
static const char *longest_json(struct random *r, size_t bytes)
{
	char *text = need(arena_alloc(r->arena, bytes + 1));

	memset(text, 'j', bytes);
	text[0] = '"';
	text[bytes - 1] = '"';
	return text;
}

static const char *random_json(struct random *r, size_t max)
{
	json_t *value;
	char *dumped;
	const char *text;

	if (r->kind == RANDOM_MAX)
		return longest_json(r, max);
	if (r->kind == RANDOM_MIN)
		return "0";
	do {
		value = random_json_value(r, 3);
	} while (json_is_null(
		value)); /* would count as absent; null itself needs no json_decref() */
	dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	assert_non_null(dumped);
	text = strlen(dumped) <= max ? need(arena_strdup(r->arena, dumped)) : "[]";
	free(dumped);
	json_decref(value);
	return text;
}

/* --- records --- */

static void *place(const struct field *field, void *value)
{
	return (char *)value + field->offset;
}

static void random_strs(struct random *r, const struct field *field, void *value)
{
	size_t count = random_size(r, 0, field->max, 8);
	const char **items = need(arena_array(r->arena, count, sizeof(*items)));

	for (size_t i = 0; i < count; i++)
		items[i] = random_text(r, random_size(r, 1, field->item_max, 40));
	*(struct strs *)place(field, value) = (struct strs){.items = items, .count = count};
}

static void random_list(struct random *r, const struct field *field, void *value)
{
	size_t count = random_size(r, 0, field->max, 6);
	struct list list = {.count = count};
	char *items = need(arena_array(r->arena, count, field->record->size));
	enum random_kind kind = r->kind;

	for (size_t i = 0; i < count; i++) {
		random_record(r, field->record, items + i * field->record->size);
		if (kind == RANDOM_MAX)
			r->kind = RANDOM_MIN;
	}
	r->kind = kind;
	list.items = items;
	memcpy(place(field, value), &list, sizeof(list));
}

static void random_obj(struct random *r, const struct field *field, void *value)
{
	void *nested = need(arena_alloc(r->arena, field->record->size));

	random_record(r, field->record, nested);
	memcpy(place(field, value), &nested, sizeof(nested));
}

static void random_field(struct random *r, const struct field *field, void *value)
{
	void *at = place(field, value);

	switch (field->type) {
	case FIELD_STR:
		*(const char **)at = random_text(r, random_size(r, field->min, field->max, 300));
		break;
	case FIELD_UUID:
		*(const char **)at = random_uuid(r);
		break;
	case FIELD_JSON:
		*(const char **)at = random_json(r, (size_t)field->max);
		break;
	case FIELD_INT:
		*(int64_t *)at = random_int(r, field->min, field->max);
		break;
	case FIELD_OPT_INT:
		*(struct opt_int *)at = OPT_INT_OF(random_int(r, field->min, field->max));
		break;
	case FIELD_REAL:
		*(double *)at = (double)(int64_t)next(r) / (double)(1 + random_below(r, 1000));
		break;
	case FIELD_BOOL:
		*(bool *)at = r->kind != RANDOM_MIN && (r->kind != RANDOM_ANY || flip(r));
		break;
	case FIELD_STRS:
		random_strs(r, field, value);
		break;
	case FIELD_OBJ:
		random_obj(r, field, value);
		break;
	case FIELD_LIST:
		random_list(r, field, value);
		break;
	}
}

void random_record(struct random *r, const struct record *record, void *value)
{
	memset(value, 0, record->size);
	for (const struct field *f = record->fields(); f->name != NULL; f++) {
		bool absent = r->kind == RANDOM_MIN || (r->kind == RANDOM_ANY && flip(r));

		if (f->need == REQ || !absent)
			random_field(r, f, value);
	}
}

/* --- comparing --- */

static void assert_texts_equal(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a != NULL)
		assert_string_equal(a, b);
}

static void assert_strs_equal(const struct strs *a, const struct strs *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		assert_string_equal(a->items[i], b->items[i]);
}

static void assert_lists_equal(const struct record *record, struct list a, struct list b)
{
	assert_int_equal(a.count, b.count);
	for (size_t i = 0; i < a.count; i++)
		assert_records_equal(record, (const char *)a.items + i * record->size,
				     (const char *)b.items + i * record->size);
}

static void assert_objs_equal(const struct record *record, const void *a, const void *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a != NULL)
		assert_records_equal(record, a, b);
}

static void assert_fields_equal(const struct field *f, const void *a, const void *b)
{
	switch (f->type) {
	case FIELD_STR:
	case FIELD_UUID:
	case FIELD_JSON:
		assert_texts_equal(field_text(f, a), field_text(f, b));
		break;
	case FIELD_INT:
	case FIELD_OPT_INT:
		assert_int_equal(field_is_absent(f, a), field_is_absent(f, b));
		assert_true(field_int(f, a) == field_int(f, b));
		break;
	case FIELD_REAL:
		assert_memory_equal((const char *)a + f->offset, (const char *)b + f->offset,
				    sizeof(double));
		break;
	case FIELD_BOOL:
		assert_int_equal(field_bool(f, a), field_bool(f, b));
		break;
	case FIELD_STRS:
		assert_strs_equal(field_strs(f, a), field_strs(f, b));
		break;
	case FIELD_OBJ:
		assert_objs_equal(f->record, field_obj(f, a), field_obj(f, b));
		break;
	case FIELD_LIST:
		assert_lists_equal(f->record, field_list(f, a), field_list(f, b));
		break;
	}
}

void assert_records_equal(const struct record *record, const void *a, const void *b)
{
	for (const struct field *f = record->fields(); f->name != NULL; f++)
		assert_fields_equal(f, a, b);
}
