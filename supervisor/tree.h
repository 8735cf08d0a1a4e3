/* tree.h - the product's supervision tree. */
#ifndef SUPERVISOR_TREE_H
#define SUPERVISOR_TREE_H

#include "supervisor/spec.h"

/* The root. Its intensity comes from the settings MAX_RESTARTS and MAX_SECONDS, the number of
 * fetchers from MAX_FETCHERS (struct supervisor_options). */
extern const struct child_spec tree_root;

#endif
