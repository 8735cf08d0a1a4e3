/* bridge.h - how a thread of the HTTP server has a message sent by the actor's loop, and waits.
 *
 * The actor's functions belong to the loop's thread. A thread puts its request into a job and hands
 * it over (mutex, queue, uv_async_send: the one call of libuv that is safe from any thread), then
 * sleeps on the job's condition until the loop has made the answer, or until the deadline. A job
 * has two owners, the thread and the loop, and goes when both have let go of it: a thread that gave
 * up leaves the loop nothing that dangles.
 *
 * Functions marked [loop] are called from the loop's thread, [any] from any other.
 */
#ifndef GATEWAY_BRIDGE_H
#define GATEWAY_BRIDGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "actors/runtime/actor.h"
#include "base/arena.h"
#include "gateway/answer.h"
#include "gateway/request_id.h"
#include "gateway/routes.h"

struct bridge;

struct bridge_job {
	/* filled in by the thread before bridge_run() */
	const struct route *route;
	const void *request; /* the message's struct, in arena */
	struct arena arena;
	char request_id[REQUEST_ID_SIZE];
	bool trusted;
	const struct session_key *sessions;
	int64_t deadline_ms; /* CLOCK_MONOTONIC */

	/* made by the bridge */
	struct answer answer;

	/* the bridge's own, under its mutex but for owners */
	struct bridge *bridge;
	struct bridge_job *queue_next; /* while it waits for the loop */
	struct bridge_job *prev;       /* while the loop owns it */
	struct bridge_job *next;
	bool done_with; /* answer is made, or nobody waits for it any more */
	atomic_int owners;
	pthread_cond_t answered;
};

struct bridge {
	struct actor *self;
	uv_async_t wake;
	pthread_mutex_t mutex;
	struct bridge_job *queue; /* handed over and not looked at by the loop, oldest first */
	struct bridge_job **queue_end;
	struct bridge_job *jobs; /* all that the loop owns, those in the queue included */
	size_t open;		 /* so many */
	size_t max;		 /* more are refused, but for vital routes */
	bool closed;
};

/* [loop] Makes a bridge that carries at most max jobs at once. Returns 0 or a negative errno. */
int bridge_open(struct bridge *bridge, struct actor *self, size_t max)
	__attribute__((warn_unused_result));

/* [any] Whether half of what may wait at once does: then nobody should wait for what can be asked
 * for later. */
bool bridge_is_crowded(struct bridge *bridge);

/* [any] A new job, NULL when out of memory. */
struct bridge_job *bridge_job_new(struct bridge *bridge);

/* [any] Sends the job's message and waits. job->answer is made in any case: by the route's
 * function, or one that says why not (overloaded, timeout, stopping). */
void bridge_run(struct bridge_job *job);

/* [any] Lets go of *job, clears it. NULL is fine. */
void bridge_job_release(struct bridge_job **job);

/* [loop] From now on nothing is carried: whoever waits is answered with 503 at once, and so is
 * whoever comes. */
void bridge_shut(struct bridge *bridge);

/* [loop] Frees what the loop still owns. No thread may use the bridge any more, and no answer of an
 * actor may come any more. */
void bridge_close(struct bridge *bridge);

#endif
