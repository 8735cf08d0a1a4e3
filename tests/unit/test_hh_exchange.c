/* test_hh_exchange.c - the exchange of a code or a refresh token has ended before the right to it
 * has, whatever HH and the pace do, and no attempt is cut short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_exchange.h"

/* --- the clock, timers and libcurl, as the linker puts them in --- */

#define START_MS INT64_C(1000000)

static int64_t now_ms;

struct actor_timer {
	struct actor_timer *next;
	int64_t at_ms;
	actor_timer_fn *fn;
	void *context;
};

static struct actor_timer *timers;

static struct {
	bool under_way;
	int64_t sent_ms;
	int64_t timeout_ms;
	hh_http_done_fn *done;
	void *context;
} http;

int64_t __wrap_clock_mono_ms(void);
int64_t __wrap_clock_mono_us(void);
struct actor_timer *__wrap_actor_timer_start(struct actor *self, int64_t delay_ms,
					     int64_t repeat_ms, actor_timer_fn *fn, void *context);
void __wrap_actor_timer_stop(struct actor_timer **timer);
bool __wrap_actor_stopping(const struct actor *self);
void __wrap_actor_degraded(struct actor *self, const char *why);
size_t __wrap_hh_http_count(const struct hh_http *unused);
int __wrap_hh_http_send(struct hh_http *unused, const struct hh_http_request *request,
			hh_http_written_fn *written, hh_http_done_fn *done, void *context);

int64_t __wrap_clock_mono_ms(void)
{
	return now_ms;
}

int64_t __wrap_clock_mono_us(void)
{
	return now_ms * 1000;
}

struct actor_timer *__wrap_actor_timer_start(struct actor *self, int64_t delay_ms,
					     int64_t repeat_ms, actor_timer_fn *fn, void *context)
{
	struct actor_timer *timer = malloc(sizeof(*timer));

	(void)self;
	assert_non_null(timer);
	assert_int_equal(repeat_ms, 0);
	*timer = (struct actor_timer){
		.next = timers, .at_ms = now_ms + delay_ms, .fn = fn, .context = context};
	timers = timer;
	return timer;
}

void __wrap_actor_timer_stop(struct actor_timer **timer)
{
	struct actor_timer **link = &timers;

	if (*timer == NULL)
		return;
	while (*link != *timer)
		link = &(*link)->next;
	*link = (*timer)->next;
	free(*timer);
	*timer = NULL;
}

bool __wrap_actor_stopping(const struct actor *self)
{
	(void)self;
	return false;
}

void __wrap_actor_degraded(struct actor *self, const char *why)
{
	(void)self;
	(void)why;
}

size_t __wrap_hh_http_count(const struct hh_http *unused)
{
	(void)unused;
	return http.under_way ? 1 : 0;
}

int __wrap_hh_http_send(struct hh_http *unused, const struct hh_http_request *request,
			hh_http_written_fn *written, hh_http_done_fn *done, void *context)
{
	(void)unused;
	assert_false(http.under_way);
	http.under_way = true;
	http.sent_ms = now_ms;
	http.timeout_ms = request->timeout_ms;
	http.done = done;
	http.context = context;
	written(context);
	return 0;
}

/* Lets time pass; what is due is done in order. */
static void pass(int64_t ms)
{
	int64_t end_ms = now_ms + ms;

	for (;;) {
		struct actor_timer *due = NULL;
		struct actor_timer copy;

		for (struct actor_timer *t = timers; t != NULL; t = t->next)
			if (t->at_ms <= end_ms && (due == NULL || t->at_ms < due->at_ms))
				due = t;
		if (due == NULL)
			break;
		copy = *due;
		__wrap_actor_timer_stop(&due);
		now_ms = copy.at_ms > now_ms ? copy.at_ms : now_ms;
		copy.fn(NULL, copy.context);
	}
	now_ms = end_ms;
}

/* HH does not answer: the attempt takes all of its time. */
static void time_out(void)
{
	const struct hh_http_response response = {.curl = CURLE_OPERATION_TIMEDOUT};

	pass(http.sent_ms + http.timeout_ms - now_ms);
	http.under_way = false;
	http.done(http.context, &response);
}

/* --- an exchange --- */

static struct hh_traffic traffic;
static int told;
static int64_t told_ms;

static void on_told(void *context, const struct hh_judgement *judgement, const json_t *json)
{
	(void)context;
	assert_null(json);
	assert_int_equal(judgement->verdict, HH_TRY_AGAIN);
	told++;
	told_ms = now_ms;
}

static int setup(void **state)
{
	(void)state;
	now_ms = START_MS;
	told = 0;
	traffic = (struct hh_traffic){0};
	http.under_way = false;
	hh_queue_init(&traffic.queue, 1, 1);
	return hh_pace_init(&traffic.pace, 1000) < 0 ||
	       hh_exchange_send(&traffic, strdup("grant_type=refresh_token"), on_told, NULL) < 0;
}

static int teardown(void **state)
{
	(void)state;
	hh_exchange_free_all(&traffic);
	__wrap_actor_timer_stop(&traffic.pump);
	hh_queue_fini(&traffic.queue);
	hh_pace_fini(&traffic.pace);
	return timers != NULL;
}

static void ended_in_time(void)
{
	assert_int_equal(told, 1);
	assert_null(traffic.exchanges);
	assert_true(told_ms <= START_MS + HH_EXCHANGE_LIVES_MS);
	assert_true(HH_EXCHANGE_LIVES_MS + HH_RIGHT_ASKED_MS < HH_RIGHT_TTL_MS);
}

static void it_ends_before_the_right_where_hh_never_answers(void **state)
{
	(void)state;
	pass(0);
	for (int attempts = 1; told == 0; attempts++) {
		assert_in_range(attempts, 1, 3);
		assert_true(http.under_way);
		time_out();
		pass(1000);
	}
	ended_in_time();
}

static void an_attempt_that_begins_late_has_all_its_time(void **state)
{
	(void)state;
	/* A 429 of somebody else's comes between the exchange and its turn. */
	hh_pace_slow_down(&traffic.pace, now_ms * 1000, 34000);
	pass(34900);
	assert_true(http.under_way);
	assert_int_equal(http.timeout_ms, HH_EXCHANGE_TIMEOUT_MS);
	time_out();
	ended_in_time();
}

static void one_that_gets_no_turn_in_time_is_not_sent(void **state)
{
	(void)state;
	hh_pace_slow_down(&traffic.pace, now_ms * 1000, 3600000);
	pass(HH_EXCHANGE_LIVES_MS);
	assert_false(http.under_way);
	ended_in_time();
	pass(3600000);
	assert_false(http.under_way);
	assert_int_equal(told, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_ends_before_the_right_where_hh_never_answers,
						setup, teardown),
		cmocka_unit_test_setup_teardown(an_attempt_that_begins_late_has_all_its_time, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_that_gets_no_turn_in_time_is_not_sent, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
