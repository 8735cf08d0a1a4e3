/* test_gateway_http_error.c - the one form of an error, and how answers are put together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/http_error.h"
#include "gateway/routes.h"

static struct answer answer;

static int teardown(void **state)
{
	(void)state;
	answer_fini(&answer);
	return 0;
}

static void says_all_that_is_known(void **state)
{
	const struct http_error error = {
		.error = ERR_BAD_REQUEST,
		.message = "is \"wrong\"",
		.field = "a[1].b",
		.details = "{\"x\":[1]}",
		.request_id = "r-1",
	};

	(void)state;
	http_error_answer(&error, &answer);
	assert_int_equal(answer.status, 400);
	assert_int_equal(answer.retry_after_s, 0);
	assert_string_equal(answer.body,
			    "{\"success\":false,\"error\":\"bad_request\",\"message\":\"is "
			    "\\\"wrong\\\"\",\"field\":\"a[1].b\",\"details\":{\"x\":[1]},"
			    "\"request_id\":\"r-1\"}");
	assert_int_equal(answer.len, strlen(answer.body));
}

static void a_refusal_has_words_for_the_person(void **state)
{
	const struct http_error bare = {.error = ERR_CANCELLED, .request_id = "r"};
	const struct http_error told = {
		.error = ERR_CANCELLED,
		.message = "m",
		.details = "{\"description\":\"d\",\"x\":1}",
		.request_id = "r",
	};
	const struct http_error odd = {.error = ERR_CANCELLED, .details = "[1]", .request_id = "r"};

	(void)state;
	http_error_answer(&bare, &answer);
	assert_int_equal(answer.status, 409);
	assert_string_equal(answer.body, "{\"success\":false,\"error\":\"cancelled\",\"message\":"
					 "\"it was cancelled\",\"message_ru\":\"отменено\","
					 "\"details\":{\"description\":\"it was cancelled\"},"
					 "\"request_id\":\"r\"}");
	http_error_answer(&told, &answer);
	assert_non_null(strstr(answer.body, "\"message\":\"m\""));
	assert_non_null(strstr(answer.body, "\"details\":{\"description\":\"d\",\"x\":1}"));
	http_error_answer(&odd, &answer);
	assert_non_null(strstr(answer.body, "\"details\":{\"reason\":[1],\"description\":\"it "
					    "was cancelled\"}"));
}

static void leaves_out_what_is_not(void **state)
{
	const struct http_error error = {
		.error = ERR_INTERNAL, .status = 505, .field = "", .request_id = "r"};

	(void)state;
	http_error_answer(&error, &answer);
	assert_int_equal(answer.status, 505);
	assert_string_equal(answer.body, "{\"success\":false,\"error\":\"internal\",\"message\":"
					 "\"internal\",\"request_id\":\"r\"}");
}

static void hands_an_actors_failure_on(void **state)
{
	const struct failure failure = {
		.error = "rate_limited",
		.message = "later",
		.retry_after_ms = OPT_INT_OF(1001),
	};

	(void)state;
	http_error_of_failure(ERR_RATE_LIMITED, &failure, "r", &answer);
	assert_int_equal(answer.status, 429);
	assert_int_equal(answer.retry_after_s, 2);
	assert_non_null(strstr(answer.body, "\"message\":\"later\""));
}

static void every_error_has_its_status_and_only_some_a_retry(void **state)
{
	(void)state;
	for (int e = ERR_NONE + 1; e < ERR_COUNT; e++) {
		const int status = error_http_status((enum msg_error)e);

		http_error_of_failure((enum msg_error)e, NULL, "r", &answer);
		assert_int_equal(answer.status, status);
		assert_int_equal(answer.retry_after_s, status == 503 || status == 429 ? 1 : 0);
		answer_fini(&answer);
	}
}

static void text_that_is_no_utf8_is_left_out(void **state)
{
	const struct http_error error = {
		.error = ERR_INTERNAL, .message = "\xff", .details = "{", .request_id = "r"};

	(void)state;
	http_error_answer(&error, &answer);
	assert_string_equal(answer.body,
			    "{\"success\":false,\"error\":\"internal\",\"request_id\":\"r\"}");
}

static void objects_are_merged_and_joined(void **state)
{
	(void)state;
	answer_set_merged(&answer, 200, "{\"a\":1", "{\"b\":2}");
	assert_string_equal(answer.body, "{\"a\":1,\"b\":2}");
	answer_set_merged(&answer, 200, "{\"a\":1", "{}");
	assert_string_equal(answer.body, "{\"a\":1}");
	answer_set_joined(&answer, 201, "{\"a\":", "[]", "}");
	assert_string_equal(answer.body, "{\"a\":[]}");
	assert_int_equal(answer.status, 201);
}

static const struct route *route_of(enum msg_id message)
{
	const struct route *r = routes;

	while (r->message != message)
		r++;
	return r;
}

static void answer_of(enum msg_id message, enum msg_error error, const void *body, bool trusted)
{
	const struct route *route = route_of(message);
	const struct route_outcome outcome = {
		.error = error, .body = body, .request_id = "r", .trusted = trusted};

	answer_fini(&answer);
	route->answer(route, &outcome, &answer);
}

static void health_tells_strangers_nothing(void **state)
{
	const struct database_state up = {.db = "up", .server = "15.1"};
	const struct database_state down = {.db = "down", .problem = "host db.internal"};

	(void)state;
	answer_of(MSG_STORE_PING, ERR_NONE, &up, false);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.body, "{\"status\":\"ok\",\"db\":\"up\"}");
	answer_of(MSG_STORE_PING, ERR_NONE, &down, false);
	assert_int_equal(answer.status, 503);
	assert_int_equal(answer.retry_after_s, 1);
	assert_null(strstr(answer.body, "internal"));
	answer_of(MSG_STORE_PING, ERR_NONE, &down, true);
	assert_non_null(strstr(answer.body, "\"problem\":\"host db.internal\""));
	answer_of(MSG_STORE_PING, ERR_DOWN, NULL, true);
	assert_int_equal(answer.status, 503);
	assert_non_null(strstr(answer.body, "{\"status\":\"degraded\",\"db\":\"down\""));
}

static void a_reply_that_does_not_fit_is_our_fault(void **state)
{
	const struct schedule schedule = {.user_id = "too short"};

	(void)state;
	answer_of(MSG_SCHEDULE_GET, ERR_NONE, &schedule, true);
	assert_int_equal(answer.status, 500);
	assert_non_null(strstr(answer.body, "\"error\":\"internal\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(says_all_that_is_known, teardown),
		cmocka_unit_test_teardown(a_refusal_has_words_for_the_person, teardown),
		cmocka_unit_test_teardown(leaves_out_what_is_not, teardown),
		cmocka_unit_test_teardown(hands_an_actors_failure_on, teardown),
		cmocka_unit_test_teardown(every_error_has_its_status_and_only_some_a_retry,
					  teardown),
		cmocka_unit_test_teardown(text_that_is_no_utf8_is_left_out, teardown),
		cmocka_unit_test_teardown(objects_are_merged_and_joined, teardown),
		cmocka_unit_test_teardown(health_tells_strangers_nothing, teardown),
		cmocka_unit_test_teardown(a_reply_that_does_not_fit_is_our_fault, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
