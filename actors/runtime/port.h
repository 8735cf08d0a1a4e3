/* port.h - a ZeroMQ socket in the actor's loop. For the runtime's own sockets, and for the actors
 * that are a door to the outside.
 */
#ifndef ACTORS_RUNTIME_PORT_H
#define ACTORS_RUNTIME_PORT_H

#include <czmq.h>

#include "actors/runtime/actor.h"

/* ZeroMQ signals a change of state once: its descriptor is edge-triggered, and a send may swallow
 * the signal. So a port that was used is dirty, and is drained again before the loop sleeps. */
struct port {
	zsock_t *socket;
	uv_poll_t poll;
	struct actor *self;
	void (*drain)(struct port *port);
	struct port *next; /* in the list of all open ports */
	bool dirty;
	uint64_t round; /* in which it was drained last; the loop's own */
};

/* Puts socket, which it takes (also on failure), into the loop. drain is called whenever the socket
 * may be readable or writable; it reads until nothing is there, or sets dirty to be called again.
 * It must be called again after each send: whoever sends sets dirty. Returns 0 or -ENOMEM. */
int port_open(struct actor *self, zsock_t *socket, void (*drain)(struct port *port),
	      struct port **out) __attribute__((warn_unused_result));

/* Closes the socket and frees *port, clears it. NULL is fine. */
void port_close(struct port **port);

#endif
