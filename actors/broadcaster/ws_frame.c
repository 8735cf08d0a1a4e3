/* ws_frame.c - a frame, counted by those who still have it to send; see ws_frame.h.
 *
 * The encoding is wslay_frame_send()'s. The queue of wslay's event API, which the receiving side
 * uses, cannot share: it copies each message for each connection.
 */
#include "actors/broadcaster/ws_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#define FRAME_HEADER_MAX 10 /* two bytes, and eight of length; no mask */

static size_t alive_bytes; /* one loop, one thread: no lock */

static struct ws_frame *frame_alloc(size_t room)
{
	struct ws_frame *frame = NULL;

	if (room <= SIZE_MAX - sizeof(*frame))
		frame = malloc(sizeof(*frame) + room);
	if (frame != NULL) {
		frame->refs = 1;
		frame->len = 0;
	}
	return frame;
}

static ssize_t append(const uint8_t *data, size_t len, int flags, void *user)
{
	struct ws_frame *frame = user;

	(void)flags;
	memcpy(frame->bytes + frame->len, data, len);
	frame->len += len;
	return (ssize_t)len;
}

static int encode(struct ws_frame *frame, uint8_t opcode, const void *payload, size_t len)
{
	const struct wslay_frame_callbacks callbacks = {.send_callback = append};
	struct wslay_frame_iocb iocb = {
		.fin = 1,
		.opcode = opcode,
		.payload_length = len,
		.data = payload,
		.data_length = len,
	};
	wslay_frame_context_ptr context;
	ssize_t sent;

	if (wslay_frame_context_init(&context, &callbacks, frame) != 0)
		return -ENOMEM;
	sent = wslay_frame_send(context, &iocb);
	wslay_frame_context_free(context);
	return sent == (ssize_t)len ? 0 : -ENOMEM;
}

int ws_frame_new(uint8_t opcode, const void *payload, size_t len, struct ws_frame **out)
{
	struct ws_frame *frame = NULL;

	if (len <= SIZE_MAX - FRAME_HEADER_MAX)
		frame = frame_alloc(FRAME_HEADER_MAX + len);
	if (frame == NULL)
		return -ENOMEM;
	if (encode(frame, opcode, payload, len) < 0) {
		free(frame);
		return -ENOMEM;
	}
	alive_bytes += frame->len;
	*out = frame;
	return 0;
}

int ws_frame_raw(const void *bytes, size_t len, struct ws_frame **out)
{
	struct ws_frame *frame = frame_alloc(len);

	if (frame == NULL)
		return -ENOMEM;
	(void)append(bytes, len, 0, frame);
	alive_bytes += frame->len;
	*out = frame;
	return 0;
}

struct ws_frame *ws_frame_ref(struct ws_frame *frame)
{
	frame->refs++;
	return frame;
}

void ws_frame_unref(struct ws_frame **frame)
{
	struct ws_frame *f = *frame;

	*frame = NULL;
	if (f == NULL || --f->refs > 0)
		return;
	alive_bytes -= f->len;
	free(f);
}

size_t ws_frames_bytes(void)
{
	return alive_bytes;
}
