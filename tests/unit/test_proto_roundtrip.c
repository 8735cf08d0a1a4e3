/* test_proto_roundtrip.c - whatever fits the catalogue comes back as it was, by msgpack and by
 * JSON.
 */
#include <jansson.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto_random.h"

/* Decodes a copy that ends where the message ends, so that a sanitizer sees one byte too many. */
static void unpack_exactly(const struct record *record, const void *bytes, size_t len,
			   struct arena *arena, void *value)
{
	struct codec_problem problem = {"", ""};
	void *copy = malloc(len);

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	if (codec_unpack(record, copy, len, arena, value, &problem) < 0)
		fail_msg("%s: %s %s", record->name, problem.field, problem.message);
	free(copy);
}

static void assert_msgpack_c_reads(const void *bytes, size_t len)
{
	msgpack_unpacked unpacked;
	size_t off = 0;

	msgpack_unpacked_init(&unpacked);
	assert_int_equal(msgpack_unpack_next(&unpacked, bytes, len, &off), MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(off, len);
	assert_int_equal(unpacked.data.type, MSGPACK_OBJECT_MAP);
	msgpack_unpacked_destroy(&unpacked);
}

static void by_msgpack(const struct record *record, const void *value, void *back)
{
	struct arena arena = test_arena();
	struct codec_problem problem = {"", ""};
	void *bytes = NULL;
	void *again = NULL;
	size_t len = 0;
	size_t again_len = 0;

	if (codec_pack(record, value, &bytes, &len, &problem) < 0)
		fail_msg("%s: %s %s", record->name, problem.field, problem.message);
	assert_msgpack_c_reads(bytes, len);
	memset(back, 0xAA, record->size);
	unpack_exactly(record, bytes, len, &arena, back);
	assert_records_equal(record, value, back);

	assert_int_equal(codec_pack(record, back, &again, &again_len, NULL), 0);
	assert_int_equal(again_len, len);
	assert_memory_equal(again, bytes, len);
	free(again);
	free(bytes);
	arena_fini(&arena);
}

static void by_json_text(const struct record *record, const void *value, void *back)
{
	struct arena arena = test_arena();
	struct codec_problem problem = {"", ""};
	char *text = codec_to_json_text(record, value, &problem);
	char *copy;
	size_t len;

	if (text == NULL)
		fail_msg("%s: %s %s", record->name, problem.field, problem.message);
	assert_null(strpbrk(text, "\r\n"));
	len = strlen(text);
	copy = malloc(len); /* without its NUL */
	assert_non_null(copy);
	memcpy(copy, text, len);
	memset(back, 0xAA, record->size);
	if (codec_from_json_text(record, copy, len, &arena, back, &problem) < 0)
		fail_msg("%s: %s %s", record->name, problem.field, problem.message);
	assert_records_equal(record, value, back);
	free(copy);
	free(text);
	arena_fini(&arena);
}

static void by_json_tree(const struct record *record, const void *value, void *back)
{
	struct arena arena = test_arena();
	json_t *object = codec_to_json(record, value, NULL);

	assert_non_null(object);
	memset(back, 0xAA, record->size);
	assert_int_equal(codec_from_json(record, object, &arena, back, NULL), 0);
	json_decref(object); /* back must not need it */
	assert_records_equal(record, value, back);
	arena_fini(&arena);
}

typedef void round_trip(const struct record *record, const void *value, void *back);

static void all_records_come_back(round_trip *trip, enum random_kind kind, unsigned rounds)
{
	struct arena arena = test_arena();
	struct random r = {.kind = kind, .arena = &arena};

	for (const struct record *const *record = all_records; *record != NULL; record++) {
		void *value = malloc((*record)->size);
		void *back = malloc((*record)->size);

		assert_non_null(value);
		assert_non_null(back);
		for (unsigned seed = 1; seed <= rounds; seed++) {
			r.state = seed;
			random_record(&r, *record, value);
			trip(*record, value, back);
			arena_reset(&arena);
		}
		free(value);
		free(back);
	}
	arena_fini(&arena);
}

static void msgpack_keeps_the_smallest(void **state)
{
	(void)state;
	all_records_come_back(by_msgpack, RANDOM_MIN, 3);
}

static void msgpack_keeps_the_largest(void **state)
{
	(void)state;
	all_records_come_back(by_msgpack, RANDOM_MAX, 1);
}

static void msgpack_keeps_anything(void **state)
{
	(void)state;
	all_records_come_back(by_msgpack, RANDOM_SMALL, 20);
	all_records_come_back(by_msgpack, RANDOM_ANY, 60);
}

static void json_keeps_the_smallest(void **state)
{
	(void)state;
	all_records_come_back(by_json_text, RANDOM_MIN, 3);
	all_records_come_back(by_json_tree, RANDOM_MIN, 1);
}

static void json_keeps_the_largest(void **state)
{
	(void)state;
	all_records_come_back(by_json_text, RANDOM_MAX, 1);
}

static void json_keeps_anything(void **state)
{
	(void)state;
	all_records_come_back(by_json_text, RANDOM_SMALL, 20);
	all_records_come_back(by_json_text, RANDOM_ANY, 60);
	all_records_come_back(by_json_tree, RANDOM_ANY, 20);
}

/* --- other writers choose other forms --- */

static void put(msgpack_sbuffer *out, unsigned tag, uint64_t number, unsigned size)
{
	char bytes[9] = {(char)tag};

	for (unsigned i = 0; i < size; i++)
		bytes[1 + i] = (char)(number >> (8 * (size - 1 - i)));
	assert_int_equal(msgpack_sbuffer_write(out, bytes, 1 + size), 0);
}

/* Writes o with the widest form of everything, numbers as doubles where they can be. */
static void put_wide(msgpack_sbuffer *out, const msgpack_object *o)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
	switch (o->type) {
	case MSGPACK_OBJECT_STR:
		put(out, 0xDB, o->via.str.size, 4);
		assert_int_equal(msgpack_sbuffer_write(out, o->via.str.ptr, o->via.str.size), 0);
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		if (o->via.u64 < 1000)
			msgpack_pack_double(&pk, (double)o->via.u64);
		else
			put(out, o->via.u64 % 2 == 0 ? 0xCF : 0xD3, o->via.u64, 8);
		break;
	case MSGPACK_OBJECT_ARRAY:
		put(out, 0xDD, o->via.array.size, 4);
		for (uint32_t i = 0; i < o->via.array.size; i++)
			put_wide(out, &o->via.array.ptr[i]);
		break;
	case MSGPACK_OBJECT_MAP:
		put(out, 0xDF, o->via.map.size, 4);
		for (uint32_t i = 0; i < o->via.map.size; i++) {
			/* And in the opposite order. */
			const msgpack_object_kv *kv = &o->via.map.ptr[o->via.map.size - 1 - i];

			put_wide(out, &kv->key);
			put_wide(out, &kv->val);
		}
		break;
	default:
		msgpack_pack_object(&pk, *o);
		break;
	}
}

