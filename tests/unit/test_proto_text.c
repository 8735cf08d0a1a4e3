/* test_proto_text.c - UTF-8, and how texts, numbers and JSON fields look in JSON. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto_random.h"

/* --- UTF-8 --- */

/* The bytes of a code point, valid or not. Returns how many. */
static size_t encode(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3F));
		out[2] = (char)(0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3F));
	out[2] = (char)(0x80 | (c >> 6 & 0x3F));
	out[3] = (char)(0x80 | (c & 0x3F));
	return 4;
}

static void every_code_point_is_valid_but_nul_and_surrogates(void **state)
{
	char bytes[4];

	(void)state;
	for (uint32_t c = 0; c < 0x200000; c++) {
		size_t len = encode(c, bytes);
		size_t chars = 99;
		bool good = c != 0 && c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);

		assert_int_equal(utf8_valid(bytes, len, &chars), good);
		if (good)
			assert_int_equal(chars, 1);
		for (size_t cut = 1; cut < len; cut++)
			assert_false(utf8_valid(bytes, cut, NULL));
	}
}

static void overlong_and_loose_bytes_are_not_valid(void **state)
{
	static const char *const texts[] = {"\xc0\x80",
					    "\xc1\xbf",
					    "\xe0\x80\x80",
					    "\xe0\x9f\xbf",
					    "\xf0\x80\x80\x80",
					    "\xf0\x8f\xbf\xbf",
					    "\x80",
					    "\xbf",
					    "a\x80",
					    "\xd0\xd0",
					    "\xff",
					    "\xfe",
					    "\xf8\x88\x80\x80\x80",
					    "\xd0z"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(utf8_valid(texts[i], strlen(texts[i]), NULL));
}

/* The fast path takes eight bytes at a time: one bad byte must not hide among them. */
static void a_bad_byte_is_found_at_any_place(void **state)
{
	(void)state;
	for (size_t len = 1; len <= 40; len++) {
		for (size_t at = 0; at < len; at++) {
			char *text = malloc(len);
			size_t chars = 0;

			assert_non_null(text);
			memset(text, 'x', len);
			assert_true(utf8_valid(text, len, &chars));
			assert_int_equal(chars, len);
			text[at] = '\0';
			assert_false(utf8_valid(text, len, NULL));
			text[at] = (char)0x80;
			assert_false(utf8_valid(text, len, NULL));
			text[at] = '\x01';
			assert_true(utf8_valid(text, len, NULL));
			text[at] = '\x7f';
			assert_true(utf8_valid(text, len, NULL));
			free(text);
		}
	}
}

static void characters_are_counted_not_bytes(void **state)
{
	static const char text[] = "aж₽😀 Vacancy длинная";
	size_t chars = 0;

	(void)state;
	assert_true(utf8_valid(text, strlen(text), &chars));
	assert_int_equal(chars, 20);
	assert_true(utf8_valid("", 0, &chars));
	assert_int_equal(chars, 0);
}

static void a_prefix_ends_between_characters(void **state)
{
	static const char text[] = "aж₽😀b";
	static const size_t lengths[] = {0, 1, 3, 6, 10, 11, 11};

	(void)state;
	for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++)
		assert_int_equal(utf8_prefix(text, n), lengths[n]);
	assert_int_equal(utf8_prefix("", 3), 0);
	assert_int_equal(utf8_prefix(text, SIZE_MAX), 11);
}

/* --- JSON as it is written --- */

static void assert_json(const struct record *record, const void *value, const char *expected)
{
	struct codec_problem problem = {"", ""};
	char *text = codec_to_json_text(record, value, &problem);

	if (text == NULL)
		fail_msg("%s %s", problem.field, problem.message);
	assert_string_equal(text, expected);
	free(text);
}

static void optional_is_left_out_and_nullable_is_null(void **state)
{
	const struct job job = {.id = "1", .hh_vacancy_id = "1", .title = "t", .description = ""};
	const struct job_details details = {.job = &job};

	(void)state;
	assert_json(RECORD_OF(job_details), &details,
		    "{\"job\":{\"id\":\"1\",\"hh_vacancy_id\":\"1\",\"title\":\"t\","
		    "\"company\":null,\"salary\":null,\"area\":null,\"url\":null,\"skills\":[],"
		    "\"description\":\"\",\"has_test\":false,\"test_required\":false}}");
}

