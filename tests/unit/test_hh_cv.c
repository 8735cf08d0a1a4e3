/* test_hh_cv.c - what a CV says: how to reach the person, dates, a role, and which resume it means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "actors/hh_client/hh_choice.h"
#include "actors/hh_client/hh_cv.h"
#include "actors/hh_client/hh_role.h"
#include "actors/hh_client/hh_words.h"

static void each_cv_has_what_it_takes_or_not(void **state)
{
	static const struct {
		const char *cv;
		enum msg_error error;
	} cases[] = {
		{"{}", ERR_MISSING_RESUME_ID},
		{"{\"title\":\"C\"}", ERR_MISSING_EMAIL},
		{"{\"email\":\"\"}", ERR_MISSING_EMAIL},
		{"{\"email\":null}", ERR_MISSING_EMAIL},
		{"{\"email\":7}", ERR_MISSING_EMAIL},
		{"{\"email\":\"a\"}", ERR_MISSING_EMAIL},
		{"{\"email\":\"a@b\"}", ERR_MISSING_EMAIL},
		{"{\"email\":\"@b.ru\"}", ERR_MISSING_EMAIL},
		{"{\"email\":\"a@b.\"}", ERR_MISSING_EMAIL},
		{"{\"email\":\"a@.ru\"}", ERR_MISSING_EMAIL},
		{"{\"email\":\"a b@c.ru\"}", ERR_MISSING_EMAIL},
		{"{\"email\":\"a@b@c.ru\"}", ERR_MISSING_EMAIL},
		{"{\"email\":\"a..b@c.ru\"}", ERR_MISSING_EMAIL},
		{"{\"email\":\"a@b.ru\"}", ERR_MISSING_PHONE},
		{"{\"email\":\" a@b.ru \",\"phone\":\"123456789\"}", ERR_MISSING_PHONE},
		{"{\"email\":\"a@b.ru\",\"phone\":\"1234567890123456\"}", ERR_MISSING_PHONE},
		{"{\"email\":\"a@b.ru\",\"phone\":\"77777777777\"}", ERR_MISSING_PHONE},
		{"{\"email\":\"a@b.ru\",\"phone\":\"+7 900 ABC 00 01\"}", ERR_MISSING_PHONE},
		{"{\"email\":\"a@b.ru\",\"phone\":[]}", ERR_MISSING_PHONE},
		{"{\"email\":\"a@b.ru\",\"phone\":\"+79000000001\"}", ERR_BAD_ARGUMENTS},
		{"{\"email\":\"a@b.ru\",\"phone\":\"+79000000001\",\"title\":\" \"}",
		 ERR_BAD_ARGUMENTS},
		{"{\"email\":\"a@b.ru\",\"phone\":\"+79000000001\",\"title\":\"Ы\"}",
		 ERR_BAD_ARGUMENTS},
		{"{\"email\":\"a@b.ru\",\"phone\":\"+79000000001\",\"title\":\"Юрист\"}", ERR_NONE},
		{"{\"email\":\"a@b.ru\",\"phone\":79000000001,\"title\":\"Юрист\"}", ERR_NONE},
		{"{\"contacts\":{\"email\":\"a@b.ru\",\"phone\":\"+79000000001\"},"
		 "\"experience\":[{\"position\":\"Юрист\"}]}",
		 ERR_NONE},
		{"[]", ERR_MISSING_RESUME_ID},
		{"null", ERR_MISSING_RESUME_ID},
		{"7", ERR_MISSING_RESUME_ID},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *cv = json_loads(cases[i].cv, JSON_DECODE_ANY, NULL);
		enum msg_error error = hh_cv_check(cv);

		assert_non_null(cv);
		if (error != cases[i].error)
			fail_msg("%s: %s", cases[i].cv, error_code(error));
		json_decref(cv);
	}
}

static void phone_numbers_get_their_country(void **state)
{
	static const struct {
		const char *given;
		const char *number;
	} cases[] = {
		{"+7 (900) 000-00-01", "+79000000001"}, {"8 900 000 00 01", "+79000000001"},
		{"9000000001", "+79000000001"},		{"79000000001", "+79000000001"},
		{"+375 29 000-00-01", "+375290000001"}, {"+8 900 000 00 01", "+89000000001"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *cv = json_pack("{s:s}", "phone", cases[i].given);
		json_t *phone = hh_cv_phone(cv);

		assert_non_null(phone);
		assert_string_equal(json_string_value(phone), cases[i].number);
		json_decref(phone);
		json_decref(cv);
	}
}

static void dates_are_found_in_what_people_write(void **state)
{
	static const struct {
		const char *text;
		int nth;
		const char *date; /* NULL: none */
	} cases[] = {
		{"2020", 0, "2020-01-01"},
		{"2020-02-29", 0, "2020-02-29"},
		{"2021-02-29", 0, "2021-02-01"},
		{"2020-13", 0, "2020-01-01"},
		{"31.12.2020", 0, "2020-12-31"},
		{"12.2020", 0, "2020-12-01"},
		{"5/2020", 0, "2020-05-01"},
		{"Sept 2020", 0, "2020-09-01"},
		{"с мая 2020 г.", 0, "2020-05-01"},
		{"2019-2023", 1, "2023-01-01"},
		{"Jan 2019 - Mar 2023", 1, "2023-03-01"},
		{"2020-01-15T00:00:00Z", 0, "2020-01-15"},
		{"1949", 0, NULL},
		{"12345", 0, NULL},
		{"99999999999999999999", 0, NULL},
		{"", 0, NULL},
		{"present", 0, NULL},
		{"2020", 1, NULL},
	};
	char date[HH_CV_DATE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = hh_cv_date(cases[i].text, cases[i].nth, date);

		if ((rc == 0) != (cases[i].date != NULL) ||
		    (rc == 0 && strcmp(date, cases[i].date) != 0))
			fail_msg("%s: %d %s", cases[i].text, rc, rc == 0 ? date : "");
	}
}

