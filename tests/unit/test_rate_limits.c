/* test_rate_limits.c - the setting RATE_LIMITS; refusals that are remembered; the node's share in the
 * common clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "actors/rate_limiter/refusal_cache.h"
#include "actors/rate_limiter/ticker.h"
#include "base/rate_limits.h"

#define USER  "0f8fad5b-d9cb-469f-a165-70867728950e"
#define OTHER "1f8fad5b-d9cb-469f-a165-70867728950e"

static const struct rate_limit twenty = {.capacity = 20, .per_hour = 8};

/* --- the setting --- */

static void finds_the_limit_of_each_action(void **state)
{
	struct rate_limit limit;

	(void)state;
	assert_int_equal(setenv("RATE_LIMITS", " a=1/2\tab=1000000/1  b=3/4 ", 1), 0);
	assert_true(rate_limit_of("ab", &limit));
	assert_int_equal(limit.capacity, 1000000);
	assert_int_equal(limit.per_hour, 1);
	assert_true(rate_limit_of("a", &limit));
	assert_int_equal(limit.capacity, 1);
	assert_false(rate_limit_of("", &limit));
	assert_false(rate_limit_of("abc", &limit));
	assert_int_equal(limit.capacity, 1);
}

static void application_is_always_limited(void **state)
{
	struct rate_limit limit;

	(void)state;
	assert_int_equal(setenv("RATE_LIMITS", "b=3/4", 1), 0);
	assert_true(rate_limit_of("application", &limit));
	assert_int_equal(limit.capacity, 20);
	assert_int_equal(limit.per_hour, 8);
	assert_int_equal(setenv("RATE_LIMITS", "b=3/4 application=5/6", 1), 0);
	assert_true(rate_limit_of("application", &limit));
	assert_int_equal(limit.per_hour, 6);
}

static void what_is_no_list_is_told(void **state)
{
	static const char *const wrong[] = {
		"a",	       "a=",	      "a=1",
		"a=1/",	       "a=1/2/3",     "a=0/1",
		"a=1/0",       "a=-1/1",      "=1/2",
		"a=1/x",       "a=1/1000001", "a=1000001/1",
		"a=1/2,b=1/2", "a = 1/2",     "a=1 /2",
		"a=1/2 b",     "a=1/2 b=3",   "a=99999999999999999999/1"};
	static const char *const right[] = {"", " ", "a=1/2", "\ta=1/2  b-c.d_e=1000000/1000000 "};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (rate_limits_problem(wrong[i]) == NULL)
			fail_msg("\"%s\" was taken", wrong[i]);
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		if (rate_limits_problem(right[i]) != NULL)
			fail_msg("\"%s\" was not taken", right[i]);
	assert_non_null(strstr(rate_limits_problem("a=1/2 b=1/2 a=3/4"), "twice"));
}

/* --- refusals --- */

static struct refusal_cache refusals;
static struct refusal_terms terms;

static int setup(void **state)
{
	(void)state;
	refusal_cache_clear(&refusals);
	return 0;
}

static void a_refusal_holds_until_its_token_has_come(void **state)
{
	(void)state;
	refusal_cache_note(&refusals, USER, "application", 0.5, 1000);
	assert_true(refusal_cache_hold(&refusals, USER, "application", 1, &twenty, 1000, &terms));
	assert_int_equal(terms.retry_ms, 225000);
	assert_true(refusal_cache_hold(&refusals, USER, "application", 1, &twenty, 225999, &terms));
	assert_int_equal(terms.retry_ms, 1);
	assert_false(
		refusal_cache_hold(&refusals, USER, "application", 1, &twenty, 226000, &terms));
	assert_true(refusal_cache_hold(&refusals, USER, "application", 2, &twenty, 226000, &terms));
}

static void what_is_not_known_is_not_refused(void **state)
{
	(void)state;
	assert_false(refusal_cache_hold(&refusals, USER, "application", 1, &twenty, 0, &terms));
	refusal_cache_note(&refusals, USER, "application", 0, 0);
	assert_false(refusal_cache_hold(&refusals, OTHER, "application", 1, &twenty, 0, &terms));
	assert_false(refusal_cache_hold(&refusals, USER, "search", 1, &twenty, 0, &terms));
	assert_false(refusal_cache_hold(&refusals, USER, "application", 21, &twenty, 0, &terms));
	refusal_cache_clear(&refusals);
	assert_false(refusal_cache_hold(&refusals, USER, "application", 1, &twenty, 0, &terms));
}

