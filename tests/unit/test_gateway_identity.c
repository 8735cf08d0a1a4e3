/* test_gateway_identity.c - who is acting, by the headers alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/identity.h"

#define USER   "0b4e9d7a-5c1f-4c3e-8a2b-0123456789ab"
#define OTHER  "11111111-5c1f-4c3e-8a2b-0123456789ab"
#define NOW_MS INT64_C(1764000000000)

static struct session_key sessions;
static struct identity who;

static int setup(void **state)
{
	(void)state;
	return session_key_derive("a secret of more than 32 characters, surely", &sessions);
}

static int asked(const char *authorization, const char *session_id, bool trusted)
{
	const struct identity_headers headers = {authorization, session_id};

	return identity_of(&sessions, &headers, trusted, NOW_MS, &who);
}

/* "Bearer " and a token of ours for USER, issued at issued_ms. */
static const char *bearer(int64_t issued_ms)
{
	static char header[1200];
	char *token;

	assert_int_equal(session_token_issue(&sessions, USER, issued_ms, &token), 0);
	(void)snprintf(header, sizeof(header), "Bearer %s", token);
	free(token);
	return header;
}

static void a_token_of_ours_is_its_subject(void **state)
{
	(void)state;
	for (int trusted = 0; trusted < 2; trusted++) {
		assert_int_equal(asked(bearer(NOW_MS), OTHER, trusted != 0), 0);
		assert_string_equal(who.user_id, USER);
		assert_null(who.access_token);
	}
}

static void one_that_has_expired_is_no_token_of_hh(void **state)
{
	(void)state;
	assert_int_equal(asked(bearer(NOW_MS - SESSION_TOKEN_LASTS_S * 1000), OTHER, true),
			 -EKEYEXPIRED);
	assert_null(who.access_token);
	assert_int_equal(asked(bearer(NOW_MS - SESSION_TOKEN_LASTS_S * 1000 + 1000), NULL, true),
			 0);
}

static void any_other_token_is_one_of_hh_and_names_nobody(void **state)
{
	static const char *const headers[] = {"Bearer APPL0123", "bearer APPL0123",
					      "BEARER   APPL0123"};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		assert_int_equal(asked(headers[i], OTHER, true), 0);
		assert_string_equal(who.access_token, "APPL0123");
		assert_string_equal(who.user_id, "");
	}
}

static void a_forged_one_is_no_token_of_hh_either(void **state)
{
	char header[1200];

	(void)state;
	(void)snprintf(header, sizeof(header), "%s", bearer(NOW_MS));
	header[strlen(header) - 10] ^= 1;
	assert_int_equal(asked(header, OTHER, true), -EKEYREJECTED);
	assert_null(who.access_token);
	assert_string_equal(who.user_id, "");
}

static void a_session_is_believed_next_to_the_secret_only(void **state)
{
	(void)state;
	assert_int_equal(asked(NULL, "0B4E9D7A-5C1F-4C3E-8A2B-0123456789AB", true), 0);
	assert_string_equal(who.user_id, USER);
	assert_int_equal(asked(NULL, USER, false), 0);
	assert_string_equal(who.user_id, "");
	assert_int_equal(asked(NULL, NULL, true), 0);
	assert_string_equal(who.user_id, "");
	assert_null(who.access_token);
}

static void what_cannot_be_read_is_refused(void **state)
{
	static const char *const headers[] = {"",	    "Bearer",  "Bearer ",    "Bearer  ",
					      "Basic YTpi", "BearerX", "Bearer a b", "Bearer a,b"};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		assert_int_equal(asked(headers[i], USER, true), -EINVAL);
		assert_string_equal(who.user_id, "");
		assert_null(who.access_token);
	}
	assert_int_equal(asked(NULL, "me", true), -EINVAL);
	assert_int_equal(asked(NULL, "", true), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_of_ours_is_its_subject),
		cmocka_unit_test(one_that_has_expired_is_no_token_of_hh),
		cmocka_unit_test(any_other_token_is_one_of_hh_and_names_nobody),
		cmocka_unit_test(a_forged_one_is_no_token_of_hh_either),
		cmocka_unit_test(a_session_is_believed_next_to_the_secret_only),
		cmocka_unit_test(what_cannot_be_read_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
