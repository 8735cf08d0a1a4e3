/* rate_limiter.c - says "now" or "not yet": token buckets for each person and action.
 *
 * Answers  LIMITER_CHECK, LIMITER_STATUS, LIMITER_RESET
 * Accepts  LIMITS_CHANGED (buckets were filled, here or on another node)
 * Calls    store: checks in batches, status, reset, and each second the tick of the common clock
 * Owns     the checks that wait, and refusals that cannot have changed yet. The buckets are rows, so a
 *          restart forgets nothing that was spent.
 * Never    says that a token is spent before that is committed.
 *
 * Checks that come while a batch is under way are the next batch: one call of the store and one
 * commit, so the more callers, the more checks a commit carries. Two batches at once would each wait
 * for the other's commit. Who was just answered often asks again at once, so for a moment the next
 * batch waits until as many have come as there were before.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "actors/actors.h"
#include "actors/rate_limiter/refusal_cache.h"
#include "actors/rate_limiter/ticker.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rate_limits.h"

#define TICK_MS	    1000
#define GATHER_MS   1	/* how long a batch waits for those who were just answered */
#define BATCH_MAX   256 /* checks; the catalogue's limit */
#define BATCH_SIZE  40	/* of its name */
#define CALLS_MAX   10000
#define RETRY_AT_MS (INT64_C(1000) * 366 * 86400 * 1000) /* what is later is never */

/* A check that waits; lives in its call's memory. */
struct check {
	struct check *next;
	struct actor_call *call;
	const struct limiter_check *request;
	const char *action;
	int64_t cost;
	struct rate_limit limit;
};

/* The batch under way. */
struct batch {
	char name[BATCH_SIZE]; /* of all batches of this process */
	int64_t number;
	struct check *checks[BATCH_MAX];
	size_t count;	   /* 0: none is under way */
	uint64_t fillings; /* when it was sent */
};

struct limiter {
	struct check *first;
	struct check **last; /* where the next one goes */
	size_t waiting;
	struct batch batch;
	size_t expected;	   /* so many are waited for, */
	int64_t expected_until_ms; /* until then */
	struct actor_timer *timer; /* looks whether to send the next batch */
	bool gathering;		   /* it does so when the expected did not come */
	struct refusal_cache refusals;
	uint64_t fillings; /* of buckets that we heard of: what was refused before holds no more */
	char boot[TICKER_BOOT_SIZE];
	struct ticker ticker;
	struct actor_timer *tick_timer;
	bool ticking;
};

/* Buckets were filled: nothing that was refused before need hold. */
static void forget_refusals(struct limiter *l)
{
	l->fillings++;
	refusal_cache_clear(&l->refusals);
}

/* --- verdicts --- */

static void answer_verdict(struct actor_call *call, bool allowed, double tokens,
			   struct opt_int retry_ms)
{
	char retry_at[CLOCK_ISO8601_SIZE];
	struct limiter_verdict verdict = {.allowed = allowed, .remaining = tokens};

	if (!allowed && retry_ms.set && retry_ms.value < RETRY_AT_MS) {
		verdict.retry_after_ms = retry_ms;
		verdict.retry_at = clock_iso8601(clock_wall_ms() + retry_ms.value, retry_at);
	}
	actor_reply(call, &verdict);
}

static void settle(struct limiter *l, struct check *check, const struct limiter_spent *spent)
{
	if (spent->otherwise) {
		actor_refuse(check->call, ERR_CONFLICT, "key", "was spent at another cost");
		return;
	}
	if (!spent->allowed && spent->retry_ms.set && l->batch.fillings == l->fillings)
		refusal_cache_note(&l->refusals, check->request->user_id, check->action,
				   spent->tokens, clock_mono_ms());
	answer_verdict(check->call, spent->allowed, spent->tokens, spent->retry_ms);
}

/* --- batches --- */

static void send_when_ready(struct actor *self);

static void on_spents(struct actor *self, const struct actor_answer *answer, void *unused)
{
	struct limiter *l = actor_state(self);
	const struct limiter_spents *spents = answer->body;
	size_t count = l->batch.count;

	(void)unused;
	l->batch.count = 0;
	l->expected = l->waiting + count;
	l->expected_until_ms = clock_mono_ms() + GATHER_MS;
	for (size_t i = 0; i < count; i++) {
		struct check *check = l->batch.checks[i];

		if (answer->error != ERR_NONE)
			actor_refuse_with(check->call, answer->failure);
		else if (i < spents->spents.count)
			settle(l, check, &spents->spents.items[i]);
		else
			actor_refuse(check->call, ERR_INTERNAL, NULL, "the check has no verdict");
	}
	send_when_ready(self);
}

