/* child.c - the life of a child: start, ready, death, and what follows from it. See node.h.
 *
 *   state          what happens            then                decided by
 *   WAITING        its turn has come       STARTING            start order, start tokens
 *   STARTING       it says READY           UP
 *                  it ends                 BACKOFF             DO_RETRY
 *                  it ends, a copy         STARTING, by exec   born_again()
 *                  it takes too long       killed: it ends     deadlines.c
 *   UP, DEGRADED   it ends                 STARTING            DO_RESTART
 *                                          STOPPED             DO_NOTHING, DO_REFUSE, DO_ESCALATE
 *                  is silent, or too big   killed: it ends     deadlines.c
 *   BACKOFF        the delay is over       STARTING            deadlines.c
 *   dynamic child  it keeps ending         QUARANTINED         DO_QUARANTINE, DO_REFUSE
 *   any            it is to stop           STOPPING, STOPPED   shutdown.c
 *
 * A supervisor goes through the same states, but its STARTING is the start of its children, one
 * after the other, and its STOPPING their stop in reverse order. Nothing here waits: each function
 * does what can be done now, and the next event goes on from there.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "base/exit_codes.h"
#include "base/log.h"

/* For jitter. When the kernel has none to give, there is none. */
static uint32_t random_bits(void)
{
	uint32_t bits;

	return getrandom(&bits, sizeof(bits), GRND_NONBLOCK) == (ssize_t)sizeof(bits) ? bits : 0;
}

void node_set_due(struct supervisor *s, struct node *n, int64_t due_ms)
{
	n->due_ms = due_ms;
	if (due_ms < s->due_ms)
		s->due_ms = due_ms;
}

void node_set_state(struct supervisor *s, struct node *n, enum control_child_state state,
		    int64_t due_ms)
{
	if (n->dynamic && n->state == CHILD_STARTING)
		n->parent->starting_count--;
	if (n->dynamic && n->state == CHILD_WAITING && n->in_queue) {
		TAILQ_REMOVE(&n->parent->waiting, n, in_waiting);
		n->in_queue = false;
	}
	n->state = state;
	if (n->dynamic && state == CHILD_STARTING)
		n->parent->starting_count++;
	node_set_due(s, n, due_ms);
}

/* --- start --- */

/* A child that those after it must wait for: it has not been up yet, and it may still come. */
static bool holds_up(const struct node *n)
{
	return !n->passed && (n->state == CHILD_STARTING || n->state == CHILD_BACKOFF);
}

/* Starts what waits, in order, up to the first child that has to be waited for. Returns true when
 * none has. */
static bool start_children(struct supervisor *s, struct node *sup)
{
	struct node *child;

	TAILQ_FOREACH (child, &sup->children, in_parent) {
		if (child->state == CHILD_WAITING)
			node_start(s, child);
		if (holds_up(child))
			return false;
	}
	return true;
}

static void supervisor_is_up(struct supervisor *s, struct node *sup)
{
	node_set_state(s, sup, CHILD_UP, NEVER);
	sup->up_since_ms = s->now_ms;
	sup->passed = true;
	askers_answer(s, sup, true);
	if (sup == s->root && s->phase == PHASE_BOOT) {
		s->phase = PHASE_RUN;
		log_info("tree.up", "after_ms=%lld", (long long)(s->now_ms - sup->started_ms));
		notify_send("READY=1");
	}
}

void node_start_children(struct supervisor *s, struct node *sup)
{
	while (sup != NULL && !sup->stopping && start_children(s, sup) &&
	       sup->state == CHILD_STARTING) {
		supervisor_is_up(s, sup);
		sup = sup->parent;
	}
}

void node_let_pass(struct supervisor *s, struct node *n)
{
	n->passed = true;
	if (!n->dynamic)
		node_start_children(s, n->parent);
}

static void start_supervisor(struct supervisor *s, struct node *sup)
{
	struct node *child;

	sup->generation++;
	sup->started_ms = s->now_ms;
	restart_window_clear(&sup->window);
	node_set_state(s, sup, CHILD_STARTING, NEVER);
	TAILQ_FOREACH (child, &sup->children, in_parent) {
		child->passed = false;
		child->deleted = false;
		child->failed_starts = 0;
		node_set_state(s, child, CHILD_WAITING, NEVER);
		if (child->dynamic)
			dynamic_enqueue(s, child);
	}
	if (sup->spec->template != NULL) {
		supervisor_is_up(s, sup);
		dynamic_start_waiting(s, sup);
	} else if (start_children(s, sup)) {
		supervisor_is_up(s, sup);
	}
}

