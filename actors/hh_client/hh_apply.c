/* hh_apply.c - sends an application, and finds out its id or whether there is one; see
 * hh_apply.h. */
#include "actors/hh_client/hh_apply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_personal.h"
#include "actors/hh_client/hh_words.h"
#include "proto/codec.h"

#define ID_SIZE	      65 /* the catalogue's negotiation_id */
#define URL_MAX_CHARS 2048
#define PER_PAGE      100

static const struct hh_kind apply_kind = {.name = "apply"};
static const struct hh_kind applied_kind = {.name = "applied"};

/* What is asked of HH; lives in its call's arena. */
struct applying {
	struct hh_traffic *traffic;
	struct actor_call *call;
	struct acting acting;
	const char *vacancy_id;
	struct hh_http_field fields[4];
};

/* --- who has applied --- */

/* The application to the vacancy among those that HH lists; NULL: there is none. */
static const json_t *find(const json_t *json, const char *vacancy_id)
{
	const json_t *items = json_object_get(json, "items");
	size_t i;
	json_t *item;

	json_array_foreach(items, i, item)
	{
		const char *of = hh_text(json_object_get(item, "vacancy"), "id");

		if (strcmp(of, vacancy_id) == 0 && hh_text(item, "id")[0] != '\0')
			return item;
	}
	return NULL;
}

static int ask_applied(struct applying *a, hh_personal_done_fn *done)
{
	const char *path =
		arena_printf(actor_call_arena(a->call), "/negotiations?vacancy_id=%s&per_page=%d",
			     a->vacancy_id, PER_PAGE);

	if (path == NULL)
		return -ENOMEM;
	return hh_personal_ask(a->traffic, &(struct hh_personal_want){
						   .kind = &applied_kind,
						   .call = a->call,
						   .acting = &a->acting,
						   .purpose = HH_READING,
						   .path = path,
						   .done = done,
						   .context = a,
					   });
}

static void on_found(void *context, const struct hh_personal_result *result)
{
	struct applying *a = context;
	const json_t *item;
	struct hh_applied_answer answer = {0};

	if (result->failure != NULL) {
		actor_refuse_with(a->call, result->failure);
		return;
	}
	item = find(result->json, a->vacancy_id);
	if (item != NULL) {
		const char *resume_id = hh_text(json_object_get(item, "resume"), "id");

		answer.negotiation_id = hh_text(item, "id");
		answer.resume_id = resume_id[0] == '\0' ? NULL : resume_id;
	}
	actor_reply(a->call, &answer);
}

static struct applying *applying_new(struct hh_traffic *traffic, struct actor_call *call,
				     struct acting acting, const char *vacancy_id)
{
	struct applying *a;

	if (strspn(vacancy_id, "0123456789") != strlen(vacancy_id)) {
		actor_refuse(call, ERR_VACANCY_NOT_FOUND, "vacancy_id", "HH's ids are digits");
		return NULL;
	}
	a = arena_alloc(actor_call_arena(call), sizeof(*a));
	if (a == NULL) {
		hh_personal_refuse_call(call, -ENOMEM);
		return NULL;
	}
	a->traffic = traffic;
	a->call = call;
	a->acting = acting;
	a->vacancy_id = vacancy_id;
	return a;
}

void hh_apply_find(struct hh_traffic *traffic, struct actor_call *call,
		   const struct hh_applied *applied)
{
	struct applying *a = applying_new(
		traffic, call,
		(struct acting){.user_id = applied->user_id, .access_token = applied->access_token},
		applied->vacancy_id);
	int rc = a == NULL ? 0 : ask_applied(a, on_found);

	if (rc < 0)
		hh_personal_refuse_call(call, rc);
}

/* --- applying --- */

/* details with "sent" in it, in the call's arena. */
static const char *with_sent(const char *details, bool sent, struct arena *arena)
{
	json_t *object = details == NULL ? json_object() : json_loads(details, 0, NULL);
	char *text = NULL;
	const char *kept;

	if (object != NULL && json_object_set_new(object, "sent", json_boolean(sent)) == 0)
		text = json_dumps(object, JSON_COMPACT);
	kept = arena_strdup(arena, text);
	free(text);
	json_decref(object);
	return kept;
}

static void refuse(struct actor_call *call, const struct failure *failure, bool sent)
{
	struct failure told = *failure;

	told.details = with_sent(failure->details, sent, actor_call_arena(call));
	actor_refuse_with(call, &told);
}

static void applied(const struct applying *a, const char *id)
{
	const struct hh_apply_outcome outcome = {.negotiation_id = id};

	actor_reply(a->call, &outcome);
}

/* HH has the application: what is not known is its id, and hh.applied can find it. */
static void refuse_unnamed(const struct applying *a)
{
	const struct failure failure = {.error = error_code(ERR_UNAVAILABLE),
					.message = "HH has the application, its id is not known"};

	refuse(a->call, &failure, true);
}

static void on_named(void *context, const struct hh_personal_result *result)
{
	struct applying *a = context;
	const json_t *item = result->failure == NULL ? find(result->json, a->vacancy_id) : NULL;

	if (item != NULL)
		applied(a, hh_text(item, "id"));
	else
		refuse_unnamed(a);
}

/* The employer takes applications elsewhere only. */
static void give_url(const struct applying *a, const char *url)
{
	const struct hh_apply_outcome outcome = {.external_url = url};
	const struct failure failure = {.error = error_code(ERR_HH_REFUSED),
					.message = "HH names no address to apply at"};
	size_t chars;

	if ((strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0) ||
	    !utf8_valid(url, strlen(url), &chars) || chars > URL_MAX_CHARS)
		refuse(a->call, &failure, false);
	else
		actor_reply(a->call, &outcome);
}

static void on_applied(void *context, const struct hh_personal_result *result)
{
	struct applying *a = context;
	const char *own_id = hh_text(result->json, "id");
	char id[ID_SIZE];

	if (result->failure != NULL) {
		refuse(a->call, result->failure, result->sent);
		return;
	}
	if (result->status == 303) {
		give_url(a, result->location);
		return;
	}
	if (hh_location_id(result->location, id, sizeof(id)) == 0) {
		applied(a, id);
	} else if (own_id[0] != '\0' && strlen(own_id) < ID_SIZE) {
		applied(a, own_id);
	} else if (ask_applied(a, on_named) < 0) {
		refuse_unnamed(a);
	}
}

void hh_apply_send(struct hh_traffic *traffic, struct actor_call *call,
		   const struct hh_apply *apply)
{
	struct applying *a = applying_new(
		traffic, call,
		(struct acting){.user_id = apply->user_id, .access_token = apply->access_token},
		apply->vacancy_id);
	bool letter = apply->message != NULL && !hh_words_blank(apply->message);
	int rc;

	if (a == NULL)
		return;
	a->fields[0] = (struct hh_http_field){"vacancy_id", apply->vacancy_id};
	a->fields[1] = (struct hh_http_field){"resume_id", apply->resume_id};
	if (letter)
		a->fields[2] = (struct hh_http_field){"message", apply->message};
	rc = hh_personal_ask(traffic, &(struct hh_personal_want){
					      .kind = &apply_kind,
					      .call = call,
					      .acting = &a->acting,
					      .purpose = HH_APPLYING,
					      .method = HH_POST,
					      .path = "/negotiations",
					      .fields = a->fields,
					      .once = true,
					      .done = on_applied,
					      .context = a,
				      });
	if (rc < 0)
		hh_personal_refuse_call(call, rc);
}
