/* msgpack_reader.c - msgpack, value by value; see msgpack_reader.h. */
#include "proto/msgpack_reader.h"

#include <errno.h>
#include <string.h>

#include "proto/field.h"

static size_t bytes_left(const struct msgpack_reader *r)
{
	return (size_t)(r->end - r->at);
}

/* Takes a big-endian number of size bytes. */
static bool take_number(struct msgpack_reader *r, size_t size, uint64_t *number)
{
	uint64_t n = 0;

	if (bytes_left(r) < size)
		return false;
	for (size_t i = 0; i < size; i++)
		n = n << 8 | r->at[i];
	r->at += size;
	*number = n;
	return true;
}

/* Takes count bytes as they are. */
static bool take_bytes(struct msgpack_reader *r, struct msgpack_token *t,
		       enum msgpack_token_type type, uint64_t count)
{
	if (bytes_left(r) < count)
		return false;
	*t = (struct msgpack_token){
		.type = type, .text = (const char *)r->at, .count = (size_t)count};
	r->at += count;
	return true;
}

/* Every value takes at least a byte, which unmasks most lies about a container. */
static bool take_container(const struct msgpack_reader *r, struct msgpack_token *t,
			   enum msgpack_token_type type, uint64_t count)
{
	if (bytes_left(r) / (type == TOKEN_MAP ? 2 : 1) < count)
		return false;
	*t = (struct msgpack_token){.type = type, .count = (size_t)count};
	return true;
}

static bool take_unsigned(struct msgpack_reader *r, struct msgpack_token *t, size_t size)
{
	uint64_t n;

	if (!take_number(r, size, &n))
		return false;
	*t = (struct msgpack_token){.type = n > INT64_MAX ? TOKEN_HUGE : TOKEN_INT,
				    .number = (int64_t)n};
	return true;
}

static bool take_signed(struct msgpack_reader *r, struct msgpack_token *t, size_t size)
{
	uint64_t n;
	unsigned unused_bits = 64 - 8 * (unsigned)size;

	if (!take_number(r, size, &n))
		return false;
	*t = (struct msgpack_token){.type = TOKEN_INT,
				    .number = (int64_t)(n << unused_bits) >> unused_bits};
	return true;
}

static bool take_real(struct msgpack_reader *r, struct msgpack_token *t, size_t size)
{
	uint64_t n;
	uint32_t narrow;
	float single;

	if (!take_number(r, size, &n))
		return false;
	*t = (struct msgpack_token){.type = TOKEN_REAL};
	if (size == sizeof(double)) {
		memcpy(&t->real, &n, sizeof(t->real));
		return true;
	}
	narrow = (uint32_t)n;
	memcpy(&single, &narrow, sizeof(single));
	t->real = (double)single;
	return true;
}

/* What follows a length of size bytes; extra bytes are not counted in it. */
static bool take_sized(struct msgpack_reader *r, struct msgpack_token *t,
		       enum msgpack_token_type type, size_t size, uint64_t extra)
{
	uint64_t count;

	if (!take_number(r, size, &count))
		return false;
	if (type == TOKEN_ARRAY || type == TOKEN_MAP)
		return take_container(r, t, type, count);
	return take_bytes(r, t, type, count + extra);
}

/* Takes the value whose first byte is c, from 0xC0 to 0xDF: those with a length or a size. */
static bool take_tagged(struct msgpack_reader *r, struct msgpack_token *t, unsigned c)
{
	switch (c) {
	case 0xC0:
		*t = (struct msgpack_token){.type = TOKEN_NIL};
		return true;
	case 0xC2:
	case 0xC3:
		*t = (struct msgpack_token){.type = TOKEN_BOOL, .truth = c == 0xC3};
		return true;
	case 0xC4:
	case 0xC5:
	case 0xC6:
		return take_sized(r, t, TOKEN_BYTES, (size_t)1 << (c - 0xC4), 0);
	case 0xC7:
	case 0xC8:
	case 0xC9:
		return take_sized(r, t, TOKEN_BYTES, (size_t)1 << (c - 0xC7), 1);
	case 0xCA:
	case 0xCB:
		return take_real(r, t, c == 0xCA ? sizeof(float) : sizeof(double));
	case 0xCC:
	case 0xCD:
	case 0xCE:
	case 0xCF:
		return take_unsigned(r, t, (size_t)1 << (c - 0xCC));
	case 0xD0:
	case 0xD1:
	case 0xD2:
	case 0xD3:
		return take_signed(r, t, (size_t)1 << (c - 0xD0));
	case 0xD4:
	case 0xD5:
	case 0xD6:
	case 0xD7:
	case 0xD8:
		return take_bytes(r, t, TOKEN_BYTES, (UINT64_C(1) << (c - 0xD4)) + 1);
	case 0xD9:
	case 0xDA:
	case 0xDB:
		return take_sized(r, t, TOKEN_STR, (size_t)1 << (c - 0xD9), 0);
	case 0xDC:
	case 0xDD:
		return take_sized(r, t, TOKEN_ARRAY, (size_t)2 << (c - 0xDC), 0);
	case 0xDE:
	case 0xDF:
		return take_sized(r, t, TOKEN_MAP, (size_t)2 << (c - 0xDE), 0);
	default: /* 0xC1 is never used */
		return false;
	}
}

bool msgpack_take(struct msgpack_reader *r, struct msgpack_token *t)
{
	unsigned c;

	if (r->at == r->end)
		return false;
	c = *r->at++;
	if (c <= 0x7F || c >= 0xE0) {
		*t = (struct msgpack_token){.type = TOKEN_INT, .number = (int8_t)c};
		return true;
	}
	if (c <= 0x8F)
		return take_container(r, t, TOKEN_MAP, c & 0x0F);
	if (c <= 0x9F)
		return take_container(r, t, TOKEN_ARRAY, c & 0x0F);
	if (c <= 0xBF)
		return take_bytes(r, t, TOKEN_STR, c & 0x1F);
	return take_tagged(r, t, c);
}

int msgpack_skip(struct msgpack_reader *r, struct msgpack_token t, unsigned depth)
{
	uint64_t left[CODEC_DEPTH_MAX + 1] = {0}; /* values to come, by depth */
	unsigned bottom = depth;

	for (;;) {
		if (t.type == TOKEN_ARRAY || t.type == TOKEN_MAP) {
			if (depth >= CODEC_DEPTH_MAX)
				return -E2BIG;
			left[++depth] = t.type == TOKEN_MAP ? 2 * (uint64_t)t.count : t.count;
		}
		while (depth > bottom && left[depth] == 0)
			depth--;
		if (depth == bottom)
			return 0;
		left[depth]--;
		if (!msgpack_take(r, &t))
			return -EINVAL;
	}
}
