/* children.c - OTP's functions on the children of a supervisor, and the rolling restart. Part of
 * telemetry.
 *
 * The supervisor does them; here its answers become replies and errors in words.
 */
#include <errno.h>
#include <string.h>

#include "actors/telemetry/telemetry.h"
#include "base/log.h"
#include "proto/control.h"

/* --- which_children, count_children --- */

static bool runs(const struct child_state *c)
{
	return c->pid != 0 || (strcmp(c->kind, "supervisor") == 0 && strcmp(c->state, "up") == 0);
}

static const char *otp_word(const struct child_state *c)
{
	if (runs(c))
		return "running";
	return strcmp(c->state, "stopped") == 0 || strcmp(c->state, "quarantined") == 0
		       ? "undefined"
		       : "restarting";
}

/* The supervisor that the call names; the walk has seen the whole tree. */
static const char *supervisor_of(const struct walk *walk)
{
	const struct supervisor_ref *ref = walk->request;

	return ref->name == NULL ? "" : ref->name;
}

/* Its row; NULL for the root, and when there is none. */
static const struct seen *find_supervisor(const struct walk *walk)
{
	for (const struct seen *s = walk->first; s != NULL; s = s->next)
		if (strcmp(s->child.kind, "supervisor") == 0 && !s->deleted &&
		    strcmp(s->child.name, supervisor_of(walk)) == 0)
			return s;
	return NULL;
}

/* The next of its children, from s on. */
static const struct seen *next_child(const struct walk *walk, const struct seen *s)
{
	while (s != NULL && (s->deleted || strcmp(s->child.supervisor, supervisor_of(walk)) != 0))
		s = s->next;
	return s;
}

/* Refuses the call when it names no supervisor. */
static bool is_refused(const struct walk *walk)
{
	if (supervisor_of(walk)[0] == '\0' || find_supervisor(walk) != NULL)
		return false;
	actor_refuse(walk->call, ERR_NOT_FOUND, "name", "no supervisor of the tree is called %s",
		     supervisor_of(walk));
	return true;
}

static void reply_which(struct actor *self, struct walk *walk)
{
	struct child_row *rows =
		arena_array(actor_call_arena(walk->call), walk->count, sizeof(*rows));
	struct children children = {.children.items = rows};
	const struct seen *s = walk->first;

	(void)self;
	if (rows == NULL) {
		actor_refuse(walk->call, ERR_INTERNAL, NULL, "out of memory");
		return;
	}
	if (is_refused(walk))
		return;
	for (; (s = next_child(walk, s)) != NULL; s = s->next)
		rows[children.children.count++] = (struct child_row){
			.name = s->child.name,
			.child = otp_word(&s->child),
			.pid = s->child.pid,
			.type = s->child.kind,
		};
	actor_reply(walk->call, &children);
}

static void reply_count(struct actor *self, struct walk *walk)
{
	const struct seen *sup = find_supervisor(walk);
	const struct seen *s = walk->first;
	struct children_count count = {0};

	(void)self;
	if (is_refused(walk))
		return;
	for (; (s = next_child(walk, s)) != NULL; s = s->next) {
		count.specs++;
		count.active += runs(&s->child);
		count.supervisors += strcmp(s->child.kind, "supervisor") == 0;
		count.workers += strcmp(s->child.kind, "worker") == 0;
	}
	if (sup != NULL && sup->dynamic)
		count.specs = 1;
	actor_reply(walk->call, &count);
}

void on_tree_which_children(struct actor *self, struct actor_call *call, const void *request)
{
	walk_start(self, call, request, NULL, reply_which);
}

void on_tree_count_children(struct actor *self, struct actor_call *call, const void *request)
{
	walk_start(self, call, request, NULL, reply_count);
}

/* --- start, terminate, restart, delete --- */

static void refuse(struct actor_call *call, int rc, const char *why)
{
	enum msg_id id = actor_call_message(call)->id;

	switch (rc) {
	case -ENOENT:
		actor_refuse(call, ERR_NOT_FOUND, "name",
			     "there is no such child, nor a template for it");
		break;
	case -EINVAL:
		actor_refuse(call, ERR_BAD_REQUEST, "name", "is no name for a child of that kind");
		break;
	case -EEXIST:
		actor_refuse(call, ERR_CONFLICT, "name", "already_started: it runs or is about to");
		break;
	case -EALREADY:
		actor_refuse(call, ERR_CONFLICT, "name", "%s",
			     id == MSG_TREE_START_CHILD
				     ? "already_present: it does not run; restart it"
				     : "restarting: it is about to be started again");
		break;
	case -EBUSY:
		actor_refuse(call, ERR_CONFLICT, "name", "%s",
			     id == MSG_TREE_DELETE_CHILD ? "running: terminate it first"
			     : id == MSG_TREE_RESTART	 ? "a rolling restart is under way"
							 : "too many wait for it already");
		break;
	case -EOPNOTSUPP:
		actor_refuse(
			call, ERR_CONFLICT, "name",
			"simple_one_for_one: it is made from a template; start or terminate it");
		break;
	case -EDEADLK:
		actor_refuse(call, ERR_CONFLICT, "name",
			     "it would end the one who is asking for it");
		break;
	case -ESRCH:
		actor_refuse(call, ERR_CONFLICT, "name", "it is not up");
		break;
	case -ECHILD:
		actor_refuse(call, ERR_CONFLICT, "name", "it failed to start: %s", why);
		break;
	case -ECANCELED:
		actor_refuse(call, ERR_CONFLICT, "name", "it was stopped, or started, by another");
		break;
	case -ENOSPC:
		actor_refuse(call, ERR_OVERLOADED, "name", "its supervisor takes no more children");
		break;
	default:
		actor_refuse(call, ERR_UNAVAILABLE, NULL, "the supervisor cannot: %s",
			     strerror(-rc));
		break;
	}
}

