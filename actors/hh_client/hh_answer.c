/* hh_answer.c - what HH's answers lead to; see hh_traffic.h. */
#include <stdlib.h>

#include "actors/hh_client/hh_failure.h"
#include "actors/hh_client/hh_personal.h"
#include "actors/hh_client/hh_traffic.h"
#include "base/clock.h"
#include "base/log.h"

#define REPLY_BYTES  ((size_t)32 * 1024 * 1024) /* of an answer, read */
#define ATTEMPTS_MAX 6
#define NO_MEMORY_MS 1000

static void heard(struct hh_traffic *traffic, const struct hh_judgement *judgement, int64_t wait_ms)
{
	enum hh_circuit before = traffic->breaker.state;
	int64_t now_us = clock_mono_us();

	if (judgement->too_many)
		hh_pace_slow_down(&traffic->pace, now_us,
				  wait_ms > 0 ? wait_ms : hh_backoff_ms(3, (uint32_t)random()));
	else
		hh_pace_content(&traffic->pace, now_us);
	if (judgement->verdict == HH_TRY_AGAIN)
		traffic->count.failed++;
	hh_breaker_heard(&traffic->breaker, judgement->health, clock_mono_ms());
	if (traffic->breaker.state != before || judgement->too_many || traffic->degraded)
		hh_traffic_tell_health(traffic);
	if (traffic->breaker.state == before)
		return;
	log_warn("hh.circuit", "state=%s", hh_circuit_name(traffic->breaker.state));
	hh_traffic_sweep(traffic);
}

struct again {
	int64_t wait_ms;
	const struct failure *failure;
};

static bool decide_again(struct hh_request *request, const struct hh_waiter *waiter, void *context,
			 struct failure *failure)
{
	const struct again *again = context;

	if (request->attempts < ATTEMPTS_MAX &&
	    !(hh_personal_once(request->personal) && request->written) &&
	    actor_call_remaining_ms(waiter->call) > again->wait_ms &&
	    !hh_traffic_in_vain(request->traffic, waiter->class, request->personal != NULL,
				actor_call_remaining_ms(waiter->call), failure))
		return false;
	*failure = *again->failure;
	return true;
}

static void on_rested(struct actor *self, void *context)
{
	struct hh_request *request = context;
	struct hh_traffic *traffic = request->traffic;

	request->rest = NULL;
	if (actor_stopping(self))
		return;
	if (hh_request_queue(request, true) < 0) {
		const struct failure failure =
			hh_traffic_failure(ERR_OVERLOADED, "out of memory", NO_MEMORY_MS);

		hh_request_refuse_all(request, &failure);
		hh_request_free(request);
	}
	hh_traffic_pump(traffic);
}

/* Lets the request rest and have another turn, for those who have the time. */
static void try_again(struct hh_request *request, const struct hh_judgement *judgement,
		      const struct hh_reply *reply, struct arena *arena)
{
	struct hh_traffic *traffic = request->traffic;
	struct again again = {.wait_ms = hh_backoff_ms(request->attempts, (uint32_t)random())};
	struct failure failure;
	int64_t others_ms = hh_traffic_pause_ms(traffic);

	request->in_flight = false;
	if (reply->wait_ms > others_ms)
		others_ms = reply->wait_ms;
	if (hh_breaker_wait_ms(&traffic->breaker, clock_mono_ms()) > others_ms)
		others_ms = hh_breaker_wait_ms(&traffic->breaker, clock_mono_ms());
	if (others_ms > again.wait_ms)
		again.wait_ms = others_ms;
	failure = hh_failure_make(judgement, reply, again.wait_ms, arena);
	again.failure = &failure;
	hh_request_refuse(request, decide_again, &again);
	if (request->waiters == NULL) {
		hh_request_free(request);
		return;
	}
	traffic->count.retried++;
	request->rest = actor_timer_start(traffic->self, again.wait_ms, 0, on_rested, request);
	if (request->rest == NULL)
		fatal("hh.no_memory", "a timer");
}

static void give_up(struct hh_request *request, const struct hh_judgement *judgement,
		    const struct hh_reply *reply, struct arena *arena)
{
	const struct failure failure = hh_failure_make(judgement, reply, 0, arena);

	hh_request_refuse_all(request, &failure);
	hh_request_free(request);
}

/* The token was not accepted: once more with another one, if there can be one. */
static void other_token(struct hh_request *request, const struct hh_judgement *judgement,
			const struct hh_reply *reply, struct arena *arena)
{
	struct hh_traffic *traffic = request->traffic;

	hh_token_rejected(&traffic->token,
			  request->token_serial); /* while we still are in flight */
	request->in_flight = false;
	if (traffic->token.fixed || request->second_token || hh_request_queue(request, true) < 0) {
		give_up(request, judgement, reply, arena);
		return;
	}
	request->second_token = true;
	traffic->count.retried++;
	hh_traffic_sweep(traffic); /* the queue is no place for who cannot wait for a token */
}

static void give(struct hh_request *request, const struct hh_reply *reply, struct arena *arena,
		 void *result)
{
	if (request->personal != NULL) {
		request->waiters = NULL;
		hh_personal_give(request->personal, reply);
		hh_request_free(request);
		return;
	}
	hh_request_reply_all(request, result);
	if (request->keep && request->kind->keep != NULL)
		request->kind->keep(request->traffic, request, arena, result);
	hh_request_free(request);
}

