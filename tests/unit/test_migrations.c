/* test_migrations.c - the migration files, the plan made of them, and lines in SQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "migrations/plan.h"
#include "migrations/sql_text.h"

/* What the code under test complains of. */
struct complaints {
	FILE *file;
	char *text;
	size_t size;
};

static struct complaints complaints;

static int setup(void **state)
{
	(void)state;
	complaints.file = open_memstream(&complaints.text, &complaints.size);
	return complaints.file == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)fclose(complaints.file);
	free(complaints.text);
	return 0;
}

static void assert_complaint(const char *part)
{
	(void)fflush(complaints.file);
	if (strstr(complaints.text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, complaints.text);
}

static struct migration_set set_of(const char *const *files)
{
	struct migration_set set = {.items = NULL};

	for (; *files != NULL; files++)
		assert_int_equal(migration_set_add(&set, *files), 0);
	return set;
}

static void sorts_by_number_and_joins_up_with_down(void **state)
{
	static const char *const files[] = {"0002_b.down.sql", "0001_a.up.sql", "README.md",
					    "0002_b.up.sql",   "runner.c",	NULL};
	struct migration_set set = set_of(files);
	char file[MIGRATION_FILE_SIZE];

	(void)state;
	assert_int_equal(migration_set_check(&set, complaints.file), 0);
	assert_int_equal(set.count, 2);
	assert_string_equal(set.items[0].name, "a");
	assert_false(set.items[0].has_down);
	assert_true(set.items[1].has_down);
	assert_string_equal(migration_file(&set.items[1], MIGRATION_DOWN, file), "0002_b.down.sql");
	migration_set_fini(&set);
}

static void refuses_names_that_are_not_of_the_form(void **state)
{
	static const char *const wrong[] = {"1_a.up.sql",
					    "00001_a.up.sql",
					    "0001_A.up.sql",
					    "0001_.up.sql",
					    "0001a.up.sql",
					    "0001_a.sql",
					    "0000_a.up.sql",
					    "-001_a.up.sql",
					    "0001_a-b.up.sql",
					    " 001_a.up.sql",
					    ".up.sql",
					    "0001_.down.sql",
					    "99999999999999999999_a.up.sql"};
	struct migration_set set = {.items = NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (migration_set_add(&set, wrong[i]) != -EINVAL)
			fail_msg("%s was taken", wrong[i]);
	assert_int_equal(set.count, 0);
	migration_set_fini(&set);
}

static void goes_on_after_9999(void **state)
{
	static const char *const files[] = {"10000_a.up.sql", NULL};
	struct migration_set set = set_of(files);

	(void)state;
	assert_int_equal(set.items[0].version, 10000);
	migration_set_fini(&set);
}

static void complains_of_numbers(void **state)
{
	static const char *const files[] = {"0001_a.up.sql", "0002_b.up.sql", "0002_c.up.sql",
					    "0005_d.up.sql", NULL};
	struct migration_set set = set_of(files);

	(void)state;
	assert_int_equal(migration_set_check(&set, complaints.file), 2);
	assert_complaint("0002_b and 0002_c have the same number");
	assert_complaint("0002_c is followed by 0005_d, 0003 is missing");
	migration_set_fini(&set);
}

static void complains_of_a_first_that_is_not_one(void **state)
{
	static const char *const files[] = {"0002_b.up.sql", NULL};
	struct migration_set set = set_of(files);

	(void)state;
	assert_int_equal(migration_set_check(&set, complaints.file), 1);
	assert_complaint("0002_b is the first");
	migration_set_fini(&set);
}

static void complains_of_a_down_file_alone(void **state)
{
	static const char *const files[] = {"0001_a.down.sql", NULL};
	struct migration_set set = set_of(files);

	(void)state;
	assert_int_equal(migration_set_check(&set, complaints.file), 1);
	assert_complaint("0001_a.up.sql is missing");
	migration_set_fini(&set);
}

static void checksum_is_sha256(void **state)
{
	char hex[MIGRATION_CHECKSUM_SIZE];

	(void)state;
	assert_int_equal(migration_checksum("abc", 3, hex), 0);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void creates_the_next_pair_once(void **state)
{
	char dir[] = "/tmp/ugtj-migrations-XXXXXX";
	struct migration_set set;
	struct migration m;
	char path[128];

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(migration_create(dir, "Bad name", complaints.file, &m), -EINVAL);
	assert_int_equal(migration_create(dir, "first", complaints.file, &m), 0);
	assert_int_equal(m.version, 1);
	assert_int_equal(migration_create(dir, "second", complaints.file, &m), 0);
	assert_int_equal(m.version, 2);
	assert_int_equal(migration_set_load(dir, complaints.file, &set), 0);
	assert_int_equal(set.count, 2);
	assert_true(set.items[1].has_up && set.items[1].has_down);
	assert_int_equal(strlen(set.items[1].checksum), 64);
	for (size_t i = 0; i < set.count; i++)
		for (int d = MIGRATION_UP; d <= MIGRATION_DOWN; d++) {
			char file[MIGRATION_FILE_SIZE];

			(void)snprintf(path, sizeof(path), "%s/%s", dir,
				       migration_file(&set.items[i], d, file));
			assert_int_equal(unlink(path), 0);
		}
	migration_set_fini(&set);
	assert_int_equal(rmdir(dir), 0);
}

static void says_which_folder_is_not_there(void **state)
{
	struct migration_set set;

	(void)state;
	assert_int_equal(migration_set_load("/nowhere", complaints.file, &set), -ENOENT);
	assert_complaint("/nowhere: ");
}

/* Three files, each whole, with checksums "1", "2", "3". */
static struct migration_set three_files(void)
{
	static const char *const files[] = {"0001_a.up.sql",
					    "0002_b.up.sql",
					    "0003_c.up.sql",
					    "0001_a.down.sql",
					    "0002_b.down.sql",
					    "0003_c.down.sql",
					    NULL};
	struct migration_set set = set_of(files);

	assert_int_equal(migration_set_check(&set, complaints.file), 0);
	for (size_t i = 0; i < set.count; i++)
		set.items[i].checksum[0] = (char)('1' + i);
	return set;
}

static struct applied records[] = {
	{.version = 1, .name = "a", .checksum = "1", .applied_at = "monday"},
	{.version = 2, .name = "b", .checksum = "2", .applied_at = "tuesday"},
	{.version = 3, .name = "c", .checksum = "3", .applied_at = "friday"},
	{.version = 4, .name = "d", .checksum = "4", .applied_at = "sunday"},
};

static struct plan plan_of(const struct migration_set *files, struct applied *items, size_t count)
{
	struct applied_list list = {items, count};
	struct plan p;

	assert_int_equal(plan_init(files, &list, &p), 0);
	return p;
}

static void plans_what_is_pending_upwards(void **state)
{
	struct migration_set files = three_files();
	struct plan p = plan_of(&files, records, 1);

	(void)state;
	assert_int_equal(plan_up(&p, complaints.file), 0);
	assert_int_equal(p.step_count, 2);
	assert_int_equal(p.steps[0]->version, 2);
	assert_int_equal(p.steps[1]->version, 3);
	plan_fini(&p);
	migration_set_fini(&files);
}

static void plans_nothing_when_all_is_applied(void **state)
{
	struct migration_set files = three_files();
	struct plan p = plan_of(&files, records, 3);

	(void)state;
	assert_int_equal(plan_up(&p, complaints.file), 0);
	assert_int_equal(p.step_count, 0);
	plan_fini(&p);
	migration_set_fini(&files);
}

static void plans_the_last_ones_downwards(void **state)
{
	struct migration_set files = three_files();
	struct plan p = plan_of(&files, records, 3);

	(void)state;
	assert_int_equal(plan_down(&p, 2, complaints.file), 0);
	assert_int_equal(p.step_count, 2);
	assert_int_equal(p.steps[0]->version, 3);
	assert_int_equal(p.steps[1]->version, 2);
	assert_int_equal(plan_down(&p, INT64_MAX, complaints.file), 0);
	assert_int_equal(p.step_count, 3);
	plan_fini(&p);
	migration_set_fini(&files);
}

static void refuses_up_over_a_changed_file_but_rolls_it_back(void **state)
{
	struct migration_set files = three_files();
	struct plan p;

	(void)state;
	files.items[1].checksum[0] = 'x';
	p = plan_of(&files, records, 2);
	assert_int_equal(p.rows[1].state, PLAN_CHANGED);
	assert_int_equal(plan_up(&p, complaints.file), 1);
	assert_complaint("0002_b.up.sql has changed since it was applied at tuesday");
	assert_int_equal(plan_down(&p, 1, complaints.file), 0);
	assert_int_equal(p.step_count, 1);
	plan_fini(&p);
	migration_set_fini(&files);
}

static void refuses_another_file_with_an_applied_number(void **state)
{
	struct migration_set files = three_files();
	struct plan p;

	(void)state;
	files.items[1].name[0] = 'z';
	p = plan_of(&files, records, 2);
	assert_int_equal(plan_up(&p, complaints.file), 1);
	assert_complaint("0002_z.up.sql has the number of 0002_b");
	assert_int_equal(plan_down(&p, 1, complaints.file), 1);
	plan_fini(&p);
	migration_set_fini(&files);
}

static void refuses_a_record_without_its_file(void **state)
{
	struct migration_set files = three_files();
	struct plan p = plan_of(&files, records, 4);

	(void)state;
	assert_int_equal(p.rows[3].state, PLAN_MISSING);
	assert_int_equal(plan_up(&p, complaints.file), 1);
	assert_int_equal(plan_down(&p, 1, complaints.file), 1);
	assert_complaint("0004_d was applied at sunday and its file is missing");
	plan_fini(&p);
	migration_set_fini(&files);
}

static void refuses_to_fill_a_hole_below_later_ones(void **state)
{
	struct migration_set files = three_files();
	struct plan p = plan_of(&files, records + 2, 1);

	(void)state;
	assert_int_equal(plan_up(&p, complaints.file), 2);
	assert_complaint("0001_a was never applied and the later 0003_c was");
	plan_fini(&p);
	migration_set_fini(&files);
}

static void refuses_to_roll_back_without_a_down_file(void **state)
{
	struct migration_set files = three_files();
	struct plan p;

	(void)state;
	files.items[2].has_down = false;
	p = plan_of(&files, records, 3);
	assert_int_equal(plan_up(&p, complaints.file), 0);
	assert_int_equal(plan_down(&p, 1, complaints.file), 1);
	assert_complaint("0003_c.down.sql is missing");
	plan_fini(&p);
	migration_set_fini(&files);
}

static void finds_the_line_of_a_position_in_characters(void **state)
{
	(void)state;
	assert_int_equal(sql_line_of_position("select 1;\nselect x;", 1), 1);
	assert_int_equal(sql_line_of_position("select 1;\nselect x;", 18), 2);
	/* nine characters, then the end of the line: 18 bytes */
	assert_int_equal(sql_line_of_position("абвгдежзи\nselect x", 10), 1);
	assert_int_equal(sql_line_of_position("абвгдежзи\nselect x", 11), 2);
	assert_int_equal(sql_line_of_position("a\nb", 99), 2);
}

static void finds_the_line_of_a_statement(void **state)
{
	static const char *const text = "-- one; two\n"			   /* 1 */
					"select ';\n' as \"a;b\";\n"	   /* 2, 3 */
					"/* ; /* ; */ ; */ ;;\n"	   /* 4 */
					"do $x$ begin; $y$ ;\n end $x$;\n" /* 5, 6 */
					"select E'\\';', 'it''s;', $1;\n"  /* 7 */
					"create table a$b (c int)\n;\n"	   /* 8, 9 */
					"select 1";			   /* 10 */
	static const int lines[] = {2, 5, 7, 8, 10, 10};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(sql_line_of_statement(text, i), lines[i]);
	assert_int_equal(sql_line_of_statement("", 0), 1);
	assert_int_equal(sql_line_of_statement("'never closed\n", 0), 1);
	assert_int_equal(sql_line_of_statement("$$never closed\n", 1), 2);
	assert_int_equal(sql_line_of_statement("/* never closed\n", 0), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(sorts_by_number_and_joins_up_with_down),
		TEST(refuses_names_that_are_not_of_the_form),
		TEST(goes_on_after_9999),
		TEST(complains_of_numbers),
		TEST(complains_of_a_first_that_is_not_one),
		TEST(complains_of_a_down_file_alone),
		TEST(checksum_is_sha256),
		TEST(creates_the_next_pair_once),
		TEST(says_which_folder_is_not_there),
		TEST(plans_what_is_pending_upwards),
		TEST(plans_nothing_when_all_is_applied),
		TEST(plans_the_last_ones_downwards),
		TEST(refuses_up_over_a_changed_file_but_rolls_it_back),
		TEST(refuses_another_file_with_an_applied_number),
		TEST(refuses_a_record_without_its_file),
		TEST(refuses_to_fill_a_hole_below_later_ones),
		TEST(refuses_to_roll_back_without_a_down_file),
		TEST(finds_the_line_of_a_position_in_characters),
		TEST(finds_the_line_of_a_statement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
