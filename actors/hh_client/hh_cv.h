/* hh_cv.h - reads a customized_cv, which the BFF and its AI write as they like. Pure.
 *
 * Keys come in snake_case and in camelCase, and values as text, number, object or list; what makes
 * no sense counts as absent.
 */
#ifndef HH_CLIENT_HH_CV_H
#define HH_CLIENT_HH_CV_H

#include <jansson.h>
#include <stddef.h>

#include "proto/catalogue.h"

#define HH_CV_DATE_SIZE	 11 /* YYYY-MM-DD and a NUL */

/* Keys under which the person's name may be. */
#define HH_CV_FIRST_NAME "first_name|firstName"
#define HH_CV_LAST_NAME	 "last_name|lastName|surname"
#define HH_CV_FULL_NAME	 "full_name|fullName|name"

/* The first of the keys (separated by '|') whose value is text that is not blank, or the name of an
 * object; NULL: none. Borrowed from object. */
const char *hh_cv_text(const json_t *object, const char *keys);

/* The value of the first of the keys that is there and not null; NULL: none. */
json_t *hh_cv_value(const json_t *object, const char *keys);

/* The resume that it names, "" when it names none. */
const char *hh_cv_resume_id(const json_t *cv);

/* The title as HH takes it: a new string of 2 to 100 characters. NULL: there is none, or no memory.
 */
json_t *hh_cv_title(const json_t *cv);

/* What keeps a resume from being made of it: ERR_NONE, ERR_MISSING_RESUME_ID (there is nothing in
 * it), ERR_MISSING_EMAIL, ERR_MISSING_PHONE, or ERR_BAD_ARGUMENTS (no title). */
enum msg_error hh_cv_check(const json_t *cv);

/* The address as a new string; NULL: none that is valid, or no memory. */
json_t *hh_cv_email(const json_t *cv);

/* The number as +79001234567, a new string; NULL: none that is valid (10 to 15 digits, not all the
 * same), or no memory. */
json_t *hh_cv_phone(const json_t *cv);

/* Reads the nth date (from 0) that text names: a year, with a month and a day where they are. A
 * month or day that is not known is the first. Returns 0, or -EINVAL when there is none. */
int hh_cv_date(const char *text, int nth, char date[HH_CV_DATE_SIZE]);

#endif
