/* request.c - path, query, body and headers into one object, and the record; see request.h. */
#include "gateway/request.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/routes.h"

/* Longer names than the catalogue's. */
#define NAME_SIZE 64

static int refuse(struct codec_problem *problem, const char *field, const char *message)
{
	(void)snprintf(problem->field, sizeof(problem->field), "%s", field);
	(void)snprintf(problem->message, sizeof(problem->message), "%s", message);
	return -EINVAL;
}

static const struct field *field_called(const struct record *record, const char *name)
{
	for (const struct field *f = record->fields(); f->name != NULL; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

/* The field called name, or what name is in the catalogue's spelling: jobIds is job_ids. */
static const struct field *field_meant(const struct record *record, const char *name)
{
	const struct field *field = field_called(record, name);
	char spelled[NAME_SIZE];
	size_t len = 0;

	if (field != NULL)
		return field;
	for (; *name != '\0'; name++) {
		if (len + 3 > sizeof(spelled))
			return NULL;
		if (isupper((unsigned char)*name))
			spelled[len++] = '_';
		spelled[len++] = (char)tolower((unsigned char)*name);
	}
	spelled[len] = '\0';
	return field_called(record, spelled);
}

/* --- a parameter's text as JSON --- */

static json_t *whole_number(const char *text)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0)
		return json_string(text);
	return json_integer(number);
}

static json_t *real_number(const char *text)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(number))
		return json_string(text);
	return json_real(number);
}

static json_t *truth(const char *text)
{
	if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
		return json_true();
	if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
		return json_false();
	return json_string(text);
}

/* What does not read as the field's type stays text, so that the codec refuses it by name. NULL:
 * not UTF-8, or out of memory. */
static json_t *param_value(const struct field *field, const char *text)
{
	switch (field->type) {
	case FIELD_INT:
	case FIELD_OPT_INT:
		return whole_number(text);
	case FIELD_REAL:
		return real_number(text);
	case FIELD_BOOL:
		return truth(text);
	default:
		return json_string(text);
	}
}

/* --- the object --- */

/* A parameter that comes again makes a list: right for a list of texts, refused for anything else.
 */
static int add_again(json_t *object, const char *name, json_t *value)
{
	json_t *before = json_object_get(object, name);
	json_t *list;

	if (json_is_array(before))
		return json_array_append_new(before, value);
	list = json_pack("[O,o]", before, value);
	return json_object_set_new(object, name, list);
}

static int add_param(const struct record *record, const struct uri_param *param, json_t *object,
		     struct codec_problem *problem)
{
	const struct field *field = field_meant(record, param->name);
	json_t *value;
	int rc;

	if (field == NULL)
		return 0; /* as in a body, what is not known is ignored */
	if (!utf8_valid(param->value, strlen(param->value), NULL))
		return refuse(problem, field->name, "is not valid UTF-8");
	value = param_value(field, param->value);
	if (value == NULL)
		return -ENOMEM;
	if (json_object_get(object, field->name) != NULL)
		rc = add_again(object, field->name, value);
	else
		rc = json_object_set_new(object, field->name, value);
	return rc < 0 ? -ENOMEM : 0;
}

static int add_params(const struct record *record, const struct uri_param *params, size_t count,
		      json_t *object, struct codec_problem *problem)
{
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++)
		rc = add_param(record, &params[i], object, problem);
	return rc;
}

static int params_of_query(const struct record *record, const char *query, struct arena *arena,
			   json_t *object, struct codec_problem *problem)
{
	struct uri_query parsed;
	int rc = uri_split_query(query, arena, &parsed);

	if (rc == -EINVAL)
		return refuse(problem, "query", "is not a query that can be read");
	if (rc < 0)
		return rc;
	return add_params(record, parsed.params, parsed.count, object, problem);
}

static int object_of_body(const struct request_parts *parts, json_t **out,
			  struct codec_problem *problem)
{
	json_t *body;
	int rc;

	if (parts->body == NULL) {
		*out = json_object();
		return *out == NULL ? -ENOMEM : 0;
	}
	if (parts->body_len == 0)
		return refuse(problem, "body", "is empty; a JSON object is needed");
	rc = codec_parse_json(parts->body, parts->body_len, &body, problem);
	if (rc == -EINVAL && problem->field[0] == '\0')
		(void)snprintf(problem->field, sizeof(problem->field), "body");
	if (rc < 0)
		return rc;
	if (!json_is_object(body)) {
		json_decref(body);
		return refuse(problem, "body", "must be an object");
	}
	*out = body;
	return 0;
}

/* Puts the fields of a body that are spelled in the other way under their names. Both spellings may be
 * there if they say the same. */
