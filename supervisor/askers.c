/* askers.c - who waits for a child to be up, or to have stopped. See node.h.
 *
 * A request that waits (CONTROL_WAIT) is kept with the child that it is about, and answered by what
 * becomes of that child. Who asked is kept by name and generation: if it dies first, nobody waits.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of one child. More have no reason to ask. */
#define ASKERS_MAX 16

struct asker {
	struct asker *next;
	char name[CONTROL_NAME_SIZE];
	uint64_t generation;
	uint32_t ref;
	bool stop; /* it waits for the end, not for the start */
};

int askers_add(struct node *n, const struct node *from, const struct control_packet *request)
{
	struct asker **last = &n->askers;
	struct asker *asker;
	unsigned count = 0;

	for (; *last != NULL; last = &(*last)->next)
		count++;
	if (count >= ASKERS_MAX)
		return -EBUSY;
	asker = calloc(1, sizeof(*asker));
	if (asker == NULL)
		return -ENOMEM;
	memcpy(asker->name, from->name, sizeof(asker->name));
	asker->generation = from->generation;
	asker->ref = request->ref;
	asker->stop = request->type == CONTROL_TERMINATE_CHILD;
	*last = asker;
	return 0;
}

bool askers_of_start(const struct node *n)
{
	for (const struct asker *a = n->askers; a != NULL; a = a->next)
		if (!a->stop)
			return true;
	return false;
}

static void answer(struct supervisor *s, const struct node *n, const struct asker *asker, bool up)
{
	struct node *to = node_find(s, asker->name);
	struct control_packet reply = {.version = CONTROL_VERSION,
				       .type = CONTROL_REPLY,
				       .ref = asker->ref,
				       .generation = n->generation};

	if (to == NULL || to->pid == 0 || to->generation != asker->generation)
		return;
	if (asker->stop)
		reply.result = up ? -ECANCELED : 0;
	else if (!up)
		reply.result = n->state == CHILD_STOPPING || n->state == CHILD_STOPPED ? -ECANCELED
										       : -ECHILD;
	memcpy(reply.name, n->name, sizeof(reply.name));
	if (!up)
		memcpy(reply.reason, n->end, sizeof(reply.reason));
	control_reply(s, to, &reply);
}

void askers_answer(struct supervisor *s, struct node *n, bool up)
{
	while (n->askers != NULL) {
		struct asker *asker = n->askers;

		n->askers = asker->next;
		answer(s, n, asker, up);
		free(asker);
	}
}
