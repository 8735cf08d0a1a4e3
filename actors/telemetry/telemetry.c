/* telemetry.c - knows how the tree is, and speaks to the supervisor for those outside.
 *
 * Answers  TREE_STATE (the tree of processes),
 *          TREE_KILL (kills an actor; the supervisor restarts it),
 *          TREE_CRASHES (the last deaths; crashes.c),
 *          TREE_WHICH_CHILDREN, TREE_COUNT_CHILDREN, TREE_START_CHILD, TREE_TERMINATE_CHILD,
 *          TREE_RESTART_CHILD, TREE_DELETE_CHILD (as in OTP; children.c),
 *          TREE_RESTART (the rolling restart; children.c)
 * Owns     nothing: every answer is asked of the supervisor, so a restart loses nothing.
 * Never    kills, starts or stops anything by itself.
 */
#include <errno.h>
#include <string.h>

#include "actors/actors.h"
#include "actors/telemetry/telemetry.h"
#include "base/log.h"
#include "base/settings.h"
#include "proto/control.h"

struct telemetry {
	char node[SETTING_NODE_NAME_SIZE];
};

static int telemetry_init(struct actor *self)
{
	struct telemetry *t = actor_state(self);

	(void)setting_node_name(t->node);
	return 0;
}

static void reply_tree(struct actor *self, struct walk *walk)
{
	struct telemetry *t = actor_state(self);
	const struct child_state *rows = walk_rows(walk);
	struct tree_state tree = {.node = t->node, .version = UGTJ_VERSION};

	if (rows == NULL) {
		actor_refuse(walk->call, ERR_INTERNAL, NULL, "out of memory");
		return;
	}
	for (size_t i = 0; i < walk->count; i++)
		if (rows[i].uptime_ms > tree.uptime_ms)
			tree.uptime_ms = rows[i].uptime_ms;
	tree.children.items = rows;
	tree.children.count = walk->count;
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

static void on_tree_state(struct actor *self, struct actor_call *call, const void *request)
{
	walk_start(self, call, request, NULL, reply_tree);
}

static void on_tree_kill(struct actor *self, struct actor_call *call, const void *request)
{
	const struct child_ref *ref = request;

	walk_start(self, call, request, ref->name, end_kill);
}

static const struct actor_call_clause telemetry_calls[] = {
	{MSG_TREE_STATE, on_tree_state},
	{MSG_TREE_KILL, on_tree_kill},
	{MSG_TREE_CRASHES, on_tree_crashes},
	{MSG_TREE_WHICH_CHILDREN, on_tree_which_children},
	{MSG_TREE_COUNT_CHILDREN, on_tree_count_children},
	{MSG_TREE_START_CHILD, on_tree_start_child},
	{MSG_TREE_TERMINATE_CHILD, on_tree_terminate_child},
	{MSG_TREE_RESTART_CHILD, on_tree_restart_child},
	{MSG_TREE_DELETE_CHILD, on_tree_delete_child},
	{MSG_TREE_RESTART, on_tree_restart},
	{MSG_NONE, NULL},
};

const struct actor_spec telemetry_spec = {
	.state_size = sizeof(struct telemetry),
	.init = telemetry_init,
	.calls = telemetry_calls,
};
