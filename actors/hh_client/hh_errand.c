/* hh_errand.c - see hh_errand.h. */
#include "actors/hh_client/hh_errand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/seal.h"

#define ATTEMPTS_MAX 3
#define PAUSE_MAX_MS 5000

struct hh_errand {
	struct hh_errand *next;
	struct hh_work *work;
	char *form;
	hh_errand_done_fn *done;
	void *context;
	int attempts;
	int64_t until_ms;
	bool waits; /* for its turn */
	bool written;
	struct actor_timer *rest;
	struct actor_timer *late; /* no attempt begins after that */
};

static void errand_free(struct hh_errand *errand)
{
	struct hh_errand **link = &errand->work->errands;

	while (*link != errand)
		link = &(*link)->next;
	*link = errand->next;
	actor_timer_stop(&errand->rest);
	actor_timer_stop(&errand->late);
	seal_free(&errand->form);
	free(errand);
}

void hh_errand_free_all(struct hh_work *work)
{
	while (work->errands != NULL)
		errand_free(work->errands);
}

char *hh_errand_form(const char *const *pairs)
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

static bool hh_is_away(const struct hh_work *work)
{
	return hh_breaker_wait_ms(&work->breaker, clock_mono_ms()) > 0 ||
	       hh_work_pause_ms(work) > PAUSE_MAX_MS;
}

static bool too_late(const struct hh_errand *errand, int64_t begins_ms)
{
	return begins_ms + HH_ERRAND_TIMEOUT_MS > errand->until_ms;
}

static void finish(struct hh_errand *errand, const struct hh_judgement *judgement,
		   const json_t *json)
{
	hh_errand_done_fn *done = errand->done;
	void *context = errand->context;

	errand_free(errand);
	done(context, judgement, json);
}

static void finish_unasked(struct hh_errand *errand)
{
	const struct hh_judgement judgement = {.verdict = HH_TRY_AGAIN,
					       .error = ERR_UNAVAILABLE,
					       .why = "HH was not asked in time"};

	finish(errand, &judgement, NULL);
}

/* It has waited for its turn all the time. An attempt that is under way ends by itself. */
static void on_late(struct actor *self, void *context)
{
	struct hh_errand *errand = context;

	(void)self;
	errand->late = NULL;
	if (errand->waits || errand->rest != NULL)
		finish_unasked(errand);
}

int hh_errand_send(struct hh_work *work, char *form, hh_errand_done_fn *done, void *context)
{
	struct hh_errand *errand = NULL;
	struct hh_errand **end = &work->errands;

	if (!hh_is_away(work))
		errand = calloc(1, sizeof(*errand));
	if (errand == NULL) {
		seal_free(&form);
		return hh_is_away(work) ? -EAGAIN : -ENOMEM;
	}
	*errand = (struct hh_errand){.work = work,
				     .form = form,
				     .done = done,
				     .context = context,
				     .waits = true,
				     .until_ms = clock_mono_ms() + HH_ERRAND_LIVES_MS};
	while (*end != NULL)
		end = &(*end)->next;
	*end = errand;
	errand->late = actor_timer_start(work->self, HH_ERRAND_LIVES_MS - HH_ERRAND_TIMEOUT_MS, 0,
					 on_late, errand);
	if (errand->late == NULL) {
		errand_free(errand);
		return -ENOMEM;
	}
	hh_work_pump_soon(work);
	return 0;
}

bool hh_errand_waits(const struct hh_work *work)
{
	for (const struct hh_errand *errand = work->errands; errand != NULL; errand = errand->next)
		if (errand->waits)
			return true;
	return false;
}

static void on_rested(struct actor *self, void *context)
{
	struct hh_errand *errand = context;

	(void)self;
	errand->rest = NULL;
	errand->waits = true;
	hh_work_pump(errand->work);
}

/* Whether it is sent again, later. */
static bool try_again(struct hh_errand *errand)
{
	int64_t wait_ms = hh_backoff_ms(errand->attempts, (uint32_t)random());

	if (errand->attempts >= ATTEMPTS_MAX || actor_stopping(errand->work->self) ||
	    hh_is_away(errand->work))
		return false;
	if (hh_work_pause_ms(errand->work) > wait_ms)
		wait_ms = hh_work_pause_ms(errand->work);
	if (too_late(errand, clock_mono_ms() + wait_ms))
		return false;
	errand->rest = actor_timer_start(errand->work->self, wait_ms, 0, on_rested, errand);
	return errand->rest != NULL;
}

static void on_answer(void *context, const struct hh_http_response *response)
{
	struct hh_errand *errand = context;
	struct hh_work *work = errand->work;
	json_t *json;
	const struct hh_judgement judgement =
		hh_answer_read(work, errand->written, response, &json);

	if (judgement.verdict != HH_DONE)
		log_warn("hh.failed", "what=token attempt=%d status=%ld why=\"%s\"",
			 errand->attempts, response->status, judgement.why);
	if (judgement.verdict != HH_TRY_AGAIN || !try_again(errand))
		finish(errand, &judgement, json);
	json_decref(json);
	hh_work_check_stopped(work);
	hh_work_pump(work);
}

static void on_written(void *context)
{
	struct hh_errand *errand = context;

	hh_work_note_written(errand->work, &errand->written);
}

void hh_errand_launch(struct hh_work *work)
{
	const struct hh_judgement no_memory = {.verdict = HH_TRY_AGAIN, .why = "out of memory"};
	struct hh_errand *errand = work->errands;
	char buf[2100];
	struct hh_http_request http = {
		.url = hh_token_url(buf, sizeof(buf)),
		.timeout_ms = HH_ERRAND_TIMEOUT_MS,
		.once = true,
	};

	while (!errand->waits)
		errand = errand->next;
	if (too_late(errand, clock_mono_ms())) {
		finish_unasked(errand);
		return;
	}
	http.form = errand->form;
	errand->waits = false;
	errand->written = false;
	errand->attempts++;
	if (hh_work_send(work, &http, on_written, on_answer, errand) < 0 && !try_again(errand))
		finish(errand, &no_memory, NULL);
}
