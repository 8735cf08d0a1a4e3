/* scheduler.c - sees to it that each schedule in our keeping has a fetcher, and no other has.
 *
 * Answers  SCHEDULE_PUT, SCHEDULE_DELETE, SCHEDULE_FETCH (written by the store, then acted upon),
 *          SCHEDULER_LEASE (to fetchers)
 * Accepts  SCHEDULES_CHANGED (somebody, perhaps on another node, changed a schedule)
 * Calls    store (claims and renews leases), the supervisor (starts and stops fetchers)
 * Owns     the list of leases, as the store gave it last. A restart asks the store again, and the
 *          supervisor which fetchers are running.
 *
 * Everything happens in sync: claim at the store, then compare what we hold with what runs. It is
 * run every SYNC_MS, and at once after each change; what is asked for meanwhile is one more. Now
 * and then the supervisor is asked what really runs: a fetcher that somebody stopped by hand is
 * forgotten there without a word to us.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "actors/actors.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"
#include "proto/control.h"

#define SYNC_MS	  3000
#define GAP_MS	  50	/* between two syncs: a claim's answer is as long as all our leases */
#define LEASE_MS  10000 /* another node takes over after this; three syncs fit in */
#define LOOK_MS	  15000 /* how often the supervisor is asked what runs */
#define STOP_MS	  2000	/* what is not answered by then does not hold up our end */
#define PREFIX	  "fetcher:"
#define USER_SIZE 37

struct held {
	char user[USER_SIZE];
	int64_t token;
	int64_t revision;
	bool leased;  /* in the store's last answer */
	bool running; /* the supervisor has a child for it */
	bool seen;    /* by the look that is under way */
};

struct scheduler {
	char node[SETTING_NODE_NAME_SIZE];
	struct held **held; /* sorted by user */
	size_t count;
	size_t room;
	bool looked; /* the fetchers that ran before this generation are known */
	int64_t looked_ms;
	int64_t look_index;
	bool syncing;
	bool sync_again;
	int64_t synced_ms; /* when the last one began */
	struct actor_timer *gap_timer;
	bool hurried; /* asked to stop long enough ago */
	bool releasing;
	size_t passed; /* calls that the store has not answered yet */
	struct actor_timer *timer;
};

/* --- the list --- */

