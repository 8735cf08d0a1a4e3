/* test_ws_messages.c - the plain JSON of /ws: what is understood, and what is said. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actors/broadcaster/ws_messages.h"

#define USER "0f8fad5b-d9cb-469f-a165-70867728950e"

static void assert_json(const char *got, const char *expected)
{
	json_t *a = json_loads(got, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	json_t *b = json_loads(expected, JSON_DECODE_ANY, NULL);

	assert_non_null(b);
	if (a == NULL || !json_equal(a, b))
		fail_msg("%s is not %s", got, expected);
	json_decref(a);
	json_decref(b);
}

static void assert_answer(const char *text, const char *expected)
{
	struct plain_wish wish;

	assert_int_equal(plain_read(text, strlen(text), "url-client", 0, &wish), 0);
	assert_non_null(wish.answer);
	assert_json(wish.answer, expected);
	free(wish.answer);
}

static void answers_what_the_browser_client_says(void **state)
{
	(void)state;
	assert_answer("{\"type\":\"register\",\"clientId\":\"a\"}",
		      "{\"type\":\"registered\",\"clientId\":\"a\"}");
	assert_answer("{\"type\":\"register\",\"clientId\":5}",
		      "{\"type\":\"registered\",\"clientId\":\"url-client\"}");
	assert_answer("{\"type\":\"subscribe\",\"searchParams\":{\"text\":\"C\"}}",
		      "{\"type\":\"subscribed\",\"searchParams\":{\"text\":\"C\"}}");
	assert_answer("{\"type\":\"subscribe\"}",
		      "{\"type\":\"subscribed\",\"searchParams\":null}");
	assert_answer("{\"type\":\"ping\"}",
		      "{\"type\":\"pong\",\"timestamp\":\"1970-01-01T00:00:00.000Z\"}");
}

static void echoes_everything_else(void **state)
{
	(void)state;
	assert_answer("{\"type\":\"x\"}", "{\"type\":\"echo\",\"message\":{\"type\":\"x\"}}");
	assert_answer("{\"type\":1}", "{\"type\":\"echo\",\"message\":{\"type\":1}}");
	assert_answer("[]", "{\"type\":\"echo\",\"message\":[]}");
	assert_answer("null", "{\"type\":\"echo\",\"message\":null}");
	assert_answer("", "{\"type\":\"echo\",\"message\":\"\"}");
	assert_answer("no json", "{\"type\":\"echo\",\"message\":\"no json\"}");
	assert_answer("{}{}", "{\"type\":\"echo\",\"message\":\"{}{}\"}");
	assert_answer("1e999", "{\"type\":\"echo\",\"message\":\"1e999\"}");
}

static void a_nul_in_a_message_is_echoed_as_text(void **state)
{
	struct plain_wish wish;

	(void)state;
	assert_int_equal(plain_read("a\0b", 3, "", 0, &wish), 0);
	assert_string_equal(wish.answer, "{\"type\":\"echo\",\"message\":\"a\\u0000b\"}");
	free(wish.answer);
}

static void a_resume_is_a_replay_or_an_error(void **state)
{
	static const char *const bad[] = {
		"{\"type\":\"resume\"}",
		"{\"type\":\"resume\",\"after\":-1}",
		"{\"type\":\"resume\",\"after\":\"1\"}",
		"{\"type\":\"resume\",\"after\":1.0}",
	};
	const char *good = "{\"type\":\"resume\",\"after\":12}";
	struct plain_wish wish;

	(void)state;
	assert_int_equal(plain_read(good, strlen(good), "", 0, &wish), 0);
	assert_null(wish.answer);
	assert_int_equal(wish.after, 12);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_answer(bad[i], "{\"type\":\"error\","
				      "\"message\":\"after is a whole number from 0 on\"}");
}

static struct plain_door door_of(bool needs_token)
{
	struct plain_door door = {.needs_token = needs_token};

	assert_int_equal(session_key_derive("a secret of more than 32 characters", &door.sessions),
			 0);
	return door;
}

/* What a URL says to a door that lets in whoever names a user. */
static int hello_of(const char *query, struct plain_hello *hello)
{
	const struct plain_door door = door_of(false);

	return plain_hello_read(&door, query, 1000, hello);
}

