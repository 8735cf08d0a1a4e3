/* test_hh_refusal.c - HH's answers to a user's own requests, in all the shapes that they come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_failure.h"
#include "actors/hh_client/hh_refusal.h"

#define ERRORS(entries)	   "{\"errors\":[" entries "],\"request_id\":\"17a\"}"
#define ERROR(type, value) "{\"type\":\"" type "\",\"value\":\"" value "\"}"
#define NEGOTIATIONS(value)                                                                        \
	"{\"description\":\"Forbidden\",\"errors\":[" ERROR("negotiations", value) "]}"

struct answer_case {
	const char *name;
	enum hh_purpose purpose;
	long status;
	const char *body; /* NULL: not JSON */
	enum hh_verdict verdict;
	enum msg_error error;
};

static const struct answer_case answers[] = {
	/* what was wanted */
	{"applied", HH_APPLYING, 201, NULL, HH_DONE, ERR_NONE},
	{"another site", HH_APPLYING, 303, NULL, HH_DONE, ERR_NONE},
	{"another redirect", HH_APPLYING, 302, NULL, HH_GIVE_UP, ERR_HH_REFUSED},
	{"made", HH_WRITING, 201, NULL, HH_DONE, ERR_NONE},
	{"changed", HH_WRITING, 204, NULL, HH_DONE, ERR_NONE},
	{"303 where nobody applies", HH_WRITING, 303, NULL, HH_GIVE_UP, ERR_HH_REFUSED},
	{"read", HH_READING, 200, "{}", HH_DONE, ERR_NONE},
	{"read, and cut off", HH_READING, 200, NULL, HH_TRY_AGAIN, ERR_UNAVAILABLE},

	/* the token */
	{"expired", HH_APPLYING, 403, ERRORS(ERROR("oauth", "token_expired")), HH_BAD_TOKEN,
	 ERR_HH_LOGIN_REQUIRED},
	{"revoked", HH_APPLYING, 403,
	 "{\"description\":\"Unrecognized authorization\",\"oauth_error\":\"token-revoked\","
	 "\"errors\":[" ERROR("oauth", "token_revoked") "]}",
	 HH_BAD_TOKEN, ERR_HH_LOGIN_REQUIRED},
	{"unknown", HH_READING, 403, ERRORS(ERROR("oauth", "bad_authorization")), HH_BAD_TOKEN,
	 ERR_HH_LOGIN_REQUIRED},
	{"a 401 that says why", HH_READING, 401, ERRORS(ERROR("oauth", "token_revoked")),
	 HH_BAD_TOKEN, ERR_HH_LOGIN_REQUIRED},
	{"a 401 that does not", HH_READING, 401, NULL, HH_TRY_AGAIN, ERR_UNAVAILABLE},
	{"and one of HH's shape", HH_APPLYING, 401, ERRORS(ERROR("proxy", "busy")), HH_TRY_AGAIN,
	 ERR_UNAVAILABLE},
	{"a 403 that says nothing", HH_READING, 403, "{}", HH_GIVE_UP, ERR_HH_REFUSED},
	{"an oauth error that we do not know", HH_READING, 403, ERRORS(ERROR("oauth", "new")),
	 HH_GIVE_UP, ERR_HH_AUTH},
	{"an application's", HH_READING, 403, ERRORS(ERROR("oauth", "user_auth_expected")),
	 HH_GIVE_UP, ERR_HH_LOGIN_REQUIRED},
	{"of an application that is no more", HH_READING, 403,
	 ERRORS(ERROR("oauth", "application_not_found")), HH_GIVE_UP, ERR_HH_CLOSED},
	{"closed to this application", HH_READING, 403, ERRORS("{\"type\":\"forbidden\"}"),
	 HH_GIVE_UP, ERR_HH_CLOSED},
	{"closed, when applying", HH_APPLYING, 403, ERRORS("{\"type\":\"forbidden\"}"), HH_GIVE_UP,
	 ERR_HH_CLOSED},

	/* who is asking */
	{"a captcha", HH_APPLYING, 403,
	 ERRORS("{\"type\":\"captcha_required\",\"value\":\"captcha_required\","
		"\"captcha_url\":\"https://hh.ru/c\",\"fallback_url\":\"https://hh.ru/f\"}"),
	 HH_GIVE_UP, ERR_HH_CAPTCHA},
	{"the guard's page", HH_APPLYING, 403, NULL, HH_TRY_AGAIN, ERR_UNAVAILABLE},
	{"no User-Agent", HH_APPLYING, 400, ERRORS(ERROR("bad_user_agent", "unset")), HH_GIVE_UP,
	 ERR_HH_REFUSED},

	/* applying, refused by name */
	{"twice", HH_APPLYING, 403,
	 "{\"description\":\"Already applied\",\"bad_argument\":\"vacancy_id\","
	 "\"bad_arguments\":[{\"name\":\"vacancy_id\",\"description\":\"Already applied\"}],"
	 "\"errors\":[" ERROR("negotiations", "already_applied") "]}",
	 HH_GIVE_UP, ERR_ALREADY_APPLIED},
	{"no such vacancy", HH_APPLYING, 400, NEGOTIATIONS("vacancy_not_found"), HH_GIVE_UP,
	 ERR_VACANCY_NOT_FOUND},
	{"no such resume", HH_APPLYING, 400, NEGOTIATIONS("resume_not_found"), HH_GIVE_UP,
	 ERR_RESUME_NOT_AVAILABLE},
	{"no such resume, as 403", HH_APPLYING, 403, NEGOTIATIONS("resume_not_found"), HH_GIVE_UP,
	 ERR_RESUME_NOT_AVAILABLE},
	{"a deleted resume", HH_APPLYING, 403, NEGOTIATIONS("resume_deleted"), HH_GIVE_UP,
	 ERR_RESUME_NOT_AVAILABLE},
	{"the day's limit", HH_APPLYING, 400, NEGOTIATIONS("limit_exceeded"), HH_GIVE_UP,
	 ERR_LIMIT_EXCEEDED},
	{"the day's limit, as 403", HH_APPLYING, 403, NEGOTIATIONS("limit_exceeded"), HH_GIVE_UP,
	 ERR_LIMIT_EXCEEDED},
	{"the day's limit, as 429", HH_APPLYING, 429, NEGOTIATIONS("limit_exceeded"), HH_GIVE_UP,
	 ERR_LIMIT_EXCEEDED},
	{"a closed vacancy", HH_APPLYING, 403, NEGOTIATIONS("invalid_vacancy"), HH_GIVE_UP,
	 ERR_INVALID_VACANCY},
	{"an archived vacancy", HH_APPLYING, 403, NEGOTIATIONS("archived"), HH_GIVE_UP,
	 ERR_INVALID_VACANCY},
	{"a test", HH_APPLYING, 403, NEGOTIATIONS("test_required"), HH_GIVE_UP, ERR_TEST_REQUIRED},
	{"a hidden resume", HH_APPLYING, 403, NEGOTIATIONS("resume_visibility_conflict"),
	 HH_GIVE_UP, ERR_RESUME_VISIBILITY_CONFLICT},
	{"for no reason", HH_APPLYING, 403, NEGOTIATIONS("application_denied"), HH_GIVE_UP,
	 ERR_APPLICATION_DENIED},
	{"for a reason that we do not know", HH_APPLYING, 403, NEGOTIATIONS("wrong_state"),
	 HH_GIVE_UP, ERR_APPLICATION_DENIED},
	{"403 without a name", HH_APPLYING, 403, ERRORS("{\"type\":\"new_reason\"}"), HH_GIVE_UP,
	 ERR_APPLICATION_DENIED},
	{"404", HH_APPLYING, 404, ERRORS("{\"type\":\"not_found\"}"), HH_GIVE_UP,
	 ERR_VACANCY_NOT_FOUND},

	/* the letter */
	{"a letter is missing", HH_APPLYING, 400,
	 "{\"description\":\"Letter required\",\"bad_argument\":\"message\",\"errors\":[" ERROR(
		 "bad_argument", "message") "]}",
	 HH_GIVE_UP, ERR_LETTER_REQUIRED},
	{"a letter is missing, in another case", HH_APPLYING, 400,
	 "{\"description\":\"letter REQUIRED\"}", HH_GIVE_UP, ERR_LETTER_REQUIRED},
	{"a letter is missing, by name", HH_APPLYING, 400, NEGOTIATIONS("letter_required"),
	 HH_GIVE_UP, ERR_LETTER_REQUIRED},
	{"a letter is missing, as an argument", HH_APPLYING, 400,
	 ERRORS(ERROR("bad_argument", "letter_required")), HH_GIVE_UP, ERR_LETTER_REQUIRED},
	{"an empty letter", HH_APPLYING, 403, NEGOTIATIONS("empty_message"), HH_GIVE_UP,
	 ERR_LETTER_REQUIRED},
	{"a letter that is too long", HH_APPLYING, 403, NEGOTIATIONS("too_long_message"),
	 HH_GIVE_UP, ERR_LETTER_REFUSED},
	{"bad language", HH_APPLYING, 400, NEGOTIATIONS("inappropriate_language"), HH_GIVE_UP,
	 ERR_LETTER_REFUSED},
	{"bad language, as 403", HH_APPLYING, 403, NEGOTIATIONS("inappropriate_language_message"),
	 HH_GIVE_UP, ERR_LETTER_REFUSED},
	{"against the rules", HH_APPLYING, 403, NEGOTIATIONS("resource_policy_violation_message"),
	 HH_GIVE_UP, ERR_LETTER_REFUSED},
	{"a letter that is not taken", HH_APPLYING, 400, ERRORS(ERROR("bad_argument", "message")),
	 HH_GIVE_UP, ERR_LETTER_REFUSED},

	/* arguments */
	{"ids that were not read", HH_APPLYING, 400,
	 "{\"description\":\"Vacancy id must be set\",\"errors\":[" ERROR(
		 "bad_argument", "vacancy_id") "," ERROR("bad_argument", "resume_id") "]}",
	 HH_GIVE_UP, ERR_BAD_ARGUMENTS},
	{"consent", HH_APPLYING, 400,
	 "{\"description\":\"\\\"enable_applicant_visibility_in_country\\\" param required\","
	 "\"errors\":[{\"type\":\"bad_argument\"}]}",
	 HH_GIVE_UP, ERR_CONSENT_REQUIRED},
	{"consent, by name", HH_APPLYING, 400,
	 ERRORS(ERROR("bad_argument", "required_applicant_visibility_id")), HH_GIVE_UP,
	 ERR_CONSENT_REQUIRED},

	/* resumes */
	{"a title twice", HH_WRITING, 400,
	 ERRORS("{\"type\":\"bad_json_data\",\"value\":\"title\",\"reason\":\"duplicate\","
		"\"pointer\":\"/title\"}"),
	 HH_GIVE_UP, ERR_BAD_ARGUMENTS},
	{"as many as there may be", HH_WRITING, 400,
	 ERRORS(ERROR("resumes", "total_limit_exceeded")), HH_GIVE_UP, ERR_RESUMES_FULL},
	{"published too often", HH_WRITING, 429, ERRORS(ERROR("resumes", "touch_limit_exceeded")),
	 HH_GIVE_UP, ERR_RATE_LIMITED},
	{"not to be published", HH_WRITING, 400,
	 "{\"description\":\"Can't publish resume\",\"errors\":[{\"type\":\"bad_request\"}]}",
	 HH_GIVE_UP, ERR_BAD_ARGUMENTS},
	{"an archived vacancy", HH_WRITING, 409, ERRORS("{\"type\":\"not_suitable_vacancy\"}"),
	 HH_GIVE_UP, ERR_INVALID_VACANCY},
	{"no such resume", HH_READING, 404, ERRORS("{\"type\":\"not_found\"}"), HH_GIVE_UP,
	 ERR_NOT_FOUND},
	{"no such application", HH_READING, 404, ERRORS(ERROR("negotiations", "topic_not_found")),
	 HH_GIVE_UP, ERR_NOT_FOUND},

	/* HH itself */
	{"429 without a body", HH_APPLYING, 429, NULL, HH_TRY_AGAIN, ERR_UNAVAILABLE},
	{"500", HH_APPLYING, 500, NULL, HH_TRY_AGAIN, ERR_UNAVAILABLE},
	{"502", HH_APPLYING, 502, ERRORS("{\"type\":\"bad_gateway\"}"), HH_TRY_AGAIN,
	 ERR_UNAVAILABLE},
	{"503", HH_WRITING, 503, ERRORS("{\"type\":\"service_unavailable\"}"), HH_TRY_AGAIN,
	 ERR_UNAVAILABLE},
	{"the chat is not ready", HH_APPLYING, 425,
	 ERRORS("{\"type\":\"new\",\"value\":\"chat_is_not_ready\"}"), HH_TRY_AGAIN,
	 ERR_UNAVAILABLE},

	/* odd ones */
	{"errors that are no list", HH_APPLYING, 400, "{\"errors\":\"x\"}", HH_GIVE_UP,
	 ERR_BAD_ARGUMENTS},
	{"errors of odd entries", HH_APPLYING, 403, ERRORS("null,1,{},{\"type\":null,\"value\":3}"),
	 HH_GIVE_UP, ERR_APPLICATION_DENIED},
	{"a name among others", HH_APPLYING, 403,
	 ERRORS("{\"type\":\"new\"}," ERROR("negotiations", "already_applied")), HH_GIVE_UP,
	 ERR_ALREADY_APPLIED},
};

