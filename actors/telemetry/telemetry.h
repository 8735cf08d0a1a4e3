/* telemetry.h - the handlers of telemetry that have a file of their own. */
#ifndef ACTORS_TELEMETRY_TELEMETRY_H
#define ACTORS_TELEMETRY_TELEMETRY_H

#include "actors/runtime/actor.h"

/* crashes.c */
void on_tree_crashes(struct actor *self, struct actor_call *call, const void *request);

#endif