static void a_token_names_its_user(void **state)
{
	const struct plain_door open = door_of(false);
	const struct plain_door strict = door_of(true);
	struct plain_hello hello;
	char query[1200];
	char *token;

	(void)state;
	assert_int_equal(session_token_issue(&open.sessions, USER, 1000, &token), 0);
	(void)snprintf(query, sizeof(query), "userId=11111111-d9cb-469f-a165-70867728950e&token=%s",
		       token);
	free(token);
	assert_int_equal(plain_hello_read(&open, query, 1000, &hello), 0);
	assert_string_equal(hello.user_id, USER);
	assert_int_equal(plain_hello_read(&strict, query, 1000, &hello), 0);
	assert_string_equal(hello.user_id, USER);
	assert_int_equal(
		plain_hello_read(&open, query, 1000 * SESSION_TOKEN_LASTS_S + 1000, &hello),
		-EACCES);
	query[strlen(query) - 3] ^= 1;
	assert_int_equal(plain_hello_read(&open, query, 1000, &hello), -EACCES);
}

static void a_token_can_be_demanded(void **state)
{
	const struct plain_door open = door_of(false);
	const struct plain_door strict = door_of(true);
	const struct plain_door keyless = {.needs_token = false};
	struct plain_hello hello;

	(void)state;
	assert_int_equal(plain_hello_read(&open, "userId=" USER, 1000, &hello), 0);
	assert_int_equal(plain_hello_read(&strict, "userId=" USER, 1000, &hello), -EACCES);
	assert_int_equal(plain_hello_read(&strict, "clientId=a", 1000, &hello), 0);
	assert_string_equal(hello.user_id, "");
	assert_int_equal(plain_hello_read(&open, "userId=" USER "&token=x", 1000, &hello), -EACCES);
	assert_int_equal(plain_hello_read(&keyless, "userId=" USER "&token=x", 1000, &hello),
			 -EACCES);
	assert_int_equal(plain_hello_read(&open, "userId=x&token=x", 1000, &hello), -EACCES);
}

static void reads_the_url(void **state)
{
	struct plain_hello hello;

	(void)state;
	assert_int_equal(hello_of("clientId=a%20b&userId=" USER "&after=7", &hello), 0);
	assert_string_equal(hello.client_id, "a b");
	assert_string_equal(hello.user_id, USER);
	assert_true(hello.resumes);
	assert_int_equal(hello.after, 7);
	assert_int_equal(hello_of("", &hello), 0);
	assert_string_equal(hello.user_id, "");
	assert_false(hello.resumes);
	assert_int_equal(hello_of("userId=&after=", &hello), 0);
	assert_false(hello.resumes);
}

