/* hh_resumes.c - lists a user's resumes, or reads one; see hh_resumes.h. */
#include "actors/hh_client/hh_resumes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_choice.h"
#include "actors/hh_client/hh_personal.h"

static const struct hh_kind list_kind = {.name = "resumes"};
static const struct hh_kind get_kind = {.name = "resume"};

static void on_listed(void *context, const struct hh_personal_result *result)
{
	struct actor_call *call = context;
	json_t *items = json_object_get(result->json, "items");
	struct resumes reply;
	char *text;

	if (result->failure != NULL) {
		actor_refuse_with(call, result->failure);
		return;
	}
	text = json_is_array(items) ? json_dumps(items, JSON_COMPACT) : NULL;
	reply.items = text;
	if (text != NULL)
		actor_reply(call, &reply);
	else
		actor_refuse(call, ERR_UNAVAILABLE, NULL, "HH's answer cannot be read");
	free(text);
}

void hh_resumes_list(struct hh_traffic *traffic, struct actor_call *call,
		     const struct acting *acting)
{
	int rc = hh_personal_ask(traffic, &(struct hh_personal_want){
						  .kind = &list_kind,
						  .call = call,
						  .acting = acting,
						  .purpose = HH_READING,
						  .path = "/resumes/mine",
						  .done = on_listed,
						  .context = call,
					  });

	if (rc < 0)
		hh_personal_refuse_call(call, rc);
}

static void on_got(void *context, const struct hh_personal_result *result)
{
	struct actor_call *call = context;
	struct resume reply;
	char *text;

	if (result->failure != NULL) {
		actor_refuse_with(call, result->failure);
		return;
	}
	text = json_dumps(result->json, JSON_COMPACT);
	reply.resume = text;
	if (text != NULL)
		actor_reply(call, &reply);
	else
		actor_refuse(call, ERR_UNAVAILABLE, NULL, "out of memory");
	free(text);
}

void hh_resumes_get(struct hh_traffic *traffic, struct actor_call *call,
		    const struct resume_ref *ref)
{
	const struct acting acting = {.user_id = ref->user_id, .access_token = ref->access_token};
	const char *path = arena_printf(actor_call_arena(call), "/resumes/%s", ref->id);
	int rc = -ENOMEM;

	if (!hh_choice_id_fits(ref->id)) {
		actor_refuse(call, ERR_NOT_FOUND, "id", "HH's ids are letters and digits");
		return;
	}
	if (path != NULL)
		rc = hh_personal_ask(traffic, &(struct hh_personal_want){
						      .kind = &get_kind,
						      .call = call,
						      .acting = &acting,
						      .purpose = HH_READING,
						      .path = path,
						      .done = on_got,
						      .context = call,
					      });
	if (rc < 0)
		hh_personal_refuse_call(call, rc);
}
