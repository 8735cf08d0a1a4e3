/* feed.c - the reads of topics, and events on their way to sessions; see feed.h. */
#include "actors/broadcaster/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define POLL_MS		5000
#define TAIL_TIMEOUT_MS 2000 /* somebody waits for his greeting */
#define TAILS_MAX	64
#define LIVE_TOPICS_MAX 1000
#define LIVE_EVENTS_MAX 1000
#define BEHINDS_MAX	4
#define BEHIND_EVENTS	100
#define RETRY_FIRST_MS	250
#define RETRY_DOUBLINGS 5 /* up to 8 s */

struct feed_ask {
	TAILQ_ENTRY(feed_ask) link;
	struct feed *feed;
	struct topics_read *read;  /* NULL: asks where a topic ends */
	struct listener *listener; /* of whom; NULL: he left */
};

static void pump(struct feed *feed);

static struct feed_ask *ask_new(struct feed *feed)
{
	struct feed_ask *ask = calloc(1, sizeof(*ask));

	if (ask == NULL)
		return NULL;
	ask->feed = feed;
	TAILQ_INSERT_TAIL(&feed->asks, ask, link);
	return ask;
}

static void ask_free(struct feed_ask *ask)
{
	TAILQ_REMOVE(&ask->feed->asks, ask, link);
	topics_read_free(&ask->read);
	if (ask->listener != NULL)
		ask->listener->ask = NULL;
	free(ask);
}

/* --- when the store does not answer
 * --------------------------------------------------------------- */

static void on_retry(struct actor *self, void *context)
{
	struct feed *feed = context;

	(void)self;
	feed->retry = NULL;
	pump(feed);
}

/* Whether time or a restart mends it; otherwise the request itself is at fault. */
static bool is_outage(enum msg_error error)
{
	return error == ERR_DOWN || error == ERR_TIMEOUT || error == ERR_OVERLOADED ||
	       error == ERR_UNAVAILABLE;
}

static void back_off(struct feed *feed, const char *why)
{
	unsigned doublings = feed->failures < RETRY_DOUBLINGS ? feed->failures : RETRY_DOUBLINGS;
	int64_t delay_ms = RETRY_FIRST_MS << doublings;

	if (feed->retry != NULL)
		return; /* one of many that failed together */
	if (feed->failures++ == 0)
		log_warn("feed.store_failed", "why=\"%s\"", why);
	feed->retry = actor_timer_start(feed->self, delay_ms, 0, on_retry, feed);
}

static void answered(struct feed *feed)
{
	if (feed->failures > 0)
		log_info("feed.store_answers", "after_failures=%u", feed->failures);
	feed->failures = 0;
}

static const char *words(const struct actor_answer *answer)
{
	return answer->failure->message != NULL ? answer->failure->message : answer->failure->error;
}

/* --- where a topic ends --- */

static void wait_for_tail(struct feed *feed, struct listener *l)
{
	if (l->waiting || l->ask != NULL)
		return;
	l->waiting = true;
	TAILQ_INSERT_TAIL(&feed->waiting, l, link);
}

static void stop_waiting(struct feed *feed, struct listener *l)
{
	if (l->waiting)
		TAILQ_REMOVE(&feed->waiting, l, link);
	l->waiting = false;
	if (l->ask != NULL)
		l->ask->listener = NULL;
	l->ask = NULL;
}

/* An "after" beyond the end comes from another life of the database: it counts as the end. */
static void place(struct feed *feed, struct listener *l, int64_t last)
{
	int64_t cursor = l->after == FEED_FROM_NOW || l->after > last ? last : l->after;

	topics_place(&feed->topics, &l->sub, cursor);
	feed->callbacks->placed(l, last);
}

static void on_tail(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct feed_ask *ask = context;
	struct feed *feed = ask->feed;
	struct listener *l = ask->listener;
	const struct cursor *tail = answer->body;

	(void)self;
	feed->tails--;
	ask_free(ask);
	if (answer->error == ERR_NONE)
		answered(feed);
	else
		back_off(feed, words(answer));
	if (l != NULL && answer->error == ERR_NONE) {
		place(feed, l, tail->seq);
	} else if (l != NULL) {
		wait_for_tail(feed, l);
		feed->callbacks->placed(l, -1);
	}
	pump(feed);
}

static int ask_tail(struct feed *feed, struct listener *l)
{
	const struct topic_ref request = {.topic = topics_name(&l->sub)};
	struct feed_ask *ask = ask_new(feed);
	int rc = -ENOMEM;

	if (ask != NULL)
		rc = actor_call(feed->self, MSG_EVENTS_TAIL, &request, TAIL_TIMEOUT_MS, on_tail,
				ask);
	if (rc < 0) {
		if (ask != NULL)
			ask_free(ask);
		return rc;
	}
	stop_waiting(feed, l);
	ask->listener = l;
	l->ask = ask;
	feed->tails++;
	return 0;
}

/* --- reads --- */

