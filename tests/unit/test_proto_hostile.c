/* test_proto_hostile.c - what a reader does with bytes that nobody meant well: cut, flipped,
 * random, or made to make it take memory and time. It says -EINVAL, soon, and keeps within its
 * arena.
 */
#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proto/codec.h"
#include "proto_random.h"

/* What an arena hands out beyond its limit is the rounding of one allocation. */
#define ARENA_BYTES ((size_t)64 * 1024)
#define ARENA_SLACK 32

typedef int read_bytes(const struct record *record, const char *bytes, size_t len,
		       struct arena *arena, void *value);

static int read_msgpack(const struct record *record, const char *bytes, size_t len,
			struct arena *arena, void *value)
{
	struct codec_problem problem = {"", ""};

	return codec_unpack(record, bytes, len, arena, value, &problem);
}

static int read_json(const struct record *record, const char *bytes, size_t len,
		     struct arena *arena, void *value)
{
	struct codec_problem problem = {"", ""};
	int rc = codec_from_json_text(record, bytes, len, arena, value, &problem);

	/* Goes into a failure, so it must itself be valid. */
	assert_true(utf8_valid(problem.field, strlen(problem.field), NULL));
	assert_true(utf8_valid(problem.message, strlen(problem.message), NULL));
	return rc;
}

/* Reads a copy without a byte to spare, with a small arena. What is accepted must be writable. */
static int read_safely(read_bytes *read, const struct record *record, const char *bytes, size_t len)
{
	struct arena arena;
	void *value = malloc(record->size);
	char *copy = malloc(len + (len == 0));
	void *again = NULL;
	size_t again_len;
	int rc;

	assert_non_null(value);
	assert_non_null(copy);
	memcpy(copy, bytes, len);
	arena_init(&arena, ARENA_BYTES);
	rc = read(record, copy, len, &arena, value);
	free(copy);
	assert_true(rc == 0 || rc == -EINVAL || rc == -ENOMEM);
	assert_true(arena.used_bytes <= ARENA_BYTES + ARENA_SLACK);
	if (rc == 0)
		assert_int_equal(codec_pack(record, value, &again, &again_len, NULL), 0);
	free(again);
	free(value);
	arena_fini(&arena);
	return rc;
}

/* --- messages that were right once --- */

static void *packed(struct random *r, const struct record *record, size_t *len)
{
	void *value = arena_alloc(r->arena, record->size);
	void *bytes = NULL;

	assert_non_null(value);
	random_record(r, record, value);
	assert_int_equal(codec_pack(record, value, &bytes, len, NULL), 0);
	return bytes;
}

static void *json_text(struct random *r, const struct record *record, size_t *len)
{
	void *value = arena_alloc(r->arena, record->size);
	char *text;

	assert_non_null(value);
	random_record(r, record, value);
	text = codec_to_json_text(record, value, NULL);
	assert_non_null(text);
	*len = strlen(text);
	return text;
}

typedef void *make_bytes(struct random *r, const struct record *record, size_t *len);

static void truncated(make_bytes *make, read_bytes *read)
{
	struct arena arena = test_arena();
	struct random r = {.state = 11, .kind = RANDOM_SMALL, .arena = &arena};

	for (const struct record *const *record = all_records; *record != NULL; record++) {
		size_t len;
		char *bytes = make(&r, *record, &len);

		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(read_safely(read, *record, bytes, cut), -EINVAL);
		free(bytes);
		arena_reset(&arena);
	}
	arena_fini(&arena);
}

static void msgpack_cut_anywhere_is_refused(void **state)
{
	(void)state;
	truncated(packed, read_msgpack);
}

static void json_cut_anywhere_is_refused(void **state)
{
	(void)state;
	truncated(json_text, read_json);
}

static void msgpack_with_more_after_it_is_refused(void **state)
{
	struct arena arena = test_arena();
	struct random r = {.state = 11, .kind = RANDOM_SMALL, .arena = &arena};

	(void)state;
	for (const struct record *const *record = all_records; *record != NULL; record++) {
		size_t len;
		void *bytes = packed(&r, *record, &len);
		char *more = realloc(bytes, len + 1);

		assert_non_null(more);
		more[len] = '\0';
		assert_int_equal(read_safely(read_msgpack, *record, more, len + 1), -EINVAL);
		free(more);
		arena_reset(&arena);
	}
	arena_fini(&arena);
}