static void refuses_urls_that_say_nonsense(void **state)
{
	static const char *const bad[] = {
		"userId=x",	   "userId=" USER "0", "userId=" USER "%00",
		"userId=%7b" USER, "after=x",	       "after=-1",
		"after=+1",	   "after=1x",	       "after=9223372036854775808",
		"clientId=%e4",	   "clientId=%",       "clientId=%4",
		"clientId=%4g",
	};
	struct plain_hello hello;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (hello_of(bad[i], &hello) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
}

static int canonical(const char *text, char uuid[UUID_SIZE])
{
	return uuid_canonical(text, strlen(text), uuid);
}

static void a_uuid_is_made_canonical(void **state)
{
	char uuid[UUID_SIZE];

	(void)state;
	assert_int_equal(canonical("0F8FAD5B-D9CB-469F-A165-70867728950E", uuid), 0);
	assert_string_equal(uuid, USER);
	assert_int_equal(canonical("", uuid), -EINVAL);
	assert_int_equal(canonical("0f8fad5bd9cb469fa16570867728950e", uuid), -EINVAL);
	assert_int_equal(canonical("0f8fad5b-d9cb-469f-a165-70867728950", uuid), -EINVAL);
	assert_int_equal(canonical("0f8fad5b-d9cb-469f-a165-70867728950g", uuid), -EINVAL);
}

static void greets_with_what_is_known(void **state)
{
	char *text = plain_connected(USER, 9);

	(void)state;
	assert_json(text, "{\"type\":\"connected\",\"message\":\"Connected to UllGetTheJob\","
			  "\"userId\":\"" USER "\",\"last_event_id\":9}");
	free(text);
	text = plain_connected("", -1);
	assert_json(text, "{\"type\":\"connected\",\"message\":\"Connected to UllGetTheJob\","
			  "\"userId\":null}");
	free(text);
	text = plain_resumed(3, 9);
	assert_json(text, "{\"type\":\"resumed\",\"after\":3,\"last_event_id\":9}");
	free(text);
}

static void assert_event(const char *type, const char *payload, const char *expected)
{
	const struct event event = {
		.topic = "user:" USER,
		.seq = 5,
		.type = type,
		.payload = payload,
		.created_ms = 1000,
	};
	size_t len = 0;
	char *text = plain_event(&event, &len);

	assert_non_null(text);
	assert_int_equal(strlen(text), len);
	assert_json(text, expected);
	free(text);
}

#define TAIL "\"event_id\":5,\"timestamp\":\"1970-01-01T00:00:01.000Z\"}"

static void an_events_payload_goes_where_its_type_wants_it(void **state)
{
	(void)state;
	assert_event("new_jobs", "{\"jobs\":[1],\"stats\":{}}",
		     "{\"type\":\"new_jobs\",\"jobs\":[1],\"stats\":{}," TAIL);
	assert_event("new_jobs", "\n{ \"jobs\" : [] } ",
		     "{\"type\":\"new_jobs\",\"jobs\":[]," TAIL);
	assert_event("new_jobs", "{ }", "{\"type\":\"new_jobs\"," TAIL);
	assert_event("new_jobs", "[1]", "{\"type\":\"new_jobs\",\"data\":[1]," TAIL);
	assert_event("new_jobs", "\"{}\"", "{\"type\":\"new_jobs\",\"data\":\"{}\"," TAIL);
	assert_event("application_progress", "{\"total\":2}",
		     "{\"type\":\"application_progress\",\"data\":{\"total\":2}," TAIL);
	assert_event("rate_limit_update", "{\"data\":{\"tokens\":2.5},\"timestamp\":\"T\"}",
		     "{\"type\":\"rate_limit_update\",\"data\":{\"tokens\":2.5},\"event_id\":5,"
		     "\"timestamp\":\"T\"}");
	assert_event("hh_login_required", "{\"data\":{}}",
		     "{\"type\":\"hh_login_required\",\"data\":{}," TAIL);
	assert_event("q\"\\\n", "null", "{\"type\":\"q\\\"\\\\\\n\",\"data\":null," TAIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_what_the_browser_client_says),
		cmocka_unit_test(echoes_everything_else),
		cmocka_unit_test(a_nul_in_a_message_is_echoed_as_text),
		cmocka_unit_test(a_resume_is_a_replay_or_an_error),
		cmocka_unit_test(a_token_names_its_user),
		cmocka_unit_test(a_token_can_be_demanded),
		cmocka_unit_test(reads_the_url),
		cmocka_unit_test(refuses_urls_that_say_nonsense),
		cmocka_unit_test(a_uuid_is_made_canonical),
		cmocka_unit_test(greets_with_what_is_known),
		cmocka_unit_test(an_events_payload_goes_where_its_type_wants_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
