/* store.h - what the files of the store share: each handles some of its messages, one function a
 * message, which turns the request into a unit of work, and one that turns its rows into the reply.
 */
#ifndef ACTORS_STORE_STORE_H
#define ACTORS_STORE_STORE_H

#include "actors/runtime/actor.h"
#include "actors/store/listen.h"
#include "actors/store/pool.h"

/* The channels of NOTIFY; see listen.h. */
#define CHANNEL_SCHEDULES    "ugtj_schedules"
#define CHANNEL_EVENTS	     "ugtj_events"
#define CHANNEL_LIMITS	     "ugtj_limits"
#define CHANNEL_APPLICATIONS "ugtj_applications"

/* For a statement of its own, last in the unit of whatever changes a schedule. */
extern const struct sql notify_schedules;

struct store {
	struct pool *pool;
	struct listener *listener;
	struct actor_timer *prune_timer;
	struct actor_timer *workflow_timer;
	bool webhook;		   /* the BFF wants to be told of events */
	bool working_on_workflows; /* store_work_on_workflows() is under way */
};

/* A unit that answers call; the call's own deadline is its only one. NULL: no memory, and the call
 * was refused. */
struct unit *store_unit(struct actor *self, struct actor_call *call, unit_done_fn *done)
	__attribute__((warn_unused_result));

/* schedules.c */
actor_call_fn store_on_schedule_put, store_on_schedule_delete, store_on_schedule_due,
	store_on_schedule_get, store_on_schedules_list, store_on_claim, store_on_release;

/* runs.c */
actor_call_fn store_on_run_plan, store_on_run_page, store_on_run_end;

/* events.c */
actor_call_fn store_on_events_read, store_on_events_tail, store_on_webhook_claim,
	store_on_webhook_result;

/* Deletes events that are too old, some at a time, until none is left. */
void store_prune(struct actor *self);

/* secrets.c */
actor_call_fn store_on_secret_claim, store_on_secret_put;

/* limits.c */
actor_call_fn store_on_limiter_spend, store_on_limiter_status, store_on_limiter_reset,
	store_on_limiter_tick;

struct rate_limit;

/* A statement of unit that reads the user's bucket of applications; and what it gave. Its texts are
 * borrowed from rows. */
void store_read_limit_of(struct unit *unit, const char *user_id, const struct rate_limit *limit);
struct limiter_status store_read_limit(const PGresult *rows);

/* workflows.c */
actor_call_fn store_on_queue_add, store_on_queue_start, store_on_queue_customize,
	store_on_queue_progress, store_on_queue_pause, store_on_queue_resume, store_on_queue_cancel,
	store_on_queue_status;

/* Does what workflows do by themselves: prepares items, ends pauses. Nothing, while the last time is
 * under way. */
void store_work_on_workflows(struct actor *self);

/* The same as store_prune(), for what the rate limits keep. */
void store_prune_limits(struct actor *self);

/* accounts.c */
actor_call_fn store_on_account_claim, store_on_account_put, store_on_account_problem,
	store_on_account_release, store_on_oauth_state, store_on_exchange_begin,
	store_on_exchange_end, store_on_sealed_after, store_on_sealed_swap;

/* The same as store_prune(), for logins and what is kept of them. */
void store_prune_accounts(struct actor *self);

/* applications.c */
actor_call_fn store_on_application_get, store_on_applications_list, store_on_application_retry,
	store_on_applications_put, store_on_applications_claim, store_on_applications_note,
	store_on_applications_end, store_on_applications_read;

/* The same as store_prune(), for applications that are over. */
void store_prune_applications(struct actor *self);

#endif
