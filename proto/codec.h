/* codec.h - records to msgpack and JSON and back, with validation; one codec for all records.
 *
 * Decoding trusts nothing: types, sizes, ranges, UTF-8, depth and the claimed lengths are checked
 * before memory is taken, and all memory is the arena's. Encoding checks as well: a record that
 * does not fit the catalogue cannot be sent. Both say which field it was.
 *
 * Absent is what is not there, and null: a text or nested record of NULL, an opt_int that is not
 * set, and, where the field is not required, a number of 0, false and an empty list. A required
 * text, JSON or nested record must not be NULL. Unknown fields are skipped, a known one that
 * appears twice is refused (in JSON any key). A whole number may be written as a real (3.0), a list
 * of texts as one text. A record and all that is in it is nested at most 32 levels deep.
 *
 * A JSON field is text in the struct and in msgpack, where only its size and UTF-8 are checked. It
 * must parse when it is written into JSON; JSON's null counts as absent, and what is read from JSON
 * is kept without spaces.
 */
#ifndef PROTO_CODEC_H
#define PROTO_CODEC_H

#include <stddef.h>

#include "base/arena.h"
#include "proto/catalogue.h"

struct json_t;

/* No message may be larger: what the largest legal reply takes, and a little. */
#define CODEC_MESSAGE_MAX_BYTES ((size_t)16 * 1024 * 1024)

/* What a message from outside the node may take. */
#define CODEC_PUBLIC_MAX_BYTES	((size_t)1024 * 1024)

/* Why a record was refused. */
struct codec_problem {
	char field[128];   /* path, e.g. "jobs[3].title"; empty when the whole does not parse */
	char message[160]; /* for a person, e.g. "longer than 255 characters" */
};

/* Encodes value (a struct of record) as a msgpack map. On success gives a malloc'ed buffer (free()
 * it) and its length. Returns 0, -EINVAL (problem says why) or -ENOMEM. problem may be NULL. */
int codec_pack(const struct record *record, const void *value, void **bytes, size_t *len,
	       struct codec_problem *problem) __attribute__((warn_unused_result));

/* Decodes one msgpack map into value, which is cleared first; texts and lists live in arena.
 * Returns 0, -EINVAL (problem says why) or -ENOMEM; on failure value is undefined. bytes need not
 * outlive the call. Bytes after the map are an error. problem may be NULL. */
int codec_unpack(const struct record *record, const void *bytes, size_t len, struct arena *arena,
		 void *value, struct codec_problem *problem) __attribute__((warn_unused_result));

/* The record as a new jansson object (json_decref() it). Absent NUL fields are null, absent OPT
 * fields are left out. NULL when out of memory or when value does not fit (problem says why).
 * Several times slower than codec_to_json_text(): for those who want to look into it. */
struct json_t *codec_to_json(const struct record *record, const void *value,
			     struct codec_problem *problem) __attribute__((warn_unused_result));

/* codec_to_json() as malloc'ed text without newlines (free() it); NULL like it. */
char *codec_to_json_text(const struct record *record, const void *value,
			 struct codec_problem *problem) __attribute__((warn_unused_result));

/* Reads a jansson object into value, as codec_unpack() does. */
int codec_from_json(const struct record *record, const struct json_t *object, struct arena *arena,
		    void *value, struct codec_problem *problem) __attribute__((warn_unused_result));

/* codec_from_json() from len bytes of text. Refuses duplicate keys and anything nested deeper than
 * 32 levels. */
int codec_from_json_text(const struct record *record, const char *text, size_t len,
			 struct arena *arena, void *value, struct codec_problem *problem)
	__attribute__((warn_unused_result));

/* The text as a new jansson value of any type (json_decref() it), refused like
 * codec_from_json_text() does. Returns 0, -EINVAL or -ENOMEM (problem, which must not be NULL, says
 * why). */
int codec_parse_json(const char *text, size_t len, struct json_t **out,
		     struct codec_problem *problem) __attribute__((warn_unused_result));

/* Whether the first len bytes of s are valid UTF-8 without NUL; if so *chars, when not NULL, gets
 * the number of code points. */
bool utf8_valid(const char *s, size_t len, size_t *chars);

/* The length in bytes of the longest prefix of s that has at most max_chars code points. s must be
 * valid UTF-8. */
size_t utf8_prefix(const char *s, size_t max_chars);

#endif
