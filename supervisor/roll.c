/* roll.c - the rolling restart: one worker after the other is stopped in order and started again, so
 * that newly installed programs come into use. See node.h.
 *
 * One at a time, and the next only when this one is up: whoever calls it meanwhile waits for it as
 * for any restart. A program that does not start ends the roll, with all others left as they are. It
 * is no death, so no strategy answers to it and no restart is counted. We ourselves are not renewed:
 * what we are is so little that it is changed by a restart of the whole.
 */
#include "supervisor/node.h"

#include <errno.h>

#include "base/log.h"

static void renew(struct supervisor *s, struct node *n)
{
	n->to_renew = false;
	n->renewing = true;
	log_info("child.renew", "name=%s generation=%llu", n->name,
		 (unsigned long long)n->generation);
	(void)node_stop(s, n, false); /* it runs, so that takes until its process has ended */
}

static bool can_be_renewed(const struct node *n)
{
	return !node_is_supervisor(n) && node_is_up(n) && !n->condemned && !n->parent->stopping;
}

int roll_start(struct supervisor *s, const char *name)
{
	struct node *n;

	if (s->phase != PHASE_RUN)
		return -ESHUTDOWN;
	if (s->rolling)
		return -EBUSY;
	if (name[0] != '\0') {
		n = node_find(s, name);
		if (n == NULL)
			return -ENOENT;
		if (node_is_supervisor(n))
			return -EINVAL;
		if (!can_be_renewed(n))
			return -ESRCH;
		n->to_renew = true;
	} else {
		TAILQ_FOREACH (n, &s->tree, in_tree)
			n->to_renew = can_be_renewed(n);
	}
	TAILQ_FOREACH (n, &s->tree, in_tree) {
		if (n->to_renew || name[0] == '\0')
			zygote_discard(s, n->spec); /* it is of the old program */
		if (name[0] == '\0' && n->spec->template != NULL)
			zygote_discard(s, n->spec->template); /* it may have no child now */
	}
	s->rolling = true;
	roll_step(s);
	return 0;
}

void roll_step(struct supervisor *s)
{
	struct node *n;

	if (!s->rolling || s->phase != PHASE_RUN)
		return;
	TAILQ_FOREACH (n, &s->tree, in_tree)
		if (n->renewing)
			return; /* not yet */
	TAILQ_FOREACH (n, &s->tree, in_tree)
		if (n->to_renew && can_be_renewed(n)) {
			renew(s, n);
			return;
		}
	s->rolling = false;
	log_info("tree.renewed", "%s", "");
}

void roll_fail(struct supervisor *s, const struct node *n)
{
	struct node *other;

	TAILQ_FOREACH (other, &s->tree, in_tree)
		other->to_renew = other->renewing = false;
	s->rolling = false;
	log_error("tree.renew_failed",
		  "name=%s why=\"%s\" hint=\"the others were left as they are\"", n->name, n->end);
}
