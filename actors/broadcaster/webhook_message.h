/* webhook_message.h - what the BFF is sent for an event, what its answer means, and when to try
 * again. Pure: no socket, no clock.
 */
#ifndef BROADCASTER_WEBHOOK_MESSAGE_H
#define BROADCASTER_WEBHOOK_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/catalogue.h"

/* The body of POST /api/v1/jobs/broadcast for a new_jobs event: {"jobs":[...],"stats":{...}}, with
 * only what the BFF takes and without any null, which it refuses. Gives a text to free() and its
 * length. Returns 0, -EINVAL for a payload without jobs, or -ENOMEM. */
int webhook_body(const struct event *event, char **body, size_t *len)
	__attribute__((warn_unused_result));

enum webhook_verdict {
	WEBHOOK_TAKEN,	 /* the BFF has it */
	WEBHOOK_REFUSED, /* it will never take this one */
	WEBHOOK_RETRY,	 /* try again later */
};

/* What an answer with that HTTP status means; 0: there was none. */
enum webhook_verdict webhook_judge(int status);

/* How long to wait after so many failures in a row (from 1): 1 s, doubled with each, at most 5
 * minutes, of which the random number takes away up to a half, so that many don't come back
 * together. */
#define WEBHOOK_BACKOFF_MAX_MS 300000
int64_t webhook_backoff_ms(unsigned failures, uint32_t random);

#endif
