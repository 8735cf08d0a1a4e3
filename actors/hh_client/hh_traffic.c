/* hh_traffic.c - who waits in vain, whose turn it is, and sending; see hh_traffic.h. */
#include "actors/hh_client/hh_traffic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_exchange.h"
#include "actors/hh_client/hh_personal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/seal.h"

#define IN_FLIGHT_MAX	     16
#define INTERACTIVE_MAX	     1000
#define BACKGROUND_MAX	     5000
#define SHARE_BYTES	     ((size_t)32 * 1024 * 1024)
#define WHOLE_TIMEOUT_MS     15000
#define HURRIED_MS	     5000  /* a timeout after less says nothing about HH */
#define PAUSE_TOLD_MS	     10000 /* a shorter one is no news */
#define SWEEP_MS	     250
#define STOP_MS		     3000
#define OVERLOAD_WAIT_MIN_MS 1000
#define OVERLOAD_WAIT_MAX_MS 60000

/* --- who need not wait any longer
 * ------------------------------------------------------------------
 */

int64_t hh_traffic_pause_ms(const struct hh_traffic *traffic)
{
	int64_t left_us = traffic->pace.pause_us - clock_mono_us();

	return left_us > 0 ? left_us / 1000 + 1 : 0;
}

struct failure hh_traffic_failure(enum msg_error error, const char *message, int64_t wait_ms)
{
	return (struct failure){
		.error = error_code(error),
		.message = message,
		.retry_after_ms = OPT_INT_OF(wait_ms > 1 ? wait_ms : 1),
	};
}

/* Whether there is no use in waiting for a turn. A scheduled search has patience: it waits for an
 * HH that is down, but not for a token that HH will not give. */
bool hh_traffic_in_vain(const struct hh_traffic *traffic, enum hh_class class, bool personal,
			int64_t remaining_ms, struct failure *failure)
{
	const struct hh_token *token = &traffic->token;
	int64_t now_ms = clock_mono_ms();
	int64_t circuit_ms = hh_breaker_wait_ms(&traffic->breaker, now_ms);

	if (!personal && hh_token_hopeless(token) &&
	    (class == HH_INTERACTIVE || token->error != ERR_UNAVAILABLE)) {
		*failure = hh_traffic_failure(token->error, token->why, token->again_ms - now_ms);
		return true;
	}
	if (class != HH_INTERACTIVE)
		return false;
	if (hh_breaker_state(&traffic->breaker, now_ms) == HH_OPEN) {
		*failure = hh_traffic_failure(ERR_UNAVAILABLE, "HH does not answer", circuit_ms);
		return true;
	}
	if (hh_traffic_pause_ms(traffic) >= remaining_ms) {
		*failure = hh_traffic_failure(ERR_UNAVAILABLE, "HH says: too many requests",
					      hh_traffic_pause_ms(traffic));
		return true;
	}
	return false;
}

static bool decide_sweep(struct hh_request *request, const struct hh_waiter *waiter, void *context,
			 struct failure *failure)
{
	int64_t remaining_ms = actor_call_remaining_ms(waiter->call);

	(void)context;
	if (remaining_ms == 0) {
		*failure = (struct failure){.error = error_code(ERR_TIMEOUT),
					    .message = "HH was not heard in time"};
		return true;
	}
	return !request->in_flight &&
	       hh_traffic_in_vain(request->traffic, waiter->class, request->personal != NULL,
				  remaining_ms, failure);
}

void hh_traffic_sweep(struct hh_traffic *traffic)
{
	struct hh_request *next;

	if (actor_stopping(traffic->self))
		return;
	for (struct hh_request *request = traffic->requests; request != NULL; request = next) {
		next = request->next;
		hh_request_refuse(request, decide_sweep, NULL);
		if (request->waiters == NULL && !request->in_flight && !request->probe &&
		    !hh_personal_asking(request->personal))
			hh_request_free(request);
	}
	if (traffic->requests == NULL)
		actor_timer_stop(&traffic->sweep);
}

static void on_sweep(struct actor *self, void *context)
{
	(void)self;
	hh_traffic_sweep(context);
}

/* --- the state, for people
 * ---------------------------------------------------------------------------
 */

