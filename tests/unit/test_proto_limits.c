/* test_proto_limits.c - one step past any limit of any field is refused, by writers and readers of
 * both formats, and the problem names the field.
 *
 * What does not fit is written with a copy of the record's table whose limits are off.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto_random.h"

static struct field lax_fields[RECORD_FIELDS_MAX + 1];

static const struct field *lax_table(void)
{
	return lax_fields;
}

/* The record with no limits on its own fields. */
static struct record lax(const struct record *record)
{
	struct record copy = *record;
	const struct field *fields = record->fields();
	size_t i = 0;

	for (; fields[i].name != NULL; i++) {
		struct field *f = &lax_fields[i];

		*f = fields[i];
		f->need = OPT;
		if (f->type == FIELD_UUID)
			f->type = FIELD_STR;
		f->min = f->type == FIELD_STR ? 0 : INT64_MIN;
		f->max = INT32_MAX;
		f->item_max = INT32_MAX;
		if (f->type == FIELD_INT || f->type == FIELD_OPT_INT)
			f->max = INT64_MAX;
	}
	lax_fields[i] = fields[i];
	copy.fields = lax_table;
	return copy;
}

static void assert_names(const struct codec_problem *problem, const char *field)
{
	assert_string_equal(problem->field, field);
	assert_true(strlen(problem->message) > 0);
}

static void writers_refuse(const struct record *record, const void *value, const char *field)
{
	struct codec_problem problem = {"untouched", ""};
	void *bytes = NULL;
	size_t len = 0;

	assert_int_equal(codec_pack(record, value, &bytes, &len, &problem), -EINVAL);
	assert_null(bytes);
	assert_names(&problem, field);
	problem = (struct codec_problem){"untouched", ""};
	assert_null(codec_to_json_text(record, value, &problem));
	assert_names(&problem, field);
	assert_null(codec_to_json(record, value, NULL));
}

static void readers_refuse(const struct record *record, const void *value, const char *field)
{
	struct codec_problem problem = {"untouched", ""};
	struct record unlimited = lax(record);
	struct arena arena = test_arena();
	void *back = malloc(record->size);
	void *bytes = NULL;
	char *text;
	size_t len = 0;

	assert_non_null(back);
	assert_int_equal(codec_pack(&unlimited, value, &bytes, &len, NULL), 0);
	assert_int_equal(codec_unpack(record, bytes, len, &arena, back, &problem), -EINVAL);
	assert_names(&problem, field);
	text = codec_to_json_text(&unlimited, value, NULL);
	assert_non_null(text);
	problem = (struct codec_problem){"untouched", ""};
	assert_int_equal(codec_from_json_text(record, text, strlen(text), &arena, back, &problem),
			 -EINVAL);
	assert_names(&problem, field);
	free(text);
	free(bytes);
	free(back);
	arena_fini(&arena);
}

static void all_refuse(const struct record *record, const void *value, const char *field)
{
	writers_refuse(record, value, field);
	readers_refuse(record, value, field);
}

/* --- breaking one field of a record that fits --- */

struct breaking {
	const struct record *record;
	const struct field *field;
	void *value; /* fits but for field */
	struct random *random;
};

static void *place(const struct breaking *b)
{
	return (char *)b->value + b->field->offset;
}

static void break_str(const struct breaking *b)
{
	const char **at = place(b);

	*at = random_text(b->random, (size_t)b->field->max + 1);
	all_refuse(b->record, b->value, b->field->name);
	if (b->field->min > 0) {
		*at = random_text(b->random, (size_t)b->field->min - 1);
		all_refuse(b->record, b->value, b->field->name);
	}
	*at = "caf\xe9";
	writers_refuse(b->record, b->value, b->field->name);
}

static void break_uuid(const struct breaking *b)
{
	static const char *const bad[] = {
		"",
		"0f8fad5bd9cb469fa16570867728950e",
		"0f8fad5b-d9cb-469f-a165-70867728950",
		"0f8fad5b-d9cb-469f-a165-70867728950g",
		"0f8fad5b-d9cb-469f-a165-70867728950e0",
		"0f8fad5bd-9cb-469f-a165-70867728950e",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		*(const char **)place(b) = bad[i];
		all_refuse(b->record, b->value, b->field->name);
	}
}

