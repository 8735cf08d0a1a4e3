/* sending.c - an application, step by step: resume, mark, request, end; see sending.h. */
#include "actors/submitter/sending.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "actors/submitter/verdict.h"
#include "base/log.h"

#define ARENA_BYTES ((size_t)1024 * 1024)

/* All that an application in flight has, in memory of its own. */
struct sending {
	struct sending *next;
	struct sender *sender;
	struct arena arena;
	struct application_work work;
	struct entry note_entry;
	struct application_note note;
	struct entry end_entry;
	struct application_end end;
	bool asked; /* HH was asked whether it is there, and said no */
};

#define OF_ENTRY(entry, member)                                                                    \
	((struct sending *)(void *)((char *)(entry)-offsetof(struct sending, member)))

static void forget(struct sending *s)
{
	struct sender *sender = s->sender;
	struct sending **link = &sender->first;

	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	sender->count--;
	arena_fini(&s->arena);
	free(s);
}

/* --- the end --- */

static void say_end(struct sending *s, const char *status)
{
	s->end.id = s->work.id;
	s->end.token = s->work.token;
	s->end.status = status;
	batch_add(&s->sender->ends, &s->end_entry);
}

static void end_submitted(struct sending *s, const char *negotiation_id, const char *resume_id)
{
	s->end.negotiation_id = arena_strdup(&s->arena, negotiation_id);
	s->end.resume_id = arena_strdup(&s->arena, resume_id);
	log_info("application.submitted", "id=%s attempts=%" PRId64, s->work.id, s->work.attempts);
	say_end(s, "submitted");
}

static void end_with(struct sending *s, enum msg_error error, const char *message,
		     const char *details, const struct verdict *verdict)
{
	const char *words = error_text(error);

	s->end.error = error_code(error);
	s->end.message = arena_strdup(&s->arena, words != NULL ? words : message);
	s->end.details = arena_strdup(&s->arena, details);
	if (verdict->again)
		s->end.retry_in_ms = OPT_INT_OF(verdict->retry_in_ms);
	log_warn(verdict->again ? "application.waits" : "application.failed",
		 "id=%s error=%s attempts=%" PRId64 " failures=%" PRId64 " retry_in_ms=%" PRId64,
		 s->work.id, s->end.error, s->work.attempts, s->work.failures,
		 verdict->retry_in_ms);
	say_end(s, verdict->again ? "pending" : verdict->dead ? "dead" : "failed");
}

static double chance(void)
{
	return (double)random() / RAND_MAX;
}

/* A step failed. */
static void end_failed(struct sending *s, const struct actor_answer *answer)
{
	const struct failure *failure = answer->failure;
	struct verdict verdict = verdict_of(answer->error, s->work.failures,
					    failure->retry_after_ms.value, chance());

	end_with(s, answer->error, failure->message, failure->details, &verdict);
}

/* A step could not even be asked for. */
static void end_unsaid(struct sending *s, int rc)
{
	enum msg_error error = rc == -EINVAL ? ERR_BAD_REQUEST : ERR_OVERLOADED;
	struct verdict verdict = verdict_of(error, s->work.failures, 0, chance());

	end_with(s, error, "it could not be handed on", NULL, &verdict);
}

/* --- asking --- */

static void ensure_or_note(struct sending *s);

static void on_asked(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct sending *s = context;
	const struct hh_applied_answer *there = answer->body;

	(void)self;
	if (answer->error != ERR_NONE) {
		end_failed(s, answer);
	} else if (there->negotiation_id != NULL) {
		end_submitted(s, there->negotiation_id, there->resume_id);
	} else if (s->asked) {
		end_submitted(s, NULL, NULL); /* HH knows of it, and does not list it */
	} else {
		s->asked = true;
		ensure_or_note(s);
	}
}

static void ask(struct sending *s)
{
	const struct hh_applied request = {
		.user_id = s->work.user_id,
		.vacancy_id = s->work.job_external_id,
	};
	int rc = actor_call(s->sender->self, MSG_HH_APPLIED, &request, 0, on_asked, s);

	if (rc < 0)
		end_unsaid(s, rc);
}

/* --- the resume --- */

static void note(struct sending *s)
{
	s->note.id = s->work.id;
	s->note.token = s->work.token;
	s->note.resume_id = s->work.resume_id;
	batch_add(&s->sender->notes, &s->note_entry);
}

