/* hh_failure.c - HH's errors put into words, and into the record's details; see hh_failure.h. */
#include "actors/hh_client/hh_failure.h"

#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

#define DETAILS_MAX_BYTES 16384
#define MESSAGE_MAX_CHARS 1024
#define FIELD_MAX_CHARS	  128
#define NAMED_MAX	  8 /* errors that are told of; HH gives one or two */
#define WAIT_MAX_MS	  86400000

const char *hh_failure_names(const json_t *json, struct arena *arena)
{
	const json_t *errors = json_object_get(json, "errors");
	const char *names = "";
	size_t i;
	json_t *error;

	json_array_foreach(errors, i, error)
	{
		const char *value = hh_text(error, "value");

		if (i == NAMED_MAX || names == NULL)
			break;
		names = arena_printf(arena, "%s%s%s%s%s", names, i > 0 ? ", " : "",
				     hh_text(error, "type"), value[0] == '\0' ? "" : "/", value);
	}
	return names == NULL ? "" : names;
}

/* The words of HH for it: its description, where an error has one its own. */
static const char *description(const json_t *json)
{
	const json_t *error = json_array_get(json_object_get(json, "errors"), 0);
	const char *own = hh_text(error, "description");

	return own[0] != '\0' ? own : hh_text(json, "description");
}

/* What is wrong with each field that HH names: "title: already used; year: too small". "": it names
 * none. */
static const char *about_fields(const json_t *json, struct arena *arena)
{
	const json_t *errors = json_object_get(json, "errors");
	const char *text = "";
	size_t named = 0;
	size_t i;
	json_t *error;

	json_array_foreach(errors, i, error)
	{
		const char *words = hh_text(error, "description");

		if (strcmp(hh_text(error, "type"), "bad_json_data") != 0 || named++ == NAMED_MAX ||
		    text == NULL)
			continue;
		text = arena_printf(arena, "%s%s%s: %s", text, text[0] == '\0' ? "" : "; ",
				    hh_text(error, "value"),
				    words[0] != '\0' ? words : hh_text(error, "reason"));
	}
	return text == NULL ? "" : text;
}

static const char *message(const struct hh_judgement *judgement, const json_t *json,
			   struct arena *arena)
{
	const char *names = hh_failure_names(json, arena);
	const char *words = description(json);
	char *text = arena_printf(arena, "%s%s%s%s%s%s", judgement->why,
				  names[0] == '\0' ? "" : ": ", names, words[0] == '\0' ? "" : " (",
				  words, words[0] == '\0' ? "" : ")");

	if (text == NULL)
		return judgement->why;
	text[utf8_prefix(text, MESSAGE_MAX_CHARS)] = '\0';
	return text;
}

/* The parameter that HH did not take. */
static const char *field(const json_t *json)
{
	const json_t *errors = json_object_get(json, "errors");
	size_t i;
	json_t *error;

	json_array_foreach(errors, i, error)
	{
		const char *value = hh_text(error, "value");

		if (strcmp(hh_text(error, "type"), "bad_argument") == 0 && value[0] != '\0' &&
		    utf8_prefix(value, FIELD_MAX_CHARS) == strlen(value))
			return value;
	}
	return NULL;
}

/* The first address of that name, of those that HH gives with a captcha. */
static const char *url_of(const json_t *json, const char *key)
{
	const json_t *errors = json_object_get(json, "errors");
	size_t i;
	json_t *error;

	json_array_foreach(errors, i, error)
	{
		const char *url = hh_text(error, key);

		if (url[0] != '\0')
			return url;
	}
	return NULL;
}

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text != NULL && text[0] != '\0')
		(void)json_object_set_new(object, key, json_string(text)); /* or it is missing */
}

static char *dump(json_t *details, const json_t *errors)
{
	if (errors != NULL)
		(void)json_object_set_new(details, "errors", json_deep_copy(errors));
	return json_dumps(details, JSON_COMPACT);
}

static const char *details(const struct hh_reply *reply, struct arena *arena)
{
	const json_t *errors = json_object_get(reply->json, "errors");
	const char *request_id = hh_text(reply->json, "request_id");
	const char *fields = about_fields(reply->json, arena);
	json_t *object;
	char *text;
	const char *kept = NULL;

	if (reply->curl != CURLE_OK || reply->status == 0)
		return NULL;
	object = json_pack("{s:i}", "http_status", (int)reply->status);
	if (object == NULL)
		return NULL;
	set_text(object, "request_id", request_id[0] != '\0' ? request_id : reply->request_id);
	set_text(object, "description", fields[0] != '\0' ? fields : description(reply->json));
	set_text(object, "captcha_url", url_of(reply->json, "captcha_url"));
	set_text(object, "fallback_url", url_of(reply->json, "fallback_url"));
	text = dump(object, json_is_array(errors) ? errors : NULL);
	if (text != NULL && strlen(text) > DETAILS_MAX_BYTES) {
		free(text); /* HH never says so much: an error of somebody between */
		(void)json_object_del(object, "errors");
		(void)json_object_del(object, "description");
		(void)json_object_del(object, "captcha_url");
		(void)json_object_del(object, "fallback_url");
		text = dump(object, NULL);
	}
	if (text != NULL && strlen(text) <= DETAILS_MAX_BYTES)
		kept = arena_strdup(arena, text);
	free(text);
	json_decref(object);
	return kept;
}

struct failure hh_failure_make(const struct hh_judgement *judgement, const struct hh_reply *reply,
			       int64_t wait_ms, struct arena *arena)
{
	struct failure failure = {
		.error = error_code(judgement->error),
		.field = field(reply->json),
		.message = message(judgement, reply->json, arena),
		.details = details(reply, arena),
	};

	if (wait_ms > 0)
		failure.retry_after_ms = OPT_INT_OF(wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS);
	return failure;
}
