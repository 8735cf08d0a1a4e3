/* test_tree.c - the supervisor over trees made for tests: test_tree TREE.
 *
 * All programs are test_child, but for the tree "actors": there they are real ones, and hh_client is
 * test_actor. RUN_DIR and BEHAVIOUR_DIR come from the environment; MAX_RESTARTS
 * and MAX_SECONDS are the root's intensity, MAX_FETCHERS the number of dynamic children, where set.
 */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "base/log.h"
#include "base/settings.h"
#include "supervisor/supervisor.h"

/* LONG where a test waits for something else, however slow the machine; SHORT where it waits for
 * this very limit. */
#define LONG  20000
#define SHORT 300

/* clang-format off */
#define WORKER(name, restart, stop, start, heartbeat, mb) \
	{ name, "test_child", restart, stop, start, heartbeat, mb, false, .secrets = { NULL } }
#define PLAIN(name) WORKER(name, RESTART_PERMANENT, LONG, LONG, HEARTBEAT_OFF, 0)
#define SIGNIFICANT(name, restart) \
	{ name, "test_child", restart, LONG, LONG, HEARTBEAT_OFF, 0, false, .secrets = { NULL }, .significant = true }
#define PROBE { "probe", "test_child", RESTART_PERMANENT, LONG, LONG, HEARTBEAT_OFF, 0, true, .secrets = { NULL } }
/* Its program cannot be the zygote that its row promises. */
#define NO_ZYGOTE(name) \
	{ name, "test_child", RESTART_PERMANENT, LONG, LONG, HEARTBEAT_OFF, 0, false, .secrets = { NULL }, .zygote = true }
#define END { .name = NULL }
#define ROWS (const struct child_spec[])

/* The real program, seen from this one's folder. */
#define REAL(name, control) \
	{ name, "../../libexec/" name, RESTART_PERMANENT, LONG, LONG, LONG, 0, control, .secrets = { NULL }, .zygote = true }

static const struct child_spec dynamic_worker =
	WORKER("w", RESTART_TRANSIENT, LONG, LONG, HEARTBEAT_OFF, 0);
static const struct child_spec watched_worker =
	WORKER("w", RESTART_TRANSIENT, LONG, LONG, 2500, 64);