void hh_traffic_tell_health(struct hh_traffic *traffic)
{
	const char *why = NULL;

	if (traffic->breaker.state != HH_CLOSED)
		why = "HH does not answer";
	else if (hh_traffic_pause_ms(traffic) > PAUSE_TOLD_MS)
		why = "HH has asked for a pause (Retry-After)";
	else if (hh_token_hopeless(&traffic->token) && traffic->token.error != ERR_UNAVAILABLE)
		why = traffic->token.why;
	if (why != NULL || traffic->degraded)
		actor_degraded(traffic->self, why);
	traffic->degraded = why != NULL;
}

int64_t hh_traffic_wait_ms(const struct hh_traffic *traffic)
{
	int64_t circuit_ms = hh_breaker_wait_ms(&traffic->breaker, clock_mono_ms());
	size_t turns = hh_queue_turns(&traffic->queue, HH_BACKGROUND) - 1;

	return circuit_ms + hh_pace_estimate_ms(&traffic->pace, clock_mono_us(), (int64_t)turns);
}

void hh_traffic_check_stopped(struct hh_traffic *traffic)
{
	if (actor_stopping(traffic->self) && hh_http_count(traffic->http) == 0 &&
	    !hh_token_busy(&traffic->token) && traffic->unsettled == 0)
		actor_stopped(traffic->self);
}

/* --- sending
 * -------------------------------------------------------------------------------------------
 */

/* libcurl may have to write a request again, on a fresh connection: HH may count it twice. */
void hh_traffic_note_written(struct hh_traffic *traffic, bool *written)
{
	int64_t now_us = clock_mono_us();

	if (*written)
		hh_pace_take(&traffic->pace, now_us);
	hh_pace_written(&traffic->pace, now_us);
	*written = true;
}

static void on_written(void *context)
{
	struct hh_request *request = context;

	hh_traffic_note_written(request->traffic, &request->written);
}

/* HH_BASE_URL without a slash at its end, and the path. */
static char *url_of(const char *path)
{
	const char *base = setting_text(HH_BASE_URL);
	size_t len = strlen(base);
	char *url;

	while (len > 0 && base[len - 1] == '/')
		len--;
	return asprintf(&url, "%.*s%s", (int)len, base, path) < 0 ? NULL : url;
}

int hh_traffic_send(struct hh_traffic *traffic, const struct hh_http_request *http,
		    hh_http_written_fn *written, hh_http_done_fn *done, void *context)
{
	int rc = hh_http_send(traffic->http, http, written, done, context);

	if (rc < 0)
		return rc;
	hh_pace_take(&traffic->pace, clock_mono_us());
	hh_breaker_sent(&traffic->breaker);
	traffic->count.requests++;
	return 0;
}

static void launch(struct hh_request *request)
{
	struct hh_traffic *traffic = request->traffic;
	int64_t remaining_ms = request->probe ? WHOLE_TIMEOUT_MS : hh_request_remaining_ms(request);
	struct hh_http_request http = {
		.url = url_of(request->key),
		.bearer = traffic->token.text,
		.timeout_ms = remaining_ms < WHOLE_TIMEOUT_MS ? remaining_ms : WHOLE_TIMEOUT_MS,
	};
	int rc = -ENOMEM;

	if (request->personal != NULL)
		hh_personal_dress(request->personal, &http);
	request->written = false;
	request->hurried = http.timeout_ms < HURRIED_MS;
	request->token_serial = traffic->token.serial;
	request->attempts++;
	if (http.url != NULL)
		rc = hh_traffic_send(traffic, &http, on_written, hh_answer_request, request);
	free((char *)http.url);
	if (rc == 0) {
		request->in_flight = true;
		return;
	}
	hh_request_refuse_all(request, &(struct failure){.error = error_code(ERR_UNAVAILABLE),
							 .message = "out of memory"});
	hh_request_free(request);
}

/* --- the token's request
 * --------------------------------------------------------------------------------
 */

static void on_token_written(void *context)
{
	struct hh_traffic *traffic = context;

	hh_traffic_note_written(traffic, &traffic->token_written);
}

static void launch_token(struct hh_traffic *traffic)
{
	char buf[2100];
	char *form = hh_token_form(&traffic->token);
	const struct hh_http_request http = {
		.url = hh_token_url(buf, sizeof(buf)),
		.form = form,
		.timeout_ms = WHOLE_TIMEOUT_MS,
	};
	const struct hh_judgement no_memory = {.verdict = HH_TRY_AGAIN, .why = "out of memory"};

	traffic->token_written = false;
	if (form == NULL ||
	    hh_traffic_send(traffic, &http, on_token_written, hh_answer_token, traffic) < 0)
		hh_token_fetched(&traffic->token, &no_memory, NULL);
	seal_free(&form);
}

