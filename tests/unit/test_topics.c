/* test_topics.c - who is given which event: reads of all kinds, late, overlapping, cut short. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actors/broadcaster/topics.h"

/* A store of at most so many topics of numbered events. */
#define TOPICS_MAX 8
#define EVENTS_MAX 256

static struct {
	char name[16];
	int64_t last;
	int64_t forgotten; /* up to here nothing is kept */
} stored[TOPICS_MAX];

/* A subscriber that can be full, and checks what it gets. */
struct reader {
	struct subscription sub; /* first */
	int64_t last;		 /* event got; or placed there */
	int room;
	int got;
};

static int64_t *last_of(const char *topic)
{
	for (size_t i = 0; i < TOPICS_MAX; i++) {
		if (stored[i].name[0] == '\0')
			(void)snprintf(stored[i].name, sizeof(stored[i].name), "%s", topic);
		if (strcmp(stored[i].name, topic) == 0)
			return &stored[i].last;
	}
	fail_msg("too many topics");
	return NULL;
}

static int64_t forgotten_of(const char *topic)
{
	for (size_t i = 0; i < TOPICS_MAX; i++)
		if (strcmp(stored[i].name, topic) == 0)
			return stored[i].forgotten;
	return 0;
}

static bool take(struct subscription *sub, const struct event *event, bool first, void *context)
{
	struct reader *r = (struct reader *)sub;
	int64_t oldest = forgotten_of(event->topic) + 1;
	int64_t expected = r->last + 1 > oldest ? r->last + 1 : oldest;

	(void)first;
	(void)context;
	assert_string_equal(topics_name(sub), event->topic);
	if (r->room == 0)
		return false;
	if (event->seq != expected && event->seq != r->last + 1)
		fail_msg("%s: got %lld after %lld", event->topic, (long long)event->seq,
			 (long long)r->last);
	r->last = event->seq;
	r->room--;
	r->got++;
	return true;
}

static bool has_room(struct subscription *sub)
{
	return ((struct reader *)sub)->room > 0;
}

/* What a read, made now, brings. */
struct brought {
	struct event items[EVENTS_MAX];
	struct events events;
};

static void store_read(const struct topics_read *read, size_t limit, struct brought *b)
{
	size_t n = 0;

	b->events.more = false;
	for (size_t i = 0; i < read->count; i++) {
		const char *topic = read->cursors[i].topic;
		int64_t seq = read->cursors[i].seq;

		if (seq < forgotten_of(topic))
			seq = forgotten_of(topic);
		for (seq++; seq <= *last_of(topic); seq++) {
			if (n == limit) {
				b->events.more = true;
				break;
			}
			b->items[n++] = (struct event){
				.topic = topic, .seq = seq, .type = "t", .payload = "{}"};
		}
	}
	b->events.events.items = b->items;
	b->events.events.count = n;
}

/* Reads whatever is to be read until nothing is; returns how many reads that took. */
static int settle(struct topics *t, size_t limit)
{
	static struct brought b;
	struct topics_read *read;
	int reads = 0;

	while ((read = topics_read_live(t, 100)) != NULL ||
	       (read = topics_read_behind(t)) != NULL) {
		store_read(read, limit, &b);
		topics_deliver(t, read, &b.events, take, NULL);
		topics_read_free(&read);
		assert_true(++reads < 10000);
	}
	return reads;
}

static void join(struct topics *t, const char *topic, struct reader *r, int64_t cursor)
{
	*r = (struct reader){.last = cursor, .room = 1000000};
	assert_int_equal(topics_join(t, topic, &r->sub), 0);
	topics_place(t, &r->sub, cursor);
}

static int setup(void **state)
{
	static struct topics t;

	memset(stored, 0, sizeof(stored));
	topics_init(&t);
	*state = &t;
	return 0;
}

