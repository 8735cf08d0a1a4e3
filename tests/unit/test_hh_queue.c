/* test_hh_queue.c - turns: between the classes, between users, and for a user's own requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "actors/hh_client/hh_queue.h"

struct item {
	struct hh_entry entry; /* first */
	char name[16];
};

static struct hh_queue queue;
static struct item items[200];
static size_t used;

static int setup(void **state)
{
	(void)state;
	memset(items, 0, sizeof(items));
	used = 0;
	hh_queue_init(&queue, 100, 100);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hh_queue_fini(&queue);
	return 0;
}

static struct item *push(enum hh_class class, const char *user, const char *name)
{
	struct item *item = &items[used++];

	(void)snprintf(item->name, sizeof(item->name), "%s", name);
	assert_int_equal(hh_queue_push(&queue, class, user, &item->entry), 0);
	return item;
}

/* Pops until the queue is empty and checks the names, which are separated by blanks. */
static void assert_order(const char *names)
{
	char got[1024] = "";
	struct hh_entry *entry;

	while ((entry = hh_queue_pop(&queue)) != NULL) {
		struct item *item = (struct item *)entry;
		size_t len = strlen(got);

		(void)snprintf(got + len, sizeof(got) - len, "%s%s", len > 0 ? " " : "",
			       item->name);
	}
	assert_string_equal(got, names);
}

static void users_take_turns_however_many_they_have(void **state)
{
	(void)state;
	push(HH_BACKGROUND, "a", "a1");
	push(HH_BACKGROUND, "a", "a2");
	push(HH_BACKGROUND, "a", "a3");
	push(HH_BACKGROUND, "b", "b1");
	push(HH_BACKGROUND, "c", "c1");
	push(HH_BACKGROUND, "c", "c2");
	assert_order("a1 b1 c1 a2 c2 a3");
}

static void requests_of_no_user_are_one_user(void **state)
{
	(void)state;
	push(HH_INTERACTIVE, "", "n1");
	push(HH_INTERACTIVE, "", "n2");
	push(HH_INTERACTIVE, "", "n3");
	push(HH_INTERACTIVE, "a", "a1");
	assert_order("n1 a1 n2 n3");
}

static void who_waits_goes_first_but_lets_one_in_four_pass(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		push(HH_BACKGROUND, "b", "b");
	for (int i = 0; i < 8; i++)
		push(HH_INTERACTIVE, "i", "i");
	assert_order("i i i b i i i b i i b b");
}

static void no_turn_is_owed_for_the_time_when_nobody_waited(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		push(HH_INTERACTIVE, "i", "i");
	assert_order("i i i");
	push(HH_INTERACTIVE, "i", "i");
	push(HH_BACKGROUND, "b", "b");
	assert_order("i b");
}

static void a_user_who_comes_back_stands_behind_the_others(void **state)
{
	(void)state;
	push(HH_BACKGROUND, "a", "a1");
	push(HH_BACKGROUND, "b", "b1");
	push(HH_BACKGROUND, "c", "c1");
	assert_string_equal(((struct item *)hh_queue_pop(&queue))->name, "a1");
	push(HH_BACKGROUND, "a", "a2");
	assert_order("b1 c1 a2");
}

static void a_request_that_failed_is_its_users_next(void **state)
{
	struct item *again;

	(void)state;
	again = push(HH_BACKGROUND, "a", "a1");
	push(HH_BACKGROUND, "a", "a2");
	push(HH_BACKGROUND, "b", "b1");
	assert_ptr_equal(hh_queue_pop(&queue), &again->entry);
	assert_int_equal(hh_queue_push_front(&queue, HH_BACKGROUND, "a", &again->entry), 0);
	assert_order("b1 a1 a2");
}

static void removes_from_any_place(void **state)
{
	struct item *first = push(HH_BACKGROUND, "a", "a1");
	struct item *middle = push(HH_BACKGROUND, "a", "a2");
	struct item *last = push(HH_BACKGROUND, "a", "a3");
	struct item *alone = push(HH_BACKGROUND, "b", "b1");

	(void)state;
	push(HH_BACKGROUND, "a", "a4");
	hh_queue_remove(&middle->entry);
	hh_queue_remove(&alone->entry);
	hh_queue_remove(&alone->entry); /* again: nothing */
	assert_false(hh_queue_holds(&alone->entry));
	assert_true(hh_queue_holds(&last->entry));
	hh_queue_remove(&first->entry);
	assert_int_equal(hh_queue_count(&queue, HH_BACKGROUND), 2);
	assert_order("a3 a4");
	assert_int_equal(hh_queue_count(&queue, HH_BACKGROUND), 0);
}

