/* hh_apply.h - applying to a vacancy, and looking whether that has happened. */
#ifndef HH_CLIENT_HH_APPLY_H
#define HH_CLIENT_HH_APPLY_H

#include "actors/hh_client/hh_traffic.h"

/* Each takes call, and answers it. */

/* Applies once: nothing repeats the request by itself. A failure that leaves open whether HH has
 * the application has "sent":true in its details, any other one "sent":false. */
void hh_apply_send(struct hh_traffic *traffic, struct actor_call *call,
		   const struct hh_apply *apply);

void hh_apply_find(struct hh_traffic *traffic, struct actor_call *call,
		   const struct hh_applied *applied);

#endif