static void texts_are_escaped_where_they_must_be(void **state)
{
	const struct failure failure = {
		.error = "internal",
		.message = "\"\\/\b\f\n\r\t\x01\x1f\x7f ж😀",
	};

	(void)state;
	assert_json(RECORD_OF(failure), &failure,
		    "{\"error\":\"internal\",\"message\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f"
		    "\x7f ж😀\"}");
}

static void a_json_field_is_a_value_on_one_line(void **state)
{
	const struct failure failure = {
		.error = "hh_refused",
		.details = "{\n\t\"a\": [1.50, \"\\n\"],\r\n\t\"b\": null\n}",
	};

	(void)state;
	assert_json(
		RECORD_OF(failure), &failure,
		"{\"error\":\"hh_refused\",\"details\":{ \t\"a\": [1.50, \"\\n\"],  \t\"b\": null "
		"}}");
}

static void a_json_field_that_is_no_json_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "{", "{} x", "nul", "'a'", "[", "[1,]", "1 2", "{\"a\":1,\"a\":2}", "\"\n\""};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct failure failure = {.error = "internal", .details = texts[i]};
		struct codec_problem problem = {"", ""};

		assert_null(codec_to_json_text(RECORD_OF(failure), &failure, &problem));
		assert_string_equal(problem.field, "details");
	}
}

/* What is written can be read: a JSON field may be as deep as the record it is in leaves room for.
 */
static void a_json_field_counts_for_the_depth(void **state)
{
	struct arena arena = test_arena();

	(void)state;
	for (size_t depth = 1; depth <= 40; depth++) {
		char details[81] = {0};
		const struct failure failure = {.error = "internal", .details = details};
		struct failure back;
		char *text;

		memset(details, '[', depth);
		memset(details + depth, ']', depth);
		text = codec_to_json_text(RECORD_OF(failure), &failure, NULL);
		assert_int_equal(text != NULL, depth <= 31);
		if (text != NULL)
			assert_int_equal(codec_from_json_text(RECORD_OF(failure), text,
							      strlen(text), &arena, &back, NULL),
					 0);
		free(text);
	}
	arena_fini(&arena);
}

/* A tree that nobody parsed can be of any depth. */
static void a_tree_is_read_to_the_same_depth(void **state)
{
	static const size_t depths[] = {30, 31, 32, 33, 1000};
	struct arena arena = test_arena();

	(void)state;
	for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		struct codec_problem problem = {"", ""};
		json_t *object = json_pack("{ss}", "error", "internal");
		json_t *tree = json_integer(1);
		struct failure failure;
		int rc;

		for (size_t d = 0; d < depths[i]; d++)
			tree = d % 2 == 0 ? json_pack("[o]", tree) : json_pack("{so}", "k", tree);
		json_object_set_new(object, "details", tree);
		rc = codec_from_json(RECORD_OF(failure), object, &arena, &failure, &problem);
		assert_int_equal(rc, depths[i] <= 31 ? 0 : -EINVAL);
		assert_string_equal(problem.field, rc == 0 ? "" : "details");
		json_decref(object);
	}
	arena_fini(&arena);
}

static void reals_come_back_exactly_and_short(void **state)
{
	static const struct {
		double number;
		const char *text;
	} reals[] = {
		{0.1, "0.1"},
		{5.0, "5.0"},
		{-2.5, "-2.5"},
		{1e300, "1e+300"},
		{1.0 / 3.0, "0.3333333333333333"},
		{0.1 + 0.2, "0.30000000000000004"},
		{5e-324, "4.94065645841247e-324"},
		{0.0, "0.0"},
	};
	struct arena arena = test_arena();

	(void)state;
	for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++) {
		const struct hh_state hh = {.circuit = "closed", .max_rps = reals[i].number};
		char *text = codec_to_json_text(RECORD_OF(hh_state), &hh, NULL);
		const char *at;
		struct hh_state back;

		assert_non_null(text);
		at = strstr(text, "\"max_rps\":");
		assert_non_null(at);
		at += strlen("\"max_rps\":");
		assert_int_equal(strncmp(at, reals[i].text, strlen(reals[i].text)), 0);
		assert_int_equal(at[strlen(reals[i].text)], ',');
		assert_int_equal(codec_from_json_text(RECORD_OF(hh_state), text, strlen(text),
						      &arena, &back, NULL),
				 0);
		assert_memory_equal(&back.max_rps, &hh.max_rps, sizeof(double));
		free(text);
	}
	arena_fini(&arena);
}

