/* submitter.c - applies at HH: takes applications, sends each once, and says what became of it.
 *
 * Answers  APPLICATION_SUBMIT: committed first, then answered with the outcome, or as it stands when
 *          the caller's time is up
 * Accepts  APPLICATIONS_CHANGED (one may be due, or was ended, here or on another node)
 * Calls    store (puts, claims, notes, ends), hh_client (resume, application, account)
 * Owns     those who wait, and the way of what is in flight. Nothing of it must last: what was
 *          committed is in the store, a caller's message is carried over, and what was in flight is
 *          claimed anew, at once by the next generation, by another node when the lease ends.
 * Never    sends before it is committed that it does, nor again before it has asked HH.
 *
 * submissions.c has those who submit, sending.c what is in flight, batch.c how both talk to the store, and
 * verdict.c what a failure means. Here is the claim: every SYNC_MS, since it renews the leases, and
 * as soon as something may be due and there is room for it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "actors/actors.h"
#include "actors/submitter/sending.h"
#include "actors/submitter/submissions.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"

#define SYNC_MS	   2000
#define LEASE_MS   8000 /* another node takes over after this; three syncs fit in */
#define CLAIM_MS   4000 /* the leases outlive a claim that is not answered, and the next one */
#define CLAIM_MAX  100	/* the catalogue's limit */
#define HELD_MAX   1000
#define DUE_MIN_MS 50	/* what another node is about to claim is due as well */
#define STOP_MS	   3500 /* what is in flight then is claimed anew */

struct submitter {
	char node[SETTING_NODE_NAME_SIZE];
	struct submissions submissions;
	struct sender sender;
	size_t room; /* at most so many in flight */
	bool claiming;
	bool claim_again;
	struct actor_timer *sync_timer;
	struct actor_timer *due_timer;
	bool submissions_is_idle;
	bool hurried; /* asked to stop long enough ago */
	bool ended;
};

/* --- claims --- */

static void claim(struct actor *self);
static void end_when_idle(struct actor *self);

static void on_due_timer(struct actor *self, void *unused)
{
	struct submitter *s = actor_state(self);

	(void)unused;
	s->due_timer = NULL;
	claim(self);
}

static void claim_when_due(struct actor *self, int64_t due_ms)
{
	struct submitter *s = actor_state(self);

	actor_timer_stop(&s->due_timer);
	if (due_ms < SYNC_MS)
		s->due_timer = actor_timer_start(self, due_ms < DUE_MIN_MS ? DUE_MIN_MS : due_ms, 0,
						 on_due_timer, NULL);
}

static void on_claimed(struct actor *self, const struct actor_answer *answer, void *unused)
{
	struct submitter *s = actor_state(self);
	const struct applications_claimed *claimed = answer->body;
	bool more;

	(void)unused;
	s->claiming = false;
	more = s->claim_again;
	s->claim_again = false;
	if (answer->error != ERR_NONE) {
		log_warn("submitter.claim_failed", "error=%s", answer->failure->error);
		actor_degraded(self, "applications cannot be claimed");
		return; /* the next sync tries again */
	}
	actor_degraded(self, NULL);
	for (size_t i = 0; i < claimed->work.count; i++)
		sender_take(&s->sender, &claimed->work.items[i]);
	more = more || claimed->work.count == CLAIM_MAX;
	if (more && s->sender.count < s->room)
		claim(self);
	else if (claimed->next_due_ms.set)
		claim_when_due(self, claimed->next_due_ms.value);
}

/* Renews what is held, and claims as much as there is room for. */
static void claim(struct actor *self)
{
	struct submitter *s = actor_state(self);
	struct application_lease held[HELD_MAX];
	size_t room = s->sender.count < s->room ? s->room - s->sender.count : 0;
	const struct applications_claim request = {
		.node = s->node,
		.held = {.items = held, .count = sender_held(&s->sender, held)},
		.limit = (int64_t)(actor_stopping(self) ? 0
				   : room < CLAIM_MAX	? room
							: CLAIM_MAX),
		.ttl_ms = LEASE_MS,
	};

	if (s->claiming) {
		s->claim_again = true;
		return;
	}
	s->claiming =
		actor_call(self, MSG_APPLICATIONS_CLAIM, &request, CLAIM_MS, on_claimed, NULL) == 0;
}

static void claim_if_room(struct actor *self)
{
	const struct submitter *s = actor_state(self);

	if (s->sender.count < s->room && !actor_stopping(self))
		claim(self);
}

static void on_sync_timer(struct actor *self, void *unused)
{
	(void)unused;
	claim(self);
}

/* --- what others say --- */

static void on_told(struct actor *self, const struct application *application)
{
	struct submitter *s = actor_state(self);

	submissions_told(&s->submissions, application);
}

static void on_freed(struct actor *self)
{
	claim_if_room(self);
	end_when_idle(self);
}

static void on_submit(struct actor *self, struct actor_call *call, const void *request)
{
	struct submitter *s = actor_state(self);

	submissions_take(&s->submissions, call, request);
}

static void on_changed(struct actor *self, const void *body)
{
	struct submitter *s = actor_state(self);

	(void)body;
	submissions_rung(&s->submissions);
	claim_if_room(self);
}

/* --- the actor --- */

static int submitter_init(struct actor *self)
{
	struct submitter *s = actor_state(self);

	srandom((unsigned)getpid() ^ (unsigned)clock_mono_us());
	(void)setting_node_name(s->node);
	s->room = (size_t)setting_int(MAX_SUBMISSIONS);
	submissions_init(&s->submissions, self);
	sender_init(&s->sender, self, on_told, on_freed);
	s->sync_timer = actor_timer_start(self, 0, SYNC_MS, on_sync_timer, NULL);
	return s->sync_timer == NULL ? -ENOMEM : 0;
}

/* Those who wait are answered, and what is in flight may reach its end. */
static void end_when_idle(struct actor *self)
{
	struct submitter *s = actor_state(self);

	if (s->ended || !actor_stopping(self))
		return;
	if (!s->hurried && (!s->submissions_is_idle || s->sender.count > 0))
		return;
	s->ended = true;
	actor_stopped(self);
}

static void on_desk_idle(struct actor *self)
{
	struct submitter *s = actor_state(self);

	s->submissions_is_idle = true;
	end_when_idle(self);
}

static void on_stop_timer(struct actor *self, void *unused)
{
	struct submitter *s = actor_state(self);

	(void)unused;
	s->hurried = true;
	end_when_idle(self);
}

static void submitter_stop(struct actor *self)
{
	struct submitter *s = actor_state(self);

	if (actor_timer_start(self, STOP_MS, 0, on_stop_timer, NULL) == NULL)
		s->hurried = true;
	submissions_close(&s->submissions, on_desk_idle);
	end_when_idle(self);
}

static void submitter_terminate(struct actor *self)
{
	struct submitter *s = actor_state(self);

	actor_timer_stop(&s->sync_timer);
	actor_timer_stop(&s->due_timer);
	submissions_fini(&s->submissions);
	sender_fini(&s->sender);
}

static const struct actor_call_clause submitter_calls[] = {
	{MSG_APPLICATION_SUBMIT, on_submit},
	{MSG_NONE, NULL},
};

static const struct actor_cast_clause submitter_casts[] = {
	{MSG_APPLICATIONS_CHANGED, on_changed},
	{MSG_NONE, NULL},
};

const struct actor_spec submitter_spec = {
	.state_size = sizeof(struct submitter),
	.init = submitter_init,
	.calls = submitter_calls,
	.casts = submitter_casts,
	.stop = submitter_stop,
	.terminate = submitter_terminate,
};
