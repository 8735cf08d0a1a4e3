/* commands.c - the table of commands, and how their words become fields; see commands.h. */
#include "cli/commands.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/print.h"

static json_t *no_request(int count, char **words)
{
	(void)count;
	(void)words;
	return json_object();
}

static json_t *user_request(int count, char **words)
{
	(void)count;
	return json_pack("{s:s}", "user_id", words[0]);
}

static json_t *bucket_request(int count, char **words)
{
	return json_pack("{s:s,s:s*}", "user_id", words[0], "action", count > 1 ? words[1] : NULL);
}

static json_t *name_request(int count, char **words)
{
	(void)count;
	return json_pack("{s:s}", "name", words[0]);
}

static json_t *restart_request(int count, char **words)
{
	return count == 0 ? json_object() : name_request(count, words);
}

static json_t *id_request(int count, char **words)
{
	(void)count;
	return json_pack("{s:s}", "id", words[0]);
}

/* Joins the words with blanks. NULL: no memory. */
static json_t *joined(int count, char **words)
{
	json_t *text = json_string("");

	for (int i = 0; i < count && text != NULL; i++) {
		json_t *longer = json_sprintf("%s%s%s", json_string_value(text), i == 0 ? "" : " ",
					      words[i]);

		json_decref(text);
		text = longer;
	}
	return text;
}

/* What is all digits as a number, all else as a text: the codec then says what it should have been.
 */
static json_t *number_or_text(const char *word)
{
	size_t len = strlen(word);
	bool is_number = len > 0 && len < 19 && strspn(word, "0123456789") == len;

	return is_number ? json_integer(strtoll(word, NULL, 10)) : json_string(word);
}

/* The value of a search's field. Ids are texts, however they look. NULL: no UTF-8, or no memory. */
static json_t *field_value(const char *key, const char *word)
{
	static const char *const numbers[] = {"salary", "period", "page", "per_page"};

	for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
		if (strcmp(key, numbers[n]) == 0)
			return number_or_text(word);
	if (strcmp(key, "only_with_salary") == 0 && strcmp(word, "true") == 0)
		return json_true();
	if (strcmp(key, "only_with_salary") == 0 && strcmp(word, "false") == 0)
		return json_false();
	return json_string(word);
}

/* Puts value, which it takes, under key; a key that comes again makes a list. */
static int add_field(json_t *object, const char *key, json_t *value)
{
	json_t *before = json_object_get(object, key);
	json_t *list;

	if (value == NULL || before == NULL)
		return json_object_set_new(object, key, value);
	if (json_is_array(before))
		return json_array_append_new(before, value);
	list = json_pack("[O,o]", before, value);
	return json_object_set_new(object, key, list);
}

/* KEY=VALUE words become fields, the others the text. NULL: a word is no UTF-8, or no memory. */
static json_t *search_of(int count, char **words)
{
	json_t *search = json_object();
	char **text = calloc((size_t)count + 1, sizeof(*text));
	int text_count = 0;
	int rc = search == NULL || text == NULL ? -1 : 0;

	for (int i = 0; i < count && rc == 0; i++) {
		char *equals = strchr(words[i], '=');

		if (equals == NULL || equals == words[i]) {
			text[text_count++] = words[i];
			continue;
		}
		*equals = '\0';
		rc = add_field(search, words[i], field_value(words[i], equals + 1));
	}
	if (rc == 0 && text_count > 0)
		rc = json_object_set_new(search, "text", joined(text_count, text));
	free(text);
	if (rc == 0)
		return search;
	json_decref(search);
	return NULL;
}

static json_t *search_request(int count, char **words)
{
	return search_of(count, words);
}

/* USER [every=SECONDS] WORDS... */
static json_t *schedule_request(int count, char **words)
{
	const char *every = NULL;
	int kept = 1;

	for (int i = 1; i < count; i++) {
		if (strncmp(words[i], "every=", 6) == 0)
			every = words[i] + 6;
		else
			words[kept++] = words[i];
	}
	if (every == NULL)
		return json_pack("{s:s,s:o}", "user_id", words[0], "search",
				 search_of(kept - 1, words + 1));
	return json_pack("{s:s,s:o,s:o}", "user_id", words[0], "search",
			 search_of(kept - 1, words + 1), "interval_s", number_or_text(every));
}

/* Takes the value of a word "NAME=VALUE" out of words from first on; NULL: there is none. name has
 * its '='. */
static const char *take_option(int first, int *count, char **words, const char *name)
{
	const size_t len = strlen(name);
	const char *value = NULL;
	int kept = first;

	for (int i = first; i < *count; i++) {
		if (strncmp(words[i], name, len) == 0)
			value = words[i] + len;
		else
			words[kept++] = words[i];
	}
	*count = kept;
	return value;
}

/* What the resume is made of: the file's object, or none, and which resume to use. NULL: the file
 * is no JSON object, or no memory. */
