/* actors.h - the actors of the tree, in its start order. Each spec stands at the end of its actor's
 * file; supervisor/tree.c says how each is supervised. */
#ifndef ACTORS_ACTORS_H
#define ACTORS_ACTORS_H

#include "actors/runtime/actor.h"

extern const struct actor_spec store_spec;
extern const struct actor_spec telemetry_spec;
extern const struct actor_spec rate_limiter_spec;
extern const struct actor_spec hh_client_spec;
extern const struct actor_spec broadcaster_spec;
extern const struct actor_spec fetcher_spec;
extern const struct actor_spec scheduler_spec;
extern const struct actor_spec submitter_spec;
extern const struct actor_spec door_spec;
extern const struct actor_spec gateway_spec;

#endif
