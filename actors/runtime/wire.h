/* wire.h - a message on a ZeroMQ socket: two frames of msgpack, the envelope and the body. */
#ifndef ACTORS_RUNTIME_WIRE_H
#define ACTORS_RUNTIME_WIRE_H

#include <zmq.h>

#include "base/arena.h"
#include "proto/catalogue.h"
#include "proto/codec.h"

/* To whom an answer goes: what ZeroMQ calls a peer of a ROUTER. */
struct wire_identity {
	size_t size; /* 0: the socket is no ROUTER */
	unsigned char bytes[255];
};

/* A received message; release it with wire_release(). The envelope's texts live in arena. */
struct wire {
	struct wire_identity identity;
	struct envelope envelope; /* malformed: only its ref, 0 where that could not be read */
	zmq_msg_t body;
	struct arena arena;
	struct codec_problem problem; /* malformed: why */
};

enum { WIRE_NOTHING = 0, WIRE_MESSAGE = 1, WIRE_MALFORMED = -1 };

/* Takes one message off the socket without waiting. Only after WIRE_MESSAGE is there something to
 * release; after WIRE_MALFORMED identity, envelope.ref and problem tell whom to answer what. */
int wire_receive(void *socket, bool router, struct wire *wire);
void wire_release(struct wire *wire);

/* Decodes the body: codec_unpack(). */
int wire_body(const struct wire *wire, const struct record *record, struct arena *arena,
	      void *value, struct codec_problem *problem);
size_t wire_body_size(const struct wire *wire);

/* Sends without waiting; identity NULL: not a ROUTER. bytes are copied. Returns 0 or a negative
 * errno, -EAGAIN when the peer's queue is full, -EHOSTUNREACH when the peer is gone. */
int wire_send(void *socket, const struct wire_identity *identity, const struct envelope *envelope,
	      const void *bytes, size_t len);

#endif