static struct hh_reply reply_of(long status, const json_t *json)
{
	return (struct hh_reply){
		.curl = CURLE_OK, .status = status, .json = json, .request_id = "", .location = ""};
}

static void each_answer_means_what_it_means(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const struct answer_case *c = &answers[i];
		json_t *json = c->body == NULL ? NULL : json_loads(c->body, 0, NULL);
		const struct hh_reply reply = reply_of(c->status, json);
		const struct hh_judgement j = hh_judge_personal(&reply, c->purpose);

		assert_int_equal(json != NULL, c->body != NULL);
		if (j.verdict != c->verdict || j.error != c->error)
			fail_msg("%s: verdict %d, %s", c->name, j.verdict, error_code(j.error));
		if (j.error != ERR_NONE)
			assert_int_not_equal(strlen(j.why), 0);
		json_decref(json);
	}
}

static void a_lost_connection_may_be_mended(void **state)
{
	static const CURLcode codes[] = {CURLE_COULDNT_CONNECT, CURLE_RECV_ERROR, CURLE_SEND_ERROR,
					 CURLE_GOT_NOTHING, CURLE_OPERATION_TIMEDOUT};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		const struct hh_reply reply = {.curl = codes[i], .request_id = "", .location = ""};

		assert_int_equal(hh_judge_personal(&reply, HH_APPLYING).verdict, HH_TRY_AGAIN);
	}
}

