/* request.c - what a child may ask of the supervisor (proto/control.h). See node.h. */
#include "supervisor/node.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* A supervisor is no process: its children are killed, and only when none is left is it itself dead
 * for its parent. */
static void kill_supervisor(struct supervisor *s, struct node *sup, const char *why)
{
	(void)snprintf(sup->end, sizeof(sup->end), "%s", why);
	node_stop_children(s, sup, NULL, THEN_DIE, true);
}

/* SIGKILL, as if the child had died by itself: its restart type decides what follows. */
static int kill_child(struct supervisor *s, const struct node *from, const char *name)
{
	struct node *n = node_find(s, name);
	char why[CONTROL_REASON_SIZE];

	if (n == NULL || n == s->root)
		return -ENOENT;
	if (node_is_supervisor(n) ? n->up_since_ms == 0 : n->pid == 0)
		return -ESRCH;
	log_warn("child.kill_requested", "name=%s by=%s", n->name, from->name);
	(void)snprintf(why, sizeof(why), "killed by SIGKILL (asked by %.*s)", 60, from->name);
	if (node_is_supervisor(n))
		kill_supervisor(s, n, why);
	else
		node_condemn(s, n, DEATH_REQUESTED, "%s", why);
	return 0;
}

static int next_child(struct supervisor *s, int64_t index, struct control_packet *reply)
{
	const struct node *n = node_at(s, index);

	if (n == NULL)
		return -ENOENT;
	reply->value = index;
	reply->generation = n->generation;
	(void)snprintf(reply->name, sizeof(reply->name), "%s", n->name);
	(void)snprintf(reply->reason, sizeof(reply->reason), "%s",
		       n->degraded != NULL ? n->degraded : n->end);
	reply->child = (struct control_child){
		.generation = n->generation,
		.pid = n->pid,
		.up_since_ms = n->up_since_ms,
		.restarts = n->generation > n->first_generation
				    ? n->generation - n->first_generation
				    : 0,
		.state = n->state,
		.is_supervisor = node_is_supervisor(n),
		.is_dynamic = n->dynamic || n->spec->template != NULL,
		.deleted = n->deleted,
	};
	if (n->parent != s->root)
		(void)snprintf(reply->child.supervisor, sizeof(reply->child.supervisor), "%s",
			       n->parent->name);
	return 0;
}

/* What is done at once; the result. */
static int act(struct supervisor *s, struct node *from, const struct control_packet *request,
	       struct control_packet *reply)
{
	switch (request->type) {
	case CONTROL_START_CHILD:
		return children_start(s, request->name);
	case CONTROL_TERMINATE_CHILD:
		return children_terminate(s, from, request->name);
	case CONTROL_RESTART_CHILD:
		return children_restart(s, request->name);
	case CONTROL_DELETE_CHILD:
		return children_delete(s, from, request->name);
	case CONTROL_RENEW_CHILD:
		return roll_start(s, request->name);
	case CONTROL_KILL_CHILD:
		return kill_child(s, from, request->name);
	case CONTROL_NEXT_CHILD:
		return next_child(s, request->value, reply);
	case CONTROL_NEXT_CRASH:
		return crash_next(s, request->value, reply);
	case CONTROL_CRASH_FRAME:
		return crash_frame(s, request->value, reply);
	default:
		return -EINVAL;
	}
}

/* Whether the answer is given later, by what becomes of the child. */
static bool is_to_wait(struct supervisor *s, struct node *from,
		       const struct control_packet *request, struct control_packet *reply)
{
	struct node *n = node_find(s, request->name);
	bool stop = request->type == CONTROL_TERMINATE_CHILD;

	if (reply->result != 0 || request->value != CONTROL_WAIT ||
	    (!stop && request->type != CONTROL_START_CHILD &&
	     request->type != CONTROL_RESTART_CHILD))
		return false;
	if (n == NULL || (stop ? n->state == CHILD_STOPPED : node_is_up(n)))
		return false;
	reply->result = askers_add(n, from, request);
	return reply->result == 0;
}

bool request_serve(struct supervisor *s, struct node *from, const struct control_packet *request,
		   struct control_packet *reply)
{
	if (!from->spec->may_control) {
		if (!from->link.refused)
			log_warn("request.refused", "name=%s type=%d", from->name,
				 (int)request->type);
		from->link.refused = true;
		reply->result = -EPERM;
		return true;
	}
	reply->result = act(s, from, request, reply);
	return !is_to_wait(s, from, request, reply);
}
