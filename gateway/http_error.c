/* http_error.c - an error as JSON; see http_error.h. */
#include "gateway/http_error.h"

#include <jansson.h>
#include <string.h>

/* What is told where the actor did not say when: its restart takes less. */
#define RETRY_AFTER_DEFAULT_S 1

static int64_t retry_after_s(int status, int64_t retry_after_ms)
{
	if (status != 503 && status != 429)
		return 0;
	if (retry_after_ms <= 0)
		return RETRY_AFTER_DEFAULT_S;
	return (retry_after_ms + 999) / 1000;
}

/* Sets a member unless the text is missing. Text that is not UTF-8 is left out. */
static void set_text(json_t *object, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		(void)json_object_set_new(object, name, json_string(text));
}

/* details as they are; of a refusal an object, with a description for the person. */
static json_t *details_of(const struct http_error *error, const char *words)
{
	json_t *details =
		error->details == NULL ? NULL : json_loads(error->details, JSON_DECODE_ANY, NULL);

	if (error_text(error->error) == NULL)
		return details;
	if (details == NULL)
		details = json_object();
	else if (!json_is_object(details))
		details = json_pack("{s:o}", "reason", details);
	if (json_object_get(details, "description") == NULL)
		set_text(details, "description", words);
	return details;
}

void http_error_answer(const struct http_error *error, struct answer *answer)
{
	const char *code = error_code(error->error);
	const char *text = error_text(error->error);
	const char *words = error->message != NULL ? error->message : text != NULL ? text : code;
	json_t *details;
	json_t *object = json_object();
	char *body = NULL;

	if (object != NULL) {
		(void)json_object_set_new(object, "success", json_false());
		set_text(object, "error", code);
		set_text(object, "message", words);
		set_text(object, "message_ru", error_text_ru(error->error));
		set_text(object, "field", error->field);
		details = details_of(error, words);
		if (details != NULL)
			(void)json_object_set_new(object, "details", details);
		set_text(object, "request_id", error->request_id);
		body = json_dumps(object, JSON_COMPACT);
		json_decref(object);
	}
	answer_set(answer, error->status != 0 ? error->status : error_http_status(error->error),
		   body);
	answer->retry_after_s = retry_after_s(answer->status, error->retry_after_ms);
}

void http_error_of_failure(enum msg_error error, const struct failure *failure,
			   const char *request_id, struct answer *answer)
{
	struct http_error said = {.error = error, .request_id = request_id};

	if (failure != NULL) {
		said.message = failure->message;
		said.field = failure->field;
		said.details = failure->details;
		said.retry_after_ms =
			failure->retry_after_ms.set ? failure->retry_after_ms.value : 0;
	}
	http_error_answer(&said, answer);
}
