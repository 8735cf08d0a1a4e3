/* hh_ensure.h - sees to it that there is a resume to apply with: finds it, makes it, completes it,
 * publishes it.
 *
 * Nothing of it is kept: HH is asked each time. So it can be done again after whoever did it died,
 * and finds what was made before, by its title, which HH lets a user give to one resume only. What
 * HH has done and does not show yet is waited for by asking again, more and more seldom, and not
 * for ever.
 */
#ifndef HH_CLIENT_HH_ENSURE_H
#define HH_CLIENT_HH_ENSURE_H

#include "actors/hh_client/hh_traffic.h"

struct hh_ensure; /* one of them, under way */

/* Takes call, and answers it. A user's come one after the other. under_way is the list of them all.
 */
void hh_ensure_resume(struct hh_traffic *traffic, struct hh_ensure **under_way,
		      struct actor_call *call, const struct resume_ensure *wanted);

/* The actor ends: frees all, nobody is answered. */
void hh_ensure_fini(struct hh_ensure **under_way);

#endif
