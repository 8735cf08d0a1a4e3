/* test_restart_policy.c - the supervisor's policy, without a clock and without a process. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervisor/restart.h"

#define ANY_RANDOM 12345

static struct restart_window window_of(unsigned max, int64_t period_ms)
{
	struct restart_window w;

	assert_int_equal(restart_window_init(&w, max, period_ms), 0);
	return w;
}

/* --- who is restarted --- */

static void restart_type_and_way_of_ending_decide(void **test)
{
	static const struct {
		enum restart_type type;
		enum restart_event event;
		enum restart_action up;	   /* it was up */
		enum restart_action start; /* it was not */
	} cases[] = {
		{RESTART_PERMANENT, ENDED_NORMALLY, DO_RESTART, DO_RETRY},
		{RESTART_PERMANENT, ENDED_BADLY, DO_RESTART, DO_RETRY},
		{RESTART_PERMANENT, ENDED_CONFIG, DO_REFUSE, DO_REFUSE},
		{RESTART_TRANSIENT, ENDED_NORMALLY, DO_NOTHING, DO_NOTHING},
		{RESTART_TRANSIENT, ENDED_BADLY, DO_RESTART, DO_RETRY},
		{RESTART_TRANSIENT, ENDED_CONFIG, DO_REFUSE, DO_REFUSE},
		{RESTART_TEMPORARY, ENDED_NORMALLY, DO_NOTHING, DO_NOTHING},
		{RESTART_TEMPORARY, ENDED_BADLY, DO_NOTHING, DO_NOTHING},
		{RESTART_TEMPORARY, ENDED_CONFIG, DO_REFUSE, DO_REFUSE},
	};
	struct restart_window w = window_of(100, 1000);

	(void)test;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct restart_state state = {.type = cases[i].type, .was_up = true};

		assert_int_equal(restart_decide(&state, cases[i].event, &w, 0, ANY_RANDOM).action,
				 cases[i].up);
		state.was_up = false;
		assert_int_equal(restart_decide(&state, cases[i].event, &w, 0, ANY_RANDOM).action,
				 cases[i].start);
	}
	restart_window_fini(&w);
}

/* --- intensity --- */

static struct restart_decision die(struct restart_window *w, bool dynamic, int64_t now_ms)
{
	struct restart_state state = {.was_up = true, .dynamic = dynamic};

	return restart_decide(&state, ENDED_BADLY, w, now_ms, ANY_RANDOM);
}

static void as_many_restarts_as_allowed_and_not_one_more(void **test)
{
	struct restart_window w = window_of(3, 1000);

	(void)test;
	for (unsigned i = 1; i <= 3; i++) {
		struct restart_decision d = die(&w, false, i);

		assert_int_equal(d.action, DO_RESTART);
		assert_int_equal(d.attempt, i);
		assert_int_equal(d.limit, 3);
	}
	assert_int_equal(die(&w, false, 4).action, DO_ESCALATE);
	restart_window_fini(&w);
}

static void a_dynamic_child_is_put_aside_instead(void **test)
{
	struct restart_window w = window_of(1, 1000);

	(void)test;
	assert_int_equal(die(&w, true, 0).action, DO_RESTART);
	assert_int_equal(die(&w, true, 1).action, DO_QUARANTINE);
	restart_window_fini(&w);
}

static void the_window_slides(void **test)
{
	struct restart_window w = window_of(2, 1000);

	(void)test;
	assert_int_equal(die(&w, false, 0).action, DO_RESTART);
	assert_int_equal(die(&w, false, 600).action, DO_RESTART);
	assert_int_equal(die(&w, false, 1001).action, DO_RESTART);  /* the first is forgotten */
	assert_int_equal(die(&w, false, 1600).action, DO_ESCALATE); /* 600 is not: just within */
	restart_window_fini(&w);
}

static void nothing_is_allowed_when_no_restart_is(void **test)
{
	struct restart_window w = window_of(0, 1000);

	(void)test;
	assert_int_equal(die(&w, false, 0).action, DO_ESCALATE);
	restart_window_fini(&w);
}

static void cleared_the_budget_is_whole_again(void **test)
{
	struct restart_window w = window_of(1, 1000);

	(void)test;
	assert_int_equal(die(&w, false, 0).action, DO_RESTART);
	restart_window_clear(&w);
	assert_int_equal(restart_window_count(&w, 1), 0);
	assert_int_equal(die(&w, false, 1).action, DO_RESTART);
	assert_int_equal(die(&w, false, 2).action, DO_ESCALATE);
	restart_window_fini(&w);
}

static void what_does_not_come_back_does_not_count(void **test)
{
	struct restart_state state = {.type = RESTART_TEMPORARY, .was_up = true};
	struct restart_window w = window_of(5, 1000);

	(void)test;
	(void)restart_decide(&state, ENDED_BADLY, &w, 0, ANY_RANDOM);
	state.type = RESTART_PERMANENT;
	(void)restart_decide(&state, ENDED_CONFIG, &w, 0, ANY_RANDOM);
	state.was_up = false;
	(void)restart_decide(&state, ENDED_BADLY, &w, 0, ANY_RANDOM);
	assert_int_equal(restart_window_count(&w, 0), 0);
	restart_window_fini(&w);
}

