/* test_hh_retry.c - what HH's answers mean, what callers are told of them, and when HH is left
 * alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_failure.h"
#include "actors/hh_client/hh_retry.h"

#define ERRORS(entries) "{\"errors\":[" entries "],\"request_id\":\"17a\"}"

struct answer_case {
	const char *name;
	long status;
	const char *body; /* NULL: not JSON */
	enum hh_verdict verdict;
	enum msg_error error;
	enum hh_health health;
	bool too_many;
};

static const struct answer_case answers[] = {
	{"an answer", 200, "{}", HH_DONE, ERR_NONE, HH_ALIVE, false},
	{"an answer that is cut off", 200, NULL, HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_AILING, false},
	{"an answer that is a list", 200, "[]", HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_AILING, false},
	{"a wrong parameter", 400, ERRORS("{\"type\":\"bad_argument\",\"value\":\"area\"}"),
	 HH_GIVE_UP, ERR_HH_REFUSED, HH_ALIVE, false},
	{"a bad request", 400, ERRORS("{\"type\":\"bad_request\"}"), HH_GIVE_UP, ERR_HH_REFUSED,
	 HH_ALIVE, false},
	{"a bad request without a body", 400, NULL, HH_GIVE_UP, ERR_HH_REFUSED, HH_ALIVE, false},
	{"no User-Agent", 400, ERRORS("{\"type\":\"bad_user_agent\",\"value\":\"unset\"}"),
	 HH_GIVE_UP, ERR_HH_REFUSED, HH_ALIVE, false},
	{"a captcha", 403,
	 ERRORS("{\"type\":\"captcha_required\",\"value\":\"captcha_required\","
		"\"captcha_url\":\"https://hh.ru/c\"}"),
	 HH_GIVE_UP, ERR_HH_CAPTCHA, HH_ALIVE, false},
	{"an unknown token", 403, ERRORS("{\"type\":\"oauth\",\"value\":\"bad_authorization\"}"),
	 HH_BAD_TOKEN, ERR_HH_AUTH, HH_ALIVE, false},
	{"an expired token", 403, ERRORS("{\"type\":\"oauth\",\"value\":\"token_expired\"}"),
	 HH_BAD_TOKEN, ERR_HH_AUTH, HH_ALIVE, false},
	{"a revoked token with another status", 400,
	 ERRORS("{\"type\":\"oauth\",\"value\":\"token_revoked\"}"), HH_BAD_TOKEN, ERR_HH_AUTH,
	 HH_ALIVE, false},
	{"another token needed", 403,
	 ERRORS("{\"type\":\"oauth\",\"value\":\"user_auth_expected\"}"), HH_GIVE_UP, ERR_HH_AUTH,
	 HH_ALIVE, false},
	{"401, which is not documented", 401, "{}", HH_BAD_TOKEN, ERR_HH_AUTH, HH_ALIVE, false},
	{"forbidden", 403, ERRORS("{\"type\":\"forbidden\"}"), HH_GIVE_UP, ERR_HH_REFUSED, HH_ALIVE,
	 false},
	{"the guard's page", 403, NULL, HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_AILING, false},
	{"not found", 404, ERRORS("{\"type\":\"not_found\"}"), HH_GIVE_UP, ERR_NOT_FOUND, HH_ALIVE,
	 false},
	{"not found without a body", 404, NULL, HH_GIVE_UP, ERR_NOT_FOUND, HH_ALIVE, false},
	{"too many requests", 429, ERRORS("{\"type\":\"too_many_requests\"}"), HH_TRY_AGAIN,
	 ERR_UNAVAILABLE, HH_ALIVE, true},
	{"too many requests without a body", 429, NULL, HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_ALIVE,
	 true},
	{"500", 500, NULL, HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_AILING, false},
	{"502", 502, ERRORS("{\"type\":\"bad_gateway\"}"), HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_AILING,
	 false},
	{"503", 503, ERRORS("{\"type\":\"service_unavailable\"}"), HH_TRY_AGAIN, ERR_UNAVAILABLE,
	 HH_AILING, false},
	{"504 in HTML", 504, NULL, HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_AILING, false},
	{"a redirect", 302, NULL, HH_GIVE_UP, ERR_HH_REFUSED, HH_ALIVE, false},
	{"errors that are no list", 400, "{\"errors\":\"x\"}", HH_GIVE_UP, ERR_HH_REFUSED, HH_ALIVE,
	 false},
	{"errors of odd entries", 400, ERRORS("null,1,{},{\"type\":null,\"value\":3}"), HH_GIVE_UP,
	 ERR_HH_REFUSED, HH_ALIVE, false},
	{"the one that we know among others", 400,
	 ERRORS("{\"type\":\"new\"},{\"type\":\"captcha_required\"}"), HH_GIVE_UP, ERR_HH_CAPTCHA,
	 HH_ALIVE, false},
};

