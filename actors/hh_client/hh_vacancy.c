/* hh_vacancy.c - reads HH's JSON of a vacancy, or of a page of them, into the arena; see
 * hh_vacancy.h. */
#include "actors/hh_client/hh_vacancy.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "actors/hh_client/hh_html.h"
#include "actors/hh_client/hh_query.h"
#include "actors/hh_client/hh_retry.h"
#include "proto/codec.h"

#define ITEMS_MAX	      100
#define SKILLS_MAX	      64
#define LINE_MAX_CHARS	      255 /* titles, names, skills */
#define DESCRIPTION_MAX_CHARS 65536
#define URL_MAX_CHARS	      2048
#define ID_MAX_BYTES	      32
#define AMOUNT_MAX	      1e15

/* --- texts --- */

/* s without white space at its ends, cut to max_chars. NULL when nothing is left, or no memory. */
static const char *line(const char *s, size_t max_chars, struct arena *arena)
{
	static const char space[] = " \t\r\n\v\f";
	size_t len;

	s += strspn(s, space);
	len = utf8_prefix(s, max_chars);
	while (len > 0 && strchr(space, s[len - 1]) != NULL)
		len--;
	return len == 0 ? NULL : arena_strndup(arena, s, len);
}

/* An id, which HH writes as a string and once may not. NULL when there is none that fits. */
static const char *id_of(const json_t *object, struct arena *arena)
{
	const json_t *id = json_object_get(object, "id");
	const char *text = json_string_value(id);

	if (json_is_integer(id))
		return arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
	if (text == NULL || text[0] == '\0' || strlen(text) > ID_MAX_BYTES)
		return NULL;
	return arena_strdup(arena, text);
}

/* true, or the "true" of older answers. */
static bool truth(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_true(value) || strcasecmp(hh_text(object, key), "true") == 0;
}

const char *hh_vacancy_time(const char *text, struct arena *arena)
{
	struct tm tm = {0};
	char buf[32];
	time_t seconds;
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S%z", &tm);
	long offset;

	if (end == NULL || *end != '\0')
		return NULL;
	offset = tm.tm_gmtoff;
	seconds = timegm(&tm) - offset;
	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return NULL;
	return arena_strdup(arena, buf);
}

/* --- pay --- */

/* A bound of a range as whole money; 0 when there is none. */
static int64_t amount(const json_t *range, const char *key)
{
	double value = json_number_value(json_object_get(range, key));

	return value >= 0.5 && value < AMOUNT_MAX ? llround(value) : 0;
}

static const char *salary_of(const json_t *range, struct arena *arena)
{
	int64_t from = amount(range, "from");
	int64_t to = amount(range, "to");
	const char *currency = hh_text(range, "currency");
	const char *gap = currency[0] == '\0' ? "" : " ";

	if (strlen(currency) > ID_MAX_BYTES)
		currency = gap = "";
	if (from > 0 && to > 0)
		return arena_printf(arena, "%" PRId64 "-%" PRId64 "%s%s", from, to, gap, currency);
	if (from > 0)
		return arena_printf(arena, "from %" PRId64 "%s%s", from, gap, currency);
	if (to > 0)
		return arena_printf(arena, "to %" PRId64 "%s%s", to, gap, currency);
	return NULL;
}

static const char *pay(const json_t *vacancy, struct arena *arena)
{
	const char *salary = salary_of(json_object_get(vacancy, "salary"), arena);

	return salary != NULL ? salary : salary_of(json_object_get(vacancy, "salary_range"), arena);
}

/* --- a vacancy
 * ------------------------------------------------------------------------------------ */

static int read_skills(const json_t *vacancy, struct arena *arena, struct strs *out)
{
	const json_t *list = json_object_get(vacancy, "key_skills");
	const size_t size = json_array_size(list);
	const char **skills =
		arena_array(arena, size < SKILLS_MAX ? size : SKILLS_MAX, sizeof(*skills));
	size_t count = 0;
	size_t i;
	json_t *skill;

	if (skills == NULL)
		return -ENOMEM;
	json_array_foreach(list, i, skill)
	{
		const char *name = line(hh_text(skill, "name"), LINE_MAX_CHARS, arena);

		if (name != NULL && count < SKILLS_MAX)
			skills[count++] = name;
	}
	*out = (struct strs){.items = skills, .count = count};
	return 0;
}