/* A request to the supervisor for a call; lives in its arena. */
struct asking {
	struct actor_call *call;
	const struct child_ref *ref;
};

static void reply_row(struct actor *self, struct walk *walk)
{
	(void)self;
	if (walk->first == NULL)
		actor_refuse(walk->call, ERR_CONFLICT, "name", "it has ended already");
	else
		actor_reply(walk->call, &walk->first->child);
}

static void on_done(struct actor *self, const struct control_packet *reply, void *context)
{
	struct asking *asking = context;
	struct actor_call *call = asking->call;

	if (reply->result != 0)
		refuse(call, reply->result, reply->reason);
	else if (actor_call_message(call)->reply == RECORD_OF(empty))
		actor_reply(call, &(struct empty){0});
	else
		walk_start(self, call, asking->ref, asking->ref->name, reply_row);
}

static void ask(struct actor *self, struct actor_call *call, int type, const void *request)
{
	const struct child_ref *ref = request;
	struct asking *asking = arena_alloc(actor_call_arena(call), sizeof(*asking));

	if (asking == NULL) {
		actor_refuse(call, ERR_INTERNAL, NULL, "out of memory");
		return;
	}
	*asking = (struct asking){.call = call, .ref = ref};
	log_info("tree.request", "method=%s name=%s asked_by=%s", actor_call_message(call)->method,
		 ref->name, actor_call_from(call));
	if (actor_control(self, type, ref->name, CONTROL_WAIT, on_done, asking) < 0)
		actor_refuse(call, ERR_UNAVAILABLE, NULL, "the supervisor does not listen");
}

void on_tree_start_child(struct actor *self, struct actor_call *call, const void *request)
{
	ask(self, call, CONTROL_START_CHILD, request);
}

void on_tree_terminate_child(struct actor *self, struct actor_call *call, const void *request)
{
	ask(self, call, CONTROL_TERMINATE_CHILD, request);
}

void on_tree_restart_child(struct actor *self, struct actor_call *call, const void *request)
{
	ask(self, call, CONTROL_RESTART_CHILD, request);
}

void on_tree_delete_child(struct actor *self, struct actor_call *call, const void *request)
{
	ask(self, call, CONTROL_DELETE_CHILD, request);
}

/* --- the rolling restart --- */

/* Of the children that a rolling restart renews: the workers that are up, or the one that was named. */
static void reply_restarting(struct walk *walk)
{
	struct child_state *rows =
		arena_array(actor_call_arena(walk->call), walk->count, sizeof(*rows));
	struct tree_restarting restarting = {.children.items = rows};

	if (rows == NULL) {
		actor_refuse(walk->call, ERR_INTERNAL, NULL, "out of memory");
		return;
	}
	for (const struct seen *s = walk->first; s != NULL; s = s->next)
		if (s->child.pid != 0 && s->child.uptime_ms > 0)
			rows[restarting.children.count++] = s->child;
	actor_reply(walk->call, &restarting);
}

static void on_renewing(struct actor *self, const struct control_packet *reply, void *context)
{
	struct walk *walk = context;

	(void)self;
	if (reply->result == 0)
		reply_restarting(walk);
	else if (reply->result == -EINVAL)
		actor_refuse(walk->call, ERR_BAD_REQUEST, "name", "is a supervisor, not a worker");
	else
		refuse(walk->call, reply->result, "");
}

/* What there is is looked at first: soon after the request, it may be the turn of telemetry itself. */
static void renew(struct actor *self, struct walk *walk)
{
	const char *name = walk->only == NULL ? "" : walk->only;

	log_info("tree.restart", "name=%s asked_by=%s", name, actor_call_from(walk->call));
	if (actor_control(self, CONTROL_RENEW_CHILD, name, 0, on_renewing, walk) < 0)
		actor_refuse(walk->call, ERR_UNAVAILABLE, NULL, "the supervisor does not listen");
}

void on_tree_restart(struct actor *self, struct actor_call *call, const void *request)
{
	const struct tree_restart *restart = request;

	walk_start(self, call, request, restart->name, renew);
}
