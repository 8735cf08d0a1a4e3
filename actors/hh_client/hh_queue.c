/* hh_queue.c - a tree of users in each class, and a ring of their turns; see hh_queue.h. */
#include "actors/hh_client/hh_queue.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERACTIVE_RUN_MAX 3 /* then it is a background request's turn */

struct hh_lane {
	char user[HH_QUEUE_USER_SIZE]; /* first: lanes are compared by it */
	struct hh_lanes *lanes;
	struct hh_lane *prev;
	struct hh_lane *next;
	struct hh_entry *first;
	struct hh_entry *last;
};

static int compare_users(const void *a, const void *b)
{
	return strcmp(a, b);
}

void hh_queue_init(struct hh_queue *q, size_t max_interactive, size_t max_background)
{
	*q = (struct hh_queue){0};
	q->classes[HH_INTERACTIVE].max = max_interactive;
	q->classes[HH_BACKGROUND].max = max_background;
}

static void lane_append(struct hh_lane *lane)
{
	struct hh_lanes *lanes = lane->lanes;

	lane->next = NULL;
	lane->prev = lanes->last;
	if (lanes->last != NULL)
		lanes->last->next = lane;
	else
		lanes->first = lane;
	lanes->last = lane;
}

static void lane_unlink(struct hh_lane *lane)
{
	struct hh_lanes *lanes = lane->lanes;

	if (lane->prev != NULL)
		lane->prev->next = lane->next;
	else
		lanes->first = lane->next;
	if (lane->next != NULL)
		lane->next->prev = lane->prev;
	else
		lanes->last = lane->prev;
}

static void lane_free(struct hh_lane *lane)
{
	struct hh_lanes *lanes = lane->lanes;

	lane_unlink(lane);
	(void)tdelete(lane->user, &lanes->by_user, compare_users);
	lanes->users--;
	free(lane);
}

static struct hh_lane *lane_of(struct hh_lanes *lanes, const char *user)
{
	void *found = tfind(user, &lanes->by_user, compare_users);
	struct hh_lane *lane;

	if (found != NULL)
		return *(struct hh_lane **)found;
	lane = calloc(1, sizeof(*lane));
	if (lane == NULL)
		return NULL;
	(void)snprintf(lane->user, sizeof(lane->user), "%s", user);
	if (tsearch(lane->user, &lanes->by_user, compare_users) == NULL) {
		free(lane);
		return NULL;
	}
	lane->lanes = lanes;
	lane_append(lane);
	lanes->users++;
	return lane;
}

void hh_queue_fini(struct hh_queue *q)
{
	for (int class = 0; class < HH_CLASSES; class ++) {
		while (q->classes[class].first != NULL)
			lane_free(q->classes[class].first);
		q->classes[class].count = 0;
		q->classes[class].personal = 0;
	}
}

int hh_queue_push(struct hh_queue *q, enum hh_class class, const char *user, struct hh_entry *entry)
{
	struct hh_lanes *lanes = &q->classes[class];
	struct hh_lane *lane;

	if (lanes->count >= lanes->max)
		return -ENOSPC;
	lane = lane_of(lanes, user);
	if (lane == NULL)
		return -ENOMEM;
	entry->lane = lane;
	entry->next = NULL;
	if (lane->last != NULL)
		lane->last->next = entry;
	else
		lane->first = entry;
	lane->last = entry;
	lanes->count++;
	lanes->personal += entry->personal ? 1 : 0;
	return 0;
}

int hh_queue_push_front(struct hh_queue *q, enum hh_class class, const char *user,
			struct hh_entry *entry)
{
	struct hh_lanes *lanes = &q->classes[class];
	struct hh_lane *lane = lane_of(lanes, user);

	if (lane == NULL)
		return -ENOMEM;
	entry->lane = lane;
	entry->next = lane->first;
	lane->first = entry;
	if (lane->last == NULL)
		lane->last = entry;
	lanes->count++;
	lanes->personal += entry->personal ? 1 : 0;
	return 0;
}

/* Lets the user whose turn it is have it, and sends it to the end of the row. */
static struct hh_entry *take_turn(struct hh_lanes *lanes)
{
	struct hh_lane *lane = lanes->first;
	struct hh_entry *entry = lane->first;

	lane->first = entry->next;
	if (lane->first == NULL) {
		lane_free(lane);
	} else {
		lane_unlink(lane);
		lane_append(lane);
	}
	lanes->count--;
	lanes->personal -= entry->personal ? 1 : 0;
	entry->lane = NULL;
	entry->next = NULL;
	return entry;
}

struct hh_entry *hh_queue_pop(struct hh_queue *q)
{
	struct hh_lanes *interactive = &q->classes[HH_INTERACTIVE];
	struct hh_lanes *background = &q->classes[HH_BACKGROUND];

	if (background->count == 0) {
		q->interactive_run = 0; /* nobody waits, so nobody is owed a turn */
		return interactive->count == 0 ? NULL : take_turn(interactive);
	}
	if (interactive->count > 0 && q->interactive_run < INTERACTIVE_RUN_MAX) {
		q->interactive_run++;
		return take_turn(interactive);
	}
	q->interactive_run = 0;
	return take_turn(background);
}

void hh_queue_remove(struct hh_entry *entry)
{
	struct hh_lane *lane = entry->lane;
	struct hh_entry *before = NULL;

	if (lane == NULL)
		return;
	for (struct hh_entry *e = lane->first; e != entry; e = e->next)
		before = e;
	if (before != NULL)
		before->next = entry->next;
	else
		lane->first = entry->next;
	if (lane->last == entry)
		lane->last = before;
	lane->lanes->count--;
	lane->lanes->personal -= entry->personal ? 1 : 0;
	if (lane->first == NULL)
		lane_free(lane);
	entry->lane = NULL;
	entry->next = NULL;
}

struct hh_entry *hh_queue_pop_personal(struct hh_queue *q)
{
	struct hh_lanes *lanes = &q->classes[HH_INTERACTIVE];

	for (struct hh_lane *lane = lanes->first; lane != NULL; lane = lane->next)
		for (struct hh_entry *entry = lane->first; entry != NULL; entry = entry->next) {
			if (!entry->personal)
				continue;
			if (lane->first != lane->last) { /* it stays, behind the others */
				lane_unlink(lane);
				lane_append(lane);
			}
			hh_queue_remove(entry);
			return entry;
		}
	return NULL;
}

bool hh_queue_holds(const struct hh_entry *entry)
{
	return entry->lane != NULL;
}

size_t hh_queue_count(const struct hh_queue *q, enum hh_class class)
{
	return q->classes[class].count;
}

size_t hh_queue_count_personal(const struct hh_queue *q)
{
	return q->classes[HH_INTERACTIVE].personal;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t hh_queue_turns(const struct hh_queue *q, enum hh_class class)
{
	const struct hh_lanes *interactive = &q->classes[HH_INTERACTIVE];
	const struct hh_lanes *background = &q->classes[HH_BACKGROUND];
	size_t turns = q->classes[class].users + 1;

	if (class == HH_INTERACTIVE) /* each run of three lets one pass */
		return turns + least(background->count, turns / INTERACTIVE_RUN_MAX);
	return turns + least(interactive->count, turns * INTERACTIVE_RUN_MAX);
}
