/* port.h - a ZeroMQ socket in the actor's loop. For the runtime's own sockets, and for the actors
 * that are a door to the outside. libzmq alone: czmq would bring a dozen libraries into each actor.
 */
#ifndef ACTORS_RUNTIME_PORT_H
#define ACTORS_RUNTIME_PORT_H

#include <zmq.h>

#include "actors/runtime/actor.h"

/* ZeroMQ signals a change of state once: its descriptor is edge-triggered, and a send may swallow
 * the signal. So a port that was used is dirty, and is drained again before the loop sleeps. */
struct port {
	void *socket; /* ZeroMQ's */
	uv_poll_t poll;
	struct actor *self;
	void (*drain)(struct port *port);
	struct port *next; /* in the list of all open ports */
	bool dirty;
	uint64_t round; /* in which it was drained last; the loop's own */
};

/* An option of a new socket: zmq_setsockopt() with an int. */
struct port_option {
	int name; /* 0 ends a list */
	int value;
};

/* Makes a socket with these options. Returns it or NULL with errno. zmq_close() it, or give it to
 * port_open(). */
void *port_socket(struct actor *self, int type, const struct port_option *options);

/* Puts socket, which it takes (also on failure), into the loop. drain is called whenever the socket
 * may be readable or writable; it reads until nothing is there, or sets dirty to be called again.
 * It must be called again after each send: whoever sends sets dirty. Returns 0 or -ENOMEM. */
int port_open(struct actor *self, void *socket, void (*drain)(struct port *port), struct port **out)
	__attribute__((warn_unused_result));

/* What can be done now: ZMQ_POLLIN, ZMQ_POLLOUT. Takes the signal. */
int port_events(const struct port *port);

/* Closes the socket and frees *port, clears it. NULL is fine. */
void port_close(struct port **port);

#endif
