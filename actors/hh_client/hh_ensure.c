/* hh_ensure.c - the steps to a resume that can be applied with; see hh_ensure.h.
 *
 *              named in the CV, or found by its title
 *   start -> find ------------------------------------> check <-- wait <--+
 *              |                                        |  |              |
 *              +-> make (-> look, when it is not known  |  +-> complete --+
 *                        how that ended) ---------------+  +-> publish ---+
 *                                                       +-> done
 *
 * Each step asks HH one thing; what it answers chooses the next. Waiting ends at its own deadline,
 * or at the call's.
 */
#include "actors/hh_client/hh_ensure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_choice.h"
#include "actors/hh_client/hh_cv.h"
#include "actors/hh_client/hh_personal.h"
#include "actors/hh_client/hh_resume_body.h"
#include "actors/hh_client/hh_words.h"
#include "base/clock.h"

#define WAIT_FIRST_MS	   250
#define WAIT_MAX_MS	   2000
#define WAIT_DOUBLES	   3
#define SEEN_WITHIN_MS	   20000 /* what was made, changed or published shows by then */
#define PUBLISH_TRIES	   4
#define UNSURE_MAX	   3
#define PUBLISHED_AGAIN_MS 10000
#define DETAILS_MAX_BYTES  16384

static const struct hh_kind find_kind = {.name = "resume_find"};
static const struct hh_kind person_kind = {.name = "person"};
static const struct hh_kind make_kind = {.name = "resume_make"};
static const struct hh_kind check_kind = {.name = "resume_check"};
static const struct hh_kind complete_kind = {.name = "resume_complete"};
static const struct hh_kind publish_kind = {.name = "resume_publish"};

struct hh_ensure {
	struct hh_ensure *next; /* in the list of all, newest first */
	struct hh_ensure **all;
	struct hh_traffic *traffic;
	struct actor_call *call;
	const struct resume_ensure *wanted; /* lives as long as the call */
	char user[HH_QUEUE_USER_SIZE];
	struct acting acting; /* of wanted */

	json_t *cv;
	json_t *title;			 /* of the resume that is made; NULL: the CV has none */
	char id[HH_CHOICE_ID_SIZE];	 /* the resume; "": not known yet */
	char refused[HH_CHOICE_ID_SIZE]; /* one that HH does not find, besides not_resume_id */
	int number;			 /* of the title, when HH has it already; 0: as it is */
	char *body;			 /* what is sent now */

	bool made;	/* by us: HH may not show it yet */
	bool expected;	/* HH has one of that title, or may have */
	bool taken;	/* it has, by its own word */
	int unsure;	/* how often it was not heard what came of making one */
	bool named;	/* by the CV */
	bool completed; /* what the CV has was sent */
	bool published; /* HH was asked to, and did or will */
	bool publish_refused;
	int publish_tries;
	bool was_published; /* when it was looked at last */

	struct actor_timer *timer;
	void (*step)(struct hh_ensure *e); /* that is waited for */
	int64_t patience_ms; /* when waiting ends, on the monotonic clock; 0: not begun */
	int waits;
};

static void start(struct hh_ensure *e);
static void find(struct hh_ensure *e);
static void make(struct hh_ensure *e);
static void check(struct hh_ensure *e);

/* --- its end --- */

static void ensure_free(struct hh_ensure *e)
{
	struct hh_ensure **link = e->all;

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	actor_timer_stop(&e->timer);
	json_decref(e->cv);
	json_decref(e->title);
	free(e->body);
	free(e);
}

/* The oldest of the user's that waits for its turn begins. */
static void next_of_user(struct hh_ensure *all, const char *user)
{
	struct hh_ensure *oldest = NULL;

	for (struct hh_ensure *e = all; e != NULL; e = e->next)
		if (strcmp(e->user, user) == 0)
			oldest = e;
	if (oldest != NULL)
		start(oldest);
}