static void start_worker(struct supervisor *s, struct node *n)
{
	int rc;

	n->generation++;
	n->condemned = false;
	n->started_ms = s->now_ms;
	n->heard_ms = s->now_ms;
	node_set_state(s, n, CHILD_STARTING, s->now_ms + n->spec->start_timeout_ms);
	rc = spawn_worker(s, n);
	if (rc < 0) {
		struct control_crash crash = {.death = DEATH_START, .code = -rc};

		(void)snprintf(n->end, sizeof(n->end), "cannot be started: %s", strerror(-rc));
		crash_report(s, n, &crash, &(struct control_note){0});
		node_set_due(s, n, s->now_ms); /* a failed start, but not from within this call */
		return;
	}
	log_info("child.start", "name=%s pid=%d generation=%llu by=%s", n->name, (int)n->pid,
		 (unsigned long long)n->generation, n->by_zygote ? "zygote" : "exec");
}

void node_start(struct supervisor *s, struct node *n)
{
	if (node_is_supervisor(n))
		start_supervisor(s, n);
	else
		start_worker(s, n);
}

void node_ready(struct supervisor *s, struct node *n)
{
	if (n->state != CHILD_STARTING || n->condemned)
		return; /* said twice, or it is to die anyway */
	n->up_since_ms = s->now_ms;
	n->up_generation = n->generation;
	n->failed_starts = 0;
	node_set_state(s, n, CHILD_UP, node_next_look_ms(s, n));
	log_info("child.up", "name=%s pid=%d generation=%llu after_ms=%lld", n->name, (int)n->pid,
		 (unsigned long long)n->generation, (long long)(s->now_ms - n->started_ms));
	news_up(s, n);
	zygote_provide(s, n->spec);
	askers_answer(s, n, true);
	if (n->dynamic)
		dynamic_start_waiting(s, n->parent);
	node_let_pass(s, n);
	n->renewing = false;
	roll_step(s);
}

void node_set_degraded(struct node *n, const char *why)
{
	bool changed = (why != NULL) != (n->degraded != NULL) ||
		       (why != NULL && strcmp(why, n->degraded) != 0);

	if (!node_is_up(n) || !changed)
		return;
	free(n->degraded);
	n->degraded = why == NULL ? NULL : strdup(why);
	n->state = why == NULL ? CHILD_UP : CHILD_DEGRADED;
	if (why != NULL)
		log_warn("child.degraded", "name=%s generation=%llu why=\"%s\"", n->name,
			 (unsigned long long)n->generation, why);
	else
		log_info("child.well_again", "name=%s generation=%llu", n->name,
			 (unsigned long long)n->generation);
}

/* --- death --- */

/* The node has ended by itself and nothing follows from it but that the next one may go on, or that
 * its supervisor ends with it. */
static void end_for_good(struct supervisor *s, struct node *n)
{
	struct node *sup = n->parent;
	bool last = auto_shutdown_is_due(n);

	node_set_state(s, n, CHILD_STOPPED, NEVER);
	if (n->spec->restart == RESTART_TEMPORARY)
		n->deleted = true;
	if (n->dynamic)
		dynamic_forget(s, n);
	else
		node_let_pass(s, n);
	if (last)
		auto_shutdown(s, sup);
}

static void give_up(struct supervisor *s, struct node *sup)
{
	log_error("supervisor.gives_up", "name=%s more_than=%u within_ms=%lld", sup->name,
		  sup->window.max, (long long)sup->window.period_ms);
	(void)snprintf(sup->end, sizeof(sup->end), "more than %u restarts within %lld ms",
		       sup->window.max, (long long)sup->window.period_ms);
	if (sup == s->root)
		tree_stop(s, EXIT_GAVE_UP, false);
	else
		node_stop_children(s, sup, NULL, THEN_DIE, false);
}

/* The child was up and died: it is replaced, and with it those that the strategy names. */
static void restart(struct supervisor *s, struct node *n)
{
	struct node *sup = n->parent;

	if (n->dynamic) {
		dynamic_enqueue(s, n);
		dynamic_start_waiting(s, sup);
		return;
	}
	switch (sup->spec->strategy) {
	case ONE_FOR_ONE:
		node_start(s, n);
		return;
	case ONE_FOR_ALL:
		node_set_state(s, n, CHILD_STOPPED, NEVER);
		node_stop_children(s, sup, NULL, THEN_RESTART, false);
		return;
	case REST_FOR_ONE:
		node_set_state(s, n, CHILD_STOPPED, NEVER);
		node_stop_children(s, sup, n, THEN_RESTART, false);
		return;
	}
}

/* Wrong settings: during the start of the tree that is the operator's to mend at once; later it is
 * one actor's trouble. */
static void refuse(struct supervisor *s, struct node *n)
{
	if (s->phase == PHASE_BOOT && !n->dynamic) {
		node_set_state(s, n, CHILD_STOPPED, NEVER);
		log_error("tree.refused", "name=%s why=\"its configuration is wrong\"", n->name);
		tree_stop(s, EXIT_CONFIG, false);
		return;
	}
	if (n->dynamic)
		node_set_state(s, n, CHILD_QUARANTINED, NEVER);
	else
		end_for_good(s, n);
}

