/* hh_exchange.c - turns, attempts and the end of an exchange at the token endpoint; see
 * hh_exchange.h. */
#include "actors/hh_client/hh_exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/seal.h"

#define ATTEMPTS_MAX 3
#define PAUSE_MAX_MS 5000

struct hh_exchange {
	struct hh_exchange *next;
	struct hh_traffic *traffic;
	char *form;
	hh_exchange_done_fn *done;
	void *context;
	int attempts;
	int64_t until_ms;
	bool waits; /* for its turn */
	bool written;
	struct actor_timer *rest;
	struct actor_timer *late; /* no attempt begins after that */
};

static void exchange_free(struct hh_exchange *exchange)
{
	struct hh_exchange **link = &exchange->traffic->exchanges;

	while (*link != exchange)
		link = &(*link)->next;
	*link = exchange->next;
	actor_timer_stop(&exchange->rest);
	actor_timer_stop(&exchange->late);
	seal_free(&exchange->form);
	free(exchange);
}

void hh_exchange_free_all(struct hh_traffic *traffic)
{
	while (traffic->exchanges != NULL)
		exchange_free(traffic->exchanges);
}

char *hh_exchange_form(const char *const *pairs)
{
	char *form = strdup("");

	for (size_t i = 0; pairs[i] != NULL && form != NULL; i += 2) {
		char *value = curl_easy_escape(NULL, pairs[i + 1], 0);
		char *longer = NULL;

		if (value != NULL &&
		    asprintf(&longer, "%s%s%s=%s", form, i == 0 ? "" : "&", pairs[i], value) < 0)
			longer = NULL;
		if (value != NULL)
			explicit_bzero(value, strlen(value));
		curl_free(value);
		seal_free(&form);
		form = longer;
	}
	return form;
}

static bool hh_is_away(const struct hh_traffic *traffic)
{
	return hh_breaker_wait_ms(&traffic->breaker, clock_mono_ms()) > 0 ||
	       hh_traffic_pause_ms(traffic) > PAUSE_MAX_MS;
}

static bool too_late(const struct hh_exchange *exchange, int64_t begins_ms)
{
	return begins_ms + HH_EXCHANGE_TIMEOUT_MS > exchange->until_ms;
}

static void finish(struct hh_exchange *exchange, const struct hh_judgement *judgement,
		   const json_t *json)
{
	hh_exchange_done_fn *done = exchange->done;
	void *context = exchange->context;

	exchange_free(exchange);
	done(context, judgement, json);
}

static void finish_unasked(struct hh_exchange *exchange)
{
	const struct hh_judgement judgement = {.verdict = HH_TRY_AGAIN,
					       .error = ERR_UNAVAILABLE,
					       .why = "HH was not asked in time"};

	finish(exchange, &judgement, NULL);
}

/* It has waited for its turn all the time. An attempt that is under way ends by itself. */
static void on_late(struct actor *self, void *context)
{
	struct hh_exchange *exchange = context;

	(void)self;
	exchange->late = NULL;
	if (exchange->waits || exchange->rest != NULL)
		finish_unasked(exchange);
}

int hh_exchange_send(struct hh_traffic *traffic, char *form, hh_exchange_done_fn *done,
		     void *context)
{
	struct hh_exchange *exchange = NULL;
	struct hh_exchange **end = &traffic->exchanges;

	if (!hh_is_away(traffic))
		exchange = calloc(1, sizeof(*exchange));
	if (exchange == NULL) {
		seal_free(&form);
		return hh_is_away(traffic) ? -EAGAIN : -ENOMEM;
	}
	*exchange = (struct hh_exchange){.traffic = traffic,
					 .form = form,
					 .done = done,
					 .context = context,
					 .waits = true,
					 .until_ms = clock_mono_ms() + HH_EXCHANGE_LIVES_MS};
	while (*end != NULL)
		end = &(*end)->next;
	*end = exchange;
	exchange->late = actor_timer_start(
		traffic->self, HH_EXCHANGE_LIVES_MS - HH_EXCHANGE_TIMEOUT_MS, 0, on_late, exchange);
	if (exchange->late == NULL) {
		exchange_free(exchange);
		return -ENOMEM;
	}
	hh_traffic_pump_soon(traffic);
	return 0;
}

bool hh_exchange_waits(const struct hh_traffic *traffic)
{
	for (const struct hh_exchange *exchange = traffic->exchanges; exchange != NULL;
	     exchange = exchange->next)
		if (exchange->waits)
			return true;
	return false;
}

static void on_rested(struct actor *self, void *context)
{
	struct hh_exchange *exchange = context;

	(void)self;
	exchange->rest = NULL;
	exchange->waits = true;
	hh_traffic_pump(exchange->traffic);
}

/* Whether it is sent again, later. */
static bool try_again(struct hh_exchange *exchange)
{
	int64_t wait_ms = hh_backoff_ms(exchange->attempts, (uint32_t)random());

	if (exchange->attempts >= ATTEMPTS_MAX || actor_stopping(exchange->traffic->self) ||
	    hh_is_away(exchange->traffic))
		return false;
	if (hh_traffic_pause_ms(exchange->traffic) > wait_ms)
		wait_ms = hh_traffic_pause_ms(exchange->traffic);
	if (too_late(exchange, clock_mono_ms() + wait_ms))
		return false;
	exchange->rest =
		actor_timer_start(exchange->traffic->self, wait_ms, 0, on_rested, exchange);
	return exchange->rest != NULL;
}

static void on_answer(void *context, const struct hh_http_response *response)
{
	struct hh_exchange *exchange = context;
	struct hh_traffic *traffic = exchange->traffic;
	json_t *json;
	const struct hh_judgement judgement =
		hh_answer_read(traffic, exchange->written, response, &json);

	if (judgement.verdict != HH_DONE)
		log_warn("hh.failed", "what=token attempt=%d status=%ld why=\"%s\"",
			 exchange->attempts, response->status, judgement.why);
	if (judgement.verdict != HH_TRY_AGAIN || !try_again(exchange))
		finish(exchange, &judgement, json);
	json_decref(json);
	hh_traffic_check_stopped(traffic);
	hh_traffic_pump(traffic);
}

static void on_written(void *context)
{
	struct hh_exchange *exchange = context;

	hh_traffic_note_written(exchange->traffic, &exchange->written);
}

void hh_exchange_launch(struct hh_traffic *traffic)
{
	const struct hh_judgement no_memory = {.verdict = HH_TRY_AGAIN, .why = "out of memory"};
	struct hh_exchange *exchange = traffic->exchanges;
	char buf[2100];
	struct hh_http_request http = {
		.url = hh_token_url(buf, sizeof(buf)),
		.timeout_ms = HH_EXCHANGE_TIMEOUT_MS,
		.once = true,
	};

	while (!exchange->waits)
		exchange = exchange->next;
	if (too_late(exchange, clock_mono_ms())) {
		finish_unasked(exchange);
		return;
	}
	http.form = exchange->form;
	exchange->waits = false;
	exchange->written = false;
	exchange->attempts++;
	if (hh_traffic_send(traffic, &http, on_written, on_answer, exchange) < 0 &&
	    !try_again(exchange))
		finish(exchange, &no_memory, NULL);
}
