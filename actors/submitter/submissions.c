/* submissions.c - commits what callers submit, and answers each when its outcome is known or time is up. */
#include "actors/submitter/submissions.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/vacancy_id.h"
#include "proto/codec.h"

#define WAIT_DEFAULT_MS 10000
#define ANSWER_MS	1000 /* the answer is on its way so long before nobody waits for it */
#define READ_MS		3000
#define READ_MAX	500 /* the catalogue's limit */

/* A call; lives in its memory. */
struct submission {
	struct submission *next; /* of those who wait for the outcome */
	struct submissions *all;
	struct actor_call *call;
	const struct application_submit *request;
	struct entry entry;
	struct application known; /* its texts live as long as the call */
	struct actor_timer *timer;
};

#define OF_ENTRY(one)                                                                              \
	((struct submission *)(void *)((char *)(one)-offsetof(struct submission, entry)))

/* --- answering --- */

static void gone(struct submissions *all)
{
	all->handed--;
	if (all->handed == 0 && all->idle != NULL)
		all->idle(all->self);
}

static void stop_waiting(struct submission *s)
{
	struct submission **link = &s->all->waiting;

	actor_timer_stop(&s->timer);
	while (*link != NULL && *link != s)
		link = &(*link)->next;
	if (*link == s)
		*link = s->next;
}

static void answer(struct submission *s, const struct application *application)
{
	struct submissions *all = s->all;

	stop_waiting(s);
	actor_reply(s->call, application); /* s lived in its memory */
	gone(all);
}

static void refuse(struct submission *s, const struct failure *failure)
{
	struct submissions *all = s->all;

	stop_waiting(s);
	if (failure != NULL)
		actor_refuse_with(s->call, failure);
	else
		actor_refuse_until(s->call, ERR_OVERLOADED, 1000, "it could not be handed on");
	gone(all);
}

static void refuse_key(struct submission *s)
{
	struct submissions *all = s->all;

	stop_waiting(s);
	actor_refuse(s->call, ERR_CONFLICT, "idempotency_key",
		     "stands for an application to another vacancy");
	gone(all);
}

static bool is_outcome(const struct application *application)
{
	return strcmp(application->status, "pending") != 0 &&
	       strcmp(application->status, "submitting") != 0;
}

/* Copies what is known, for when the time is up. Returns whether there was memory for it. */
static bool keep(struct submission *s, const struct application *application)
{
	struct arena *arena = actor_call_arena(s->call);
	void *bytes = NULL;
	size_t len;
	int rc = codec_pack(RECORD_OF(application), application, &bytes, &len, NULL);

	if (rc == 0)
		rc = codec_unpack(RECORD_OF(application), bytes, len, arena, &s->known, NULL);
	free(bytes);
	return rc == 0;
}

/* --- waiting for the outcome --- */

static struct submission *waits_for(struct submission *from, const char *id)
{
	while (from != NULL && strcmp(from->known.id, id) != 0)
		from = from->next;
	return from;
}

void submissions_told(struct submissions *all, const struct application *application)
{
	struct submission *s = waits_for(all->waiting, application->id);

	while (s != NULL) {
		struct submission *next = waits_for(s->next, application->id);

		if (is_outcome(application))
			answer(s, application);
		s = next;
	}
}

static void on_read(struct actor *self, const struct actor_answer *look, void *context)
{
	struct submissions *all = context;
	const struct applications *read = look->body;

	(void)self;
	all->reading = false;
	if (look->error == ERR_NONE)
		for (size_t i = 0; i < read->applications.count; i++)
			submissions_told(all, &read->applications.items[i]);
	if (all->read_again) {
		all->read_again = false;
		submissions_rung(all);
	}
}

/* More than the limit are more than ever wait at once within one turn of the bell: the rest is looked
 * up with the next. */
void submissions_rung(struct submissions *all)
{
	const char *ids[READ_MAX];
	struct applications_read request = {.ids = {.items = ids}};

	if (all->reading) {
		all->read_again = true;
		return;
	}
	for (struct submission *s = all->waiting; s != NULL && request.ids.count < READ_MAX;
	     s = s->next)
		ids[request.ids.count++] = s->known.id;
	if (request.ids.count == 0)
		return;
	all->reading =
		actor_call(all->self, MSG_APPLICATIONS_READ, &request, READ_MS, on_read, all) == 0;
}

/* --- the time is up --- */

static void on_last_look(struct actor *self, const struct actor_answer *look, void *context)
{
	struct submission *s = context;
	const struct applications *read = look->body;

	(void)self;
	if (look->error == ERR_NONE && read->applications.count == 1)
		answer(s, &read->applications.items[0]);
	else
		answer(s, &s->known);
}

static void on_time_up(struct actor *self, void *context)
{
	struct submission *s = context;
	const char *ids[] = {s->known.id};
	const struct applications_read request = {.ids = {.items = ids, .count = 1}};
	int64_t left_ms = actor_call_remaining_ms(s->call) - ANSWER_MS / 2;

	s->timer = NULL;
	stop_waiting(s);
	if (left_ms <= 0 ||
	    actor_call(self, MSG_APPLICATIONS_READ, &request, left_ms, on_last_look, s) < 0)
		answer(s, &s->known);
}

static void wait_for_outcome(struct submission *s)
{
	struct submissions *all = s->all;
	int64_t wait_ms = s->request->wait_ms.set ? s->request->wait_ms.value : WAIT_DEFAULT_MS;
	int64_t left_ms = actor_call_remaining_ms(s->call) - ANSWER_MS;

	if (wait_ms > left_ms)
		wait_ms = left_ms;
	if (wait_ms > 0 && all->idle == NULL)
		s->timer = actor_timer_start(all->self, wait_ms, 0, on_time_up, s);
	if (s->timer == NULL) {
		answer(s, &s->known);
		return;
	}
	s->next = all->waiting;
	all->waiting = s;
}