/* Takes the oldest check for which somebody waits. NULL: there is none. */
static struct check *take_check(struct limiter *l)
{
	struct check *check;

	while ((check = l->first) != NULL) {
		l->first = check->next;
		if (l->first == NULL)
			l->last = &l->first;
		l->waiting--;
		if (actor_call_remaining_ms(check->call) > 0)
			return check;
		actor_refuse(check->call, ERR_TIMEOUT, NULL, "nothing was spent");
	}
	return NULL;
}

static void send_batch(struct actor *self)
{
	struct limiter *l = actor_state(self);
	struct batch *batch = &l->batch;
	struct limiter_spend spends[BATCH_MAX];
	struct limiter_spends request = {.batch = batch->name, .number = ++batch->number};
	int64_t left_ms = 1;
	struct check *check;

	while (batch->count < BATCH_MAX && (check = take_check(l)) != NULL) {
		if (actor_call_remaining_ms(check->call) > left_ms)
			left_ms = actor_call_remaining_ms(check->call);
		spends[batch->count] = (struct limiter_spend){
			.user_id = check->request->user_id,
			.action = check->action,
			.cost = check->cost,
			.key = check->request->key,
			.capacity = check->limit.capacity,
			.per_hour = check->limit.per_hour,
			.tell = strcmp(check->action, RATE_LIMIT_APPLICATION) == 0,
		};
		batch->checks[batch->count++] = check;
	}
	if (batch->count == 0)
		return;
	batch->fillings = l->fillings;
	request.spends.items = spends;
	request.spends.count = batch->count;
	if (actor_call(self, MSG_STORE_LIMITER_SPEND, &request, left_ms, on_spents, NULL) == 0)
		return;
	for (size_t i = 0; i < batch->count; i++)
		actor_refuse_until(batch->checks[i]->call, ERR_OVERLOADED, 1000,
				   "too many calls are waiting");
	batch->count = 0;
}

static void on_timer(struct actor *self, void *unused)
{
	struct limiter *l = actor_state(self);

	(void)unused;
	l->timer = NULL;
	if (l->gathering)
		l->expected = 0;
	l->gathering = false;
	if (l->batch.count == 0)
		send_batch(self);
}

/* Sends what waits, once the messages that are there have been read and those who are expected are
 * there too. */
static void send_when_ready(struct actor *self)
{
	struct limiter *l = actor_state(self);
	bool gather = l->waiting < l->expected && clock_mono_ms() < l->expected_until_ms;

	if (l->batch.count > 0 || l->waiting == 0)
		return;
	if (l->timer != NULL && l->gathering && !gather)
		actor_timer_stop(&l->timer);
	if (l->timer != NULL)
		return;
	l->gathering = gather;
	l->timer = actor_timer_start(self, gather ? GATHER_MS : 0, 0, on_timer, NULL);
	if (l->timer == NULL)
		on_timer(self, NULL);
}

/* --- calls --- */

/* Finds what the call is about; else refuses it. */
static bool find_limit(struct actor_call *call, const char *action, struct rate_limit *out)
{
	bool found = rate_limit_of(action, out);

	if (!found)
		actor_refuse(call, ERR_BAD_REQUEST, "action", "has no limit in RATE_LIMITS");
	return found;
}

static const char *action_or_default(const char *action)
{
	return action == NULL ? RATE_LIMIT_APPLICATION : action;
}

static void on_check(struct actor *self, struct actor_call *call, const void *request)
{
	struct limiter *l = actor_state(self);
	const struct limiter_check *r = request;
	const char *action = action_or_default(r->action);
	int64_t cost = r->cost.set ? r->cost.value : 1;
	struct refusal_terms terms;
	struct rate_limit limit;
	struct check *check;

	if (!find_limit(call, action, &limit))
		return;
	/* Under a key it may have been spent before. */
	if (r->key == NULL && refusal_cache_hold(&l->refusals, r->user_id, action, cost, &limit,
						 clock_mono_ms(), &terms)) {
		answer_verdict(call, false, terms.tokens, OPT_INT_OF(terms.retry_ms));
		return;
	}
	check = arena_alloc(actor_call_arena(call), sizeof(*check));
	if (check == NULL) {
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "no memory");
		return;
	}
	*check = (struct check){
		.call = call, .request = r, .action = action, .cost = cost, .limit = limit};
	*l->last = check;
	l->last = &check->next;
	l->waiting++;
	send_when_ready(self);
}

