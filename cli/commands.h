/* commands.h - the commands as a table: how the words become a message, how its reply is printed.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <jansson.h>

#include "proto/catalogue.h"

struct command {
	const char *name;  /* one word, or two with a blank between */
	const char *usage; /* the words after the name */
	enum msg_id id;	   /* MSG_NONE: the first word names the method */
	int min_words;
	int max_words;
	/* Makes the request out of the words (a new object), or NULL when they make no sense. */
	json_t *(*request)(int count, char **words);
	void (*print)(const json_t *reply);
};

/* The command that the words begin with, and how many of them are its name; or NULL. */
const struct command *command_find(int count, char **words, int *name_words);

#endif
