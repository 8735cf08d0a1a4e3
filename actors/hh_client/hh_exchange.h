/* hh_exchange.h - a person's code or refresh token is exchanged for a pair, at HH's token endpoint:
 * ahead of every request, within the same pace.
 *
 * HH takes each of them once. After a failure that time may mend it is sent again some times; what
 * HH did with one whose answer was lost, it says itself then.
 */
#ifndef HH_CLIENT_HH_EXCHANGE_H
#define HH_CLIENT_HH_EXCHANGE_H

#include "actors/hh_client/hh_traffic.h"

/* So long an exchange lives at most, its turn in the pace and its attempts included. No attempt
 * begins that has not all of its time: HH would have used the token up, and nobody have heard the
 * new one. */
#define HH_EXCHANGE_LIVES_MS   45000
#define HH_EXCHANGE_TIMEOUT_MS 10000 /* of an attempt */

/* The store gives the right to use up a code or a refresh token. Who hears of it within this sends
 * the exchange, and the right is still there when that has ended, with some time to spare. */
#define HH_RIGHT_ASKED_MS      10000
#define HH_RIGHT_TTL_MS	       (HH_RIGHT_ASKED_MS + HH_EXCHANGE_LIVES_MS + 5000)

/* What HH said, exactly once. json is NULL where it said nothing that can be read. */
typedef void hh_exchange_done_fn(void *context, const struct hh_judgement *judgement,
				 const json_t *json);

/* Takes form, which is wiped in the end. done is never called from within, and not at all when the
 * actor ends before. Returns 0, -ENOMEM, or -EAGAIN: HH is down, or wants nobody to ask. */
int hh_exchange_send(struct hh_traffic *traffic, char *form, hh_exchange_done_fn *done,
		     void *context) __attribute__((warn_unused_result));

/* Joins name=value pairs, of which names are as they are and values are encoded; ends with NULL.
 * malloc'ed: seal_free() it. NULL: no memory. */
char *hh_exchange_form(const char *const *pairs);

/* --- for hh_traffic.c --- */

bool hh_exchange_waits(const struct hh_traffic *traffic);
void hh_exchange_launch(struct hh_traffic *traffic);
void hh_exchange_free_all(struct hh_traffic *traffic);

#endif