static int respell(const struct record *record, json_t *object, struct codec_problem *problem)
{
	const struct field *field;
	const json_t *there;
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(object, next, name, value)
	{
		field = field_meant(record, name);
		if (field == NULL || strcmp(field->name, name) == 0)
			continue;
		there = json_object_get(object, field->name);
		if (there != NULL && !json_equal(there, value))
			return refuse(problem, field->name,
				      "is there in two spellings that differ");
		if (there == NULL && json_object_set(object, field->name, value) < 0)
			return -ENOMEM;
		(void)json_object_del(object, name);
	}
	return 0;
}

/* --- who is asking --- */

static int set_text(json_t *object, const char *name, const char *text,
		    struct codec_problem *problem)
{
	if (!utf8_valid(text, strlen(text), NULL))
		return refuse(problem, name, "is not valid UTF-8");
	return json_object_set_new(object, name, json_string(text)) < 0 ? -ENOMEM : 0;
}

static int set_user(const struct request_parts *parts, json_t *object,
		    struct codec_problem *problem)
{
	const struct identity *who = parts->who;
	const bool may_name = (parts->flags & ROUTE_NAMES) != 0 && parts->trusted;
	const json_t *named;

	if (!may_name)
		(void)json_object_del(object, "user_id"); /* may not be there */
	if (who->user_id[0] == '\0')
		return 0;
	named = json_object_get(object, "user_id");
	if ((parts->flags & ROUTE_ACTS) == 0 && named != NULL && !json_is_null(named))
		return 0; /* null names nobody */
	return set_text(object, "user_id", who->user_id, problem);
}

/* A token of HH's names nobody, and without a name some messages are about everybody. */
static bool somebody_is_missing(const struct request_parts *parts, const json_t *object)
{
	const json_t *named = json_object_get(object, "user_id");

	return parts->who->access_token != NULL && (named == NULL || json_is_null(named)) &&
	       (parts->flags & (ROUTE_OPEN | ROUTE_NEEDS_ACCOUNT)) == 0;
}

static int set_who(const struct record *record, const struct request_parts *parts, json_t *object,
		   struct codec_problem *problem)
{
	int rc = 0;

	(void)json_object_del(object, "access_token"); /* may not be there, like the others */
	(void)json_object_del(object, "trusted");
	if (field_called(record, "trusted") != NULL &&
	    json_object_set_new(object, "trusted", json_boolean(parts->trusted)) < 0)
		return -ENOMEM;
	if (parts->who == NULL)
		return 0;
	if (field_called(record, "user_id") != NULL)
		rc = set_user(parts, object, problem);
	if (rc == 0 && field_called(record, "user_id") != NULL &&
	    somebody_is_missing(parts, object))
		return -EACCES;
	if (rc == 0 && parts->who->access_token != NULL &&
	    field_called(record, "access_token") != NULL)
		rc = set_text(object, "access_token", parts->who->access_token, problem);
	return rc;
}

/* --- the whole --- */

/* What stands in the target and the headers, which goes over the body. */
static int object_of_target(const struct record *record, const struct request_parts *parts,
			    struct arena *arena, json_t *object, struct codec_problem *problem)
{
	int rc = params_of_query(record, parts->query, arena, object, problem);

	for (size_t i = 0; i < parts->path_param_count; i++)
		(void)json_object_del(object, parts->path_params[i].name);
	if (rc == 0)
		rc = add_params(record, parts->path_params, parts->path_param_count, object,
				problem);
	if (rc == 0 && parts->idempotency_key != NULL &&
	    field_called(record, "idempotency_key") != NULL)
		rc = set_text(object, "idempotency_key", parts->idempotency_key, problem);
	return rc;
}

int request_assemble(const struct record *record, const struct request_parts *parts,
		     struct arena *arena, const void **out, struct codec_problem *problem)
{
	json_t *outer = json_object();
	json_t *object = NULL;
	void *value = arena_alloc(arena, record->size);
	int rc = -ENOMEM;

	*problem = (struct codec_problem){0};
	if (outer == NULL || value == NULL)
		goto out;
	rc = object_of_target(record, parts, arena, outer, problem);
	if (rc == 0)
		rc = object_of_body(parts, &object, problem);
	if (rc == 0)
		rc = respell(record, object, problem);
	if (rc == 0)
		rc = json_object_update(object, outer) < 0 ? -ENOMEM : 0;
	if (rc == 0 && parts->hurry)
		rc = json_object_set_new(object, "wait_ms", json_integer(0)) < 0 ? -ENOMEM : 0;
	if (rc == 0)
		rc = set_who(record, parts, object, problem);
	if (rc == 0)
		rc = codec_from_json(record, object, arena, value, problem);
	if (rc == 0)
		*out = value;
out:
	json_decref(outer);
	json_decref(object);
	return rc;
}
