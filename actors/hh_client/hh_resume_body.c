/* hh_resume_body.c - each field of a resume, from what the CV says or from what all have; see
 * hh_resume_body.h. */
#include "actors/hh_client/hh_resume_body.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "actors/hh_client/hh_cv.h"
#include "actors/hh_client/hh_resume_life.h"
#include "actors/hh_client/hh_role.h"
#include "actors/hh_client/hh_words.h"
#include "proto/codec.h"

#define TITLE_MAX_CHARS 100
#define NAME_MAX_CHARS	100
#define ABOUT_MAX_CHARS 32768
#define SKILLS_MAX	30
#define SKILL_MAX_CHARS 100
#define AREA_DEFAULT	"1" /* Moscow */
#define RUSSIA		"113"
#define AREA_MAX_DIGITS 10
#define LANGUAGES_MAX	16
#define ROLES_MAX	5
#define SALARY_MAX	INT64_C(1000000000)

/* --- small parts --- */

static json_t *with_id(const char *id)
{
	return json_pack("{s:s}", "id", id);
}

static json_t *list_with_id(const char *id)
{
	return json_pack("[{s:s}]", "id", id);
}

/* Takes value. NULL is left out: there is nothing to say, or no memory; required fields are looked
 * for at the end. */
static void put(json_t *object, const char *key, json_t *value)
{
	if (value != NULL)
		(void)json_object_set_new(object, key, value);
}

static bool digits_only(const char *s, size_t max)
{
	size_t len = strspn(s, "0123456789");

	return len > 0 && len <= max && s[len] == '\0';
}

/* The id in value: text, a number, or an object with it; written to buf. False: there is none. */
static bool id_of(const json_t *value, char buf[AREA_MAX_DIGITS + 1])
{
	if (json_is_object(value))
		value = json_object_get(value, "id");
	if (json_is_integer(value) && json_integer_value(value) > 0)
		return snprintf(buf, AREA_MAX_DIGITS + 1, "%" JSON_INTEGER_FORMAT,
				json_integer_value(value)) <= AREA_MAX_DIGITS;
	if (!json_is_string(value) || !digits_only(json_string_value(value), AREA_MAX_DIGITS))
		return false;
	(void)snprintf(buf, AREA_MAX_DIGITS + 1, "%s", json_string_value(value));
	return true;
}

/* A country is no place to live in for HH, and most CVs that name it mean its capital. */
static json_t *area(const json_t *cv)
{
	char id[AREA_MAX_DIGITS + 1];

	if (!id_of(hh_cv_value(cv, "area|area_id|areaId"), id) || strcmp(id, RUSSIA) == 0)
		return with_id(AREA_DEFAULT);
	return with_id(id);
}

/* --- the person --- */

/* HH takes letters, and what joins them to names. */
static json_t *name_of(const char *text, size_t len)
{
	char *kept = malloc(len + 1);
	json_t *name;
	size_t n = 0;

	if (kept == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		bool letter = isalpha((unsigned char)text[i]) || (unsigned char)text[i] >= 0x80;

		if (letter || (n > 0 && strchr(" '.-", text[i]) != NULL))
			kept[n++] = text[i];
	}
	name = hh_words_line(kept, n, NAME_MAX_CHARS);
	free(kept);
	return name;
}

static json_t *name_part(const json_t *cv, const char *keys)
{
	const char *text = hh_cv_text(cv, keys);

	return text == NULL ? NULL : name_of(text, strlen(text));
}

/* Both names from one text: the first word, and the rest. */
static void put_split_names(json_t *body, const char *full)
{
	const char *first = full + strspn(full, " \t\r\n");
	size_t len = strcspn(first, " \t\r\n");
	const char *rest = first + len;

	put(body, "first_name", name_of(first, len));
	put(body, "last_name", name_of(rest, strlen(rest)));
}

static void put_names(json_t *body, const json_t *cv)
{
	const char *full = hh_cv_text(cv, HH_CV_FULL_NAME);

	put(body, "first_name", name_part(cv, HH_CV_FIRST_NAME));
	put(body, "last_name", name_part(cv, HH_CV_LAST_NAME));
	put(body, "middle_name", name_part(cv, "middle_name|middleName|patronymic"));
	if (json_object_get(body, "first_name") == NULL &&
	    json_object_get(body, "last_name") == NULL && full != NULL)
		put_split_names(body, full);
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s);
	size_t end_len = strlen(end);

	return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

