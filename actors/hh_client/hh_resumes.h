/* hh_resumes.h - a user's resumes at HH: reading them. */
#ifndef HH_CLIENT_HH_RESUMES_H
#define HH_CLIENT_HH_RESUMES_H

#include "actors/hh_client/hh_traffic.h"

/* Each takes call, and answers it. */
void hh_resumes_list(struct hh_traffic *traffic, struct actor_call *call,
		     const struct acting *acting);
void hh_resumes_get(struct hh_traffic *traffic, struct actor_call *call,
		    const struct resume_ref *ref);

#endif
