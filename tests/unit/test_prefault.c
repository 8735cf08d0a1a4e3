/* test_prefault.c - what a rehearsal touched, a copy has before it touches it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "actors/runtime/prefault.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGES	       64
#define PAGE_BYTES     ((size_t)sysconf(_SC_PAGESIZE))
#define PAGE_EXCLUSIVE (UINT64_C(1) << 56)

static unsigned char *memory; /* PAGES, all of them written */

static int setup(void **state)
{
	(void)state;
	memory = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (memory == MAP_FAILED || madvise(memory, PAGES * PAGE_BYTES, MADV_NOHUGEPAGE) < 0)
		return -1;
	memset(memory, 1, PAGES * PAGE_BYTES);
	return 0;
}

static bool is_rehearsed(size_t page)
{
	return page == 3 || (page >= 10 && page < 14) || page == PAGES - 1;
}

static void rehearsal(void)
{
	for (size_t i = 0; i < PAGES; i++)
		if (is_rehearsed(i))
			memory[i * PAGE_BYTES] = 2;
		else if (memory[i * PAGE_BYTES] != 1) /* read */
			_exit(1);
}

static void nothing(void)
{
}

static void failing(void)
{
	_exit(3);
}

/* Of a copy that has touched nothing: bit i is whether page i is its own all the same. */
static uint64_t owned_by_a_copy(void)
{
	uint64_t owned = 0;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		uint64_t entries[PAGES];
		int pagemap = open("/proc/self/pagemap", O_RDONLY);
		off_t at = (off_t)((uintptr_t)memory / PAGE_BYTES * sizeof(entries[0]));

		prefault();
		if (pread(pagemap, entries, sizeof(entries), at) != (ssize_t)sizeof(entries))
			_exit(1);
		for (size_t i = 0; i < PAGES; i++)
			owned |= (entries[i] & PAGE_EXCLUSIVE) != 0 ? UINT64_C(1) << i : 0;
		_exit(write(ends[1], &owned, sizeof(owned)) != sizeof(owned));
	}
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], &owned, sizeof(owned)), sizeof(owned));
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return owned;
}

static void a_copy_has_what_was_written_and_nothing_else(void **state)
{
	uint64_t expected = 0;

	(void)state;
	if (madvise(memory, PAGE_BYTES, MADV_POPULATE_WRITE) < 0)
		skip(); /* Linux before 5.14 */
	for (size_t i = 0; i < PAGES; i++)
		expected |= is_rehearsed(i) ? UINT64_C(1) << i : 0;
	assert_int_equal(owned_by_a_copy(), 0);
	prefault_learn(rehearsal);
	assert_int_equal(owned_by_a_copy(), expected);
}

static void what_was_learned_before_is_forgotten(void **state)
{
	(void)state;
	prefault_learn(rehearsal);
	prefault_learn(nothing);
	assert_int_equal(owned_by_a_copy(), 0);
}

static void a_rehearsal_that_fails_teaches_nothing(void **state)
{
	(void)state;
	prefault_learn(rehearsal);
	prefault_learn(failing);
	assert_int_equal(owned_by_a_copy(), 0);
}

static void what_is_there_is_not_changed(void **state)
{
	(void)state;
	prefault_learn(rehearsal);
	prefault();
	for (size_t i = 0; i < PAGES * PAGE_BYTES; i++)
		assert_int_equal(memory[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_has_what_was_written_and_nothing_else),
		cmocka_unit_test(what_was_learned_before_is_forgotten),
		cmocka_unit_test(a_rehearsal_that_fails_teaches_nothing),
		cmocka_unit_test(what_is_there_is_not_changed),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
