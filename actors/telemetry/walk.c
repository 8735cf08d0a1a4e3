/* walk.c - the children of the tree, asked of the supervisor one after the other. Part of telemetry. */
#include <string.h>

#include "actors/telemetry/telemetry.h"
#include "base/clock.h"
#include "proto/control.h"

#define CHILDREN_MAX 25000 /* what the catalogue takes */

static const char *const state_words[] = {
	[CHILD_STOPPED] = "stopped",   [CHILD_WAITING] = "waiting",
	[CHILD_STARTING] = "starting", [CHILD_UP] = "up",
	[CHILD_DEGRADED] = "degraded", [CHILD_STOPPING] = "stopping",
	[CHILD_BACKOFF] = "backoff",   [CHILD_QUARANTINED] = "quarantined",
};

static const char *state_word(uint32_t state)
{
	return state < sizeof(state_words) / sizeof(state_words[0]) ? state_words[state]
								    : "stopped";
}

/* Copies the supervisor's answer into memory that lives as long as the call. */
static struct seen *seen_new(struct arena *arena, const struct control_packet *reply)
{
	const struct control_child *c = &reply->child;
	struct seen *seen = arena_alloc(arena, sizeof(*seen));

	if (seen == NULL)
		return NULL;
	seen->dynamic = c->is_dynamic != 0;
	seen->deleted = c->deleted != 0;
	seen->child = (struct child_state){
		.name = arena_strdup(arena, reply->name),
		.supervisor = arena_strndup(arena, c->supervisor,
					    strnlen(c->supervisor, sizeof(c->supervisor))),
		.kind = c->is_supervisor ? "supervisor" : "worker",
		.state = state_word(c->state),
		.generation = (int64_t)c->generation,
		.pid = c->pid,
		.restarts = (int64_t)c->restarts,
		.uptime_ms = c->up_since_ms == 0 ? 0 : clock_mono_ms() - c->up_since_ms,
		.last_exit = reply->reason[0] == '\0' ? NULL : arena_strdup(arena, reply->reason),
	};
	return seen->child.name == NULL || seen->child.supervisor == NULL ? NULL : seen;
}

static void walk_next(struct actor *self, struct walk *walk);

static void on_child(struct actor *self, const struct control_packet *reply, void *context)
{
	struct walk *walk = context;

	if (reply->result != 0 || walk->count == CHILDREN_MAX) {
		walk->done(self, walk);
		return;
	}
	if (walk->only == NULL || strcmp(walk->only, reply->name) == 0) {
		struct seen *seen = seen_new(actor_call_arena(walk->call), reply);

		if (seen == NULL) {
			actor_refuse(walk->call, ERR_INTERNAL, NULL, "out of memory");
			return;
		}
		*walk->last = seen;
		walk->last = &seen->next;
		walk->count++;
	}
	walk->index++;
	walk_next(self, walk);
}

static void walk_next(struct actor *self, struct walk *walk)
{
	if (actor_control(self, CONTROL_NEXT_CHILD, "", walk->index, on_child, walk) < 0)
		actor_refuse(walk->call, ERR_UNAVAILABLE, NULL, "the supervisor does not listen");
}

void walk_start(struct actor *self, struct actor_call *call, const void *request, const char *only,
		walk_done_fn *done)
{
	struct walk *walk = arena_alloc(actor_call_arena(call), sizeof(*walk));

	if (walk == NULL) {
		actor_refuse(call, ERR_INTERNAL, NULL, "out of memory");
		return;
	}
	walk->call = call;
	walk->request = request;
	walk->only = only;
	walk->done = done;
	walk->last = &walk->first;
	walk_next(self, walk);
}

const struct child_state *walk_rows(struct walk *walk)
{
	struct child_state *rows =
		arena_array(actor_call_arena(walk->call), walk->count, sizeof(*rows));
	size_t n = 0;

	for (const struct seen *seen = walk->first; rows != NULL && seen != NULL; seen = seen->next)
		rows[n++] = seen->child;
	return rows;
}