static void a_placed_subscription_gets_what_is_later(void **state)
{
	struct topics *t = *state;
	struct reader a;
	struct reader b;

	*last_of("x") = 10;
	join(t, "x", &a, 0);
	join(t, "x", &b, 10);
	(void)settle(t, 100);
	assert_int_equal(a.got, 10);
	assert_int_equal(b.got, 0);
	*last_of("x") = 11;
	topics_bell(t, "x", 11);
	assert_int_equal(settle(t, 100), 1);
	assert_int_equal(a.got, 11);
	assert_int_equal(b.got, 1);
	topics_leave(t, &a.sub);
	assert_int_equal(t->count, 1);
	topics_leave(t, &b.sub);
	topics_leave(t, &b.sub);
	assert_int_equal(t->count, 0);
}

static void nobody_gets_anything_before_being_placed(void **state)
{
	struct topics *t = *state;
	struct reader r = {.room = 10};

	*last_of("x") = 3;
	assert_int_equal(topics_join(t, "x", &r.sub), 0);
	topics_bell(t, "x", 3);
	topics_ring_all(t, has_room);
	assert_int_equal(settle(t, 100), 0);
	topics_leave(t, &r.sub);
}

static void a_name_that_is_too_long_is_no_topic(void **state)
{
	struct topics *t = *state;
	struct reader r = {.room = 10};
	char name[TOPIC_NAME_SIZE + 1];

	memset(name, 'x', sizeof(name));
	name[TOPIC_NAME_SIZE] = '\0';
	assert_int_equal(topics_join(t, name, &r.sub), -ENAMETOOLONG);
	name[TOPIC_NAME_SIZE - 1] = '\0';
	assert_int_equal(topics_join(t, name, &r.sub), 0);
	assert_string_equal(topics_name(&r.sub), name);
	topics_leave(t, &r.sub);
}

static void a_bell_that_tells_nothing_new_is_not_followed(void **state)
{
	struct topics *t = *state;
	struct reader r;

	*last_of("x") = 5;
	join(t, "x", &r, 5);
	(void)settle(t, 100);
	topics_bell(t, "x", 5);
	topics_bell(t, "x", 1);
	topics_bell(t, "unknown", 9);
	assert_int_equal(settle(t, 100), 0);
	topics_ring_all(t, has_room);
	assert_int_equal(settle(t, 100), 1);
	topics_leave(t, &r.sub);
}

static void the_foremost_do_not_wait_for_the_hindmost(void **state)
{
	struct topics *t = *state;
	struct topics_read *live;
	struct reader a;
	struct reader b;

	*last_of("x") = 200;
	join(t, "x", &a, 200);
	join(t, "x", &b, 0);
	*last_of("x") = 201;
	topics_bell(t, "x", 201);
	live = topics_read_live(t, 100);
	assert_non_null(live);
	assert_int_equal(live->cursors[0].seq, 200);
	topics_failed(t, live, TOPICS_RETRY);
	topics_read_free(&live);
	(void)settle(t, 7);
	assert_int_equal(a.got, 1);
	assert_int_equal(b.got, 201);
	topics_leave(t, &a.sub);
	topics_leave(t, &b.sub);
}

static void a_full_one_goes_on_where_it_stopped(void **state)
{
	struct topics *t = *state;
	struct reader full;
	struct reader other;

	*last_of("x") = 50;
	join(t, "x", &full, 0);
	full.room = 20;
	join(t, "x", &other, 0);
	(void)settle(t, 30);
	assert_int_equal(full.got, 20);
	assert_int_equal(other.got, 50);
	full.room = 1000;
	topics_resume(t, &full.sub);
	(void)settle(t, 30);
	assert_int_equal(full.got, 50);
	topics_leave(t, &full.sub);
	topics_leave(t, &other.sub);
}

static void a_forgotten_full_one_is_found_by_the_poll(void **state)
{
	struct topics *t = *state;
	struct reader r;

	*last_of("x") = 5;
	join(t, "x", &r, 0);
	r.room = 0;
	(void)settle(t, 100);
	r.room = 5;
	assert_int_equal(settle(t, 100), 0);
	topics_ring_all(t, has_room);
	(void)settle(t, 100);
	assert_int_equal(r.got, 5);
	topics_leave(t, &r.sub);
}

