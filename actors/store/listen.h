/* listen.h - the bell: hears NOTIFY from all nodes and casts it to this node's actors.
 *
 * ugtj_schedules    a schedule was changed                  -> SCHEDULES_CHANGED
 * ugtj_events       "TOPIC SEQ": a topic has a new event    -> EVENTS_CHANGED
 * ugtj_limits       buckets were filled, or time leapt      -> LIMITS_CHANGED
 * ugtj_applications an application may be due, or is over -> APPLICATIONS_CHANGED
 *
 * What was rung while nobody listened is gone, so after each connecting it rings for everything:
 * SCHEDULES_CHANGED, LIMITS_CHANGED, and EVENTS_CHANGED of topic "*".
 */
#ifndef ACTORS_STORE_LISTEN_H
#define ACTORS_STORE_LISTEN_H

#include "actors/runtime/actor.h"

struct listener;

/* Starts to listen on a connection of its own. Returns 0 or -ENOMEM. */
int listener_open(struct actor *self, struct listener **out) __attribute__((warn_unused_result));

/* The actor called name came up: it may have missed bells. Names other than those above are nothing
 * to us. */
void listener_greet(struct listener *listener, const char *name);

/* Stops listening, frees and clears *listener. NULL is fine. */
void listener_close(struct listener **listener);

#endif
