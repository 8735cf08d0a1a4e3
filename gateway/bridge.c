/* bridge.c - jobs between the threads of civetweb and the loop; see bridge.h. */
#include "gateway/bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/http_error.h"

/* The runtime ends a call exactly at its deadline. A thread waits a little longer, for the case
 * that the loop itself is stuck. */
#define PATIENCE_MS	1000

/* A request of CODEC_PUBLIC_MAX_BYTES, decoded. */
#define JOB_ARENA_BYTES ((size_t)16 * 1024 * 1024)

/* --- jobs --- */

static int condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;
	int rc = pthread_condattr_init(&attributes);

	if (rc != 0)
		return -rc;
	rc = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	if (rc == 0)
		rc = pthread_cond_init(condition, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	return -rc;
}

struct bridge_job *bridge_job_new(struct bridge *bridge)
{
	struct bridge_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	if (condition_init(&job->answered) < 0) {
		free(job);
		return NULL;
	}
	arena_init(&job->arena, JOB_ARENA_BYTES);
	job->bridge = bridge;
	atomic_init(&job->owners, 1);
	return job;
}

static void job_free(struct bridge_job *job)
{
	answer_fini(&job->answer);
	arena_fini(&job->arena);
	(void)pthread_cond_destroy(&job->answered);
	free(job);
}

void bridge_job_release(struct bridge_job **job)
{
	struct bridge_job *j = *job;

	*job = NULL;
	if (j != NULL && atomic_fetch_sub(&j->owners, 1) == 1)
		job_free(j);
}

/* The loop becomes an owner too. */
static void job_enlist(struct bridge *bridge, struct bridge_job *job)
{
	atomic_fetch_add(&job->owners, 1);
	job->prev = NULL;
	job->next = bridge->jobs;
	if (job->next != NULL)
		job->next->prev = job;
	bridge->jobs = job;
	*bridge->queue_end = job;
	bridge->queue_end = &job->queue_next;
	bridge->open++;
}

static void job_delist(struct bridge *bridge, struct bridge_job *job)
{
	if (job->prev != NULL)
		job->prev->next = job->next;
	else
		bridge->jobs = job->next;
	if (job->next != NULL)
		job->next->prev = job->prev;
	bridge->open--;
}

/* What the bridge itself has to say. Nobody else may look at job->answer now. */
static void job_refuse(struct bridge_job *job, enum msg_error error, const char *message)
{
	const struct failure failure = {.error = error_code(error), .message = message};
	const struct route_outcome outcome = {
		.error = error,
		.failure = &failure,
		.request_id = job->request_id,
		.trusted = job->trusted,
		.sessions = job->sessions,
	};

	job->route->answer(job->route, &outcome, &job->answer);
}

/* --- the loop's side --- */

/* The loop is done with the job. made, when not NULL, becomes its answer unless it has one. Its
 * thread is woken when the mutex is free, which is the first thing it wants. */
static void loop_finish(struct bridge_job *job, struct answer *made)
{
	struct bridge *bridge = job->bridge;

	(void)pthread_mutex_lock(&bridge->mutex);
	job_delist(bridge, job);
	if (!job->done_with && made != NULL) {
		job->answer = *made;
		*made = (struct answer){0};
		job->done_with = true;
	}
	(void)pthread_mutex_unlock(&bridge->mutex);
	(void)pthread_cond_signal(&job->answered);
	bridge_job_release(&job);
}

/* The struct of the reply is gone when this returns, so the answer is made here. */
static void on_answer(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct bridge_job *job = context;
	struct answer made = {0};
	const struct route_outcome outcome = {
		.error = answer->error,
		.body = answer->body,
		.failure = answer->failure,
		.request_id = job->request_id,
		.trusted = job->trusted,
		.sessions = job->sessions,
	};

	(void)self;
	job->route->answer(job->route, &outcome, &made);
	loop_finish(job, &made);
	answer_fini(&made);
}

static void loop_refuse(struct bridge_job *job, int rc)
{
	const enum msg_error error = rc == -ENOBUFS ? ERR_OVERLOADED : ERR_INTERNAL;
	const struct actor_answer answer = {.error = error};

	on_answer(job->bridge->self, &answer, job);
}

