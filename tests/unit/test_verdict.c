/* test_verdict.c - what a failed step means for an application. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "actors/submitter/verdict.h"

static void time_mends_what_is_not_hhs_refusal(void **state)
{
	static const enum msg_error mends[] = {ERR_DOWN,    ERR_OVERLOADED, ERR_UNAVAILABLE,
					       ERR_TIMEOUT, ERR_INTERNAL,   ERR_RATE_LIMITED};
	static const enum msg_error fails[] = {
		ERR_HH_LOGIN_REQUIRED, ERR_HH_CLOSED,	    ERR_HH_CAPTCHA,	 ERR_LIMIT_EXCEEDED,
		ERR_HH_REFUSED,	       ERR_ALREADY_APPLIED, ERR_MISSING_EMAIL,	 ERR_BAD_REQUEST,
		ERR_HH_AUTH,	       ERR_NOT_FOUND,	    ERR_LETTER_REQUIRED, ERR_TEST_REQUIRED};

	(void)state;
	for (size_t i = 0; i < sizeof(mends) / sizeof(mends[0]); i++)
		assert_true(verdict_of(mends[i], 0, 0, 0).again);
	for (size_t i = 0; i < sizeof(fails) / sizeof(fails[0]); i++) {
		assert_false(verdict_of(fails[i], 0, 0, 0).again);
		assert_false(verdict_of(fails[i], FAILURES_MAX, 0, 0).dead);
	}
}

static void delays_grow_to_ten_minutes_and_are_spread_over_their_half(void **state)
{
	(void)state;
	assert_int_equal(verdict_of(ERR_UNAVAILABLE, 0, 0, 0).retry_in_ms, 500);
	assert_int_equal(verdict_of(ERR_UNAVAILABLE, 0, 0, 1).retry_in_ms, 250);
	assert_int_equal(verdict_of(ERR_UNAVAILABLE, 3, 0, 0).retry_in_ms, 4000);
	assert_int_equal(verdict_of(ERR_UNAVAILABLE, 22, 0, 0).retry_in_ms, 600000);
	assert_int_equal(verdict_of(ERR_UNAVAILABLE, 22, 0, 1).retry_in_ms, 300000);
}

static void hhs_word_is_kept_where_it_is_longer(void **state)
{
	(void)state;
	assert_int_equal(verdict_of(ERR_RATE_LIMITED, 0, 30000, 1).retry_in_ms, 30000);
	assert_int_equal(verdict_of(ERR_RATE_LIMITED, 0, 100, 0).retry_in_ms, 500);
}

static void an_outage_of_an_hour_kills_nothing_and_one_of_a_day_does(void **state)
{
	int64_t waited_ms = 0;
	int64_t failures = 0;

	(void)state;
	while (verdict_of(ERR_UNAVAILABLE, failures, 0, 1).again)
		waited_ms += verdict_of(ERR_UNAVAILABLE, failures++, 0, 1).retry_in_ms;
	assert_true(verdict_of(ERR_UNAVAILABLE, failures, 0, 1).dead);
	assert_in_range(waited_ms, 3000000, 86400000);
}

static void a_new_resume_is_asked_for_within_its_minute(void **state)
{
	int64_t waited_ms = 0;

	(void)state;
	for (int64_t failures = 0; failures < 8; failures++) {
		struct verdict verdict = verdict_of_new_resume(failures, 0);

		assert_true(verdict.again);
		waited_ms += verdict.retry_in_ms;
	}
	assert_in_range(waited_ms, 30000, 60000);
	assert_in_range(verdict_of_new_resume(0, 1).retry_in_ms, 250, 1000);
}

static void only_some_failures_leave_it_open_whether_hh_has_it(void **state)
{
	(void)state;
	assert_true(verdict_unknown(ERR_DOWN, NULL));
	assert_true(verdict_unknown(ERR_TIMEOUT, "{\"sent\": true}"));
	assert_true(verdict_unknown(ERR_UNAVAILABLE, "no json"));
	assert_true(verdict_unknown(ERR_INTERNAL, NULL));
	assert_false(verdict_unknown(ERR_UNAVAILABLE, "{\"sent\": false}"));
	assert_false(verdict_unknown(ERR_RATE_LIMITED, NULL));
	assert_false(verdict_unknown(ERR_OVERLOADED, NULL));
	assert_false(verdict_unknown(ERR_TEST_REQUIRED, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_mends_what_is_not_hhs_refusal),
		cmocka_unit_test(delays_grow_to_ten_minutes_and_are_spread_over_their_half),
		cmocka_unit_test(hhs_word_is_kept_where_it_is_longer),
		cmocka_unit_test(an_outage_of_an_hour_kills_nothing_and_one_of_a_day_does),
		cmocka_unit_test(a_new_resume_is_asked_for_within_its_minute),
		cmocka_unit_test(only_some_failures_leave_it_open_whether_hh_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
