/* main.c - build/ugtj, the one program: the server, and the way to all its commands.
 *
 * The server is the root supervisor and knows nothing but its tree. What needs a library (database,
 * messages) is a program of its own in libexec, which this one becomes.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "base/kernel.h"
#include "base/log.h"
#include "base/settings.h"
#include "supervisor/commands.h"
#include "supervisor/supervisor.h"
#include "supervisor/tree.h"

#define ENV_FILE ".env"

/* --- where the other programs are --- */

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Next to us in a build, ../libexec/ugtj when installed. Returns 0 or a negative errno. */
static int find_libexec(char out[PATH_MAX])
{
	static const char *const places[] = {"libexec", "../libexec/ugtj"};
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0)
		return -errno;
	self[len] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (snprintf(out, PATH_MAX, "%s/%s", self, places[i]) < PATH_MAX &&
		    is_directory(out))
			return 0;
	return -ENOENT;
}

/* --- commands --- */

/* Says everything that is wrong with the settings at once. Returns an exit code. */
static int check_settings(void)
{
	int rc = settings_read_file(ENV_FILE, stderr);
	int wrong = settings_check(stderr);

	if (rc < 0 && rc != -EINVAL) /* its own complaints are on stderr already */
		(void)fprintf(stderr, "%s cannot be read: %s\n", ENV_FILE, strerror(-rc));
	return rc < 0 || wrong > 0 ? EXIT_CONFIG : EXIT_OK;
}

static int no_arguments(int argc, char **argv)
{
	if (argc <= 2)
		return EXIT_OK;
	(void)fprintf(stderr, "ugtj %s takes no arguments\n", argv[1]);
	return EXIT_USAGE;
}

int command_check(int argc, char **argv)
{
	int code = no_arguments(argc, argv);

	if (code == EXIT_OK)
		code = check_settings();
	if (code == EXIT_OK)
		(void)puts("configuration OK");
	return code;
}

/* Children have another working directory than we: what they read in RUN_DIR must be absolute. */
static int make_run_dir_absolute(void)
{
	const char *given = setting_text(RUN_DIR);
	char here[PATH_MAX];
	char *absolute = NULL;
	int rc;

	if (given[0] == '/')
		return 0;
	if (getcwd(here, sizeof(here)) == NULL)
		return -errno;
	if (asprintf(&absolute, "%s/%s", here, given) < 0)
		return -ENOMEM;
	rc = setenv("RUN_DIR", absolute, 1) < 0 ? -errno : 0;
	free(absolute);
	return rc;
}

/* Says once what the actors, each for itself, would have to say. */
static void tell_sandbox(void)
{
	const int landlock = kernel_landlock_version();
	const bool seccomp = kernel_has_seccomp();

	if (!setting_bool(SANDBOX))
		log_warn("sandbox.off",
			 "why=\"SANDBOX=off: actors keep all rights of their user\"");
	else if (landlock == 0 || !seccomp)
		log_warn("sandbox.partial",
			 "landlock=%d seccomp=%s why=\"the kernel or the container has no more\"",
			 landlock, seccomp ? "yes" : "no");
	else
		log_info("sandbox.on", "landlock=%d seccomp=yes", landlock);
}

int command_server(int argc, char **argv)
{
	struct supervisor_options options = {.root = &tree_root};
	char libexec[PATH_MAX];
	int code = no_arguments(argc, argv);
	int rc;

	if (code == EXIT_OK)
		code = check_settings();
	if (code != EXIT_OK)
		return code;
	log_open("supervisor", 0);
	log_set_level((enum log_level)log_level_parse(setting_text(LOG_LEVEL)));
	rc = find_libexec(libexec);
	if (rc < 0)
		fatal("libexec.missing",
		      "error=\"%s\" hint=\"the actors' programs must be beside this one\"",
		      strerror(-rc));
	rc = settings_hide_secrets();
	if (rc < 0)
		fatal("secrets.failed", "error=\"%s\"", strerror(-rc));
	rc = make_run_dir_absolute();
	if (rc < 0)
		fatal("run_dir.failed", "error=\"%s\"", strerror(-rc));
	options.run_dir = setting_text(RUN_DIR);
	options.libexec = libexec;
	options.max_restarts = (unsigned)setting_int(MAX_RESTARTS);
	options.period_ms = setting_int(MAX_SECONDS) * 1000;
	options.max_children = (unsigned)setting_int(MAX_FETCHERS);
	log_info("server.start", "version=%s run_dir=%s", UGTJ_VERSION, options.run_dir);
	tell_sandbox();
	return supervisor_run(&options);
}

/* Becomes the program in libexec that serves the command. */
static int become(const char *program, char **argv)
{
	char libexec[PATH_MAX];
	char *path = NULL;
	int rc = find_libexec(libexec);

	if (settings_read_file(ENV_FILE, stderr) < 0)
		return EXIT_CONFIG;
	if (rc == 0 && asprintf(&path, "%s/%s", libexec, program) < 0)
		rc = -ENOMEM;
	if (rc == 0) {
		(void)execv(path, argv);
		rc = -errno;
		free(path);
	}
	(void)fprintf(stderr, "ugtj: the program %s cannot be run: %s\n", program, strerror(-rc));
	return EXIT_UNAVAILABLE;
}

int main(int argc, char **argv)
{
	const struct command *command = argc < 2 ? NULL : command_find(argv[1]);

	if (command == NULL) {
		if (argc >= 2)
			(void)fprintf(stderr, "ugtj: there is no command '%s'\n\n", argv[1]);
		command_list(stderr);
		return EXIT_USAGE;
	}
	if (command->run != NULL)
		return command->run(argc, argv);
	return become(command->program, argv);
}
