/* hh_cv.c - finds a value under any of its names, and checks addresses, phones and dates; see
 * hh_cv.h. */
#include "actors/hh_client/hh_cv.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_words.h"
#include "proto/codec.h"

#define TITLE_MIN_CHARS	 2
#define TITLE_MAX_CHARS	 100
#define EMAIL_MAX_CHARS	 255
#define PHONE_MIN_DIGITS 10
#define PHONE_MAX_DIGITS 15
#define PHONE_MAX_BYTES	 64
#define YEAR_MIN	 1950
#define YEAR_MAX	 2099
#define KEY_SIZE	 64

/* --- values --- */

/* The next of the keys; false when there are no more. */
static bool next_key(const char **keys, char key[KEY_SIZE])
{
	size_t len = strcspn(*keys, "|");

	if (len == 0)
		return false;
	(void)snprintf(key, KEY_SIZE, "%.*s", (int)len, *keys);
	*keys += len;
	*keys += **keys == '|' ? 1 : 0;
	return true;
}

json_t *hh_cv_value(const json_t *object, const char *keys)
{
	char key[KEY_SIZE];

	while (next_key(&keys, key)) {
		json_t *value = json_object_get(object, key);

		if (value != NULL && !json_is_null(value))
			return value;
	}
	return NULL;
}

const char *hh_cv_text(const json_t *object, const char *keys)
{
	char key[KEY_SIZE];

	while (next_key(&keys, key)) {
		json_t *value = json_object_get(object, key);
		const char *text;

		if (json_is_object(value))
			value = json_object_get(value, "name");
		text = json_string_value(value);
		if (text != NULL && !hh_words_blank(text))
			return text;
	}
	return NULL;
}

const char *hh_cv_resume_id(const json_t *cv)
{
	const char *id = hh_cv_text(cv, "hh_resume_id|hhResumeId");

	return id == NULL ? "" : id;
}

json_t *hh_cv_title(const json_t *cv)
{
	const json_t *experience = hh_cv_value(cv, "experience");
	const char *text = hh_cv_text(cv, "title|desired_position|desiredPosition|position");
	json_t *title;
	size_t chars;

	if (text == NULL) /* what the person did last */
		text = hh_cv_text(json_array_get(experience, 0), "position|role");
	if (text == NULL)
		return NULL;
	title = hh_words_line(text, strlen(text), TITLE_MAX_CHARS);
	if (title != NULL &&
	    utf8_valid(json_string_value(title), json_string_length(title), &chars) &&
	    chars >= TITLE_MIN_CHARS)
		return title;
	json_decref(title);
	return NULL;
}

/* --- how to reach the person --- */

static bool email_valid(const char *s)
{
	const char *at = strchr(s, '@');
	const char *domain = at == NULL ? NULL : at + 1;

	if (at == NULL || at == s || strchr(domain, '@') != NULL || strpbrk(s, " ,;<>()\"") != NULL)
		return false;
	if (strstr(s, "..") != NULL || s[0] == '.' || at[-1] == '.')
		return false;
	return domain[0] != '.' && domain[0] != '-' && strchr(domain, '.') != NULL &&
	       domain[strlen(domain) - 1] != '.' && domain[strlen(domain) - 1] != '-';
}

json_t *hh_cv_email(const json_t *cv)
{
	const json_t *contacts = hh_cv_value(cv, "contacts|contact");
	const char *text = hh_cv_text(cv, "email|e_mail|emailAddress|email_address");
	json_t *email;

	if (text == NULL)
		text = hh_cv_text(contacts, "email");
	email = text == NULL ? NULL : hh_words_line(text, strlen(text), EMAIL_MAX_CHARS + 1);
	if (email != NULL && json_string_length(email) <= EMAIL_MAX_CHARS &&
	    email_valid(json_string_value(email)))
		return email;
	json_decref(email);
	return NULL;
}

/* Only digits and what people write between them; the digits are copied. */
static bool phone_digits(const char *s, char digits[PHONE_MAX_DIGITS + 1])
{
	size_t n = 0;

	for (; *s != '\0'; s++) {
		if (isdigit((unsigned char)*s)) {
			if (n == PHONE_MAX_DIGITS)
				return false;
			digits[n++] = *s;
		} else if (strchr("+-(). /\t", *s) == NULL && (unsigned char)*s < 0x80) {
			return false;
		}
	}
	digits[n] = '\0';
	return n >= PHONE_MIN_DIGITS && strspn(digits, (char[]){digits[0], '\0'}) < n;
}

