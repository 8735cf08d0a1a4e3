/* telemetry.c - knows how the tree is, and speaks to the supervisor for those outside.
 *
 * Answers  TREE_STATE (the tree of processes),
 *          TREE_KILL (kills an actor; the supervisor restarts it),
 *          TREE_CRASHES (the last deaths; crashes.c)
 * Owns     nothing: every answer is asked of the supervisor, so a restart loses nothing.
 * Never    kills anything by itself.
 */
#include <errno.h>
#include <string.h>

#include "actors/actors.h"
#include "actors/telemetry/telemetry.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"
#include "proto/control.h"

#define CHILDREN_MAX 25000

struct telemetry {
	char node[SETTING_NODE_NAME_SIZE];
};

/* A walk over all children of the tree: one request to the supervisor at a time. */
struct walk {
	struct actor_call *call;
	const char *only; /* TREE_KILL: the name that is looked for; NULL: all */
	struct seen *first;
	struct seen **last;
	size_t count;
	int64_t index;
};

struct seen {
	struct seen *next;
	struct child_state child;
};

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

static int telemetry_init(struct actor *self)
{
	struct telemetry *t = actor_state(self);

	(void)setting_node_name(t->node);
	return 0;
}

/* Copies the supervisor's answer into memory that lives as long as the call. */
static struct seen *seen_new(struct arena *arena, const struct control_packet *reply)
{
	const struct control_child *c = &reply->child;
	struct seen *seen = arena_alloc(arena, sizeof(*seen));

	if (seen == NULL)
		return NULL;
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

static void reply_tree(struct actor *self, struct walk *walk)
{
	struct telemetry *t = actor_state(self);
	struct arena *arena = actor_call_arena(walk->call);
	struct child_state *children = arena_array(arena, walk->count, sizeof(*children));
	struct tree_state tree = {.node = t->node, .version = UGTJ_VERSION};
	size_t n = 0;

	if (children == NULL) {
		actor_refuse(walk->call, ERR_INTERNAL, NULL, "out of memory");
		return;
	}
	for (const struct seen *seen = walk->first; seen != NULL; seen = seen->next) {
		children[n] = seen->child;
		if (children[n].uptime_ms > tree.uptime_ms)
			tree.uptime_ms = children[n].uptime_ms;
		n++;
	}
	tree.children.items = children;
	tree.children.count = n;
	actor_reply(walk->call, &tree);
}

static void on_killed(struct actor *self, const struct control_packet *reply, void *context)
{
	struct walk *walk = context;

	(void)self;
	if (reply->result == 0)
		actor_reply(walk->call, &walk->first->child);
	else
		actor_refuse(walk->call, ERR_CONFLICT, "name", "it is not running");
}

static void end_kill(struct actor *self, struct walk *walk)
{
	if (walk->first == NULL) {
		actor_refuse(walk->call, ERR_NOT_FOUND, "name", "no actor of the tree is called %s",
			     walk->only);
		return;
	}
	log_info("tree.kill", "name=%s asked_by=%s", walk->only, actor_call_from(walk->call));
	if (actor_control(self, CONTROL_KILL_CHILD, walk->only, 0, on_killed, walk) < 0)
		actor_refuse(walk->call, ERR_UNAVAILABLE, NULL, "the supervisor does not listen");
}

static void walk_next(struct actor *self, struct walk *walk);

static void on_child(struct actor *self, const struct control_packet *reply, void *context)
{
	struct walk *walk = context;

	if (reply->result != 0 || walk->count == CHILDREN_MAX) {
		if (walk->only == NULL)
			reply_tree(self, walk);
		else
			end_kill(self, walk);
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

static void walk_start(struct actor *self, struct actor_call *call, const char *only)
{
	struct walk *walk = arena_alloc(actor_call_arena(call), sizeof(*walk));

	if (walk == NULL) {
		actor_refuse(call, ERR_INTERNAL, NULL, "out of memory");
		return;
	}
	walk->call = call;
	walk->only = only;
	walk->last = &walk->first;
	walk_next(self, walk);
}

static void on_tree_state(struct actor *self, struct actor_call *call, const void *request)
{
	(void)request;
	walk_start(self, call, NULL);
}

static void on_tree_kill(struct actor *self, struct actor_call *call, const void *request)
{
	const struct child_ref *ref = request;

	walk_start(self, call, ref->name);
}

static const struct actor_call_clause telemetry_calls[] = {
	{MSG_TREE_STATE, on_tree_state},
	{MSG_TREE_KILL, on_tree_kill},
	{MSG_TREE_CRASHES, on_tree_crashes},
	{MSG_NONE, NULL},
};

const struct actor_spec telemetry_spec = {
	.name = "telemetry",
	.state_size = sizeof(struct telemetry),
	.init = telemetry_init,
	.calls = telemetry_calls,
};