static void on_token_changed(void *context)
{
	struct hh_traffic *traffic = context;

	hh_traffic_tell_health(traffic);
	hh_traffic_sweep(traffic);
	hh_traffic_check_stopped(traffic);
	hh_traffic_pump(traffic);
}

/* --- turns
 * -------------------------------------------------------------------------------------------------
 */

static void on_pump(struct actor *self, void *context)
{
	struct hh_traffic *traffic = context;

	(void)self;
	traffic->pump = NULL;
	hh_traffic_pump(traffic);
}

static void pump_in(struct hh_traffic *traffic, int64_t wait_ms)
{
	actor_timer_stop(&traffic->pump);
	traffic->pump = actor_timer_start(traffic->self, wait_ms, 0, on_pump, traffic);
	if (traffic->pump == NULL)
		fatal("hh.no_memory", "a timer");
}

static int ask_probe(struct hh_traffic *traffic);

static struct hh_request *next_request(struct hh_traffic *traffic)
{
	bool token = hh_token_ready(&traffic->token);
	struct hh_entry *entry;

	while ((entry = token ? hh_queue_pop(&traffic->queue)
			      : hh_queue_pop_personal(&traffic->queue)) != NULL) {
		struct hh_request *request =
			(struct hh_request *)((char *)entry - offsetof(struct hh_request, entry));

		/* Whose deadline passed is told so before it costs a request. */
		hh_request_refuse(request, decide_sweep, NULL);
		if (request->waiters != NULL || request->probe)
			return request;
		hh_request_free(request);
	}
	return NULL;
}

/* Sends what may be sent now. False: nothing more for the moment, and it is seen to that we come
 * back. */
static bool pump_one(struct hh_traffic *traffic)
{
	int64_t now_us = clock_mono_us();
	int64_t circuit_ms = hh_breaker_wait_ms(&traffic->breaker, now_us / 1000);
	int64_t ready_us = hh_pace_ready_us(&traffic->pace, now_us);
	bool exchange = hh_exchange_waits(traffic);
	bool fetch = exchange || hh_token_wants_fetch(&traffic->token);
	bool token = hh_token_ready(&traffic->token);
	struct hh_request *request;

	if (hh_http_count(traffic->http) >= IN_FLIGHT_MAX || ready_us == HH_PACE_NEVER)
		return false; /* the end of one under way brings us back */
	if (circuit_ms > 0) {
		pump_in(traffic, circuit_ms);
		return false;
	}
	if (!fetch && !token && hh_queue_count_personal(&traffic->queue) == 0)
		return false; /* on_token_changed() does */
	if (!fetch && hh_queue_count(&traffic->queue, HH_INTERACTIVE) == 0 &&
	    hh_queue_count(&traffic->queue, HH_BACKGROUND) == 0 &&
	    (traffic->breaker.state == HH_CLOSED || ask_probe(traffic) < 0))
		return false;
	if (ready_us > now_us) {
		pump_in(traffic, (ready_us - now_us + 999) / 1000);
		return false;
	}
	if (exchange) {
		hh_exchange_launch(traffic);
		return true;
	}
	if (fetch) {
		launch_token(traffic);
		return true;
	}
	request = next_request(traffic);
	if (request != NULL)
		launch(request);
	return request != NULL;
}

void hh_traffic_pump(struct hh_traffic *traffic)
{
	while (!actor_stopping(traffic->self) && pump_one(traffic))
		;
}

void hh_traffic_pump_soon(struct hh_traffic *traffic)
{
	pump_in(traffic, 0);
}

/* --- asking
 * --------------------------------------------------------------------------------------------------
 */

/* HH is down and nobody asks any more: we do, to hear that it is back. */
static int read_probe(const struct hh_request *request, const json_t *json, struct arena *arena,
		      void *reply)
{
	(void)request;
	(void)json;
	(void)arena;
	(void)reply;
	return 0;
}

static const struct hh_kind probe_kind = {.name = "probe", .reply_size = 1, .read = read_probe};