/* --- the clock --- */

static int64_t at(const struct ticker *ticker, int64_t boot_ms)
{
	struct opt_int time = ticker_at(ticker, boot_ms);

	assert_true(time.set);
	return time.value;
}

static void our_own_reading_is_gone_on_from_exactly(void **state)
{
	struct ticker ticker = {0};
	const struct limiter_time ours = {.at_ms = 5000, .boot_ms = OPT_INT_OF(100)};

	(void)state;
	assert_false(ticker_at(&ticker, 100).set);
	ticker_heard(&ticker, &ours, 180);
	assert_int_equal(at(&ticker, 200), 5100);
	for (int64_t boot_ms = 1100; boot_ms < 100000; boot_ms += 1000) {
		const struct limiter_time tick = {
			.at_ms = at(&ticker, boot_ms),
			.boot_ms = OPT_INT_OF(boot_ms),
		};

		ticker_heard(&ticker, &tick, boot_ms + 77); /* the way there costs nothing */
	}
	assert_int_equal(at(&ticker, 200000), 204900);
}

static void a_node_that_is_ahead_is_followed_and_one_behind_is_not(void **state)
{
	struct ticker ticker = {0};
	const struct limiter_time first = {.at_ms = 5000};
	const struct limiter_time behind = {.at_ms = 5500};
	const struct limiter_time ahead = {.at_ms = 9000};

	(void)state;
	ticker_heard(&ticker, &first, 100);
	ticker_heard(&ticker, &behind, 1100);
	assert_int_equal(at(&ticker, 1100), 6000);
	ticker_heard(&ticker, &ahead, 2100);
	assert_int_equal(at(&ticker, 2100), 9000);
}

/* Each hears the row late, by as much as 900 ms; the row is never ahead of the first node's clock. */
static void two_nodes_do_not_push_each_other_ahead(void **state)
{
	struct ticker nodes[2] = {{0}};
	int64_t row = 0;
	int64_t boots[2] = {0, 123456};
	int64_t advanced_at = 0;
	size_t owner = 0;

	(void)state;
	for (int64_t now = 0; now < 1000000; now += 500) {
		size_t n = (size_t)(now / 500) % 2;
		struct opt_int wanted = ticker_at(&nodes[n], boots[n] + now);
		int64_t heard_at = now + (now * 7) % 900;
		struct limiter_time time;

		if (wanted.set && wanted.value > row) {
			row = wanted.value;
			owner = n;
			advanced_at = now;
		}
		time.at_ms = row;
		time.boot_ms =
			owner == n ? OPT_INT_OF(boots[n] + advanced_at) : (struct opt_int){0};
		ticker_heard(&nodes[n], &time, boots[n] + heard_at);
		assert_true(row <= now);
	}
	assert_true(row > 1000000 - 3000);
}

static void a_boot_has_one_name(void **state)
{
	char one[TICKER_BOOT_SIZE];
	char two[TICKER_BOOT_SIZE];

	(void)state;
	assert_string_equal(ticker_boot(one), ticker_boot(two));
	assert_true(strlen(one) >= 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_limit_of_each_action),
		cmocka_unit_test(application_is_always_limited),
		cmocka_unit_test(what_is_no_list_is_told),
		cmocka_unit_test_setup(a_refusal_holds_until_its_token_has_come, setup),
		cmocka_unit_test_setup(what_is_not_known_is_not_refused, setup),
		cmocka_unit_test(our_own_reading_is_gone_on_from_exactly),
		cmocka_unit_test(a_node_that_is_ahead_is_followed_and_one_behind_is_not),
		cmocka_unit_test(two_nodes_do_not_push_each_other_ahead),
		cmocka_unit_test(a_boot_has_one_name),
	};

	return cmocka_run_group_tests_name("rate_limits", tests, NULL, NULL);
}