static void spoil(struct random *r, char *bytes, size_t len)
{
	for (uint64_t n = 1 + random_below(r, 3); n > 0 && len > 0; n--) {
		size_t at = random_below(r, len);

		if (random_below(r, 2) == 0)
			bytes[at] = (char)(bytes[at] ^ (1 << random_below(r, 8)));
		else
			bytes[at] = (char)random_below(r, 256);
	}
}

static void spoiled(make_bytes *make, read_bytes *read, unsigned rounds)
{
	struct arena arena = test_arena();
	struct random r = {.state = 23, .kind = RANDOM_SMALL, .arena = &arena};

	for (const struct record *const *record = all_records; *record != NULL; record++) {
		for (unsigned i = 0; i < rounds; i++) {
			size_t len;
			char *bytes = make(&r, *record, &len);

			for (unsigned j = 0; j < 10; j++) {
				spoil(&r, bytes, len);
				(void)read_safely(read, *record, bytes, len);
			}
			free(bytes);
			arena_reset(&arena);
		}
	}
	arena_fini(&arena);
}

static void flipped_bits_of_msgpack_do_no_harm(void **state)
{
	(void)state;
	spoiled(packed, read_msgpack, 100);
}

static void flipped_bits_of_json_do_no_harm(void **state)
{
	(void)state;
	spoiled(json_text, read_json, 40);
}

/* Whatever we accept, msgpack-c accepts too, and ends at the same byte. */
static void check_against_msgpack_c(const struct record *record, const char *bytes, size_t len)
{
	msgpack_unpacked unpacked;
	size_t off = 0;

	if (read_safely(read_msgpack, record, bytes, len) != 0)
		return;
	msgpack_unpacked_init(&unpacked);
	assert_int_equal(msgpack_unpack_next(&unpacked, bytes, len, &off), MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(off, len);
	msgpack_unpacked_destroy(&unpacked);
}

static void random_bytes_do_no_harm(void **state)
{
	struct random r = {.state = 5};
	char bytes[64];

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		size_t len = random_below(&r, sizeof(bytes) + 1);

		for (size_t j = 0; j < len; j++)
			bytes[j] = (char)random_below(&r, 256);
		if (len > 0 && i % 2 == 0) /* a map, so that it gets somewhere */
			bytes[0] = (char)(0x80 + random_below(&r, 6));
		check_against_msgpack_c(RECORD_OF(empty), bytes, len);
		check_against_msgpack_c(RECORD_OF(search), bytes, len);
		if (i % 8 == 0)
			(void)read_safely(read_json, RECORD_OF(search), bytes, len);
	}
}

/* --- lies --- */

static void refused_at_once(read_bytes *read, const struct record *record, const char *bytes,
			    size_t len)
{
	struct arena arena;
	void *value = malloc(record->size);
	int64_t start = clock_mono_ms();

	assert_non_null(value);
	arena_init(&arena, ARENA_BYTES);
	assert_int_equal(read(record, bytes, len, &arena, value), -EINVAL);
	assert_true(arena.used_bytes < 4096);
	assert_true(clock_mono_ms() - start < 2000); /* takes microseconds; machines stall */
	free(value);
	arena_fini(&arena);
}

struct lie {
	const char *head;
	size_t len;
};

#define LIE(text)                                                                                  \
	{                                                                                          \
		(text), sizeof(text) - 1                                                           \
	}

static const struct lie lies[] = {
	LIE("\xdd\xff\xff\xff\xff"),
	LIE("\xdc\xff\xff"),
	LIE("\xdf\xff\xff\xff\xff"),
	LIE("\xdf\x7f\xff\xff\xff"),
	LIE("\xdf\x80\x00\x00\x00"),
	LIE("\xde\xff\xff"),
	LIE("\xdb\xff\xff\xff\xff"),
	LIE("\xdb\x7f\xff\xff\xff"),
	LIE("\xda\xff\xff"),
	LIE("\xd9\xff"),
	LIE("\xc6\xff\xff\xff\xff"),
	LIE("\xc9\xff\xff\xff\xff\x01"),
	LIE("\xc8\xff\xff\x01"),
	LIE("\xd8\x01"),
	LIE("\x9f"),
	LIE("\x8f"),
	LIE("\xbf"),
	LIE("\xc1"),
	LIE("\xdd\x00\x00\x27\x10"),
};

