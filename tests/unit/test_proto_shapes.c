/* test_proto_shapes.c - for each field of each record: what a reader says to a value of another
 * type, to null, to nothing, to the same field twice, and to fields that it does not know.
 */
#include <errno.h>
#include <jansson.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto_random.h"

/* The types of a message's values, in the one or the other format. */
enum shape {
	SHAPE_NULL,
	SHAPE_BOOL,
	SHAPE_WHOLE,
	SHAPE_REAL, /* with a fraction */
	SHAPE_TEXT,
	SHAPE_LIST, /* of one null */
	SHAPE_MAP,  /* empty */
	SHAPE_BYTES,
	SHAPE_EXTENSION,
	SHAPE_COUNT
};

/* What a reader does with that shape in a field of that type. */
enum verdict { MISFIT, MISFIT_IN_ITEM, MAYBE };

static enum verdict verdict(enum field_type type, enum shape shape, bool json)
{
	switch (type) {
	case FIELD_STR:
	case FIELD_UUID:
		return shape == SHAPE_TEXT ? MAYBE : MISFIT;
	case FIELD_JSON:
		return shape == SHAPE_TEXT || json ? MAYBE : MISFIT;
	case FIELD_INT:
	case FIELD_OPT_INT:
		return shape == SHAPE_WHOLE ? MAYBE : MISFIT;
	case FIELD_REAL:
		return shape == SHAPE_WHOLE || shape == SHAPE_REAL ? MAYBE : MISFIT;
	case FIELD_BOOL:
		return shape == SHAPE_BOOL ? MAYBE : MISFIT;
	case FIELD_STRS:
		return shape == SHAPE_TEXT ? MAYBE : shape == SHAPE_LIST ? MISFIT_IN_ITEM : MISFIT;
	case FIELD_OBJ:
		return shape == SHAPE_MAP ? MAYBE : MISFIT;
	case FIELD_LIST:
		return shape == SHAPE_LIST ? MISFIT_IN_ITEM : MISFIT;
	}
	return MAYBE;
}

static void check(int rc, const struct codec_problem *problem, const struct field *field,
		  enum verdict expected)
{
	char path[160];

	if (expected == MAYBE)
		return;
	(void)snprintf(path, sizeof(path), "%s%s", field->name,
		       expected == MISFIT_IN_ITEM ? "[0]" : "");
	assert_int_equal(rc, -EINVAL);
	assert_string_equal(problem->field, path);
	assert_true(strlen(problem->message) > 0);
}

/* --- msgpack: a message that fits, unpacked by msgpack-c, packed again with a change --- */

struct change {
	const char *field;
	enum shape shape;
	bool leave_out;
	bool twice;
	bool add_unknown;
};

static void pack_shape(msgpack_packer *pk, enum shape shape)
{
	switch (shape) {
	case SHAPE_NULL:
	case SHAPE_COUNT:
		msgpack_pack_nil(pk);
		break;
	case SHAPE_BOOL:
		msgpack_pack_true(pk);
		break;
	case SHAPE_WHOLE:
		msgpack_pack_int(pk, 3);
		break;
	case SHAPE_REAL:
		msgpack_pack_double(pk, 2.5);
		break;
	case SHAPE_TEXT:
		msgpack_pack_str_with_body(pk, "x", 1);
		break;
	case SHAPE_LIST:
		msgpack_pack_array(pk, 1);
		msgpack_pack_nil(pk);
		break;
	case SHAPE_MAP:
		msgpack_pack_map(pk, 0);
		break;
	case SHAPE_BYTES:
		msgpack_pack_bin_with_body(pk, "x", 1);
		break;
	case SHAPE_EXTENSION:
		msgpack_pack_ext_with_body(pk, "12345", 5, 1);
		break;
	}
}

