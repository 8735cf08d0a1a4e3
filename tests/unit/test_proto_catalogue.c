/* test_proto_catalogue.c - messages.def and errors.def keep the promises that the program relies
 * on.
 */
#include <string.h>

#include "proto/codec.h"
#include "proto_random.h"

static const struct field *field_called(const struct record *record, const char *name)
{
	for (const struct field *f = record->fields(); f->name != NULL; f++) {
		if (strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

static void ids_are_the_places_in_the_table(void **state)
{
	(void)state;
	for (int id = MSG_NONE + 1; id < MSG_COUNT; id++)
		assert_int_equal(message_by_id((enum msg_id)id)->id, id);
}

static void a_method_names_one_message(void **state)
{
	(void)state;
	for (int id = MSG_NONE + 1; id < MSG_COUNT; id++) {
		const struct message *m = message_by_id((enum msg_id)id);

		assert_ptr_equal(message_by_method(m->method), m);
	}
}

static void no_message_has_an_unknown_or_cut_method(void **state)
{
	(void)state;
	assert_null(message_by_method(""));
	assert_null(message_by_method("jobs"));
	assert_null(message_by_method("jobs.searchh"));
	assert_null(message_by_method("Jobs.search"));
}

static void a_method_fits_the_envelope(void **state)
{
	(void)state;
	for (int id = MSG_NONE + 1; id < MSG_COUNT; id++)
		assert_true((int64_t)strlen(message_by_id((enum msg_id)id)->method) <=
			    field_called(RECORD_OF(envelope), "method")->max);
}

static void receivers_are_actors(void **state)
{
	static const char *const actors[] = {
		"store",     "telemetry", "hh_client", "broadcaster",  "fetcher",
		"scheduler", "door",	  "gateway",   "rate_limiter", "submitter"};
	const size_t count = sizeof(actors) / sizeof(actors[0]);

	(void)state;
	for (int id = MSG_NONE + 1; id < MSG_COUNT; id++) {
		const struct message *m = message_by_id((enum msg_id)id);
		size_t i = 0;

		while (i < count && strcmp(actors[i], m->receiver) != 0)
			i++;
		if (i == count)
			fail_msg("%s goes to %s, which is no actor", m->method, m->receiver);
	}
}

static void calls_have_a_reply_and_a_timeout_and_casts_have_neither(void **state)
{
	(void)state;
	for (int id = MSG_NONE + 1; id < MSG_COUNT; id++) {
		const struct message *m = message_by_id((enum msg_id)id);
		bool cast = (m->flags & MESSAGE_CAST) != 0;

		assert_non_null(m->request);
		assert_int_equal(m->reply == NULL, cast);
		assert_int_equal(m->timeout_ms == 0, cast);
		assert_true(m->timeout_ms >= 0);
		assert_true(strlen(m->doc) > 0);
	}
}

/* ttl_ms is how long an outside caller may wait. */
static void outside_callers_may_wait_as_long_as_a_public_call_takes(void **state)
{
	const struct field *ttl = field_called(RECORD_OF(envelope), "ttl_ms");

	(void)state;
	for (int id = MSG_NONE + 1; id < MSG_COUNT; id++) {
		const struct message *m = message_by_id((enum msg_id)id);

		if ((m->flags & MESSAGE_PUBLIC) != 0)
			assert_true(m->timeout_ms <= ttl->max);
	}
}

static void casts_are_not_for_outside_callers(void **state)
{
	(void)state;
	for (int id = MSG_NONE + 1; id < MSG_COUNT; id++) {
		unsigned flags = message_by_id((enum msg_id)id)->flags;

		assert_false((flags & MESSAGE_CAST) != 0 && (flags & MESSAGE_PUBLIC) != 0);
	}
}

static void check_field(const struct record *record, const struct field *f)
{
	assert_int_equal(f->name_len, strlen(f->name));
	assert_true(f->offset < record->size);
	assert_true(f->min <= f->max);
	assert_ptr_equal(field_called(record, f->name), f); /* unique */
	assert_true(strlen(f->doc) > 0);
	assert_int_equal(f->record != NULL, f->type == FIELD_OBJ || f->type == FIELD_LIST);
	if (f->type == FIELD_STR || f->type == FIELD_STRS || f->type == FIELD_LIST)
		assert_true(f->max > 0);
	if (f->type == FIELD_JSON)
		assert_true(f->max <= (int64_t)CODEC_MESSAGE_MAX_BYTES);
	if (f->type == FIELD_STR)
		assert_true(f->min >= 0);
}

static void fields_are_sound(void **state)
{
	(void)state;
	for (const struct record *const *r = all_records; *r != NULL; r++) {
		size_t count = 0;

		for (const struct field *f = (*r)->fields(); f->name != NULL; f++, count++)
			check_field(*r, f);
		assert_true(count <= RECORD_FIELDS_MAX);
		assert_true(strlen((*r)->doc) > 0);
	}
}

/* A path of codec_problem.field must hold the names of the deepest nesting. */
static size_t longest_path(const struct record *record, unsigned depth)
{
	size_t longest = 0;

	if (depth > 8)
		fail_msg("%s is nested too deep, or in itself", record->name);
	for (const struct field *f = record->fields(); f->name != NULL; f++) {
		size_t len = strlen(f->name) + strlen("[12345].");

		if (f->record != NULL)
			len += longest_path(f->record, depth + 1);
		longest = len > longest ? len : longest;
	}
	return longest;
}

static void records_are_nested_a_little_and_never_in_themselves(void **state)
{
	(void)state;
	for (const struct record *const *r = all_records; *r != NULL; r++)
		assert_true(longest_path(*r, 0) < sizeof(((struct codec_problem *)NULL)->field));
}

static bool holds(const struct record *record, const struct record *sought)
{
	if (record == sought)
		return true;
	if (record == NULL)
		return false;
	for (const struct field *f = record->fields(); f->name != NULL; f++) {
		if (f->record != NULL && holds(f->record, sought))
			return true;
	}
	return false;
}

static bool is_used(const struct record *record)
{
	if (record == RECORD_OF(envelope) || record == RECORD_OF(envelope_ref) ||
	    record == RECORD_OF(failure))
		return true;
	for (int id = MSG_NONE + 1; id < MSG_COUNT; id++) {
		const struct message *m = message_by_id((enum msg_id)id);

		if (holds(m->request, record) || holds(m->reply, record))
			return true;
	}
	return false;
}

static void every_record_is_part_of_a_message(void **state)
{
	(void)state;
	for (const struct record *const *r = all_records; *r != NULL; r++) {
		if (!is_used(*r))
			fail_msg("no message holds a %s", (*r)->name);
	}
}

static void a_failure_holds_every_problem(void **state)
{
	(void)state;
	assert_true(sizeof(((struct codec_problem *)NULL)->field) <=
		    (size_t)field_called(RECORD_OF(failure), "field")->max + 1);
	assert_true(sizeof(((struct codec_problem *)NULL)->message) <=
		    (size_t)field_called(RECORD_OF(failure), "message")->max + 1);
}

static void error_codes_are_unique_and_fit_a_failure(void **state)
{
	const struct field *code = field_called(RECORD_OF(failure), "error");

	(void)state;
	for (int e = ERR_NONE + 1; e < ERR_COUNT; e++) {
		assert_int_equal(error_by_code(error_code((enum msg_error)e)), e);
		assert_true((int64_t)strlen(error_code((enum msg_error)e)) <= code->max);
	}
}

static void errors_are_http_errors(void **state)
{
	(void)state;
	for (int e = ERR_NONE + 1; e < ERR_COUNT; e++) {
		int status = error_http_status((enum msg_error)e);

		assert_true(status >= 400 && status <= 599);
	}
}

static void an_unknown_error_code_is_internal(void **state)
{
	(void)state;
	assert_int_equal(error_by_code("no_such_code"), ERR_INTERNAL);
	assert_int_equal(error_by_code(""), ERR_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_the_places_in_the_table),
		cmocka_unit_test(a_method_names_one_message),
		cmocka_unit_test(no_message_has_an_unknown_or_cut_method),
		cmocka_unit_test(a_method_fits_the_envelope),
		cmocka_unit_test(receivers_are_actors),
		cmocka_unit_test(calls_have_a_reply_and_a_timeout_and_casts_have_neither),
		cmocka_unit_test(outside_callers_may_wait_as_long_as_a_public_call_takes),
		cmocka_unit_test(casts_are_not_for_outside_callers),
		cmocka_unit_test(fields_are_sound),
		cmocka_unit_test(records_are_nested_a_little_and_never_in_themselves),
		cmocka_unit_test(every_record_is_part_of_a_message),
		cmocka_unit_test(a_failure_holds_every_problem),
		cmocka_unit_test(error_codes_are_unique_and_fit_a_failure),
		cmocka_unit_test(errors_are_http_errors),
		cmocka_unit_test(an_unknown_error_code_is_internal),
	};

	return cmocka_run_group_tests_name("catalogue", tests, NULL, NULL);
}
