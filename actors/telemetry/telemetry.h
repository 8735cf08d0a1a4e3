/* telemetry.h - what the files of telemetry share.
 *
 *   telemetry.c  the actor: TREE_STATE, TREE_KILL, its tables
 *   children.c   OTP's functions on children, and the rolling restart
 *   crashes.c    TREE_CRASHES
 *   walk.c       the children of the tree, one after the other
 */
#ifndef ACTORS_TELEMETRY_TELEMETRY_H
#define ACTORS_TELEMETRY_TELEMETRY_H

#include "actors/runtime/actor.h"

/* --- walk.c --- */

struct walk;

typedef void walk_done_fn(struct actor *self, struct walk *walk);

/* A child that a walk saw. */
struct seen {
	struct seen *next;
	struct child_state child; /* its texts live as long as the call */
	bool dynamic;		  /* made from a template; of a supervisor: it has one */
	bool deleted;
};

/* A walk over the tree for a call; lives in its arena. One request to the supervisor at a time. */
struct walk {
	struct actor_call *call;
	const void *request; /* of that call */
	const char *only;    /* the name that is looked for; NULL: all are seen */
	walk_done_fn *done;
	struct seen *first; /* in start order */
	struct seen **last;
	size_t count;
	int64_t index;
};

/* Looks at all children, or for one called only (borrowed until done), then calls done, which answers
 * call. If it cannot, it answers call itself. */
void walk_start(struct actor *self, struct actor_call *call, const void *request, const char *only,
		walk_done_fn *done);

/* What walk saw, as an array of child_state in the call's arena; NULL: out of memory. */
const struct child_state *walk_rows(struct walk *walk);

/* --- handlers --- */

actor_call_fn on_tree_crashes;
actor_call_fn on_tree_which_children;
actor_call_fn on_tree_count_children;
actor_call_fn on_tree_start_child;
actor_call_fn on_tree_terminate_child;
actor_call_fn on_tree_restart_child;
actor_call_fn on_tree_delete_child;
actor_call_fn on_tree_restart;

#endif