static json_t *cv_of(const char *path, const char *resume_id)
{
	json_error_t error;
	json_t *cv =
		path == NULL ? json_object() : json_load_file(path, JSON_REJECT_DUPLICATES, &error);

	if (!json_is_object(cv)) {
		(void)fprintf(stderr, "%s: %s\n", path == NULL ? "cv" : path,
			      cv == NULL && path != NULL ? error.text : "is no JSON object");
		json_decref(cv);
		return NULL;
	}
	if (resume_id != NULL &&
	    json_object_set_new(cv, "hh_resume_id", json_string(resume_id)) < 0) {
		json_decref(cv);
		return NULL;
	}
	return cv;
}

/* USER VACANCY [resume=ID] [cv=FILE] [key=KEY] [LETTER ...] */
static json_t *apply_request(int count, char **words)
{
	const char *resume_id = take_option(2, &count, words, "resume=");
	const char *path = take_option(2, &count, words, "cv=");
	const char *key = take_option(2, &count, words, "key=");
	json_t *letter = count > 2 ? joined(count - 2, words + 2) : NULL;
	json_t *cv = NULL;

	if (count > 2 && letter == NULL)
		return NULL;
	if (resume_id != NULL || path != NULL) {
		cv = cv_of(path, resume_id);
		if (cv == NULL) {
			json_decref(letter);
			return NULL;
		}
	}
	return json_pack("{s:s,s:s,s:o*,s:s*,s:o*}", "user_id", words[0], "job_external_id",
			 words[1], "customized_cv", cv, "idempotency_key", key, "cover_letter",
			 letter);
}

/* [--dead] [USER] */
static json_t *applications_request(int count, char **words)
{
	const char *user = NULL;
	bool dead = false;

	for (int i = 0; i < count; i++) {
		if (strcmp(words[i], "--dead") == 0)
			dead = true;
		else if (user == NULL && words[i][0] != '-')
			user = words[i];
		else
			return NULL;
	}
	return json_pack("{s:s*,s:s*,s:i}", "user_id", user, "status", dead ? "dead" : NULL,
			 "limit", 500);
}

static json_t *list_request(int count, char **words)
{
	return count == 0 ? json_pack("{s:i}", "limit", 1000)
			  : json_pack("{s:i,s:s}", "limit", 1000, "after", words[0]);
}

/* METHOD [JSON] */
static json_t *call_request(int count, char **words)
{
	json_error_t error;
	json_t *request;

	if (count < 2)
		return json_object();
	request = json_loads(words[1], JSON_REJECT_DUPLICATES, &error);
	if (request == NULL)
		(void)fprintf(stderr, "the JSON does not parse: %s at column %d\n", error.text,
			      error.column);
	return request;
}

static const struct command commands[] = {
	{"status", "", MSG_TREE_STATE, 0, 0, no_request, print_tree},
	{"crashes", "", MSG_TREE_CRASHES, 0, 0, no_request, print_crashes},
	{"kill", "ACTOR", MSG_TREE_KILL, 1, 1, name_request, print_killed},
	{"restart", "[ACTOR]", MSG_TREE_RESTART, 0, 1, restart_request, print_restarting},
	{"search", "[FIELD=VALUE ...] TEXT ...", MSG_JOBS_SEARCH, 0, 64, search_request,
	 print_jobs},
	{"job", "ID", MSG_JOBS_GET, 1, 1, id_request, print_job},
	{"schedule", "USER [every=SECONDS] [FIELD=VALUE ...] TEXT ...", MSG_SCHEDULE_PUT, 1, 64,
	 schedule_request, print_schedule},
	{"unschedule", "USER", MSG_SCHEDULE_DELETE, 1, 1, user_request, print_done},
	{"schedules", "[AFTER_USER]", MSG_SCHEDULES_LIST, 0, 1, list_request, print_schedules},
	{"fetch-now", "USER", MSG_SCHEDULE_FETCH, 1, 1, user_request, print_schedule},
	{"limiter status", "USER [ACTION]", MSG_LIMITER_STATUS, 1, 2, bucket_request, print_bucket},
	{"limiter reset", "USER [ACTION]", MSG_LIMITER_RESET, 1, 2, bucket_request, print_bucket},
	{"apply", "USER VACANCY [resume=ID] [cv=FILE] [key=KEY] [LETTER ...]",
	 MSG_APPLICATION_SUBMIT, 2, 64, apply_request, print_application},
	{"applications", "[--dead] [USER]", MSG_APPLICATIONS_LIST, 0, 2, applications_request,
	 print_applications},
	{"retry", "APPLICATION", MSG_APPLICATION_RETRY, 1, 1, id_request, print_application},
	{"rotate-keys", "", MSG_KEYS_ROTATE, 0, 0, no_request, print_json},
	{"call", "METHOD [JSON]", MSG_NONE, 1, 2, call_request, print_json},
};

/* How many of the words spell name; 0: they do not. */
static int spells(const char *name, int count, char **words)
{
	const char *blank = strchr(name, ' ');
	size_t len = blank == NULL ? strlen(name) : (size_t)(blank - name);

	if (count < 1 || strlen(words[0]) != len || strncmp(words[0], name, len) != 0)
		return 0;
	if (blank == NULL)
		return 1;
	return count > 1 && strcmp(words[1], blank + 1) == 0 ? 2 : 0;
}

const struct command *command_find(int count, char **words, int *name_words)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		*name_words = spells(commands[i].name, count, words);
		if (*name_words > 0)
			return &commands[i];
	}
	return NULL;
}
