/* topics.c - the topics, who listens to them, and how far each has read; see topics.h. */
#include "actors/broadcaster/topics.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TAILQ_HEAD(subscription_list, subscription);

struct topic {
	char name[TOPIC_NAME_SIZE]; /* first: what is searched for is a name too */
	struct subscription_list subs;
	TAILQ_ENTRY(topic) link;
	TAILQ_ENTRY(topic) due_link;
	TAILQ_ENTRY(topic) behind_link;
	bool due;
	bool behind;
	bool catching;	   /* a read that catches up is under way: the next one waits for it */
	bool behind_again; /* and there is to be a next one */
	/* while a read is dealt out: */
	bool dealing;
	bool brought;
	int64_t from;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static struct topic *topic_find(const struct topics *t, const char *name)
{
	struct topic **found = tfind(name, (void *const *)&t->by_name, by_name);

	return found == NULL ? NULL : *found;
}

static bool ready(const struct subscription *sub)
{
	return sub->placed && !sub->stalled;
}

/* Whether somebody is ready, and if so the cursors of the foremost and the hindmost. */
static bool span(const struct topic *topic, int64_t *foremost, int64_t *hindmost)
{
	const struct subscription *sub;
	bool any = false;

	TAILQ_FOREACH (sub, &topic->subs, link) {
		if (!ready(sub))
			continue;
		if (!any || sub->cursor > *foremost)
			*foremost = sub->cursor;
		if (!any || sub->cursor < *hindmost)
			*hindmost = sub->cursor;
		any = true;
	}
	return any;
}

static void set_due(struct topics *t, struct topic *topic)
{
	if (topic->due)
		return;
	topic->due = true;
	TAILQ_INSERT_TAIL(&t->due, topic, due_link);
}

static void set_behind(struct topics *t, struct topic *topic)
{
	if (topic->catching)
		topic->behind_again = true;
	if (topic->behind || topic->catching)
		return;
	topic->behind = true;
	TAILQ_INSERT_TAIL(&t->behind, topic, behind_link);
}

static void clear_due(struct topics *t, struct topic *topic)
{
	if (topic->due)
		TAILQ_REMOVE(&t->due, topic, due_link);
	topic->due = false;
}

static void clear_behind(struct topics *t, struct topic *topic)
{
	if (topic->behind)
		TAILQ_REMOVE(&t->behind, topic, behind_link);
	topic->behind = false;
}

/* --- who listens --- */

void topics_init(struct topics *t)
{
	*t = (struct topics){0};
	TAILQ_INIT(&t->all);
	TAILQ_INIT(&t->due);
	TAILQ_INIT(&t->behind);
}

static struct topic *topic_get(struct topics *t, const char *name)
{
	struct topic *topic = topic_find(t, name);

