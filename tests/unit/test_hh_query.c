/* test_hh_query.c - searches of the catalogue as HH's query strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "actors/hh_client/hh_query.h"

#define LIST_OF(...)                                                                               \
	((struct strs){.items = (const char *const[]){__VA_ARGS__},                                \
		       .count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)})

/* 2026-11-25T00:12:34.567Z */
#define NOW_MS	  INT64_C(1795565554567)
#define MINUTE_MS INT64_C(60000)
#define DAY_MS	  (24 * 60 * MINUTE_MS)

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, (size_t)4 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static const char *build(const struct search *search)
{
	const struct hh_query query = {
		.record = RECORD_OF(search), .search = search, .per_page = 100};

	return hh_query_build(&query, &arena);
}

static void always_names_page_and_size(void **state)
{
	const struct search search = {0};

	(void)state;
	assert_string_equal(build(&search), "page=0&per_page=100");
}

static void leaves_an_empty_text_out(void **state)
{
	const struct search search = {.text = ""};

	(void)state;
	assert_string_equal(build(&search), "page=0&per_page=100");
}

static void escapes_all_but_the_unreserved(void **state)
{
	const struct search search = {.text = "C++ & \"C#\" NAME:(а OR b)~-._/?=%"};

	(void)state;
	assert_string_equal(
		build(&search),
		"text=C%2B%2B%20%26%20%22C%23%22%20NAME%3A%28%D0%B0%20OR%20b%29~-._%2F%3F%3D"
		"%25&page=0&per_page=100");
}

static void repeats_parameters_sorted_and_once(void **state)
{
	const struct search search = {
		.area = LIST_OF("2", "1", "2"),
		.experience = LIST_OF("between1And3", "noExperience"),
	};

	(void)state;
	assert_string_equal(build(&search), "area=1&area=2&experience=between1And3&experience="
					    "noExperience&page=0&per_page=100");
}

static void knows_every_field_of_a_search(void **state)
{
	const struct search search = {
		.text = "t",
		.area = LIST_OF("1"),
		.experience = LIST_OF("1"),
		.employment = LIST_OF("1"),
		.schedule = LIST_OF("1"),
		.employment_form = LIST_OF("1"),
		.work_format = LIST_OF("1"),
		.work_schedule_by_days = LIST_OF("1"),
		.working_hours = LIST_OF("1"),
		.professional_role = LIST_OF("1"),
		.industry = LIST_OF("1"),
		.metro = LIST_OF("6.8"),
		.employer_id = LIST_OF("1"),
		.search_field = LIST_OF("name"),
		.label = LIST_OF("x"),
		.education = LIST_OF("higher"),
		.excluded_text = "php,1c",
		.salary = OPT_INT_OF(100000),
		.currency = "RUR",
		.only_with_salary = true,
		.period = OPT_INT_OF(7),
		.order_by = "salary_desc",
	};
	const char *got = build(&search);

	(void)state;
	assert_string_equal(
		got,
		"text=t&area=1&experience=1&employment=1&schedule=1&employment_form=1"
		"&work_format=1&work_schedule_by_days=1&working_hours=1&professional_role=1"
		"&industry=1&metro=6.8&employer_id=1&search_field=name&label=x&education=higher"
		"&excluded_text=php%2C1c&salary=100000&currency=RUR&only_with_salary=true&period=7"
		"&order_by=salary_desc&page=0&per_page=100");
	for (const struct field *f = RECORD_OF(search)->fields(); f->name != NULL; f++)
		assert_non_null(strstr(got, f->name));
}

static void leaves_a_currency_without_salary_out(void **state)
{
	const struct search search = {.currency = "RUR"};

	(void)state;
	assert_string_equal(build(&search), "page=0&per_page=100");
}

