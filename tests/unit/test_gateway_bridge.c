/* test_gateway_bridge.c - threads on one side, a loop on the other, and an actor of our own making:
 * who asks gets his answer, once, or is told why not. Meant to be run under ThreadSanitizer as
 * well. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "gateway/bridge.h"

#define HELD_MAX 64

/* --- the actor: holds calls, and answers them in another order --- */

struct held {
	actor_answer_fn *fn;
	void *context;
	char id[33];
};

struct actor {
	uv_loop_t loop;
	uv_timer_t tick;
	uv_async_t quit;
	struct held held[HELD_MAX];
	size_t held_count;
	bool silent;	/* keeps what it holds */
	int call_fails; /* actor_call() gives it, unless it is 0 */
	char last_trace[65];
};

static struct actor actor;
static struct bridge bridge;

uv_loop_t *actor_loop(struct actor *self)
{
	return &self->loop;
}

void actor_trace(struct actor *self, const char *trace)
{
	if (trace != NULL)
		(void)snprintf(self->last_trace, sizeof(self->last_trace), "%s", trace);
}

int actor_call(struct actor *self, enum msg_id id, const void *request, int64_t timeout_ms,
	       actor_answer_fn *fn, void *context)
{
	struct held *held = &self->held[self->held_count];

	if (self->call_fails != 0)
		return self->call_fails;
	if (id != MSG_JOBS_GET || timeout_ms <= 0 || self->held_count == HELD_MAX)
		return -EINVAL;
	held->fn = fn;
	held->context = context;
	(void)snprintf(held->id, sizeof(held->id), "%s", ((const struct job_id *)request)->id);
	self->held_count++;
	return 0;
}

static void answer_one(struct actor *self, size_t i)
{
	const struct held held = self->held[i];
	const struct job job = {
		.id = held.id, .hh_vacancy_id = held.id, .title = "t", .description = ""};
	const struct job_details details = {.job = &job};
	const struct actor_answer answer = {.error = ERR_NONE, .body = &details};

	self->held[i] = self->held[--self->held_count];
	held.fn(self, &answer, held.context);
}

static void on_tick(uv_timer_t *handle)
{
	struct actor *self = handle->data;

	for (size_t n = self->held_count; n > 0 && !self->silent; n--)
		answer_one(self, (size_t)rand() % self->held_count);
}

/* --- the threads --- */

static void answer_plainly(const struct route *route, const struct route_outcome *outcome,
			   struct answer *answer)
{
	const struct job_details *details = outcome->body;

	(void)route;
	answer_set(
		answer, outcome->error == ERR_NONE ? 200 : error_http_status(outcome->error),
		strdup(outcome->error == ERR_NONE ? details->job->id : error_code(outcome->error)));
}

static const struct route plain = {.message = MSG_JOBS_GET, .answer = answer_plainly};
static const struct route vital = {
	.message = MSG_JOBS_GET, .answer = answer_plainly, .flags = ROUTE_VITAL};

/* One request; gives the status, and in text, of 64 bytes, the body. */
static int ask(const struct route *route, const char *id, int64_t timeout_ms, char *text)
{
	struct bridge_job *job = bridge_job_new(&bridge);
	struct job_id *request;
	int status;

	if (job == NULL)
		return -1;
	request = arena_alloc(&job->arena, sizeof(*request));
	request->id = arena_strdup(&job->arena, id);
	job->route = route;
	job->request = request;
	job->deadline_ms = clock_mono_ms() + timeout_ms;
	(void)snprintf(job->request_id, sizeof(job->request_id), "r-%s", id);
	bridge_run(job);
	status = job->answer.status;
	(void)snprintf(text, 64, "%s", job->answer.body);
	bridge_job_release(&job);
	return status;
}

static atomic_int right;
static atomic_int running;

static void thread_ends(void)
{
	if (atomic_fetch_sub(&running, 1) == 1)
		(void)uv_async_send(&actor.quit);
}

static void *ask_often(void *number)
{
	char id[33];
	char text[64];

	for (int i = 0; i < 300; i++) {
		(void)snprintf(id, sizeof(id), "%d-%d", *(const int *)number, i);
		if (ask(&plain, id, 10000, text) == 200 && strcmp(text, id) == 0)
			atomic_fetch_add(&right, 1);
	}
	thread_ends();
	return NULL;
}

struct once {
	const struct route *route;
	int64_t timeout_ms;
	int status;
	char text[64];
};

static void *ask_once(void *context)
{
	struct once *once = context;

	once->status = ask(once->route, "1", once->timeout_ms, once->text);
	thread_ends();
	return NULL;
}

/* --- each test's loop --- */

static void on_quit(uv_async_t *handle)
{
	uv_stop(handle->loop);
}

