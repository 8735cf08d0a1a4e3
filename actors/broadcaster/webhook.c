/* webhook.c - new vacancies on their way to the BFF, one event after the other; see webhook.h.
 *
 *   claim --events--> post, several at a time --answer--> note the result --> claim the next
 *
 * While nothing but failures come back, one event at a time is tried, at growing distances: a BFF
 * that is down is not hammered with the first event of every topic.
 */
#include "actors/broadcaster/webhook.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "actors/broadcaster/http_post.h"
#include "actors/broadcaster/webhook_message.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"
#include "proto/codec.h"

#define PATH		"/api/v1/jobs/broadcast"
#define POLL_MS		5000
#define CLAIM_MS	60000 /* longer than a post and the noting of its result may take */
#define POST_TIMEOUT_MS 10000
#define UNDER_WAY_MAX	32
#define CONNECTIONS_MAX 8
#define PROBING_AFTER	3     /* failures in a row, of whatever topics */
#define PROBE_MAX_MS	30000 /* between two tries while the BFF is down */
#define NOTE_TRIES	5
#define NOTE_RETRY_MS	1000
#define STOP_ABORT_MS	1200
#define STOP_MS		2000
#define REMEMBERED	1024 /* failing topics; a power of two */
#define TOPIC_SIZE	513  /* 128 characters of any length */
#define PROBLEM_SIZE	400

/* An event that is under way. */
struct delivery {
	TAILQ_ENTRY(delivery) link;
	struct webhook *webhook;
	char topic[TOPIC_SIZE];
	int64_t seq;
	bool delivered;
	int64_t retry_in_ms;
	char problem[PROBLEM_SIZE];
	unsigned tries; /* to note the result */
	struct actor_timer *timer;
};

TAILQ_HEAD(deliveries, delivery);

/* How often in a row an event failed. Two topics may share a place: then one starts again from 1 s.
 */
struct failing {
	uint64_t topic; /* its hash */
	int64_t seq;
	unsigned failures;
};

struct webhook {
	struct actor *self;
	char node[SETTING_NODE_NAME_SIZE];
	char *url;
	struct curl_slist *headers;
	struct http_poster *poster;
	struct actor_timer *poll;
	struct actor_timer *pause; /* not NULL: nothing is claimed before it fires */
	struct actor_timer *wake;  /* an event that failed is due again */
	int64_t wake_ms;	   /* when: CLOCK_MONOTONIC */
	struct deliveries under_way;
	size_t count;
	bool claiming;
	bool claim_again;
	unsigned failures_in_a_row;
	struct failing failing[REMEMBERED];
	int64_t delivered;
	int64_t failed;
	bool stopping;
	void (*stopped)(struct actor *self); /* NULL: nobody waits for the end */
	struct actor_timer *stop_abort;
	struct actor_timer *stop_end;
};

static void claim(struct webhook *w);

/* --- how often an event failed
 * --------------------------------------------------------------------- */

static uint64_t hash(const char *text)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211u;
	return h;
}

/* Counts one more failure of d's event; returns how many that are in a row. */
static unsigned count_failure(struct webhook *w, const struct delivery *d)
{
	uint64_t topic = hash(d->topic);
	struct failing *f = &w->failing[topic & (REMEMBERED - 1)];

	if (f->topic != topic || f->seq != d->seq)
		*f = (struct failing){.topic = topic, .seq = d->seq};
	return ++f->failures;
}

static uint32_t random_number(void)
{
	uint32_t n = 0;

	(void)uv_random(NULL, NULL, &n, sizeof(n), 0, NULL); /* without it there is no jitter */
	return n;
}

/* --- pausing
 * --------------------------------------------------------------------------------------- */

static void on_pause_end(struct actor *self, void *context)
{
	struct webhook *w = context;

	(void)self;
	w->pause = NULL;
	claim(w);
}

/* A pause that is under way stays. */
static void pause_for(struct webhook *w, int64_t delay_ms)
{
	if (w->pause == NULL)
		w->pause = actor_timer_start(w->self, delay_ms, 0, on_pause_end, w);
}

static void on_wake(struct actor *self, void *context)
{
	struct webhook *w = context;

	(void)self;
	w->wake = NULL;
	claim(w);
}

