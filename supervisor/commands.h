/* commands.h - the subcommands of build/ugtj, as a table. */
#ifndef SUPERVISOR_COMMANDS_H
#define SUPERVISOR_COMMANDS_H

#include <stdio.h>

struct command {
	const char *name;
	const char *arguments; /* for the list */
	const char *help;      /* one line */
	int (*run)(int argc,
		   char **argv); /* served here; returns an exit code. Else NULL, and ... */
	const char *program;	 /* ... the program in libexec that serves it */
};

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/* Writes all commands, in groups. */
void command_list(FILE *out);

/* Served by this program; argv[1] is the command's name. */
int command_server(int argc, char **argv);
int command_check(int argc, char **argv);
int command_gen_secret(int argc, char **argv);

#endif
