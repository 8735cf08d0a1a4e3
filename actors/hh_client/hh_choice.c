/* hh_choice.c - weighs a user's resumes by their titles, and takes the one that fits best; see
 * hh_choice.h. */
#include "actors/hh_client/hh_choice.h"

#include <string.h>

#include "actors/hh_client/hh_resume_body.h"
#include "actors/hh_client/hh_retry.h"
#include "actors/hh_client/hh_words.h"

enum { NUMBERED = 1, SAME = 3 }; /* one more: published */

bool hh_choice_id_fits(const char *id)
{
	size_t len = strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ-_");

	return len > 0 && len < HH_CHOICE_ID_SIZE && id[len] == '\0';
}

static bool excluded(const struct hh_choice *choice, const char *id)
{
	for (size_t i = 0; i < sizeof(choice->not_ids) / sizeof(choice->not_ids[0]); i++)
		if (choice->not_ids[i] != NULL && strcmp(id, choice->not_ids[i]) == 0)
			return true;
	return false;
}

/* Whether it is the title with a number of ours. */
static bool numbered(const struct hh_choice *choice, const char *title)
{
	bool same = false;

	for (int n = 2; n <= HH_CHOICE_NUMBER_MAX && !same; n++) {
		json_t *ours = hh_resume_title_numbered(choice->title, n);

		same = ours != NULL && hh_words_same(title, json_string_value(ours));
		json_decref(ours);
	}
	return same;
}

/* How well a resume of the user's fits; 0: not at all. */
static int fitness(const struct hh_choice *choice, const json_t *item)
{
	const char *id = hh_text(item, "id");
	const char *title = hh_text(item, "title");
	const char *status = hh_text(json_object_get(item, "status"), "id");
	int published = strcmp(status, "published") == 0 ? 1 : 0;

	if (!hh_choice_id_fits(id) || excluded(choice, id))
		return 0;
	if (hh_words_same(title, choice->title))
		return SAME + published;
	return numbered(choice, title) ? NUMBERED + published : 0;
}

const char *hh_choice_best(const struct hh_choice *choice, const json_t *list)
{
	const json_t *items = json_object_get(list, "items");
	const char *id = NULL;
	int most = 0;
	size_t i;
	json_t *item;

	json_array_foreach(items, i, item)
	{
		int fits = fitness(choice, item);

		if (fits <= most)
			continue;
		most = fits;
		id = hh_text(item, "id");
	}
	return id;
}

bool hh_choice_title_lost(const struct hh_choice *choice, const json_t *list)
{
	const json_t *items = json_object_get(list, "items");
	size_t i;
	json_t *item;

	json_array_foreach(items, i, item)
	{
		if (excluded(choice, hh_text(item, "id")) &&
		    hh_words_same(hh_text(item, "title"), choice->title))
			return true;
	}
	return false;
}
