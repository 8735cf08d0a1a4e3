/* commands.c - see commands.h. */
#include "cli/commands.h"

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

static json_t *name_request(int count, char **words)
{
	(void)count;
	return json_pack("{s:s}", "name", words[0]);
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

/* KEY=VALUE words become fields, the others the text. Numbers and booleans are told by their look
 * and by the key: ids are texts. */
static json_t *search_of(int count, char **words)
{
	static const char *const numbers[] = {"salary", "period", "page", "per_page"};
	json_t *search = json_object();
	char **text = calloc((size_t)count + 1, sizeof(*text));
	int text_count = 0;

	for (int i = 0; i < count && text != NULL; i++) {
		char *equals = strchr(words[i], '=');
		json_t *value = NULL;

		if (equals == NULL || equals == words[i]) {
			text[text_count++] = words[i];
			continue;
		}
		*equals = '\0';
		for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
			if (strcmp(words[i], numbers[n]) == 0)
				value = json_integer(strtoll(equals + 1, NULL, 10));
		if (strcmp(words[i], "only_with_salary") == 0)
			value = json_boolean(strcmp(equals + 1, "true") == 0);
		if (value == NULL)
			value = json_string(equals + 1);
		(void)json_object_set_new(search, words[i], value);
	}
	if (text_count > 0)
		(void)json_object_set_new(search, "text", joined(text_count, text));
	free(text);
	return search;
}

static json_t *search_request(int count, char **words)
{
	return search_of(count, words);
}

/* USER [every=SECONDS] WORDS... */
static json_t *schedule_request(int count, char **words)
{
	json_t *interval = NULL;
	json_t *request;
	int kept = 1;

	for (int i = 1; i < count; i++) {
		if (strncmp(words[i], "every=", 6) == 0)
			interval = json_integer(strtoll(words[i] + 6, NULL, 10));
		else
			words[kept++] = words[i];
	}
	request = json_pack("{s:s,s:o}", "user_id", words[0], "search",
			    search_of(kept - 1, words + 1));
	if (interval != NULL)
		(void)json_object_set_new(request, "interval_s", interval);
	return request;
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
	{"kill", "ACTOR", MSG_TREE_KILL, 1, 1, name_request, print_killed},
	{"search", "[FIELD=VALUE ...] TEXT ...", MSG_JOBS_SEARCH, 0, 64, search_request,
	 print_jobs},
	{"job", "ID", MSG_JOBS_GET, 1, 1, id_request, print_job},
	{"schedule", "USER [every=SECONDS] [FIELD=VALUE ...] TEXT ...", MSG_SCHEDULE_PUT, 1, 64,
	 schedule_request, print_schedule},
	{"unschedule", "USER", MSG_SCHEDULE_DELETE, 1, 1, user_request, print_done},
	{"schedules", "[AFTER_USER]", MSG_SCHEDULES_LIST, 0, 1, list_request, print_schedules},
	{"fetch-now", "USER", MSG_SCHEDULE_FETCH, 1, 1, user_request, print_schedule},
	{"call", "METHOD [JSON]", MSG_NONE, 1, 2, call_request, print_json},
};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}