static void judges_errors_by_name_and_then_by_status(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const struct answer_case *c = &answers[i];
		json_t *json = c->body == NULL ? NULL : json_loads(c->body, 0, NULL);
		const struct hh_reply reply = {.status = c->status, .json = json, .request_id = ""};
		struct hh_judgement j = hh_judge(&reply);

		if (j.verdict != c->verdict || j.error != c->error || j.health != c->health ||
		    j.too_many != c->too_many)
			fail_msg("%s: verdict %d, error %s, health %d", c->name, (int)j.verdict,
				 error_code(j.error), (int)j.health);
		json_decref(json);
	}
}

static void judges_what_never_became_an_answer(void **state)
{
	static const struct {
		CURLcode curl;
		bool too_large;
		bool hurried;
		enum hh_verdict verdict;
		enum msg_error error;
		enum hh_health health;
	} cases[] = {
		{CURLE_COULDNT_CONNECT, false, false, HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_AILING},
		{CURLE_COULDNT_RESOLVE_HOST, false, false, HH_TRY_AGAIN, ERR_UNAVAILABLE,
		 HH_AILING},
		{CURLE_RECV_ERROR, false, false, HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_AILING},
		{CURLE_PARTIAL_FILE, false, false, HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_AILING},
		{CURLE_OPERATION_TIMEDOUT, false, false, HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_AILING},
		{CURLE_OPERATION_TIMEDOUT, false, true, HH_TRY_AGAIN, ERR_UNAVAILABLE, HH_UNCLEAR},
		{CURLE_WRITE_ERROR, true, false, HH_GIVE_UP, ERR_HH_REFUSED, HH_ALIVE},
		{CURLE_URL_MALFORMAT, false, false, HH_GIVE_UP, ERR_INTERNAL, HH_UNCLEAR},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct hh_reply reply = {
			.curl = cases[i].curl,
			.too_large = cases[i].too_large,
			.hurried = cases[i].hurried,
			.request_id = "",
		};
		struct hh_judgement j = hh_judge(&reply);

		assert_int_equal(j.verdict, cases[i].verdict);
		assert_int_equal(j.error, cases[i].error);
		assert_int_equal(j.health, cases[i].health);
	}
}

/* --- failures
 * ------------------------------------------------------------------------------------- */

static struct arena arena;

