/* field.c - a field's limits, checked once for both codecs; see field.h. */
#include "proto/field.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"

/* --- problems --- */

int problem_set(struct codec_problem *problem, const struct field *field, const char *fmt, ...)
{
	va_list args;

	(void)snprintf(problem->field, sizeof(problem->field), "%s",
		       field == NULL ? "" : field->name);
	va_start(args, fmt);
	(void)vsnprintf(problem->message, sizeof(problem->message), fmt, args); /* may be cut */
	va_end(args);
	return -EINVAL;
}

int problem_set_item(struct codec_problem *problem, const struct field *field, size_t index,
		     const char *fmt, ...)
{
	va_list args;

	(void)snprintf(problem->field, sizeof(problem->field), "%s[%zu]", field->name, index);
	va_start(args, fmt);
	(void)vsnprintf(problem->message, sizeof(problem->message), fmt, args); /* may be cut */
	va_end(args);
	return -EINVAL;
}

int problem_no_memory(struct codec_problem *problem)
{
	problem->field[0] = '\0';
	(void)snprintf(problem->message, sizeof(problem->message), "takes too much memory");
	return -ENOMEM;
}

/* Puts head before the path; where it becomes too long its end is lost. */
static void path_prepend(struct codec_problem *problem, const char *head)
{
	char tail[sizeof(problem->field)];
	size_t len = strlen(head);

	memcpy(tail, problem->field, sizeof(tail));
	(void)snprintf(problem->field, sizeof(problem->field), "%s", head);
	if (tail[0] != '\0' && len + 1 < sizeof(problem->field))
		(void)snprintf(problem->field + len, sizeof(problem->field) - len, ".%.*s",
			       (int)(sizeof(problem->field) - len - 2), tail);
}

void problem_within(struct codec_problem *problem, const struct field *field)
{
	path_prepend(problem, field->name);
}

void problem_within_item(struct codec_problem *problem, const struct field *field, size_t index)
{
	char head[sizeof(problem->field)];

	(void)snprintf(head, sizeof(head), "%s[%zu]", field->name, index);
	path_prepend(problem, head);
}

/* --- checks --- */

#define FAULT_SIZE 64

/* Whether s is a text of min to max characters; else fault says what is wrong. */
static bool text_fits(const char *s, size_t len, int64_t min, int64_t max, char fault[FAULT_SIZE])
{
	size_t chars = 0;
	/* One so long is not even read. */
	bool valid = len / 4 > (size_t)max || utf8_valid(s, len, &chars);

	if (valid && len / 4 <= (size_t)max && (int64_t)chars >= min && (int64_t)chars <= max)
		return true;
	if (!valid)
		(void)snprintf(fault, FAULT_SIZE, "must be valid UTF-8 without NUL");
	else if (len == 0 && min == 1)
		(void)snprintf(fault, FAULT_SIZE, "must not be empty");
	else if (len / 4 <= (size_t)max && (int64_t)chars < min)
		(void)snprintf(fault, FAULT_SIZE, "shorter than %" PRId64 " characters", min);
	else
		(void)snprintf(fault, FAULT_SIZE, "longer than %" PRId64 " characters", max);
	return false;
}

int field_check_text(const struct field *field, const char *s, size_t len,
		     struct codec_problem *problem)
{
	char fault[FAULT_SIZE];

	if (field->type == FIELD_STR) {
		if (text_fits(s, len, field->min, field->max, fault))
			return 0;
		return problem_set(problem, field, "%s", fault);
	}
	if (field->type == FIELD_UUID) {
		char uuid[UUID_SIZE];

		return uuid_canonical(s, len, uuid) < 0 ? problem_set(problem, field, "not a UUID")
							: 0;
	}
	if (len > (size_t)field->max)
		return problem_set(problem, field, "longer than %" PRId64 " bytes", field->max);
	if (!utf8_valid(s, len, NULL))
		return problem_set(problem, field, "must be valid UTF-8 without NUL");
	return 0;
}

int field_check_item(const struct field *field, size_t index, const char *s, size_t len,
		     struct codec_problem *problem)
{
	char fault[FAULT_SIZE];