static void end(struct hh_ensure *e)
{
	char user[HH_QUEUE_USER_SIZE];
	struct hh_ensure **all = e->all;

	memcpy(user, e->user, sizeof(user)); /* the call is gone */
	ensure_free(e);
	next_of_user(*all, user);
}

static void done(struct hh_ensure *e)
{
	const struct resume_ensured reply = {.resume_id = e->id,
					     .created = e->made || e->published};

	actor_reply(e->call, &reply);
	end(e);
}

static void refuse_with(struct hh_ensure *e, const struct failure *failure)
{
	actor_refuse_with(e->call, failure);
	end(e);
}

static void refuse(struct hh_ensure *e, enum msg_error error, const char *message,
		   const char *details)
{
	refuse_with(e, &(struct failure){
			       .error = error_code(error), .message = message, .details = details});
}

static void refuse_overloaded(struct hh_ensure *e)
{
	hh_personal_refuse_call(e->call, -ENOMEM);
	end(e);
}

/* --- waiting --- */

static void on_waited(struct actor *self, void *context)
{
	struct hh_ensure *e = context;

	(void)self;
	e->timer = NULL;
	e->step(e);
}

/* Takes step again in a while. False: this was waited for long enough. */
static bool wait_for(struct hh_ensure *e, void (*step)(struct hh_ensure *e))
{
	int doubles = e->waits < WAIT_DOUBLES ? e->waits : WAIT_DOUBLES;
	int64_t wait_ms = (int64_t)WAIT_FIRST_MS << doubles;
	int64_t now_ms = clock_mono_ms();

	wait_ms -= random() % (wait_ms / 4);
	if (e->patience_ms == 0)
		e->patience_ms = now_ms + SEEN_WITHIN_MS;
	if (now_ms + wait_ms > e->patience_ms || actor_call_remaining_ms(e->call) <= wait_ms)
		return false;
	e->waits++;
	e->step = step;
	e->timer = actor_timer_start(e->traffic->self, wait_ms, 0, on_waited, e);
	return e->timer != NULL;
}

/* Something was achieved: what comes next is waited for anew. */
static void patience_again(struct hh_ensure *e)
{
	e->patience_ms = 0;
	e->waits = 0;
}

/* Asks HH; it refuses and ends e when that cannot be. */
static void ask(struct hh_ensure *e, const struct hh_kind *kind, enum hh_http_method method,
		const char *path, hh_personal_done_fn *answered)
{
	int rc = path == NULL ? -ENOMEM
			      : hh_personal_ask(e->traffic,
						&(struct hh_personal_want){
							.kind = kind,
							.call = e->call,
							.acting = &e->acting,
							.purpose = method == HH_GET ? HH_READING
										    : HH_WRITING,
							.method = method,
							.path = path,
							.json = e->body,
							.once = kind == &make_kind,
							.done = answered,
							.context = e,
						});

	if (rc == 0)
		return;
	hh_personal_refuse_call(e->call, rc);
	end(e);
}

static const char *path_of(struct hh_ensure *e, const char *more)
{
	return arena_printf(actor_call_arena(e->call), "/resumes/%s%s", e->id, more);
}

/* --- the state of a resume --- */

static void on_published(void *context, const struct hh_personal_result *result)
{
	struct hh_ensure *e = context;

	if (result->error == ERR_NONE || result->error == ERR_RATE_LIMITED) {
		/* "Too often" is said of one that is published, or will soon be seen to be. */
		e->published = true;
		patience_again(e);
	} else if (result->error == ERR_BAD_ARGUMENTS || result->error == ERR_NOT_FOUND) {
		e->publish_refused = true; /* perhaps HH has not seen yet what was sent */
		e->publish_tries++;
	} else {
		refuse_with(e, result->failure);
		return;
	}
	check(e);
}

static void on_completed(void *context, const struct hh_personal_result *result)
{
	struct hh_ensure *e = context;

	free(e->body);
	e->body = NULL;
	if (result->error == ERR_BAD_ARGUMENTS && e->was_published) {
		done(e); /* as good as it was */
	} else if (result->failure != NULL) {
		refuse_with(e, result->failure);
	} else {
		patience_again(e);
		check(e);
	}
}

