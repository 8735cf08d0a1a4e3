/* json_buffer.h - a growing buffer that JSON is written into.
 *
 * Not for use outside proto/. Where memory runs out the buffer remembers it and takes nothing
 * more; json_buffer_take() tells. Nothing here knows where a comma belongs.
 */
#ifndef PROTO_JSON_BUFFER_H
#define PROTO_JSON_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_buffer {
	char *data; /* not ended by a NUL */
	size_t len;
	size_t room;
	bool failed;
};

/* Appends len bytes as they are. An all-zero buffer is an empty one. */
void json_buffer_raw(struct json_buffer *b, const char *s, size_t len);

/* Appends one byte. */
void json_buffer_char(struct json_buffer *b, char c);

/* Appends s, which is valid UTF-8, as a JSON string with its quotes. */
void json_buffer_text(struct json_buffer *b, const char *s, size_t len);

/* Appends valid JSON as it is, but on one line. */
void json_buffer_value(struct json_buffer *b, const char *json, size_t len);

void json_buffer_int(struct json_buffer *b, int64_t number);

/* Appends the shortest text that reads back as number, which is finite; with a point or an
 * exponent, so that a reader sees a real. */
void json_buffer_real(struct json_buffer *b, double number);

/* Gives the text, ended by a NUL (free() it), and empties the buffer. NULL when memory ran out. */
char *json_buffer_take(struct json_buffer *b);

/* Frees what the buffer holds. */
void json_buffer_fini(struct json_buffer *b);

#endif