/* As the CV says; else by a patronymic or a surname that only women have. */
static const char *gender(const json_t *cv, const json_t *body)
{
	static const char *const hers[] = {"вна", "чна", "ова", "ева", "ёва", "ина",
					   "ая",  "ova", "eva", "ina", "aya"};
	const char *said = hh_cv_text(cv, "gender|sex");
	const char *middle = json_string_value(json_object_get(body, "middle_name"));
	const char *last = json_string_value(json_object_get(body, "last_name"));
	const char *name = middle != NULL ? middle : last;

	if (said == NULL)
		said = json_string_value(json_object_get(hh_cv_value(cv, "gender"), "id"));
	if (said != NULL && (strncasecmp(said, "f", 1) == 0 || strstr(said, "ж") == said ||
			     strstr(said, "Ж") == said))
		return "female";
	if (said != NULL || name == NULL)
		return "male";
	for (size_t i = 0; i < sizeof(hers) / sizeof(hers[0]); i++)
		if (ends_with(name, hers[i]))
			return "female";
	return "male";
}

static json_t *contact(const json_t *cv)
{
	json_t *email = hh_cv_email(cv);
	json_t *phone = hh_cv_phone(cv);

	if (email == NULL || phone == NULL) {
		json_decref(email);
		json_decref(phone);
		return NULL;
	}
	return json_pack("[{s:{s:s},s:o,s:b},{s:{s:s},s:{s:o},s:b}]", "type", "id", "email",
			 "value", email, "preferred", 1, "type", "id", "cell", "value", "formatted",
			 phone, "preferred", 0);
}

/* --- what the person can do --- */

static bool listed(const json_t *list, const char *text)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i,
			   item) if (hh_words_same(json_string_value(item), text)) return true;
	return false;
}

static void add_skill(json_t *skills, const char *text, size_t len)
{
	json_t *skill;

	while (len > 0 && strchr("-*;. \t", *text) != NULL) { /* the points of a list */
		text++;
		len--;
	}
	if (json_array_size(skills) == SKILLS_MAX)
		return;
	skill = hh_words_line(text, len, SKILL_MAX_CHARS);
	if (skill != NULL && !listed(skills, json_string_value(skill)))
		(void)json_array_append(skills, skill);
	json_decref(skill);
}

static json_t *skill_set(const json_t *cv)
{
	json_t *given = hh_cv_value(cv, "skills|skill_set|skillSet|key_skills|keySkills");
	const char *text = json_string_value(given);
	json_t *skills = json_array();
	size_t i;
	json_t *item;

	json_array_foreach(given, i, item)
	{
		const char *name = json_is_object(item) ? hh_cv_text(item, "name|skill")
							: json_string_value(item);

		if (name != NULL)
			add_skill(skills, name, strlen(name));
	}
	while (text != NULL && *text != '\0') {
		size_t len = strcspn(text, ",\n");

		add_skill(skills, text, len);
		text += len;
		text += *text != '\0' ? 1 : 0;
	}
	if (json_array_size(skills) > 0)
		return skills;
	json_decref(skills);
	return NULL;
}

static json_t *about(const json_t *cv)
{
	const char *text = hh_cv_text(cv, "summary|about|about_me|aboutMe");

	return text == NULL ? NULL : hh_words_text(text, ABOUT_MAX_CHARS);
}

static bool language_valid(const json_t *item)
{
	static const char *const levels[] = {"a1", "a2", "b1", "b2", "c1", "c2", "l1"};
	const char *id = json_string_value(json_object_get(item, "id"));
	const char *level =
		json_string_value(json_object_get(json_object_get(item, "level"), "id"));

	if (id == NULL || strlen(id) != 3 || level == NULL)
		return false;
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(level, levels[i]) == 0)
			return true;
	return false;
}

/* HH wants one native language; the CV's own as far as they are in HH's form. */
static json_t *languages(const json_t *cv)
{
	const json_t *given = hh_cv_value(cv, "language|languages");
	json_t *list = json_array();
	bool native = false;
	size_t i;
	json_t *item;

	json_array_foreach(given, i, item)
	{
		const char *id = json_string_value(json_object_get(item, "id"));
		const char *level =
			json_string_value(json_object_get(json_object_get(item, "level"), "id"));
		bool l1 = language_valid(item) && strcmp(level, "l1") == 0;

		if (!language_valid(item) || (l1 && native) ||
		    json_array_size(list) == LANGUAGES_MAX)
			continue;
		native = native || l1;
		(void)json_array_append_new(
			list, json_pack("{s:s,s:{s:s}}", "id", id, "level", "id", level));
	}
	if (!native)
		(void)json_array_append_new(
			list, json_pack("{s:s,s:{s:s}}", "id", "rus", "level", "id", "l1"));
	return list;
}

