/* tree.c - who is started, in which order, and what becomes of whom: the product on one screen.
 *
 * Start order downwards, stop order upwards. The root is one_for_one: actors meet only in messages
 * and hear of each other's deaths, so nobody has to die with another; rest_for_one would fail the
 * requests in flight at the gateway whenever the store is replaced.
 */
#include "supervisor/tree.h"

#include <stddef.h>

/* clang-format off */

/* One process for each user with a scheduled search. One that ends by itself has nothing to do. */
static const struct child_spec fetcher =
	/* name		 program	restart		   stop	 start	heartbeat  MB	control */
	{ "fetcher",	 "fetcher",	RESTART_TRANSIENT, 5000, 30000, 2500,	   256, false, .secrets = { NULL }, .zygote = true };

static const struct child_spec children[] = {
	/* name		 program	restart		   stop	 start	heartbeat  MB	control secrets */
	{ "store",	 "store",	RESTART_PERMANENT, 5000, 30000, 2500,	   1024, false, .secrets = { "DATABASE_URL" }, .zygote = true },
	{ "telemetry",	 "telemetry",	RESTART_PERMANENT, 5000, 30000, 2500,	   512,	true,  .secrets = { NULL }, .zygote = true },
	{ "rate_limiter", "rate_limiter", RESTART_PERMANENT, 5000, 30000, 2500,	   512,	false, .secrets = { NULL }, .zygote = true },
	{ "hh_client",	 "hh_client",	RESTART_PERMANENT, 5000, 30000, 2500,	   1024, false, .secrets = { "HH_ACCESS_TOKEN", "HH_CLIENT_SECRET", "ENCRYPTION_KEY", "ENCRYPTION_KEYS_OLD" }, .zygote = true },
	{ "broadcaster", "broadcaster", RESTART_PERMANENT, 5000, 30000, 2500,	   2048, false, .secrets = { "ORCHESTRATOR_SECRET", "SECRET_KEY_BASE" }, .zygote = true },
	{ "fetchers",	 NULL,		RESTART_PERMANENT,
	  .template = &fetcher, .max_restarts = 5, .period_ms = 60000, .max_failed_starts = 10,
	  .max_children = 1000, .max_starting = 8 },
	{ "scheduler",	 "scheduler",	RESTART_PERMANENT, 5000, 30000, 2500,	   512,	true,  .secrets = { NULL }, .zygote = true },
	{ "submitter",	 "submitter",	RESTART_PERMANENT, 5000, 30000, 2500,	   512,	false, .secrets = { NULL }, .zygote = true },
	{ "door",	 "door",	RESTART_PERMANENT, 5000, 30000, 2500,	   512,	false, .secrets = { NULL }, .zygote = true },
	{ "gateway",	 "gateway",	RESTART_PERMANENT, 8000, 30000, 2500,	   2048, false, .secrets = { "ORCHESTRATOR_SECRET", "SECRET_KEY_BASE" }, .zygote = true },
	{ .name = NULL },
};

const struct child_spec tree_root = {
	.name = "root", .strategy = ONE_FOR_ONE, .max_restarts = 200, .period_ms = 5000,
	.children = children,
};