/* Those of the missing fields that the CV has. NULL: none, or no memory. */
static char *missing_of_cv(const struct hh_ensure *e, const json_t *status)
{
	json_t *whole = hh_resume_body(e->cv, json_string_value(e->title), clock_wall_ms());
	json_t *missing = whole == NULL ? NULL : hh_resume_missing(whole, status);
	char *text = NULL;

	if (json_object_size(missing) > 0)
		text = json_dumps(missing, JSON_COMPACT);
	json_decref(missing);
	json_decref(whole);
	return text;
}

/* Says which fields are missing, by their names at HH. */
static void refuse_incomplete(struct hh_ensure *e, const json_t *mandatory)
{
	json_t *details =
		json_pack("{s:s,s:o*}", "resume_id", e->id, "missing", json_deep_copy(mandatory));
	char *text = details == NULL ? NULL : json_dumps(details, JSON_COMPACT);
	bool fits = text != NULL && strlen(text) <= DETAILS_MAX_BYTES;

	json_decref(details);
	refuse(e, ERR_RESUME_INCOMPLETE, "the resume lacks what HH needs to publish it",
	       fits ? text : NULL);
	free(text);
}

/* The resume lacks fields. */
static void mend(struct hh_ensure *e, const json_t *status, const json_t *mandatory)
{
	char *body = missing_of_cv(e, status);

	if (body != NULL && !e->completed) {
		e->completed = true;
		e->body = body;
		ask(e, &complete_kind, HH_PUT, path_of(e, ""), on_completed);
		return;
	}
	if (e->was_published)
		done(e);
	else if (body == NULL || !wait_for(e, check)) /* HH may not show yet what was sent */
		refuse_incomplete(e, mandatory);
	free(body);
}

/* The resume has all it takes and is not published, as far as HH shows. */
static void publish(struct hh_ensure *e)
{
	if (!e->published && !e->publish_refused) {
		ask(e, &publish_kind, HH_POST, path_of(e, "/publish"), on_published);
	} else if (e->published) {
		if (!wait_for(e, check))
			refuse_with(e, &(struct failure){
					       .error = error_code(ERR_UNAVAILABLE),
					       .message = "HH has not published the resume yet",
					       .retry_after_ms = OPT_INT_OF(PUBLISHED_AGAIN_MS)});
	} else {
		e->publish_refused = false; /* it is asked once more after a while */
		if ((!e->made && !e->completed) || e->publish_tries >= PUBLISH_TRIES ||
		    !wait_for(e, check))
			refuse_incomplete(e, NULL);
	}
}

/* Chooses what is to be done with a resume in that state. */
static void decide(struct hh_ensure *e, const json_t *status)
{
	const char *id = hh_text(json_object_get(status, "status"), "id");
	const json_t *mandatory = json_object_get(json_object_get(status, "progress"), "mandatory");

	e->was_published = strcmp(id, "published") == 0;
	if (json_is_true(json_object_get(status, "blocked")) || strcmp(id, "blocked") == 0 ||
	    strcmp(id, "on_moderation") == 0)
		refuse(e, ERR_RESUME_BLOCKED, "HH's moderators have not passed the resume", NULL);
	else if (json_array_size(mandatory) > 0)
		mend(e, status, mandatory);
	else if (e->was_published)
		done(e);
	else
		publish(e);
}

/* HH does not find the resume. One that was named is replaced by another, where the CV says how. */
static void not_found(struct hh_ensure *e)
{
	if (!e->named) {
		if (!wait_for(e, check))
			refuse(e, ERR_RESUME_NOT_AVAILABLE, "HH does not find the resume", NULL);
		return;
	}
	if (hh_cv_check(e->cv) != ERR_NONE) {
		refuse(e, ERR_RESUME_NOT_AVAILABLE, "HH does not find hh_resume_id", NULL);
		return;
	}
	e->named = false;
	(void)snprintf(e->refused, sizeof(e->refused), "%s", e->id);
	e->id[0] = '\0';
	find(e);
}