static json_t *roles(const json_t *cv, const char *title)
{
	const json_t *given = hh_cv_value(cv, "professional_roles|professionalRoles");
	json_t *list = json_array();
	char id[AREA_MAX_DIGITS + 1];
	size_t i;
	json_t *item;

	json_array_foreach(given, i,
			   item) if (json_array_size(list) < ROLES_MAX && id_of(item, id))(void)
		json_array_append_new(list, with_id(id));
	if (json_array_size(list) == 0 && title != NULL)
		(void)json_array_append_new(list, with_id(hh_role_of(title)));
	return list;
}

/* HH takes an amount with its currency only, and has names of its own for two of them. */
static json_t *salary(const json_t *cv)
{
	static const char currencies[] = "RUR USD EUR KZT BYR UZS KGS AZN GEL UAH";
	const json_t *given = hh_cv_value(cv, "salary|desired_salary|desiredSalary");
	const json_t *amount = json_is_object(given) ? hh_cv_value(given, "amount|from") : given;
	const char *currency = hh_cv_text(given, "currency");
	double value = json_number_value(amount);

	if (!(value >= 1 && value <= SALARY_MAX))
		return NULL;
	if (currency == NULL || strcmp(currency, "RUB") == 0)
		currency = "RUR";
	if (strcmp(currency, "BYN") == 0)
		currency = "BYR";
	if (strlen(currency) != 3 || strstr(currencies, currency) == NULL)
		return NULL;
	return json_pack("{s:I,s:s}", "amount", (json_int_t)value, "currency", currency);
}

/* --- all of it --- */

static void put_what_all_have(json_t *body)
{
	put(body, "citizenship", list_with_id(RUSSIA));
	put(body, "work_ticket", list_with_id(RUSSIA));
	put(body, "employments", list_with_id("full"));
	put(body, "schedules", list_with_id("fullDay"));
	put(body, "business_trip_readiness", with_id("never"));
	put(body, "travel_time", with_id("any"));
	put(body, "resume_locale", with_id("RU"));
	put(body, "access", json_pack("{s:{s:s}}", "type", "id", "clients"));
}

json_t *hh_resume_body(const json_t *cv, const char *title, int64_t now_ms)
{
	json_t *body = json_object();

	put(body, "title", title == NULL ? NULL : json_string(title));
	put_names(body, cv);
	put(body, "gender", with_id(gender(cv, body)));
	put(body, "area", area(cv));
	put(body, "contact", contact(cv));
	put(body, "education", hh_resume_education(cv, now_ms));
	put(body, "experience", hh_resume_experience(cv, title, now_ms));
	put(body, "language", languages(cv));
	put(body, "professional_roles", roles(cv, title));
	put(body, "skill_set", skill_set(cv));
	put(body, "skills", about(cv));
	put(body, "salary", salary(cv));
	put_what_all_have(body);
	if (json_object_get(body, "access") != NULL)
		return body;
	json_decref(body);
	return NULL;
}

json_t *hh_resume_missing(const json_t *body, const json_t *status)
{
	const json_t *mandatory = json_object_get(json_object_get(status, "progress"), "mandatory");
	json_t *missing = json_object();
	size_t i;
	json_t *item;

	json_array_foreach(mandatory, i, item)
	{
		const char *id = json_string_value(json_object_get(item, "id"));
		char key[64];

		if (id == NULL) /* some lists of HH's are of ids alone */
			id = json_string_value(item);
		if (id == NULL)
			continue;
		/* "education.primary" is a part of education, which can only be sent whole. */
		(void)snprintf(key, sizeof(key), "%.*s", (int)strcspn(id, "./["), id);
		if (json_object_get(body, key) != NULL &&
		    json_object_set(missing, key, json_object_get(body, key)) < 0) {
			json_decref(missing);
			return NULL;
		}
	}
	return missing;
}

json_t *hh_resume_title_numbered(const char *title, int n)
{
	char end[16];
	size_t end_len = (size_t)snprintf(end, sizeof(end), " (%d)", n);

	return json_sprintf("%.*s%s", (int)utf8_prefix(title, TITLE_MAX_CHARS - end_len), title,
			    end);
}
