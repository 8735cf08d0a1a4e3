/* test_hh_resume_body.c - resumes for HH out of what a CV may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_cv.h"
#include "actors/hh_client/hh_resume_body.h"
#include "proto/codec.h"

/* 2026-11-25T00:12:34.567Z */
#define NOW_MS INT64_C(1795565554567)

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	if (json == NULL)
		fail_msg("%s: %s", text, error.text);
	return json;
}

/* The body of a CV that has these members besides what is required. */
static json_t *body_with(const char *members)
{
	char *text;
	json_t *cv;
	json_t *title;
	json_t *body;

	assert_true(asprintf(&text,
			     "{\"title\":\"Программист C\",\"email\":\"a@mail.test\","
			     "\"phone\":\"+7 (900) 000-00-01\"%s%s}",
			     members[0] == '\0' ? "" : ",", members) > 0);
	cv = parse(text);
	title = hh_cv_title(cv);
	assert_int_equal(hh_cv_check(cv), ERR_NONE);
	body = hh_resume_body(cv, json_string_value(title), NOW_MS);
	assert_non_null(body);
	json_decref(title);
	json_decref(cv);
	free(text);
	return body;
}

/* body[key] of such a CV is this JSON; NULL: it has no such key. */
static void assert_part(const char *members, const char *key, const char *expected)
{
	json_t *body = body_with(members);
	json_t *part = json_object_get(body, key);
	json_t *wanted = expected == NULL ? NULL : json_loads(expected, JSON_DECODE_ANY, NULL);

	if (part != NULL ? !json_equal(part, wanted) : wanted != NULL)
		fail_msg("%s: %s is %s", members, key,
			 part == NULL ? "absent" : json_dumps(part, JSON_ENCODE_ANY));
	json_decref(wanted);
	json_decref(body);
}

/* --- what HH demands of all --- */

static void has_all_that_hh_demands(void **state)
{
	static const char *const keys[] = {"title",
					   "first_name",
					   "last_name",
					   "gender",
					   "area",
					   "citizenship",
					   "work_ticket",
					   "contact",
					   "education",
					   "language",
					   "professional_roles",
					   "employments",
					   "schedules",
					   "business_trip_readiness",
					   "travel_time",
					   "skill_set",
					   "experience",
					   "resume_locale",
					   "access"};
	json_t *body = body_with("\"first_name\":\"Вера\",\"last_name\":\"Соколова\","
				 "\"skills\":[\"C\"],\"experience\":\"Завод, 2020\","
				 "\"education\":\"МГУ, 2010\"");

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (json_object_get(body, keys[i]) == NULL)
			fail_msg("no %s", keys[i]);
	json_decref(body);
	assert_part("", "access", "{\"type\":{\"id\":\"clients\"}}");
	assert_part("", "employments", "[{\"id\":\"full\"}]");
	assert_part("", "schedules", "[{\"id\":\"fullDay\"}]");
	assert_part("", "citizenship", "[{\"id\":\"113\"}]");
	assert_part("", "resume_locale", "{\"id\":\"RU\"}");
	assert_part("", "language", "[{\"id\":\"rus\",\"level\":{\"id\":\"l1\"}}]");
}

static void knows_both_spellings(void **state)
{
	(void)state;
	assert_part("\"firstName\":\"Вера\"", "first_name", "\"Вера\"");
	assert_part("\"first_name\":\" Вера \"", "first_name", "\"Вера\"");
	assert_part("\"lastName\":\"Ли\"", "last_name", "\"Ли\"");
	assert_part("\"lastName\":\"1 O'Brien-Smith <3\"", "last_name", "\"O'Brien-Smith\"");
	assert_part("\"firstName\":\"123\"", "first_name", NULL);
	assert_part("\"full_name\":\"Ян Ли Младший\"", "last_name", "\"Ли Младший\"");
	assert_part("\"middleName\":\"Ивановна\"", "gender", "{\"id\":\"female\"}");
	assert_part("\"lastName\":\"Smith\"", "gender", "{\"id\":\"male\"}");
	assert_part("\"lastName\":\"Соколова\",\"gender\":\"male\"", "gender", "{\"id\":\"male\"}");
	assert_part("\"gender\":{\"id\":\"female\"}", "gender", "{\"id\":\"female\"}");
	assert_part("\"keySkills\":[\"C\"]", "skill_set", "[\"C\"]");
}

