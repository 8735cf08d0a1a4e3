/* test_actor.c - an actor that dies of the messages that tell it to. It stands where hh_client does.
 *
 * Answers  JOBS_GET: the vacancy's id says what becomes of the actor before the answer
 *            abort, segv, exit... it ends itself that way
 *            dawdle               it takes its time in the handler
 *            spin                 it never returns from the handler
 *            later-abort          it aborts when the answer to a call of its own has come
 *            wait                 it answers with the next one that it answers, or when it is to stop
 *            anything else        nothing: it answers
 * Logs     timer.fired, when a timer that init started has come to its end
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/runtime/actor.h"
#include "base/clock.h"
#include "base/log.h"

#define DAWDLE_MS 300 /* below what makes a message suspect (BLAME_HELD_MS) */
#define TIMER_MS  500

struct tester {
	struct actor_call *waiting;
	int64_t init_ms;
};

static void answer(struct actor_call *call, const char *id)
{
	const struct job job = {
		.id = id, .hh_vacancy_id = id, .title = "a vacancy", .description = ""};
	const struct job_details details = {.job = &job};

	actor_reply(call, &details);
}

static void answer_waiting(struct tester *t)
{
	struct actor_call *waiting = t->waiting;

	t->waiting = NULL;
	if (waiting != NULL)
		answer(waiting, "wait");
}

static void answer_all(struct tester *t, struct actor_call *call, const char *id)
{
	answer_waiting(t);
	answer(call, id);
}

static void on_tree(struct actor *self, const struct actor_answer *answer_of_tree, void *context)
{
	(void)self;
	(void)answer_of_tree;
	(void)context;
	abort();
}

/* Volatile, so that the compiler does not know better. */
static int *volatile nowhere;
static volatile int going = 1;

static __attribute__((noinline)) void die_of_a_bad_pointer(void)
{
	*nowhere = 1;
}

static void on_get(struct actor *self, struct actor_call *call, const void *request)
{
	const char *id = ((const struct job_id *)request)->id;
	struct tester *t = actor_state(self);

	if (strcmp(id, "abort") == 0)
		abort();
	if (strcmp(id, "segv") == 0)
		die_of_a_bad_pointer();
	if (strncmp(id, "exit", 4) == 0)
		_exit(9);
	while (strcmp(id, "spin") == 0 && going)
		;
	if (strcmp(id, "dawdle") == 0)
		for (int64_t end = clock_mono_ms() + DAWDLE_MS; clock_mono_ms() < end;)
			;
	if (strcmp(id, "wait") == 0)
		t->waiting = call;
	else if (strcmp(id, "later-abort") != 0)
		answer_all(t, call, id);
	else if (actor_call(self, MSG_TREE_STATE, &(struct empty){0}, 0, on_tree, NULL) < 0)
		actor_refuse(call, ERR_INTERNAL, NULL, "cannot ask");
}

static void on_timer(struct actor *self, void *unused)
{
	const struct tester *t = actor_state(self);

	(void)unused;
	log_info("timer.fired", "after_ms=%lld", (long long)(clock_mono_ms() - t->init_ms));
}

/* BEHAVIOUR_DIR/no-init makes it a failed start. */
static int init(struct actor *self)
{
	struct tester *t = actor_state(self);
	char path[4096];

	t->init_ms = clock_mono_ms();
	if (actor_timer_start(self, TIMER_MS, 0, on_timer, NULL) == NULL)
		return -ENOMEM;
	(void)snprintf(path, sizeof(path), "%s/no-init", getenv("BEHAVIOUR_DIR"));
	return access(path, F_OK) == 0 ? -ENODATA : 0;
}

static void on_stop(struct actor *self)
{
	answer_waiting(actor_state(self));
	actor_stopped(self);
}

static const struct actor_call_clause calls[] = {
	{MSG_JOBS_GET, on_get},
	{MSG_NONE, NULL},
};

static const struct actor_spec spec = {
	.state_size = sizeof(struct tester),
	.init = init,
	.calls = calls,
	.stop = on_stop,
};

int main(int argc, char **argv)
{
	return actor_main(&spec, argc, argv);
}
