/* feed.h - reads the events of the topics that somebody here listens to out of the store.
 *
 * topics.h decides what to read and who gets it; this asks the store: when the bell rings, when
 * somebody comes, has room again or goes back, and every few seconds in case a bell was lost. When
 * the store is away it waits and asks again: where everybody stands is kept here, so nothing is
 * lost.
 */
#ifndef BROADCASTER_FEED_H
#define BROADCASTER_FEED_H

#include "actors/broadcaster/topics.h"
#include "actors/runtime/actor.h"

/* Listening from now on, rather than after an event. */
#define FEED_FROM_NOW (-1)

struct feed_ask; /* opaque: a call to the store that is under way */

/* A place in the audience of a topic. Zeroed by its owner, who keeps it until feed_leave(). */
struct listener {
	struct subscription sub; /* first; sub.owner is the owner's */
	int64_t after;		 /* wants what is later; FEED_FROM_NOW */
	struct feed_ask *ask;	 /* asks where the topic ends */
	bool waiting;		 /* in feed->waiting */
	TAILQ_ENTRY(listener) link;
};

struct feed_callbacks {
	topics_deliver_fn *deliver;
	void (*dealt)(void *context); /* after a row of deliver() */
	bool (*has_room)(struct subscription *sub);
	/* The listener was placed; last is the topic's last event. -1: it is not placed yet,
	 * because the store does not answer; it goes on being asked, and this may be said again. */
	void (*placed)(struct listener *l, int64_t last);
};

TAILQ_HEAD(listener_list, listener);
TAILQ_HEAD(feed_asks, feed_ask);

struct feed {
	struct actor *self;
	const struct feed_callbacks *callbacks;
	void *context;
	struct topics topics;
	struct listener_list waiting; /* to be placed */
	struct feed_asks asks;
	size_t tails; /* of the asks: where a topic ends */
	size_t lives;
	size_t behinds;
	unsigned failures;	   /* in a row */
	struct actor_timer *retry; /* not NULL: nothing is asked before it fires */
	struct actor_timer *poll;
};

/* Returns 0 or -ENOMEM. */
int feed_open(struct feed *feed, struct actor *self, const struct feed_callbacks *callbacks,
	      void *context) __attribute__((warn_unused_result));
void feed_close(struct feed *feed);

/* Makes l listen to a topic, to what is later than `after`. Returns what topics_join() does. */
int feed_join(struct feed *feed, struct listener *l, const char *topic, int64_t after)
	__attribute__((warn_unused_result));
void feed_leave(struct feed *feed, struct listener *l);

/* l is to be placed anew: it gets nothing until placed() is called, then all later than `after`. */
void feed_go_back(struct feed *feed, struct listener *l, int64_t after);

/* l has room again. */
void feed_room(struct feed *feed, struct listener *l);

/* A topic has an event seq; topic "*": any may have any. */
void feed_bell(struct feed *feed, const char *topic, int64_t seq);

/* The store is back. */
void feed_store_up(struct feed *feed);

#endif
