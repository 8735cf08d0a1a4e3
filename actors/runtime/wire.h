/* wire.h - a message on a ZeroMQ socket: two frames of msgpack, the envelope and the body. */
#ifndef ACTORS_RUNTIME_WIRE_H
#define ACTORS_RUNTIME_WIRE_H

#include <czmq.h>

#include "base/arena.h"
#include "proto/catalogue.h"

/* A received message; release it with wire_release(). The envelope's texts live in arena. */
struct wire {
	zframe_t *identity; /* NULL unless the socket is a ROUTER */
	struct envelope envelope;
	zframe_t *body;
	struct arena arena;
};

enum { WIRE_NOTHING = 0, WIRE_MESSAGE = 1, WIRE_MALFORMED = -1 };

/* Takes one message off the socket without waiting. Only after WIRE_MESSAGE is there something to
 * release. */
int wire_receive(zsock_t *socket, bool router, struct wire *wire);
void wire_release(struct wire *wire);

/* Sends without waiting; identity NULL: not a ROUTER. bytes are copied. Returns 0 or a negative
 * errno, -EAGAIN when the peer's queue is full, -EHOSTUNREACH when the peer is gone. */
int wire_send(zsock_t *socket, zframe_t *identity, const struct envelope *envelope,
	      const void *bytes, size_t len);

#endif
