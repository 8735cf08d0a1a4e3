/* codec_msgpack.c - records to msgpack maps and back.
 *
 * Packing is msgpack-c's. Unpacking walks the bytes itself, straight into the struct: msgpack-c's
 * unpacker would first build a tree of objects, 24 bytes for each byte of a hostile message. Every
 * claimed length is checked against the bytes that are left before anything is made of it, and all
 * memory comes from the arena.
 *
 * A known field that appears twice is refused; an unknown one is skipped, whatever it holds.
 */
/* What most messages fit in; the buffer doubles. msgpack-c's default of 8 kB is mostly waste. */
#define MSGPACK_SBUFFER_INIT_SIZE 512

#include <errno.h>
#include <inttypes.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/field.h"

/* --- packing --- */

static int pack_record(msgpack_packer *pk, const struct record *record, const void *value,
		       unsigned depth, struct codec_problem *problem);

static int pack_text(msgpack_packer *pk, const struct field *field, const char *s,
		     struct codec_problem *problem)
{
	size_t len = strlen(s);
	int rc = field_check_text(field, s, len, problem);

	if (rc < 0)
		return rc;
	return msgpack_pack_str_with_body(pk, s, len) < 0 ? problem_no_memory(problem) : 0;
}

static int pack_strs(msgpack_packer *pk, const struct field *field, const struct strs *strs,
		     struct codec_problem *problem)
{
	int rc = field_check_count(field, strs->count, problem);

	if (rc < 0)
		return rc;
	if (msgpack_pack_array(pk, strs->count) < 0)
		return problem_no_memory(problem);
	for (size_t i = 0; i < strs->count; i++) {
		const char *s = strs->items[i];
		size_t len = s == NULL ? 0 : strlen(s);

		rc = field_check_item(field, i, s, len, problem);
		if (rc < 0)
			return rc;
		if (msgpack_pack_str_with_body(pk, s, len) < 0)
			return problem_no_memory(problem);
	}
	return 0;
}