static void what_is_no_longer_kept_is_not_asked_for_for_ever(void **state)
{
	struct topics *t = *state;
	struct reader a;
	struct reader b;

	*last_of("x") = 20;
	stored[0].forgotten = 20;
	join(t, "x", &a, 20);
	join(t, "x", &b, 3);
	assert_true(settle(t, 100) < 5);
	*last_of("x") = 21;
	topics_bell(t, "x", 21);
	assert_true(settle(t, 100) < 5);
	assert_int_equal(a.got, 1);
	assert_int_equal(b.got, 1);
	topics_leave(t, &a.sub);
	topics_leave(t, &b.sub);
}

static void a_long_history_does_not_starve_other_topics(void **state)
{
	struct topics *t = *state;
	struct reader a;
	struct reader z;
	int reads = 0;

	*last_of("a") = 10000;
	*last_of("z") = 1;
	join(t, "a", &a, 0);
	join(t, "z", &z, 0);
	while (z.got == 0 && reads < 10) {
		static struct brought b;
		struct topics_read *read = topics_read_live(t, 100);

		if (read == NULL)
			read = topics_read_behind(t);
		store_read(read, 10, &b);
		topics_deliver(t, read, &b.events, take, NULL);
		topics_read_free(&read);
		reads++;
	}
	assert_int_equal(z.got, 1);
	assert_true(reads <= 2);
	(void)settle(t, 100);
	assert_int_equal(a.got, 10000);
	topics_leave(t, &a.sub);
	topics_leave(t, &z.sub);
}

static void failed_reads_are_made_again_together_or_alone_or_later(void **state)
{
	struct topics *t = *state;
	struct topics_read *read;
	struct reader a;
	struct reader b;

	join(t, "a", &a, 0);
	join(t, "b", &b, 0);
	read = topics_read_live(t, 100);
	assert_int_equal(read->count, 2);
	topics_failed(t, read, TOPICS_RETRY);
	topics_read_free(&read);
	read = topics_read_live(t, 100);
	assert_int_equal(read->count, 2);
	topics_failed(t, read, TOPICS_RETRY_ALONE);
	topics_read_free(&read);
	assert_null(topics_read_live(t, 100));
	read = topics_read_behind(t);
	assert_int_equal(read->count, 1);
	topics_failed(t, read, TOPICS_RETRY_LATER);
	topics_read_free(&read);
	read = topics_read_behind(t);
	assert_string_equal(read->cursors[0].topic, "b");
	topics_failed(t, read, TOPICS_RETRY_LATER);
	topics_read_free(&read);
	assert_int_equal(settle(t, 100), 0);
	topics_leave(t, &a.sub);
	topics_leave(t, &b.sub);
}

static void what_is_asked_for_while_a_topic_catches_up_is_read_after_it(void **state)
{
	static struct brought b;
	struct topics *t = *state;
	struct topics_read *live;
	struct topics_read *behind;
	struct reader front;
	struct reader back;

	*last_of("x") = 5;
	join(t, "x", &front, 5);
	join(t, "x", &back, 0);
	live = topics_read_live(t, 100);
	behind = topics_read_behind(t);
	store_read(behind, 100, &b);
	assert_null(topics_read_behind(t));
	*last_of("x") = 6;
	topics_failed(t, live, TOPICS_RETRY_ALONE);
	assert_null(topics_read_behind(t));
	topics_deliver(t, behind, &b.events, take, NULL);
	topics_read_free(&live);
	topics_read_free(&behind);
	(void)settle(t, 100);
	assert_int_equal(front.last, 6);
	assert_int_equal(back.last, 6);
	topics_leave(t, &front.sub);
	topics_leave(t, &back.sub);
}

static void a_read_that_outlives_its_topic_does_no_harm(void **state)
{
	static struct brought b;
	struct topics *t = *state;
	struct topics_read *read;
	struct reader a;

	*last_of("x") = 5;
	join(t, "x", &a, 0);
	read = topics_read_live(t, 100);
	store_read(read, 100, &b);
	topics_leave(t, &a.sub);
	topics_deliver(t, read, &b.events, take, NULL);
	topics_failed(t, read, TOPICS_RETRY);
	join(t, "x", &a, 3); /* a new topic of that name: from 0 serves who is at 3 */
	topics_deliver(t, read, &b.events, take, NULL);
	assert_int_equal(a.last, 5);
	topics_read_free(&read);
	topics_leave(t, &a.sub);
}

