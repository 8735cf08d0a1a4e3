/* children.c - OTP's start_child, terminate_child, restart_child and delete_child. See node.h.
 *
 * The rows of tree.c are all the child specifications that there can be: a request may start what is
 * there or is made from a template, and never name a program of its own.
 */
#include "supervisor/node.h"

#include <errno.h>

#include "base/log.h"

/* A static child, or NULL. The root is nobody's child. */
static struct node *find_child(const struct supervisor *s, const char *name)
{
	struct node *n = node_find(s, name);

	return n == s->root ? NULL : n;
}

/* Whether its supervisor can start a child now. */
static bool may_start(const struct supervisor *s, const struct node *n)
{
	return s->phase != PHASE_STOP && !n->parent->stopping &&
	       (n->parent->state == CHILD_UP || n->parent->state == CHILD_STARTING);
}

static bool is_restarting(const struct node *n)
{
	return n->state == CHILD_BACKOFF || n->state == CHILD_WAITING;
}

static int start_static(struct supervisor *s, struct node *n)
{
	if (!may_start(s, n))
		return -ESHUTDOWN;
	n->deleted = false;
	n->failed_starts = 0;
	n->passed = true;	    /* it is no part of an ordered start: nobody waits for it */
	zygote_discard(s, n->spec); /* who asks means the program on the disk */
	node_start(s, n);
	return 0;
}

int children_start(struct supervisor *s, const char *name)
{
	struct node *n = find_child(s, name);

	if (n == NULL || n->dynamic)
		return dynamic_start(s, name);
	if (n->deleted)
		return start_static(s, n);
	return n->state == CHILD_STOPPED ? -EALREADY : -EEXIST;
}

static bool is_above(const struct node *n, const struct node *of)
{
	for (; of != NULL; of = of->parent)
		if (of == n)
			return true;
	return false;
}

int children_terminate(struct supervisor *s, const struct node *by, const char *name)
{
	struct node *n = find_child(s, name);

	if (n == NULL || n->deleted)
		return -ENOENT;
	if (is_above(n, by))
		return -EDEADLK;
	log_info("child.terminate", "name=%s by=%s", n->name, by->name);
	if (n->dynamic)
		return dynamic_terminate(s, name);
	n->renewing = false;
	if (n->spec->restart == RESTART_TEMPORARY)
		n->deleted = true;
	if (node_stop(s, n, false))
		node_let_pass(s, n);
	return 0;
}

int children_restart(struct supervisor *s, const char *name)
{
	struct node *n = find_child(s, name);

	if (n == NULL || n->deleted)
		return -ENOENT;
	if (n->dynamic)
		return -EOPNOTSUPP;
	if (is_restarting(n))
		return -EALREADY;
	if (n->state != CHILD_STOPPED)
		return -EEXIST;
	return start_static(s, n);
}

int children_delete(struct supervisor *s, const struct node *by, const char *name)
{
	struct node *n = find_child(s, name);

	if (n == NULL || n->deleted)
		return -ENOENT;
	if (n->dynamic)
		return -EOPNOTSUPP;
	if (is_restarting(n))
		return -EALREADY;
	if (n->state != CHILD_STOPPED)
		return -EBUSY;
	log_info("child.delete", "name=%s by=%s", n->name, by->name);
	n->deleted = true;
	return 0;
}