static void says_how_to_reach_the_person(void **state)
{
	(void)state;
	assert_part("", "contact",
		    "[{\"type\":{\"id\":\"email\"},\"value\":\"a@mail.test\",\"preferred\":true},"
		    "{\"type\":{\"id\":\"cell\"},\"value\":{\"formatted\":\"+79000000001\"},"
		    "\"preferred\":false}]");
}

static void area_is_an_id_or_an_object(void **state)
{
	(void)state;
	assert_part("", "area", "{\"id\":\"1\"}");
	assert_part("\"area\":\"2\"", "area", "{\"id\":\"2\"}");
	assert_part("\"area\":88", "area", "{\"id\":\"88\"}");
	assert_part("\"area\":{\"id\":\"3\"}", "area", "{\"id\":\"3\"}");
	assert_part("\"area\":{\"id\":4}", "area", "{\"id\":\"4\"}");
	assert_part("\"area\":\"113\"", "area", "{\"id\":\"1\"}"); /* a country is no leaf */
	assert_part("\"area\":\"Москва\"", "area", "{\"id\":\"1\"}");
	assert_part("\"area\":[1]", "area", "{\"id\":\"1\"}");
	assert_part("\"area\":-5", "area", "{\"id\":\"1\"}");
	assert_part("\"area\":\"99999999999999999999\"", "area", "{\"id\":\"1\"}");
}

static void skills_are_a_list_or_text(void **state)
{
	(void)state;
	assert_part("\"skills\":[\"C\",\" Linux \",\"c\",\"\",null,7,{\"name\":\"SQL\"}]",
		    "skill_set", "[\"C\",\"Linux\",\"SQL\"]");
	assert_part("\"skills\":\"C, Linux\\n- SQL,,\\n\"", "skill_set",
		    "[\"C\",\"Linux\",\"SQL\"]");
	assert_part("\"skills\":\" , \\n\"", "skill_set", NULL);
	assert_part("\"skills\":{\"C\":1}", "skill_set", NULL);
	assert_part("\"skills\":\"C\"", "skills", NULL); /* that is what HH calls "about me" */
	assert_part("\"summary\":\"Пишу.\\nЧитаю.\"", "skills", "\"Пишу.\\nЧитаю.\"");
}

static void salary_needs_its_currency(void **state)
{
	(void)state;
	assert_part("\"salary\":200000", "salary", "{\"amount\":200000,\"currency\":\"RUR\"}");
	assert_part("\"salary\":{\"amount\":5,\"currency\":\"RUB\"}", "salary",
		    "{\"amount\":5,\"currency\":\"RUR\"}");
	assert_part("\"salary\":{\"amount\":5,\"currency\":\"USD\"}", "salary",
		    "{\"amount\":5,\"currency\":\"USD\"}");
	assert_part("\"salary\":{\"currency\":\"USD\"}", "salary", NULL);
	assert_part("\"salary\":{\"amount\":5,\"currency\":\"XXX\"}", "salary", NULL);
	assert_part("\"salary\":1e300", "salary", NULL);
	assert_part("\"salary\":\"much\"", "salary", NULL);
	assert_part("\"salary\":-1", "salary", NULL);
}

static void languages_have_one_native(void **state)
{
	(void)state;
	assert_part("\"languages\":[{\"id\":\"eng\",\"level\":{\"id\":\"b2\"}}]", "language",
		    "[{\"id\":\"eng\",\"level\":{\"id\":\"b2\"}},"
		    "{\"id\":\"rus\",\"level\":{\"id\":\"l1\"}}]");
	assert_part("\"language\":[{\"id\":\"eng\",\"level\":{\"id\":\"l1\"}},"
		    "{\"id\":\"deu\",\"level\":{\"id\":\"l1\"}},\"fra\",{\"id\":\"x\"}]",
		    "language", "[{\"id\":\"eng\",\"level\":{\"id\":\"l1\"}}]");
}

/* --- where the person worked --- */