/* Something of every kind under names that no record has, one of them as long as a known one. */
static uint32_t pack_unknown(msgpack_packer *pk)
{
	for (int shape = 0; shape < SHAPE_COUNT; shape++) {
		msgpack_pack_str_with_body(pk, "?", 1);
		pack_shape(pk, (enum shape)shape);
	}
	msgpack_pack_str_with_body(pk, "???????", 7);
	msgpack_pack_map(pk, 2);
	pack_shape(pk, SHAPE_LIST);
	pack_shape(pk, SHAPE_EXTENSION);
	pack_shape(pk, SHAPE_TEXT);
	msgpack_pack_array(pk, 3);
	pack_shape(pk, SHAPE_MAP);
	pack_shape(pk, SHAPE_LIST);
	msgpack_pack_uint64(pk, UINT64_MAX);
	return SHAPE_COUNT + 1;
}

/* Decodes the message bytes with that change. */
static int unpack_changed(const struct record *record, const void *bytes, size_t len,
			  const struct change *change, struct arena *arena, void *back,
			  struct codec_problem *problem)
{
	msgpack_unpacked unpacked;
	msgpack_sbuffer pairs;
	msgpack_sbuffer whole;
	msgpack_packer pk;
	uint32_t count = 0;
	int rc;

	msgpack_unpacked_init(&unpacked);
	msgpack_sbuffer_init(&pairs);
	msgpack_sbuffer_init(&whole);
	assert_int_equal(msgpack_unpack_next(&unpacked, bytes, len, NULL), MSGPACK_UNPACK_SUCCESS);
	msgpack_packer_init(&pk, &pairs, msgpack_sbuffer_write);
	if (change->add_unknown)
		count += pack_unknown(&pk);
	for (uint32_t i = 0; i < unpacked.data.via.map.size; i++) {
		const msgpack_object_kv *kv = &unpacked.data.via.map.ptr[i];
		bool changed =
			change->field != NULL && strlen(change->field) == kv->key.via.str.size &&
			memcmp(change->field, kv->key.via.str.ptr, kv->key.via.str.size) == 0;

		if (changed && change->leave_out)
			continue;
		for (int n = changed && change->twice ? 2 : 1; n > 0; n--, count++) {
			msgpack_pack_object(&pk, kv->key);
			if (changed && !change->twice)
				pack_shape(&pk, change->shape);
			else
				msgpack_pack_object(&pk, kv->val);
		}
		if (change->add_unknown)
			count += pack_unknown(&pk);
	}
	msgpack_packer_init(&pk, &whole, msgpack_sbuffer_write);
	msgpack_pack_map(&pk, count);
	assert_int_equal(
		msgpack_sbuffer_write(&whole, pairs.data == NULL ? "" : pairs.data, pairs.size), 0);
	rc = codec_unpack(record, whole.data, whole.size, arena, back, problem);
	msgpack_sbuffer_destroy(&whole);
	msgpack_sbuffer_destroy(&pairs);
	msgpack_unpacked_destroy(&unpacked);
	return rc;
}

/* --- the same for JSON --- */

static json_t *json_shape(enum shape shape)
{
	switch (shape) {
	case SHAPE_BOOL:
		return json_true();
	case SHAPE_WHOLE:
		return json_integer(3);
	case SHAPE_REAL:
		return json_real(2.5);
	case SHAPE_TEXT:
		return json_string("x");
	case SHAPE_LIST:
		return json_pack("[n]");
	case SHAPE_MAP:
		return json_object();
	default:
		return json_null();
	}
}

static int from_json_changed(const struct record *record, const void *value,
			     const struct change *change, struct arena *arena, void *back,
			     struct codec_problem *problem)
{
	json_t *object = codec_to_json(record, value, NULL);
	int rc;

	assert_non_null(object);
	if (change->leave_out)
		json_object_del(object, change->field);
	else if (change->field != NULL)
		json_object_set_new(object, change->field, json_shape(change->shape));
	for (int shape = 0; change->add_unknown && shape < SHAPE_COUNT; shape++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "?%d", shape);
		json_object_set_new(object, name, json_shape((enum shape)shape));
	}
	rc = codec_from_json(record, object, arena, back, problem);
	json_decref(object);
	return rc;
}

/* --- for every field --- */

