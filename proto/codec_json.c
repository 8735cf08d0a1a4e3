/* codec_json.c - records to JSON objects and back.
 *
 * Reading is jansson's; text is scanned before jansson, which recurses and takes many bytes for
 * few, sees it. Writing goes straight from the struct to the text: a page of vacancies takes a
 * tenth of the time that jansson needs to build and dump its tree.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/field.h"
#include "proto/json_buffer.h"

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

/* jansson takes up to some 300 bytes for "{}," and 100 for "0,", so their number is bounded as
 * well, to several times what a request or the payload of an event has. */
#define CONTAINERS_MAX 60000
#define VALUES_MAX     1000000

/* What is wrong with the text's shape, NULL when nothing is: brackets and commas outside of strings
 * are counted. Knows no more of JSON. */
static const char *shape_fault(const char *text, size_t len, unsigned depth_max)
{
	bool in_string = false;
	unsigned depth = 0;
	size_t containers = 0;
	size_t commas = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if (c == ',')
			commas++;
		else if ((c == '{' || c == '[') && (containers++, ++depth > depth_max))
			return "nested too deep";
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return containers > CONTAINERS_MAX || commas > VALUES_MAX ? "has too many values" : NULL;
}

/* Parses text; field is the one that holds it, or NULL. jansson's own words may quote broken UTF-8,
 * so ours are used. */
static int parse(const char *text, size_t len, unsigned depth_max, const struct field *field,
		 json_t **out, struct codec_problem *problem)
{
	const char *fault = shape_fault(text, len, depth_max);
	json_error_t error;
	json_t *value;

	if (fault != NULL)
		return problem_set(problem, field, "%s", fault);
	value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (value == NULL && json_error_code(&error) == json_error_out_of_memory)
		return problem_no_memory(problem);
	if (value == NULL)
		return problem_set(problem, field, "is not valid JSON: %s, at byte %d",
				   parse_fault(&error), error.position);
	*out = value;
	return 0;
}

/* --- to JSON --- */

struct writer {
	struct json_buffer buffer;
	struct codec_problem *problem;
};

static int write_record(struct writer *w, const struct record *record, const void *value,
			unsigned depth);

/* What a JSON field holds came as text, so it is parsed, but only to know that it can be. */
static int write_json(struct writer *w, const struct field *field, const char *s, size_t len,
		      unsigned depth)
{
	json_t *parsed = NULL;
	int rc = parse(s, len, CODEC_DEPTH_MAX - depth, field, &parsed, w->problem);

	if (rc < 0)
		return rc;
	json_decref(parsed);
	json_buffer_value(&w->buffer, s, len);
	return 0;
}

static int write_text(struct writer *w, const struct field *field, const char *s, unsigned depth)
{
	size_t len = strlen(s);
	int rc = field_check_text(field, s, len, w->problem);

	if (rc < 0)
		return rc;
	if (field->type == FIELD_JSON)
		return write_json(w, field, s, len, depth);
	json_buffer_text(&w->buffer, s, len);
	return 0;
}

static int write_int(struct writer *w, const struct field *field, int64_t number)
{
	int rc = field_check_int(field, number, w->problem);

	if (rc == 0)
		json_buffer_int(&w->buffer, number);
	return rc;
}

static int write_real(struct writer *w, const struct field *field, double number)
{
	int rc = field_check_real(field, number, w->problem);

	if (rc == 0)
		json_buffer_real(&w->buffer, number);
	return rc;
}

static int write_strs(struct writer *w, const struct field *field, const struct strs *strs)
{
	int rc = field_check_count(field, strs->count, w->problem);

	json_buffer_char(&w->buffer, '[');
	for (size_t i = 0; i < strs->count && rc == 0; i++) {
		const char *s = strs->items[i];
		size_t len = s == NULL ? 0 : strlen(s);

		if (i > 0)
			json_buffer_char(&w->buffer, ',');
		rc = field_check_item(field, i, s, len, w->problem);
		if (rc == 0)
			json_buffer_text(&w->buffer, s, len);
	}
	json_buffer_char(&w->buffer, ']');
	return rc;
}

static int write_list(struct writer *w, const struct field *field, struct list list, unsigned depth)
{
	const char *item = list.items;
	int rc = field_check_count(field, list.count, w->problem);

	json_buffer_char(&w->buffer, '[');
	for (size_t i = 0; i < list.count && rc == 0; i++, item += field->record->size) {
		if (i > 0)
			json_buffer_char(&w->buffer, ',');
		rc = write_record(w, field->record, item, depth + 2);
		if (rc == -EINVAL)
			problem_within_item(w->problem, field, i);
	}
	json_buffer_char(&w->buffer, ']');
	return rc;
}