static void break_json(const struct breaking *b)
{
	size_t len = (size_t)b->field->max + 1;
	char *text = arena_alloc(b->random->arena, len + 1);
	const char **at = place(b);

	assert_non_null(text);
	memset(text, '1', len);
	text[0] = text[len - 1] = '"';
	*at = text;
	all_refuse(b->record, b->value, b->field->name);
}

static void set_int(const struct breaking *b, int64_t number)
{
	if (b->field->type == FIELD_OPT_INT)
		*(struct opt_int *)place(b) = OPT_INT_OF(number);
	else
		*(int64_t *)place(b) = number;
}

static void break_int(const struct breaking *b)
{
	/* A number that is not required and 0 is one that is absent. */
	bool absent_below =
		b->field->type == FIELD_INT && b->field->need != REQ && b->field->min == 1;

	if (b->field->max < INT64_MAX) {
		set_int(b, b->field->max + 1);
		all_refuse(b->record, b->value, b->field->name);
		set_int(b, INT64_MAX);
		all_refuse(b->record, b->value, b->field->name);
	}
	if (!absent_below) {
		/* An absent 0 does not go through the table without limits. */
		set_int(b, b->field->min - 1);
		writers_refuse(b->record, b->value, b->field->name);
	}
	set_int(b, -1 - b->field->max);
	all_refuse(b->record, b->value, b->field->name);
}

static void break_real(const struct breaking *b)
{
	static const double numbers[] = {NAN, INFINITY, -INFINITY};

	for (size_t i = 0; i < 3; i++) {
		*(double *)place(b) = numbers[i];
		writers_refuse(b->record, b->value, b->field->name);
	}
}

static void break_strs(const struct breaking *b)
{
	size_t count = (size_t)b->field->max + 1;
	const char **items = arena_array(b->random->arena, count, sizeof(*items));
	struct strs *at = place(b);
	char path[160];

	assert_non_null(items);
	for (size_t i = 0; i < count; i++)
		items[i] = "x";
	*at = (struct strs){.items = items, .count = count};
	all_refuse(b->record, b->value, b->field->name);

	at->count = 2;
	(void)snprintf(path, sizeof(path), "%s[1]", b->field->name);
	items[1] = random_text(b->random, (size_t)b->field->item_max + 1);
	all_refuse(b->record, b->value, path);
	items[1] = "";
	writers_refuse(b->record, b->value, path);
	items[1] = NULL;
	writers_refuse(b->record, b->value, path);
	items[1] = "\xff";
	writers_refuse(b->record, b->value, path);
}

static bool is_pointer(const struct field *f)
{
	return f->type == FIELD_STR || f->type == FIELD_UUID || f->type == FIELD_JSON ||
	       f->type == FIELD_OBJ;
}

/* The first field that must be there and can be missing: a text, or what is nested. */
static const struct field *missable(const struct record *record)
{
	for (const struct field *f = record->fields(); f->name != NULL; f++) {
		bool pointer = is_pointer(f);

		if (f->need == REQ && pointer)
			return f;
	}
	return NULL;
}

static void break_obj(const struct breaking *b)
{
	const struct field *missing = missable(b->field->record);
	void *nested = arena_alloc(b->random->arena, b->field->record->size);
	char path[160];

	if (missing == NULL)
		return;
	memcpy(place(b), &nested, sizeof(nested));
	(void)snprintf(path, sizeof(path), "%s.%s", b->field->name, missing->name);
	writers_refuse(b->record, b->value, path);
}

static void break_list(const struct breaking *b)
{
	size_t size = b->field->record->size;
	size_t count = (size_t)b->field->max + 1;
	char *items = arena_array(b->random->arena, count, size);
	struct random least = {.kind = RANDOM_MIN, .arena = b->random->arena};
	const struct field *missing = missable(b->field->record);
	struct list list = {.items = items, .count = count};
	char path[160];

	assert_non_null(items);
	random_record(&least, b->field->record, items);
	for (size_t i = 1; i < count; i++)
		memcpy(items + i * size, items, size);
	memcpy(place(b), &list, sizeof(list));
	all_refuse(b->record, b->value, b->field->name);
	if (missing == NULL)
		return;
	list.count = 2;
	memset(items + size, 0, size);
	memcpy(place(b), &list, sizeof(list));
	(void)snprintf(path, sizeof(path), "%s[1].%s", b->field->name, missing->name);
	writers_refuse(b->record, b->value, path);
}

