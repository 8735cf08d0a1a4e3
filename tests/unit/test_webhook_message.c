/* test_webhook_message.c - what the BFF is sent, what its answers mean, when it is tried again. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actors/broadcaster/webhook_message.h"

static void assert_body(const char *topic, const char *payload, const char *expected)
{
	const struct event event = {.topic = topic, .payload = payload, .type = "new_jobs"};
	json_t *wanted = json_loads(expected, 0, NULL);
	char *body = NULL;
	size_t len = 0;
	json_t *got;

	assert_int_equal(webhook_body(&event, &body, &len), 0);
	assert_int_equal(strlen(body), len);
	got = json_loads(body, 0, NULL);
	if (!json_equal(got, wanted))
		fail_msg("%s is not %s", body, expected);
	json_decref(got);
	json_decref(wanted);
	free(body);
}

static void sends_what_the_bff_validates_and_no_nulls(void **state)
{
	(void)state;
	assert_body("user:u",
		    "{\"jobs\":[{\"id\":\"1\",\"title\":\"T\",\"company\":null,\"area\":\"A\","
		    "\"skills\":[],\"has_test\":false}],\"stats\":{\"n\":1,\"x\":null}}",
		    "{\"jobs\":[{\"id\":\"1\",\"externalId\":\"1\",\"title\":\"T\",\"area\":\"A\","
		    "\"source\":\"hh.ru\",\"userId\":\"u\"}],\"stats\":{\"n\":1}}");
	assert_body("all", "{\"jobs\":[{\"id\":\"1\",\"title\":\"T\"}],\"stats\":null}",
		    "{\"jobs\":[{\"id\":\"1\",\"externalId\":\"1\",\"title\":\"T\","
		    "\"source\":\"hh.ru\"}],\"stats\":{}}");
}

static void leaves_out_a_job_for_which_all_would_be_refused(void **state)
{
	(void)state;
	assert_body(
		"user:u",
		"{\"jobs\":[{\"id\":1,\"title\":\"T\"},{\"id\":\"1\"},{\"title\":\"T\"},null,[]]}",
		"{\"jobs\":[],\"stats\":{}}");
}

static void refuses_a_payload_without_jobs(void **state)
{
	static const char *const payloads[] = {"{}", "[]", "1", "{\"jobs\":{}}", "no json"};
	char *body = NULL;
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
		const struct event event = {.topic = "user:u", .payload = payloads[i]};

		assert_int_equal(webhook_body(&event, &body, &len), -EINVAL);
		assert_null(body);
	}
}

static void knows_what_an_answer_means(void **state)
{
	static const int taken[] = {200, 201, 202, 204, 299};
	static const int refused[] = {400, 402, 409, 410, 413, 415, 422, 451};
	static const int retried[] = {0,   100, 301, 302, 304, 401, 403, 404, 405,
				      408, 425, 429, 500, 502, 503, 504, 599};

	(void)state;
	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
		assert_int_equal(webhook_judge(taken[i]), WEBHOOK_TAKEN);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert_int_equal(webhook_judge(refused[i]), WEBHOOK_REFUSED);
	for (size_t i = 0; i < sizeof(retried) / sizeof(*retried); i++)
		assert_int_equal(webhook_judge(retried[i]), WEBHOOK_RETRY);
}

static void waits_twice_as_long_each_time_up_to_five_minutes(void **state)
{
	(void)state;
	assert_int_equal(webhook_backoff_ms(1, 0), 1000);
	assert_int_equal(webhook_backoff_ms(2, 0), 2000);
	assert_int_equal(webhook_backoff_ms(9, 0), 256000);
	assert_int_equal(webhook_backoff_ms(10, 0), WEBHOOK_BACKOFF_MAX_MS);
	assert_int_equal(webhook_backoff_ms(4000000000u, 0), WEBHOOK_BACKOFF_MAX_MS);
	for (unsigned failures = 0; failures < 40; failures++)
		for (uint32_t n = 0; n < 2000; n += 7) {
			int64_t most = webhook_backoff_ms(failures, 0);
			int64_t ms = webhook_backoff_ms(failures, n);

			assert_true(ms >= most / 2 && ms <= most);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_what_the_bff_validates_and_no_nulls),
		cmocka_unit_test(leaves_out_a_job_for_which_all_would_be_refused),
		cmocka_unit_test(refuses_a_payload_without_jobs),
		cmocka_unit_test(knows_what_an_answer_means),
		cmocka_unit_test(waits_twice_as_long_each_time_up_to_five_minutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