static int write_obj(struct writer *w, const struct field *field, const void *nested,
		     unsigned depth)
{
	int rc = write_record(w, field->record, nested, depth + 1);

	if (rc == -EINVAL)
		problem_within(w->problem, field);
	return rc;
}

static int write_field(struct writer *w, const struct field *field, const void *value,
		       unsigned depth)
{
	bool truth;

	switch (field->type) {
	case FIELD_STR:
	case FIELD_UUID:
	case FIELD_JSON:
		return write_text(w, field, field_text(field, value), depth);
	case FIELD_INT:
	case FIELD_OPT_INT:
		return write_int(w, field, field_int(field, value));
	case FIELD_REAL:
		return write_real(w, field, field_real(field, value));
	case FIELD_BOOL:
		truth = field_bool(field, value);
		json_buffer_raw(&w->buffer, truth ? "true" : "false", truth ? 4 : 5);
		return 0;
	case FIELD_STRS:
		return write_strs(w, field, field_strs(field, value));
	case FIELD_OBJ:
		return write_obj(w, field, field_obj(field, value), depth);
	case FIELD_LIST:
		return write_list(w, field, field_list(field, value), depth);
	}
	return -EINVAL;
}

/* Writes "name":value and what separates it from the one before; nothing for one left out. */
static int write_member(struct writer *w, const struct field *field, const void *value,
			unsigned depth)
{
	struct json_buffer *b = &w->buffer;
	bool absent = field_is_absent(field, value);

	if (absent && field->need == REQ)
		return problem_set(w->problem, field, "is required");
	if (absent && field->need == OPT)
		return 0;
	if (b->len > 0 && b->data[b->len - 1] != '{')
		json_buffer_char(b, ',');
	json_buffer_char(b, '"');
	json_buffer_raw(b, field->name, field->name_len); /* an identifier: nothing to escape */
	json_buffer_raw(b, "\":", 2);
	if (!absent)
		return write_field(w, field, value, depth);
	json_buffer_raw(b, "null", 4);
	return 0;
}

static int write_record(struct writer *w, const struct record *record, const void *value,
			unsigned depth)
{
	int rc = 0;

	if (depth > CODEC_DEPTH_MAX)
		return problem_set(w->problem, NULL, "nested too deep");
	json_buffer_char(&w->buffer, '{');
	for (const struct field *f = record->fields(); f->name != NULL && rc == 0; f++)
		rc = write_member(w, f, value, depth);
	json_buffer_char(&w->buffer, '}');
	return rc;
}

char *codec_to_json_text(const struct record *record, const void *value,
			 struct codec_problem *problem)
{
	struct codec_problem unwanted;
	struct writer w = {.problem = problem == NULL ? &unwanted : problem};
	char *text = NULL;

	if (write_record(&w, record, value, 1) == 0) {
		text = json_buffer_take(&w.buffer);
		if (text == NULL)
			(void)problem_no_memory(w.problem);
	}
	json_buffer_fini(&w.buffer);
	return text;
}

/* By way of the text, so that there is one writer. Those in a hurry want the text anyway. */
struct json_t *codec_to_json(const struct record *record, const void *value,
			     struct codec_problem *problem)
{
	char *text = codec_to_json_text(record, value, problem);
	json_t *object = NULL;

	if (text == NULL)
		return NULL;
	object = json_loads(text, 0, NULL); /* ours, so it can fail for want of memory only */
	free(text);
	if (object == NULL && problem != NULL)
		(void)problem_no_memory(problem);
	return object;
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
	case FIELD_UUID:
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

int codec_parse_json(const char *text, size_t len, struct json_t **out,
		     struct codec_problem *problem)
{
	if (len > CODEC_MESSAGE_MAX_BYTES)
		return problem_set(problem, NULL, "larger than %zu bytes", CODEC_MESSAGE_MAX_BYTES);
	return parse(text, len, CODEC_DEPTH_MAX, NULL, out, problem);
}

int codec_from_json_text(const struct record *record, const char *text, size_t len,
			 struct arena *arena, void *value, struct codec_problem *problem)
{
	struct codec_problem unwanted;
	json_t *object = NULL;
	int rc;

	if (problem == NULL)
		problem = &unwanted;
	rc = codec_parse_json(text, len, &object, problem);
	if (rc < 0)
		return rc;
	rc = codec_from_json(record, object, arena, value, problem);
	json_decref(object);
	return rc;
}
