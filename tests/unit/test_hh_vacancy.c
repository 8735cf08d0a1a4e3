/* test_hh_vacancy.c - HH's vacancies, whole and in all states of incompleteness, as jobs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_vacancy.h"
#include "proto/codec.h"

static const char item_text[] =
	"{\"id\":\"101\",\"name\":\" Инженер <highlighttext>C</highlighttext> \","
	"\"area\":{\"id\":\"1\",\"name\":\"Москва\",\"url\":\"u\"},"
	"\"employer\":{\"id\":\"55\",\"name\":\"ООО Ромашка\",\"trusted\":true},"
	"\"salary\":{\"from\":100000,\"to\":150000,\"currency\":\"RUR\",\"gross\":false},"
	"\"salary_range\":{\"from\":1,\"to\":2,\"currency\":\"USD\",\"gross\":true,"
	"\"mode\":{\"id\":\"MONTH\",\"name\":\"\"}},"
	"\"snippet\":{\"requirement\":\"Знание <highlighttext>C</highlighttext>.\","
	"\"responsibility\":\"Писать код &amp; тесты.\"},"
	"\"alternate_url\":\"https://hh.ru/vacancy/101\",\"has_test\":true,"
	"\"test\":{\"required\":true},\"archived\":\"false\",\"premium\":null,"
	"\"published_at\":\"2026-11-20T01:15:30+0300\",\"relations\":[null],"
	"\"type\":{\"id\":\"open\",\"name\":\"x\"},\"schedule\":null,\"unheard_of\":[[]]}";

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, (size_t)64 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static json_t *item(void)
{
	json_t *json = json_loads(item_text, 0, NULL);

	assert_non_null(json);
	return json;
}

/* Whatever is read must fit the catalogue. */
static void assert_fits(const struct record *record, const void *value)
{
	struct codec_problem problem;
	void *bytes;
	size_t len;

	if (codec_pack(record, value, &bytes, &len, &problem) < 0)
		fail_msg("%s: %s", problem.field, problem.message);
	free(bytes);
}

/* The one job of a page with that item; takes item. */
static struct job read_item(json_t *one)
{
	json_t *body = json_pack("{s:[o], s:i, s:i}", "items", one, "found", 1, "pages", 1);
	struct jobs_page page;
	struct job job;

	assert_int_equal(hh_vacancy_page(body, 0, 100, &arena, &page), 0);
	assert_int_equal(page.jobs.count, 1);
	assert_fits(RECORD_OF(jobs_page), &page);
	job = page.jobs.items[0];
	json_decref(body);
	return job;
}

static void reads_a_search_item(void **state)
{
	struct job job = read_item(item());

	(void)state;
	assert_string_equal(job.id, "101");
	assert_string_equal(job.hh_vacancy_id, "101");
	assert_string_equal(job.title, "Инженер C");
	assert_string_equal(job.company, "ООО Ромашка");
	assert_string_equal(job.employer_id, "55");
	assert_string_equal(job.salary, "100000-150000 RUR");
	assert_string_equal(job.area, "Москва");
	assert_string_equal(job.url, "https://hh.ru/vacancy/101");
	assert_string_equal(job.description, "Знание C.\nПисать код & тесты.");
	assert_string_equal(job.published_at, "2026-11-19T22:15:30Z");
	assert_true(job.has_test);
	assert_true(job.test_required);
	assert_false(job.archived);
	assert_false(job.full_description_loaded);
	assert_int_equal(job.skills.count, 0);
}

static void every_key_may_be_absent_or_null_or_odd(void **state)
{
	static const char *const odd[] = {
		"null",	    "3",    "\"\"",
		"[]",	    "{}",   "true",
		"-1.5e300", "[{}]", "{\"id\":{},\"name\":[],\"from\":\"x\"}"};
	json_t *whole = item();
	const char *key;
	json_t *value;

	(void)state;
	json_object_foreach(whole, key, value)
	{
		json_t *less;

		if (strcmp(key, "id") == 0)
			continue;
		less = json_deep_copy(whole);
		(void)json_object_del(less, key);
		(void)read_item(less);
		for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
			json_t *changed = json_deep_copy(whole);

			(void)json_object_set_new(changed, key,
						  json_loads(odd[i], JSON_DECODE_ANY, NULL));
			(void)read_item(changed);
		}
	}
	json_decref(whole);
	(void)read_item(json_pack("{s:s}", "id", "1"));
}