/* Somebody waits to be told whether it starts: it does not, and is not tried again. */
static void fail_start(struct supervisor *s, struct node *n)
{
	askers_answer(s, n, false);
	node_set_state(s, n, CHILD_STOPPED, NEVER);
	if (n->dynamic)
		dynamic_forget(s, n);
	else
		node_let_pass(s, n);
}

static void log_death(const struct node *n, const struct restart_decision *d,
		      enum restart_event event, int64_t uptime_ms)
{
	static const char *const next[] = {
		[DO_RESTART] = "restart",	[DO_RETRY] = "retry",
		[DO_NOTHING] = "none",		[DO_ESCALATE] = "supervisor gives up",
		[DO_QUARANTINE] = "quarantine", [DO_REFUSE] = "none: wrong configuration",
	};
	enum log_level level = event == ENDED_NORMALLY ? LEVEL_INFO : LEVEL_WARN;
	char delay[48] = "";
	char limit[48] = "";

	if (d->action == DO_RETRY)
		(void)snprintf(delay, sizeof(delay), " in_ms=%lld", (long long)d->delay_ms);
	if (d->attempt > 0 && d->limit > 0)
		(void)snprintf(limit, sizeof(limit), " attempt=\"%u of %u\"", d->attempt, d->limit);
	else if (d->attempt > 0)
		(void)snprintf(limit, sizeof(limit), " attempt=%u", d->attempt);
	log_line(level, "child.died",
		 "name=%s generation=%llu reason=\"%s\" uptime_ms=%lld next=\"%s\"%s%s", n->name,
		 (unsigned long long)n->generation, n->end, (long long)uptime_ms, next[d->action],
		 delay, limit);
}

static void decide(struct supervisor *s, struct node *n, enum restart_event event, bool was_up,
		   int64_t uptime_ms)
{
	struct restart_state state = {
		.type = n->spec->restart,
		.was_up = was_up,
		.dynamic = n->dynamic,
		.failed_starts = n->failed_starts,
		.max_failed_starts = n->dynamic ? n->parent->spec->max_failed_starts : 0,
	};
	struct restart_window *window = n->dynamic ? &n->window : &n->parent->window;
	struct restart_decision d = restart_decide(&state, event, window, s->now_ms, random_bits());

	log_death(n, &d, event, uptime_ms);
	if (n->renewing)
		roll_fail(s, n);
	if (!was_up && askers_of_start(n)) {
		fail_start(s, n);
		return;
	}
	switch (d.action) {
	case DO_RESTART:
		restart(s, n);
		break;
	case DO_RETRY:
		n->failed_starts++;
		node_set_state(s, n, CHILD_BACKOFF, s->now_ms + d.delay_ms);
		break;
	case DO_NOTHING:
		end_for_good(s, n);
		break;
	case DO_ESCALATE:
		node_set_state(s, n, CHILD_STOPPED, NEVER);
		give_up(s, n->parent);
		break;
	case DO_QUARANTINE:
		log_error("child.quarantined",
			  "name=%s why=\"%s\" hint=\"start it anew to try again\"", n->name,
			  was_up ? "dies too often" : "fails to start");
		node_set_state(s, n, CHILD_QUARANTINED, NEVER);
		break;
	case DO_REFUSE:
		refuse(s, n);
		break;
	}
}

/* Whether its supervisor has set out to stop the node. Children before stop_from go on living: the
 * death of one of them is decided like any other, and moves stop_from to it. */
static bool is_being_stopped(const struct node *n)
{
	const struct node *sup = n->parent;
	const struct node *c = sup->stop_from;

	if (!sup->stopping || c == NULL)
		return sup->stopping;
	while (c != NULL && c != n)
		c = TAILQ_NEXT(c, in_parent);
	return c != NULL;
}

/* One that was stopped to be renewed. */
static void start_again(struct supervisor *s, struct node *n)
{
	if (n->dynamic) {
		dynamic_enqueue(s, n);
		dynamic_start_waiting(s, n->parent);
	} else {
		node_start(s, n);
	}
}

static void stopped(struct supervisor *s, struct node *n, int64_t uptime_ms)
{
	struct node *sup = n->parent;

	log_info("child.stopped", "name=%s generation=%llu reason=\"%s\" uptime_ms=%lld", n->name,
		 (unsigned long long)n->generation, n->end, (long long)uptime_ms);
	askers_answer(s, n, false);
	node_set_state(s, n, CHILD_STOPPED, NEVER);
	if (n->forget)
		dynamic_forget(s, n);
	else if (sup->stopping)
		n->renewing = false; /* it starts again with the others, or not at all */
	else if (n->renewing)
		start_again(s, n);
	else
		node_let_pass(s, n);
	if (sup->stopping)
		node_go_on_stopping(s, sup);
	roll_step(s);
}