static void experience_is_a_list_of_many_spellings(void **state)
{
	(void)state;
	assert_part("\"experience\":[{\"company\":\"ООО Пример\",\"position\":\"Программист\","
		    "\"description\":\"Писал.\",\"start\":\"2023-07-15\",\"end\":\"2024-08\"}]",
		    "experience",
		    "[{\"company\":\"ООО Пример\",\"position\":\"Программист\",\"start\":"
		    "\"2023-07-15\",\"end\":\"2024-08-01\",\"description\":\"Писал.\"}]");
	assert_part("\"experience\":[{\"employer\":\"A\",\"role\":\"B\",\"summary\":\"C\","
		    "\"startDate\":\"Март 2020\",\"endDate\":\"по настоящее время\"}]",
		    "experience",
		    "[{\"company\":\"A\",\"position\":\"B\",\"start\":\"2020-03-01\",\"end\":null,"
		    "\"description\":\"C\"}]");
	assert_part("\"experience\":[{\"organization\":{\"name\":\"A\"},\"start\":2020,"
		    "\"responsibilities\":[\"x\",\"y\"]}]",
		    "experience",
		    "[{\"company\":\"A\",\"position\":\"Программист C\",\"start\":\"2020-01-01\","
		    "\"end\":null,\"description\":\"x\\ny\"}]");
}

static void experience_may_be_text(void **state)
{
	(void)state;
	assert_part("\"experience\":\"Завод, 2019 - 2023, станки\"", "experience",
		    "[{\"company\":\"Не указано\",\"position\":\"Программист C\",\"start\":"
		    "\"2019-01-01\",\"end\":\"2023-01-01\","
		    "\"description\":\"Завод, 2019 - 2023, станки\"}]");
	assert_part("\"experience\":\"Работал\"", "experience",
		    "[{\"company\":\"Не указано\",\"position\":\"Программист C\",\"start\":"
		    "\"2025-11-01\",\"end\":null,\"description\":\"Работал\"}]");
	assert_part("\"experience\":\"  \"", "experience", NULL);
	assert_part("\"experience\":[]", "experience", NULL);
	assert_part("\"experience\":[null,7,{},{\"start\":\"2020\"}]", "experience", NULL);
}

static void dates_are_in_order_and_past(void **state)
{
	(void)state;
	assert_part(
		"\"experience\":[{\"company\":\"A\",\"start\":\"2024-01\",\"end\":\"2023-01\"}]",
		"experience",
		"[{\"company\":\"A\",\"position\":\"Программист C\",\"start\":\"2024-01-01\","
		"\"end\":null,\"description\":\"Программист C\"}]");
	assert_part("\"experience\":[{\"company\":\"A\",\"start\":\"2030\",\"end\":\"2031\"}]",
		    "experience",
		    "[{\"company\":\"A\",\"position\":\"Программист C\",\"start\":\"2026-11-01\","
		    "\"end\":null,\"description\":\"Программист C\"}]");
}

/* --- where the person learned --- */

static void education_has_three_forms(void **state)
{
	static const char mgu[] =
		"{\"level\":{\"id\":\"higher\"},\"primary\":[{\"name\":\"МГУ\",\"year\":2010}]}";

	(void)state;
	assert_part("\"education\":\"МГУ, 2005 - 2010\"", "education",
		    "{\"level\":{\"id\":\"higher\"},"
		    "\"primary\":[{\"name\":\"МГУ, 2005 - 2010\",\"year\":2010}]}");
	assert_part("\"education\":[{\"name\":\"МГУ\",\"year\":2010}]", "education", mgu);
	assert_part("\"education\":[{\"institution\":\"МГУ\",\"graduation_year\":\"2010\"}]",
		    "education", mgu);
	assert_part("\"education\":[{\"school\":\"МГУ\",\"year\":\"июнь 2010\"}]", "education",
		    mgu);
	assert_part("\"education\":{\"level\":{\"id\":\"master\"},\"primary\":[{\"name\":\"МГУ\","
		    "\"year\":2010,\"result\":\"Физика\",\"organization\":\"Физфак\"}]}",
		    "education",
		    "{\"level\":{\"id\":\"master\"},\"primary\":[{\"name\":\"МГУ\",\"year\":2010,"
		    "\"organization\":\"Физфак\",\"result\":\"Физика\"}]}");
	assert_part("\"education\":{\"level\":{\"id\":\"wizard\"},\"primary\":[\"МГУ 2010\"]}",
		    "education",
		    "{\"level\":{\"id\":\"higher\"},"
		    "\"primary\":[{\"name\":\"МГУ 2010\",\"year\":2010}]}");
	assert_part(
		"\"education\":[{\"name\":\"МГУ\"}]", "education",
		"{\"level\":{\"id\":\"higher\"},\"primary\":[{\"name\":\"МГУ\",\"year\":2026}]}");
	assert_part(
		"\"education\":[{\"name\":\"МГУ\",\"year\":1900}]", "education",
		"{\"level\":{\"id\":\"higher\"},\"primary\":[{\"name\":\"МГУ\",\"year\":2026}]}");
	assert_part("\"education\":{\"level\":{\"id\":\"secondary\"}}", "education", NULL);
	assert_part("\"education\":[]", "education", NULL);
	assert_part("\"education\":[{\"year\":2010},null,3]", "education", NULL);
}