static void a_title_has_its_role(void **state)
{
	static const struct {
		const char *title;
		const char *role;
	} cases[] = {
		{"Программист C", "96"},
		{"Senior Java Developer", "96"},
		{"Backend-разработчик (Go)", "96"},
		{"DevOps-инженер", "160"},
		{"SRE", "160"},
		{"QA Engineer", "124"},
		{"ТЕСТИРОВЩИК ПО", "124"},
		{"Тестировщик игр", "124"},
		{"Аналитик данных", "156"},
		{"BI developer", "156"},
		{"Big boss", "40"},
		{"Аналитик", "10"},
		{"Системный аналитик", "148"},
		{"Business Analyst", "150"},
		{"Продуктовый аналитик", "164"},
		{"Data Scientist", "165"},
		{"ML-инженер", "165"},
		{"Team Lead Python", "104"},
		{"Тимлид", "104"},
		{"Project Manager", "107"},
		{"Руководитель проектов", "107"},
		{"Менеджер", "107"},
		{"Менеджер по продажам", "40"},
		{"Product manager", "73"},
		{"Менеджер по продукту", "73"},
		{"Продакт-менеджер", "73"},
		{"Сетевой инженер", "112"},
		{"Системный администратор", "113"},
		{"Системный инженер", "114"},
		{"Специалист по информационной безопасности", "116"},
		{"Специалист технической поддержки", "121"},
		{"CTO", "125"},
		{"CIO", "36"},
		{"Технический писатель", "126"},
		{"UX/UI дизайнер", "34"},
		{"Гейм-дизайнер", "25"},
		{"Арт-директор", "12"},
		{"Методолог", "155"},
		{"Head of analytics", "157"},
		{"Водитель", "40"},
		{"Директор Ctoday", "40"},
		{"", "40"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (strcmp(hh_role_of(cases[i].title), cases[i].role) != 0)
			fail_msg("%s: %s", cases[i].title, hh_role_of(cases[i].title));
}

static void titles_are_the_same_without_their_case(void **state)
{
	(void)state;
	assert_true(hh_words_same("Программист C", "ПРОГРАММИСТ  c "));
	assert_true(hh_words_same("ёлка É", "ЁЛКА é"));
	assert_false(hh_words_same("Программист C", "Программист C++"));
	assert_false(hh_words_same("", "a"));
}

static const char list[] =
	"{\"items\":["
	"{\"id\":\"two\",\"title\":\"Юрист (2)\",\"status\":{\"id\":\"published\"}},"
	"{\"id\":\"new\",\"title\":\"ЮРИСТ\",\"status\":{\"id\":\"not_published\"}},"
	"{\"id\":\"old\",\"title\":\"юрист \",\"status\":{\"id\":\"published\"}},"
	"{\"id\":\"../x\",\"title\":\"Юрист\",\"status\":{\"id\":\"published\"}},"
	"{\"id\":7,\"title\":null},{\"id\":\"c\",\"title\":\"Повар\"},null,[]]}";

static void the_best_of_a_users_resumes_is_chosen(void **state)
{
	json_t *resumes = json_loads(list, 0, NULL);
	struct hh_choice choice = {.title = "Юрист"};

	(void)state;
	assert_string_equal(hh_choice_best(&choice, resumes), "old");
	assert_false(hh_choice_title_lost(&choice, resumes));
	choice.not_ids[0] = "old";
	assert_string_equal(hh_choice_best(&choice, resumes), "new");
	assert_true(hh_choice_title_lost(&choice, resumes));
	choice.not_ids[1] = "new";
	assert_string_equal(hh_choice_best(&choice, resumes), "two");
	choice.not_ids[0] = "two";
	choice.title = "Водитель";
	assert_null(hh_choice_best(&choice, resumes));
	assert_false(hh_choice_title_lost(&choice, resumes));
	assert_null(hh_choice_best(&choice, NULL));
	json_decref(resumes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cv_has_what_it_takes_or_not),
		cmocka_unit_test(phone_numbers_get_their_country),
		cmocka_unit_test(dates_are_found_in_what_people_write),
		cmocka_unit_test(a_title_has_its_role),
		cmocka_unit_test(titles_are_the_same_without_their_case),
		cmocka_unit_test(the_best_of_a_users_resumes_is_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
