/* shutdown.c - stopping in order: the reverse of the start, each child with the time that its row
 * gives it. See node.h.
 *
 * There is one mechanism for four ends: a strategy that restarts several children, a supervisor that
 * gives up or is killed, one that has nothing left to do, and a stop from above. In each a supervisor sets out to stop its
 * children back to a certain one, and whenever one of them has stopped it goes on with the next.
 */
#include "supervisor/node.h"

#include <signal.h>
#include <stdio.h>

#include "base/exit_codes.h"
#include "base/log.h"

static void stop_worker(struct supervisor *s, struct node *n, bool brutal)
{
	bool kill_now = brutal || n->spec->shutdown_ms == SHUTDOWN_BRUTAL_KILL;
	bool wait_for_ever = kill_now || n->spec->shutdown_ms == SHUTDOWN_INFINITY;

	if (n->state == CHILD_STOPPING && !brutal)
		return;
	node_set_state(s, n, CHILD_STOPPING,
		       wait_for_ever ? NEVER : s->now_ms + n->spec->shutdown_ms);
	(void)kill(n->pid, kill_now ? SIGKILL : SIGTERM);
}

/* Stops children in reverse order, as far as that can be done now; each is waited for before the
 * next one, but dynamic children stop all together. Returns true when all of them have stopped. */
static bool stop_children(struct supervisor *s, struct node *sup)
{
	bool together = sup->spec->template != NULL || sup->brutal;
	struct node *child = TAILQ_LAST(&sup->children, node_queue);
	bool all = true;

	for (; child != NULL; child = TAILQ_PREV(child, node_queue, in_parent)) {
		if (!node_stop(s, child, sup->brutal)) {
			all = false;
			if (!together)
				break;
		}
		if (child == sup->stop_from)
			break;
	}
	return all;
}

static void set_out_to_stop(struct node *sup, struct node *from, enum after_stop then, bool brutal)
{
	if (!sup->stopping || from == NULL || sup->stop_from != NULL)
		sup->stop_from = from;
	if (!sup->stopping || then > sup->then)
		sup->then = then;
	sup->brutal = sup->brutal || brutal;
	sup->stopping = true;
}

static void stopping_is_done(struct node *sup)
{
	sup->stopping = false;
	sup->stop_from = NULL;
	sup->brutal = false;
}

static void supervisor_is_stopped(struct supervisor *s, struct node *sup)
{
	stopping_is_done(sup);
	sup->up_since_ms = 0;
	askers_answer(s, sup, false);
	node_set_state(s, sup, CHILD_STOPPED, NEVER);
	if (sup == s->root)
		s->done = true;
	else if (!sup->parent->stopping)
		node_let_pass(s, sup); /* it was terminated by request */
}

bool node_stop(struct supervisor *s, struct node *n, bool brutal)
{
	if (!node_is_supervisor(n)) {
		if (n->pid != 0)
			stop_worker(s, n, brutal);
		else
			node_set_state(s, n, CHILD_STOPPED, NEVER);
	} else if (n->state != CHILD_STOPPED) {
		node_set_state(s, n, CHILD_STOPPING, NEVER);
		set_out_to_stop(n, NULL, THEN_STOPPED, brutal);
		if (stop_children(s, n))
			supervisor_is_stopped(s, n);
	}
	return n->state == CHILD_STOPPED;
}

/* The affected children of a strategy have stopped: the same again. A temporary child is not,
 * nor one that was deleted. */
static void start_again(struct supervisor *s, struct node *sup, struct node *from)
{
	struct node *child = from != NULL ? from : TAILQ_FIRST(&sup->children);

	for (; child != NULL; child = TAILQ_NEXT(child, in_parent)) {
		bool stays = child->deleted || child->spec->restart == RESTART_TEMPORARY;

		child->deleted = stays;
		child->passed = stays;
		child->failed_starts = 0;
		node_set_state(s, child, stays ? CHILD_STOPPED : CHILD_WAITING, NEVER);
	}
	node_start_children(s, sup);
}

static void supervisor_ended(struct supervisor *s, struct node *sup, enum restart_event event)
{
	bool was_up = sup->up_since_ms != 0;
	int64_t uptime_ms = was_up ? s->now_ms - sup->up_since_ms : 0;

	sup->up_since_ms = 0;
	node_ended(s, sup, event, was_up, uptime_ms);
}

void node_go_on_stopping(struct supervisor *s, struct node *sup)
{
	enum after_stop then = sup->then;
	struct node *from = sup->stop_from;

	if (!stop_children(s, sup))
		return;
	if (then == THEN_STOPPED) {
		supervisor_is_stopped(s, sup);
		if (sup->parent != NULL && sup->parent->stopping)
			node_go_on_stopping(s, sup->parent);
		return;
	}
	stopping_is_done(sup);
	if (then == THEN_RESTART)
		start_again(s, sup, from);
	else
		supervisor_ended(s, sup, then == THEN_END ? ENDED_NORMALLY : ENDED_BADLY);
}

void node_stop_children(struct supervisor *s, struct node *sup, struct node *from,
			enum after_stop then, bool brutal)
{
	set_out_to_stop(sup, from, then, brutal);
	node_go_on_stopping(s, sup);
}

/* Whether no significant child of the supervisor but that one still lives, or may come back. */
static bool is_last_significant(const struct node *n)
{
	const struct node *c;

	TAILQ_FOREACH (c, &n->parent->children, in_parent)
		if (c != n && c->spec->significant && !c->deleted && c->state != CHILD_STOPPED &&
		    c->state != CHILD_QUARANTINED)
			return false;
	return true;
}

bool auto_shutdown_is_due(const struct node *n)
{
	const struct node *sup = n->parent;

	if (!n->spec->significant || sup->stopping)
		return false;
	return sup->spec->auto_shutdown == AUTO_SHUTDOWN_ANY ||
	       (sup->spec->auto_shutdown == AUTO_SHUTDOWN_ALL && is_last_significant(n));
}

void auto_shutdown(struct supervisor *s, struct node *sup)
{
	log_info("supervisor.auto_shutdown", "name=%s", sup->name);
	(void)snprintf(sup->end, sizeof(sup->end), "shut down by itself");
	if (sup == s->root)
		tree_stop(s, EXIT_OK, false);
	else
		node_stop_children(s, sup, NULL, THEN_END, false);
}

void tree_stop(struct supervisor *s, int exit_code, bool brutal)
{
	if (s->phase != PHASE_STOP) {
		s->phase = PHASE_STOP;
		s->exit_code = exit_code;
		log_info("tree.stopping", "exit_code=%d", exit_code);
		notify_send("STOPPING=1");
	}
	(void)node_stop(s, s->root, brutal); /* the loop ends when it has stopped */
}