static void only_a_limit_on_requests_slows_all_down(void **state)
{
	json_t *touch = json_loads(ERRORS(ERROR("resumes", "touch_limit_exceeded")), 0, NULL);
	const struct hh_reply named = reply_of(429, touch);
	const struct hh_reply bare = reply_of(429, NULL);

	(void)state;
	assert_false(hh_judge_personal(&named, HH_WRITING).too_many);
	assert_true(hh_judge_personal(&bare, HH_WRITING).too_many);
	json_decref(touch);
}

static void a_refusal_tells_hhs_own_words_and_addresses(void **state)
{
	json_t *json =
		json_loads("{\"description\":\"Solve it\",\"errors\":["
			   "{\"type\":\"captcha_required\",\"captcha_url\":\"https://hh.ru/c\","
			   "\"fallback_url\":\"https://hh.ru/f\"}],\"request_id\":\"17a\"}",
			   0, NULL);
	const struct hh_reply reply = reply_of(403, json);
	const struct hh_judgement judgement = hh_judge_personal(&reply, HH_APPLYING);
	struct arena arena;
	struct failure failure;
	json_t *details;

	(void)state;
	arena_init(&arena, 1 << 20);
	failure = hh_failure_make(&judgement, &reply, 0, &arena);
	assert_string_equal(failure.error, "hh_captcha");
	details = json_loads(failure.details, 0, NULL);
	assert_string_equal(hh_text(details, "description"), "Solve it");
	assert_string_equal(hh_text(details, "captcha_url"), "https://hh.ru/c");
	assert_string_equal(hh_text(details, "fallback_url"), "https://hh.ru/f");
	json_decref(details);
	json_decref(json);
	arena_fini(&arena);
}

