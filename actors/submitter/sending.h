/* sending.h - sends applications: each claimed one goes its way from the resume to its end.
 *
 *   ask --> ensure --> note --> apply --> end
 *
 * ask      only where an earlier try may have reached HH: is it there? Then it has its end
 * ensure   a resume to apply with, unless an earlier try has one
 * note     resume and "it is sent now" are committed, and the lease is found to hold
 * apply    once. HH says that it is there already: after an earlier try of ours that is what became
 *          of it. HH does not find the resume: a new one is given time, another is replaced, once
 * end      committed with its events. A lease that was lost ends it unheard: another sends it
 */
#ifndef ACTORS_SUBMITTER_SENDING_H
#define ACTORS_SUBMITTER_SENDING_H

#include "actors/submitter/batch.h"

struct sending;

struct sender {
	struct actor *self;
	struct sending *first;
	size_t count;
	struct batch notes;
	struct batch ends;

	/* An application is as it says now. */
	void (*told)(struct actor *self, const struct application *application);

	/* Some of those in flight have gone. */
	void (*freed)(struct actor *self);
};

void sender_init(struct sender *sender, struct actor *self,
		 void (*told)(struct actor *self, const struct application *application),
		 void (*freed)(struct actor *self));

/* Sends what was claimed. What there is no memory for is left to the end of its lease. */
void sender_take(struct sender *sender, const struct application_work *work);

/* Writes what is held to leases, which has room for all. Texts are borrowed until the next turn. */
size_t sender_held(const struct sender *sender, struct application_lease *leases);

void sender_fini(struct sender *sender);

#endif