json_t *hh_cv_phone(const json_t *cv)
{
	const json_t *contacts = hh_cv_value(cv, "contacts|contact");
	const json_t *value = hh_cv_value(cv, "phone|phoneNumber|phone_number|mobile");
	char digits[PHONE_MAX_DIGITS + 1];
	char number[PHONE_MAX_BYTES];
	const char *text;

	if (value == NULL)
		value = hh_cv_value(contacts, "phone");
	if (json_is_object(value))
		value = hh_cv_value(value, "formatted|number");
	(void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	text = json_is_integer(value) ? number : json_string_value(value);
	if (text == NULL || !phone_digits(text, digits))
		return NULL;
	while (isspace((unsigned char)*text))
		text++;
	/* Within Russia a number is dialled with 8 in the place of +7, or without either. */
	if (text[0] != '+' && digits[0] == '8' && strlen(digits) == 11)
		return json_sprintf("+7%s", digits + 1);
	if (text[0] != '+' && strlen(digits) == 10)
		return json_sprintf("+7%s", digits);
	return json_sprintf("+%s", digits);
}

enum msg_error hh_cv_check(const json_t *cv)
{
	json_t *email = hh_cv_email(cv);
	json_t *phone = hh_cv_phone(cv);
	json_t *title = hh_cv_title(cv);
	enum msg_error error = ERR_NONE;

	if (json_object_size(cv) == 0)
		error = ERR_MISSING_RESUME_ID;
	else if (email == NULL)
		error = ERR_MISSING_EMAIL;
	else if (phone == NULL)
		error = ERR_MISSING_PHONE;
	else if (title == NULL)
		error = ERR_BAD_ARGUMENTS;
	json_decref(email);
	json_decref(phone);
	json_decref(title);
	return error;
}

/* --- dates --- */

struct number {
	int value;
	size_t digits;
	const char *start;
	const char *end;
};

/* The next number at or after s; digits 0: there is none. */
static struct number next_number(const char *s)
{
	struct number n = {.start = s + strcspn(s, "0123456789")};

	for (n.end = n.start; isdigit((unsigned char)*n.end); n.end++, n.digits++)
		if (n.digits < 8)
			n.value = n.value * 10 + (*n.end - '0');
	return n;
}

static bool is_year(const struct number *n)
{
	return n->digits == 4 && n->value >= YEAR_MIN && n->value <= YEAR_MAX;
}

/* Nothing but one of the signs that join the parts of a date. */
static bool joined(const struct number *a, const struct number *b)
{
	return a->digits > 0 && b->digits > 0 && b->start == a->end + 1 &&
	       strchr("-./", *a->end) != NULL;
}

static bool in_range(const struct number *n, int max)
{
	return n->digits >= 1 && n->digits <= 2 && n->value >= 1 && n->value <= max;
}

static int days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && year % 4 == 0 ? 29 : days[month - 1];
}

/* The month whose name stands between from and to; 0: none. */
static int month_named(const char *from, const char *to)
{
	static const char *const names[][3] = {
		{"jan", "янв"},	       {"feb", "фев"}, {"mar", "мар"}, {"apr", "апр"},
		{"may", "май", "мая"}, {"jun", "июн"}, {"jul", "июл"}, {"aug", "авг"},
		{"sep", "сен"},	       {"oct", "окт"}, {"nov", "ноя"}, {"dec", "дек"},
	};
	char *text = strndup(from, (size_t)(to - from));
	char *lower = text == NULL ? NULL : hh_words_lower(text);
	int month = 0;

	for (int m = 0; m < 12 && lower != NULL && month == 0; m++)
		for (int n = 0; n < 3 && names[m][n] != NULL; n++)
			if (strstr(lower, names[m][n]) != NULL)
				month = m + 1;
	free(lower);
	free(text);
	return month;
}

int hh_cv_date(const char *text, int nth, char date[HH_CV_DATE_SIZE])
{
	struct number before[2] = {{0}}; /* the last one, and the one before it */
	const char *since = text;	 /* where the words about a date begin */

	for (struct number n = next_number(text); n.digits > 0; n = next_number(n.end)) {
		struct number month = next_number(n.end);
		struct number day = next_number(month.end);
		int m;
		int d = 1;

		if (!is_year(&n) || nth-- > 0) {
			since = is_year(&n) ? n.end : since;
			before[1] = before[0];
			before[0] = n;
			continue;
		}
		if (joined(&n, &month) && in_range(&month, 12)) {
			m = month.value;
			if (joined(&month, &day) && in_range(&day, days_in(n.value, m)))
				d = day.value;
		} else if (joined(&before[0], &n) && in_range(&before[0], 12)) {
			m = before[0].value;
			if (joined(&before[1], &before[0]) &&
			    in_range(&before[1], days_in(n.value, m)))
				d = before[1].value;
		} else {
			m = month_named(since, n.start);
		}
		(void)snprintf(date, HH_CV_DATE_SIZE, "%04u-%02u-%02u", (unsigned)n.value % 10000,
			       (unsigned)(m == 0 ? 1 : m) % 100, (unsigned)d % 100);
		return 0;
	}
	return -EINVAL;
}