/* --- roles --- */

static void the_role_is_the_cvs_or_the_titles(void **state)
{
	(void)state;
	assert_part("\"professionalRoles\":[{\"id\":\"160\"},\"25\",{\"x\":1}]",
		    "professional_roles", "[{\"id\":\"160\"},{\"id\":\"25\"}]");
	assert_part("", "professional_roles", "[{\"id\":\"96\"}]");
}

/* --- titles --- */

static void a_numbered_title_keeps_the_limit(void **state)
{
	char title[2 * 100 + 1];
	json_t *numbered = hh_resume_title_numbered("Юрист", 2);
	size_t chars;

	(void)state;
	assert_string_equal(json_string_value(numbered), "Юрист (2)");
	json_decref(numbered);
	for (size_t i = 0; i < 100; i++)
		memcpy(title + 2 * i, "ы", 2);
	title[200] = '\0';
	numbered = hh_resume_title_numbered(title, 9);
	assert_true(utf8_valid(json_string_value(numbered), json_string_length(numbered), &chars));
	assert_int_equal(chars, 100);
	json_decref(numbered);
}

/* --- limits and hostility --- */

/* members with %s replaced by n times "ы". */
static char *with_long(const char *members, size_t n)
{
	char *letters = malloc(2 * n + 1);
	char *text;

	for (size_t i = 0; i < n; i++)
		memcpy(letters + 2 * i, "ы", 2);
	letters[2 * n] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	assert_true(asprintf(&text, members, letters) > 0);
#pragma GCC diagnostic pop
	free(letters);
	return text;
}

static size_t chars_at(const json_t *body, const char *key, const char *inner)
{
	const json_t *value = json_object_get(body, key);
	size_t chars;

	if (json_is_object(value))
		value = json_object_get(value, "primary");
	if (json_is_array(value))
		value = json_array_get(value, 0);
	if (inner != NULL)
		value = json_object_get(value, inner);
	assert_true(json_is_string(value));
	assert_true(utf8_valid(json_string_value(value), json_string_length(value), &chars));
	return chars;
}

static void what_is_too_long_is_cut(void **state)
{
	static const struct {
		const char *members;
		const char *key;
		const char *inner;
		size_t chars;
	} cases[] = {
		{"\"first_name\":\"%s\"", "first_name", NULL, 100},
		{"\"last_name\":\"%s\"", "last_name", NULL, 100},
		{"\"skills\":[\"%s\"]", "skill_set", NULL, 100},
		{"\"summary\":\"%s\"", "skills", NULL, 32768},
		{"\"experience\":\"%s\"", "experience", "description", 32768},
		{"\"experience\":[{\"company\":\"%s\"}]", "experience", "company", 512},
		{"\"education\":\"%s\"", "education", "name", 512},
		{"\"education\":[{\"name\":\"A\",\"result\":\"%s\"}]", "education", "result", 128},
		{"\"education\":[{\"name\":\"A\",\"faculty\":\"%s\"}]", "education", "organization",
		 128},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *members = with_long(cases[i].members, 40000);
		json_t *body = body_with(members);

		assert_int_equal(chars_at(body, cases[i].key, cases[i].inner), cases[i].chars);
		json_decref(body);
		free(members);
	}
}

static void lists_are_cut(void **state)
{
	char members[8192] = "\"skills\":\"s0";
	json_t *body;

	(void)state;
	for (int i = 1; i < 200; i++)
		(void)snprintf(members + strlen(members), sizeof(members) - strlen(members), ",s%d",
			       i);
	(void)snprintf(members + strlen(members), sizeof(members) - strlen(members),
		       "\",\"education\":[\"A 2000\"");
	for (int i = 1; i < 200; i++)
		(void)snprintf(members + strlen(members), sizeof(members) - strlen(members),
			       ",\"A 2000\"");
	(void)snprintf(members + strlen(members), sizeof(members) - strlen(members),
		       "],\"experience\":[\"A\"");
	for (int i = 1; i < 200; i++)
		(void)snprintf(members + strlen(members), sizeof(members) - strlen(members),
			       ",\"A\"");
	(void)snprintf(members + strlen(members), sizeof(members) - strlen(members), "]");
	body = body_with(members);
	assert_int_equal(json_array_size(json_object_get(body, "skill_set")), 30);
	assert_int_equal(json_array_size(json_object_get(body, "experience")), 64);
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(body, "education"), "primary")),
		64);
	json_decref(body);
}

