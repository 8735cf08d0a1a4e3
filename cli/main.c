/* main.c - `ugtj status`, `search`, `schedule`, `call`, ...: one message to the running server. */
#include <czmq.h>

#include "base/exit_codes.h"
#include "base/settings.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/restart.h"

/* Takes --json out of the words, wherever it stands. */
static bool take_json_flag(int *count, char **words)
{
	bool found = false;
	int kept = 0;

	for (int i = 0; i < *count; i++) {
		if (strcmp(words[i], "--json") == 0)
			found = true;
		else
			words[kept++] = words[i];
	}
	*count = kept;
	return found;
}

static void say_usage(const struct command *command)
{
	(void)fprintf(stderr, "usage: ugtj %s [--json] %s\n", command->name, command->usage);
}

static int say_failure(const json_t *failure, bool json)
{
	const char *field = json_string_value(json_object_get(failure, "field"));
	const char *message = json_string_value(json_object_get(failure, "message"));
	const char *error = json_string_value(json_object_get(failure, "error"));
	enum msg_error code = error_by_code(error == NULL ? "" : error);

	if (json)
		print_json(failure);
	else
		(void)fprintf(stderr, "%s: %s%s%s\n", error == NULL ? "" : error,
			      field == NULL ? "" : field, field == NULL ? "" : " ",
			      message == NULL ? "" : message);
	return code == ERR_BAD_REQUEST || code == ERR_UNKNOWN_METHOD ? EXIT_USAGE
								     : EXIT_UNAVAILABLE;
}

static int say_no_answer(int rc, const struct message *m)
{
	if (rc == -EINVAL) /* said already */
		return EXIT_USAGE;
	if (rc == -ETIMEDOUT || rc == -EAGAIN || rc == -ENOENT)
		(void)fprintf(stderr,
			      "no answer on port %s (ZMQ_PORT): is `ugtj server` running?\n",
			      setting_text(ZMQ_PORT));
	else
		(void)fprintf(stderr, "%s: %s\n", m->method, strerror(-rc));
	return EXIT_UNAVAILABLE;
}

static int run(const struct command *command, int count, char **words, bool json)
{
	const struct message *m =
		command->id == MSG_NONE ? message_by_method(words[0]) : message_by_id(command->id);
	json_t *request = NULL;
	json_t *answer = NULL;
	int rc;

	if (m == NULL || (m->flags & MESSAGE_CAST) != 0) {
		(void)fprintf(stderr, "%s is no call of the catalogue: see docs/messages.md\n",
			      words[0]);
		return EXIT_USAGE;
	}
	request = command->request(count, words);
	if (request == NULL) {
		say_usage(command);
		return EXIT_USAGE;
	}
	rc = client_call(m, request, &answer);
	if (answer != NULL && !json)
		print_make_safe(answer);
	if (rc == 0 && json)
		print_json(answer);
	else if (rc == 0)
		command->print(answer);
	if (rc == 0 && command->id == MSG_TREE_RESTART)
		rc = restart_follow(answer, json); /* only begun so far */
	else if (rc == 0)
		rc = EXIT_OK;
	else if (rc == 1)
		rc = say_failure(answer, json);
	else
		rc = say_no_answer(rc, m);
	json_decref(request);
	json_decref(answer);
	return rc;
}

int main(int argc, char **argv)
{
	char **words = argv + 1;
	int count = argc - 1;
	bool json = take_json_flag(&count, words);
	int name_words;
	const struct command *command = command_find(count, words, &name_words);
	int rc;

	if (command == NULL) {
		(void)fprintf(stderr, "no such command: see `ugtj --help`\n");
		return EXIT_USAGE;
	}
	count -= name_words;
	words += name_words;
	if (count < command->min_words || count > command->max_words) {
		say_usage(command);
		return EXIT_USAGE;
	}
	(void)setenv("ZSYS_SIGHANDLER", "false", 1); /* ctrl-C ends the wait */
	rc = run(command, count, words, json);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "ugtj: the output could not be written\n");
		rc = EXIT_WORLD;
	}
	zsys_shutdown();
	return rc;
}
