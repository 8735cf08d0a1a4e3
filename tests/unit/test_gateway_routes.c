/* test_gateway_routes.c - which verb and path lead where, and that the table holds what it
 * promises. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/routes.h"
#include "proto/codec.h"

static struct arena arena;

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

static struct route_match found(const char *verb, const char *path, enum msg_error expected)
{
	struct route_match match;

	assert_int_equal(route_find(verb, path, &arena, &match), expected);
	return match;
}

static void finds_the_message_of_verb_and_path(void **state)
{
	struct route_match m = found("POST", "/api/jobs/search", ERR_NONE);

	(void)state;
	assert_int_equal(m.route->message, MSG_JOBS_SEARCH);
	assert_int_equal(m.param_count, 0);
	m = found("POST", "/api/schedules/u-1/fetch", ERR_NONE);
	assert_int_equal(m.route->message, MSG_SCHEDULE_FETCH);
	assert_int_equal(m.param_count, 1);
	assert_string_equal(m.params[0].name, "user_id");
	assert_string_equal(m.params[0].value, "u-1");
}

static void tells_the_verbs_of_a_path(void **state)
{
	(void)state;
	assert_string_equal(found("POST", "/api/schedules/x", ERR_METHOD_NOT_ALLOWED).allow,
			    "GET, HEAD, PUT, DELETE");
	assert_string_equal(found("get", "/api/schedules/x/fetch", ERR_METHOD_NOT_ALLOWED).allow,
			    "POST");
	assert_int_equal(found("HEAD", "/api/tree", ERR_NONE).route->message, MSG_TREE_STATE);
}

static void knows_no_other_paths(void **state)
{
	const char *const paths[] = {
		"/",	    "",		  "/api",	   "/api/jobs", "/api/tree/x", "/Api/tree",
		"/api/tre", "/api/treee", "/api/jobs/1/2", "*",		"/api/./tree"};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		(void)found("GET", paths[i], ERR_NOT_FOUND);
}

static void decodes_segments_one_by_one(void **state)
{
	(void)state;
	assert_string_equal(found("GET", "//api/jobs//%41%2f+%D1%8F/", ERR_NONE).params[0].value,
			    "A/+я");
	assert_int_equal(found("GET", "/%61pi/tr%65e", ERR_NONE).route->message, MSG_TREE_STATE);
	(void)found("GET", "/api%2ftree", ERR_NOT_FOUND);
}

static void refuses_broken_paths(void **state)
{
	const char *const paths[] = {"/api/jobs/%",
				     "/api/jobs/%4",
				     "/api/jobs/%4x",
				     "/api/jobs/%00",
				     "/api/jobs/%0a",
				     "/api/jobs/%7f",
				     "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		(void)found("GET", paths[i], ERR_BAD_REQUEST);
}

static void says_when_there_is_no_memory(void **state)
{
	struct route_match match;
	struct arena tiny;

	(void)state;
	arena_init(&tiny, 4);
	assert_int_equal(route_find("GET", "/api/jobs/1", &tiny, &match), ERR_INTERNAL);
	arena_fini(&tiny);
}

static void splits_queries(void **state)
{
	struct uri_query q;

	(void)state;
	assert_int_equal(uri_split_query(NULL, &arena, &q), 0);
	assert_int_equal(q.count, 0);
	assert_int_equal(uri_split_query("&a=1&&b=x+y%3d&c&d=&=e", &arena, &q), 0);
	assert_int_equal(q.count, 5);
	assert_string_equal(q.params[1].name, "b");
	assert_string_equal(q.params[1].value, "x y=");
	assert_string_equal(q.params[2].value, "");
	assert_string_equal(q.params[4].name, "");
	assert_int_equal(uri_split_query("a=%0", &arena, &q), -EINVAL);
	assert_int_equal(uri_split_query("%00=1", &arena, &q), -EINVAL);
}

static bool record_has(const struct record *record, const char *name, size_t len)
{
	for (const struct field *f = record->fields(); f->name != NULL; f++)
		if (f->name_len == len && memcmp(f->name, name, len) == 0)
			return true;
	return false;
}

/* Every ':name' is a field of the request, so that nothing in a path is lost. */
static void every_route_is_a_call_with_its_fields(void **state)
{
	(void)state;
	for (const struct route *r = routes; r->verb != NULL; r++) {
		const struct message *m = message_by_id(r->message);
		size_t params = 0;

		assert_non_null(m->reply);
		assert_non_null(r->answer);
		assert_in_range(r->timeout_ms, 1, m->timeout_ms);
		assert_int_equal(r->path[0], '/');
		for (const char *c = strchr(r->path, ':'); c != NULL; c = strchr(c + 1, ':')) {
			assert_true(record_has(m->request, c + 1, strcspn(c + 1, "/")));
			params++;
		}
		assert_in_range(params, 0, ROUTE_PARAMS_MAX);
		/* Whoever is no longer waited for may have been heard: only what may be repeated,
		 * but for a check of the limits that has no key. */
		assert_true((m->flags & MESSAGE_IDEMPOTENT) != 0 ||
			    r->message == MSG_LIMITER_CHECK);
	}
}

static void no_route_hides_another(void **state)
{
	(void)state;
	for (const struct route *r = routes; r->verb != NULL; r++)
		assert_ptr_equal(found(r->verb, r->path, ERR_NONE).route, r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_message_of_verb_and_path),
		cmocka_unit_test(tells_the_verbs_of_a_path),
		cmocka_unit_test(knows_no_other_paths),
		cmocka_unit_test(decodes_segments_one_by_one),
		cmocka_unit_test(refuses_broken_paths),
		cmocka_unit_test(says_when_there_is_no_memory),
		cmocka_unit_test(splits_queries),
		cmocka_unit_test(every_route_is_a_call_with_its_fields),
		cmocka_unit_test(no_route_hides_another),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