static void on_ensured(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct sending *s = context;
	const struct resume_ensured *ensured = answer->body;

	(void)self;
	if (answer->error != ERR_NONE) {
		end_failed(s, answer);
		return;
	}
	s->note.created = ensured->created;
	s->note.replaced = s->work.resume_id != NULL;
	s->work.resume_new = ensured->created;
	s->work.resume_replaced = s->work.resume_replaced || s->note.replaced;
	s->work.resume_id = arena_strdup(&s->arena, ensured->resume_id);
	if (s->work.resume_id == NULL)
		end_unsaid(s, -ENOMEM);
	else
		note(s);
}

/* not_resume_id: HH did not find this one. */
static void ensure(struct sending *s, const char *not_resume_id)
{
	const struct resume_ensure request = {
		.user_id = s->work.user_id,
		.customized_cv = s->work.customized_cv != NULL ? s->work.customized_cv : "{}",
		.not_resume_id = not_resume_id,
	};
	int rc = actor_call(s->sender->self, MSG_RESUME_ENSURE, &request, 0, on_ensured, s);

	if (rc < 0)
		end_unsaid(s, rc);
}

static void ensure_or_note(struct sending *s)
{
	if (s->work.resume_id == NULL)
		ensure(s, NULL);
	else
		note(s);
}

/* --- applying --- */

static void on_applied(struct sending *s, const struct hh_apply_outcome *outcome)
{
	static const struct verdict failed;

	if (outcome->external_url == NULL) {
		end_submitted(s, outcome->negotiation_id, NULL);
		return;
	}
	s->end.external_url = arena_strdup(&s->arena, outcome->external_url);
	end_with(s, ERR_EXTERNAL_SITE, NULL, NULL, &failed);
}

static void on_resume_not_found(struct sending *s, const struct actor_answer *answer)
{
	struct verdict verdict;

	if (s->work.resume_new) {
		verdict = verdict_of_new_resume(s->work.failures, chance());
		end_with(s, answer->error, NULL, answer->failure->details, &verdict);
	} else if (!s->work.resume_replaced) {
		ensure(s, s->work.resume_id);
	} else {
		end_failed(s, answer);
	}
}

static void on_apply_answer(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct sending *s = context;

	(void)self;
	if (answer->error == ERR_NONE) {
		on_applied(s, answer->body);
		return;
	}
	/* An earlier try that HH did not list may still come to light. */
	s->end.unsent = !s->work.sent && !verdict_unknown(answer->error, answer->failure->details);
	if (answer->error == ERR_ALREADY_APPLIED && s->work.sent)
		ask(s);
	else if (answer->error == ERR_RESUME_NOT_AVAILABLE)
		on_resume_not_found(s, answer);
	else
		end_failed(s, answer);
}

static void apply(struct sending *s)
{
	const struct hh_apply request = {
		.user_id = s->work.user_id,
		.vacancy_id = s->work.job_external_id,
		.resume_id = s->work.resume_id,
		.message = s->work.cover_letter,
	};
	int rc = actor_call(s->sender->self, MSG_HH_APPLY, &request, 0, on_apply_answer, s);

	if (rc < 0) {
		s->end.unsent = !s->work.sent;
		end_unsaid(s, rc);
	}
}

/* --- what is said to the store --- */

static int notes_send(struct actor *self, struct entry *const *entries, size_t count,
		      actor_answer_fn *fn, void *context)
{
	struct application_note items[BATCH_MAX];
	const struct applications_note request = {.items = {.items = items, .count = count}};

	for (size_t i = 0; i < count; i++)
		items[i] = OF_ENTRY(entries[i], note_entry)->note;
	return actor_call(self, MSG_APPLICATIONS_NOTE, &request, 0, fn, context);
}

static bool held_still(const struct application_leases *held, const struct application_work *work)
{
	for (size_t i = 0; i < held->leases.count; i++)
		if (held->leases.items[i].token == work->token)
			return true;
	return false;
}

static void notes_done(struct actor *self, struct entry *const *entries, size_t count,
		       const void *reply)
{
	struct sender *sender = OF_ENTRY(entries[0], note_entry)->sender;
	bool lost = false;

	for (size_t i = 0; i < count; i++) {
		struct sending *s = OF_ENTRY(entries[i], note_entry);

		if (held_still(reply, &s->work)) {
			apply(s);
		} else {
			log_warn("application.lost", "id=%s", s->work.id);
			forget(s);
			lost = true;
		}
	}
	if (lost)
		sender->freed(self);
}

