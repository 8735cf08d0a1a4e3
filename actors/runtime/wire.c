/* wire.c - two frames, envelope and body, to and from a ZeroMQ socket. */
#include "actors/runtime/internal.h"

/* An envelope's texts are short: this bounds what a hostile one can make us allocate. */
#define ENVELOPE_ARENA_BYTES 8192
#define ENVELOPE_MAX_BYTES   2048

static int wire_parse(zmsg_t *msg, bool router, struct wire *wire)
{
	zframe_t *head = NULL;
	int rc = WIRE_MALFORMED;

	if (zmsg_size(msg) != (router ? 3u : 2u))
		return rc;
	if (router)
		wire->identity = zmsg_pop(msg);
	head = zmsg_pop(msg);
	wire->body = zmsg_pop(msg);
	if (zframe_size(head) <= ENVELOPE_MAX_BYTES &&
	    codec_unpack(RECORD_OF(envelope), zframe_data(head), zframe_size(head), &wire->arena,
			 &wire->envelope, NULL) == 0)
		rc = WIRE_MESSAGE;
	zframe_destroy(&head);
	return rc;
}

int wire_receive(zsock_t *socket, bool router, struct wire *wire)
{
	zmsg_t *msg;
	int rc;

	*wire = (struct wire){0};
	arena_init(&wire->arena, ENVELOPE_ARENA_BYTES);
	if ((zsock_events(socket) & ZMQ_POLLIN) == 0)
		return WIRE_NOTHING;
	msg = zmsg_recv(socket);
	if (msg == NULL)
		return WIRE_NOTHING;
	rc = wire_parse(msg, router, wire);
	zmsg_destroy(&msg);
	if (rc == WIRE_MALFORMED)
		wire_release(wire);
	return rc;
}

void wire_release(struct wire *wire)
{
	zframe_destroy(&wire->identity);
	zframe_destroy(&wire->body);
	arena_fini(&wire->arena);
}

int wire_send(zsock_t *socket, zframe_t *identity, const struct envelope *envelope,
	      const void *bytes, size_t len)
{
	void *raw = zsock_resolve(socket);
	void *head = NULL;
	size_t head_len;
	int rc = codec_pack(RECORD_OF(envelope), envelope, &head, &head_len, NULL);

	if (rc < 0)
		return rc;
	/* The first frame decides: once it is taken, ZeroMQ takes the rest of the message too. */
	if (identity != NULL && zmq_send(raw, zframe_data(identity), zframe_size(identity),
					 ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		rc = -errno;
	else if (zmq_send(raw, head, head_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		rc = -errno;
	else if (zmq_send(raw, bytes, len, ZMQ_DONTWAIT) < 0)
		rc = -errno;
	free(head);
	return rc;
}
