/* commands.c - the subcommands, and those so small that they need no program of their own. */
#include "supervisor/commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/exit_codes.h"

static int command_help(int argc, char **argv);
static int command_version(int argc, char **argv);

/* clang-format off */

/* A row without a name begins a group. */
static const struct command commands[] = {
	{ NULL, NULL, "The server", NULL, NULL },
	{ "server",	"",		"run the whole system in the foreground; ^C stops it in order",	command_server,	NULL },
	{ "check",	"",		"check the settings and say everything that is wrong",		command_check,	NULL },
	{ "gen-secret",	"[BYTES]",	"print a new random secret (32 bytes)",				command_gen_secret, NULL },
	{ NULL, NULL, "The running system (--json for programs)", NULL, NULL },
	{ "status",	"",		"the process tree: who is up, since when, how it died before",	NULL, "cli" },
	{ "crashes",	"",		"the last deaths: how, with which message in hand, and where",	NULL, "cli" },
	{ "kill",	"ACTOR",	"kill an actor and see it come back",				NULL, "cli" },
	{ "restart",	"[ACTOR]",	"restart one after the other in order, as newly installed",	NULL, "cli" },
	{ "call",	"METHOD JSON",	"send any message of the catalogue and print the answer",	NULL, "cli" },
	{ NULL, NULL, "Vacancies", NULL, NULL },
	{ "search",	"TEXT",		"search vacancies now",						NULL, "cli" },
	{ "job",	"ID",		"one vacancy",							NULL, "cli" },
	{ "schedules",	"",		"the scheduled searches",					NULL, "cli" },
	{ "schedule",	"USER ...",	"schedule a user's search",					NULL, "cli" },
	{ "unschedule",	"USER",		"end a user's scheduled search",				NULL, "cli" },
	{ "fetch-now",	"USER",		"run a user's scheduled search now",				NULL, "cli" },
	{ NULL, NULL, "Applications", NULL, NULL },
	{ "limiter",	"status USER",	"what a user's bucket of applications holds",			NULL, "cli" },
	{ "limiter",	"reset USER",	"fill a user's buckets",					NULL, "cli" },
	{ "apply",	"USER VACANCY ...", "apply to a vacancy, once",					NULL, "cli" },
	{ "applications", "[--dead] [USER]", "the newest applications, or those that gave up",		NULL, "cli" },
	{ "retry",	"APPLICATION",	"try a dead or failed application again",			NULL, "cli" },
	{ "rotate-keys", "",		"encrypt all that is secret with ENCRYPTION_KEY anew",		NULL, "cli" },
	{ NULL, NULL, "The database", NULL, NULL },
	{ "migrate",	"",		"bring the schema up to date",					NULL, "migrate" },
	{ "rollback",	"[N]",		"undo the last N migrations (1)",				NULL, "migrate" },
	{ "migration",	"new NAME",	"write the files of a new migration",				NULL, "migrate" },
	{ "db",		"reset",	"drop everything and migrate anew",				NULL, "migrate" },
	{ NULL, NULL, "Other", NULL, NULL },
	{ "--help",	"",		"this list",							command_help, NULL },
	{ "--version",	"",		"the version",							command_version, NULL },
};

/* clang-format on */

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

const struct command *command_find(const char *name)
{
	if (strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
		name = "--help";
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (commands[i].name != NULL && strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

void command_list(FILE *out)
{
	(void)fprintf(out, "usage: ugtj COMMAND [ARGUMENTS]\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *c = &commands[i];
		char left[40];

		if (c->name == NULL) {
			(void)fprintf(out, "\n%s\n", c->help);
			continue;
		}
		(void)snprintf(left, sizeof(left), "%s %s", c->name, c->arguments);
		(void)fprintf(out, "  %-27s %s\n", left, c->help);
	}
	(void)fprintf(out, "\nSettings come from the environment and from .env.\n");
}

static int command_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	command_list(stdout);
	return EXIT_OK;
}

static int command_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	(void)printf("ugtj %s\n", UGTJ_VERSION);
	return EXIT_OK;
}

/* --- gen-secret --- */

#define SECRET_BYTES	 32
#define SECRET_BYTES_MIN 16
#define SECRET_BYTES_MAX 256 /* what getrandom() gives without being interrupted */

/* Base64 for URLs, without padding: no character that a shell or .env would mind. */
static void print_base64url(const unsigned char *bytes, size_t count)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789-_";
	unsigned held = 0;
	unsigned held_bits = 0;

	for (size_t i = 0; i < count; i++) {
		held = held << 8 | bytes[i];
		for (held_bits += 8; held_bits >= 6; held_bits -= 6)
			(void)putchar(digits[held >> (held_bits - 6) & 63]);
	}
	if (held_bits > 0)
		(void)putchar(digits[held << (6 - held_bits) & 63]);
	(void)putchar('\n');
}

int command_gen_secret(int argc, char **argv)
{
	unsigned char bytes[SECRET_BYTES_MAX];
	unsigned long count = SECRET_BYTES;
	char *end = "";

	if (argc > 2) {
		errno = 0;
		count = strtoul(argv[2], &end, 10);
	}
	if (argc > 3 || *end != '\0' || count < SECRET_BYTES_MIN || count > SECRET_BYTES_MAX) {
		(void)fprintf(stderr, "usage: ugtj gen-secret [BYTES], %d to %d\n",
			      SECRET_BYTES_MIN, SECRET_BYTES_MAX);
		return EXIT_USAGE;
	}
	if (getrandom(bytes, count, 0) != (ssize_t)count) {
		(void)fprintf(stderr, "ugtj: no random bytes: %s\n", strerror(errno));
		return EXIT_WORLD;
	}
	print_base64url(bytes, count);
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_WORLD;
}