/* Every key that is read, with every sort of value: nothing of it may hurt. */
static void no_type_of_value_hurts(void **state)
{
	static const char *const keys[] = {"title",	   "email",	 "phone",
					   "first_name",   "last_name",	 "middle_name",
					   "name",	   "gender",	 "area",
					   "skills",	   "experience", "education",
					   "summary",	   "salary",	 "language",
					   "hh_resume_id", "contacts",	 "professional_roles"};
	static const char *const values[] = {
		"null",
		"true",
		"false",
		"0",
		"-1",
		"1e300",
		"9223372036854775807",
		"\"\"",
		"\" \"",
		"\"\\u0001\\u001f\"",
		"\"\\u00a0\\u200b\"",
		"\"\xF0\x9F\x98\x80\"",
		"[]",
		"[null]",
		"[[]]",
		"[{}]",
		"[[[[{}]]]]",
		"[1,\"\",null,{\"id\":[]}]",
		"{}",
		"{\"id\":null}",
		"{\"id\":{}}",
		"{\"name\":[]}",
		"{\"name\":{}}",
		"{\"level\":7,\"primary\":8}",
		"{\"level\":{\"id\":[]},\"primary\":[[],{\"name\":7}]}",
		"[{\"name\":\"\\u200b\",\"year\":[],\"company\":{},\"start\":{}}]"};

	(void)state;
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			char text[512];
			json_t *cv;
			json_t *title;
			json_t *body;

			(void)snprintf(text, sizeof(text), "{\"%s\":%s}", keys[k], values[v]);
			cv = parse(text);
			title = hh_cv_title(cv);
			(void)hh_cv_check(cv);
			(void)hh_cv_resume_id(cv);
			body = hh_resume_body(
				cv, title == NULL ? "Юрист" : json_string_value(title), NOW_MS);
			assert_non_null(body);
			json_decref(body);
			json_decref(title);
			json_decref(cv);
		}
}

static void what_is_missing_at_hh_is_sent(void **state)
{
	json_t *body = body_with("\"skills\":[\"C\"]");
	json_t *status = parse("{\"progress\":{\"mandatory\":[{\"id\":\"skill_set\"},"
			       "{\"id\":\"education.primary\"},\"contact\",{\"id\":null},null,7,"
			       "{\"id\":\"photo\"}]}}");
	json_t *missing = hh_resume_missing(body, status);
	json_t *nothing = hh_resume_missing(body, NULL);

	(void)state;
	assert_int_equal(json_object_size(missing), 2);
	assert_non_null(json_object_get(missing, "skill_set"));
	assert_non_null(json_object_get(missing, "contact"));
	assert_int_equal(json_object_size(nothing), 0);
	json_decref(missing);
	json_decref(nothing);
	json_decref(status);
	json_decref(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_all_that_hh_demands),
		cmocka_unit_test(knows_both_spellings),
		cmocka_unit_test(says_how_to_reach_the_person),
		cmocka_unit_test(area_is_an_id_or_an_object),
		cmocka_unit_test(skills_are_a_list_or_text),
		cmocka_unit_test(salary_needs_its_currency),
		cmocka_unit_test(languages_have_one_native),
		cmocka_unit_test(experience_is_a_list_of_many_spellings),
		cmocka_unit_test(experience_may_be_text),
		cmocka_unit_test(dates_are_in_order_and_past),
		cmocka_unit_test(education_has_three_forms),
		cmocka_unit_test(the_role_is_the_cvs_or_the_titles),
		cmocka_unit_test(a_numbered_title_keeps_the_limit),
		cmocka_unit_test(what_is_too_long_is_cut),
		cmocka_unit_test(lists_are_cut),
		cmocka_unit_test(no_type_of_value_hurts),
		cmocka_unit_test(what_is_missing_at_hh_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
