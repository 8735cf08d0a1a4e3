/* field.h - one field of a record's struct: checked, read and written. What the two codecs share.
 *
 * Not for use outside proto/. value is always the struct, never the field in it. The setters and
 * checks return 0, -EINVAL (problem, which must not be NULL, says why) or -ENOMEM.
 */
#ifndef PROTO_FIELD_H
#define PROTO_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "proto/catalogue.h"
#include "proto/codec.h"

/* What may be nested in each other, JSON values within a field counted. */
#define CODEC_DEPTH_MAX 32

/* --- problems --- */

/* Fills problem: field's name (NULL: none) and what is wrong with it. Returns -EINVAL. */
int problem_set(struct codec_problem *problem, const struct field *field, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for item index of field. */
int problem_set_item(struct codec_problem *problem, const struct field *field, size_t index,
		     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Not the field's fault. Returns -ENOMEM. */
int problem_no_memory(struct codec_problem *problem);

/* What went wrong went wrong within field, or within item index of it. */
void problem_within(struct codec_problem *problem, const struct field *field);
void problem_within_item(struct codec_problem *problem, const struct field *field, size_t index);

/* --- checks --- */

int field_check_text(const struct field *field, const char *s, size_t len,
		     struct codec_problem *problem);
int field_check_item(const struct field *field, size_t index, const char *s, size_t len,
		     struct codec_problem *problem);
int field_check_int(const struct field *field, int64_t number, struct codec_problem *problem);
int field_check_real(const struct field *field, double number, struct codec_problem *problem);
int field_check_count(const struct field *field, size_t count, struct codec_problem *problem);

/* --- reading a struct --- */

const char *field_text(const struct field *field, const void *value);
int64_t field_int(const struct field *field, const void *value);
double field_real(const struct field *field, const void *value);
bool field_bool(const struct field *field, const void *value);
const struct strs *field_strs(const struct field *field, const void *value);
const void *field_obj(const struct field *field, const void *value);
struct list field_list(const struct field *field, const void *value);

/* Whether the field has nothing to encode. A required number, truth value or list always has. */
bool field_is_absent(const struct field *field, const void *value);

/* --- writing a struct; what is kept is copied into arena --- */

int field_set_text(const struct field *field, void *value, const char *s, size_t len,
		   struct arena *arena, struct codec_problem *problem);
int field_set_int(const struct field *field, void *value, int64_t number,
		  struct codec_problem *problem);
/* For a field of whole numbers as well: 3.0 is 3. */
int field_set_real(const struct field *field, void *value, double number,
		   struct codec_problem *problem);
void field_set_bool(const struct field *field, void *value, bool truth);

/* Makes room for count texts and gives it. */
int field_open_strs(const struct field *field, void *value, size_t count, const char ***items,
		    struct arena *arena, struct codec_problem *problem);
int field_set_item(const struct field *field, const char **items, size_t index, const char *s,
		   size_t len, struct arena *arena, struct codec_problem *problem);

/* Makes room for one zeroed nested record, or for count of them, and gives it. */
int field_open_obj(const struct field *field, void *value, void **nested, struct arena *arena,
		   struct codec_problem *problem);
int field_open_list(const struct field *field, void *value, size_t count, void **items,
		    struct arena *arena, struct codec_problem *problem);

/* Which fields of a record have been met, and where the next one is looked for: peers write them in
 * the table's order. */
struct field_cursor {
	const struct field *fields;
	size_t next;
	uint64_t seen;
};

void field_cursor_init(struct field_cursor *cursor, const struct record *record);

/* The field called name, NULL when there is none. */
const struct field *field_find(struct field_cursor *cursor, const char *name, size_t len);

/* Notes that field was met. -EINVAL when it was met before. */
int field_mark(struct field_cursor *cursor, const struct field *field,
	       struct codec_problem *problem);

/* -EINVAL when a required field was not met. */
int field_require_all(const struct field_cursor *cursor, struct codec_problem *problem);

#endif
