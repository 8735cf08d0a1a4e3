/* fetcher.c - runs one user's scheduled search, again and again.
 *
 * Accepts  FETCHER_REPLAN (the schedule was changed)
 * Calls    scheduler (the lease), store (plan, pages, end), hh_client (pages)
 * Owns     nothing: what a run found is committed page by page, and the next generation asks for
 *          the plan again. A run that was cut short is run again; its pages have no second effect.
 * Never    holds more than one page.
 *
 *   asking for the lease -> asking for the plan -> waiting -> fetching <-> storing -> ending
 *             ^                                       ^                                 |
 *             +-- lease lost, anything odd            +---------------------------------+
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "actors/actors.h"
#include "base/log.h"
#include "proto/codec.h"

#define PAGES_MAX	   20 /* HH's depth: 2000 vacancies, 100 a page */
#define SHARE_MAX_MS	   60000
#define JITTER_MAX_MS	   5000
#define ASK_AGAIN_MS	   2000
#define RETRY_FIRST_MS	   5000
#define RETRY_EXPONENT_MAX 10
#define PLAN_ARENA_BYTES   ((size_t)1024 * 1024)

struct fetcher {
	struct arena arena; /* holds the plan */
	struct run_plan plan;
	int64_t lease_token;
	bool new_lease;		   /* others may have got theirs at the same moment */
	struct actor_timer *timer; /* until the next step; NULL while an answer is awaited */
	bool busy;		   /* a run is under way: a change of the plan waits for its end */
	bool replan;		   /* and was asked for */
	int64_t page;		   /* the one that is fetched or stored */
	int64_t pages;		   /* that there are to read, as HH said with the last one */
	int64_t found;		   /* new to the user in this run */
};

static void ask_lease(struct actor *self, void *unused);

static void ask_again(struct actor *self)
{
	struct fetcher *f = actor_state(self);

	f->busy = false;
	actor_timer_stop(&f->timer);
	f->timer = actor_timer_start(self, ASK_AGAIN_MS / 2 + random() % ASK_AGAIN_MS, 0, ask_lease,
				     NULL);
	if (f->timer == NULL)
		fatal("fetcher.no_memory", "a timer");
}

/* Any call that cannot even be made, or an answer that a later try may mend. */
static void give_up_step(struct actor *self, const char *step, const char *why)
{
	log_warn("fetch.step_failed", "step=%s why=\"%s\"", step, why);
	ask_again(self);
}

static const char *words(const struct actor_answer *answer)
{
	return answer->failure->message != NULL ? answer->failure->message : answer->failure->error;
}

/* --- waiting --- */

static void run_start(struct actor *self, void *unused);

/* Those whose time came while nobody ran them do not all start at once. One that had its lease
 * already was asked to by somebody who waits. */
static int64_t jitter_ms(const struct fetcher *f)
{
	int64_t most = f->plan.interval_s * 1000 / 10;

	if (f->plan.first || f->plan.due_in_ms > 0 || !f->new_lease)
		return 0;
	return random() % (1 + (most < JITTER_MAX_MS ? most : JITTER_MAX_MS));
}

static void wait_for_run(struct actor *self)
{
	struct fetcher *f = actor_state(self);

	f->busy = false;
	if (f->replan) {
		f->replan = false;
		ask_lease(self, NULL);
		return;
	}
	actor_timer_stop(&f->timer);
	f->timer = actor_timer_start(self, f->plan.due_in_ms + jitter_ms(f), 0, run_start, NULL);
	if (f->timer == NULL)
		fatal("fetcher.no_memory", "a timer");
}

/* --- the plan --- */

/* Keeps a copy of plan, whose memory ends with the answer that brought it. */
static int plan_keep(struct fetcher *f, const struct run_plan *plan)
{
	void *bytes;
	size_t len;
	int rc = codec_pack(RECORD_OF(run_plan), plan, &bytes, &len, NULL);

	if (rc < 0)
		return rc;
	arena_reset(&f->arena);
	rc = codec_unpack(RECORD_OF(run_plan), bytes, len, &f->arena, &f->plan, NULL);
	free(bytes);
	return rc;
}

static void on_plan(struct actor *self, const struct actor_answer *answer, void *unused)
{
	struct fetcher *f = actor_state(self);

	(void)unused;
	if (answer->error != ERR_NONE)
		give_up_step(self, "plan", words(answer));
	else if (plan_keep(f, answer->body) < 0)
		give_up_step(self, "plan", "it does not fit");
	else
		wait_for_run(self);
}

static void on_lease(struct actor *self, const struct actor_answer *answer, void *unused)
{
	struct fetcher *f = actor_state(self);
	const struct lease *lease = answer->body;
	struct run_ref ref = {.user_id = actor_argument(self)};

	(void)unused;
	if (answer->error != ERR_NONE) {
		give_up_step(self, "lease", words(answer));
		return;
	}
	f->new_lease = lease->token != f->lease_token;
	f->lease_token = ref.lease_token = lease->token;
	if (actor_call(self, MSG_STORE_RUN_PLAN, &ref, 0, on_plan, NULL) < 0)
		give_up_step(self, "plan", "it cannot be asked for");
}

static void ask_lease(struct actor *self, void *unused)
{
	struct fetcher *f = actor_state(self);
	const struct user_ref user = {.user_id = actor_argument(self)};

	(void)unused;
	f->timer = NULL;
	f->busy = true;
	f->replan = false;
	if (actor_call(self, MSG_SCHEDULER_LEASE, &user, 0, on_lease, NULL) < 0)
		give_up_step(self, "lease", "it cannot be asked for");
}

/* --- the run --- */

static void fetch_page(struct actor *self);