static int pack_list(msgpack_packer *pk, const struct field *field, struct list list,
		     unsigned depth, struct codec_problem *problem)
{
	const char *item = list.items;
	int rc = field_check_count(field, list.count, problem);

	if (rc < 0)
		return rc;
	if (msgpack_pack_array(pk, list.count) < 0)
		return problem_no_memory(problem);
	for (size_t i = 0; i < list.count; i++, item += field->record->size) {
		rc = pack_record(pk, field->record, item, depth + 2, problem);
		if (rc == -EINVAL)
			problem_within_item(problem, field, i);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int pack_int(msgpack_packer *pk, const struct field *field, int64_t number,
		    struct codec_problem *problem)
{
	int rc = field_check_int(field, number, problem);

	if (rc < 0)
		return rc;
	return msgpack_pack_int64(pk, number) < 0 ? problem_no_memory(problem) : 0;
}

static int pack_real(msgpack_packer *pk, const struct field *field, double number,
		     struct codec_problem *problem)
{
	int rc = field_check_real(field, number, problem);

	if (rc < 0)
		return rc;
	return msgpack_pack_double(pk, number) < 0 ? problem_no_memory(problem) : 0;
}

static int pack_obj(msgpack_packer *pk, const struct field *field, const void *nested,
		    unsigned depth, struct codec_problem *problem)
{
	int rc = pack_record(pk, field->record, nested, depth + 1, problem);

	if (rc == -EINVAL)
		problem_within(problem, field);
	return rc;
}

static int pack_field(msgpack_packer *pk, const struct field *field, const void *value,
		      unsigned depth, struct codec_problem *problem)
{
	bool truth;

	switch (field->type) {
	case FIELD_STR:
	case FIELD_JSON:
		return pack_text(pk, field, field_text(field, value), problem);
	case FIELD_INT:
	case FIELD_OPT_INT:
		return pack_int(pk, field, field_int(field, value), problem);
	case FIELD_REAL:
		return pack_real(pk, field, field_real(field, value), problem);
	case FIELD_BOOL:
		truth = field_bool(field, value);
		return (truth ? msgpack_pack_true(pk) : msgpack_pack_false(pk)) < 0
			       ? problem_no_memory(problem)
			       : 0;
	case FIELD_STRS:
		return pack_strs(pk, field, field_strs(field, value), problem);
	case FIELD_OBJ:
		return pack_obj(pk, field, field_obj(field, value), depth, problem);
	case FIELD_LIST:
		return pack_list(pk, field, field_list(field, value), depth, problem);
	}
	return -EINVAL;
}

/* The number of fields that are there; -EINVAL when a required one is not. */
static int count_fields(const struct field *fields, const void *value, size_t *count,
			struct codec_problem *problem)
{
	*count = 0;
	for (const struct field *f = fields; f->name != NULL; f++) {
		if (!field_is_absent(f, value))
			(*count)++;
		else if (f->need == REQ)
			return problem_set(problem, f, "is required");
	}
	return 0;
}

static int pack_record(msgpack_packer *pk, const struct record *record, const void *value,
		       unsigned depth, struct codec_problem *problem)
{
	const struct field *fields = record->fields();
	size_t count;
	int rc = count_fields(fields, value, &count, problem);

	if (rc < 0)
		return rc;
	if (depth > CODEC_DEPTH_MAX)
		return problem_set(problem, NULL, "nested too deep");
	if (msgpack_pack_map(pk, count) < 0)
		return problem_no_memory(problem);
	for (const struct field *f = fields; f->name != NULL && rc == 0; f++) {
		if (field_is_absent(f, value))
			continue;
		if (msgpack_pack_str_with_body(pk, f->name, f->name_len) < 0)
			return problem_no_memory(problem);
		rc = pack_field(pk, f, value, depth, problem);
	}
	return rc;
}

int codec_pack(const struct record *record, const void *value, void **bytes, size_t *len,
	       struct codec_problem *problem)
{
	struct codec_problem unwanted;
	msgpack_sbuffer buffer;
	msgpack_packer pk;
	int rc;

	if (problem == NULL)
		problem = &unwanted;
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
	rc = pack_record(&pk, record, value, 1, problem);
	if (rc == 0 && buffer.size > CODEC_MESSAGE_MAX_BYTES)
		rc = problem_set(problem, NULL, "larger than %zu bytes", CODEC_MESSAGE_MAX_BYTES);
	if (rc < 0)
		goto out;
	*len = buffer.size;
	*bytes = msgpack_sbuffer_release(&buffer); /* handed over */
out:
	msgpack_sbuffer_destroy(&buffer);
	return rc;
}

/* --- unpacking --- */

struct reader {
	const unsigned char *at;
	const unsigned char *end;
	struct arena *arena;
	struct codec_problem *problem;
};

enum token_type {
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

/* A value, or the head of a container, whose contents follow. */
struct token {
	enum token_type type;
	bool truth;
	int64_t number;
	double real;
	const char *text;
	size_t count; /* bytes of text, items of an array, pairs of a map */
};

static int malformed(const struct reader *r)
{
	return problem_set(r->problem, NULL, "is not valid msgpack, or ends too early");
}

static size_t bytes_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* Takes a big-endian number of size bytes. */
static bool take_number(struct reader *r, size_t size, uint64_t *number)
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
static bool take_bytes(struct reader *r, struct token *t, enum token_type type, uint64_t count)
{
	if (bytes_left(r) < count)
		return false;
	*t = (struct token){.type = type, .text = (const char *)r->at, .count = (size_t)count};
	r->at += count;
	return true;
}

/* Every value takes at least a byte, which unmasks most lies about a container. */
static bool take_container(const struct reader *r, struct token *t, enum token_type type,
			   uint64_t count)
{
	if (bytes_left(r) / (type == TOKEN_MAP ? 2 : 1) < count)
		return false;
	*t = (struct token){.type = type, .count = (size_t)count};
	return true;
}

static bool take_unsigned(struct reader *r, struct token *t, size_t size)
{
	uint64_t n;

	if (!take_number(r, size, &n))
		return false;
	*t = (struct token){.type = n > INT64_MAX ? TOKEN_HUGE : TOKEN_INT, .number = (int64_t)n};
	return true;
}

static bool take_signed(struct reader *r, struct token *t, size_t size)
{
	uint64_t n;
	unsigned unused_bits = 64 - 8 * (unsigned)size;

	if (!take_number(r, size, &n))
		return false;
	*t = (struct token){.type = TOKEN_INT,
			    .number = (int64_t)(n << unused_bits) >> unused_bits};
	return true;
}

static bool take_real(struct reader *r, struct token *t, size_t size)
{
	uint64_t n;
	uint32_t narrow;
	float single;

	if (!take_number(r, size, &n))
		return false;
	*t = (struct token){.type = TOKEN_REAL};
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
static bool take_sized(struct reader *r, struct token *t, enum token_type type, size_t size,
		       uint64_t extra)
{
	uint64_t count;

	if (!take_number(r, size, &count))
		return false;
	if (type == TOKEN_ARRAY || type == TOKEN_MAP)
		return take_container(r, t, type, count);
	return take_bytes(r, t, type, count + extra);
}

/* Takes the value whose first byte is c, from 0xC0 to 0xDF: those with a length or a size. */
static bool take_tagged(struct reader *r, struct token *t, unsigned c)
{
	switch (c) {
	case 0xC0:
		*t = (struct token){.type = TOKEN_NIL};
		return true;
	case 0xC2:
	case 0xC3:
		*t = (struct token){.type = TOKEN_BOOL, .truth = c == 0xC3};
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

/* Takes the next value, or the head of the next container. */
static bool take(struct reader *r, struct token *t)
{
	unsigned c;

	if (r->at == r->end)
		return false;
	c = *r->at++;
	if (c <= 0x7F || c >= 0xE0) {
		*t = (struct token){.type = TOKEN_INT, .number = (int8_t)c};
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

/* Passes over the value that t is or begins. */
static int skip(struct reader *r, struct token t, unsigned depth)
{
	uint64_t left[CODEC_DEPTH_MAX + 1] = {0}; /* values to come, by depth */
	unsigned bottom = depth;

	for (;;) {
		if (t.type == TOKEN_ARRAY || t.type == TOKEN_MAP) {
			if (depth == CODEC_DEPTH_MAX)
				return problem_set(r->problem, NULL, "nested too deep");
			left[++depth] = t.type == TOKEN_MAP ? 2 * (uint64_t)t.count : t.count;
		}
		while (depth > bottom && left[depth] == 0)
			depth--;
		if (depth == bottom)
			return 0;
		left[depth]--;
		if (!take(r, &t))
			return malformed(r);
	}
}

static int unpack_record(struct reader *r, const struct record *record, struct token head,
			 void *value, unsigned depth);

/* One text is taken as a list of one. */
static int unpack_strs(struct reader *r, const struct field *field, struct token t, void *value)
{
	bool alone = t.type == TOKEN_STR;
	size_t count = alone ? 1 : t.count;
	const char **items;
	int rc;

	if (!alone && t.type != TOKEN_ARRAY)
		return problem_set(r->problem, field, "must be a list of texts");
	rc = field_open_strs(field, value, count, &items, r->arena, r->problem);
	for (size_t i = 0; i < count && rc == 0; i++) {
		if (!alone && !take(r, &t))
			return malformed(r);
		if (t.type != TOKEN_STR)
			return problem_set_item(r->problem, field, i, "must be text");
		rc = field_set_item(field, items, i, t.text, t.count, r->arena, r->problem);
	}
	return rc;
}

static int unpack_list(struct reader *r, const struct field *field, struct token t, void *value,
		       unsigned depth)
{
	size_t count = t.count;
	void *items;
	int rc;

	if (t.type != TOKEN_ARRAY)
		return problem_set(r->problem, field, "must be a list");
	rc = field_open_list(field, value, count, &items, r->arena, r->problem);
	for (size_t i = 0; i < count && rc == 0; i++) {
		if (!take(r, &t))
			return malformed(r);
		rc = unpack_record(r, field->record, t, (char *)items + i * field->record->size,
				   depth + 2);
		if (rc == -EINVAL)
			problem_within_item(r->problem, field, i);
	}
	return rc;
}

static int unpack_obj(struct reader *r, const struct field *field, struct token t, void *value,
		      unsigned depth)
{
	void *nested;
	int rc = field_open_obj(field, value, &nested, r->arena, r->problem);

	if (rc < 0)
		return rc;
	rc = unpack_record(r, field->record, t, nested, depth + 1);
	if (rc == -EINVAL)
		problem_within(r->problem, field);
	return rc;
}

static int unpack_number(struct reader *r, const struct field *field, struct token t, void *value)
{
	if (t.type == TOKEN_REAL)
		return field_set_real(field, value, t.real, r->problem);
	if (t.type == TOKEN_HUGE && field->type == FIELD_REAL)
		return field_set_real(field, value, (double)(uint64_t)t.number, r->problem);
	if (t.type == TOKEN_HUGE)
		return problem_set(r->problem, field, "more than %" PRId64, field->max);
	if (t.type != TOKEN_INT)
		return problem_set(r->problem, field, "must be a number");
	if (field->type == FIELD_REAL)
		return field_set_real(field, value, (double)t.number, r->problem);
	return field_set_int(field, value, t.number, r->problem);
}

static int unpack_field(struct reader *r, const struct field *field, struct token t, void *value,
			unsigned depth)
{
	switch (field->type) {
	case FIELD_STR:
	case FIELD_JSON:
		if (t.type != TOKEN_STR)
			return problem_set(r->problem, field, "must be text");
		return field_set_text(field, value, t.text, t.count, r->arena, r->problem);
	case FIELD_INT:
	case FIELD_OPT_INT:
	case FIELD_REAL:
		return unpack_number(r, field, t, value);
	case FIELD_BOOL:
		if (t.type != TOKEN_BOOL)
			return problem_set(r->problem, field, "must be true or false");
		field_set_bool(field, value, t.truth);
		return 0;
	case FIELD_STRS:
		return unpack_strs(r, field, t, value);
	case FIELD_OBJ:
		return unpack_obj(r, field, t, value, depth);
	case FIELD_LIST:
		return unpack_list(r, field, t, value, depth);
	}
	return -EINVAL;
}

/* Reads the value of the pair whose key is key. */
static int unpack_pair(struct reader *r, struct field_cursor *cursor, struct token key, void *value,
		       unsigned depth)
{
	const struct field *field;
	struct token t;
	int rc;

	if (!take(r, &t))
		return malformed(r);
	field = field_find(cursor, key.text, key.count);
	if (field == NULL)
		return skip(r, t, depth);
	rc = field_mark(cursor, field, r->problem);
	if (rc < 0)
		return rc;
	if (t.type == TOKEN_NIL)
		return field->need == REQ ? problem_set(r->problem, field, "is required") : 0;
	return unpack_field(r, field, t, value, depth);
}

/* value is all zero. */
static int unpack_record(struct reader *r, const struct record *record, struct token head,
			 void *value, unsigned depth)
{
	struct field_cursor cursor;

	if (head.type != TOKEN_MAP)
		return problem_set(r->problem, NULL, "must be a map");
	if (depth > CODEC_DEPTH_MAX)
		return problem_set(r->problem, NULL, "nested too deep");
	field_cursor_init(&cursor, record);
	for (size_t i = 0; i < head.count; i++) {
		struct token key;
		int rc;

		if (!take(r, &key))
			return malformed(r);
		if (key.type != TOKEN_STR)
			return problem_set(r->problem, NULL, "has a key that is not text");
		rc = unpack_pair(r, &cursor, key, value, depth);
		if (rc < 0)
			return rc;
	}
	return field_require_all(&cursor, r->problem);
}

int codec_unpack(const struct record *record, const void *bytes, size_t len, struct arena *arena,
		 void *value, struct codec_problem *problem)
{
	struct codec_problem unwanted;
	struct reader r = {.at = bytes, .arena = arena, .problem = problem};
	struct token head;
	int rc;

	if (problem == NULL)
		r.problem = &unwanted;
	if (len > CODEC_MESSAGE_MAX_BYTES)
		return problem_set(r.problem, NULL, "larger than %zu bytes",
				   CODEC_MESSAGE_MAX_BYTES);
	r.end = r.at + len;
	if (len == 0 || !take(&r, &head))
		return malformed(&r);
	memset(value, 0, record->size);
	rc = unpack_record(&r, record, head, value, 1);
	if (rc < 0)
		return rc;
	if (r.at != r.end)
		return problem_set(r.problem, NULL, "has bytes after its end");
	return 0;
}
