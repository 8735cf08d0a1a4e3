/* verdict.h - what a failed step means for an application: another try, and when, or its end. Pure.
 *
 * What time can mend is tried again; what it cannot fails at once with its reason, so that the person
 * can do something about it. That goes for those reasons too which go away when the person does
 * something, or tomorrow: hh_login_required, hh_closed, hh_captcha and limit_exceeded are told now,
 * since somebody waits for the answer, and a workflow pauses itself. Submitted again the application
 * spends no second token.
 */
#ifndef ACTORS_SUBMITTER_VERDICT_H
#define ACTORS_SUBMITTER_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/catalogue.h"

/* Tries that time did not mend, and then it is dead: with the delays between them about two hours. */
#define FAILURES_MAX 24

/* Claims that ended with the death of the submitter, and then it is dead: it may be the cause. */
#define CRASHES_MAX  100

struct verdict {
	bool again;	     /* another try; else it has failed, or is dead */
	bool dead;	     /* not again since there were too many */
	int64_t retry_in_ms; /* of another try */
};

/* What to do after error. failures: tries before this one that ended so. retry_after_ms: when it may
 * be mended, 0 when that is not known. chance: 0..1, spreads the delays. */
struct verdict verdict_of(enum msg_error error, int64_t failures, int64_t retry_after_ms,
			  double chance);

/* The same after HH did not find a resume that was made a moment ago. */
struct verdict verdict_of_new_resume(int64_t failures, double chance);

/* Whether after this failure of hh.apply HH may have the application all the same. */
bool verdict_unknown(enum msg_error error, const char *details);

#endif