static void loop_send(struct bridge_job *job)
{
	struct actor *self = job->bridge->self;
	int64_t left_ms = job->deadline_ms - clock_mono_ms();
	int rc;

	actor_trace(self, job->request_id);
	rc = actor_call(self, job->route->message, job->request, left_ms > 1 ? left_ms : 1,
			on_answer, job);
	actor_trace(self, NULL);
	if (rc < 0)
		loop_refuse(job, rc);
}

/* The oldest job that waits for the loop, which takes it. *forgotten: nobody waits for it. */
static struct bridge_job *loop_take(struct bridge *bridge, bool *forgotten)
{
	struct bridge_job *job;

	(void)pthread_mutex_lock(&bridge->mutex);
	job = bridge->queue;
	if (job != NULL) {
		bridge->queue = job->queue_next;
		if (bridge->queue == NULL)
			bridge->queue_end = &bridge->queue;
		*forgotten = job->done_with;
	}
	(void)pthread_mutex_unlock(&bridge->mutex);
	return job;
}

static void on_wake(uv_async_t *handle)
{
	struct bridge *bridge = handle->data;
	struct bridge_job *job;
	bool forgotten;

	while ((job = loop_take(bridge, &forgotten)) != NULL) {
		if (forgotten)
			loop_finish(job, NULL);
		else
			loop_send(job);
	}
}

int bridge_open(struct bridge *bridge, struct actor *self, size_t max)
{
	int rc;

	*bridge = (struct bridge){.self = self, .max = max};
	rc = pthread_mutex_init(&bridge->mutex, NULL);
	if (rc != 0)
		return -rc;
	bridge->queue_end = &bridge->queue;
	bridge->wake.data = bridge;
	return uv_async_init(actor_loop(self), &bridge->wake, on_wake);
}

void bridge_shut(struct bridge *bridge)
{
	(void)pthread_mutex_lock(&bridge->mutex);
	bridge->closed = true;
	for (struct bridge_job *job = bridge->jobs; job != NULL; job = job->next) {
		if (job->done_with)
			continue;
		job_refuse(job, ERR_UNAVAILABLE, "the server is stopping");
		job->done_with = true;
		(void)pthread_cond_signal(&job->answered);
	}
	(void)pthread_mutex_unlock(&bridge->mutex);
}

void bridge_close(struct bridge *bridge)
{
	while (bridge->jobs != NULL)
		loop_finish(bridge->jobs, NULL);
	(void)pthread_mutex_destroy(&bridge->mutex);
}

/* --- the thread's side --- */

bool bridge_is_crowded(struct bridge *bridge)
{
	bool crowded;

	(void)pthread_mutex_lock(&bridge->mutex);
	crowded = bridge->open * 2 >= bridge->max;
	(void)pthread_mutex_unlock(&bridge->mutex);
	return crowded;
}

static enum msg_error hand_over(struct bridge_job *job)
{
	struct bridge *bridge = job->bridge;
	const bool vital = (job->route->flags & ROUTE_VITAL) != 0;
	enum msg_error error = ERR_NONE;

	(void)pthread_mutex_lock(&bridge->mutex);
	if (bridge->closed) {
		error = ERR_UNAVAILABLE;
	} else if (bridge->open >= bridge->max && !vital) {
		error = ERR_OVERLOADED;
	} else {
		job_enlist(bridge, job);
		(void)uv_async_send(&bridge->wake);
	}
	(void)pthread_mutex_unlock(&bridge->mutex);
	return error;
}

/* Whether the loop made an answer in time. If not, it never will. */
static bool wait_done(struct bridge_job *job)
{
	const int64_t until_ms = job->deadline_ms + PATIENCE_MS;
	const struct timespec until = {
		.tv_sec = until_ms / 1000,
		.tv_nsec = until_ms % 1000 * 1000000,
	};
	pthread_mutex_t *mutex = &job->bridge->mutex;
	bool made;
	int rc = 0;

	(void)pthread_mutex_lock(mutex);
	while (!job->done_with && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&job->answered, mutex, &until);
	made = job->done_with;
	job->done_with = true;
	(void)pthread_mutex_unlock(mutex);
	return made;
}

void bridge_run(struct bridge_job *job)
{
	enum msg_error error = hand_over(job);

	if (error == ERR_UNAVAILABLE)
		job_refuse(job, error, "the server is stopping");
	else if (error != ERR_NONE)
		job_refuse(job, error, "too many requests are being served");
	else if (!wait_done(job))
		job_refuse(job, ERR_TIMEOUT, "no answer within the deadline");
}