/* Each is a root. */
static const struct child_spec trees[] = {
	{ .name = "one_for_one", .strategy = ONE_FOR_ONE, .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PROBE, PLAIN("a"), PLAIN("b"), PLAIN("c"), END } },
	{ .name = "one_for_all", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PROBE,
		{ .name = "group", .strategy = ONE_FOR_ALL, .max_restarts = 100, .period_ms = 60000,
		  .children = ROWS{ PLAIN("a"), PLAIN("b"),
			WORKER("t", RESTART_TEMPORARY, LONG, LONG, HEARTBEAT_OFF, 0), PLAIN("c"), END } },
		PLAIN("z"), END } },
	{ .name = "rest_for_one", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PROBE,
		{ .name = "group", .strategy = REST_FOR_ONE, .max_restarts = 100, .period_ms = 60000,
		  .children = ROWS{ PLAIN("a"), PLAIN("b"), PLAIN("c"), END } },
		PLAIN("z"), END } },
	{ .name = "types", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PROBE,
		WORKER("permanent", RESTART_PERMANENT, LONG, LONG, 2500, 64),
		WORKER("transient", RESTART_TRANSIENT, LONG, LONG, 2500, 64),
		WORKER("temporary", RESTART_TEMPORARY, LONG, LONG, 2500, 64), END } },
	{ .name = "nested", .max_restarts = 1, .period_ms = 60000,
	  .children = ROWS{ PROBE,
		{ .name = "inner", .strategy = ONE_FOR_ONE, .max_restarts = 1, .period_ms = 60000,
		  .children = ROWS{ PLAIN("a"), PLAIN("b"), END } },
		PLAIN("z"), END } },
	{ .name = "watched", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PROBE, WORKER("a", RESTART_PERMANENT, LONG, LONG, 2000, 0), PLAIN("b"), END } },
	{ .name = "slow", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PROBE, WORKER("a", RESTART_PERMANENT, LONG, SHORT, HEARTBEAT_OFF, 0),
		PLAIN("b"), END } },
	{ .name = "stubborn", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ WORKER("a", RESTART_PERMANENT, SHORT, LONG, HEARTBEAT_OFF, 0),
		WORKER("brutal", RESTART_PERMANENT, SHUTDOWN_BRUTAL_KILL, LONG, HEARTBEAT_OFF, 0),
		WORKER("patient", RESTART_PERMANENT, SHUTDOWN_INFINITY, LONG, HEARTBEAT_OFF, 0), END } },
	{ .name = "stubborn_too", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PROBE, WORKER("a", RESTART_PERMANENT, SHORT, LONG, HEARTBEAT_OFF, 0), END } },
	{ .name = "narrow", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PROBE, WORKER("a", RESTART_PERMANENT, LONG, LONG, HEARTBEAT_OFF, 64), END } },
	{ .name = "secretive", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ { "a", "test_child", RESTART_PERMANENT, LONG, LONG, HEARTBEAT_OFF, 0, false,
		.secrets = { "DATABASE_URL" } }, PLAIN("b"), END } },
	{ .name = "missing", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ { "a", "no_such_program", RESTART_PERMANENT, LONG, LONG, HEARTBEAT_OFF, 0, false,
		.secrets = { NULL } }, END } },
	{ .name = "dynamic", .max_restarts = 2, .period_ms = 60000,
	  .children = ROWS{ PROBE,
		{ .name = "workers", .template = &dynamic_worker, .max_restarts = 2, .period_ms = 60000,
		  .max_failed_starts = 3, .max_children = 4, .max_starting = 2 },
		PLAIN("z"), END } },
	{ .name = "many", .max_restarts = 10, .period_ms = 60000,
	  .children = ROWS{ PROBE,
		{ .name = "workers", .template = &watched_worker, .max_restarts = 2, .period_ms = 60000,
		  .max_failed_starts = 3, .max_children = 1000, .max_starting = 32 }, END } },
	{ .name = "actors", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ REAL("telemetry", true),
		{ "hh_client", "test_actor", RESTART_PERMANENT, LONG, LONG, 2000, 0, false, .secrets = { NULL }, .zygote = true },
		REAL("door", false),
		{ .name = "group", .strategy = ONE_FOR_ONE, .max_restarts = 100, .period_ms = 60000,
		  .children = ROWS{ NO_ZYGOTE("g"), END } },
		{ .name = "workers", .template = &dynamic_worker, .max_restarts = 2, .period_ms = 60000,
		  .max_failed_starts = 3, .max_children = 4, .max_starting = 2 }, END } },
	{ .name = "inside", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{
		{ .name = "group", .strategy = ONE_FOR_ONE, .max_restarts = 100, .period_ms = 60000,
		  .children = ROWS{ PROBE, PLAIN("a"), END } }, END } },
	{ .name = "any_significant", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PROBE,
		{ .name = "inner", .restart = RESTART_TRANSIENT, .auto_shutdown = AUTO_SHUTDOWN_ANY,
		  .max_restarts = 100, .period_ms = 60000,
		  .children = ROWS{ WORKER("plain", RESTART_TRANSIENT, LONG, LONG, HEARTBEAT_OFF, 0),
			SIGNIFICANT("transient", RESTART_TRANSIENT), SIGNIFICANT("temporary", RESTART_TEMPORARY), END } },
		PLAIN("z"), END } },
	{ .name = "all_significant", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PROBE,
		{ .name = "inner", .auto_shutdown = AUTO_SHUTDOWN_ALL, .max_restarts = 100, .period_ms = 60000,
		  .children = ROWS{ PLAIN("plain"),
			SIGNIFICANT("transient", RESTART_TRANSIENT), SIGNIFICANT("temporary", RESTART_TEMPORARY), END } },
		END } },
	{ .name = "root_significant", .auto_shutdown = AUTO_SHUTDOWN_ANY, .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ PLAIN("a"), SIGNIFICANT("job", RESTART_TRANSIENT), END } },
	{ .name = "significant_permanent", .auto_shutdown = AUTO_SHUTDOWN_ANY, .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ SIGNIFICANT("job", RESTART_PERMANENT), END } },
	{ .name = "significant_never", .max_restarts = 100, .period_ms = 60000,
	  .children = ROWS{ SIGNIFICANT("job", RESTART_TRANSIENT), END } },
};
/* clang-format on */

static const struct child_spec *tree_named(const char *name)
{
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++)
		if (strcmp(trees[i].name, name) == 0)
			return &trees[i];
	return NULL;
}

static unsigned number_from(const char *variable)
{
	const char *value = getenv(variable);

	return value == NULL ? 0 : (unsigned)strtoul(value, NULL, 10);
}

int main(int argc, char **argv)
{
	struct supervisor_options options = {.root = argc == 2 ? tree_named(argv[1]) : NULL};
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (options.root == NULL || len < 0)
		return EXIT_USAGE;
	self[len] = '\0';
	options.run_dir = setting_text(RUN_DIR);
	options.libexec = dirname(self);
	options.max_restarts = number_from("MAX_RESTARTS");
	options.period_ms = (int64_t)number_from("MAX_SECONDS") * 1000;
	options.max_children = number_from("MAX_FETCHERS");
	log_open("supervisor", 0);
	log_set_level(LEVEL_DEBUG);
	return supervisor_run(&options);
}