static void on_checked(void *context, const struct hh_personal_result *result)
{
	struct hh_ensure *e = context;

	if (result->error == ERR_NOT_FOUND)
		not_found(e);
	else if (result->failure != NULL)
		refuse_with(e, result->failure);
	else
		decide(e, result->json);
}

static void check(struct hh_ensure *e)
{
	ask(e, &check_kind, HH_GET, path_of(e, "/status"), on_checked);
}

/* --- a new resume --- */

/* Whether HH refused to make it since the user has one of that title. */
static bool title_is_taken(const struct failure *failure)
{
	json_t *details = json_loads(failure->details == NULL ? "" : failure->details, 0, NULL);
	const json_t *errors = json_object_get(details, "errors");
	bool taken = false;
	size_t i;
	json_t *error;

	json_array_foreach(errors, i, error)
	{
		taken = taken || (strcmp(hh_text(error, "value"), "title") == 0 &&
				  strcmp(hh_text(error, "reason"), "duplicate") == 0);
	}
	json_decref(details);
	return taken;
}

static void make_numbered(struct hh_ensure *e)
{
	e->expected = false;
	e->taken = false;
	e->number = e->number == 0 ? 2 : e->number + 1;
	if (e->number <= HH_CHOICE_NUMBER_MAX)
		make(e);
	else
		refuse(e, ERR_BAD_ARGUMENTS, "HH has resumes of this title already",
		       "{\"description\":\"title\"}");
}

static void on_made(void *context, const struct hh_personal_result *result)
{
	struct hh_ensure *e = context;
	const char *own_id = hh_text(result->json, "id");

	free(e->body);
	e->body = NULL;
	if (result->failure == NULL) {
		e->made = true;
		if (hh_location_id(result->location, e->id, sizeof(e->id)) < 0 &&
		    hh_choice_id_fits(own_id))
			(void)snprintf(e->id, sizeof(e->id), "%s", own_id);
	} else if (title_is_taken(result->failure)) {
		e->taken = true;
	} else if (!result->sent || ++e->unsure == UNSURE_MAX) {
		refuse_with(e, result->failure);
		return;
	}
	patience_again(e);
	e->expected = true;
	if (e->id[0] != '\0')
		check(e);
	else
		find(e); /* it is there, or was before, or HH did not say what became of it */
}

static void make(struct hh_ensure *e)
{
	const char *plain = json_string_value(e->title);
	json_t *title =
		e->number == 0 ? json_string(plain) : hh_resume_title_numbered(plain, e->number);
	json_t *whole = title == NULL
				? NULL
				: hh_resume_body(e->cv, json_string_value(title), clock_wall_ms());

	e->body = whole == NULL ? NULL : json_dumps(whole, JSON_COMPACT);
	json_decref(whole);
	json_decref(title);
	if (e->body == NULL)
		refuse_overloaded(e);
	else
		ask(e, &make_kind, HH_POST, "/resumes", on_made);
}