/* The lie as a message, as the value of a field, known or not, and within one. */
static void claims_of_more_than_there_is_are_refused(void **state)
{
	static const struct lie fronts[] = {
		LIE(""),
		LIE("\x81"), /* as a key */
		LIE("\x81\xa4"
		    "jobs"), /* as the list */
		LIE("\x81\xa4"
		    "jobs\x91"), /* as an item */
		LIE("\x81\xa4"
		    "jobs\x91\x81\xa5"
		    "title"),
		LIE("\x81\xa4"
		    "jobs\x91\x81\xa6"
		    "skills"),
		LIE("\x81\xa4"
		    "jobs\x91\x81\xa6"
		    "skills\x91"),
		LIE("\x81\xa1"
		    "?"),
		LIE("\x81\xa1"
		    "?\x91\x82\x01"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++) {
		for (size_t j = 0; j < sizeof(lies) / sizeof(lies[0]); j++) {
			char bytes[64] = {0};
			size_t len = fronts[i].len + lies[j].len;

			memcpy(bytes, fronts[i].head, fronts[i].len);
			memcpy(bytes + fronts[i].len, lies[j].head, lies[j].len);
			refused_at_once(read_msgpack, RECORD_OF(jobs_page), bytes, len);
			refused_at_once(read_msgpack, RECORD_OF(jobs_page), bytes, len + 5);
		}
	}
}

/* {"?": opened count times, and never closed or closed in order. */
static char *nested(const char *front, const char *open, const char *close, size_t count,
		    size_t *len)
{
	size_t open_len = strlen(open);
	size_t close_len = strlen(close);
	char *bytes = malloc(strlen(front) + count * (open_len + close_len) + 2);
	char *end = bytes;

	assert_non_null(bytes);
	memcpy(end, front, strlen(front));
	end += strlen(front);
	for (size_t i = 0; i < count; i++, end += open_len)
		memcpy(end, open, open_len);
	*end++ = '0';
	for (size_t i = 0; i < count; i++, end += close_len)
		memcpy(end, close, close_len);
	*end++ = '}';
	*len = (size_t)(end - bytes);
	return bytes;
}

static void deep_nesting_is_refused(void **state)
{
	static const char *const msgpack_opens[] = {"\x91", "\x81\xa1k", "\x81\x91",
						    "\xdc\x01\x01"};
	static const char *const json_opens[] = {"[", "{\"k\":", "[{\"k\":", "[\n"};
	size_t len;
	char *bytes;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		bytes = nested("\x81\xa1?", msgpack_opens[i], "", 100000, &len);
		refused_at_once(read_msgpack, RECORD_OF(jobs_page), bytes, len);
		free(bytes);
		bytes = nested("{\"?\":", json_opens[i], i == 0 ? "]" : "", 100000, &len);
		refused_at_once(read_json, RECORD_OF(jobs_page), bytes, len);
		free(bytes);
	}
	bytes = nested("{\"jobs\":", "[", "]", 100000, &len);
	refused_at_once(read_json, RECORD_OF(jobs_page), bytes, len);
	free(bytes);
}

static void nesting_up_to_the_limit_is_read(void **state)
{
	struct arena arena = test_arena();
	struct empty value;

	(void)state;
	for (size_t depth = 30; depth <= 33; depth++) {
		int expected = depth <= 31 ? 0 : -EINVAL; /* the map itself is the first level */
		size_t len;
		char *bytes = nested("{\"?\":", "[", "]", depth, &len);

		assert_int_equal(
			codec_from_json_text(RECORD_OF(empty), bytes, len, &arena, &value, NULL),
			expected);
		free(bytes);
		bytes = nested("\x81\xa1?", "\x91", "", depth, &len);
		assert_int_equal(
			codec_unpack(RECORD_OF(empty), bytes, len - 1, &arena, &value, NULL),
			expected);
		free(bytes);
	}
	arena_fini(&arena);
}

/* Brackets in texts are no nesting, and an escaped quote ends no text. */
static void brackets_in_texts_are_not_counted(void **state)
{
	static const char text[] = "{\"text\":\""
				   "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\""
				   "{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{\\\\\"}";
	struct arena arena = test_arena();
	struct search value;

	(void)state;
	assert_int_equal(
		codec_from_json_text(RECORD_OF(search), text, strlen(text), &arena, &value, NULL),
		0);
	arena_fini(&arena);
}