/* A search shows two lines of a vacancy's text. */
static const char *snippet(const json_t *vacancy, struct arena *arena)
{
	const json_t *lines = json_object_get(vacancy, "snippet");
	const char *requirement =
		hh_html_snippet(hh_text(lines, "requirement"), DESCRIPTION_MAX_CHARS / 2, arena);
	const char *responsibility = hh_html_snippet(hh_text(lines, "responsibility"),
						     DESCRIPTION_MAX_CHARS / 2 - 1, arena);

	if (requirement == NULL || responsibility == NULL)
		return NULL;
	if (requirement[0] == '\0' || responsibility[0] == '\0')
		return requirement[0] == '\0' ? responsibility : requirement;
	return arena_printf(arena, "%s\n%s", requirement, responsibility);
}

static const char *title_of(const json_t *vacancy, const char *id, struct arena *arena)
{
	const char *name = hh_html_unmark(hh_text(vacancy, "name"), arena);
	const char *title = name == NULL ? NULL : line(name, LINE_MAX_CHARS, arena);

	/* Users read it next to HH's own titles, which are Russian. */
	return title != NULL ? title : arena_printf(arena, "Вакансия %s", id);
}

static void read_employer(const json_t *vacancy, struct arena *arena, struct job *job)
{
	const json_t *employer = json_object_get(vacancy, "employer");

	job->company = line(hh_text(employer, "name"), LINE_MAX_CHARS, arena);
	job->employer_id = id_of(employer, arena); /* an anonymous employer has none */
}

/* What a search and the details have in common. -EBADMSG: no vacancy. */
static int read_vacancy(const json_t *vacancy, struct arena *arena, struct job *job)
{
	const char *url = hh_text(vacancy, "alternate_url");

	*job = (struct job){.id = id_of(vacancy, arena)};
	if (job->id == NULL)
		return -EBADMSG;
	job->hh_vacancy_id = job->id;
	job->title = title_of(vacancy, job->id, arena);
	job->salary = pay(vacancy, arena);
	job->area = line(hh_text(json_object_get(vacancy, "area"), "name"), LINE_MAX_CHARS, arena);
	if (utf8_prefix(url, URL_MAX_CHARS) == strlen(url)) /* half an address is none */
		job->url = line(url, URL_MAX_CHARS, arena);
	job->has_test = truth(vacancy, "has_test");
	job->test_required = truth(json_object_get(vacancy, "test"), "required");
	job->published_at = hh_vacancy_time(hh_text(vacancy, "published_at"), arena);
	job->archived = truth(vacancy, "archived");
	read_employer(vacancy, arena, job);
	if (job->title == NULL)
		return -ENOMEM;
	return read_skills(vacancy, arena, &job->skills);
}

int hh_vacancy_details(const json_t *body, struct arena *arena, struct job *out)
{
	int rc = read_vacancy(body, arena, out);

	if (rc < 0)
		return rc;
	out->description = hh_html_text(hh_text(body, "description"), DESCRIPTION_MAX_CHARS, arena);
	out->full_description_loaded = true;
	return out->description == NULL ? -ENOMEM : 0;
}

/* --- a page
 * --------------------------------------------------------------------------------------- */

static int read_items(const json_t *items, struct arena *arena, struct job *jobs, size_t *count)
{
	size_t i;
	json_t *item;

	*count = 0;
	json_array_foreach(items, i, item)
	{
		struct job *job = &jobs[*count];
		int rc = *count < ITEMS_MAX ? read_vacancy(item, arena, job) : -EBADMSG;

		if (rc == -EBADMSG)
			continue; /* the others are none the worse for it */
		if (rc < 0)
			return rc;
		job->description = snippet(item, arena);
		if (job->description == NULL)
			return -ENOMEM;
		(*count)++;
	}
	return 0;
}

static int64_t number(const json_t *object, const char *key, int64_t fallback)
{
	const json_t *value = json_object_get(object, key);
	double n = json_number_value(value);

	if (!json_is_number(value) || n < 0 || n > AMOUNT_MAX)
		return fallback;
	return (int64_t)n;
}

static int64_t lesser(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int hh_vacancy_page(const json_t *body, int64_t page, int64_t per_page, struct arena *arena,
		    struct jobs_page *out)
{
	const json_t *items = json_object_get(body, "items");
	struct job *jobs;
	size_t count = 0;
	int rc;

	if (!json_is_array(items))
		return -EBADMSG;
	jobs = arena_array(arena, ITEMS_MAX + 1, sizeof(*jobs));
	if (jobs == NULL)
		return -ENOMEM;
	rc = read_items(items, arena, jobs, &count);
	if (rc < 0)
		return rc;
	*out = (struct jobs_page){
		.found = number(body, "found", (int64_t)count),
		.page = page,
		.pages = number(body, "pages", count > 0 ? page + 1 : 0),
	};
	out->pages = lesser(out->pages, HH_DEPTH / per_page);
	out->jobs.items = jobs;
	out->jobs.count = count;
	return 0;
}
