/* crashes.c - TREE_CRASHES: the supervisor's reports of deaths, asked for one after the other, and
 * of each the frames of its backtrace. Part of telemetry. */
#include <string.h>

#include "actors/telemetry/telemetry.h"
#include "proto/control.h"

#define REPORTS_MAX 64 /* what the catalogue takes, and the supervisor keeps */

struct reading {
	struct actor_call *call;
	struct crashes found;
	int64_t after; /* the last number that the caller knows */
	struct crash_report reports[REPORTS_MAX];
	const char **frames;	/* of the report that is being read */
	uint32_t frames_wanted; /* that it has */
};

static const char *const death_words[] = {
	[DEATH_EXIT] = "exit",	   [DEATH_SIGNAL] = "signal",	    [DEATH_HEARTBEAT] = "heartbeat",
	[DEATH_MEMORY] = "memory", [DEATH_START] = "start",	    [DEATH_TREATY] = "treaty",
	[DEATH_STOP] = "stop",	   [DEATH_REQUESTED] = "requested",
};

static const char *death_word(uint32_t death)
{
	return death < sizeof(death_words) / sizeof(death_words[0]) ? death_words[death] : "exit";
}

/* A copy that lives as long as the call; NULL for an empty field. */
static const char *text(struct reading *r, const char *field, size_t size)
{
	return field[0] == '\0'
		       ? NULL
		       : arena_strndup(actor_call_arena(r->call), field, strnlen(field, size));
}

static void add_report(struct reading *r, const struct control_packet *reply)
{
	const struct control_crash *c = &reply->crash;
	const struct control_message *m = &c->message;

	r->reports[r->found.crashes.count++] = (struct crash_report){
		.number = reply->value,
		.name = text(r, reply->name, sizeof(reply->name)),
		.generation = (int64_t)reply->generation,
		.pid = c->pid,
		.at_ms = c->at_ms,
		.death = death_word(c->death),
		.code = c->code,
		.reason = reply->reason[0] == '\0' ? ""
						   : text(r, reply->reason, sizeof(reply->reason)),
		.was_up = c->was_up != 0,
		.uptime_ms = c->uptime_ms,
		.doing = text(r, c->doing, sizeof(c->doing)),
		.method = text(r, m->method, sizeof(m->method)),
		.from = text(r, m->from, sizeof(m->from)),
		.trace = text(r, m->trace, sizeof(m->trace)),
		.blamed = c->blamed != 0,
	};
	if (c->doing[0] != '\0')
		r->reports[r->found.crashes.count - 1].held_ms = OPT_INT_OF(m->since_ms);
	r->frames_wanted =
		c->frame_count < CONTROL_FRAMES_MAX ? c->frame_count : CONTROL_FRAMES_MAX;
	r->frames = arena_array(actor_call_arena(r->call), r->frames_wanted, sizeof(*r->frames));
	r->reports[r->found.crashes.count - 1].backtrace.items = r->frames;
}

static void read_on(struct actor *self, struct reading *r);

static void on_crash(struct actor *self, const struct control_packet *reply, void *context)
{
	struct reading *r = context;

	if (reply->result == 0)
		add_report(r, reply);
	if (reply->result == 0 && r->frames == NULL && r->frames_wanted > 0)
		actor_refuse(r->call, ERR_INTERNAL, NULL, "out of memory");
	else if (reply->result == 0)
		read_on(self, r);
	else
		actor_reply(r->call, &r->found);
}

/* A report that was pushed out meanwhile has no frames any more. */
static void on_frame(struct actor *self, const struct control_packet *reply, void *context)
{
	struct reading *r = context;
	struct crash_report *last = &r->reports[r->found.crashes.count - 1];
	const char *frame =
		reply->result == 0 ? text(r, reply->reason, sizeof(reply->reason)) : NULL;

	if (frame != NULL)
		r->frames[last->backtrace.count++] = frame;
	else
		r->frames_wanted = 0;
	read_on(self, r);
}

/* Asks for what is missing next: a frame, or a report. */
static void read_on(struct actor *self, struct reading *r)
{
	const size_t count = r->found.crashes.count;
	const struct crash_report *last = count == 0 ? NULL : &r->reports[count - 1];
	int rc;

	if (last != NULL && last->backtrace.count < r->frames_wanted) {
		rc = actor_control(self, CONTROL_CRASH_FRAME, "",
				   last->number * CONTROL_FRAMES_MAX +
					   (int64_t)last->backtrace.count,
				   on_frame, r);
	} else if (count < REPORTS_MAX) {
		rc = actor_control(self, CONTROL_NEXT_CRASH, "",
				   (last == NULL ? r->after : last->number) + 1, on_crash, r);
	} else {
		actor_reply(r->call, &r->found);
		return;
	}
	if (rc < 0)
		actor_refuse(r->call, ERR_UNAVAILABLE, NULL, "the supervisor does not listen");
}

void on_tree_crashes(struct actor *self, struct actor_call *call, const void *request)
{
	const struct crashes_read *read = request;
	struct reading *r = arena_alloc(actor_call_arena(call), sizeof(*r));

	if (r == NULL) {
		actor_refuse(call, ERR_INTERNAL, NULL, "out of memory");
		return;
	}
	r->call = call;
	r->after = read->after;
	r->found.crashes.items = r->reports;
	read_on(self, r);
}