static void an_item_without_an_id_does_not_cost_its_page(void **state)
{
	json_t *body = json_pack("{s:[o, {}, n, [], {s:s}, o]}", "items", item(), "id", "", item());
	struct jobs_page page;

	(void)state;
	assert_int_equal(hh_vacancy_page(body, 0, 100, &arena, &page), 0);
	assert_int_equal(page.jobs.count, 2);
	assert_fits(RECORD_OF(jobs_page), &page);
	json_decref(body);
}

static void pay_is_told_in_the_promised_words(void **state)
{
	static const struct {
		const char *salary;
		const char *range;
		const char *text;
	} cases[] = {
		{"{\"from\":100000,\"to\":150000,\"currency\":\"RUR\"}", "null",
		 "100000-150000 RUR"},
		{"{\"from\":100000,\"to\":null,\"currency\":\"RUR\"}", "null", "from 100000 RUR"},
		{"{\"to\":150000,\"currency\":\"RUR\",\"gross\":null}", "null", "to 150000 RUR"},
		{"null", "null", NULL},
		{"{\"from\":null,\"to\":null,\"currency\":\"RUR\"}", "null", NULL},
		{"null", "{\"from\":900,\"currency\":\"USD\",\"gross\":true}", "from 900 USD"},
		{"{\"from\":null,\"to\":null}", "{\"to\":900,\"currency\":\"USD\"}", "to 900 USD"},
		{"{\"from\":1500.5,\"to\":2000.4,\"currency\":\"EUR\"}", "null", "1501-2000 EUR"},
		{"{\"from\":0,\"to\":5,\"currency\":\"EUR\"}", "null", "to 5 EUR"},
		{"{\"from\":5}", "null", "from 5"},
		{"{\"from\":-5,\"currency\":\"EUR\"}", "null", NULL},
		{"{\"from\":1e300,\"currency\":\"EUR\"}", "null", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *one = item();
		struct job job;

		(void)json_object_set_new(one, "salary",
					  json_loads(cases[i].salary, JSON_DECODE_ANY, NULL));
		(void)json_object_set_new(one, "salary_range",
					  json_loads(cases[i].range, JSON_DECODE_ANY, NULL));
		job = read_item(one);
		if (cases[i].text == NULL)
			assert_null(job.salary);
		else
			assert_string_equal(job.salary, cases[i].text);
	}
}

/* n times the two bytes of ж. */
static char *letters(size_t n)
{
	char *text = calloc(1, n * 2 + 1);

	for (size_t i = 0; i < n; i++)
		memcpy(text + 2 * i, "ж", 2);
	return text;
}

static void long_texts_are_cut_at_characters(void **state)
{
	char *text = letters(70000);
	json_t *one = item();
	struct job job;
	size_t chars;

	(void)state;
	(void)json_object_set_new(one, "name", json_string(text));
	(void)json_object_set_new(one, "employer",
				  json_pack("{s:s, s:s}", "id", text, "name", text));
	(void)json_object_set_new(one, "area", json_pack("{s:s}", "name", text));
	(void)json_object_set_new(one, "alternate_url", json_string(text));
	(void)json_object_set_new(
		one, "snippet",
		json_pack("{s:s, s:s}", "requirement", text, "responsibility", text));
	job = read_item(one);
	assert_true(utf8_valid(job.title, strlen(job.title), &chars));
	assert_int_equal(chars, 255);
	assert_true(utf8_valid(job.description, strlen(job.description), &chars));
	assert_int_equal(chars, 65536);
	assert_null(job.url);
	assert_null(job.employer_id);
	free(text);
}

static void a_blank_title_gets_a_name(void **state)
{
	json_t *one = item();

	(void)state;
	(void)json_object_set_new(one, "name", json_string(" \n "));
	assert_string_equal(read_item(one).title, "Вакансия 101");
}

static void a_title_may_look_like_html(void **state)
{
	json_t *one = item();

	(void)state;
	(void)json_object_set_new(one, "name", json_string("R&D: List<T> & C++"));
	assert_string_equal(read_item(one).title, "R&D: List<T> & C++");
}

static void takes_ids_that_are_numbers_and_archived_as_text(void **state)
{
	json_t *one = item();
	struct job job;

	(void)state;
	(void)json_object_set_new(one, "id", json_integer(128000001));
	(void)json_object_set_new(one, "archived", json_string("true"));
	job = read_item(one);
	assert_string_equal(job.id, "128000001");
	assert_true(job.archived);
}

static void turns_times_to_utc(void **state)
{
	static const struct {
		const char *hh;
		const char *utc;
	} cases[] = {
		{"2026-11-20T09:15:30+0300", "2026-11-20T06:15:30Z"},
		{"2026-01-01T01:00:00+0300", "2025-12-31T22:00:00Z"},
		{"2026-11-20T09:15:30-0500", "2026-11-20T14:15:30Z"},
		{"2026-11-20T09:15:30+0000", "2026-11-20T09:15:30Z"},
		{"2026-11-20T09:15:30Z", "2026-11-20T09:15:30Z"},
		{"2026-11-20T09:15:30+03:00", "2026-11-20T06:15:30Z"},
		{"2026-11-20", NULL},
		{"2026-11-20T09:15:30", NULL},
		{"2026-11-20T09:15:30+0300x", NULL},
		{"yesterday", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = hh_vacancy_time(cases[i].hh, &arena);

		if (cases[i].utc == NULL)
			assert_null(got);
		else
			assert_string_equal(got, cases[i].utc);
	}
}

/* --- details
 * --------------------------------------------------------------------------------------- */

static void reads_details(void **state)
{
	json_t *body = item();
	struct job job;

	(void)state;
	(void)json_object_del(body, "snippet");
	(void)json_object_set_new(body, "archived", json_true());
	(void)json_object_set_new(body, "description",
				  json_string("<p>Кто:</p><ul><li>инженер</li></ul>"));
	(void)json_object_set_new(body, "key_skills",
				  json_pack("[{s:s}, {s:s}, n, {}, {s:n}, {s:s}]", "name", "C",
					    "name", " Linux ", "name", "name", "  "));
	assert_int_equal(hh_vacancy_details(body, &arena, &job), 0);
	assert_fits(RECORD_OF(job), &job);
	assert_string_equal(job.description, "Кто:\n\n- инженер");
	assert_int_equal(job.skills.count, 2);
	assert_string_equal(job.skills.items[1], "Linux");
	assert_true(job.full_description_loaded);
	assert_true(job.archived);
	json_decref(body);
}

static void details_are_bounded(void **state)
{
	char *text = letters(70000);
	json_t *body = item();
	json_t *skills = json_array();
	struct job job;

	(void)state;
	for (int i = 0; i < 200; i++)
		(void)json_array_append_new(skills, json_pack("{s:s}", "name", text));
	(void)json_object_set_new(body, "key_skills", skills);
	(void)json_object_set_new(body, "description", json_string(text));
	assert_int_equal(hh_vacancy_details(body, &arena, &job), 0);
	assert_fits(RECORD_OF(job), &job);
	assert_int_equal(job.skills.count, 64);
	json_decref(body);
	free(text);
}

static void what_is_no_vacancy_is_no_answer(void **state)
{
	static const char *const bodies[] = {"{}", "[]", "{\"id\":null}", "{\"items\":[]}"};
	struct job job;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		json_t *body = json_loads(bodies[i], 0, NULL);

		assert_int_equal(hh_vacancy_details(body, &arena, &job), -EBADMSG);
		json_decref(body);
	}
}

/* --- pages
 * ----------------------------------------------------------------------------------------- */

static struct jobs_page read_page(const char *text, int64_t page, int64_t per_page)
{
	json_t *body = json_loads(text, 0, NULL);
	struct jobs_page out;

	assert_int_equal(hh_vacancy_page(body, page, per_page, &arena, &out), 0);
	assert_fits(RECORD_OF(jobs_page), &out);
	json_decref(body);
	return out;
}

static void pages_end_at_hhs_depth(void **state)
{
	(void)state;
	assert_int_equal(read_page("{\"items\":[],\"found\":90000,\"pages\":900}", 0, 100).pages,
			 20);
	assert_int_equal(read_page("{\"items\":[],\"found\":90000,\"pages\":7}", 0, 100).pages, 7);
	assert_int_equal(read_page("{\"items\":[],\"found\":90000,\"pages\":90000}", 3, 1).pages,
			 2000);
	assert_int_equal(read_page("{\"items\":[],\"found\":90000,\"pages\":90000}", 3, 1).page, 3);
	assert_int_equal(read_page("{\"items\":[],\"found\":90000,\"pages\":900}", 0, 100).found,
			 90000);
}

static void an_empty_page_is_a_page(void **state)
{
	struct jobs_page page = read_page("{\"items\":[]}", 0, 100);

	(void)state;
	assert_int_equal(page.found, 0);
	assert_int_equal(page.pages, 0);
	page = read_page("{\"items\":[],\"found\":null,\"pages\":-3}", 0, 100);
	assert_int_equal(page.found, 0);
	assert_int_equal(page.pages, 0);
}

static void more_items_than_a_page_holds_are_cut(void **state)
{
	json_t *items = json_array();
	json_t *body = json_pack("{s:o}", "items", items);
	struct jobs_page page;

	(void)state;
	for (int i = 0; i < 300; i++)
		(void)json_array_append_new(items, item());
	assert_int_equal(hh_vacancy_page(body, 0, 100, &arena, &page), 0);
	assert_int_equal(page.jobs.count, 100);
	assert_fits(RECORD_OF(jobs_page), &page);
	json_decref(body);
}

static void what_has_no_items_is_no_answer(void **state)
{
	static const char *const bodies[] = {"{}", "[]", "{\"items\":null}", "{\"items\":{}}"};
	struct jobs_page page;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		json_t *body = json_loads(bodies[i], 0, NULL);

		assert_int_equal(hh_vacancy_page(body, 0, 100, &arena, &page), -EBADMSG);
		json_decref(body);
	}
}

