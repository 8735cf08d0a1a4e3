/* hh_resume_body.h - a resume for HH, made of a customized_cv. Pure.
 *
 * The names and limits are those of HH's POST and PUT /resumes; what is longer is cut, what HH would
 * refuse is left out. What HH demands of every resume and no CV speaks of (citizenship, readiness
 * for business trips, the language of the resume, ...) is filled in with what most have.
 */
#ifndef HH_CLIENT_HH_RESUME_BODY_H
#define HH_CLIENT_HH_RESUME_BODY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The whole resume as a new object, with as much of it as cv has. title is borrowed; NULL: it
 * has one. now_ms: the wall clock; nothing is later. NULL: no memory. */
json_t *hh_resume_body(const json_t *cv, const char *title, int64_t now_ms);

/* Those fields of body that progress.mandatory of HH's status says to be missing, as a new object;
 * an empty one when body has none of them. NULL: no memory. */
json_t *hh_resume_missing(const json_t *body, const json_t *status);

/* title with " (n)" at its end, cut to HH's limit before that; a new string. NULL: no memory. */
json_t *hh_resume_title_numbered(const char *title, int n);

#endif