/* The poll is often enough for what is due later than it. */
static void wake_in(struct webhook *w, int64_t delay_ms)
{
	int64_t at_ms = clock_mono_ms() + delay_ms;

	if (delay_ms >= POLL_MS || (w->wake != NULL && w->wake_ms <= at_ms))
		return;
	actor_timer_stop(&w->wake);
	w->wake = actor_timer_start(w->self, delay_ms, 0, on_wake, w);
	w->wake_ms = at_ms;
}

static bool probing(const struct webhook *w)
{
	return w->failures_in_a_row >= PROBING_AFTER;
}

static void bff_failed(struct webhook *w, const struct http_outcome *outcome)
{
	int64_t delay_ms;

	w->failed++;
	if (w->pause != NULL)
		return; /* one of many that were under way together: they count once */
	if (++w->failures_in_a_row == PROBING_AFTER)
		log_warn("webhook.bff_fails", "status=%d error=\"%s\"", outcome->status,
			 outcome->error);
	if (outcome->retry_after_ms >= 0) {
		delay_ms = outcome->retry_after_ms;
		pause_for(w, delay_ms < WEBHOOK_BACKOFF_MAX_MS ? delay_ms : WEBHOOK_BACKOFF_MAX_MS);
	} else if (probing(w)) {
		delay_ms = webhook_backoff_ms(w->failures_in_a_row - PROBING_AFTER + 1,
					      random_number());
		pause_for(w, delay_ms < PROBE_MAX_MS ? delay_ms : PROBE_MAX_MS);
	}
}

static void bff_answers(struct webhook *w)
{
	if (probing(w))
		log_info("webhook.bff_answers", "after_failures=%u", w->failures_in_a_row);
	w->failures_in_a_row = 0;
	actor_timer_stop(&w->pause);
}

/* --- a result
 * ------------------------------------------------------------------------------------- */

static void note(struct actor *self, void *context);

static void delivery_free(struct delivery *d)
{
	struct webhook *w = d->webhook;

	TAILQ_REMOVE(&w->under_way, d, link);
	w->count--;
	actor_timer_stop(&d->timer);
	free(d);
}

static void check_stopped(struct webhook *w)
{
	void (*stopped)(struct actor * self) = w->stopped;

	if (stopped == NULL || w->count > 0 || w->claiming)
		return;
	w->stopped = NULL;
	actor_timer_stop(&w->stop_abort);
	actor_timer_stop(&w->stop_end);
	stopped(w->self);
}

static void delivery_end(struct delivery *d)
{
	struct webhook *w = d->webhook;

	if (!d->delivered && !w->stopping)
		wake_in(w, d->retry_in_ms);
	delivery_free(d);
	claim(w);
	check_stopped(w);
}

/* The event is claimed again when its claim runs out: the BFF may get it twice, never not at all.
 */
static void note_failed(struct delivery *d, const char *why)
{
	if (++d->tries < NOTE_TRIES)
		d->timer = actor_timer_start(d->webhook->self, NOTE_RETRY_MS, 0, note, d);
	if (d->timer != NULL)
		return;
	log_warn("webhook.result_lost", "topic=%s seq=%" PRId64 " why=\"%s\"", d->topic, d->seq,
		 why);
	delivery_end(d);
}

static void on_noted(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct delivery *d = context;

	(void)self;
	if (answer->error == ERR_NONE || answer->error == ERR_NOT_FOUND ||
	    answer->error == ERR_CONFLICT)
		delivery_end(d); /* or it is no longer ours to tell */
	else
		note_failed(d, answer->failure->error);
}

static void note(struct actor *self, void *context)
{
	struct delivery *d = context;
	struct webhook_result result = {
		.topic = d->topic, .seq = d->seq, .delivered = d->delivered};

	d->timer = NULL;
	if (!d->delivered)
		result.retry_in_ms = OPT_INT_OF(d->retry_in_ms);
	if (d->problem[0] != '\0')
		result.problem = d->problem;
	if (actor_call(self, MSG_WEBHOOK_RESULT, &result, 0, on_noted, d) < 0)
		note_failed(d, "it cannot be told");
}

/* --- a post
 * ----------------------------------------------------------------------------------------- */

static void describe(struct delivery *d, const struct http_outcome *outcome)
{
	size_t len;

	if (outcome->status == 0) {
		(void)snprintf(d->problem, sizeof(d->problem), "%s", outcome->error);
		return;
	}
	(void)snprintf(d->problem, sizeof(d->problem), "HTTP %d", outcome->status);
	len = strlen(d->problem);
	if (utf8_valid(outcome->body, strlen(outcome->body), NULL))
		(void)snprintf(d->problem + len, sizeof(d->problem) - len, ": %.*s",
			       (int)utf8_prefix(outcome->body, 90), outcome->body);
}

