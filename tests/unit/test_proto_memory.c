/* test_proto_memory.c - memory that runs out at any point is said with -ENOMEM, and leaks nothing
 * (a sanitizer build sees leaks).
 *
 * The arena is given less and less; realloc(), by which msgpack-c's buffer and ours grow, fails at
 * a chosen call (--wrap=realloc).
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto_random.h"

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

static unsigned fails_in; /* calls until one fails; 0: none will */

void *__wrap_realloc(void *p, size_t size)
{
	if (fails_in > 0 && --fails_in == 0)
		return NULL;
	return __real_realloc(p, size);
}

static void for_every_record(void (*fn)(const struct record *record, const void *value))
{
	struct arena arena = test_arena();
	struct random r = {.state = 17, .kind = RANDOM_SMALL, .arena = &arena};

	for (const struct record *const *record = all_records; *record != NULL; record++) {
		void *value = arena_alloc(&arena, (*record)->size);

		assert_non_null(value);
		random_record(&r, *record, value);
		fn(*record, value);
		arena_reset(&arena);
	}
	arena_fini(&arena);
}

/* Decodes with every size of arena from nothing to what it takes, in steps of an allocation. */
static void starve_readers(const struct record *record, const void *value)
{
	char *text = codec_to_json_text(record, value, NULL);
	void *back = malloc(record->size);
	void *bytes = NULL;
	size_t len;
	size_t limit = 0;
	int rc = -ENOMEM;

	assert_non_null(text);
	assert_non_null(back);
	assert_int_equal(codec_pack(record, value, &bytes, &len, NULL), 0);
	for (; rc == -ENOMEM; limit += 16) {
		struct codec_problem problem = {"untouched", ""};
		struct arena arena;
		int json_rc;

		arena_init(&arena, limit);
		rc = codec_unpack(record, bytes, len, &arena, back, &problem);
		assert_true(rc == 0 || rc == -ENOMEM);
		assert_int_equal(rc<0, strlen(problem.message)> 0);
		arena_reset(&arena);
		json_rc = codec_from_json_text(record, text, strlen(text), &arena, back, NULL);
		assert_int_equal(rc, json_rc);
		arena_fini(&arena);
	}
	free(bytes);
	free(back);
	free(text);
}

static void an_arena_that_is_too_small_is_said(void **state)
{
	(void)state;
	for_every_record(starve_readers);
}

static int pack_once(const struct record *record, const void *value)
{
	struct codec_problem problem = {"untouched", ""};
	void *bytes = NULL;
	size_t len;
	int rc = codec_pack(record, value, &bytes, &len, &problem);

	assert_int_equal(rc == 0, bytes != NULL);
	if (rc < 0)
		assert_string_equal(problem.field, "");
	free(bytes);
	return rc;
}

static int to_json_once(const struct record *record, const void *value)
{
	struct codec_problem problem = {"untouched", ""};
	char *text = codec_to_json_text(record, value, &problem);
	int rc = text == NULL ? -ENOMEM : 0;

	if (rc < 0)
		assert_string_equal(problem.field, "");
	free(text);
	return rc;
}

static void starve_writer(int (*write)(const struct record *record, const void *value),
			  const struct record *record, const void *value)
{
	unsigned calls = 0;

	for (;;) {
		int rc;

		fails_in = ++calls;
		rc = write(record, value);
		if (fails_in > 0)
			break; /* it took fewer calls than that */
		assert_int_equal(rc, -ENOMEM);
	}
	assert_true(calls > 1); /* the wrapper was in use */
	fails_in = 0;
	assert_int_equal(write(record, value), 0);
}

static void starve_writers(const struct record *record, const void *value)
{
	starve_writer(pack_once, record, value);
	starve_writer(to_json_once, record, value);
}

static void memory_that_runs_out_while_writing_is_said(void **state)
{
	(void)state;
	for_every_record(starve_writers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_arena_that_is_too_small_is_said),
		cmocka_unit_test(memory_that_runs_out_while_writing_is_said),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
