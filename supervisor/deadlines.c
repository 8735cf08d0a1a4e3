/* deadlines.c - what happens to a child when its time is up. See node.h.
 *
 * A deadline is a time in the node, and the loop looks at all nodes when the earliest has passed. A
 * heartbeat moves no deadline: it is noted, and the look at the child, about every heartbeat_ms,
 * finds that it was heard. So a thousand children cost one walk over the tree every two seconds.
 */
#include "supervisor/node.h"

/* The loop reads what a child said before it looks at deadlines again. What is still unread counts
 * as heard, for then it is we who are late. */
#define UNREAD_MS 100

/* How often a child without a heartbeat is looked at: it may have outgrown its memory. */
#define LOOK_MS	  2500

int64_t node_next_look_ms(const struct supervisor *s, const struct node *n)
{
	return n->spec->heartbeat_ms == HEARTBEAT_OFF ? s->now_ms + LOOK_MS
						      : n->heard_ms + n->spec->heartbeat_ms;
}

/* The worker's memory if that is more than it may hold, else 0. */
static int64_t outgrown_mb(const struct node *n)
{
	int64_t resident_mb = n->spec->memory_max_mb > 0 ? memory_resident_mb(n->pid) : 0;

	return resident_mb > n->spec->memory_max_mb ? resident_mb : 0;
}

/* A child that is up is looked at about every heartbeat_ms. */
static void look_at(struct supervisor *s, struct node *n)
{
	int64_t memory_mb = outgrown_mb(n);
	int64_t silent_ms;

	if (control_has_unread(n))
		n->heard_ms = s->now_ms;
	silent_ms = s->now_ms - n->heard_ms;
	if (n->link.fd < 0)
		node_condemn(s, n, DEATH_TREATY, "closed its control socket");
	else if (n->spec->heartbeat_ms != HEARTBEAT_OFF && silent_ms >= n->spec->heartbeat_ms)
		node_condemn(s, n, DEATH_HEARTBEAT, "no heartbeat for %lld ms",
			     (long long)silent_ms);
	else if (memory_mb > 0)
		node_condemn(s, n, DEATH_MEMORY, "holds %lld MB of memory, %lld are allowed",
			     (long long)memory_mb, (long long)n->spec->memory_max_mb);
	else
		node_set_due(s, n, node_next_look_ms(s, n));
}

/* The others need not wait any longer for a child that takes so long. */
static void start_timed_out(struct supervisor *s, struct node *n)
{
	if (control_has_unread(n)) {
		node_set_due(s, n, s->now_ms + UNREAD_MS);
		return;
	}
	if (n->link.fd < 0)
		node_condemn(s, n, DEATH_TREATY, "closed its control socket");
	else
		node_condemn(s, n, DEATH_START, "start timed out after %lld ms",
			     (long long)n->spec->start_timeout_ms);
	node_let_pass(s, n);
}

void node_due(struct supervisor *s, struct node *n)
{
	n->due_ms = NEVER;
	switch (n->state) {
	case CHILD_STARTING:
		if (n->pid == 0) {
			node_ended(s, n, ENDED_BADLY, false, 0);
			break;
		}
		start_timed_out(s, n);
		break;
	case CHILD_UP:
	case CHILD_DEGRADED:
		look_at(s, n);
		break;
	case CHILD_STOPPING:
		node_condemn(s, n, DEATH_STOP, "did not stop within %lld ms",
			     (long long)n->spec->shutdown_ms);
		break;
	case CHILD_BACKOFF:
		if (n->dynamic) {
			dynamic_enqueue(s, n);
			dynamic_start_waiting(s, n->parent);
		} else {
			node_start(s, n);
		}
		break;
	case CHILD_STOPPED:
	case CHILD_WAITING:
	case CHILD_QUARANTINED:
		break;
	}
}