static int setup(void **state)
{
	(void)state;
	memset(&actor, 0, sizeof(actor));
	atomic_store(&right, 0);
	atomic_store(&running, 0);
	if (uv_loop_init(&actor.loop) < 0 || uv_timer_init(&actor.loop, &actor.tick) < 0 ||
	    uv_async_init(&actor.loop, &actor.quit, on_quit) < 0)
		return -1;
	actor.tick.data = &actor;
	return uv_timer_start(&actor.tick, on_tick, 1, 1) < 0 || bridge_open(&bridge, &actor, 4) < 0
		       ? -1
		       : 0;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
	(void)unused;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static int teardown(void **state)
{
	(void)state;
	bridge_close(&bridge);
	uv_walk(&actor.loop, close_handle, NULL);
	(void)uv_run(&actor.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&actor.loop);
}

static pthread_t start_thread(void *(*body)(void *), void *context)
{
	pthread_t thread;

	atomic_fetch_add(&running, 1);
	assert_int_equal(pthread_create(&thread, NULL, body, context), 0);
	return thread;
}

/* Runs the loop until so many calls have come. */
static void run_until_held(size_t count)
{
	while (actor.held_count < count)
		(void)uv_run(&actor.loop, UV_RUN_ONCE);
}

/* --- tests --- */

static void each_thread_gets_its_own_answers(void **state)
{
	int numbers[4] = {0, 1, 2, 3};
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		threads[i] = start_thread(ask_often, &numbers[i]);
	(void)uv_run(&actor.loop, UV_RUN_DEFAULT);
	for (int i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&right), 4 * 300);
	assert_int_equal(bridge.open, 0);
}

static void the_fifth_of_four_is_refused_unless_it_is_vital(void **state)
{
	struct once waiting[5];
	pthread_t threads[5];
	char text[64];

	(void)state;
	actor.silent = true;
	for (int i = 0; i < 5; i++) {
		waiting[i] = (struct once){.route = i == 4 ? &vital : &plain, .timeout_ms = 10000};
		threads[i] = start_thread(ask_once, &waiting[i]);
		run_until_held((size_t)i + 1);
	}
	assert_int_equal(ask(&plain, "1", 10000, text), 503);
	assert_string_equal(text, "overloaded");
	actor.silent = false;
	(void)uv_run(&actor.loop, UV_RUN_DEFAULT);
	for (int i = 0; i < 5; i++) {
		(void)pthread_join(threads[i], NULL);
		assert_int_equal(waiting[i].status, 200);
	}
}

static void an_answer_that_comes_too_late_is_dropped(void **state)
{
	struct once once = {.route = &plain, .timeout_ms = 1};
	pthread_t thread = start_thread(ask_once, &once);

	(void)state;
	actor.silent = true;
	(void)uv_run(&actor.loop, UV_RUN_DEFAULT);
	(void)pthread_join(thread, NULL);
	assert_int_equal(once.status, 504);
	assert_int_equal(bridge.open, 1);
	answer_one(&actor, 0);
	assert_int_equal(bridge.open, 0);
}

static void a_loop_that_is_stuck_is_not_waited_for(void **state)
{
	char text[64];

	(void)state;
	assert_int_equal(ask(&plain, "1", 1, text), 504);
	assert_string_equal(text, "timeout");
	(void)uv_run(&actor.loop, UV_RUN_ONCE);
	assert_int_equal(bridge.open, 0);
	assert_int_equal(actor.held_count, 0); /* nobody waits for it: it is not sent */
}

static void what_cannot_be_sent_is_said(void **state)
{
	struct once once = {.route = &plain, .timeout_ms = 10000};
	pthread_t thread;

	(void)state;
	actor.call_fails = -ENOBUFS;
	thread = start_thread(ask_once, &once);
	(void)uv_run(&actor.loop, UV_RUN_DEFAULT);
	(void)pthread_join(thread, NULL);
	assert_string_equal(once.text, "overloaded");
	actor.call_fails = -ENOMEM;
	thread = start_thread(ask_once, &once);
	(void)uv_run(&actor.loop, UV_RUN_DEFAULT);
	(void)pthread_join(thread, NULL);
	assert_string_equal(once.text, "internal");
}

static void a_bridge_that_is_shut_answers_all_who_wait_and_carries_nobody(void **state)
{
	struct once sent = {.route = &plain, .timeout_ms = 10000};
	struct once queued = {.route = &vital, .timeout_ms = 10000};
	pthread_t threads[2];
	char text[64];
	size_t open;

	(void)state;
	actor.silent = true;
	threads[0] = start_thread(ask_once, &sent);
	run_until_held(1);
	threads[1] = start_thread(ask_once, &queued);
	do { /* until it is handed over; the loop does not run */
		(void)pthread_mutex_lock(&bridge.mutex);
		open = bridge.open;
		(void)pthread_mutex_unlock(&bridge.mutex);
	} while (open < 2);
	bridge_shut(&bridge);
	for (int i = 0; i < 2; i++)
		(void)pthread_join(threads[i], NULL);
	assert_string_equal(sent.text, "unavailable");
	assert_string_equal(queued.text, "unavailable");
	assert_int_equal(ask(&vital, "1", 10000, text), 503);
	assert_int_equal(bridge.open, 2); /* the loop lets go of them at the end */
}

static void the_request_id_is_the_trace(void **state)
{
	struct once once = {.route = &plain, .timeout_ms = 10000};
	pthread_t thread = start_thread(ask_once, &once);

	(void)state;
	(void)uv_run(&actor.loop, UV_RUN_DEFAULT);
	(void)pthread_join(thread, NULL);
	assert_string_equal(actor.last_trace, "r-1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_thread_gets_its_own_answers),
		TEST(the_fifth_of_four_is_refused_unless_it_is_vital),
		TEST(an_answer_that_comes_too_late_is_dropped),
		TEST(a_loop_that_is_stuck_is_not_waited_for),
		TEST(what_cannot_be_sent_is_said),
		TEST(a_bridge_that_is_shut_answers_all_who_wait_and_carries_nobody),
		TEST(the_request_id_is_the_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
