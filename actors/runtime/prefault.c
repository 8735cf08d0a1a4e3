/* prefault.c - learns from /proc/self/pagemap which pages a copy touches, and has them at once. See
 * prefault.h.
 */
#include "actors/runtime/prefault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define ROWS_MAX       512
#define PAGES_MAX      ((size_t)4096) /* the first ones of a mapping */
#define GAP_PAGES      2	      /* of a file: to read them too costs less than another call */

/* The bits of an entry of pagemap. */
#define PAGE_PRESENT   (UINT64_C(1) << 63)
#define PAGE_OF_FILE   (UINT64_C(1) << 61)
#define PAGE_EXCLUSIVE (UINT64_C(1) << 56)

/* Pages side by side that need the same. */
struct row {
	char *start;
	size_t bytes;
	int advice;
};

static struct {
	struct row rows[ROWS_MAX];
	size_t count;
} learned;

/* --- the look, in the child that rehearsed --- */

/* Which advice would have got the page; 0: none is needed. A written page is this process's alone; what
 * it shares with the one that it is a copy of, it has not written. */
static int advice_for(uint64_t page, bool writable)
{
	const bool of_file = (page & PAGE_OF_FILE) != 0;

	if ((page & PAGE_PRESENT) == 0)
		return 0;
	if (writable)
		return !of_file && (page & PAGE_EXCLUSIVE) != 0 ? MADV_POPULATE_WRITE : 0;
	return of_file ? MADV_POPULATE_READ : 0;
}

static void note_page(char *address, size_t page_bytes, int advice)
{
	struct row *last = learned.count == 0 ? NULL : &learned.rows[learned.count - 1];
	const size_t gap = advice == MADV_POPULATE_READ ? GAP_PAGES * page_bytes : 0;

	if (last != NULL && last->advice == advice &&
	    (size_t)(address - (last->start + last->bytes)) <= gap) {
		last->bytes = (size_t)(address - last->start) + page_bytes;
		return;
	}
	if (learned.count < ROWS_MAX)
		learned.rows[learned.count++] = (struct row){address, page_bytes, advice};
}

/* pages: room for PAGES_MAX entries. */
static void look_at(int pagemap, uint64_t *pages, char *start, const char *end, bool writable)
{
	const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	size_t count = (size_t)(end - start) / page_bytes;
	ssize_t n;

	if (count > PAGES_MAX)
		count = PAGES_MAX;
	n = pread(pagemap, pages, count * sizeof(*pages),
		  (off_t)((uintptr_t)start / page_bytes * sizeof(*pages)));
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(*pages); i++) {
		int advice = advice_for(pages[i], writable);

		if (advice != 0)
			note_page(start + i * page_bytes, page_bytes, advice);
	}
}

static char *address_in(const char *text, char **rest)
{
	uintptr_t address = strtoull(text, rest, 16);

	return (char *)address; /* NOLINT(performance-no-int-to-ptr) */
}

/* Reads "START-END rwxp ..." of /proc/PID/maps: one of this process's own that it can read. */
static bool read_mapping(const char *line, char **start, const char **end, bool *writable)
{
	char *rest;

	*start = address_in(line, &rest);
	if (*rest != '-')
		return false;
	*end = address_in(rest + 1, &rest);
	if (strlen(rest) < 5 || rest[1] != 'r' || rest[4] != 'p')
		return false;
	*writable = rest[2] == 'w';
	return true;
}

static void look(void)
{
	const size_t room = PAGES_MAX * sizeof(uint64_t);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	FILE *maps = fopen("/proc/self/maps", "re");
	void *pages = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char line[512];

	if (pagemap < 0 || maps == NULL || pages == MAP_FAILED)
		return; /* the process ends soon */
	while (fgets(line, sizeof(line), maps) != NULL) {
		const char *end;
		bool writable;
		char *start;

		if (read_mapping(line, &start, &end, &writable))
			look_at(pagemap, pages, start, end, writable);
	}
	(void)fclose(maps);
}

static void rehearse_and_tell(void (*rehearsal)(void), int fd)
{
	const char *bytes = (const char *)learned.rows;
	size_t left;
	ssize_t n = 1;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	learned.count = 0;
	rehearsal();
	look();
	left = learned.count * sizeof(learned.rows[0]);
	for (; left > 0 && n > 0; left -= (size_t)n, bytes += n)
		n = write(fd, bytes, left);
}

/* --- the process and its copies --- */

/* What the child mapped for itself, the stacks of its threads for one, is not here. */
static void forget_strangers(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < learned.count; i++)
		if (msync(learned.rows[i].start, learned.rows[i].bytes, MS_ASYNC) == 0)
			learned.rows[kept++] = learned.rows[i];
	learned.count = kept;
}

void prefault_learn(void (*rehearsal)(void))
{
	char *bytes = (char *)learned.rows;
	size_t used = 0;
	int ends[2];
	pid_t pid;
	ssize_t n;

	learned.count = 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		rehearse_and_tell(rehearsal, ends[1]);
		_exit(0);
	}
	(void)close(ends[1]);
	do {
		n = read(ends[0], bytes + used, sizeof(learned.rows) - used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	(void)close(ends[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	learned.count = used / sizeof(learned.rows[0]);
	forget_strangers();
}

void prefault(void)
{
	for (size_t i = 0; i < learned.count; i++)
		(void)madvise(learned.rows[i].start, learned.rows[i].bytes, learned.rows[i].advice);
}
