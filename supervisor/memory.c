/* memory.c - how much memory a child holds. See node.h.
 *
 * The supervisor looks, rather than setting RLIMIT_DATA: a limit counts what threads reserve for
 * their stacks, and the child would learn of it in the middle of anything, without a word in the
 * log that says why.
 */
#include "supervisor/node.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int64_t memory_resident_mb(pid_t pid)
{
	char path[64];
	char line[128];
	char *second;
	ssize_t got;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, line, sizeof(line) - 1);
	(void)close(fd);
	if (got <= 0)
		return 0;
	line[got] = '\0';
	(void)strtoll(line, &second, 10); /* the first number is the address space */
	return strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE) / (1024 * 1024);
}
