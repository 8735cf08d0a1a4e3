/* codec_json.c - records to JSON objects and back, with jansson.
 *
 * Text is scanned for its depth before jansson, which recurses, sees it.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/field.h"

/* --- parsing --- */

static const char *parse_fault(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_invalid_utf8:
		return "not valid UTF-8";
	case json_error_premature_end_of_input:
		return "ends too early";
	case json_error_end_of_input_expected:
		return "something after its end";
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "a NUL character";
	case json_error_duplicate_key:
		return "a key appears twice";
	case json_error_numeric_overflow:
		return "a number is too large";
	default:
		return "syntax error";
	}
}

/* Whether brackets outside of strings are nested at most depth_max deep. Knows no more of JSON. */
static bool depth_fits(const char *text, size_t len, unsigned depth_max)
{
	bool in_string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if ((c == '{' || c == '[') && ++depth > depth_max)
			return false;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return true;
}

/* Parses text; field is the one that holds it, or NULL. jansson's own words may quote broken UTF-8,
 * so ours are used. */
static int parse(const char *text, size_t len, unsigned depth_max, const struct field *field,
		 json_t **out, struct codec_problem *problem)
{
	json_error_t error;
	json_t *value;

	if (!depth_fits(text, len, depth_max))
		return problem_set(problem, field, "nested too deep");
	value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (value == NULL && json_error_code(&error) == json_error_out_of_memory)
		return problem_no_memory(problem);
	if (value == NULL)
		return problem_set(problem, field, "is not valid JSON: %s, at byte %d",
				   parse_fault(&error), error.position);
	*out = value;
	return 0;
}

/* --- to JSON: each function gives a new value, NULL after a failure that problem describes --- */

static json_t *record_to_json(const struct record *record, const void *value, unsigned depth,
			      struct codec_problem *problem);

static json_t *made(json_t *value, struct codec_problem *problem)
{
	if (value == NULL)
		(void)problem_no_memory(problem);
	return value;
}

static json_t *text_to_json(const struct field *field, const char *s, unsigned depth,
			    struct codec_problem *problem)
{
	size_t len = strlen(s);
	json_t *value = NULL;

	if (field_check_text(field, s, len, problem) < 0)
		return NULL;
	if (field->type == FIELD_STR)
		return made(json_stringn_nocheck(s, len), problem);
	(void)parse(s, len, CODEC_DEPTH_MAX - depth, field, &value, problem); /* NULL says it */
	return value;
}

static json_t *strs_to_json(const struct field *field, const struct strs *strs,
			    struct codec_problem *problem)
{
	json_t *array = NULL;

	if (field_check_count(field, strs->count, problem) < 0)
		return NULL;
	array = made(json_array(), problem);
	for (size_t i = 0; i < strs->count && array != NULL; i++) {
		const char *s = strs->items[i];
		size_t len = s == NULL ? 0 : strlen(s);

		if (field_check_item(field, i, s, len, problem) < 0)
			goto failed;
		if (json_array_append_new(array, json_stringn_nocheck(s, len)) < 0) {
			(void)problem_no_memory(problem);
			goto failed;
		}
	}
	return array;
failed:
	json_decref(array);
	return NULL;
}

static json_t *list_to_json(const struct field *field, struct list list, unsigned depth,
			    struct codec_problem *problem)
{
	const char *at = list.items;
	json_t *array = NULL;

	if (field_check_count(field, list.count, problem) < 0)
		return NULL;
	array = made(json_array(), problem);
	for (size_t i = 0; i < list.count && array != NULL; i++, at += field->record->size) {
		json_t *item = record_to_json(field->record, at, depth + 2, problem);

		if (item == NULL) {
			problem_within_item(problem, field, i);
			goto failed;
		}
		if (json_array_append_new(array, item) < 0) {
			(void)problem_no_memory(problem);
			goto failed;
		}
	}
	return array;
failed:
	json_decref(array);
	return NULL;
}

static json_t *obj_to_json(const struct field *field, const void *nested, unsigned depth,
			   struct codec_problem *problem)
{
	json_t *object = record_to_json(field->record, nested, depth + 1, problem);

	if (object == NULL)
		problem_within(problem, field);
	return object;
}