	if (topic != NULL)
		return topic;
	topic = calloc(1, sizeof(*topic));
	if (topic == NULL)
		return NULL;
	(void)snprintf(topic->name, sizeof(topic->name), "%s", name);
	TAILQ_INIT(&topic->subs);
	if (tsearch(topic, &t->by_name, by_name) == NULL) {
		free(topic);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&t->all, topic, link);
	t->count++;
	return topic;
}

int topics_join(struct topics *t, const char *name, struct subscription *sub)
{
	struct topic *topic;

	if (strlen(name) >= TOPIC_NAME_SIZE)
		return -ENAMETOOLONG;
	topic = topic_get(t, name);
	if (topic == NULL)
		return -ENOMEM;
	sub->topic = topic;
	sub->placed = sub->stalled = false;
	TAILQ_INSERT_TAIL(&topic->subs, sub, link);
	return 0;
}

void topics_leave(struct topics *t, struct subscription *sub)
{
	struct topic *topic = sub->topic;

	if (topic == NULL)
		return;
	sub->topic = NULL;
	TAILQ_REMOVE(&topic->subs, sub, link);
	if (!TAILQ_EMPTY(&topic->subs))
		return;
	clear_due(t, topic);
	clear_behind(t, topic);
	(void)tdelete(topic->name, &t->by_name, by_name);
	TAILQ_REMOVE(&t->all, topic, link);
	t->count--;
	free(topic);
}

const char *topics_name(const struct subscription *sub)
{
	return sub->topic->name;
}

/* --- what is to be read --- */

/* Something may be there for sub: by a live read if it is the foremost, else by one of its own. */
static void read_for(struct topics *t, const struct subscription *sub)
{
	int64_t foremost = 0;
	int64_t hindmost = 0;

	if (span(sub->topic, &foremost, &hindmost) && sub->cursor < foremost)
		set_behind(t, sub->topic);
	else
		set_due(t, sub->topic);
}

void topics_place(struct topics *t, struct subscription *sub, int64_t cursor)
{
	sub->cursor = cursor;
	sub->placed = true;
	sub->stalled = false;
	read_for(t, sub);
}

void topics_unplace(struct subscription *sub)
{
	sub->placed = false;
}

void topics_resume(struct topics *t, struct subscription *sub)
{
	if (!sub->stalled)
		return;
	sub->stalled = false;
	if (sub->placed)
		read_for(t, sub);
}

void topics_bell(struct topics *t, const char *name, int64_t seq)
{
	struct topic *topic = topic_find(t, name);
	int64_t foremost = 0;
	int64_t hindmost = 0;

	if (topic != NULL && span(topic, &foremost, &hindmost) && seq > foremost)
		set_due(t, topic);
}

void topics_ring_all(struct topics *t, bool (*has_room)(struct subscription *sub))
{
	struct subscription *sub;
	struct topic *topic;

	TAILQ_FOREACH (topic, &t->all, link) {
		TAILQ_FOREACH (sub, &topic->subs, link)
			if (sub->stalled && has_room(sub))
				topics_resume(t, sub);
		set_due(t, topic);
	}
}

/* --- reads --- */

static struct topics_read *read_new(size_t room, bool alone)
{
	struct topics_read *read = calloc(1, sizeof(*read));

	if (read == NULL)
		return NULL;
	read->alone = alone;
	read->cursors = calloc(room, sizeof(*read->cursors));
	read->known = calloc(room, sizeof(*read->known));
	read->names = calloc(room, sizeof(*read->names));
	if (read->cursors == NULL || read->known == NULL || read->names == NULL)
		topics_read_free(&read);
	return read;
}

void topics_read_free(struct topics_read **read)
{
	if (*read == NULL)
		return;
	free((*read)->cursors);
	free((*read)->known);
	free((*read)->names);
	free(*read);
	*read = NULL;
}

static void read_add(struct topics_read *read, const struct topic *topic, int64_t from,
		     int64_t known)
{
	size_t i = read->count++;

	memcpy(read->names[i], topic->name, sizeof(topic->name));
	read->cursors[i] = (struct cursor){.topic = read->names[i], .seq = from};
	read->known[i] = known;
}

/* NULL also for a read of nothing. */
static struct topics_read *read_if_any(struct topics_read *read)
{
	if (read->count == 0)
		topics_read_free(&read);
	return read;
}

struct topics_read *topics_read_live(struct topics *t, size_t max)
{
	struct topics_read *read;

	if (TAILQ_EMPTY(&t->due))
		return NULL;
	read = read_new(max < t->count ? max : t->count, false);
	if (read == NULL)
		return NULL;
	while (read->count < max && !TAILQ_EMPTY(&t->due)) {
		struct topic *topic = TAILQ_FIRST(&t->due);
		int64_t foremost = 0;
		int64_t hindmost = 0;

		clear_due(t, topic);
		if (!span(topic, &foremost, &hindmost))
			continue; /* nobody could take anything: room or placing asks again */
		if (hindmost < foremost)
			set_behind(t, topic);
		read_add(read, topic, foremost, foremost);
	}
	return read_if_any(read);
}

struct topics_read *topics_read_behind(struct topics *t)
{
	struct topics_read *read;