/* Reads under way at once, whose results come in any order and were made at any moment. */
#define UNDER_WAY 6

struct under_way {
	struct topics_read *read;
	struct brought b;
};

static void end_one(struct topics *t, struct under_way *u)
{
	if (u->read == NULL)
		return;
	if (random() % 8 == 0)
		topics_failed(t, u->read, (enum topics_retry)(random() % 2));
	else
		topics_deliver(t, u->read, &u->b.events, take, NULL);
	topics_read_free(&u->read);
}

static void random_step(struct topics *t, struct reader *readers, size_t count,
			struct under_way *under_way)
{
	static const char *const names[] = {"a", "b", "c"};
	const char *name = names[random() % 3];
	struct reader *r = &readers[(size_t)random() % count];
	struct under_way *u = &under_way[random() % UNDER_WAY];

	switch (random() % 8) {
	case 0: /* somebody comes, goes back, or leaves */
		if (r->sub.topic == NULL)
			join(t, name, r, random() % (1 + *last_of(name)));
		else if (random() % 3 == 0)
			topics_leave(t, &r->sub);
		else
			topics_place(t, &r->sub, r->last = random() % (1 + r->last));
		break;
	case 1: /* somebody is full, or has room again */
		r->room = (int)(random() % 5);
		if (r->room > 0 && r->sub.topic != NULL)
			topics_resume(t, &r->sub);
		break;
	case 2:
	case 3: /* something happens; the bell is heard, or not */
		if (++*last_of(name) % 3 != 0)
			topics_bell(t, name, *last_of(name));
		break;
	case 4:
	case 5: /* a read is made; its result comes later */
		end_one(t, u);
		u->read = random() % 2 ? topics_read_live(t, 1 + (size_t)random() % 3)
				       : topics_read_behind(t);
		if (u->read != NULL)
			store_read(u->read, 1 + (size_t)random() % 20, &u->b);
		break;
	default:
		end_one(t, u);
		break;
	}
}

static void whatever_happens_nobody_skips_or_repeats(void **state)
{
	static struct under_way under_way[UNDER_WAY];
	struct topics *t = *state;
	struct reader readers[12] = {0};
	const size_t count = sizeof(readers) / sizeof(*readers);

	srandom(20);
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 400; i++)
			random_step(t, readers, count, under_way);
		for (size_t i = 0; i < UNDER_WAY; i++)
			end_one(t, &under_way[i]);
		for (size_t i = 0; i < count; i++)
			readers[i].room = 1000000;
		topics_ring_all(t, has_room);
		(void)settle(t, 50);
		for (size_t i = 0; i < count; i++)
			if (readers[i].sub.topic != NULL)
				assert_int_equal(readers[i].last,
						 *last_of(topics_name(&readers[i].sub)));
	}
	for (size_t i = 0; i < count; i++)
		topics_leave(t, &readers[i].sub);
	assert_int_equal(t->count, 0);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_placed_subscription_gets_what_is_later),
		TEST(nobody_gets_anything_before_being_placed),
		TEST(a_name_that_is_too_long_is_no_topic),
		TEST(a_bell_that_tells_nothing_new_is_not_followed),
		TEST(the_foremost_do_not_wait_for_the_hindmost),
		TEST(a_full_one_goes_on_where_it_stopped),
		TEST(a_forgotten_full_one_is_found_by_the_poll),
		TEST(what_is_no_longer_kept_is_not_asked_for_for_ever),
		TEST(a_long_history_does_not_starve_other_topics),
		TEST(failed_reads_are_made_again_together_or_alone_or_later),
		TEST(what_is_asked_for_while_a_topic_catches_up_is_read_after_it),
		TEST(a_read_that_outlives_its_topic_does_no_harm),
		TEST(whatever_happens_nobody_skips_or_repeats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
