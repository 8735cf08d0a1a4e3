/* submissions.h - those who submit: their applications are committed, and they wait for the outcome.
 *
 * The outcome may come from this process, from another node (the bell rings, and those who wait are
 * looked up), or not within their time; then they get the application as it stands. One that must
 * wait for a token of the rate limit is an answer too: it says until when.
 */
#ifndef ACTORS_SUBMITTER_SUBMISSIONS_H
#define ACTORS_SUBMITTER_SUBMISSIONS_H

#include "actors/submitter/batch.h"

struct submission;

struct submissions {
	struct actor *self;
	struct batch puts;
	struct submission *waiting; /* for the outcome */
	size_t handed;		    /* calls that are not answered, wherever they are */
	bool reading;
	bool read_again;
	void (*idle)(struct actor *self); /* set: nobody is left once it is called */
};

void submissions_init(struct submissions *all, struct actor *self);

/* Handles APPLICATION_SUBMIT; takes call. */
void submissions_take(struct submissions *all, struct actor_call *call,
		      const struct application_submit *submit);

/* An application is as it says now. */
void submissions_told(struct submissions *all, const struct application *application);

/* The bell rang: others may have changed what is waited for. */
void submissions_rung(struct submissions *all);

/* Answers all who wait with what is known; idle is called when the others are answered too, perhaps
 * at once. */
void submissions_close(struct submissions *all, void (*idle)(struct actor *self));

void submissions_fini(struct submissions *all);

#endif
