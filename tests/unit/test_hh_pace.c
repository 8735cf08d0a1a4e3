/* test_hh_pace.c - never more than the limit in any second, as HH counts, and slower after a 429.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "actors/hh_client/hh_pace.h"

#define SECOND INT64_C(1000000)

static struct hh_pace pace;

static int teardown(void **state)
{
	(void)state;
	hh_pace_fini(&pace);
	return 0;
}

static void start(double max_rps)
{
	assert_int_equal(hh_pace_init(&pace, max_rps), 0);
}

/* Sends as fast as it lets us for seconds, each request being written after a delay of up to
 * delay_us; gives the most that HH counts in any second, and how many there were. */
static int most_in_a_second(double max_rps, int64_t delay_us, int seconds, int *total)
{
	static int64_t written[200000];
	int count = 0;
	int most = 0;

	start(max_rps);
	srandom(1);
	for (int64_t now = SECOND; now < (seconds + 1) * SECOND;) {
		int64_t ready = hh_pace_ready_us(&pace, now);

		if (ready > now) {
			now = ready;
			continue;
		}
		hh_pace_take(&pace, now);
		now += delay_us == 0 ? 0 : random() % delay_us;
		hh_pace_written(&pace, now);
		written[count++] = now;
	}
	for (int i = 0; i < count; i++) {
		int within = 0;

		for (int k = i; k < count && written[k] <= written[i] + SECOND; k++)
			within++;
		most = within > most ? within : most;
	}
	*total = count;
	hh_pace_fini(&pace);
	return most;
}

static void never_more_than_the_limit_in_any_second(void **state)
{
	static const double rates[] = {1, 2, 3, 10, 50, 333, 1000};
	int total;

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		assert_in_range(most_in_a_second(rates[i], 0, 20, &total), 1, rates[i]);
		assert_true(total >= rates[i] * 20 * 0.88); /* and not much less */
		assert_in_range(most_in_a_second(rates[i], 300000 / (int64_t)rates[i], 20, &total),
				1, rates[i]);
	}
}

static void less_than_one_a_second_too(void **state)
{
	int total;

	(void)state;
	assert_int_equal(most_in_a_second(0.5, 0, 60, &total), 1);
	assert_in_range(total, 28, 30);
}

static void does_not_send_a_burst_in_one_blow(void **state)
{
	(void)state;
	start(4);
	hh_pace_take(&pace, SECOND);
	hh_pace_written(&pace, SECOND);
	assert_in_range(hh_pace_ready_us(&pace, SECOND), SECOND + 1, SECOND + SECOND / 4);
}

static void waits_for_requests_that_are_not_written_yet(void **state)
{
	(void)state;
	start(2);
	hh_pace_take(&pace, SECOND);
	hh_pace_take(&pace, 2 * SECOND);
	assert_int_equal(hh_pace_ready_us(&pace, 60 * SECOND), HH_PACE_NEVER);
	hh_pace_written(&pace, 60 * SECOND); /* it took so long to connect */
	assert_in_range(hh_pace_ready_us(&pace, 60 * SECOND), 61 * SECOND, 62 * SECOND);
	hh_pace_untake(&pace); /* the other one never was */
	assert_in_range(hh_pace_ready_us(&pace, 60 * SECOND), 0, 60 * SECOND);
}

static void everybody_is_still_after_a_429(void **state)
{
	(void)state;
	start(10);
	hh_pace_slow_down(&pace, SECOND, 3000);
	assert_int_equal(hh_pace_ready_us(&pace, SECOND), 4 * SECOND);
	hh_pace_slow_down(&pace, SECOND, 1000); /* a shorter one does not shorten it */
	assert_int_equal(hh_pace_ready_us(&pace, SECOND), 4 * SECOND);
}

static int sent_in(int64_t from, int64_t until)
{
	int count = 0;

	for (int64_t now = from; now < until;) {
		int64_t ready = hh_pace_ready_us(&pace, now);

		if (ready > now) {
			now = ready;
			continue;
		}
		hh_pace_take(&pace, now);
		hh_pace_written(&pace, now);
		count++;
	}
	return count;
}

static void goes_slower_after_a_429_and_recovers(void **state)
{
	int slow;

	(void)state;
	start(10);
	hh_pace_slow_down(&pace, SECOND, 1000);
	hh_pace_slow_down(&pace, SECOND + 1, 1000); /* of the same moment: one lesson */
	slow = sent_in(2 * SECOND, 8 * SECOND);
	assert_in_range(slow, 25, 35);	    /* half of ten a second */
	hh_pace_content(&pace, 9 * SECOND); /* too early */
	assert_int_equal(pace.slowed, 1);
	hh_pace_content(&pace, 13 * SECOND);
	assert_int_equal(pace.slowed, 0);
	assert_in_range(sent_in(14 * SECOND, 20 * SECOND), 50, 60);
}

static void never_stops_altogether_however_often_429_comes(void **state)
{
	(void)state;
	start(10);
	for (int i = 1; i <= 20; i++)
		hh_pace_slow_down(&pace, i * 10 * SECOND, 100);
	assert_in_range(sent_in(300 * SECOND, 310 * SECOND), 10, 20);
}

static void estimates_by_the_pace(void **state)
{
	(void)state;
	start(10);
	assert_int_equal(hh_pace_estimate_ms(&pace, SECOND, 0), 0);
	assert_int_equal(hh_pace_estimate_ms(&pace, SECOND, 100), 11000);
	hh_pace_slow_down(&pace, SECOND, 5000);
	assert_int_equal(hh_pace_estimate_ms(&pace, SECOND, 0), 5000);
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(never_more_than_the_limit_in_any_second),
		TEST(less_than_one_a_second_too),
		TEST(does_not_send_a_burst_in_one_blow),
		TEST(waits_for_requests_that_are_not_written_yet),
		TEST(everybody_is_still_after_a_429),
		TEST(goes_slower_after_a_429_and_recovers),
		TEST(never_stops_altogether_however_often_429_comes),
		TEST(estimates_by_the_pace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
