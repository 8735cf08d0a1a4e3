/* node.c - nodes of the tree, found by name, by pid and by number. See node.h. */
#include "supervisor/node.h"

#include <errno.h>
#include <search.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The indexes are libc's balanced trees; what they hold are pointers to the key in the node. */
static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a;
	pid_t y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

struct node *node_find(const struct supervisor *s, const char *name)
{
	char *const *found = tfind(name, &s->names, compare_names);

	return found == NULL ? NULL : (struct node *)(void *)(*found - offsetof(struct node, name));
}

struct node *node_find_pid(const struct supervisor *s, pid_t pid)
{
	char *const *found = tfind(&pid, &s->pids, compare_pids);

	return found == NULL ? NULL : (struct node *)(void *)(*found - offsetof(struct node, pid));
}

int node_set_pid(struct supervisor *s, struct node *n, pid_t pid)
{
	n->pid = pid;
	if (tsearch(&n->pid, &s->pids, compare_pids) == NULL) {
		n->pid = 0;
		return -ENOMEM;
	}
	return 0;
}

void node_forget_pid(struct supervisor *s, struct node *n)
{
	if (n->pid != 0)
		(void)tdelete(&n->pid, &s->pids, compare_pids);
	n->pid = 0;
}

/* Puts the node after the last one below its parent, so that the list stays in tree order. */
static void insert(struct supervisor *s, struct node *n)
{
	struct node *after = n->parent;

	if (after == NULL) {
		TAILQ_INSERT_HEAD(&s->tree, n, in_tree);
		return;
	}
	while (!TAILQ_EMPTY(&after->children))
		after = TAILQ_LAST(&after->children, node_queue);
	TAILQ_INSERT_AFTER(&s->tree, after, n, in_tree);
	TAILQ_INSERT_TAIL(&n->parent->children, n, in_parent);
	n->parent->child_count++;
}

/* Takes it out again. Its generations are not used anew by the next child of that name. */
static void take_out(struct supervisor *s, struct node *n)
{
	struct node *parent = n->parent;

	TAILQ_REMOVE(&s->tree, n, in_tree);
	if (parent == NULL)
		return;
	TAILQ_REMOVE(&parent->children, n, in_parent);
	parent->child_count--;
	if (parent->forgotten_generation < n->generation)
		parent->forgotten_generation = n->generation;
}

static int window_init(struct node *n)
{
	const struct child_spec *limits = n->dynamic ? n->parent->spec : n->spec;

	if (!n->dynamic && !node_is_supervisor(n))
		return 0;
	return restart_window_init(&n->window, limits->max_restarts, limits->period_ms);
}

int node_new(struct supervisor *s, const struct child_spec *spec, const char *name,
	     struct node *parent, struct node **out)
{
	struct node *n;

	if (node_find(s, name) != NULL)
		return -EEXIST;
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return -ENOMEM;
	n->spec = spec;
	n->parent = parent;
	n->dynamic = parent != NULL && parent->spec->template == spec;
	n->generation = parent == NULL ? 0 : parent->forgotten_generation;
	n->first_generation = n->generation + 1;
	n->state = CHILD_WAITING;
	n->due_ms = NEVER;
	n->link.fd = -1;
	n->note_fd = -1;
	LIST_INIT(&n->link.watches);
	TAILQ_INIT(&n->link.untold);
	TAILQ_INIT(&n->children);
	TAILQ_INIT(&n->waiting);
	(void)snprintf(n->name, sizeof(n->name), "%s", name);
	if (window_init(n) < 0 || tsearch(n->name, &s->names, compare_names) == NULL) {
		restart_window_fini(&n->window);
		free(n);
		return -ENOMEM;
	}
	insert(s, n);
	s->cursor = NULL;
	*out = n;
	return 0;
}

void node_free(struct supervisor *s, struct node *n)
{
	(void)tdelete(n->name, &s->names, compare_names);
	take_out(s, n);
	s->cursor = NULL;
	askers_answer(s, n, false);
	restart_window_fini(&n->window);
	free(n->degraded);
	free(n);
}

/* A status is read from 0 upwards, so the node after the one that was asked for last is near. */
struct node *node_at(struct supervisor *s, int64_t index)
{
	struct node *n = s->cursor;
	int64_t at = s->cursor_index;

	if (index < 0)
		return NULL;
	if (n == NULL || at > index) {
		n = TAILQ_NEXT(s->root, in_tree);
		at = 0;
	}
	for (; n != NULL && at < index; at++)
		n = TAILQ_NEXT(n, in_tree);
	s->cursor = n;
	s->cursor_index = at;
	return n;
}
