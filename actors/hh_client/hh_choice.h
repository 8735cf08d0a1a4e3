/* hh_choice.h - which of a user's resumes at HH is the one that a CV means. Pure. */
#ifndef HH_CLIENT_HH_CHOICE_H
#define HH_CLIENT_HH_CHOICE_H

#include <jansson.h>
#include <stdbool.h>

#define HH_CHOICE_ID_SIZE    129 /* the catalogue's resume_id */
#define HH_CHOICE_NUMBER_MAX 9	 /* "Title (9)" */

struct hh_choice {
	const char *title;
	const char *not_ids[2]; /* that cannot be used; NULL: none */
};

/* The id of the best resume in HH's list: of that title (without case), else of that title and a
 * number of ours, rather one that is published. NULL: there is none. Borrowed from list. */
const char *hh_choice_best(const struct hh_choice *choice, const json_t *list);

/* Whether the title itself belongs to a resume that cannot be used. */
bool hh_choice_title_lost(const struct hh_choice *choice, const json_t *list);

/* Whether id can be a part of a path, as HH's ids can, and fits the catalogue. */
bool hh_choice_id_fits(const char *id);

#endif
