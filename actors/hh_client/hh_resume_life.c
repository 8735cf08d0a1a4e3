/* hh_resume_life.c - jobs and schools out of texts, lists and objects; see hh_resume_life.h. */
#include "actors/hh_client/hh_resume_life.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "actors/hh_client/hh_cv.h"
#include "actors/hh_client/hh_words.h"

#define ENTRIES_MAX	      64
#define COMPANY_MAX_CHARS     512
#define DESCRIPTION_MAX_CHARS 32768
#define SCHOOL_MAX_CHARS      512
#define RESULT_MAX_CHARS      128
#define NO_COMPANY	      "Не указано"
#define LEVEL_DEFAULT	      "higher"
#define YEARS_AHEAD	      10 /* of a graduation */

static struct tm day_of(int64_t now_ms)
{
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm day = {0};

	(void)gmtime_r(&seconds, &day);
	return day;
}

static void write_day(const struct tm *day, int years_ago, char date[HH_CV_DATE_SIZE])
{
	(void)snprintf(date, HH_CV_DATE_SIZE, "%04u-%02u-01",
		       (unsigned)(day->tm_year + 1900 - years_ago) % 10000,
		       (unsigned)(day->tm_mon + 1) % 100);
}

/* --- experience --- */

/* A year may come as a number. */
static int date_of(const json_t *entry, const char *keys, char date[HH_CV_DATE_SIZE])
{
	const json_t *value = hh_cv_value(entry, keys);
	char number[24];

	if (!json_is_integer(value))
		return hh_cv_date(json_is_string(value) ? json_string_value(value) : "", 0, date);
	(void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return hh_cv_date(number, 0, date);
}

/* Sees to it that start <= end <= now. end "": until now. ISO dates compare as texts. */
static void put_in_order(int64_t now_ms, char start[HH_CV_DATE_SIZE], char end[HH_CV_DATE_SIZE])
{
	const struct tm day = day_of(now_ms);
	char now[HH_CV_DATE_SIZE];

	write_day(&day, 0, now);
	if (strcmp(end, now) > 0)
		end[0] = '\0';
	if (start[0] == '\0' && end[0] != '\0')
		(void)snprintf(start, HH_CV_DATE_SIZE, "%s", end);
	else if (start[0] == '\0')
		write_day(&day, 1, start);
	if (strcmp(start, now) > 0)
		(void)snprintf(start, HH_CV_DATE_SIZE, "%s", now);
	if (end[0] != '\0' && strcmp(end, start) < 0)
		end[0] = '\0';
}

static json_t *line_or(const char *text, const char *fallback, size_t max_chars)
{
	json_t *line = text == NULL ? NULL : hh_words_line(text, strlen(text), max_chars);

	return line != NULL ? line : json_string(fallback);
}

/* Dates that are not known are "". NULL: no memory. */
static json_t *job(const char *company, const char *position, const char *title,
		   const char *description, const char *start, const char *end)
{
	json_t *text =
		description == NULL ? NULL : hh_words_text(description, DESCRIPTION_MAX_CHARS);
	json_t *where = line_or(company, NO_COMPANY, COMPANY_MAX_CHARS);
	json_t *what = line_or(position, title, COMPANY_MAX_CHARS);

	if (text == NULL && what != NULL) /* demanded as well */
		text = json_string(json_string_value(what));
	return json_pack("{s:o,s:o,s:s,s:s?,s:o}", "company", where, "position", what, "start",
			 start, "end", end[0] == '\0' ? NULL : end, "description", text);
}

/* "Developer at Acme, 2019 - 2023, ...": the dates that it names are its start and end. */
static json_t *job_of_text(const char *text, const char *title, int64_t now_ms)
{
	char start[HH_CV_DATE_SIZE] = "";
	char end[HH_CV_DATE_SIZE] = "";

	if (hh_words_blank(text))
		return NULL;
	if (hh_cv_date(text, 0, start) == 0)
		(void)hh_cv_date(text, 1, end);
	put_in_order(now_ms, start, end);
	return job(NULL, NULL, title, text, start, end);
}

/* What was done may be a list of points; joined, malloc'ed. NULL: it is none. */
static char *joined_points(const json_t *list)
{
	char *text = NULL;
	size_t len = 0;
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		size_t more = json_string_length(item);
		char *longer = json_is_string(item) ? realloc(text, len + more + 2) : NULL;

		if (longer == NULL)
			continue;
		text = longer;
		memcpy(text + len, json_string_value(item), more);
		len += more;
		text[len++] = '\n';
		text[len] = '\0';
	}
	return text;
}

static json_t *job_of_object(const json_t *entry, const char *title, int64_t now_ms)
{
	static const char keys[] = "description|summary|responsibilities|achievements";
	const char *company = hh_cv_text(entry, "company|employer|organization|companyName");
	const char *position = hh_cv_text(entry, "position|role|title");
	const char *description = hh_cv_text(entry, keys);
	char *points = NULL;
	char start[HH_CV_DATE_SIZE] = "";
	char end[HH_CV_DATE_SIZE] = "";
	json_t *made;

	if (description == NULL)
		description = points = joined_points(hh_cv_value(entry, keys));
	if (company == NULL && position == NULL && description == NULL)
		return NULL;
	if (date_of(entry, "start|start_date|startDate|from", start) < 0)
		start[0] = '\0';
	if (date_of(entry, "end|end_date|endDate|to", end) < 0)
		end[0] = '\0';
	put_in_order(now_ms, start, end);
	made = job(company, position, title, description, start, end);
	free(points);
	return made;
}

