/* bare_fork.c - what restart_latency.py is compared with: a process made and ended, so many times.
 *
 *     bare_fork fork COUNT       fork(), and the child ends at once
 *     bare_fork PROGRAM COUNT    posix_spawn() of it, without arguments; what it prints is dropped
 *
 * Prints the milliseconds of each, from the call until the child was waited for, a line each.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static pid_t make_by_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static pid_t make_by_exec(char *program)
{
	char *argv[] = {program, NULL};
	posix_spawn_file_actions_t quiet;
	pid_t pid = -1;

	if (posix_spawn_file_actions_init(&quiet) != 0)
		return -1;
	if (posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0) !=
		    0 ||
	    posix_spawn(&pid, program, &quiet, NULL, argv, environ) != 0)
		pid = -1;
	(void)posix_spawn_file_actions_destroy(&quiet);
	return pid;
}

int main(int argc, char **argv)
{
	long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	if (count <= 0) {
		(void)fprintf(stderr, "usage: bare_fork fork|PROGRAM COUNT\n");
		return 64;
	}
	for (long i = 0; i < count; i++) {
		double began = now_ms();
		pid_t pid = strcmp(argv[1], "fork") == 0 ? make_by_fork() : make_by_exec(argv[1]);

		if (pid < 0 || waitpid(pid, NULL, 0) != pid) {
			perror("bare_fork");
			return 71;
		}
		(void)printf("%.4f\n", now_ms() - began);
	}
	return 0;
}