/* --- failing starts --- */

static void backoff_doubles_up_to_its_limit_and_is_spread(void **test)
{
	int64_t middle = BACKOFF_FIRST_MS;

	(void)test;
	for (unsigned failed = 1; failed < 100; failed++) {
		int64_t least = restart_backoff_ms(failed, 0);
		int64_t most = restart_backoff_ms(failed, (uint32_t)middle);

		assert_int_equal(least, middle / 2);
		assert_int_equal(most, middle + middle / 2);
		for (uint32_t random = 0; random < 1000; random++) {
			int64_t delay = restart_backoff_ms(failed, random * 4294967u);

			assert_in_range(delay, least, most);
		}
		middle = middle * 2 < BACKOFF_MAX_MS ? middle * 2 : BACKOFF_MAX_MS;
	}
	assert_int_equal(middle, BACKOFF_MAX_MS);
}

static void a_static_child_that_cannot_start_is_tried_for_ever(void **test)
{
	struct restart_state state = {.was_up = false};
	struct restart_window w = window_of(1, 1000);

	(void)test;
	for (unsigned i = 0; i < 10000; i++) {
		struct restart_decision d;

		state.failed_starts = i;
		d = restart_decide(&state, ENDED_BADLY, &w, i, ANY_RANDOM);
		assert_int_equal(d.action, DO_RETRY);
		assert_int_equal(d.attempt, i + 1);
		assert_int_equal(d.limit, 0);
		assert_in_range(d.delay_ms, BACKOFF_FIRST_MS / 2, BACKOFF_MAX_MS * 3 / 2);
	}
	restart_window_fini(&w);
}

static void a_dynamic_child_that_cannot_start_is_put_aside_at_its_limit(void **test)
{
	struct restart_state state = {.dynamic = true, .max_failed_starts = 3};
	struct restart_window w = window_of(1, 1000);

	(void)test;
	state.failed_starts = 1;
	assert_int_equal(restart_decide(&state, ENDED_BADLY, &w, 0, ANY_RANDOM).action, DO_RETRY);
	state.failed_starts = 2;
	assert_int_equal(restart_decide(&state, ENDED_BADLY, &w, 0, ANY_RANDOM).action,
			 DO_QUARANTINE);
	restart_window_fini(&w);
}

/* --- who is to blame --- */

static void
a_message_is_blamed_for_what_the_actor_does_to_itself_and_for_what_does_not_return(void **test)
{
	static const struct {
		enum control_death death;
		int32_t code;
		bool outside;
		bool at_once; /* blamed, however short it was in hand */
		bool stuck;   /* blamed when it was in hand for BLAME_HELD_MS */
	} cases[] = {
		{DEATH_EXIT, 0, false, false, false},
		{DEATH_EXIT, 78, false, false, false},
		{DEATH_EXIT, 71, false, true, true},
		{DEATH_EXIT, 99, true, true, true},
		{DEATH_SIGNAL, SIGSEGV, false, true, true},
		{DEATH_SIGNAL, SIGSEGV, true, false, true},
		{DEATH_SIGNAL, SIGKILL, false, false, true},
		{DEATH_SIGNAL, SIGKILL, true, false, true},
		{DEATH_HEARTBEAT, 9, true, false, true},
		{DEATH_MEMORY, 9, true, false, true},
		{DEATH_STOP, 9, true, false, true},
		{DEATH_REQUESTED, 9, true, false, false},
	};

	(void)test;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(restart_blames_message(cases[i].death, cases[i].code,
							cases[i].outside, BLAME_HELD_MS - 1),
				 cases[i].at_once);
		assert_int_equal(restart_blames_message(cases[i].death, cases[i].code,
							cases[i].outside, BLAME_HELD_MS),
				 cases[i].stuck);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restart_type_and_way_of_ending_decide),
		cmocka_unit_test(as_many_restarts_as_allowed_and_not_one_more),
		cmocka_unit_test(a_dynamic_child_is_put_aside_instead),
		cmocka_unit_test(the_window_slides),
		cmocka_unit_test(nothing_is_allowed_when_no_restart_is),
		cmocka_unit_test(cleared_the_budget_is_whole_again),
		cmocka_unit_test(what_does_not_come_back_does_not_count),
		cmocka_unit_test(backoff_doubles_up_to_its_limit_and_is_spread),
		cmocka_unit_test(a_static_child_that_cannot_start_is_tried_for_ever),
		cmocka_unit_test(a_dynamic_child_that_cannot_start_is_put_aside_at_its_limit),
		cmocka_unit_test(
			a_message_is_blamed_for_what_the_actor_does_to_itself_and_for_what_does_not_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
