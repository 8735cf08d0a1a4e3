/* own_tree.c - supervisor/ as a library, for a tree of one's own: a clock that must always run, and
 * workers that are made on request. Build it with add_executable() and link ugtj_supervisor; it runs
 * until SIGTERM. The children are this program too: the supervisor tells them their name. */
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "base/log.h"
#include "proto/control.h"
#include "supervisor/supervisor.h"

/* clang-format off */
static const struct child_spec worker =
	{ "worker", "own_tree", RESTART_TRANSIENT, 1000, 5000, 2500, 64, false, .secrets = { NULL } };

static const struct child_spec children[] = {
	{ "clock", "own_tree", RESTART_PERMANENT, 1000, 5000, 2500, 64, true, .secrets = { NULL } },
	{ "workers", .template = &worker, .max_restarts = 3, .period_ms = 5000, .max_children = 10, .max_starting = 2 },
	{ .name = NULL },
};

static const struct child_spec root =
	{ "root", .strategy = ONE_FOR_ONE, .max_restarts = 3, .period_ms = 5000, .children = children };
/* clang-format on */

static void say(enum control_type type, const char *name)
{
	struct control_packet p = {.version = CONTROL_VERSION, .type = (uint16_t)type};

	(void)snprintf(p.name, sizeof(p.name), "%s", name);
	(void)send(CONTROL_FD, &p, sizeof(p), MSG_NOSIGNAL);
}

/* What a child owes its supervisor: READY, heartbeats, and its end when the supervisor is gone. */
static int live(const char *name)
{
	struct pollfd supervisor = {.fd = CONTROL_FD, .events = POLLIN};
	struct control_packet p = {.type = CONTROL_READY};

	say(CONTROL_READY, "");
	if (name[0] == 'c') /* the clock wants a worker */
		say(CONTROL_START_CHILD, "worker:1");
	while (poll(&supervisor, 1, CONTROL_HEARTBEAT_MS) == 0 ||
	       recv(CONTROL_FD, &p, sizeof(p), 0) > 0)
		say(CONTROL_HEARTBEAT, "");
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	struct supervisor_options options = {.root = &root};

	if (getenv(CONTROL_ENV_NAME) != NULL)
		return live(getenv(CONTROL_ENV_NAME));
	if (argc != 2)
		return EXIT_USAGE; /* own_tree RUN_DIR */
	options.run_dir = argv[1];
	options.libexec = dirname(realpath(argv[0], NULL));
	log_open("own_tree", 0);
	return supervisor_run(&options);
}
