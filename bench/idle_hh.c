/* idle_hh.c - an hh_client that has nothing to do: it answers at once that there is a resume, and that
 * HH has the application. For measuring all the rest.
 */
#include <inttypes.h>
#include <stdio.h>

#include "actors/runtime/actor.h"

struct idle {
	int64_t applied;
};

static void on_ensure(struct actor *self, struct actor_call *call, const void *request)
{
	static const struct resume_ensured ensured = {.resume_id = "0123456789abcdef"};

	(void)self;
	(void)request;
	actor_reply(call, &ensured);
}

static void on_apply(struct actor *self, struct actor_call *call, const void *request)
{
	struct idle *idle = actor_state(self);
	char id[24];
	const struct hh_apply_outcome outcome = {.negotiation_id = id};

	(void)request;
	(void)snprintf(id, sizeof(id), "%" PRId64, ++idle->applied);
	actor_reply(call, &outcome);
}

static void on_applied(struct actor *self, struct actor_call *call, const void *request)
{
	static const struct hh_applied_answer none;

	(void)self;
	(void)request;
	actor_reply(call, &none);
}

static const struct actor_call_clause idle_calls[] = {
	{MSG_RESUME_ENSURE, on_ensure},
	{MSG_HH_APPLY, on_apply},
	{MSG_HH_APPLIED, on_applied},
	{MSG_NONE, NULL},
};

static const struct actor_spec idle_spec = {
	.state_size = sizeof(struct idle),
	.calls = idle_calls,
};

int main(int argc, char **argv)
{
	return actor_main(&idle_spec, argc, argv);
}