static void whole_numbers_do_for_reals(void **state)
{
	static const char text[] = "{\"circuit\":\"open\",\"max_rps\":7,\"queued_interactive\":1.0,"
				   "\"queued_background\":2e2,\"wait_ms\":0,\"requests\":0,"
				   "\"shared\":0,\"failed\":0,\"retried\":9223372036854775807}";
	struct arena arena = test_arena();
	struct codec_problem problem = {"", ""};
	struct hh_state hh;

	(void)state;
	if (codec_from_json_text(RECORD_OF(hh_state), text, strlen(text), &arena, &hh, &problem))
		fail_msg("%s %s", problem.field, problem.message);
	assert_true(hh.max_rps > 6.9 && hh.max_rps < 7.1);
	assert_true(hh.queued_interactive == 1);
	assert_true(hh.queued_background == 200);
	assert_true(hh.retried == INT64_MAX);
	arena_fini(&arena);
}

/* --- problems --- */

static void assert_problem(const char *json, const char *field, const char *message)
{
	struct arena arena = test_arena();
	struct codec_problem problem = {"", ""};
	struct jobs_page page;

	assert_int_equal(codec_from_json_text(RECORD_OF(jobs_page), json, strlen(json), &arena,
					      &page, &problem),
			 -EINVAL);
	assert_string_equal(problem.field, field);
	assert_string_equal(problem.message, message);
	arena_fini(&arena);
}

static void problems_are_said_in_words(void **state)
{
	(void)state;
	assert_problem("[]", "", "must be an object");
	assert_problem("{", "", "is not valid JSON: ends too early, at byte 1");
	assert_problem("{}", "jobs", "is required");
	assert_problem("{\"jobs\":{}}", "jobs", "must be a list");
	assert_problem("{\"jobs\":[1]}", "jobs[0]", "must be an object");
	assert_problem("{\"jobs\":[{}]}", "jobs[0].id", "is required");
	assert_problem("{\"jobs\":[{\"id\":\"\"}]}", "jobs[0].id", "must not be empty");
	assert_problem("{\"jobs\":[{\"id\":7}]}", "jobs[0].id", "must be text");
	assert_problem("{\"jobs\":[{\"id\":\"123456789012345678901234567890123\"}]}", "jobs[0].id",
		       "longer than 32 characters");
	assert_problem("{\"jobs\":[],\"found\":-1}", "found", "less than 0");
	assert_problem("{\"jobs\":[],\"found\":1,\"page\":2000}", "page", "more than 1999");
	assert_problem("{\"jobs\":[],\"found\":1.5}", "found", "must be a whole number");
	assert_problem("{\"jobs\":[],\"found\":true}", "found", "must be a number");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_is_valid_but_nul_and_surrogates),
		cmocka_unit_test(overlong_and_loose_bytes_are_not_valid),
		cmocka_unit_test(a_bad_byte_is_found_at_any_place),
		cmocka_unit_test(characters_are_counted_not_bytes),
		cmocka_unit_test(a_prefix_ends_between_characters),
		cmocka_unit_test(optional_is_left_out_and_nullable_is_null),
		cmocka_unit_test(texts_are_escaped_where_they_must_be),
		cmocka_unit_test(a_json_field_is_a_value_on_one_line),
		cmocka_unit_test(a_json_field_that_is_no_json_is_refused),
		cmocka_unit_test(a_json_field_counts_for_the_depth),
		cmocka_unit_test(a_tree_is_read_to_the_same_depth),
		cmocka_unit_test(reals_come_back_exactly_and_short),
		cmocka_unit_test(whole_numbers_do_for_reals),
		cmocka_unit_test(problems_are_said_in_words),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