static int teardown_arena(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static struct failure failure_of(long status, json_t *json, int64_t wait_ms)
{
	const struct hh_reply reply = {.status = status, .json = json, .request_id = "header-id"};
	const struct hh_judgement j = hh_judge(&reply);

	arena_init(&arena, (size_t)1 << 20);
	return hh_failure_make(&j, &reply, wait_ms, &arena);
}

static void failure_hands_hhs_own_errors_on(void **state)
{
	json_t *json =
		json_loads("{\"description\":\"Bad Request\",\"request_id\":\"17a\",\"errors\":"
			   "[{\"type\":\"bad_argument\",\"value\":\"area\",\"reason\":\"x\"}]}",
			   0, NULL);
	struct failure f = failure_of(400, json, 0);
	json_t *details = json_loads(f.details, 0, NULL);

	(void)state;
	assert_string_equal(f.error, "hh_refused");
	assert_string_equal(f.field, "area");
	assert_non_null(strstr(f.message, "bad_argument/area"));
	assert_non_null(strstr(f.message, "Bad Request"));
	assert_false(f.retry_after_ms.set);
	assert_int_equal(json_integer_value(json_object_get(details, "http_status")), 400);
	assert_string_equal(json_string_value(json_object_get(details, "request_id")), "17a");
	assert_true(
		json_equal(json_object_get(details, "errors"), json_object_get(json, "errors")));
	json_decref(details);
	json_decref(json);
}

static void failure_says_where_the_captcha_is(void **state)
{
	json_t *json =
		json_loads(ERRORS("{\"type\":\"captcha_required\",\"value\":"
				  "\"captcha_required\",\"captcha_url\":\"https://hh.ru/c\"}"),
			   0, NULL);
	struct failure f = failure_of(403, json, 0);

	(void)state;
	assert_string_equal(f.error, "hh_captcha");
	assert_non_null(strstr(f.details, "\"captcha_url\":\"https://hh.ru/c\""));
	json_decref(json);
}

static void failure_without_a_body_has_the_status_and_the_header(void **state)
{
	struct failure f = failure_of(503, NULL, 1500);

	(void)state;
	assert_string_equal(f.error, "unavailable");
	assert_null(f.field);
	assert_string_equal(f.details, "{\"http_status\":503,\"request_id\":\"header-id\"}");
	assert_int_equal(f.retry_after_ms.value, 1500);
}

static void failure_stays_within_the_catalogues_limits(void **state)
{
	char *big = malloc(40001);
	json_t *json;
	struct failure f;

	(void)state;
	memset(big, 'x', 40000);
	big[40000] = '\0';
	json = json_pack("{s:s, s:[{s:s, s:s, s:s}]}", "description", big, "errors", "type",
			 "bad_argument", "value", big, "captcha_url", big);
	f = failure_of(400, json, INT64_MAX);
	assert_in_range(strlen(f.message), 1, 1024);
	assert_null(f.field);
	assert_in_range(strlen(f.details), 1, 16384);
	assert_int_equal(f.retry_after_ms.value, 86400000);
	json_decref(json);
	free(big);
}

/* --- backoff
 * -------------------------------------------------------------------------------------- */

static void backoff_doubles_is_capped_and_half_random(void **state)
{
	(void)state;
	assert_int_equal(hh_backoff_ms(1, 0), 200);
	assert_int_equal(hh_backoff_ms(2, 0), 400);
	assert_int_equal(hh_backoff_ms(3, 0), 800);
	assert_int_equal(hh_backoff_ms(50, 0), 10000);
	for (uint32_t r = 0; r < 100000; r += 7) {
		assert_in_range(hh_backoff_ms(1, r), 200, 400);
		assert_in_range(hh_backoff_ms(1000, r), 10000, 20000);
	}
}

/* --- the circuit breaker
 * --------------------------------------------------------------------------- */

static void ail(struct hh_breaker *b, int times, int64_t now_ms)
{
	for (int i = 0; i < times; i++)
		hh_breaker_heard(b, HH_AILING, now_ms);
}

static void circuit_opens_after_five_failures_in_a_row(void **state)
{
	struct hh_breaker b = {0};

	(void)state;
	ail(&b, 4, 0);
	hh_breaker_heard(&b, HH_ALIVE, 0);
	ail(&b, 4, 0);
	hh_breaker_heard(&b, HH_UNCLEAR, 0); /* neither forgives nor counts */
	assert_int_equal(hh_breaker_state(&b, 0), HH_CLOSED);
	assert_int_equal(hh_breaker_wait_ms(&b, 0), 0);
	ail(&b, 1, 1000);
	assert_int_equal(hh_breaker_state(&b, 1000), HH_OPEN);
	assert_int_equal(hh_breaker_wait_ms(&b, 1000), 10000);
	assert_int_equal(hh_breaker_wait_ms(&b, 6000), 5000);
}

static void one_request_probes_a_half_open_circuit(void **state)
{
	struct hh_breaker b = {0};

	(void)state;
	ail(&b, 5, 0);
	assert_int_equal(hh_breaker_state(&b, 10000), HH_HALF_OPEN);
	assert_int_equal(hh_breaker_wait_ms(&b, 10000), 0);
	hh_breaker_sent(&b);
	assert_true(hh_breaker_wait_ms(&b, 10001) > 0); /* only one */
	hh_breaker_heard(&b, HH_ALIVE, 10500);
	assert_int_equal(hh_breaker_state(&b, 10500), HH_CLOSED);
	ail(&b, 4, 10600);
	assert_int_equal(hh_breaker_state(&b, 10600), HH_CLOSED);
}

static void a_failed_probe_opens_it_again(void **state)
{
	struct hh_breaker b = {0};

	(void)state;
	ail(&b, 5, 0);
	hh_breaker_sent(&b);
	ail(&b, 1, 12000);
	assert_int_equal(hh_breaker_state(&b, 12000), HH_OPEN);
	assert_int_equal(hh_breaker_wait_ms(&b, 12000), 10000);
}

static void a_probe_that_says_nothing_lets_another_one_try(void **state)
{
	struct hh_breaker b = {0};

	(void)state;
	ail(&b, 5, 0);
	hh_breaker_sent(&b);
	hh_breaker_heard(&b, HH_UNCLEAR, 11000);
	assert_int_equal(hh_breaker_state(&b, 11000), HH_HALF_OPEN);
	assert_int_equal(hh_breaker_wait_ms(&b, 11000), 0);
}

static void late_failures_do_not_keep_it_open(void **state)
{
	struct hh_breaker b = {0};

	(void)state;
	ail(&b, 5, 0);
	ail(&b, 3, 9000); /* were under way when it opened */
	assert_int_equal(hh_breaker_wait_ms(&b, 9000), 1000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_errors_by_name_and_then_by_status),
		cmocka_unit_test(judges_what_never_became_an_answer),
		cmocka_unit_test_teardown(failure_hands_hhs_own_errors_on, teardown_arena),
		cmocka_unit_test_teardown(failure_says_where_the_captcha_is, teardown_arena),
		cmocka_unit_test_teardown(failure_without_a_body_has_the_status_and_the_header,
					  teardown_arena),
		cmocka_unit_test_teardown(failure_stays_within_the_catalogues_limits,
					  teardown_arena),
		cmocka_unit_test(backoff_doubles_is_capped_and_half_random),
		cmocka_unit_test(circuit_opens_after_five_failures_in_a_row),
		cmocka_unit_test(one_request_probes_a_half_open_circuit),
		cmocka_unit_test(a_failed_probe_opens_it_again),
		cmocka_unit_test(a_probe_that_says_nothing_lets_another_one_try),
		cmocka_unit_test(late_failures_do_not_keep_it_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
