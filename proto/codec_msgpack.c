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
#include "proto/msgpack_reader.h"

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
	case FIELD_UUID:
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
	struct msgpack_reader in;
	struct arena *arena;
	struct codec_problem *problem;
};

static int malformed(const struct reader *r)
{
	return problem_set(r->problem, NULL, "is not valid msgpack, or ends too early");
}

/* What an unknown field holds. */
static int pass_over(struct reader *r, struct msgpack_token t, unsigned depth)
{
	int rc = msgpack_skip(&r->in, t, depth);

	if (rc == -E2BIG)
		return problem_set(r->problem, NULL, "nested too deep");
	return rc < 0 ? malformed(r) : 0;
}

static int unpack_record(struct reader *r, const struct record *record, struct msgpack_token head,
			 void *value, unsigned depth);

/* One text is taken as a list of one. */
static int unpack_strs(struct reader *r, const struct field *field, struct msgpack_token t,
		       void *value)
{
	bool alone = t.type == TOKEN_STR;
	size_t count = alone ? 1 : t.count;
	const char **items;
	int rc;

	if (!alone && t.type != TOKEN_ARRAY)
		return problem_set(r->problem, field, "must be a list of texts");
	rc = field_open_strs(field, value, count, &items, r->arena, r->problem);
	for (size_t i = 0; i < count && rc == 0; i++) {
		if (!alone && !msgpack_take(&r->in, &t))
			return malformed(r);
		if (t.type != TOKEN_STR)
			return problem_set_item(r->problem, field, i, "must be text");
		rc = field_set_item(field, items, i, t.text, t.count, r->arena, r->problem);
	}
	return rc;
}

static int unpack_list(struct reader *r, const struct field *field, struct msgpack_token t,
		       void *value, unsigned depth)
{
	size_t count = t.count;
	void *items;
	int rc;

	if (t.type != TOKEN_ARRAY)
		return problem_set(r->problem, field, "must be a list");
	rc = field_open_list(field, value, count, &items, r->arena, r->problem);
	for (size_t i = 0; i < count && rc == 0; i++) {
		if (!msgpack_take(&r->in, &t))
			return malformed(r);
		rc = unpack_record(r, field->record, t, (char *)items + i * field->record->size,
				   depth + 2);
		if (rc == -EINVAL)
			problem_within_item(r->problem, field, i);
	}
	return rc;
}

static int unpack_obj(struct reader *r, const struct field *field, struct msgpack_token t,
		      void *value, unsigned depth)
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

static int unpack_number(struct reader *r, const struct field *field, struct msgpack_token t,
			 void *value)
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

static int unpack_field(struct reader *r, const struct field *field, struct msgpack_token t,
			void *value, unsigned depth)
{
	switch (field->type) {
	case FIELD_STR:
	case FIELD_UUID:
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
static int unpack_pair(struct reader *r, struct field_cursor *cursor, struct msgpack_token key,
		       void *value, unsigned depth)
{
	const struct field *field;
	struct msgpack_token t;
	int rc;

	if (!msgpack_take(&r->in, &t))
		return malformed(r);
	field = field_find(cursor, key.text, key.count);
	if (field == NULL)
		return pass_over(r, t, depth);
	rc = field_mark(cursor, field, r->problem);
	if (rc < 0)
		return rc;
	if (t.type == TOKEN_NIL)
		return field->need == REQ ? problem_set(r->problem, field, "is required") : 0;
	return unpack_field(r, field, t, value, depth);
}

/* value is all zero. */
static int unpack_record(struct reader *r, const struct record *record, struct msgpack_token head,
			 void *value, unsigned depth)
{
	struct field_cursor cursor;

	if (head.type != TOKEN_MAP)
		return problem_set(r->problem, NULL, "must be a map");
	if (depth > CODEC_DEPTH_MAX)
		return problem_set(r->problem, NULL, "nested too deep");
	field_cursor_init(&cursor, record);
	for (size_t i = 0; i < head.count; i++) {
		struct msgpack_token key;
		int rc;

		if (!msgpack_take(&r->in, &key))
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
	struct reader r = {.in.at = bytes, .arena = arena, .problem = problem};
	struct msgpack_token head;
	int rc;

	if (problem == NULL)
		r.problem = &unwanted;
	if (len > CODEC_MESSAGE_MAX_BYTES)
		return problem_set(r.problem, NULL, "larger than %zu bytes",
				   CODEC_MESSAGE_MAX_BYTES);
	r.in.end = r.in.at + len;
	if (len == 0 || !msgpack_take(&r.in, &head))
		return malformed(&r);
	memset(value, 0, record->size);
	rc = unpack_record(&r, record, head, value, 1);
	if (rc < 0)
		return rc;
	if (r.in.at != r.in.end)
		return problem_set(r.problem, NULL, "has bytes after its end");
	return 0;
}