	if (text_fits(s, len, 1, field->item_max, fault))
		return 0;
	return problem_set_item(problem, field, index, "%s", fault);
}

int field_check_int(const struct field *field, int64_t number, struct codec_problem *problem)
{
	if (number < field->min)
		return problem_set(problem, field, "less than %" PRId64, field->min);
	if (number > field->max)
		return problem_set(problem, field, "more than %" PRId64, field->max);
	return 0;
}

int field_check_real(const struct field *field, double number, struct codec_problem *problem)
{
	if (!isfinite(number))
		return problem_set(problem, field, "must be a finite number");
	return 0;
}

int field_check_count(const struct field *field, size_t count, struct codec_problem *problem)
{
	if (count > (size_t)field->max)
		return problem_set(problem, field, "more than %" PRId64 " items", field->max);
	return 0;
}

/* --- reading a struct --- */

static const void *place(const struct field *field, const void *value)
{
	return (const char *)value + field->offset;
}

static void *place_to_write(const struct field *field, void *value)
{
	return (char *)value + field->offset;
}

const char *field_text(const struct field *field, const void *value)
{
	return *(const char *const *)place(field, value);
}

int64_t field_int(const struct field *field, const void *value)
{
	if (field->type == FIELD_OPT_INT)
		return ((const struct opt_int *)place(field, value))->value;
	return *(const int64_t *)place(field, value);
}

double field_real(const struct field *field, const void *value)
{
	return *(const double *)place(field, value);
}

bool field_bool(const struct field *field, const void *value)
{
	return *(const bool *)place(field, value);
}

const struct strs *field_strs(const struct field *field, const void *value)
{
	return place(field, value);
}

/* The next two are copied out, since the compiler knows them under other types. */
const void *field_obj(const struct field *field, const void *value)
{
	const void *nested;

	memcpy(&nested, place(field, value), sizeof(nested));
	return nested;
}

struct list field_list(const struct field *field, const void *value)
{
	struct list list;

	memcpy(&list, place(field, value), sizeof(list));
	return list;
}

bool field_is_absent(const struct field *field, const void *value)
{
	switch (field->type) {
	case FIELD_STR:
	case FIELD_UUID:
	case FIELD_JSON:
		return field_text(field, value) == NULL;
	case FIELD_OBJ:
		return field_obj(field, value) == NULL;
	case FIELD_OPT_INT:
		return !((const struct opt_int *)place(field, value))->set;
	case FIELD_INT:
		return field->need != REQ && field_int(field, value) == 0;
	case FIELD_REAL:
		return field->need != REQ && !(fabs(field_real(field, value)) > 0.0);
	case FIELD_BOOL:
		return field->need != REQ && !field_bool(field, value);
	case FIELD_STRS:
		return field->need != REQ && field_strs(field, value)->count == 0;
	case FIELD_LIST:
		return field->need != REQ && field_list(field, value).count == 0;
	}
	return true;
}

/* --- writing a struct --- */

int field_set_text(const struct field *field, void *value, const char *s, size_t len,
		   struct arena *arena, struct codec_problem *problem)
{
	int rc = field_check_text(field, s, len, problem);
	char uuid[UUID_SIZE];
	const char *copy;

	if (rc < 0)
		return rc;
	if (field->type == FIELD_UUID && uuid_canonical(s, len, uuid) == 0)
		s = uuid;
	copy = arena_strndup(arena, s, len);
	if (copy == NULL)
		return problem_no_memory(problem);
	*(const char **)place_to_write(field, value) = copy;
	return 0;
}

int field_set_int(const struct field *field, void *value, int64_t number,
		  struct codec_problem *problem)
{
	int rc = field_check_int(field, number, problem);

	if (rc < 0)
		return rc;
	if (field->type == FIELD_OPT_INT)
		*(struct opt_int *)place_to_write(field, value) = OPT_INT_OF(number);
	else
		*(int64_t *)place_to_write(field, value) = number;
	return 0;
}