struct subject {
	const struct record *record;
	void *value; /* fits, and has all fields */
	void *back;
	const void *bytes;
	size_t len;
	struct arena arena;
};

static int by_msgpack(struct subject *s, const struct change *change, struct codec_problem *problem)
{
	*problem = (struct codec_problem){"untouched", ""};
	return unpack_changed(s->record, s->bytes, s->len, change, &s->arena, s->back, problem);
}

static int by_json(struct subject *s, const struct change *change, struct codec_problem *problem)
{
	*problem = (struct codec_problem){"untouched", ""};
	return from_json_changed(s->record, s->value, change, &s->arena, s->back, problem);
}

static void for_every_record(void (*fn)(struct subject *s))
{
	struct arena arena = test_arena();
	struct random r = {.state = 3, .kind = RANDOM_SMALL, .arena = &arena};

	for (const struct record *const *record = all_records; *record != NULL; record++) {
		struct subject s = {.record = *record, .arena = test_arena()};
		void *bytes = NULL;

		s.value = arena_alloc(&arena, (*record)->size);
		s.back = arena_alloc(&arena, (*record)->size);
		assert_non_null(s.value);
		assert_non_null(s.back);
		random_record(&r, *record, s.value);
		assert_int_equal(codec_pack(*record, s.value, &bytes, &s.len, NULL), 0);
		s.bytes = bytes;
		fn(&s);
		free(bytes);
		arena_fini(&s.arena);
		arena_reset(&arena);
	}
	arena_fini(&arena);
}

static void try_all_shapes(struct subject *s)
{
	struct codec_problem problem;

	for (const struct field *f = s->record->fields(); f->name != NULL; f++) {
		for (int shape = SHAPE_BOOL; shape < SHAPE_COUNT; shape++) {
			struct change change = {.field = f->name, .shape = (enum shape)shape};
			int rc = by_msgpack(s, &change, &problem);

			check(rc, &problem, f, verdict(f->type, change.shape, false));
			if (shape == SHAPE_BYTES || shape == SHAPE_EXTENSION)
				continue;
			rc = by_json(s, &change, &problem);
			check(rc, &problem, f, verdict(f->type, change.shape, true));
		}
	}
}

static void a_value_of_another_type_is_refused_and_named(void **state)
{
	(void)state;
	for_every_record(try_all_shapes);
}

static void try_absence(struct subject *s)
{
	for (const struct field *f = s->record->fields(); f->name != NULL; f++) {
		const struct change changes[] = {
			{.field = f->name, .shape = SHAPE_NULL},
			{.field = f->name, .leave_out = true},
		};

		for (size_t i = 0; i < 4; i++) {
			struct codec_problem problem;
			const struct change *change = &changes[i / 2];
			int rc = i % 2 == 0 ? by_msgpack(s, change, &problem)
					    : by_json(s, change, &problem);

			if (f->need == REQ) {
				check(rc, &problem, f, MISFIT);
				assert_string_equal(problem.message, "is required");
			} else {
				assert_int_equal(rc, 0);
			}
		}
	}
}

static void null_and_nothing_are_the_same(void **state)
{
	(void)state;
	for_every_record(try_absence);
}

static void try_twice(struct subject *s)
{
	for (const struct field *f = s->record->fields(); f->name != NULL; f++) {
		struct change change = {.field = f->name, .twice = true};
		struct codec_problem problem;

		check(by_msgpack(s, &change, &problem), &problem, f, MISFIT);
		assert_string_equal(problem.message, "appears twice");
	}
}

static void the_same_field_twice_is_refused(void **state)
{
	(void)state;
	for_every_record(try_twice);
}

static void try_unknown(struct subject *s)
{
	struct change change = {.add_unknown = true};
	struct codec_problem problem;

	assert_int_equal(by_msgpack(s, &change, &problem), 0);
	assert_records_equal(s->record, s->value, s->back);
	assert_int_equal(by_json(s, &change, &problem), 0);
	assert_records_equal(s->record, s->value, s->back);
}

