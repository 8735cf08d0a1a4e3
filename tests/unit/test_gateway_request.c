/* test_gateway_request.c - path, query and body become a request, or a refusal that names the
 * field. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/request.h"
#include "gateway/routes.h"

#define USER "0b4e9d7a-5c1f-4c3e-8a2b-0123456789ab"

static struct arena arena;
static struct codec_problem problem;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static const void *made(const struct record *record, const char *query, const char *body)
{
	const struct request_parts parts = {
		.query = query, .body = body, .body_len = body == NULL ? 0 : strlen(body)};
	const void *value = NULL;

	assert_int_equal(request_assemble(record, &parts, &arena, &value, &problem), 0);
	assert_non_null(value);
	return value;
}

static void refused(const struct record *record, const char *query, const char *body,
		    const char *field)
{
	const struct request_parts parts = {
		.query = query, .body = body, .body_len = body == NULL ? 0 : strlen(body)};
	const void *value = NULL;

	assert_int_equal(request_assemble(record, &parts, &arena, &value, &problem), -EINVAL);
	assert_null(value);
	assert_string_equal(problem.field, field);
	assert_string_not_equal(problem.message, "");
}

static void a_body_becomes_the_record(void **state)
{
	const struct jobs_search *s =
		made(RECORD_OF(jobs_search), NULL,
		     "{\"text\":\"c\",\"area\":\"1\",\"page\":3,\"unknown\":{}}");

	(void)state;
	assert_string_equal(s->text, "c");
	assert_int_equal(s->area.count, 1);
	assert_int_equal(s->page, 3);
}

static void a_query_has_the_types_of_the_record(void **state)
{
	const struct jobs_search *s =
		made(RECORD_OF(jobs_search),
		     "text=a+b&area=1&area=2&page=7&per_page=20&only_with_salary=true&x=y", "{}");

	(void)state;
	assert_string_equal(s->text, "a b");
	assert_int_equal(s->area.count, 2);
	assert_string_equal(s->area.items[1], "2");
	assert_int_equal(s->page, 7);
	assert_true(s->per_page.set && s->per_page.value == 20);
	assert_true(s->only_with_salary);
	s = made(RECORD_OF(jobs_search), "only_with_salary=0&text=7", NULL);
	assert_false(s->only_with_salary);
	assert_string_equal(s->text, "7");
}

static void the_path_goes_before_the_query_and_that_before_the_body(void **state)
{
	const struct uri_param path[] = {{"user_id", USER}};
	const struct request_parts parts = {
		.path_params = path,
		.path_param_count = 1,
		.query = "user_id=x&interval_s=60",
		.body = "{\"user_id\":5,\"interval_s\":\"no\",\"search\":{\"text\":\"c\"}}",
		.body_len = strlen(parts.body),
	};
	const void *value = NULL;
	const struct schedule_put *put;

	(void)state;
	assert_int_equal(
		request_assemble(RECORD_OF(schedule_put), &parts, &arena, &value, &problem), 0);
	put = value;
	assert_string_equal(put->user_id, USER);
	assert_int_equal(put->interval_s.value, 60);
	assert_string_equal(put->search->text, "c");
}

static void users_are_uuids_and_canonical(void **state)
{
	const struct user_ref *user =
		made(RECORD_OF(user_ref), "user_id=0B4E9D7A-5C1F-4C3E-8A2B-0123456789AB", NULL);

	(void)state;
	assert_string_equal(user->user_id, USER);
	refused(RECORD_OF(user_ref), "user_id=0b4e9d7a-5c1f-4c3e-8a2b-0123456789a", NULL,
		"user_id");
	refused(RECORD_OF(user_ref), "user_id=0b4e9d7ax5c1f-4c3e-8a2b-0123456789ab", NULL,
		"user_id");
	refused(RECORD_OF(user_ref), "user_id=0b4e9d7a-5c1f-4c3e-8a2b-0123456789ag", NULL,
		"user_id");
	refused(RECORD_OF(user_ref), NULL, "{\"user_id\":7}", "user_id");
	refused(RECORD_OF(user_ref), NULL, NULL, "user_id");
	refused(RECORD_OF(jobs_search), NULL, "{\"user_id\":\"me\"}", "user_id");
}

static void names_may_be_spelled_in_either_way(void **state)
{
	const struct queue_add *q = made(RECORD_OF(queue_add), "userId=" USER,
					 "{\"jobIds\":[\"1\",\"2\"],\"cvId\":\"" USER
					 "\",\"workflowId\":\"" USER "\"}");
	const struct workflow_ref *w =
		made(RECORD_OF(workflow_ref), NULL,
		     "{\"workflow_id\":\"" USER "\",\"workflowId\":\"" USER "\",\"jobCount\":7}");

	(void)state;
	assert_string_equal(q->user_id, USER);
	assert_string_equal(q->cv_id, USER);
	assert_string_equal(q->workflow_id, USER);
	assert_int_equal(q->job_ids.count, 2);
	assert_string_equal(w->workflow_id, USER);
	assert_int_equal(w->job_count.value, 7);
	refused(RECORD_OF(queue_add), "userId=" USER "&cvId=" USER, "{\"jobIds\":5}", "job_ids");
	refused(RECORD_OF(queue_add), "userId=" USER "&cvId=" USER,
		"{\"jobIds\":[\"1\"],\"job_ids\":[\"2\"]}", "job_ids");
}

/* --- who is asking --- */

#define OTHER "11111111-5c1f-4c3e-8a2b-0123456789ab"