void node_ended(struct supervisor *s, struct node *n, enum restart_event event, bool was_up,
		int64_t uptime_ms)
{
	struct node *dynamic_sup = n->dynamic ? n->parent : NULL; /* n may be forgotten below */

	if (n->state == CHILD_STOPPING || is_being_stopped(n))
		stopped(s, n, uptime_ms);
	else
		decide(s, n, event, was_up, uptime_ms);
	if (dynamic_sup != NULL)
		dynamic_start_waiting(s, dynamic_sup); /* its start token may be free now */
}

static enum restart_event event_of(const struct node *n, int status)
{
	if (n->condemned || !WIFEXITED(status))
		return ENDED_BADLY;
	if (WEXITSTATUS(status) == EXIT_CONFIG)
		return ENDED_CONFIG;
	return WEXITSTATUS(status) == EXIT_OK ? ENDED_NORMALLY : ENDED_BADLY;
}

/* Reports a death, unless it is the end that was wished for: a normal one, or the SIGKILL of a
 * brutal stop. */
static void report(struct supervisor *s, struct node *n, int status, bool was_up, int64_t uptime_ms,
		   pid_t pid)
{
	struct control_crash crash = {.death = n->condemned	   ? n->death
					       : WIFEXITED(status) ? DEATH_EXIT
								   : DEATH_SIGNAL,
				      .code = WIFEXITED(status) ? WEXITSTATUS(status)
								: WTERMSIG(status),
				      .uptime_ms = uptime_ms,
				      .was_up = was_up,
				      .pid = pid};
	struct control_note note;
	bool brutal = crash.death == DEATH_SIGNAL && crash.code == SIGKILL;

	note_take(&n->note_fd, &note);
	n->own_fault = false;
	n->culprit = (struct control_message){0};
	if ((crash.death == DEATH_EXIT && crash.code == EXIT_OK) ||
	    (brutal && (n->state == CHILD_STOPPING)))
		return;
	crash_report(s, n, &crash, &note);
}

/* A zygote's copy that ended by itself before it was up: it failed of what it inherited, is outdated, or
 * was dead already when it was given its name. That says nothing about the program, so it is no failed
 * start and not reported; the program is execed at once, as the next generation. */
static void born_again(struct supervisor *s, struct node *n)
{
	log_warn("zygote.birth_failed", "name=%s generation=%llu reason=\"%s\" next=\"an exec\"",
		 n->name, (unsigned long long)n->generation, n->end);
	note_take(&n->note_fd, &(struct control_note){0});
	node_start(s, n);
}

void node_exited(struct supervisor *s, struct node *n, int status)
{
	pid_t pid = n->pid;
	int64_t uptime_ms;
	bool was_up;

	control_read(s, n); /* a last READY counts */
	was_up = n->up_since_ms != 0;
	uptime_ms = was_up ? s->now_ms - n->up_since_ms : 0;
	control_close(s, n);
	node_forget_pid(s, n);
	if (!n->condemned)
		reap_describe(status, n->end, sizeof(n->end));
	run_dir_remove_socket(s->run_dir_fd, n->name, n->generation);
	if (!was_up && n->by_zygote) {
		run_dir_remove_socket(s->run_dir_fd, CONTROL_STANDBY, (uint64_t)pid);
		zygote_discard(s, n->spec);
		if (!n->condemned && n->state == CHILD_STARTING && !is_being_stopped(n)) {
			born_again(s, n);
			return;
		}
	}
	report(s, n, status, was_up, uptime_ms, pid);
	free(n->degraded);
	n->degraded = NULL;
	n->up_since_ms = 0;
	if (was_up)
		news_down(s, n);
	node_ended(s, n, event_of(n, status), was_up, uptime_ms);
}

void node_condemn(struct supervisor *s, struct node *n, enum control_death death, const char *fmt,
		  ...)
{
	va_list args;

	if (n->pid == 0 || n->condemned)
		return;
	va_start(args, fmt);
	(void)vsnprintf(n->end, sizeof(n->end), fmt, args);
	va_end(args);
	n->condemned = true;
	n->death = death;
	log_warn("child.kill", "name=%s pid=%d generation=%llu reason=\"%s\"", n->name, (int)n->pid,
		 (unsigned long long)n->generation, n->end);
	(void)kill(n->pid, SIGKILL); /* it is ours and not reaped: the pid is right */
	node_set_due(s, n, NEVER);
}

/* --- the tree --- */

void tree_start(struct supervisor *s)
{
	node_start(s, s->root);
}