/* 2^63 is the first double that no int64_t holds. */
static int set_whole(const struct field *field, void *value, double number,
		     struct codec_problem *problem)
{
	if (number != trunc(number)) /* or it is no number */
		return problem_set(problem, field, "must be a whole number");
	if (number >= 0x1p63)
		return problem_set(problem, field, "more than %" PRId64, field->max);
	if (number < -0x1p63)
		return problem_set(problem, field, "less than %" PRId64, field->min);
	return field_set_int(field, value, (int64_t)number, problem);
}

int field_set_real(const struct field *field, void *value, double number,
		   struct codec_problem *problem)
{
	int rc;

	if (field->type != FIELD_REAL)
		return set_whole(field, value, number, problem);
	rc = field_check_real(field, number, problem);
	if (rc < 0)
		return rc;
	*(double *)place_to_write(field, value) = number;
	return 0;
}

void field_set_bool(const struct field *field, void *value, bool truth)
{
	*(bool *)place_to_write(field, value) = truth;
}

int field_open_strs(const struct field *field, void *value, size_t count, const char ***items,
		    struct arena *arena, struct codec_problem *problem)
{
	int rc = field_check_count(field, count, problem);

	if (rc < 0)
		return rc;
	*items = arena_array(arena, count, sizeof(**items));
	if (*items == NULL)
		return problem_no_memory(problem);
	*(struct strs *)place_to_write(field, value) =
		(struct strs){.items = *items, .count = count};
	return 0;
}

int field_set_item(const struct field *field, const char **items, size_t index, const char *s,
		   size_t len, struct arena *arena, struct codec_problem *problem)
{
	int rc = field_check_item(field, index, s, len, problem);

	if (rc < 0)
		return rc;
	items[index] = arena_strndup(arena, s, len);
	return items[index] == NULL ? problem_no_memory(problem) : 0;
}

int field_open_obj(const struct field *field, void *value, void **nested, struct arena *arena,
		   struct codec_problem *problem)
{
	*nested = arena_alloc(arena, field->record->size);
	if (*nested == NULL)
		return problem_no_memory(problem);
	memcpy(place_to_write(field, value), nested, sizeof(*nested));
	return 0;
}

int field_open_list(const struct field *field, void *value, size_t count, void **items,
		    struct arena *arena, struct codec_problem *problem)
{
	int rc = field_check_count(field, count, problem);
	struct list list = {.count = count};

	if (rc < 0)
		return rc;
	*items = arena_array(arena, count, field->record->size);
	if (*items == NULL)
		return problem_no_memory(problem);
	list.items = *items;
	memcpy(place_to_write(field, value), &list, sizeof(list));
	return 0;
}

/* --- the fields of one record --- */

void field_cursor_init(struct field_cursor *cursor, const struct record *record)
{
	*cursor = (struct field_cursor){.fields = record->fields()};
}

static bool is_called(const struct field *field, const char *name, size_t len)
{
	return field->name_len == len && memcmp(field->name, name, len) == 0;
}

const struct field *field_find(struct field_cursor *cursor, const char *name, size_t len)
{
	const struct field *fields = cursor->fields;

	for (size_t i = cursor->next; fields[i].name != NULL; i++) {
		if (is_called(&fields[i], name, len)) {
			cursor->next = i + 1;
			return &fields[i];
		}
	}
	for (size_t i = 0; i < cursor->next; i++) {
		if (is_called(&fields[i], name, len)) {
			cursor->next = i + 1;
			return &fields[i];
		}
	}
	return NULL;
}

int field_mark(struct field_cursor *cursor, const struct field *field,
	       struct codec_problem *problem)
{
	uint64_t bit = UINT64_C(1) << (field - cursor->fields);

	if ((cursor->seen & bit) != 0)
		return problem_set(problem, field, "appears twice");
	cursor->seen |= bit;
	return 0;
}

int field_require_all(const struct field_cursor *cursor, struct codec_problem *problem)
{
	uint64_t seen = cursor->seen;

	for (const struct field *f = cursor->fields; f->name != NULL; f++, seen >>= 1) {
		if (f->need == REQ && (seen & 1) == 0)
			return problem_set(problem, f, "is required");
	}
	return 0;
}
