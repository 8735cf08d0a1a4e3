/* batch.h - what is said to the store many at a time: one call and one commit for all that came up
 * within one turn of the loop, or while the call before was under way. The more there is to do, the
 * more a commit carries.
 */
#ifndef ACTORS_SUBMITTER_BATCH_H
#define ACTORS_SUBMITTER_BATCH_H

#include "actors/runtime/actor.h"

#define BATCH_MAX 100 /* the catalogue's limit */

/* Part of what is said, and its owner's until it is added; from then on the batch's until done or
 * failed is called for it. */
struct entry {
	struct entry *next;
	size_t bytes; /* about, of what is large in it */
	bool alone;   /* it goes in a batch of its own: one with others was refused */
};

struct batch_kind {
	enum msg_id id; /* a call of the store */

	/* Sends the entries: actor_call(self, id, ..., fn, context). Returns what that returns. */
	int (*send)(struct actor *self, struct entry *const *entries, size_t count,
		    actor_answer_fn *fn, void *context);

	/* The store has answered with reply. */
	void (*done)(struct actor *self, struct entry *const *entries, size_t count,
		     const void *reply);

	/* The store refused this one, alone. NULL for failure: it could not be sent. */
	void (*failed)(struct actor *self, struct entry *entry, const struct failure *failure);

	bool insists; /* what time can mend is said again until it is heard, and not failed */
};

struct batch {
	const struct batch_kind *kind;
	struct actor *self;
	struct entry *first; /* waiting */
	struct entry **last; /* where the next one goes */
	struct entry *sent[BATCH_MAX];
	size_t count;		   /* of sent; 0: no call is under way */
	struct actor_timer *timer; /* set: it is sent at the turn's end, or a little later */
};

void batch_init(struct batch *batch, struct actor *self, const struct batch_kind *kind);

/* Says entry, soon. */
void batch_add(struct batch *batch, struct entry *entry);

/* Whether everything was said. */
bool batch_idle(const struct batch *batch);

/* Stops; what waits is its owner's to free. */
void batch_fini(struct batch *batch);

#endif
