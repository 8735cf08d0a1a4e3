/* test_hh_share.c - requests under way are found, pages are kept for as long and as many as will
 * do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "actors/hh_client/hh_share.h"

static struct hh_share share;

static int setup(void **state)
{
	(void)state;
	hh_share_init(&share, (size_t)100 * 1024);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hh_share_fini(&share);
	return 0;
}

static void keep(const char *key, size_t size, int64_t found, int64_t now_ms)
{
	const struct jobs_page page = {.found = found};
	struct arena arena;

	arena_init(&arena, (size_t)1 << 20);
	assert_non_null(arena_alloc(&arena, size));
	hh_share_keep(&share, key, &arena, &page, now_ms);
	assert_null(arena.chunks); /* it took it, whatever it did with it */
}

static int64_t found(const char *key, int64_t max_age_ms, int64_t now_ms)
{
	const struct jobs_page *page = hh_share_page(&share, key, max_age_ms, now_ms);

	return page == NULL ? -1 : page->found;
}

static void finds_the_request_under_way(void **state)
{
	struct hh_flight a = {.key = "/a"};
	struct hh_flight b = {.key = "/b"};

	(void)state;
	assert_int_equal(hh_share_depart(&share, &a), 0);
	assert_int_equal(hh_share_depart(&share, &b), 0);
	assert_ptr_equal(hh_share_flight(&share, "/a"), &a);
	assert_null(hh_share_flight(&share, "/c"));
	hh_share_land(&share, &a);
	assert_null(hh_share_flight(&share, "/a"));
	hh_share_land(&share, &b);
}

static void landing_does_not_end_anothers_flight(void **state)
{
	struct hh_flight first = {.key = "/a"};
	struct hh_flight stranger = {.key = "/a"};

	(void)state;
	assert_int_equal(hh_share_depart(&share, &first), 0);
	hh_share_land(&share, &stranger);
	assert_ptr_equal(hh_share_flight(&share, "/a"), &first);
	hh_share_land(&share, &first);
}

static void gives_a_page_that_is_young_enough(void **state)
{
	(void)state;
	keep("/a", 100, 7, 1000);
	assert_int_equal(found("/a", 500, 1500), 7);
	assert_int_equal(found("/a", 500, 1501), -1);
	assert_int_equal(found("/a", 600, 1501), 7); /* another may be content with it */
	assert_int_equal(found("/b", 500, 1000), -1);
}

static void a_newer_page_takes_the_place_of_the_older(void **state)
{
	(void)state;
	keep("/a", 100, 7, 1000);
	keep("/a", 100, 8, 2000);
	assert_int_equal(found("/a", 500, 2500), 8);
}

static void lets_the_least_recently_used_go(void **state)
{
	(void)state;
	keep("/a", 30000, 1, 1000);
	keep("/b", 30000, 2, 1000);
	keep("/c", 30000, 3, 1000);
	assert_int_equal(found("/a", 1000, 1000), 1); /* used */
	keep("/d", 30000, 4, 1000);
	assert_int_equal(found("/b", 1000, 1000), -1);
	assert_int_equal(found("/a", 1000, 1000), 1);
	assert_int_equal(found("/c", 1000, 1000), 3);
	assert_int_equal(found("/d", 1000, 1000), 4);
	assert_true(share.bytes <= share.limit_bytes);
}

static void does_not_keep_what_is_too_large(void **state)
{
	(void)state;
	keep("/a", 100, 1, 1000);
	keep("/huge", 200000, 2, 1000);
	assert_int_equal(found("/huge", 1000, 1000), -1);
	assert_int_equal(found("/a", 1000, 1000), 1);
}

static void forgets_what_is_too_old_for_anybody(void **state)
{
	(void)state;
	keep("/a", 100, 1, 1000);
	keep("/b", 100, 2, 1000 + 600001);
	assert_int_equal(found("/a", 10000000, 1000), -1);
}

static void counts_its_bytes_down_to_nothing(void **state)
{
	char key[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "/%d", i % 37);
		keep(key, (size_t)(i * 7919 % 20000), i, 1000);
		assert_true(share.bytes <= share.limit_bytes);
	}
	hh_share_fini(&share);
	assert_int_equal(share.bytes, 0);
	assert_null(share.pages);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(finds_the_request_under_way),
		TEST(landing_does_not_end_anothers_flight),
		TEST(gives_a_page_that_is_young_enough),
		TEST(a_newer_page_takes_the_place_of_the_older),
		TEST(lets_the_least_recently_used_go),
		TEST(does_not_keep_what_is_too_large),
		TEST(forgets_what_is_too_old_for_anybody),
		TEST(counts_its_bytes_down_to_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