static json_t *field_to_json(const struct field *field, const void *value, unsigned depth,
			     struct codec_problem *problem)
{
	switch (field->type) {
	case FIELD_STR:
	case FIELD_JSON:
		return text_to_json(field, field_text(field, value), depth, problem);
	case FIELD_INT:
	case FIELD_OPT_INT:
		if (field_check_int(field, field_int(field, value), problem) < 0)
			return NULL;
		return made(json_integer(field_int(field, value)), problem);
	case FIELD_REAL:
		if (field_check_real(field, field_real(field, value), problem) < 0)
			return NULL;
		return made(json_real(field_real(field, value)), problem);
	case FIELD_BOOL:
		return json_boolean(field_bool(field, value));
	case FIELD_STRS:
		return strs_to_json(field, field_strs(field, value), problem);
	case FIELD_OBJ:
		return obj_to_json(field, field_obj(field, value), depth, problem);
	case FIELD_LIST:
		return list_to_json(field, field_list(field, value), depth, problem);
	}
	return NULL;
}

/* What stands for a field that is absent: nothing (*out is NULL) or null. */
static int absent_to_json(const struct field *field, json_t **out, struct codec_problem *problem)
{
	if (field->need == REQ)
		return problem_set(problem, field, "is required");
	*out = field->need == NUL ? json_null() : NULL;
	return 0;
}

static json_t *record_to_json(const struct record *record, const void *value, unsigned depth,
			      struct codec_problem *problem)
{
	json_t *object = NULL;

	if (depth > CODEC_DEPTH_MAX) {
		(void)problem_set(problem, NULL, "nested too deep");
		return NULL;
	}
	object = made(json_object(), problem);
	if (object == NULL)
		return NULL;
	for (const struct field *f = record->fields(); f->name != NULL; f++) {
		json_t *member = NULL;

		if (field_is_absent(f, value)) {
			if (absent_to_json(f, &member, problem) < 0)
				goto failed;
			if (member == NULL)
				continue;
		} else {
			member = field_to_json(f, value, depth, problem);
			if (member == NULL)
				goto failed;
		}
		if (json_object_setn_new_nocheck(object, f->name, f->name_len, member) < 0) {
			(void)problem_no_memory(problem);
			goto failed;
		}
	}
	return object;
failed:
	json_decref(object);
	return NULL;
}

struct json_t *codec_to_json(const struct record *record, const void *value,
			     struct codec_problem *problem)
{
	struct codec_problem unwanted;

	return record_to_json(record, value, 1, problem == NULL ? &unwanted : problem);
}

char *codec_to_json_text(const struct record *record, const void *value,
			 struct codec_problem *problem)
{
	struct codec_problem unwanted;
	json_t *object;
	char *text;

	if (problem == NULL)
		problem = &unwanted;
	object = codec_to_json(record, value, problem);
	if (object == NULL)
		return NULL;
	text = json_dumps(object, JSON_COMPACT);
	if (text == NULL)
		(void)problem_no_memory(problem);
	json_decref(object);
	return text;
}

/* --- from JSON --- */

struct reader {
	struct arena *arena;
	struct codec_problem *problem;
};

static int record_from_json(struct reader *r, const struct record *record, const json_t *object,
			    void *value, unsigned depth);

/* Whether value, itself depth levels deep, is nested within the limit. Recurses to the limit. */
static bool tree_fits(const json_t *value, unsigned depth)
{
	if (!json_is_object(value) && !json_is_array(value))
		return true;
	if (depth > CODEC_DEPTH_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		if (!tree_fits(json_array_get(value, i), depth + 1))
			return false;
	}
	for (void *it = json_object_iter((json_t *)value); it != NULL;
	     it = json_object_iter_next((json_t *)value, it)) {
		if (!tree_fits(json_object_iter_value(it), depth + 1))
			return false;
	}
	return true;
}

static int json_from_json(struct reader *r, const struct field *field, const json_t *from,
			  void *value, unsigned depth)
{
	char *text;
	int rc;

	if (!tree_fits(from, depth + 1))
		return problem_set(r->problem, field, "nested too deep");
	text = json_dumps(from, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text == NULL)
		return problem_no_memory(r->problem);
	rc = field_set_text(field, value, text, strlen(text), r->arena, r->problem);
	free(text);
	return rc;
}

/* One text is taken as a list of one. */
static int strs_from_json(struct reader *r, const struct field *field, const json_t *from,
			  void *value)
{
	bool alone = json_is_string(from);
	size_t count = alone ? 1 : json_array_size(from);
	const char **items;
	int rc;

	if (!alone && !json_is_array(from))
		return problem_set(r->problem, field, "must be a list of texts");
	rc = field_open_strs(field, value, count, &items, r->arena, r->problem);
	for (size_t i = 0; i < count && rc == 0; i++) {
		const json_t *item = alone ? from : json_array_get(from, i);

		if (!json_is_string(item))
			return problem_set_item(r->problem, field, i, "must be text");
		rc = field_set_item(field, items, i, json_string_value(item),
				    json_string_length(item), r->arena, r->problem);
	}
	return rc;
}

