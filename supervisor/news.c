/* news.c - who hears of whose ups and downs. See node.h.
 *
 * News are levels, not events: for each pair of watcher and name there is what holds and what the
 * watcher was told last, and as long as they differ something is to be sent. So a watcher that does
 * not read costs one mark per name, however often that name goes up and down, and when it reads
 * again it is told what holds then: DOWN of the generation that it believes in, and UP of the new.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <search.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names that one child may monitor: more than there can be children. */
#define WATCHES_MAX 32768

/* A name that somebody monitors, whether there is such a child or not. */
struct subject {
	char name[CONTROL_NAME_SIZE];
	bool up;
	uint64_t generation; /* that is up, or was last; 0: none was */
	char reason[CONTROL_REASON_SIZE];
	bool own_fault; /* of that generation's end */
	struct control_message culprit;
	struct watch_list watches;
};

struct watch {
	struct subject *subject;
	struct node *watcher;
	LIST_ENTRY(watch) of_subject;
	LIST_ENTRY(watch) of_watcher;
	TAILQ_ENTRY(watch) in_untold;
	bool untold; /* is in that queue */
	bool told;   /* anything so far */
	bool told_up;
	uint64_t told_generation;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static struct subject *subject_find(const struct supervisor *s, const char *name)
{
	char *const *found = tfind(name, &s->subjects, compare_names);

	return found == NULL ? NULL
			     : (struct subject *)(void *)(*found - offsetof(struct subject, name));
}

static struct subject *subject_new(struct supervisor *s, const char *name)
{
	const struct node *n = node_find(s, name);
	struct subject *subject = calloc(1, sizeof(*subject));

	if (subject == NULL)
		return NULL;
	(void)snprintf(subject->name, sizeof(subject->name), "%s", name);
	if (n == NULL)
		(void)snprintf(subject->reason, sizeof(subject->reason), "is not known");
	else
		(void)snprintf(subject->reason, sizeof(subject->reason), "%s",
			       n->end[0] != '\0' ? n->end : "is not up yet");
	subject->up = n != NULL && n->pid != 0 && n->up_since_ms != 0;
	subject->generation = n == NULL ? 0 : n->up_generation;
	LIST_INIT(&subject->watches);
	if (tsearch(subject->name, &s->subjects, compare_names) == NULL) {
		free(subject);
		return NULL;
	}
	return subject;
}

static void subject_free_unless_watched(struct supervisor *s, struct subject *subject)
{
	if (!LIST_EMPTY(&subject->watches))
		return;
	(void)tdelete(subject->name, &s->subjects, compare_names);
	free(subject);
}

static void mark_untold(struct watch *w)
{
	if (!w->untold)
		TAILQ_INSERT_TAIL(&w->watcher->link.untold, w, in_untold);
	w->untold = true;
}

static struct watch *watch_find(const struct subject *subject, const struct node *watcher)
{
	struct watch *w;

	LIST_FOREACH (w, &subject->watches, of_subject)
		if (w->watcher == watcher)
			return w;
	return NULL;
}

static struct watch *watch_new(struct node *watcher, struct subject *subject)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->subject = subject;
	w->watcher = watcher;
	LIST_INSERT_HEAD(&subject->watches, w, of_subject);
	LIST_INSERT_HEAD(&watcher->link.watches, w, of_watcher);
	watcher->link.watch_count++;
	return w;
}

int news_monitor(struct supervisor *s, struct node *watcher, const char *name)
{
	struct subject *subject = subject_find(s, name);
	struct watch *w = NULL;

	if (subject == NULL)
		subject = subject_new(s, name);
	if (subject == NULL)
		return -ENOMEM;
	w = watch_find(subject, watcher);
	if (w == NULL && watcher->link.watch_count < WATCHES_MAX)
		w = watch_new(watcher, subject);
	if (w == NULL) {
		subject_free_unless_watched(s, subject);
		return watcher->link.watch_count < WATCHES_MAX ? -ENOMEM : -ENOSPC;
	}
	w->told = false; /* asked again, it is told again */
	mark_untold(w);
	news_flush(s, watcher);
	return 0;
}

/* --- telling --- */

/* What to send next so that the watcher comes to know what holds; 0: it does. */
static enum control_type next_news(const struct watch *w)
{
	const struct subject *now = w->subject;

	if (w->told && w->told_up && (!now->up || now->generation != w->told_generation))
		return CONTROL_DOWN;
	if (now->up && !(w->told && w->told_up))
		return CONTROL_UP;
	if (!now->up && !(w->told && w->told_generation == now->generation))
		return CONTROL_DOWN;
	return (enum control_type)0;
}

/* Sends what there is to say of one name. Returns 0 when all is said, or control_send()'s error. */
static int tell(struct supervisor *s, struct watch *w)
{
	enum control_type type;

	while ((type = next_news(w)) != (enum control_type)0) {
		bool gone = type == CONTROL_DOWN && w->told && w->told_up;
		struct control_packet p = {
			.version = CONTROL_VERSION,
			.type = (uint16_t)type,
			.generation = gone ? w->told_generation : w->subject->generation,
		};
		int rc;

		memcpy(p.name, w->subject->name, sizeof(p.name));
		if (type == CONTROL_DOWN)
			memcpy(p.reason, w->subject->reason, sizeof(p.reason));
		if (type == CONTROL_DOWN && p.generation == w->subject->generation) {
			p.value = w->subject->own_fault;
			p.culprit = w->subject->culprit;
		}
		rc = control_send(s, w->watcher, &p);
		if (rc < 0)
			return rc;
		w->told = true;
		w->told_up = type == CONTROL_UP;
		w->told_generation = p.generation;
	}
	return 0;
}

void news_flush(struct supervisor *s, struct node *watcher)
{
	struct watch *w;

	if (watcher->link.wants_out)
		return; /* there was no room, and we shall hear when there is */
	while ((w = TAILQ_FIRST(&watcher->link.untold)) != NULL) {
		if (tell(s, w) == -EAGAIN)
			return;
		TAILQ_REMOVE(&watcher->link.untold, w, in_untold);
		w->untold = false;
	}
}

static void publish(struct supervisor *s, const struct node *n, bool up)
{
	struct subject *subject = subject_find(s, n->name);
	struct watch *w;

	if (subject == NULL)
		return;
	subject->up = up;
	subject->generation = n->generation;
	if (!up)
		(void)snprintf(subject->reason, sizeof(subject->reason), "%s", n->end);
	subject->own_fault = !up && n->own_fault;
	subject->culprit = up ? (struct control_message){0} : n->culprit;
	LIST_FOREACH (w, &subject->watches, of_subject) {
		mark_untold(w);
		news_flush(s, w->watcher);
	}
}

void news_up(struct supervisor *s, const struct node *n)
{
	publish(s, n, true);
}

void news_down(struct supervisor *s, const struct node *n)
{
	publish(s, n, false);
}

void news_forget(struct supervisor *s, struct node *watcher)
{
	struct watch *w;

	while ((w = LIST_FIRST(&watcher->link.watches)) != NULL) {
		LIST_REMOVE(w, of_watcher);
		LIST_REMOVE(w, of_subject);
		subject_free_unless_watched(s, w->subject);
		free(w);
	}
	TAILQ_INIT(&watcher->link.untold);
	watcher->link.watch_count = 0;
}
