/* wire.c - two frames, envelope and body, to and from a ZeroMQ socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/runtime/internal.h"

/* An envelope's texts are short: this bounds what a hostile one can make us allocate. */
#define ENVELOPE_ARENA_BYTES 8192
#define ENVELOPE_MAX_BYTES   2048

/* An identity, an envelope, a body. */
#define FRAMES_MAX	     3

/* Takes the frames of a message; those past FRAMES_MAX are dropped. ZeroMQ has all of them or none.
 * Returns their number, 0 when nothing is there. */
static size_t receive_frames(void *socket, zmq_msg_t frames[FRAMES_MAX])
{
	size_t count = 0;
	zmq_msg_t frame;
	bool more;

	do {
		(void)zmq_msg_init(&frame);
		if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) < 0) {
			(void)zmq_msg_close(&frame);
			return count;
		}
		more = zmq_msg_more(&frame) != 0;
		if (count < FRAMES_MAX)
			(void)zmq_msg_move(&frames[count], &frame);
		(void)zmq_msg_close(&frame);
		count++;
	} while (more);
	return count;
}

static int malformed(struct wire *wire, const char *why)
{
	(void)snprintf(wire->problem.message, sizeof(wire->problem.message), "%s", why);
	return WIRE_MALFORMED;
}

/* The envelope is no good: but whose is it? */
static void parse_ref(zmq_msg_t *head, struct wire *wire)
{
	struct envelope_ref only = {0};

	wire->envelope = (struct envelope){0};
	if (codec_unpack(RECORD_OF(envelope_ref), zmq_msg_data(head), zmq_msg_size(head),
			 &wire->arena, &only, NULL) == 0)
		wire->envelope.ref = only.ref;
}

static int parse(zmq_msg_t frames[FRAMES_MAX], size_t count, bool router, struct wire *wire)
{
	zmq_msg_t *identity = &frames[0];
	zmq_msg_t *head = &frames[router ? 1 : 0];
	int rc;

	if (router) {
		wire->identity.size = zmq_msg_size(identity);
		if (wire->identity.size > sizeof(wire->identity.bytes))
			return malformed(wire, "an identity that is too long");
		memcpy(wire->identity.bytes, zmq_msg_data(identity), wire->identity.size);
	}
	if (zmq_msg_size(head) > ENVELOPE_MAX_BYTES)
		return malformed(wire, "the envelope is over 2048 bytes");
	rc = codec_unpack(RECORD_OF(envelope), zmq_msg_data(head), zmq_msg_size(head), &wire->arena,
			  &wire->envelope, &wire->problem);
	if (rc == 0 && count == (router ? 3u : 2u)) {
		(void)zmq_msg_move(&wire->body, &frames[count - 1]);
		return WIRE_MESSAGE;
	}
	parse_ref(head, wire);
	if (rc == 0)
		return malformed(wire, "a message is two frames: an envelope and a body");
	return WIRE_MALFORMED;
}

int wire_receive(void *socket, bool router, struct wire *wire)
{
	zmq_msg_t frames[FRAMES_MAX];
	size_t count;
	int rc;

	for (size_t i = 0; i < FRAMES_MAX; i++)
		(void)zmq_msg_init(&frames[i]);
	wire->identity.size = 0;
	wire->envelope = (struct envelope){0};
	wire->problem = (struct codec_problem){0};
	(void)zmq_msg_init(&wire->body);
	arena_init(&wire->arena, ENVELOPE_ARENA_BYTES);
	count = receive_frames(socket, frames);
	rc = count == 0 ? WIRE_NOTHING : parse(frames, count, router, wire);
	for (size_t i = 0; i < FRAMES_MAX; i++)
		(void)zmq_msg_close(&frames[i]);
	if (rc != WIRE_MESSAGE)
		wire_release(wire);
	return rc;
}

void wire_release(struct wire *wire)
{
	(void)zmq_msg_close(&wire->body);
	arena_fini(&wire->arena);
}

/* libzmq's functions take no const, and change nothing. */
static zmq_msg_t *body_of(const struct wire *wire)
{
	return (zmq_msg_t *)(uintptr_t)&wire->body; /* NOLINT(performance-no-int-to-ptr) */
}

size_t wire_body_size(const struct wire *wire)
{
	return zmq_msg_size(body_of(wire));
}

int wire_body(const struct wire *wire, const struct record *record, struct arena *arena,
	      void *value, struct codec_problem *problem)
{
	return codec_unpack(record, zmq_msg_data(body_of(wire)), wire_body_size(wire), arena, value,
			    problem);
}

int wire_send(void *socket, const struct wire_identity *identity, const struct envelope *envelope,
	      const void *bytes, size_t len)
{
	void *head = NULL;
	size_t head_len;
	int rc = codec_pack(RECORD_OF(envelope), envelope, &head, &head_len, NULL);

	if (rc < 0)
		return rc;
	/* The first frame decides: once it is taken, ZeroMQ takes the rest of the message too. */
	if (identity != NULL &&
	    zmq_send(socket, identity->bytes, identity->size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		rc = -errno;
	else if (zmq_send(socket, head, head_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		rc = -errno;
	else if (zmq_send(socket, bytes, len, ZMQ_DONTWAIT) < 0)
		rc = -errno;
	free(head);
	return rc;
}