static void a_location_gives_the_id_at_its_end(void **state)
{
	static const struct {
		const char *location;
		const char *id; /* NULL: there is none */
	} cases[] = {
		{"/negotiations/4500000001", "4500000001"},
		{"/resumes/a1b2c3d4ff0f", "a1b2c3d4ff0f"},
		{"/resumes/a1b2/", "a1b2"},
		{"/resumes/a1b2?host=hh.ru", "a1b2"},
		{"https://api.hh.ru/negotiations/7?x=/y", "7"},
		{"", NULL},
		{"/", NULL},
		{"7", NULL},
		{"/negotiations/4500 0001", NULL},
		{"/negotiations/..", NULL},
		{"/negotiations/%2e", NULL},
		{"/negotiations/0123456789012345678901234567890123456789", NULL},
	};
	char id[40];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = hh_location_id(cases[i].location, id, sizeof(id));

		if ((rc == 0) != (cases[i].id != NULL))
			fail_msg("%s: %d", cases[i].location, rc);
		if (rc == 0)
			assert_string_equal(id, cases[i].id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_means_what_it_means),
		cmocka_unit_test(a_lost_connection_may_be_mended),
		cmocka_unit_test(only_a_limit_on_requests_slows_all_down),
		cmocka_unit_test(a_refusal_tells_hhs_own_words_and_addresses),
		cmocka_unit_test(a_location_gives_the_id_at_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