static void unknown_fields_are_ignored(void **state)
{
	(void)state;
	for_every_record(try_unknown);
}

/* --- numbers, and lists of texts --- */

/* The catalogue has no negative numbers yet, so this record stands in. */
struct numbers {
	int64_t whole;
	double real;
};

static const struct field *numbers_fields(void)
{
	static const struct field fields[] = {
		{
			.name = "whole",
			.name_len = 5,
			.type = FIELD_INT,
			.need = OPT,
			.offset = offsetof(struct numbers, whole),
			.min = INT64_MIN,
			.max = INT64_MAX,
		},
		{
			.name = "real",
			.name_len = 4,
			.type = FIELD_REAL,
			.need = OPT,
			.offset = offsetof(struct numbers, real),
		},
		{.name = NULL},
	};

	return fields;
}

static const struct record numbers_record = {
	.name = "numbers",
	.size = sizeof(struct numbers),
	.fields = numbers_fields,
};

/* Reads the map of one pair: field, which begins with its msgpack length, and number. */
static int read_number(const char *field, const char *number, size_t len, struct numbers *out,
		       struct codec_problem *problem)
{
	struct arena arena = test_arena();
	char bytes[32] = "\x81";
	size_t front = 1 + strlen(field);
	int rc;

	memcpy(bytes + 1, field, strlen(field));
	memcpy(bytes + front, number, len);
	*problem = (struct codec_problem){"", ""};
	rc = codec_unpack(&numbers_record, bytes, front + len, &arena, out, problem);
	arena_fini(&arena);
	return rc;
}

#define NUMBER(bytes) (bytes), sizeof(bytes) - 1