/* Where user is, or would be. */
static size_t held_index(const struct scheduler *s, const char *user)
{
	size_t low = 0;
	size_t high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(s->held[middle]->user, user) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct held *held_find(const struct scheduler *s, const char *user)
{
	size_t i = held_index(s, user);

	return i < s->count && strcmp(s->held[i]->user, user) == 0 ? s->held[i] : NULL;
}

static struct held *held_add(struct scheduler *s, const char *user)
{
	size_t i = held_index(s, user);
	struct held *h;

	if (i < s->count && strcmp(s->held[i]->user, user) == 0)
		return s->held[i];
	if (s->count == s->room) {
		size_t room = s->room == 0 ? 64 : s->room * 2;
		struct held **more = reallocarray(s->held, room, sizeof(struct held *));

		if (more == NULL)
			return NULL;
		s->held = more;
		s->room = room;
	}
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return NULL;
	(void)snprintf(h->user, sizeof(h->user), "%s", user);
	memmove(&s->held[i + 1], &s->held[i], (s->count - i) * sizeof(struct held *));
	s->held[i] = h;
	s->count++;
	return h;
}

static void held_remove(struct scheduler *s, size_t i)
{
	free(s->held[i]);
	s->count--;
	memmove(&s->held[i], &s->held[i + 1], (s->count - i) * sizeof(struct held *));
}

static const char *child_name(const struct held *h, char buf[CONTROL_NAME_SIZE])
{
	(void)snprintf(buf, CONTROL_NAME_SIZE, PREFIX "%s", h->user);
	return buf;
}

/* --- fetchers --- */

static void on_started(struct actor *self, const struct control_packet *reply, void *unused)
{
	struct scheduler *s = actor_state(self);
	struct held *h = held_find(s, reply->name + strlen(PREFIX));

	(void)unused;
	if (reply->result == 0 || reply->result == -EEXIST)
		return;
	log_warn("scheduler.start_failed", "name=%s error=%s", reply->name,
		 strerror(-reply->result));
	if (h != NULL)
		h->running = false; /* the next sync tries again */
}

static void on_terminated(struct actor *self, const struct control_packet *reply, void *unused)
{
	(void)self;
	(void)unused;
	if (reply->result != 0 && reply->result != -ENOENT)
		log_warn("scheduler.stop_failed", "name=%s error=%s", reply->name,
			 strerror(-reply->result));
}

static void fetcher_start(struct actor *self, struct held *h)
{
	char name[CONTROL_NAME_SIZE];

	h->running = actor_control(self, CONTROL_START_CHILD, child_name(h, name), 0, on_started,
				   NULL) == 0;
}

static void fetcher_stop(struct actor *self, struct held *h)
{
	char name[CONTROL_NAME_SIZE];

	if (h->running)
		h->running = actor_control(self, CONTROL_TERMINATE_CHILD, child_name(h, name), 0,
					   on_terminated, NULL) != 0;
}

static void fetcher_replan(struct actor *self, const struct held *h)
{
	static const struct empty nothing;
	char name[CONTROL_NAME_SIZE];

	(void)actor_cast(self, child_name(h, name), MSG_FETCHER_REPLAN, &nothing);
}

/* --- sync --- */

static void sync_start(struct actor *self);
static void release(struct actor *self);

static void on_sync_timer(struct actor *self, void *unused)
{
	(void)unused;
	sync_start(self);
}

static void on_gap_timer(struct actor *self, void *unused)
{
	struct scheduler *s = actor_state(self);

	(void)unused;
	s->gap_timer = NULL;
	sync_start(self);
}

static void sync_end(struct actor *self)
{
	struct scheduler *s = actor_state(self);

	s->syncing = false;
	if (actor_stopping(self)) {
		release(self);
	} else if (s->sync_again) {
		s->sync_again = false;
		sync_start(self);
	}
}

static void take_lease(struct actor *self, const struct lease *lease)
{
	struct scheduler *s = actor_state(self);
	struct held *h = held_add(s, lease->user_id);
	bool changed;
	bool taken_over;

	if (h == NULL) {
		log_error("scheduler.no_memory", "user=%s", lease->user_id);
		return;
	}
	taken_over = h->running && h->token == 0; /* from the generation before us */
	changed = h->token != 0 && (h->revision != lease->revision || h->token != lease->token);
	h->leased = true;
	h->token = lease->token;
	h->revision = lease->revision;
	/* Also with a change: one that the supervisor has put aside is given another chance, and
	 * starting a child that runs has no effect. */
	if (!h->running || changed)
		fetcher_start(self, h);
	/* What changed while nobody scheduled is not known: those taken over ask as well. */
	if (changed || taken_over)
		fetcher_replan(self, h);
}

static void on_leases(struct actor *self, const struct actor_answer *answer, void *unused)
{
	struct scheduler *s = actor_state(self);
	const struct leases *leases = answer->body;

	(void)unused;
	if (answer->error != ERR_NONE) {
		log_warn("scheduler.claim_failed", "error=%s", answer->failure->error);
		actor_degraded(self, "the leases cannot be renewed");
		sync_end(self);
		return;
	}
	actor_degraded(self, NULL);
	for (size_t i = 0; i < s->count; i++)
		s->held[i]->leased = false;
	for (size_t i = 0; i < leases->leases.count; i++)
		take_lease(self, &leases->leases.items[i]);
	for (size_t i = s->count; i-- > 0;)
		if (!s->held[i]->leased) {
			fetcher_stop(self, s->held[i]);
			held_remove(s, i);
		}
	sync_end(self);
}

static void claim(struct actor *self)
{
	struct scheduler *s = actor_state(self);
	const struct claim request = {
		.node = s->node,
		.capacity = setting_int(MAX_FETCHERS),
		.ttl_ms = LEASE_MS,
	};

	if (actor_stopping(self) ||
	    actor_call(self, MSG_STORE_CLAIM, &request, 0, on_leases, NULL) < 0)
		sync_end(self);
}

static void next_child(struct actor *self);

/* The supervisor has named all children: what it has not named does not run. */
static void look_end(struct actor *self)
{
	struct scheduler *s = actor_state(self);

	for (size_t i = 0; i < s->count; i++)
		s->held[i]->running = s->held[i]->seen;
	s->looked = true;
	s->looked_ms = clock_mono_ms();
	claim(self);
}

static void on_child(struct actor *self, const struct control_packet *reply, void *unused)
{
	struct scheduler *s = actor_state(self);

	(void)unused;
	if (reply->result != 0) {
		look_end(self);
		return;
	}
	/* One that is being stopped is as good as gone: started again, it comes back. */
	if (strncmp(reply->name, PREFIX, strlen(PREFIX)) == 0 &&
	    reply->child.state != CHILD_STOPPING) {
		struct held *h = held_add(s, reply->name + strlen(PREFIX));

		if (h != NULL)
			h->seen = true;
	}
	s->look_index++;
	next_child(self);
}

static void next_child(struct actor *self)
{
	const struct scheduler *s = actor_state(self);

	if (actor_control(self, CONTROL_NEXT_CHILD, "", s->look_index, on_child, NULL) < 0)
		sync_end(self);
}

static void look_start(struct actor *self)
{
	struct scheduler *s = actor_state(self);

	for (size_t i = 0; i < s->count; i++)
		s->held[i]->seen = false;
	s->look_index = 0;
	next_child(self);
}

static void sync_start(struct actor *self)
{
	struct scheduler *s = actor_state(self);
	int64_t now_ms = clock_mono_ms();

	if (actor_stopping(self) || s->gap_timer != NULL)
		return;
	if (s->syncing) {
		s->sync_again = true;
		return;
	}
	if (now_ms - s->synced_ms < GAP_MS) {
		s->gap_timer = actor_timer_start(self, s->synced_ms + GAP_MS - now_ms, 0,
						 on_gap_timer, NULL);
		if (s->gap_timer != NULL)
			return;
	}
	s->syncing = true;
	s->synced_ms = now_ms;
	if (s->looked && now_ms - s->looked_ms < LOOK_MS)
		claim(self);
	else
		look_start(self);
}

static void on_schedules_changed(struct actor *self, const void *body)
{
	(void)body;
	sync_start(self);
}

/* --- calls that the store answers, and that we act upon --- */

static void on_written(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct scheduler *s = actor_state(self);
	struct actor_call *call = context;

	s->passed--;
	if (answer->error == ERR_NONE)
		actor_reply(call, answer->body);
	else
		actor_refuse_with(call, answer->failure);
	if (actor_stopping(self))
		release(self);
	else if (answer->error == ERR_NONE)
		sync_start(self);
}

static void pass_to_store(struct actor *self, struct actor_call *call, enum msg_id id,
			  const void *request)
{
	struct scheduler *s = actor_state(self);
	int64_t left_ms = actor_call_remaining_ms(call);

	if (actor_call(self, id, request, left_ms > 0 ? left_ms : 1, on_written, call) < 0)
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "too many calls are waiting");
	else
		s->passed++;
}

