/* hh_failure.h - what a caller is told when HH did not give what was asked for. Pure. */
#ifndef HH_CLIENT_HH_FAILURE_H
#define HH_CLIENT_HH_FAILURE_H

#include "actors/hh_client/hh_retry.h"
#include "base/arena.h"
#include "proto/catalogue.h"

/* Makes the failure record of an answer that is final: our error code, HH's own errors by name in
 * the message, and in `details` as HH gave them, with the status, the request's id at HH, and where
 * a captcha can be solved. wait_ms > 0: trying again may help after that. Texts live in arena or
 * are static; a text that there is no memory for is left out. */
struct failure hh_failure_make(const struct hh_judgement *judgement, const struct hh_reply *reply,
			       int64_t wait_ms, struct arena *arena);

/* Names HH's errors in one line, e.g. "bad_argument/area, forbidden"; "" when it gave none. */
const char *hh_failure_names(const json_t *json, struct arena *arena);

#endif