static const struct application_submit *submit(unsigned flags, const struct identity *who,
					       bool trusted, const char *body)
{
	const struct request_parts parts = {
		.flags = flags,
		.who = who,
		.trusted = trusted,
		.idempotency_key = "k-1",
		.body = body,
		.body_len = strlen(body),
	};
	const void *value = NULL;

	if (request_assemble(RECORD_OF(application_submit), &parts, &arena, &value, &problem) < 0)
		return NULL;
	return value;
}

#define NAMING_OTHER                                                                               \
	"{\"userId\":\"" OTHER "\",\"access_token\":\"x\",\"accessToken\":\"x\","                  \
	"\"job_external_id\":\"1\",\"idempotency_key\":\"k-2\"}"

static void a_body_does_not_override_who_is_asking(void **state)
{
	const struct identity session = {.user_id = USER};
	const struct identity raw = {.access_token = "APPL1"};
	const struct identity nobody = {.user_id = ""};
	const struct application_submit *s =
		submit(ROUTE_ACTS | ROUTE_NAMES, &session, true, NAMING_OTHER);

	(void)state;
	assert_string_equal(s->user_id, USER);
	assert_null(s->access_token);
	assert_string_equal(s->idempotency_key, "k-1");
	s = submit(ROUTE_ACTS | ROUTE_NAMES, &raw, true, NAMING_OTHER);
	assert_string_equal(s->user_id, OTHER);
	assert_string_equal(s->access_token, "APPL1");
	s = submit(ROUTE_ACTS | ROUTE_NAMES, &nobody, true, NAMING_OTHER);
	assert_string_equal(s->user_id, OTHER);
	assert_null(s->access_token);
	s = submit(ROUTE_ACTS, &session, true, NAMING_OTHER);
	assert_string_equal(s->user_id, USER);
}

static void without_the_secret_a_body_names_nobody(void **state)
{
	const struct identity session = {.user_id = USER};
	const struct identity nobody = {.user_id = ""};

	(void)state;
	assert_null(submit(ROUTE_ACTS | ROUTE_NAMES, &nobody, false, NAMING_OTHER));
	assert_string_equal(problem.field, "user_id");
	assert_null(submit(ROUTE_ACTS, &nobody, true, NAMING_OTHER));
	assert_string_equal(problem.field, "user_id");
	assert_string_equal(submit(ROUTE_NAMES, &session, false, NAMING_OTHER)->user_id, USER);
}

static void a_route_may_prefer_whom_the_request_names(void **state)
{
	const struct identity session = {.user_id = USER};

	(void)state;
	assert_string_equal(submit(ROUTE_NAMES, &session, true, NAMING_OTHER)->user_id, OTHER);
	assert_string_equal(
		submit(ROUTE_NAMES, &session, true, "{\"job_external_id\":\"1\"}")->user_id, USER);
}

static void nobody_says_of_himself_that_he_is_trusted(void **state)
{
	static const char query[] = "code=c&trusted=true&session_id=" USER;
	const struct request_parts stranger = {.query = query};
	const struct request_parts bff = {.query = "code=c&trusted=false", .trusted = true};
	const void *value = NULL;

	(void)state;
	assert_int_equal(
		request_assemble(RECORD_OF(account_connect), &stranger, &arena, &value, &problem),
		0);
	assert_false(((const struct account_connect *)value)->trusted);
	assert_int_equal(
		request_assemble(RECORD_OF(account_connect), &bff, &arena, &value, &problem), 0);
	assert_true(((const struct account_connect *)value)->trusted);
}

static void refusals_name_the_field(void **state)
{
	(void)state;
	refused(RECORD_OF(jobs_search), NULL, "", "body");
	refused(RECORD_OF(jobs_search), NULL, "{", "body");
	refused(RECORD_OF(jobs_search), NULL, "[]", "body");
	refused(RECORD_OF(jobs_search), NULL, "\"{}\"", "body");
	refused(RECORD_OF(jobs_search), NULL, "{\"page\":\"1\"}", "page");
	refused(RECORD_OF(jobs_search), "page=1x", "{}", "page");
	refused(RECORD_OF(jobs_search), "page=99999999999999999999", "{}", "page");
	refused(RECORD_OF(jobs_search), "page=1&page=2&page=3", "{}", "page");
	refused(RECORD_OF(jobs_search), "only_with_salary=yes", "{}", "only_with_salary");
	refused(RECORD_OF(jobs_search), "text=%ff", "{}", "text");
	refused(RECORD_OF(jobs_search), "text=%", "{}", "query");
	refused(RECORD_OF(schedule_put), "search=c&user_id=" USER, "{}", "search");
}

static void too_little_memory_is_said(void **state)
{
	const struct request_parts parts = {.query = "text=abc"};
	const void *value = NULL;
	struct arena tiny;

	(void)state;
	for (size_t limit = 0; limit < sizeof(struct jobs_search); limit += 8) {
		arena_init(&tiny, limit);
		assert_int_equal(
			request_assemble(RECORD_OF(jobs_search), &parts, &tiny, &value, &problem),
			-ENOMEM);
		arena_fini(&tiny);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_becomes_the_record),
		cmocka_unit_test(a_query_has_the_types_of_the_record),
		cmocka_unit_test(the_path_goes_before_the_query_and_that_before_the_body),
		cmocka_unit_test(users_are_uuids_and_canonical),
		cmocka_unit_test(names_may_be_spelled_in_either_way),
		cmocka_unit_test(a_body_does_not_override_who_is_asking),
		cmocka_unit_test(without_the_secret_a_body_names_nobody),
		cmocka_unit_test(a_route_may_prefer_whom_the_request_names),
		cmocka_unit_test(nobody_says_of_himself_that_he_is_trusted),
		cmocka_unit_test(refusals_name_the_field),
		cmocka_unit_test(too_little_memory_is_said),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