static void builds_from_an_interactive_search_the_same(void **state)
{
	const struct jobs_search search = {
		.text = "t", .area = LIST_OF("1"), .page = 3, .user_id = "u"};
	const struct hh_query query = {
		.record = RECORD_OF(jobs_search), .search = &search, .page = 3, .per_page = 50};

	(void)state;
	assert_string_equal(hh_query_build(&query, &arena), "text=t&area=1&page=3&per_page=50");
}

static void orders_by_what_the_search_says_else_by_the_default(void **state)
{
	const struct search given = {.order_by = "relevance"};
	const struct search none = {0};
	struct hh_query query = {.record = RECORD_OF(search),
				 .search = &given,
				 .order_by = "publication_time",
				 .per_page = 100};

	(void)state;
	assert_string_equal(hh_query_build(&query, &arena),
			    "order_by=relevance&page=0&per_page=100");
	query.search = &none;
	assert_string_equal(hh_query_build(&query, &arena),
			    "order_by=publication_time&page=0&per_page=100");
}

static const char *build_from(const struct search *search, int64_t from_ms)
{
	const struct hh_query query = {
		.record = RECORD_OF(search),
		.search = search,
		.date_from_ms = OPT_INT_OF(from_ms),
		.now_ms = NOW_MS,
		.per_page = 100,
	};

	return hh_query_build(&query, &arena);
}

static void rounds_date_from_down_to_five_minutes(void **state)
{
	const struct search search = {0};

	(void)state;
	assert_string_equal(build_from(&search, NOW_MS),
			    "date_from=2026-11-25T00%3A10%3A00%2B0000&page=0&per_page=100");
	assert_string_equal(build_from(&search, NOW_MS),
			    build_from(&search, NOW_MS - 2 * MINUTE_MS));
	assert_string_equal(build_from(&search, -5),
			    "date_from=1970-01-01T00%3A00%3A00%2B0000&page=0&per_page=100");
	assert_non_null(build_from(&search, INT64_MAX));
}

static void sends_the_later_start_of_period_and_date_from(void **state)
{
	const struct search week = {.period = OPT_INT_OF(7)};

	(void)state;
	assert_string_equal(build_from(&week, NOW_MS - DAY_MS),
			    "date_from=2026-11-24T00%3A10%3A00%2B0000&page=0&per_page=100");
	assert_string_equal(build_from(&week, NOW_MS - 30 * DAY_MS),
			    "date_from=2026-11-18T00%3A10%3A00%2B0000&page=0&per_page=100");
}

static void fails_cleanly_without_memory(void **state)
{
	const struct search search = {.text = "some text", .area = LIST_OF("1", "2")};

	(void)state;
	for (size_t limit = 0; limit < 200; limit += 8) {
		struct arena small;

		arena_init(&small, limit);
		{
			const struct hh_query query = {
				.record = RECORD_OF(search), .search = &search, .per_page = 100};
			const char *got = hh_query_build(&query, &small);

			if (got != NULL)
				assert_string_equal(
					got, "text=some%20text&area=1&area=2&page=0&per_page=100");
		}
		arena_fini(&small);
	}
}

static void knows_hhs_depth(void **state)
{
	(void)state;
	assert_true(hh_query_within_depth(19, 100));
	assert_false(hh_query_within_depth(20, 100));
	assert_true(hh_query_within_depth(1999, 1));
	assert_false(hh_query_within_depth(28, 70));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(always_names_page_and_size),
		TEST(leaves_an_empty_text_out),
		TEST(escapes_all_but_the_unreserved),
		TEST(repeats_parameters_sorted_and_once),
		TEST(knows_every_field_of_a_search),
		TEST(leaves_a_currency_without_salary_out),
		TEST(builds_from_an_interactive_search_the_same),
		TEST(orders_by_what_the_search_says_else_by_the_default),
		TEST(rounds_date_from_down_to_five_minutes),
		TEST(sends_the_later_start_of_period_and_date_from),
		TEST(fails_cleanly_without_memory),
		TEST(knows_hhs_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
