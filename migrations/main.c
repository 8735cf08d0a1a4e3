/* main.c - `ugtj migrate`, `rollback`, `migration new` and `db reset`. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/settings.h"
#include "migrations/runner.h"

enum command_flags { TAKES_STATUS = 1, TAKES_YES = 2, TAKES_COUNT = 4, TAKES_NAME = 8 };

struct command {
	const char *words[2]; /* the second may be NULL */
	unsigned flags;
	int (*run)(const struct runner_options *o, struct report *r);
	const char *usage;
};

static const struct command commands[] = {
	{{"migrate", NULL},
	 TAKES_STATUS,
	 runner_migrate,
	 "migrate [--status] [--json]\n  runs all migrations that are pending; --status only "
	 "lists"},
	{{"rollback", NULL},
	 TAKES_COUNT,
	 runner_rollback,
	 "rollback [N] [--json]\n  undoes the last N migrations, 1 if it is not said"},
	{{"migration", "new"},
	 TAKES_NAME,
	 runner_new,
	 "migration new NAME [--json]\n  makes the two files of the next migration"},
	{{"db", "reset"},
	 TAKES_YES,
	 runner_reset,
	 "db reset [--yes] [--json]\n  undoes all migrations and runs them again, while no server "
	 "runs: all data is "
	 "lost"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

/* The command that the words begin with, or NULL. *used: how many words that took. */
static const struct command *find_command(int count, char **words, int *used)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *c = &commands[i];

		*used = c->words[1] == NULL ? 1 : 2;
		if (count >= *used && strcmp(words[0], c->words[0]) == 0 &&
		    (c->words[1] == NULL || strcmp(words[1], c->words[1]) == 0))
			return c;
	}
	return NULL;
}

static bool parse_count(const char *word, int64_t *out)
{
	char *end;
	long long number;

	if (strspn(word, "0123456789") != strlen(word))
		return false;
	errno = 0;
	number = strtoll(word, &end, 10);
	if (errno != 0 || end == word || number < 1)
		return false;
	*out = number;
	return true;
}

/* Takes one word of the command line. Returns whether the command has such a word. */
static bool take_word(const struct command *c, const char *word, struct runner_options *o,
		      bool *json)
{
	if (strcmp(word, "--json") == 0)
		*json = true;
	else if ((c->flags & TAKES_STATUS) != 0 && strcmp(word, "--status") == 0)
		o->status = true;
	else if ((c->flags & TAKES_YES) != 0 && strcmp(word, "--yes") == 0)
		o->yes = true;
	else if ((c->flags & TAKES_COUNT) != 0 && o->count == 0)
		return parse_count(word, &o->count);
	else if ((c->flags & TAKES_NAME) != 0 && o->name == NULL && word[0] != '-')
		o->name = word;
	else
		return false;
	return true;
}

static int say_usage(FILE *out, int code)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		(void)fprintf(out, "%s ugtj %s\n", i == 0 ? "usage:" : "      ", commands[i].usage);
	return code;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The SQL files: where a test says, beside the build tree, or where they were installed. */
static int find_folder(char dir[PATH_MAX])
{
	static const char *const places[] = {"/../../migrations", "/../../share/ugtj/migrations"};
	const char *given = getenv("UGTJ_MIGRATIONS_DIR");
	char self[PATH_MAX];
	char path[PATH_MAX + 64];
	ssize_t len;

	if (given != NULL && given[0] != '\0')
		return realpath(given, dir) == NULL ? -errno : 0;
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len < 0)
		return -errno;
	self[len] = '\0';
	*strrchr(self, '/') = '\0'; /* an absolute path */
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", self, places[i]);
		if (is_folder(path))
			return realpath(path, dir) == NULL ? -errno : 0;
	}
	return -ENOENT;
}

static int run_command(const struct command *c, struct runner_options *o, struct report *r)
{
	char dir[PATH_MAX];
	int rc = settings_read_file(".env", r->errors);

	if (rc < 0)
		return EXIT_CONFIG;
	rc = find_folder(dir);
	if (rc < 0) {
		(void)fprintf(r->errors, "the folder with the migrations: %s\n", strerror(-rc));
		return EXIT_CONFIG;
	}
	o->dir = dir;
	return c->run(o, r);
}

int main(int argc, char **argv)
{
	struct runner_options options = {.count = 0};
	struct report report;
	const struct command *c;
	bool json = false;
	int used = 0;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0)
			return say_usage(stdout, EXIT_OK);
	c = find_command(argc - 1, argv + 1, &used);
	if (c == NULL)
		return say_usage(stderr, EXIT_USAGE);
	for (int i = 1 + used; i < argc; i++)
		if (!take_word(c, argv[i], &options, &json))
			return say_usage(stderr, EXIT_USAGE);
	if ((c->flags & TAKES_NAME) != 0 && options.name == NULL)
		return say_usage(stderr, EXIT_USAGE);
	if (options.count == 0)
		options.count = 1;
	if (report_init(&report, json) < 0)
		return report_end(&report, EXIT_WORLD);
	return report_end(&report, run_command(c, &options, &report));
}
