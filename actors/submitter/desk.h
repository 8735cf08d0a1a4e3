/* desk.h - those who submit: their applications are committed, and they wait for the outcome.
 *
 * The outcome may come from this process, from another node (the bell rings, and those who wait are
 * looked up), or not within their time; then they get the application as it stands. One that must
 * wait for a token of the rate limit is an answer too: it says until when.
 */
#ifndef ACTORS_SUBMITTER_DESK_H
#define ACTORS_SUBMITTER_DESK_H

#include "actors/submitter/batch.h"

struct submission;

struct desk {
	struct actor *self;
	struct batch puts;
	struct submission *waiting; /* for the outcome */
	size_t handed;		    /* calls that are not answered, wherever they are */
	bool reading;
	bool read_again;
	void (*idle)(struct actor *self); /* set: nobody is left once it is called */
};

void desk_init(struct desk *desk, struct actor *self);

/* Handles APPLICATION_SUBMIT; takes call. */
void desk_submit(struct desk *desk, struct actor_call *call,
		 const struct application_submit *submit);

/* An application is as it says now. */
void desk_told(struct desk *desk, const struct application *application);

/* The bell rang: others may have changed what is waited for. */
void desk_rung(struct desk *desk);

/* Answers all who wait with what is known; idle is called when the others are answered too, perhaps
 * at once. */
void desk_close(struct desk *desk, void (*idle)(struct actor *self));

void desk_fini(struct desk *desk);

#endif
