/* restart.h - waits for a rolling restart to end. */
#ifndef CLI_RESTART_H
#define CLI_RESTART_H

#include <jansson.h>
#include <stdbool.h>

/* Waits until all children of reply (a tree_restarting) are up in a later generation or gone, and
 * says of each when it is, unless quiet. Returns an exit code: EXIT_UNAVAILABLE when one fails to
 * start, or nothing happens for long; what is wrong is on standard error. */
int restart_follow(const json_t *reply, bool quiet);

#endif