/* A CV without the person's name: HH knows it. */
static void on_person(void *context, const struct hh_personal_result *result)
{
	struct hh_ensure *e = context;
	static const char *const keys[][2] = {{"first_name", HH_CV_FIRST_NAME},
					      {"last_name", HH_CV_LAST_NAME}};

	if (result->failure != NULL) {
		refuse_with(e, result->failure);
		return;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (hh_cv_text(e->cv, keys[i][1]) == NULL)
			(void)json_object_set(e->cv, keys[i][0],
					      json_object_get(result->json, keys[i][0]));
	make(e);
}

static void make_first(struct hh_ensure *e)
{
	if (hh_cv_text(e->cv, HH_CV_FULL_NAME) != NULL ||
	    (hh_cv_text(e->cv, HH_CV_FIRST_NAME) != NULL &&
	     hh_cv_text(e->cv, HH_CV_LAST_NAME) != NULL))
		make(e);
	else
		ask(e, &person_kind, HH_GET, "/me", on_person);
}

/* --- one that is there --- */

static void on_found(void *context, const struct hh_personal_result *result)
{
	struct hh_ensure *e = context;
	const struct hh_choice choice = {.title = json_string_value(e->title),
					 .not_ids = {e->refused, e->wanted->not_resume_id}};
	const char *id;

	if (result->failure != NULL) {
		refuse_with(e, result->failure);
		return;
	}
	id = hh_choice_best(&choice, result->json);
	if (id != NULL) {
		(void)snprintf(e->id, sizeof(e->id), "%s", id);
		patience_again(e);
		check(e);
	} else if (e->expected) {
		if (wait_for(e, find))
			return;
		if (e->made)
			refuse(e, ERR_UNAVAILABLE, "HH does not show the resume that it made",
			       NULL);
		else
			make_numbered(e); /* who has the title is not to be had */
	} else if (hh_choice_title_lost(&choice, result->json)) {
		make_numbered(e);
	} else {
		make_first(e);
	}
}

static void find(struct hh_ensure *e)
{
	ask(e, &find_kind, HH_GET, "/resumes/mine", on_found);
}

/* --- beginning and end --- */

static void start(struct hh_ensure *e)
{
	static const char *const why[ERR_COUNT] = {
		[ERR_MISSING_RESUME_ID] = "customized_cv is empty",
		[ERR_MISSING_EMAIL] = "customized_cv has no valid email",
		[ERR_MISSING_PHONE] = "customized_cv has no valid phone",
		[ERR_BAD_ARGUMENTS] = "customized_cv has no title",
	};
	const char *given = hh_cv_resume_id(e->cv);
	json_t *named = hh_words_line(given, strlen(given), HH_CHOICE_ID_SIZE);
	const char *id = named == NULL ? "" : json_string_value(named);
	enum msg_error error = hh_cv_check(e->cv);

	e->named = hh_choice_id_fits(id) &&
		   (e->wanted->not_resume_id == NULL || strcmp(id, e->wanted->not_resume_id) != 0);
	if (e->named)
		(void)snprintf(e->id, sizeof(e->id), "%s", id);
	json_decref(named);
	if (e->named) {
		check(e);
	} else if (given[0] != '\0' && error != ERR_NONE) {
		refuse(e, ERR_RESUME_NOT_AVAILABLE, "HH does not find hh_resume_id", NULL);
	} else if (error == ERR_BAD_ARGUMENTS) {
		refuse(e, error, why[error], "{\"description\":\"title: is missing\"}");
	} else if (error != ERR_NONE) {
		refuse(e, error, why[error], NULL);
	} else {
		find(e);
	}
}

static struct hh_ensure *ensure_new(struct hh_traffic *traffic, struct hh_ensure **under_way,
				    struct actor_call *call, const struct resume_ensure *wanted)
{
	struct hh_ensure *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->cv = json_loads(wanted->customized_cv, 0, NULL);
	e->title = hh_cv_title(e->cv);
	e->traffic = traffic;
	e->call = call;
	e->wanted = wanted;
	e->acting.user_id = wanted->user_id;
	e->acting.access_token = wanted->access_token;
	(void)snprintf(e->user, sizeof(e->user), "%s", wanted->user_id);
	e->all = under_way;
	e->next = *under_way;
	*under_way = e;
	return e;
}

void hh_ensure_resume(struct hh_traffic *traffic, struct hh_ensure **under_way,
		      struct actor_call *call, const struct resume_ensure *wanted)
{
	struct hh_ensure *others = *under_way;
	struct hh_ensure *e = ensure_new(traffic, under_way, call, wanted);

	if (e == NULL) {
		hh_personal_refuse_call(call, -ENOMEM);
		return;
	}
	while (others != NULL && strcmp(others->user, wanted->user_id) != 0)
		others = others->next;
	if (others == NULL)
		start(e);
}

void hh_ensure_fini(struct hh_ensure **under_way)
{
	while (*under_way != NULL)
		ensure_free(*under_way);
}