static void log_answer(const struct hh_request *request, const struct hh_judgement *judgement,
		       const struct hh_reply *reply, struct arena *arena)
{
	const char *id = hh_text(reply->json, "request_id");

	if (judgement->verdict == HH_DONE || judgement->error == ERR_NOT_FOUND)
		return;
	log_warn("hh.failed", "what=%s attempt=%d status=%ld why=\"%s\" errors=%s request_id=%s",
		 request->kind->name, request->attempts, reply->status, judgement->why,
		 hh_failure_names(reply->json, arena), id[0] != '\0' ? id : reply->request_id);
}

static struct hh_reply reply_of(const struct hh_http_response *response, const json_t *json,
				bool hurried)
{
	return (struct hh_reply){
		.curl = response->curl,
		.too_large = response->too_large,
		.hurried = hurried,
		.status = response->status,
		.wait_ms = response->wait_ms,
		.json = json,
		.request_id = response->request_id,
		.location = response->location,
	};
}

static json_t *parse(const struct hh_http_response *response)
{
	if (response->curl != CURLE_OK || response->body_len == 0)
		return NULL;
	return json_loadb(response->body, response->body_len, 0, NULL);
}

/* Judges the answer, and reads it into *result when it is the one that was wanted. */
static struct hh_judgement judge(struct hh_request *request, const struct hh_reply *reply,
				 struct arena *arena, void **result)
{
	struct hh_judgement judgement = request->personal == NULL
						? hh_judge(reply)
						: hh_personal_judge(request->personal, reply);
	int rc;

	if (judgement.verdict != HH_DONE || request->waiters == NULL || request->personal != NULL)
		return judgement;
	*result = arena_alloc(arena, request->kind->reply_size);
	rc = *result == NULL ? -ENOMEM : request->kind->read(request, reply->json, arena, *result);
	if (rc < 0)
		judgement = (struct hh_judgement){
			.verdict = HH_TRY_AGAIN,
			.health = rc == -ENOMEM ? HH_UNCLEAR : HH_AILING,
			.error = ERR_UNAVAILABLE,
			.why = rc == -ENOMEM ? "out of memory" : "HH's answer cannot be read",
		};
	return judgement;
}

static void act(struct hh_request *request, const struct hh_judgement *judgement,
		const struct hh_reply *reply, struct arena *arena, void *result)
{
	if (request->waiters == NULL) { /* everybody's deadline passed, or it was a probe */
		hh_request_free(request);
		return;
	}
	switch (judgement->verdict) {
	case HH_DONE:
		give(request, reply, arena, result);
		break;
	case HH_TRY_AGAIN:
		try_again(request, judgement, reply, arena);
		break;
	case HH_BAD_TOKEN:
		if (request->personal == NULL)
			other_token(request, judgement, reply, arena);
		else if (!hh_personal_other_token(request, reply->json))
			give_up(request, judgement, reply, arena);
		break;
	case HH_GIVE_UP:
		give_up(request, judgement, reply, arena);
		break;
	}
}

void hh_answer_request(void *context, const struct hh_http_response *response)
{
	struct hh_request *request = context;
	struct hh_traffic *traffic = request->traffic;
	json_t *json = parse(response);
	const struct hh_reply reply = reply_of(response, json, request->hurried);
	struct hh_judgement judgement;
	struct arena arena;
	void *result = NULL;

	if (request->waiters != NULL) /* the others gain from what was done for the first */
		actor_resume(request->waiters->call);
	arena_init(&arena, REPLY_BYTES);
	if (!request->written)
		hh_pace_untake(&traffic->pace);
	if (request->personal != NULL)
		hh_personal_answered(request, response->status);
	judgement = judge(request, &reply, &arena, &result);
	log_answer(request, &judgement, &reply, &arena);
	heard(traffic, &judgement, reply.wait_ms);
	/* While stopping, what HH did not answer is left to the next generation: the messages are
	 * idempotent, and their senders carry them over. */
	if (!actor_stopping(traffic->self) || judgement.verdict == HH_DONE)
		act(request, &judgement, &reply, &arena, result);
	arena_fini(&arena);
	json_decref(json);
	hh_traffic_check_stopped(traffic);
	hh_traffic_pump(traffic);
}

/* --- the token's request --- */

struct hh_judgement hh_answer_read(struct hh_traffic *traffic, bool written,
				   const struct hh_http_response *response, json_t **json)
{
	struct hh_reply reply;
	struct hh_judgement judgement;

	*json = parse(response);
	reply = reply_of(response, *json, false);
	judgement = hh_judge(&reply);
	if (!written)
		hh_pace_untake(&traffic->pace);
	heard(traffic, &judgement, reply.wait_ms);
	return judgement;
}

void hh_answer_token(void *context, const struct hh_http_response *response)
{
	struct hh_traffic *traffic = context;
	json_t *json;
	const struct hh_judgement judgement =
		hh_answer_read(traffic, traffic->token_written, response, &json);

	hh_token_fetched(&traffic->token, &judgement, json);
	json_decref(json);
	hh_traffic_check_stopped(traffic);
	hh_traffic_pump(traffic);
}