static void on_posted(void *context, const struct http_outcome *outcome)
{
	struct delivery *d = context;
	struct webhook *w = d->webhook;
	enum webhook_verdict verdict = webhook_judge(outcome->status);

	d->delivered = verdict != WEBHOOK_RETRY;
	if (verdict != WEBHOOK_TAKEN)
		describe(d, outcome);
	if (verdict == WEBHOOK_TAKEN) {
		w->delivered++;
		bff_answers(w);
	} else if (verdict == WEBHOOK_REFUSED) {
		w->failed++;
		bff_answers(w);
		log_warn("webhook.refused", "topic=%s seq=%" PRId64 " problem=\"%s\"", d->topic,
			 d->seq, d->problem);
	} else if (w->stopping) {
		d->retry_in_ms = 0; /* our end, not the BFF's fault */
	} else {
		d->retry_in_ms = webhook_backoff_ms(count_failure(w, d), random_number());
		if (outcome->retry_after_ms > d->retry_in_ms)
			d->retry_in_ms = outcome->retry_after_ms < WEBHOOK_BACKOFF_MAX_MS
						 ? outcome->retry_after_ms
						 : WEBHOOK_BACKOFF_MAX_MS;
		log_info("webhook.failed",
			 "topic=%s seq=%" PRId64 " problem=\"%s\" retry_in_ms=%" PRId64, d->topic,
			 d->seq, d->problem, d->retry_in_ms);
		bff_failed(w, outcome);
	}
	note(w->self, d);
}

/* An event that nothing is posted for has its result at once. */
static void settle(struct delivery *d, bool delivered, int64_t retry_in_ms, const char *problem)
{
	d->delivered = delivered;
	d->retry_in_ms = retry_in_ms;
	(void)snprintf(d->problem, sizeof(d->problem), "%s", problem);
	if (problem[0] != '\0')
		log_warn("webhook.not_sent", "topic=%s seq=%" PRId64 " problem=\"%s\"", d->topic,
			 d->seq, problem);
	note(d->webhook->self, d);
}

static void post(struct delivery *d, const struct event *event)
{
	struct webhook *w = d->webhook;
	char *body = NULL;
	size_t len = 0;
	int rc = webhook_body(event, &body, &len);

	if (rc == 0)
		rc = http_post(w->poster, w->url, w->headers, body, len, POST_TIMEOUT_MS, on_posted,
			       d);
	if (rc == 0)
		return;
	free(body);
	if (rc == -EINVAL)
		settle(d, true, 0, "the event has no jobs");
	else
		settle(d, false, POLL_MS, "out of memory");
}

static void deliver(struct webhook *w, const struct event *event)
{
	struct delivery *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return; /* its claim runs out */
	d->webhook = w;
	d->seq = event->seq;
	(void)snprintf(d->topic, sizeof(d->topic), "%s", event->topic);
	TAILQ_INSERT_TAIL(&w->under_way, d, link);
	w->count++;
	if (w->stopping)
		settle(d, false, 0, ""); /* claimed too late: somebody else may have it */
	else if (strcmp(event->type, "new_jobs") != 0)
		settle(d, true, 0, ""); /* the BFF's endpoint takes vacancies only */
	else
		post(d, event);
}

/* --- a claim
 * --------------------------------------------------------------------------------------- */

static void on_claimed(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct webhook *w = context;
	const struct events *events = answer->body;
	bool again = w->claim_again;

	(void)self;
	w->claiming = w->claim_again = false;
	if (answer->error != ERR_NONE) {
		log_debug("webhook.claim_failed", "error=%s", answer->failure->error);
		check_stopped(w);
		return; /* the poll, or the store's return, asks again */
	}
	for (size_t i = 0; i < events->events.count; i++)
		deliver(w, &events->events.items[i]);
	if (again || events->more)
		claim(w);
	check_stopped(w);
}

static void claim(struct webhook *w)
{
	size_t most = probing(w) ? 1 : UNDER_WAY_MAX;
	const struct webhook_claim request = {
		.node = w->node,
		.limit = (int64_t)(most > w->count ? most - w->count : 0),
		.ttl_ms = CLAIM_MS,
	};

	if (w->stopping || w->pause != NULL || request.limit == 0)
		return; /* the end of the pause, or of a delivery, asks again */
	if (w->claiming) {
		w->claim_again = true;
		return;
	}
	w->claiming = actor_call(w->self, MSG_WEBHOOK_CLAIM, &request, 0, on_claimed, w) == 0;
}