/* --- committing --- */

static int puts_send(struct actor *self, struct entry *const *entries, size_t count,
		     actor_answer_fn *fn, void *context)
{
	struct application_submit items[BATCH_MAX];
	const struct applications_put request = {.items = {.items = items, .count = count}};

	for (size_t i = 0; i < count; i++) {
		items[i] = *OF_ENTRY(entries[i])->request;
		items[i].access_token = NULL;
		items[i].wait_ms.set = false;
	}
	return actor_call(self, MSG_APPLICATIONS_PUT, &request, 0, fn, context);
}

static void puts_done(struct actor *self, struct entry *const *entries, size_t count,
		      const void *reply)
{
	const struct applications *put = reply;

	(void)self;
	for (size_t i = 0; i < count; i++) {
		struct submission *s = OF_ENTRY(entries[i]);

		if (i >= put->applications.count)
			refuse(s, NULL);
		else if (strcmp(put->applications.items[i].job_external_id,
				s->request->job_external_id) != 0)
			refuse_key(s);
		else if (is_outcome(&put->applications.items[i]))
			answer(s, &put->applications.items[i]);
		else if (keep(s, &put->applications.items[i]))
			wait_for_outcome(s);
		else
			refuse(s, NULL);
	}
}

static void put_failed(struct actor *self, struct entry *entry, const struct failure *failure)
{
	(void)self;
	refuse(OF_ENTRY(entry), failure);
}

static const struct batch_kind puts_kind = {
	.id = MSG_APPLICATIONS_PUT,
	.send = puts_send,
	.done = puts_done,
	.failed = put_failed,
};

static size_t length(const char *text)
{
	return text == NULL ? 0 : strlen(text);
}

static void commit(struct submission *s)
{
	s->entry.bytes = length(s->request->customized_cv) + length(s->request->cover_letter);
	batch_add(&s->all->puts, &s->entry);
}

/* A token that came along is kept first: there would be nothing to apply with. */
static void on_kept(struct actor *self, const struct actor_answer *kept, void *context)
{
	struct submission *s = context;

	(void)self;
	explicit_bzero((char *)s->request->access_token, strlen(s->request->access_token));
	if (kept->error == ERR_NONE)
		commit(s);
	else
		refuse(s, kept->failure);
}

static void keep_token(struct submission *s)
{
	const struct acting acting = {
		.user_id = s->request->user_id,
		.access_token = s->request->access_token,
	};
	int64_t left_ms = actor_call_remaining_ms(s->call) - ANSWER_MS;

	if (left_ms <= 0 ||
	    actor_call(s->all->self, MSG_ACCOUNT_KEEP, &acting, left_ms, on_kept, s) < 0)
		refuse(s, NULL);
}

/* Why the CV cannot be taken; NULL when it can. */
static const char *cv_problem(const char *cv, struct codec_problem *problem)
{
	json_t *json = NULL;
	bool object;

	if (codec_parse_json(cv, strlen(cv), &json, problem) < 0)
		return problem->message;
	object = json_is_object(json);
	json_decref(json);
	return object ? NULL : "not an object";
}

/* Keys of this form are made of the vacancy, where none is given: one of them may be given back. */
static bool key_is_anothers(const struct application_submit *submit)
{
	static const char prefix[] = "vacancy:";
	const char *key = submit->idempotency_key;

	return key != NULL && strncmp(key, prefix, sizeof(prefix) - 1) == 0 &&
	       strcmp(key + sizeof(prefix) - 1, submit->job_external_id) != 0;
}

void submissions_take(struct submissions *all, struct actor_call *call,
		      const struct application_submit *submit)
{
	struct codec_problem problem;
	const char *why = NULL;
	struct submission *s;

	if (!vacancy_id_is_possible(submit->job_external_id)) {
		actor_refuse(call, ERR_BAD_REQUEST, "job_external_id", VACANCY_IDS_ARE);
		return;
	}
	if (key_is_anothers(submit)) {
		actor_refuse(call, ERR_BAD_REQUEST, "idempotency_key",
			     "begins with vacancy: and names another one");
		return;
	}
	if (submit->customized_cv != NULL)
		why = cv_problem(submit->customized_cv, &problem);
	if (why != NULL) {
		actor_refuse(call, ERR_BAD_REQUEST, "customized_cv", "%s", why);
		return;
	}
	s = arena_alloc(actor_call_arena(call), sizeof(*s));
	if (s == NULL) {
		actor_refuse_until(call, ERR_OVERLOADED, 1000, "no memory");
		return;
	}
	s->all = all;
	s->call = call;
	s->request = submit;
	all->handed++;
	if (submit->access_token != NULL)
		keep_token(s);
	else
		commit(s);
}

/* --- all of them --- */

void submissions_init(struct submissions *all, struct actor *self)
{
	*all = (struct submissions){.self = self};
	batch_init(&all->puts, self, &puts_kind);
}

void submissions_close(struct submissions *all, void (*idle)(struct actor *self))
{
	all->idle = idle;
	all->handed++; /* so that idle is called here at the earliest */
	while (all->waiting != NULL)
		answer(all->waiting, &all->waiting->known);
	gone(all);
}

void submissions_fini(struct submissions *all)
{
	batch_fini(&all->puts);
	for (struct submission *s = all->waiting; s != NULL; s = s->next)
		actor_timer_stop(&s->timer);
}