static void every_form_of_a_whole_number_is_read(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		int64_t whole;
	} numbers[] = {
		{NUMBER("\x00"), 0},
		{NUMBER("\x7f"), 127},
		{NUMBER("\xff"), -1},
		{NUMBER("\xe0"), -32},
		{NUMBER("\xcc\xff"), 255},
		{NUMBER("\xcd\xff\xfe"), 65534},
		{NUMBER("\xce\xff\xff\xff\xfd"), 4294967293},
		{NUMBER("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX},
		{NUMBER("\xd0\x7f"), 127},
		{NUMBER("\xd0\x80"), -128},
		{NUMBER("\xd1\x7f\xff"), 32767},
		{NUMBER("\xd1\x80\x01"), -32767},
		{NUMBER("\xd2\x7f\xff\xff\xff"), 2147483647},
		{NUMBER("\xd2\xff\xff\xff\xfe"), -2},
		{NUMBER("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX},
		{NUMBER("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), INT64_MIN},
		{NUMBER("\xca\x41\x40\x00\x00"), 12},
		{NUMBER("\xcb\x40\x28\x00\x00\x00\x00\x00\x00"), 12},
		{NUMBER("\xcb\xc0\x28\x00\x00\x00\x00\x00\x00"), -12},
		{NUMBER("\xcb\x43\xdf\xff\xff\xff\xff\xff\xff"), INT64_MAX - 1023},
		{NUMBER("\xcb\xc3\xe0\x00\x00\x00\x00\x00\x00"), INT64_MIN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct codec_problem problem;
		struct numbers out;
		double difference;

		assert_int_equal(
			read_number("\xa5whole", numbers[i].bytes, numbers[i].len, &out, &problem),
			0);
		assert_true(out.whole == numbers[i].whole);
		assert_int_equal(
			read_number("\xa4real", numbers[i].bytes, numbers[i].len, &out, &problem),
			0);
		difference = out.real - (double)numbers[i].whole;
		assert_true(difference > -0.5 && difference < 0.5);
	}
}

static void what_is_no_whole_number_of_64_bits_is_refused(void **state)
{
	static const char too_large[] = "more than 9223372036854775807";
	static const char too_small[] = "less than -9223372036854775808";
	static const char not_whole[] = "must be a whole number";
	static const struct {
		const char *bytes;
		size_t len;
		const char *message;
	} numbers[] = {
		{NUMBER("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"), too_large},
		{NUMBER("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), too_large},
		{NUMBER("\xcb\x43\xe0\x00\x00\x00\x00\x00\x00"), too_large},
		{NUMBER("\xcb\xc3\xe0\x00\x00\x00\x00\x00\x01"), too_small},
		{NUMBER("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), too_large},
		{NUMBER("\xcb\xff\xf0\x00\x00\x00\x00\x00\x00"), too_small},
		{NUMBER("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), not_whole},
		{NUMBER("\xcb\x40\x29\x00\x00\x00\x00\x00\x00"), not_whole},
		{NUMBER("\xca\x41\x48\x00\x00"), not_whole},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct codec_problem problem;
		struct numbers out;

		assert_int_equal(
			read_number("\xa5whole", numbers[i].bytes, numbers[i].len, &out, &problem),
			-EINVAL);
		assert_string_equal(problem.field, "whole");
		assert_string_equal(problem.message, numbers[i].message);
	}
}

static void a_real_is_any_finite_number(void **state)
{
	struct codec_problem problem;
	struct numbers out;

	(void)state;
	assert_int_equal(read_number("\xa4real", NUMBER("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
				     &out, &problem),
			 0);
	assert_true(out.real >= 0x1p64 && out.real <= 0x1p64);
	assert_int_equal(read_number("\xa4real", NUMBER("\xca\x41\x48\x00\x00"), &out, &problem),
			 0);
	assert_true(out.real >= 12.5 && out.real <= 12.5);
	assert_int_equal(read_number("\xa4real", NUMBER("\xca\x7f\x80\x00\x00"), &out, &problem),
			 -EINVAL);
	assert_int_equal(read_number("\xa4real", NUMBER("\xca\x7f\xc0\x00\x00"), &out, &problem),
			 -EINVAL);
	assert_string_equal(problem.field, "real");
	assert_string_equal(problem.message, "must be a finite number");
}

static void one_text_is_a_list_of_one(void **state)
{
	static const char json[] = "{\"area\":\"113\"}";
	static const char packed[] = "\x81\xa4"
				     "area"
				     "\xa3"
				     "113";
	struct arena arena = test_arena();
	struct search search;

	(void)state;
	assert_int_equal(
		codec_from_json_text(RECORD_OF(search), json, strlen(json), &arena, &search, NULL),
		0);
	assert_int_equal(search.area.count, 1);
	assert_string_equal(search.area.items[0], "113");
	assert_int_equal(
		codec_unpack(RECORD_OF(search), packed, sizeof(packed) - 1, &arena, &search, NULL),
		0);
	assert_int_equal(search.area.count, 1);
	assert_string_equal(search.area.items[0], "113");
	arena_fini(&arena);
}

static void a_message_that_is_no_map_is_refused(void **state)
{
	static const char *const texts[] = {"[]", "1", "null", "\"{}\"", "true"};
	struct arena arena = test_arena();
	struct empty value;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(codec_from_json_text(RECORD_OF(empty), texts[i], strlen(texts[i]),
						      &arena, &value, NULL),
				 -EINVAL);
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		int rc = codec_unpack(RECORD_OF(empty), &byte, 1, &arena, &value, NULL);

		assert_int_equal(rc, c == 0x80 ? 0 : -EINVAL);
	}
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_of_another_type_is_refused_and_named),
		cmocka_unit_test(null_and_nothing_are_the_same),
		cmocka_unit_test(the_same_field_twice_is_refused),
		cmocka_unit_test(unknown_fields_are_ignored),
		cmocka_unit_test(every_form_of_a_whole_number_is_read),
		cmocka_unit_test(what_is_no_whole_number_of_64_bits_is_refused),
		cmocka_unit_test(a_real_is_any_finite_number),
		cmocka_unit_test(one_text_is_a_list_of_one),
		cmocka_unit_test(a_message_that_is_no_map_is_refused),
	};

	return cmocka_run_group_tests_name("shapes", tests, NULL, NULL);
}