static void on_poll(struct actor *self, void *context)
{
	(void)self;
	claim(context);
}

/* --- birth and end
 * ---------------------------------------------------------------------------------- */

static int append_header(struct webhook *w, const char *line)
{
	struct curl_slist *more = curl_slist_append(w->headers, line);

	if (more == NULL)
		return -ENOMEM;
	w->headers = more;
	return 0;
}

/* A secret with a line break in it would be more headers than one. */
static int make_headers(struct webhook *w)
{
	const char *secret = setting_text(ORCHESTRATOR_SECRET);
	char line[1100];
	int rc;

	if (secret == NULL || secret[strcspn(secret, "\r\n")] != '\0') {
		log_error("webhook.no_secret", "ORCHESTRATOR_SECRET is not set or has line breaks");
		return -EINVAL;
	}
	(void)snprintf(line, sizeof(line), "X-Core-Secret: %s", secret);
	rc = append_header(w, line);
	if (rc == 0)
		rc = append_header(w, "Content-Type: application/json");
	if (rc == 0)
		rc = append_header(w, "Expect:"); /* no 100-continue: a round trip for nothing */
	return rc;
}

static int make_url(struct webhook *w)
{
	const char *base = setting_text(API_BASE_URL);
	size_t len = strlen(base);

	while (len > 0 && base[len - 1] == '/')
		len--;
	return asprintf(&w->url, "%.*s" PATH, (int)len, base) < 0 ? -ENOMEM : 0;
}

int webhook_open(struct actor *self, struct webhook **out)
{
	struct webhook *w = NULL;
	int rc = -ENOMEM;

	*out = NULL;
	if (setting_text(API_BASE_URL) == NULL)
		return 0;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->self = self;
	TAILQ_INIT(&w->under_way);
	(void)setting_node_name(w->node);
	rc = make_headers(w);
	if (rc == 0)
		rc = make_url(w);
	if (rc == 0)
		rc = http_poster_open(actor_loop(self), CONNECTIONS_MAX, &w->poster);
	if (rc < 0)
		goto out;
	w->poll = actor_timer_start(self, 0, POLL_MS, on_poll, w);
	if (w->poll == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		*out = w;
		w = NULL;
	}
out:
	webhook_close(&w);
	return rc;
}

void webhook_ring(struct webhook *w)
{
	if (w != NULL)
		claim(w);
}

static void on_stop_abort(struct actor *self, void *context)
{
	struct webhook *w = context;

	(void)self;
	w->stop_abort = NULL;
	http_poster_abort(w->poster);
}

static void on_stop_end(struct actor *self, void *context)
{
	struct webhook *w = context;
	void (*stopped)(struct actor * self) = w->stopped;

	w->stop_end = NULL;
	w->stopped = NULL;
	stopped(self);
}

void webhook_stop(struct webhook *w, struct actor *self, void (*done)(struct actor *self))
{
	if (w == NULL) {
		done(self);
		return;
	}
	w->stopping = true;
	w->stopped = done;
	w->stop_abort = actor_timer_start(self, STOP_ABORT_MS, 0, on_stop_abort, w);
	w->stop_end = actor_timer_start(self, STOP_MS, 0, on_stop_end, w);
	actor_timer_stop(&w->poll);
	actor_timer_stop(&w->pause);
	actor_timer_stop(&w->wake);
	check_stopped(w);
}

void webhook_close(struct webhook **webhook)
{
	struct webhook *w = *webhook;

	if (w == NULL)
		return;
	*webhook = NULL;
	http_poster_close(&w->poster);
	while (!TAILQ_EMPTY(&w->under_way))
		delivery_free(TAILQ_FIRST(&w->under_way));
	actor_timer_stop(&w->poll);
	actor_timer_stop(&w->pause);
	actor_timer_stop(&w->wake);
	actor_timer_stop(&w->stop_abort);
	actor_timer_stop(&w->stop_end);
	curl_slist_free_all(w->headers);
	free(w->url);
	free(w);
}

int64_t webhook_delivered(const struct webhook *w)
{
	return w == NULL ? 0 : w->delivered;
}

int64_t webhook_failed(const struct webhook *w)
{
	return w == NULL ? 0 : w->failed;
}