static void by_wide_msgpack(const struct record *record, const void *value, void *back)
{
	struct arena arena = test_arena();
	msgpack_unpacked unpacked;
	msgpack_sbuffer wide;
	void *bytes = NULL;
	size_t len = 0;

	assert_int_equal(codec_pack(record, value, &bytes, &len, NULL), 0);
	msgpack_unpacked_init(&unpacked);
	msgpack_sbuffer_init(&wide);
	assert_int_equal(msgpack_unpack_next(&unpacked, bytes, len, NULL), MSGPACK_UNPACK_SUCCESS);
	put_wide(&wide, &unpacked.data);
	unpack_exactly(record, wide.data, wide.size, &arena, back);
	assert_records_equal(record, value, back);
	msgpack_sbuffer_destroy(&wide);
	msgpack_unpacked_destroy(&unpacked);
	free(bytes);
	arena_fini(&arena);
}

static void any_form_and_order_of_msgpack_is_read(void **state)
{
	(void)state;
	all_records_come_back(by_wide_msgpack, RANDOM_ANY, 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(msgpack_keeps_the_smallest),
		cmocka_unit_test(msgpack_keeps_the_largest),
		cmocka_unit_test(msgpack_keeps_anything),
		cmocka_unit_test(json_keeps_the_smallest),
		cmocka_unit_test(json_keeps_the_largest),
		cmocka_unit_test(json_keeps_anything),
		cmocka_unit_test(any_form_and_order_of_msgpack_is_read),
	};

	return cmocka_run_group_tests_name("round trip", tests, NULL, NULL);
}