/* As much work as fits a message: keys that nobody knows. */
static void a_message_of_unknown_keys_is_soon_done(void **state)
{
	struct arena arena = test_arena();
	size_t count = CODEC_PUBLIC_MAX_BYTES / 4;
	size_t len = 5 + count * 3;
	char *bytes = malloc(len);
	int64_t start = clock_mono_ms();
	struct jobs_search value;

	(void)state;
	assert_non_null(bytes);
	memcpy(bytes, "\xdf\x00\x04\x00\x00", 5);
	assert_int_equal(count, 0x40000);
	for (size_t i = 0; i < count; i++)
		memcpy(bytes + 5 + 3 * i, "\xa1?\xc0", 3);
	assert_int_equal(codec_unpack(RECORD_OF(jobs_search), bytes, len, &arena, &value, NULL), 0);
	assert_true(arena.used_bytes == 0);
	assert_true(clock_mono_ms() - start < 2000);
	free(bytes);
	arena_fini(&arena);
}

/* {"?":[item item ...0]} with count items. */
static char *crowded(const char *item, size_t count, size_t *len)
{
	static const char front[] = "{\"?\":[";
	size_t item_len = strlen(item);
	char *text = malloc(sizeof(front) + count * item_len + 8);
	char *end = text;

	assert_non_null(text);
	memcpy(end, front, sizeof(front) - 1);
	end += sizeof(front) - 1;
	for (size_t i = 0; i < count; i++, end += item_len)
		memcpy(end, item, item_len);
	memcpy(end, "0]}", 3);
	*len = (size_t)(end - text) + 3;
	return text;
}

/* jansson takes a hundred times the bytes of an empty object. */
static void json_of_very_many_values_is_refused(void **state)
{
	static const char *const items[] = {"{},", "[],", "0,", "\"\","};
	static const size_t most[] = {59998, 59998, 1000000, 1000000};
	struct arena arena = test_arena();
	struct empty value;

	(void)state;
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		size_t len;
		char *text = crowded(items[i], most[i] + 1, &len);

		refused_at_once(read_json, RECORD_OF(empty), text, len);
		free(text);
		text = crowded(items[i], most[i], &len);
		assert_int_equal(
			codec_from_json_text(RECORD_OF(empty), text, len, &arena, &value, NULL), 0);
		free(text);
	}
	arena_fini(&arena);
}

static void bytes_that_are_no_text_are_refused(void **state)
{
	static const struct lie texts[] = {
		LIE("\x81\xa4"
		    "text\xa3"
		    "a\0b"),
		LIE("\x81\xa4"
		    "text\xa1\xff"),
		LIE("\x81\xa4"
		    "text\xa3\xed\xa0\x80"),
		LIE("\x81\xa4"
		    "text\xa2\xc0\x80"),
		LIE("\x81\xa4"
		    "area\xa1\x80"),
		LIE("\x81\xa4"
		    "area\x91\xa1\0"),
	};
	static const struct lie json[] = {
		LIE("{\"text\":\"a\\u0000b\"}"),
		LIE("{\"text\":\"\xff\"}"),
		LIE("{\"text\":\"\\ud800\"}"),
		LIE("{\"text\":\"a\0b\"}"),
		LIE("{\"te\\u0000xt\":1}"),
		LIE("{\"text\":\"a\nb\"}"),
		LIE("{\"text\":\"\",\"text\":\"\"}"),
		LIE("{\"period\":1e400}"),
		LIE("{\"period\":99999999999999999999}"),
		LIE("{\"text\":\"a\"} x"),
		LIE(""),
		LIE(" "),
		LIE("{\"text\":NaN}"),
		LIE("{'text':1}"),
		LIE("\xef\xbb\xbf{}"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refused_at_once(read_msgpack, RECORD_OF(search), texts[i].head, texts[i].len);
	for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++)
		refused_at_once(read_json, RECORD_OF(search), json[i].head, json[i].len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(msgpack_cut_anywhere_is_refused),
		cmocka_unit_test(json_cut_anywhere_is_refused),
		cmocka_unit_test(msgpack_with_more_after_it_is_refused),
		cmocka_unit_test(flipped_bits_of_msgpack_do_no_harm),
		cmocka_unit_test(flipped_bits_of_json_do_no_harm),
		cmocka_unit_test(random_bytes_do_no_harm),
		cmocka_unit_test(claims_of_more_than_there_is_are_refused),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(nesting_up_to_the_limit_is_read),
		cmocka_unit_test(brackets_in_texts_are_not_counted),
		cmocka_unit_test(a_message_of_unknown_keys_is_soon_done),
		cmocka_unit_test(json_of_very_many_values_is_refused),
		cmocka_unit_test(bytes_that_are_no_text_are_refused),
	};

	return cmocka_run_group_tests_name("hostile bytes", tests, NULL, NULL);
}