static void leave(struct actor *self, struct sending *s)
{
	struct sender *sender = s->sender;

	log_error("application.left", "id=%s", s->work.id);
	forget(s);
	sender->freed(self);
}

static void note_failed(struct actor *self, struct entry *entry, const struct failure *failure)
{
	(void)failure; /* it was logged */
	leave(self, OF_ENTRY(entry, note_entry));
}

static const struct batch_kind notes_kind = {
	.id = MSG_APPLICATIONS_NOTE,
	.send = notes_send,
	.done = notes_done,
	.failed = note_failed,
	.insists = true,
};

static int ends_send(struct actor *self, struct entry *const *entries, size_t count,
		     actor_answer_fn *fn, void *context)
{
	struct application_end items[BATCH_MAX];
	const struct applications_end request = {.items = {.items = items, .count = count}};

	for (size_t i = 0; i < count; i++)
		items[i] = OF_ENTRY(entries[i], end_entry)->end;
	return actor_call(self, MSG_APPLICATIONS_END, &request, 0, fn, context);
}

static void ends_done(struct actor *self, struct entry *const *entries, size_t count,
		      const void *reply)
{
	struct sender *sender = OF_ENTRY(entries[0], end_entry)->sender;
	const struct applications *ended = reply;

	for (size_t i = 0; i < count; i++)
		forget(OF_ENTRY(entries[i], end_entry));
	for (size_t i = 0; i < ended->applications.count; i++)
		sender->told(self, &ended->applications.items[i]);
	sender->freed(self);
}

static void end_not_said(struct actor *self, struct entry *entry, const struct failure *failure)
{
	(void)failure; /* it was logged */
	leave(self, OF_ENTRY(entry, end_entry));
}

static const struct batch_kind ends_kind = {
	.id = MSG_APPLICATIONS_END,
	.send = ends_send,
	.done = ends_done,
	.failed = end_not_said,
	.insists = true,
};

/* --- the sender --- */

void sender_init(struct sender *sender, struct actor *self,
		 void (*told)(struct actor *self, const struct application *application),
		 void (*freed)(struct actor *self))
{
	*sender = (struct sender){.self = self, .told = told, .freed = freed};
	batch_init(&sender->notes, self, &notes_kind);
	batch_init(&sender->ends, self, &ends_kind);
}

/* Copies work into arena. Returns whether there was memory for it. */
static bool copy_work(struct arena *arena, const struct application_work *work,
		      struct application_work *out)
{
	*out = *work;
	out->id = arena_strdup(arena, work->id);
	out->user_id = arena_strdup(arena, work->user_id);
	out->job_external_id = arena_strdup(arena, work->job_external_id);
	out->customized_cv = arena_strdup(arena, work->customized_cv);
	out->cover_letter = arena_strdup(arena, work->cover_letter);
	out->resume_id = arena_strdup(arena, work->resume_id);
	return out->id != NULL && out->user_id != NULL && out->job_external_id != NULL &&
	       (out->customized_cv != NULL) == (work->customized_cv != NULL) &&
	       (out->cover_letter != NULL) == (work->cover_letter != NULL) &&
	       (out->resume_id != NULL) == (work->resume_id != NULL);
}

void sender_take(struct sender *sender, const struct application_work *work)
{
	static const struct verdict dead = {.dead = true};
	struct sending *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		log_error("application.no_memory", "id=%s", work->id);
		return;
	}
	s->sender = sender;
	s->next = sender->first;
	sender->first = s;
	sender->count++;
	arena_init(&s->arena, ARENA_BYTES);
	if (!copy_work(&s->arena, work, &s->work)) {
		log_error("application.no_memory", "id=%s", work->id);
		forget(s);
		return;
	}
	if (work->attempts - work->failures > CRASHES_MAX)
		end_with(s, ERR_INTERNAL, "it was begun too often and never ended", NULL, &dead);
	else if (work->sent)
		ask(s);
	else
		ensure_or_note(s);
}

size_t sender_held(const struct sender *sender, struct application_lease *leases)
{
	size_t count = 0;

	for (const struct sending *s = sender->first; s != NULL; s = s->next)
		leases[count++] = (struct application_lease){
			.id = s->work.id,
			.token = s->work.token,
		};
	return count;
}

void sender_fini(struct sender *sender)
{
	batch_fini(&sender->notes);
	batch_fini(&sender->ends);
	while (sender->first != NULL)
		forget(sender->first);
}