static void on_put(struct actor *self, struct actor_call *call, const void *request)
{
	pass_to_store(self, call, MSG_STORE_SCHEDULE_PUT, request);
}

static void on_delete(struct actor *self, struct actor_call *call, const void *request)
{
	pass_to_store(self, call, MSG_STORE_SCHEDULE_DELETE, request);
}

static void on_fetch(struct actor *self, struct actor_call *call, const void *request)
{
	pass_to_store(self, call, MSG_STORE_SCHEDULE_DUE, request);
}

static void on_lease_asked(struct actor *self, struct actor_call *call, const void *request)
{
	struct scheduler *s = actor_state(self);
	const struct user_ref *user = request;
	const struct held *h = held_find(s, user->user_id);
	struct lease lease = {.user_id = user->user_id};

	if (h == NULL || h->token == 0) {
		actor_refuse_until(call, ERR_NOT_FOUND, SYNC_MS, "no lease is held");
		return;
	}
	lease.token = h->token;
	lease.revision = h->revision;
	actor_reply(call, &lease);
}

/* --- the actor --- */

static int scheduler_init(struct actor *self)
{
	struct scheduler *s = actor_state(self);

	(void)setting_node_name(s->node);
	s->timer = actor_timer_start(self, 0, SYNC_MS, on_sync_timer, NULL);
	return s->timer == NULL ? -ENOMEM : 0;
}

static void on_released(struct actor *self, const struct actor_answer *answer, void *unused)
{
	(void)unused;
	if (answer->error != ERR_NONE)
		log_warn("scheduler.release_failed", "error=%s", answer->failure->error);
	actor_stopped(self);
}

/* Gives the leases back, so that another node need not wait for their end: once nothing is under
 * way that could claim them anew, and nobody waits for our answer. */
static void release(struct actor *self)
{
	struct scheduler *s = actor_state(self);
	const struct node_ref node = {.node = s->node};

	if (s->releasing || (!s->hurried && (s->syncing || s->passed > 0)))
		return;
	s->releasing = true;
	if (actor_call(self, MSG_STORE_RELEASE, &node, STOP_MS, on_released, NULL) < 0)
		actor_stopped(self);
}

static void on_stop_timer(struct actor *self, void *unused)
{
	struct scheduler *s = actor_state(self);

	(void)unused;
	s->hurried = true;
	release(self);
}

static void scheduler_stop(struct actor *self)
{
	if (actor_timer_start(self, STOP_MS, 0, on_stop_timer, NULL) == NULL)
		actor_stopped(self);
	else
		release(self);
}

static void scheduler_terminate(struct actor *self)
{
	struct scheduler *s = actor_state(self);

	actor_timer_stop(&s->timer);
	actor_timer_stop(&s->gap_timer);
	while (s->count > 0)
		held_remove(s, s->count - 1);
	free(s->held);
}

static const struct actor_call_clause scheduler_calls[] = {
	{MSG_SCHEDULE_PUT, on_put},
	{MSG_SCHEDULE_DELETE, on_delete},
	{MSG_SCHEDULE_FETCH, on_fetch},
	{MSG_SCHEDULER_LEASE, on_lease_asked},
	{MSG_NONE, NULL},
};

static const struct actor_cast_clause scheduler_casts[] = {
	{MSG_SCHEDULES_CHANGED, on_schedules_changed},
	{MSG_NONE, NULL},
};

const struct actor_spec scheduler_spec = {
	.many_peers = true,
	.state_size = sizeof(struct scheduler),
	.init = scheduler_init,
	.calls = scheduler_calls,
	.casts = scheduler_casts,
	.stop = scheduler_stop,
	.terminate = scheduler_terminate,
};