/* The list; NULL, and it is freed, when it is empty. */
static json_t *unless_empty(json_t *list)
{
	if (json_array_size(list) > 0)
		return list;
	json_decref(list);
	return NULL;
}

static void append(json_t *list, json_t *entry)
{
	if (entry != NULL)
		(void)json_array_append_new(list, entry); /* or it is missing: no memory */
}

json_t *hh_resume_experience(const json_t *cv, const char *title, int64_t now_ms)
{
	const json_t *given = hh_cv_value(cv, "experience|work_experience|workExperience");
	json_t *list = json_array();
	size_t i;
	json_t *item;

	if (json_is_string(given))
		append(list, job_of_text(json_string_value(given), title, now_ms));
	json_array_foreach(given, i, item)
	{
		if (json_array_size(list) == ENTRIES_MAX)
			break;
		if (json_is_string(item))
			append(list, job_of_text(json_string_value(item), title, now_ms));
		else
			append(list, job_of_object(item, title, now_ms));
	}
	return unless_empty(list);
}

/* --- education --- */

static const char *level_of(const json_t *education)
{
	static const char *const levels[] = {"secondary",	  "special_secondary",
					     "unfinished_higher", "higher",
					     "bachelor",	  "master",
					     "candidate",	  "doctor"};
	const json_t *level = json_object_get(education, "level");
	const char *id = json_is_object(level) ? json_string_value(json_object_get(level, "id"))
					       : json_string_value(level);

	for (size_t i = 0; id != NULL && i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(id, levels[i]) == 0)
			return levels[i];
	return LEVEL_DEFAULT;
}

/* date: when the person graduated; "": not said. */
static json_t *school(const char *name, const char *date, const char *organization,
		      const char *result, int64_t now_ms)
{
	const int this_year = day_of(now_ms).tm_year + 1900;
	const int year = date[0] == '\0' ? this_year : (int)strtol(date, NULL, 10);
	json_t *made =
		json_pack("{s:o,s:i}", "name", hh_words_line(name, strlen(name), SCHOOL_MAX_CHARS),
			  "year", year > this_year + YEARS_AHEAD ? this_year : year);
	json_t *faculty = organization == NULL ? NULL
					       : hh_words_line(organization, strlen(organization),
							       RESULT_MAX_CHARS);
	json_t *degree =
		result == NULL ? NULL : hh_words_line(result, strlen(result), RESULT_MAX_CHARS);

	if (faculty != NULL)
		(void)json_object_set_new(made, "organization", faculty);
	if (degree != NULL)
		(void)json_object_set_new(made, "result", degree);
	return made;
}

static json_t *school_of_text(const char *text, int64_t now_ms)
{
	char date[HH_CV_DATE_SIZE] = "";
	char later[HH_CV_DATE_SIZE];

	if (hh_words_blank(text))
		return NULL;
	for (int nth = 0; hh_cv_date(text, nth, later) == 0; nth++)
		(void)memcpy(date, later, sizeof(date)); /* the last one is its end */
	return school(text, date, NULL, NULL, now_ms);
}

static json_t *school_of_object(const json_t *entry, int64_t now_ms)
{
	const char *name = hh_cv_text(entry, "name|institution|school|university");
	char date[HH_CV_DATE_SIZE] = "";

	if (name == NULL)
		return NULL;
	if (date_of(entry, "year|graduation_year|graduationYear|end|end_date|endDate", date) < 0)
		date[0] = '\0';
	return school(name, date, hh_cv_text(entry, "organization|faculty"),
		      hh_cv_text(entry, "result|degree|speciality|specialization"), now_ms);
}

json_t *hh_resume_education(const json_t *cv, int64_t now_ms)
{
	const json_t *given = hh_cv_value(cv, "education");
	const json_t *primary = json_is_object(given) ? hh_cv_value(given, "primary") : given;
	json_t *list = json_array();
	size_t i;
	json_t *item;

	if (json_is_string(primary))
		append(list, school_of_text(json_string_value(primary), now_ms));
	json_array_foreach(primary, i, item)
	{
		if (json_array_size(list) == ENTRIES_MAX)
			break;
		if (json_is_string(item))
			append(list, school_of_text(json_string_value(item), now_ms));
		else
			append(list, school_of_object(item, now_ms));
	}
	if (json_array_size(list) == 0 && json_is_object(given)) /* it is one school itself */
		append(list, school_of_object(given, now_ms));
	list = unless_empty(list);
	if (list == NULL) /* HH takes no level without a place */
		return NULL;
	return json_pack("{s:{s:s},s:o}", "level", "id", level_of(given), "primary", list);
}
