/* ws_frame.h - a WebSocket message encoded once and shared by all the connections that it goes to.
 *
 * A server's frames are not masked, so the same bytes serve everybody: a thousand subscribers of
 * one event cost one encoding, and their queues hold a thousand pointers.
 */
#ifndef BROADCASTER_WS_FRAME_H
#define BROADCASTER_WS_FRAME_H

#include <stddef.h>
#include <stdint.h>

struct ws_frame {
	unsigned refs;
	size_t len;
	uint8_t bytes[]; /* as they go over the wire */
};

/* Encodes one whole message (wslay's opcode). Gives a frame with one reference. Returns 0 or
 * -ENOMEM. */
int ws_frame_new(uint8_t opcode, const void *payload, size_t len, struct ws_frame **out)
	__attribute__((warn_unused_result));

/* A frame of len bytes that are no WebSocket frame, or several: sent as they are. */
int ws_frame_raw(const void *bytes, size_t len, struct ws_frame **out)
	__attribute__((warn_unused_result));

/* One more reference; returns frame. */
struct ws_frame *ws_frame_ref(struct ws_frame *frame);

/* One reference less, and clears *frame. NULL is fine. */
void ws_frame_unref(struct ws_frame **frame);

/* The memory that all frames of this process take together. */
size_t ws_frames_bytes(void);

#endif