static int64_t retry_in_ms(const struct fetcher *f)
{
	int64_t exponent =
		f->plan.failures < RETRY_EXPONENT_MAX ? f->plan.failures : RETRY_EXPONENT_MAX;
	int64_t wait = (int64_t)RETRY_FIRST_MS << exponent;
	int64_t most = f->plan.interval_s * 1000;

	if (wait > most)
		wait = most;
	return wait / 2 + random() % (wait / 2 + 1);
}

static void run_end(struct actor *self, const char *error)
{
	struct fetcher *f = actor_state(self);
	const struct run_end end = {
		.user_id = actor_argument(self),
		.lease_token = f->lease_token,
		.ok = error == NULL,
		.error = error,
		.started_ms = f->plan.now_ms,
		.whole = !f->plan.date_from_ms.set,
		.retry_in_ms = error == NULL ? (struct opt_int){0} : OPT_INT_OF(retry_in_ms(f)),
	};

	if (error == NULL)
		log_info("fetch.done", "pages=%" PRId64 " new=%" PRId64, f->page, f->found);
	else
		log_warn("fetch.failed", "page=%" PRId64 " why=\"%s\" retry_in_ms=%" PRId64,
			 f->page, error, end.retry_in_ms.value);
	if (actor_call(self, MSG_STORE_RUN_END, &end, 0, on_plan, NULL) < 0)
		give_up_step(self, "end", "it cannot be said");
}

static void on_stored(struct actor *self, const struct actor_answer *answer, void *unused)
{
	struct fetcher *f = actor_state(self);

	(void)unused;
	if (answer->error == ERR_CONFLICT) {
		give_up_step(self, "store", "the lease was lost");
		return;
	}
	if (answer->error != ERR_NONE) {
		run_end(self, words(answer));
		return;
	}
	f->found += ((const struct run_page_stored *)answer->body)->new_to_user;
	f->page++;
	if (f->page < f->pages)
		fetch_page(self);
	else
		run_end(self, NULL);
}

static void on_page(struct actor *self, const struct actor_answer *answer, void *unused)
{
	struct fetcher *f = actor_state(self);
	const struct jobs_page *page = answer->body;
	struct run_page stored = {.user_id = actor_argument(self), .lease_token = f->lease_token};

	(void)unused;
	if (answer->error != ERR_NONE) {
		run_end(self, words(answer));
		return;
	}
	if (page->jobs.count == 0) {
		run_end(self, NULL);
		return;
	}
	f->pages = page->pages < PAGES_MAX ? page->pages : PAGES_MAX;
	stored.jobs.items = page->jobs.items;
	stored.jobs.count = page->jobs.count;
	if (actor_call(self, MSG_STORE_RUN_PAGE, &stored, 0, on_stored, NULL) < 0)
		run_end(self, "a page could not be handed to the store");
}

static void fetch_page(struct actor *self)
{
	struct fetcher *f = actor_state(self);
	int64_t share_ms = f->plan.interval_s * 1000 / 4;
	const struct jobs_fetch_page request = {
		.search = f->plan.search,
		.user_id = actor_argument(self),
		.date_from_ms = f->plan.date_from_ms,
		.page = f->page,
		.max_age_ms = share_ms < SHARE_MAX_MS ? share_ms : SHARE_MAX_MS,
	};

	if (actor_call(self, MSG_JOBS_FETCH_PAGE, &request, 0, on_page, NULL) < 0)
		run_end(self, "HH could not be asked");
}

static void on_fresh_plan(struct actor *self, const struct actor_answer *answer, void *unused)
{
	struct fetcher *f = actor_state(self);

	(void)unused;
	if (answer->error != ERR_NONE) {
		give_up_step(self, "plan", words(answer));
	} else if (plan_keep(f, answer->body) < 0) {
		give_up_step(self, "plan", "it does not fit");
	} else if (f->plan.due_in_ms > 0) {
		wait_for_run(self); /* it was moved, or the clock was */
	} else {
		f->page = 0;
		f->found = 0;
		fetch_page(self);
	}
}

/* The plan is asked for anew: its now_ms becomes the mark from which the next run asks, and the
 * lease is checked before HH is troubled. */
static void run_start(struct actor *self, void *unused)
{
	struct fetcher *f = actor_state(self);
	const struct run_ref ref = {.user_id = actor_argument(self), .lease_token = f->lease_token};

	(void)unused;
	f->timer = NULL;
	f->busy = true;
	if (actor_call(self, MSG_STORE_RUN_PLAN, &ref, 0, on_fresh_plan, NULL) < 0)
		give_up_step(self, "plan", "it cannot be asked for");
}

/* --- the actor --- */

static int fetcher_init(struct actor *self)
{
	struct fetcher *f = actor_state(self);

	if (actor_argument(self)[0] == '\0')
		return -EINVAL;
	srandom((unsigned)getpid());
	arena_init(&f->arena, PLAN_ARENA_BYTES);
	ask_lease(self, NULL);
	return 0;
}

static void on_replan(struct actor *self, const void *body)
{
	struct fetcher *f = actor_state(self);

	(void)body;
	if (f->busy) {
		f->replan = true;
		return;
	}
	actor_timer_stop(&f->timer);
	ask_lease(self, NULL);
}

static void fetcher_terminate(struct actor *self)
{
	struct fetcher *f = actor_state(self);

	actor_timer_stop(&f->timer);
	arena_fini(&f->arena);
}

static const struct actor_cast_clause fetcher_casts[] = {
	{MSG_FETCHER_REPLAN, on_replan},
	{MSG_NONE, NULL},
};

const struct actor_spec fetcher_spec = {
	.state_size = sizeof(struct fetcher),
	.one_of_many = true,
	.init = fetcher_init,
	.casts = fetcher_casts,
	.terminate = fetcher_terminate,
};