static int list_from_json(struct reader *r, const struct field *field, const json_t *from,
			  void *value, unsigned depth)
{
	size_t count = json_array_size(from);
	void *items;
	int rc;

	if (!json_is_array(from))
		return problem_set(r->problem, field, "must be a list");
	rc = field_open_list(field, value, count, &items, r->arena, r->problem);
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = record_from_json(r, field->record, json_array_get(from, i),
				      (char *)items + i * field->record->size, depth + 2);
		if (rc == -EINVAL)
			problem_within_item(r->problem, field, i);
	}
	return rc;
}

static int obj_from_json(struct reader *r, const struct field *field, const json_t *from,
			 void *value, unsigned depth)
{
	void *nested;
	int rc = field_open_obj(field, value, &nested, r->arena, r->problem);

	if (rc < 0)
		return rc;
	rc = record_from_json(r, field->record, from, nested, depth + 1);
	if (rc == -EINVAL)
		problem_within(r->problem, field);
	return rc;
}

static int number_from_json(struct reader *r, const struct field *field, const json_t *from,
			    void *value)
{
	if (!json_is_number(from))
		return problem_set(r->problem, field, "must be a number");
	if (json_is_integer(from) && field->type != FIELD_REAL)
		return field_set_int(field, value, json_integer_value(from), r->problem);
	return field_set_real(field, value, json_number_value(from), r->problem);
}

static int field_from_json(struct reader *r, const struct field *field, const json_t *from,
			   void *value, unsigned depth)
{
	switch (field->type) {
	case FIELD_STR:
		if (!json_is_string(from))
			return problem_set(r->problem, field, "must be text");
		return field_set_text(field, value, json_string_value(from),
				      json_string_length(from), r->arena, r->problem);
	case FIELD_JSON:
		return json_from_json(r, field, from, value, depth);
	case FIELD_INT:
	case FIELD_OPT_INT:
	case FIELD_REAL:
		return number_from_json(r, field, from, value);
	case FIELD_BOOL:
		if (!json_is_boolean(from))
			return problem_set(r->problem, field, "must be true or false");
		field_set_bool(field, value, json_is_true(from));
		return 0;
	case FIELD_STRS:
		return strs_from_json(r, field, from, value);
	case FIELD_OBJ:
		return obj_from_json(r, field, from, value, depth);
	case FIELD_LIST:
		return list_from_json(r, field, from, value, depth);
	}
	return -EINVAL;
}

/* value is all zero. */
static int record_from_json(struct reader *r, const struct record *record, const json_t *object,
			    void *value, unsigned depth)
{
	if (!json_is_object(object))
		return problem_set(r->problem, NULL, "must be an object");
	if (depth > CODEC_DEPTH_MAX)
		return problem_set(r->problem, NULL, "nested too deep");
	for (const struct field *f = record->fields(); f->name != NULL; f++) {
		const json_t *member = json_object_getn(object, f->name, f->name_len);
		int rc;

		if (member == NULL || json_is_null(member))
			rc = f->need == REQ ? problem_set(r->problem, f, "is required") : 0;
		else
			rc = field_from_json(r, f, member, value, depth);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int codec_from_json(const struct record *record, const struct json_t *object, struct arena *arena,
		    void *value, struct codec_problem *problem)
{
	struct codec_problem unwanted;
	struct reader r = {.arena = arena, .problem = problem == NULL ? &unwanted : problem};

	memset(value, 0, record->size);
	return record_from_json(&r, record, object, value, 1);
}

int codec_from_json_text(const struct record *record, const char *text, size_t len,
			 struct arena *arena, void *value, struct codec_problem *problem)
{
	struct codec_problem unwanted;
	json_t *object = NULL;
	int rc;

	if (problem == NULL)
		problem = &unwanted;
	if (len > CODEC_MESSAGE_MAX_BYTES)
		return problem_set(problem, NULL, "larger than %zu bytes", CODEC_MESSAGE_MAX_BYTES);
	rc = parse(text, len, CODEC_DEPTH_MAX, NULL, &object, problem);
	if (rc < 0)
		return rc;
	rc = codec_from_json(record, object, arena, value, problem);
	json_decref(object);
	return rc;
}