static void says_so_when_memory_is_out(void **state)
{
	json_t *body = json_pack("{s:[o]}", "items", item());
	struct jobs_page page;

	(void)state;
	for (size_t limit = 0; limit < 20000; limit += 16) {
		struct arena small;
		int rc;

		arena_init(&small, limit);
		rc = hh_vacancy_page(body, 0, 100, &small, &page);
		assert_true(rc == 0 || rc == -ENOMEM || rc == -EBADMSG);
		arena_fini(&small);
	}
	json_decref(body);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(reads_a_search_item),
		TEST(every_key_may_be_absent_or_null_or_odd),
		TEST(an_item_without_an_id_does_not_cost_its_page),
		TEST(pay_is_told_in_the_promised_words),
		TEST(long_texts_are_cut_at_characters),
		TEST(a_blank_title_gets_a_name),
		TEST(a_title_may_look_like_html),
		TEST(takes_ids_that_are_numbers_and_archived_as_text),
		TEST(turns_times_to_utc),
		TEST(reads_details),
		TEST(details_are_bounded),
		TEST(what_is_no_vacancy_is_no_answer),
		TEST(pages_end_at_hhs_depth),
		TEST(an_empty_page_is_a_page),
		TEST(more_items_than_a_page_holds_are_cut),
		TEST(what_has_no_items_is_no_answer),
		TEST(says_so_when_memory_is_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
