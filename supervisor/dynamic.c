/* dynamic.c - children made from a template on request, e.g. one fetcher per user.
 *
 * A dynamic child is named PREFIX:ARGUMENT after its template. At most max_starting of a supervisor
 * are between fork and READY at a time: a thousand restarts at once would otherwise take the
 * processor, and then the database, from everybody else. The others wait in a queue.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* Names become file names of sockets, and words in logs. */
static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.@:";

	return strspn(name, allowed) == strlen(name);
}

/* The supervisor whose template has the prefix of name. */
static struct node *supervisor_of(const struct supervisor *s, const char *name)
{
	size_t prefix = strcspn(name, ":");
	struct node *n;

	TAILQ_FOREACH (n, &s->tree, in_tree) {
		const struct child_spec *template = n->spec->template;

		if (node_is_supervisor(n) && template != NULL && strlen(template->name) == prefix &&
		    strncmp(template->name, name, prefix) == 0)
			return n;
	}
	return NULL;
}

void dynamic_enqueue(struct supervisor *s, struct node *n)
{
	node_set_state(s, n, CHILD_WAITING, NEVER);
	TAILQ_INSERT_TAIL(&n->parent->waiting, n, in_waiting);
	n->in_queue = true;
}

void dynamic_start_waiting(struct supervisor *s, struct node *sup)
{
	struct node *n;

	while (!sup->stopping && sup->starting_count < sup->spec->max_starting &&
	       (n = TAILQ_FIRST(&sup->waiting)) != NULL)
		node_start(s, n); /* leaves the queue with its state */
}

/* A child that is there already: put aside, it gets another chance; on its way out, it comes back;
 * else it needs no second start. */
static int start_known(struct supervisor *s, struct node *n)
{
	if (!n->dynamic)
		return -EEXIST;
	if (n->forget) {
		n->again = true;
		return 0;
	}
	if (n->state != CHILD_QUARANTINED)
		return -EEXIST;
	restart_window_clear(&n->window);
	n->failed_starts = 0;
	log_info("child.tried_again", "name=%s", n->name);
	dynamic_enqueue(s, n);
	dynamic_start_waiting(s, n->parent);
	return 0;
}

int dynamic_start(struct supervisor *s, const char *name)
{
	struct node *sup = supervisor_of(s, name);
	struct node *n = node_find(s, name);
	int rc;

	if (sup == NULL)
		return -ENOENT;
	if (!is_name(name) || name[strcspn(name, ":")] == '\0' ||
	    name[strcspn(name, ":") + 1] == '\0')
		return -EINVAL;
	if (s->phase == PHASE_STOP || sup->state != CHILD_UP)
		return -ESHUTDOWN;
	if (n != NULL)
		return start_known(s, n);
	if (sup->child_count >= s->max_children)
		return -ENOSPC;
	rc = node_new(s, sup->spec->template, name, sup, &n);
	if (rc < 0)
		return rc;
	dynamic_enqueue(s, n);
	dynamic_start_waiting(s, sup);
	return 0;
}

int dynamic_terminate(struct supervisor *s, const char *name)
{
	struct node *n = node_find(s, name);

	if (n == NULL || !n->dynamic)
		return -ENOENT;
	n->forget = true;
	n->again = false;
	if (node_stop(s, n, false))
		dynamic_forget(s, n);
	return 0;
}

void dynamic_forget(struct supervisor *s, struct node *n)
{
	struct node *sup = n->parent;

	if (!n->again) {
		node_free(s, n);
		return;
	}
	n->forget = false;
	n->again = false;
	n->failed_starts = 0;
	restart_window_clear(&n->window);
	if (sup->stopping)
		return; /* comes back with its supervisor, if that does */
	dynamic_enqueue(s, n);
	dynamic_start_waiting(s, sup);
}