static void on_bucket(struct actor *self, const struct actor_answer *answer, void *context)
{
	(void)self;
	if (answer->error == ERR_NONE)
		actor_reply(context, answer->body);
	else
		actor_refuse_with(context, answer->failure);
}

static void on_bucket_reset(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct limiter *l = actor_state(self);

	forget_refusals(l); /* before the bell that tells the other nodes */
	on_bucket(self, answer, context);
}

static void ask_store(struct actor *self, struct actor_call *call, const struct limiter_ref *ref,
		      enum msg_id id, actor_answer_fn *fn)
{
	const char *action = action_or_default(ref->action);
	int64_t left_ms = actor_call_remaining_ms(call);
	struct rate_limit limit;
	struct limiter_bucket bucket;

	if (!find_limit(call, action, &limit))
		return;
	bucket = (struct limiter_bucket){
		.user_id = ref->user_id,
		.action = action,
		.capacity = limit.capacity,
		.per_hour = limit.per_hour,
		.all = ref->action == NULL,
		.tell = strcmp(action, RATE_LIMIT_APPLICATION) == 0,
	};
	if (actor_call(self, id, &bucket, left_ms > 0 ? left_ms : 1, fn, call) < 0)
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "too many calls are waiting");
}

static void on_status(struct actor *self, struct actor_call *call, const void *request)
{
	ask_store(self, call, request, MSG_STORE_LIMITER_STATUS, on_bucket);
}

static void on_reset(struct actor *self, struct actor_call *call, const void *request)
{
	ask_store(self, call, request, MSG_STORE_LIMITER_RESET, on_bucket_reset);
}

static void on_limits_changed(struct actor *self, const void *body)
{
	struct limiter *l = actor_state(self);

	(void)body;
	forget_refusals(l);
}

/* --- the clock --- */

static void on_time(struct actor *self, const struct actor_answer *answer, void *unused)
{
	struct limiter *l = actor_state(self);

	(void)unused;
	l->ticking = false;
	if (answer->error == ERR_NONE) /* else the next tick brings what this one did not */
		ticker_heard(&l->ticker, answer->body, clock_boot_ms());
}

static void on_tick(struct actor *self, void *unused)
{
	struct limiter *l = actor_state(self);
	int64_t boot_ms = clock_boot_ms();
	const struct limiter_tick tick = {
		.boot = l->boot,
		.boot_ms = boot_ms,
		.at_ms = ticker_at(&l->ticker, boot_ms),
	};

	(void)unused;
	if (!l->ticking && !actor_stopping(self))
		l->ticking = actor_call(self, MSG_STORE_LIMITER_TICK, &tick, 0, on_time, NULL) == 0;
}

/* --- the actor --- */

static int limiter_init(struct actor *self)
{
	struct limiter *l = actor_state(self);
	uint64_t us[2];

	if (getrandom(us, sizeof(us), 0) != sizeof(us))
		return -EIO;
	(void)snprintf(l->batch.name, BATCH_SIZE, "%016" PRIx64 "%016" PRIx64, us[0], us[1]);
	l->last = &l->first;
	(void)ticker_boot(l->boot);
	l->tick_timer = actor_timer_start(self, 0, TICK_MS, on_tick, NULL);
	return l->tick_timer == NULL ? -ENOMEM : 0;
}

static void limiter_terminate(struct actor *self)
{
	struct limiter *l = actor_state(self);

	actor_timer_stop(&l->tick_timer);
	actor_timer_stop(&l->timer);
}

static const struct actor_call_clause limiter_calls[] = {
	{MSG_LIMITER_CHECK, on_check},
	{MSG_LIMITER_STATUS, on_status},
	{MSG_LIMITER_RESET, on_reset},
	{MSG_NONE, NULL},
};

static const struct actor_cast_clause limiter_casts[] = {
	{MSG_LIMITS_CHANGED, on_limits_changed},
	{MSG_NONE, NULL},
};

static const char *const limiter_reads[] = {"/proc/sys/kernel/random/boot_id", NULL};

const struct actor_spec rate_limiter_spec = {
	.state_size = sizeof(struct limiter),
	.init = limiter_init,
	.calls = limiter_calls,
	.casts = limiter_casts,
	.terminate = limiter_terminate,
	.mailbox_max = CALLS_MAX,
	.reads = limiter_reads,
};