static void break_field(const struct breaking *b)
{
	switch (b->field->type) {
	case FIELD_STR:
		break_str(b);
		break;
	case FIELD_UUID:
		break_uuid(b);
		break;
	case FIELD_JSON:
		break_json(b);
		break;
	case FIELD_INT:
	case FIELD_OPT_INT:
		break_int(b);
		break;
	case FIELD_REAL:
		break_real(b);
		break;
	case FIELD_BOOL: /* has no limits */
		break;
	case FIELD_STRS:
		break_strs(b);
		break;
	case FIELD_OBJ:
		break_obj(b);
		break;
	case FIELD_LIST:
		break_list(b);
		break;
	}
}

/* Calls fn for each field of each record, with a record that fits to break. */
static void for_every_field(void (*fn)(const struct breaking *b))
{
	struct arena arena = test_arena();
	struct random r = {.state = 7, .kind = RANDOM_SMALL, .arena = &arena};

	for (const struct record *const *record = all_records; *record != NULL; record++) {
		for (const struct field *f = (*record)->fields(); f->name != NULL; f++) {
			struct breaking b = {
				.record = *record,
				.field = f,
				.value = arena_alloc(&arena, (*record)->size),
				.random = &r,
			};

			assert_non_null(b.value);
			random_record(&r, *record, b.value);
			fn(&b);
			arena_reset(&arena);
		}
	}
	arena_fini(&arena);
}

static void one_past_each_limit_is_refused_and_named(void **state)
{
	(void)state;
	for_every_field(break_field);
}

static void leave_out(const struct breaking *b)
{
	const struct field *f = b->field;
	bool pointer = is_pointer(f);
	size_t size = f->type == FIELD_STRS || f->type == FIELD_LIST ? sizeof(struct list)
		      : f->type == FIELD_BOOL			     ? sizeof(bool)
								     : sizeof(void *);

	if (f->need != REQ)
		return;
	memset(place(b), 0, size);
	if (pointer)
		writers_refuse(b->record, b->value, f->name);
	readers_refuse(b->record, b->value, f->name);
}

static void what_is_required_and_missing_is_named(void **state)
{
	(void)state;
	for_every_field(leave_out);
}

/* --- a message as a whole --- */

static void a_message_above_the_limit_is_not_written(void **state)
{
	struct codec_problem problem = {"untouched", ""};
	struct arena arena = test_arena();
	size_t len = 8388608;
	char *json = arena_alloc(&arena, len + 1);
	struct event items[2] = {{.topic = "t", .seq = 1, .type = "x"}};
	struct events events = {.events = {.items = items, .count = 2}};
	void *bytes = NULL;

	(void)state;
	assert_non_null(json);
	memset(json, '1', len);
	json[0] = json[len - 1] = '"';
	items[0].payload = json;
	items[1] = items[0];
	assert_int_equal(codec_pack(RECORD_OF(events), &events, &bytes, &len, &problem), -EINVAL);
	assert_null(bytes);
	assert_names(&problem, "");
	arena_fini(&arena);
}

static void a_message_above_the_limit_is_not_read(void **state)
{
	struct arena arena = test_arena();
	size_t len = CODEC_MESSAGE_MAX_BYTES + 1;
	char *bytes = calloc(1, len);
	struct empty value;

	(void)state;
	assert_non_null(bytes);
	bytes[0] = (char)0x80;
	assert_int_equal(codec_unpack(RECORD_OF(empty), bytes, len, &arena, &value, NULL), -EINVAL);
	memset(bytes, ' ', len);
	memcpy(bytes, "{}", 2);
	assert_int_equal(codec_from_json_text(RECORD_OF(empty), bytes, len, &arena, &value, NULL),
			 -EINVAL);
	assert_int_equal(
		codec_from_json_text(RECORD_OF(empty), bytes, len - 1, &arena, &value, NULL), 0);
	free(bytes);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_past_each_limit_is_refused_and_named),
		cmocka_unit_test(what_is_required_and_missing_is_named),
		cmocka_unit_test(a_message_above_the_limit_is_not_written),
		cmocka_unit_test(a_message_above_the_limit_is_not_read),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
