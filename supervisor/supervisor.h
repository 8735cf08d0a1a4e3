/* supervisor.h - runs a supervision tree until it is told to stop, or gives up.
 *
 * The calling process becomes the root supervisor: it blocks its signals and takes them from its
 * loop, it becomes the reaper of orphans below it, and it waits for all its children, so it should
 * have none when it calls. It must have one thread: children die with the thread that forked them.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include "supervisor/spec.h"

struct supervisor_options {
	const struct child_spec *root;
	const char *run_dir;   /* working directory of the children; made if need be */
	const char *libexec;   /* where the programs are */
	unsigned max_restarts; /* the root's intensity, instead of its row's ... */
	int64_t period_ms;     /* ... when this is not 0 */
	unsigned max_children; /* of a dynamic supervisor, instead of its row's; 0: the row's */
};

/* Runs the tree. Returns an exit code: EXIT_OK after an ordered stop, EXIT_GAVE_UP past the root's
 * restart intensity, EXIT_CONFIG when a child refuses its settings during the start,
 * EXIT_UNAVAILABLE when another supervisor holds run_dir, EXIT_WORLD when the system fails us. What
 * went wrong is in the log. */
int supervisor_run(const struct supervisor_options *options);

#endif
