/* hh_resume_life.h - where a person worked and learned, as HH's resumes have it. Pure.
 *
 * Both parts come as text, as a list of texts, or as a list of objects with keys of many names. HH
 * demands dates where people leave them out: a start that is not said is a year before now, a
 * graduation that is not said is this year.
 */
#ifndef HH_CLIENT_HH_RESUME_LIFE_H
#define HH_CLIENT_HH_RESUME_LIFE_H

#include <jansson.h>
#include <stdint.h>

/* A new array of at most 64 entries, title being the position where none is named. NULL: there is
 * none, or no memory. */
json_t *hh_resume_experience(const json_t *cv, const char *title, int64_t now_ms);

/* A new object with level and primary. NULL: there is none, or no memory. */
json_t *hh_resume_education(const json_t *cv, int64_t now_ms);

#endif
