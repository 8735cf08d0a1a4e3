/* hh_refusal.h - what HH's answers to a user's own requests mean: hh_retry.h for those that know
 * about resumes and applications. Pure.
 *
 * HH says 403 to a token that it does not accept, to an application that it does not serve, when it
 * wants a captcha, and when it will not take an application to a vacancy. errors[] tells them apart;
 * the same value comes with different statuses.
 */
#ifndef HH_CLIENT_HH_REFUSAL_H
#define HH_CLIENT_HH_REFUSAL_H

#include "actors/hh_client/hh_retry.h"

enum hh_purpose {
	HH_READING,  /* an answer of 2xx has an object */
	HH_WRITING,  /* an answer of 2xx may be empty */
	HH_APPLYING, /* likewise; 303 is an answer too */
};

struct hh_judgement hh_judge_personal(const struct hh_reply *reply, enum hh_purpose purpose);

/* Whether errors[] has an entry of that type and value; value NULL: any. */
bool hh_names(const json_t *json, const char *type, const char *value);

/* The last part of the path in a Location ("/resumes/1a2b?x=y" -> "1a2b"), copied to id. Returns 0,
 * or -EINVAL when there is none, or what no id of HH's looks like. */
int hh_location_id(const char *location, char *id, size_t size) __attribute__((warn_unused_result));

#endif
