/* msgpack_reader.h - takes msgpack values from bytes, one by one, believing no length that they
 * claim.
 *
 * Not for use outside proto/. Allocates nothing: texts point into the bytes.
 */
#ifndef PROTO_MSGPACK_READER_H
#define PROTO_MSGPACK_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct msgpack_reader {
	const unsigned char *at;
	const unsigned char *end;
};

enum msgpack_token_type {
	TOKEN_NIL,
	TOKEN_BOOL,
	TOKEN_INT,  /* fits int64_t */
	TOKEN_HUGE, /* a whole number above INT64_MAX */
	TOKEN_REAL,
	TOKEN_STR,
	TOKEN_BYTES, /* bin or ext, of which records have none */
	TOKEN_ARRAY,
	TOKEN_MAP,
};

struct msgpack_token {
	enum msgpack_token_type type;
	bool truth;
	int64_t number;
	double real;
	const char *text;
	size_t count; /* bytes of text, items of an array, pairs of a map */
};

/* Takes the next value, or the head of the next container, whose contents follow. A container's
 * count is no more than what can be in the bytes that are left. False when it is malformed or cut.
 */
bool msgpack_take(struct msgpack_reader *r, struct msgpack_token *t);

/* Passes over the value that t is or begins, which stands depth levels deep. Returns 0, -EINVAL
 * when it is malformed or cut, or -E2BIG when it is nested deeper than CODEC_DEPTH_MAX. */
int msgpack_skip(struct msgpack_reader *r, struct msgpack_token t, unsigned depth);

#endif