static void the_last_of_a_user_can_be_removed_and_another_added(void **state)
{
	struct item *last;

	(void)state;
	push(HH_BACKGROUND, "a", "a1");
	last = push(HH_BACKGROUND, "a", "a2");
	hh_queue_remove(&last->entry);
	push(HH_BACKGROUND, "a", "a3");
	assert_order("a1 a3");
}

static void refuses_beyond_the_bound_of_a_class(void **state)
{
	struct item one = {0};

	(void)state;
	hh_queue_fini(&queue);
	hh_queue_init(&queue, 1, 2);
	push(HH_BACKGROUND, "a", "a");
	push(HH_BACKGROUND, "b", "b");
	assert_int_equal(hh_queue_push(&queue, HH_BACKGROUND, "c", &one.entry), -ENOSPC);
	push(HH_INTERACTIVE, "i", "i");
	assert_int_equal(hh_queue_push(&queue, HH_INTERACTIVE, "i", &one.entry), -ENOSPC);
	/* but for what had its turn */
	assert_int_equal(hh_queue_push_front(&queue, HH_BACKGROUND, "c", &one.entry), 0);
	assert_int_equal(hh_queue_count(&queue, HH_BACKGROUND), 3);
}

static void tells_how_many_turns_a_newcomer_waits(void **state)
{
	(void)state;
	assert_int_equal(hh_queue_turns(&queue, HH_BACKGROUND), 1);
	for (int i = 0; i < 10; i++)
		push(HH_BACKGROUND, "busy", "x");
	assert_int_equal(hh_queue_turns(&queue, HH_BACKGROUND), 2); /* not behind all ten */
	push(HH_INTERACTIVE, "i", "i");
	assert_int_equal(hh_queue_turns(&queue, HH_BACKGROUND), 3);
	for (int i = 0; i < 50; i++)
		push(HH_INTERACTIVE, "i", "i");
	assert_int_equal(hh_queue_turns(&queue, HH_BACKGROUND), 8); /* three before each turn */
}

static struct item *push_personal(const char *user, const char *name)
{
	items[used].entry.personal = true;
	return push(HH_INTERACTIVE, user, name);
}

static void what_has_its_own_token_can_go_alone(void **state)
{
	(void)state;
	push(HH_INTERACTIVE, "a", "a1");
	push_personal("a", "a2");
	push(HH_INTERACTIVE, "b", "b1");
	push_personal("c", "c1");
	push_personal("a", "a3");
	push(HH_BACKGROUND, "d", "d1");
	assert_int_equal(hh_queue_count_personal(&queue), 3);
	assert_string_equal(((struct item *)hh_queue_pop_personal(&queue))->name, "a2");
	assert_string_equal(((struct item *)hh_queue_pop_personal(&queue))->name,
			    "c1"); /* a's turn is over */
	assert_string_equal(((struct item *)hh_queue_pop_personal(&queue))->name, "a3");
	assert_null(hh_queue_pop_personal(&queue));
	assert_int_equal(hh_queue_count_personal(&queue), 0);
	assert_order("b1 a1 d1");
}

static void own_ones_are_counted_wherever_they_leave(void **state)
{
	struct item *first = push_personal("a", "a1");

	(void)state;
	push_personal("a", "a2");
	hh_queue_remove(&first->entry);
	assert_int_equal(hh_queue_count_personal(&queue), 1);
	assert_int_equal(hh_queue_push_front(&queue, HH_INTERACTIVE, "a", &first->entry), 0);
	assert_int_equal(hh_queue_count_personal(&queue), 2);
	assert_order("a1 a2");
	assert_int_equal(hh_queue_count_personal(&queue), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(users_take_turns_however_many_they_have),
		TEST(requests_of_no_user_are_one_user),
		TEST(who_waits_goes_first_but_lets_one_in_four_pass),
		TEST(no_turn_is_owed_for_the_time_when_nobody_waited),
		TEST(a_user_who_comes_back_stands_behind_the_others),
		TEST(a_request_that_failed_is_its_users_next),
		TEST(removes_from_any_place),
		TEST(the_last_of_a_user_can_be_removed_and_another_added),
		TEST(refuses_beyond_the_bound_of_a_class),
		TEST(tells_how_many_turns_a_newcomer_waits),
		TEST(what_has_its_own_token_can_go_alone),
		TEST(own_ones_are_counted_wherever_they_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
