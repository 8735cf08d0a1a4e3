/* crash.c - a report for every death: one line in the log, and the last CRASHES_MAX kept for those
 * who ask. See node.h.
 *
 * They are kept here and not in an actor: the actor whose death is of interest may be that one.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* The innermost frames that the line in the log names. */
#define LOGGED_FRAMES 8

struct crash {
	int64_t number;
	uint64_t generation;
	char name[CONTROL_NAME_SIZE];
	char reason[CONTROL_REASON_SIZE];
	struct control_crash what;
	char frames[][CONTROL_FRAME_SIZE];
};

static void log_crash(const struct crash *c)
{
	const struct control_message *m = &c->what.message;
	char in_hand[320] = "";
	char frames[LOGGED_FRAMES * (CONTROL_FRAME_SIZE + 2) + 16] = "";
	size_t used = 0;

	if (c->what.doing[0] != '\0')
		(void)snprintf(in_hand, sizeof(in_hand),
			       " doing=\"%s\" method=\"%s\" from=\"%s\" trace=\"%s\" held_ms=%lld",
			       c->what.doing, m->method, m->from, m->trace, (long long)m->since_ms);
	for (uint32_t i = 0; i < c->what.frame_count && i < LOGGED_FRAMES; i++)
		used += (size_t)snprintf(frames + used, sizeof(frames) - used, "%s%s",
					 i == 0 ? " backtrace=\"" : " < ", c->frames[i]);
	if (used > 0)
		(void)snprintf(frames + used, sizeof(frames) - used, "\"");
	log_warn("child.crash", "name=%s generation=%llu pid=%lld reason=\"%s\" uptime_ms=%lld%s%s",
		 c->name, (unsigned long long)c->generation, (long long)c->what.pid, c->reason,
		 (long long)c->what.uptime_ms, in_hand, frames);
}

static void keep(struct supervisor *s, struct crash *c)
{
	struct crash **place;

	c->number = ++s->last_crash;
	place = &s->crashes[c->number % CRASHES_MAX];
	free(*place);
	*place = c;
}

static bool came_from_outside(const struct control_crash *what, const struct control_note *note)
{
	return note->signal != what->code || note->outside != 0;
}

/* Adds what the dead one wrote down. */
static void add_note(const struct supervisor *s, struct control_crash *what,
		     const struct control_note *note)
{
	int64_t held_ms = s->now_ms - note->message.since_ms;
	bool outside = came_from_outside(what, note);

	what->at_ms = clock_wall_ms();
	what->frame_count = note->frame_count;
	if (note->in_hand != 1)
		return;
	what->message = note->message;
	what->message.since_ms = held_ms > 0 ? held_ms : 0;
	memcpy(what->doing, note->doing, sizeof(what->doing));
	what->blamed = note->message.ref != 0 &&
		       restart_blames_message((enum control_death)what->death, what->code, outside,
					      what->message.since_ms);
}

void crash_report(struct supervisor *s, struct node *n, struct control_crash *crash,
		  const struct control_note *note)
{
	struct crash *c;

	add_note(s, crash, note);
	n->own_fault = restart_blames_message((enum control_death)crash->death, crash->code,
					      came_from_outside(crash, note), 0);
	n->culprit = crash->blamed ? crash->message : (struct control_message){0};
	c = calloc(1, sizeof(*c) + crash->frame_count * sizeof(c->frames[0]));
	if (c == NULL) {
		log_error("crash.no_memory", "name=%s", n->name);
		return;
	}
	c->generation = n->generation;
	c->what = *crash;
	memcpy(c->name, n->name, sizeof(c->name));
	memcpy(c->reason, n->end, sizeof(c->reason));
	for (uint32_t i = 0; i < crash->frame_count; i++)
		memcpy(c->frames[i], note->frames[i], sizeof(c->frames[i]));
	log_crash(c);
	keep(s, c);
}

int crash_next(const struct supervisor *s, int64_t number, struct control_packet *reply)
{
	int64_t oldest = s->last_crash > CRASHES_MAX ? s->last_crash - CRASHES_MAX + 1 : 1;
	const struct crash *c;

	if (number < oldest)
		number = oldest;
	if (number > s->last_crash)
		return -ENOENT;
	c = s->crashes[number % CRASHES_MAX];
	reply->value = c->number;
	reply->generation = c->generation;
	reply->crash = c->what;
	memcpy(reply->name, c->name, sizeof(reply->name));
	memcpy(reply->reason, c->reason, sizeof(reply->reason));
	return 0;
}

int crash_frame(const struct supervisor *s, int64_t number_and_index, struct control_packet *reply)
{
	int64_t number = number_and_index / CONTROL_FRAMES_MAX;
	int64_t index = number_and_index % CONTROL_FRAMES_MAX;
	const struct crash *c = number > 0 && index >= 0 ? s->crashes[number % CRASHES_MAX] : NULL;

	if (c == NULL || c->number != number || index >= c->what.frame_count)
		return -ENOENT;
	(void)snprintf(reply->reason, sizeof(reply->reason), "%s", c->frames[index]);
	return 0;
}

void crash_forget(struct supervisor *s)
{
	for (size_t i = 0; i < CRASHES_MAX; i++) {
		free(s->crashes[i]);
		s->crashes[i] = NULL;
	}
}