static void on_events(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct feed_ask *ask = context;
	struct feed *feed = ask->feed;
	struct topics_read *read = ask->read;

	(void)self;
	ask->read = NULL;
	ask_free(ask);
	if (read->alone)
		feed->behinds--;
	else
		feed->lives--;
	if (answer->error == ERR_NONE) {
		answered(feed);
		topics_deliver(&feed->topics, read, answer->body, feed->callbacks->deliver,
			       feed->context);
		feed->callbacks->dealt(feed->context);
	} else if (is_outage(answer->error)) {
		topics_failed(&feed->topics, read, TOPICS_RETRY);
		back_off(feed, words(answer));
	} else {
		log_error("feed.read_failed", "topics=%zu first=%s why=\"%s\"", read->count,
			  read->names[0], words(answer));
		topics_failed(&feed->topics, read,
			      read->alone ? TOPICS_RETRY_LATER : TOPICS_RETRY_ALONE);
	}
	topics_read_free(&read);
	pump(feed);
}

/* Takes read. */
static int ask_events(struct feed *feed, struct topics_read *read)
{
	const struct events_read request = {
		.cursors = {.items = read->cursors, .count = read->count},
		.limit = read->alone ? BEHIND_EVENTS : LIVE_EVENTS_MAX,
	};
	struct feed_ask *ask = ask_new(feed);
	int rc = -ENOMEM;

	if (ask != NULL)
		rc = actor_call(feed->self, MSG_EVENTS_READ, &request, 0, on_events, ask);
	if (rc < 0) {
		topics_failed(&feed->topics, read, TOPICS_RETRY);
		topics_read_free(&read);
		if (ask != NULL)
			ask_free(ask);
		return rc;
	}
	ask->read = read;
	if (read->alone)
		feed->behinds++;
	else
		feed->lives++;
	return 0;
}

/* Asks for all that is to be asked for now. One live read at a time: bells that ring meanwhile are
 * collected into the next one. */
static void pump(struct feed *feed)
{
	struct topics_read *read = NULL;
	int rc = 0;

	while (rc == 0 && feed->retry == NULL && feed->tails < TAILS_MAX &&
	       !TAILQ_EMPTY(&feed->waiting))
		rc = ask_tail(feed, TAILQ_FIRST(&feed->waiting));
	if (rc == 0 && feed->retry == NULL && feed->lives == 0) {
		read = topics_read_live(&feed->topics, LIVE_TOPICS_MAX);
		if (read != NULL)
			rc = ask_events(feed, read);
	}
	while (rc == 0 && feed->retry == NULL && feed->behinds < BEHINDS_MAX) {
		read = topics_read_behind(&feed->topics);
		if (read == NULL)
			break;
		rc = ask_events(feed, read);
	}
	if (rc < 0)
		back_off(feed, strerror(-rc));
}

/* A bell may be lost: it is cast, and the store may die with it in its hand. */
static void on_poll(struct actor *self, void *context)
{
	struct feed *feed = context;

	(void)self;
	topics_ring_all(&feed->topics, feed->callbacks->has_room);
	pump(feed);
}

/* --- what the broadcaster does with it
 * ------------------------------------------------------------ */

int feed_open(struct feed *feed, struct actor *self, const struct feed_callbacks *callbacks,
	      void *context)
{
	*feed = (struct feed){.self = self, .callbacks = callbacks, .context = context};
	topics_init(&feed->topics);
	TAILQ_INIT(&feed->waiting);
	TAILQ_INIT(&feed->asks);
	feed->poll = actor_timer_start(self, POLL_MS, POLL_MS, on_poll, feed);
	return feed->poll == NULL ? -ENOMEM : 0;
}

void feed_close(struct feed *feed)
{
	actor_timer_stop(&feed->poll);
	actor_timer_stop(&feed->retry);
	if (feed->self == NULL)
		return;
	while (!TAILQ_EMPTY(&feed->asks))
		ask_free(TAILQ_FIRST(&feed->asks));
}

int feed_join(struct feed *feed, struct listener *l, const char *topic, int64_t after)
{
	int rc = topics_join(&feed->topics, topic, &l->sub);

	if (rc < 0)
		return rc;
	l->after = after;
	wait_for_tail(feed, l);
	pump(feed);
	return 0;
}

void feed_leave(struct feed *feed, struct listener *l)
{
	stop_waiting(feed, l);
	topics_leave(&feed->topics, &l->sub);
}

void feed_go_back(struct feed *feed, struct listener *l, int64_t after)
{
	l->after = after;
	topics_unplace(&l->sub);
	wait_for_tail(feed, l);
	pump(feed);
}

void feed_room(struct feed *feed, struct listener *l)
{
	topics_resume(&feed->topics, &l->sub);
	pump(feed);
}

void feed_bell(struct feed *feed, const char *topic, int64_t seq)
{
	if (strcmp(topic, "*") == 0)
		topics_ring_all(&feed->topics, feed->callbacks->has_room);
	else
		topics_bell(&feed->topics, topic, seq);
	pump(feed);
}

void feed_store_up(struct feed *feed)
{
	actor_timer_stop(&feed->retry);
	topics_ring_all(&feed->topics, feed->callbacks->has_room);
	pump(feed);
}
