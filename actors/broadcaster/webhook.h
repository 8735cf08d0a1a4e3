/* webhook.h - tells the BFF of new vacancies, each event until it has it.
 *
 * What is to be told stands in the store, with what was told: here is only what is under way. An
 * event is claimed, posted, and its result noted; when this process dies in between, the claim runs
 * out and somebody claims it again. The store gives out one event of a topic at a time, so that a
 * topic stays in order.
 */
#ifndef BROADCASTER_WEBHOOK_H
#define BROADCASTER_WEBHOOK_H

#include "actors/runtime/actor.h"

struct webhook; /* opaque */

/* Gives the webhook (webhook_close() it), or NULL when API_BASE_URL is not set. Returns 0 or a
 * negative errno. */
int webhook_open(struct actor *self, struct webhook **out) __attribute__((warn_unused_result));

/* There may be something to tell. NULL is fine. */
void webhook_ring(struct webhook *w);

/* Claims nothing any more and calls done(self) when all that is under way has ended, which takes
 * two seconds at most; at once when nothing is, or for NULL. */
void webhook_stop(struct webhook *w, struct actor *self, void (*done)(struct actor *self));

/* Frees *w and clears it. NULL is fine. */
void webhook_close(struct webhook **w);

/* Events that the BFF took, and deliveries that failed, since the start. 0 for NULL. */
int64_t webhook_delivered(const struct webhook *w);
int64_t webhook_failed(const struct webhook *w);

#endif