	if (TAILQ_EMPTY(&t->behind))
		return NULL;
	read = read_new(1, true);
	if (read == NULL)
		return NULL;
	while (read->count == 0 && !TAILQ_EMPTY(&t->behind)) {
		struct topic *topic = TAILQ_FIRST(&t->behind);
		int64_t foremost = 0;
		int64_t hindmost = 0;

		clear_behind(t, topic);
		if (!span(topic, &foremost, &hindmost))
			continue;
		topic->catching = true;
		read_add(read, topic, hindmost, foremost);
	}
	return read_if_any(read);
}

/* --- what was read --- */

/* Deals one event of a read that began after topic->from. */
static void deal(struct topic *topic, const struct event *event, topics_deliver_fn *fn,
		 void *context)
{
	struct subscription *sub;
	bool first = true;

	topic->brought = true;
	TAILQ_FOREACH (sub, &topic->subs, link) {
		if (!ready(sub) || sub->cursor < topic->from || sub->cursor >= event->seq)
			continue;
		if (fn(sub, event, first, context))
			sub->cursor = event->seq;
		else
			sub->stalled = true;
		first = false;
	}
}

/* The read was not cut short, and saw the event `known`: what it did not bring up to there is no
 * longer kept. Without this a subscription would ask for it for ever. */
static void skip_forgotten(struct topic *topic, int64_t known)
{
	struct subscription *sub;

	TAILQ_FOREACH (sub, &topic->subs, link)
		if (ready(sub) && sub->cursor >= topic->from && sub->cursor < known)
			sub->cursor = known;
}

/* When the read was cut short, what it brought nothing of is read again with the others, what it
 * brought something of by itself: else a topic with a long history would fill every read. */
static void read_on(struct topics *t, struct topic *topic, bool more)
{
	int64_t foremost = 0;
	int64_t hindmost = 0;

	if (!span(topic, &foremost, &hindmost))
		return;
	if ((topic->brought && more) || hindmost < foremost)
		set_behind(t, topic);
	else if (more)
		set_due(t, topic);
}

static void caught(struct topics *t, struct topic *topic)
{
	bool again = topic->behind_again;

	topic->catching = topic->behind_again = false;
	if (again)
		set_behind(t, topic);
}

void topics_deliver(struct topics *t, const struct topics_read *read, const struct events *events,
		    topics_deliver_fn *fn, void *context)
{
	struct topic *topic = NULL;

	for (size_t i = 0; i < read->count; i++) {
		topic = topic_find(t, read->cursors[i].topic);
		if (topic == NULL)
			continue;
		topic->dealing = true;
		topic->brought = false;
		topic->from = read->cursors[i].seq;
	}
	topic = NULL;
	for (size_t i = 0; i < events->events.count; i++) {
		const struct event *event = &events->events.items[i];

		if (topic == NULL || strcmp(topic->name, event->topic) != 0)
			topic = topic_find(t, event->topic);
		if (topic != NULL && topic->dealing)
			deal(topic, event, fn, context);
	}
	for (size_t i = 0; i < read->count; i++) {
		topic = topic_find(t, read->cursors[i].topic);
		if (topic == NULL)
			continue;
		topic->dealing = false;
		if (!events->more)
			skip_forgotten(topic, read->known[i]);
		if (read->alone)
			caught(t, topic);
		read_on(t, topic, events->more);
	}
}

void topics_failed(struct topics *t, const struct topics_read *read, enum topics_retry retry)
{
	for (size_t i = 0; i < read->count; i++) {
		struct topic *topic = topic_find(t, read->cursors[i].topic);

		if (topic == NULL)
			continue;
		if (read->alone)
			caught(t, topic);
		if (retry == TOPICS_RETRY_LATER)
			clear_behind(t, topic);
		else if (read->alone || retry == TOPICS_RETRY_ALONE)
			set_behind(t, topic);
		else
			set_due(t, topic);
	}
}