static int ask_probe(struct hh_traffic *traffic)
{
	const struct hh_want want = {
		.kind = &probe_kind,
		.class = HH_BACKGROUND,
		.user = "",
		.key = "/vacancies?page=0&per_page=1",
	};
	struct hh_request *request = NULL;

	if (hh_share_flight(&traffic->share, want.key) == NULL)
		request = hh_request_new(traffic, &want, NULL);
	if (request == NULL)
		return -ENOMEM;
	request->probe = true;
	if (hh_request_queue(request, false) == 0)
		return 0;
	hh_request_free(request);
	return -ENOMEM;
}

static void refuse_overloaded(struct hh_traffic *traffic, struct actor_call *call,
			      enum hh_class class)
{
	size_t turns = hh_queue_turns(&traffic->queue, class);
	int64_t wait_ms = hh_pace_estimate_ms(&traffic->pace, clock_mono_us(), (int64_t)turns);

	if (wait_ms < OVERLOAD_WAIT_MIN_MS)
		wait_ms = OVERLOAD_WAIT_MIN_MS;
	if (wait_ms > OVERLOAD_WAIT_MAX_MS)
		wait_ms = OVERLOAD_WAIT_MAX_MS;
	actor_refuse_until(call, ERR_OVERLOADED, wait_ms, "too many requests wait for HH");
}

void hh_traffic_keep_sweeping(struct hh_traffic *traffic)
{
	if (traffic->sweep == NULL)
		traffic->sweep =
			actor_timer_start(traffic->self, SWEEP_MS, SWEEP_MS, on_sweep, traffic);
	if (traffic->sweep == NULL)
		fatal("hh.no_memory", "a timer");
}

void hh_traffic_ask(struct hh_traffic *traffic, struct actor_call *call, const struct hh_want *want)
{
	struct hh_request *request =
		(struct hh_request *)hh_share_flight(&traffic->share, want->key);
	bool joined = request != NULL && !request->probe;
	struct failure failure;

	if ((request == NULL || !request->in_flight) &&
	    hh_traffic_in_vain(traffic, want->class, false, actor_call_remaining_ms(call),
			       &failure)) {
		actor_refuse_with(call, &failure);
		return;
	}
	if (joined)
		traffic->count.shared++;
	else
		request = hh_request_new(traffic, want, NULL);
	if (request == NULL || hh_request_join(request, call, want->class, joined) < 0 ||
	    (!joined && hh_request_queue(request, false) < 0)) {
		if (!joined && request != NULL)
			hh_request_free(request);
		refuse_overloaded(traffic, call, want->class);
		return;
	}
	request->keep |= want->keep;
	hh_traffic_keep_sweeping(traffic);
	hh_traffic_pump(traffic);
}

void hh_traffic_give_kept(struct hh_traffic *traffic, struct actor_call *call,
			  const struct jobs_page *page)
{
	struct jobs_page reply = *page;

	traffic->count.shared++;
	reply.shared = true;
	actor_reply(call, &reply);
}

/* --- beginning and end
 * -----------------------------------------------------------------------------------------
 */

int hh_traffic_init(struct hh_traffic *traffic, struct actor *self)
{
	int rc;

	traffic->self = self;
	hh_queue_init(&traffic->queue, INTERACTIVE_MAX, BACKGROUND_MAX);
	hh_share_init(&traffic->share, SHARE_BYTES);
	rc = hh_pace_init(&traffic->pace, setting_real(HH_MAX_RPS));
	if (rc < 0)
		return rc;
	rc = hh_http_open(actor_loop(self), setting_text(HH_USER_AGENT), IN_FLIGHT_MAX,
			  &traffic->http);
	if (rc < 0)
		return rc;
	return hh_token_init(&traffic->token, self, on_token_changed, traffic);
}

void hh_traffic_fini(struct hh_traffic *traffic)
{
	hh_http_close(&traffic->http);
	while (traffic->requests != NULL)
		hh_request_free(traffic->requests);
	hh_exchange_free_all(traffic);
	actor_timer_stop(&traffic->pump);
	actor_timer_stop(&traffic->sweep);
	hh_token_fini(&traffic->token);
	hh_queue_fini(&traffic->queue);
	hh_share_fini(&traffic->share);
	hh_pace_fini(&traffic->pace);
}

static void on_stop_over(struct actor *self, void *context)
{
	(void)context;
	actor_stopped(self);
}

void hh_traffic_stop(struct hh_traffic *traffic)
{
	hh_traffic_check_stopped(traffic);
	if (actor_timer_start(traffic->self, STOP_MS, 0, on_stop_over, NULL) == NULL)
		actor_stopped(traffic->self);
}
