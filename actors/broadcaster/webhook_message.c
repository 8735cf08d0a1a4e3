/* webhook_message.c - a webhook's body, answer and pauses; see webhook_message.h. */
#include "actors/broadcaster/webhook_message.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define FIRST_MS      1000
#define DOUBLINGS_MAX 9 /* 512 s, more than the most */

static int set_text(json_t *to, const char *key, const json_t *value)
{
	const char *text = json_string_value(value);

	return text == NULL ? 0 : json_object_set_new(to, key, json_string(text));
}

/* One job as the BFF wants it, NULL when out of memory. job has an id and a title. */
static json_t *job_for_bff(const json_t *job, const char *user_id)
{
	static const char *const optional[] = {"company", "salary", "area", "url", "description"};
	const json_t *id = json_object_get(job, "id");
	json_t *out = json_object();
	int rc = out == NULL ? -1 : 0;

	if (rc == 0)
		rc = set_text(out, "id", id);
	if (rc == 0)
		rc = set_text(out, "externalId", id);
	if (rc == 0)
		rc = set_text(out, "title", json_object_get(job, "title"));
	for (size_t i = 0; rc == 0 && i < sizeof(optional) / sizeof(*optional); i++)
		rc = set_text(out, optional[i], json_object_get(job, optional[i]));
	if (rc == 0)
		rc = json_object_set_new(out, "source", json_string("hh.ru"));
	if (rc == 0 && user_id != NULL)
		rc = json_object_set_new(out, "userId", json_string(user_id));
	if (rc == 0)
		return out;
	json_decref(out);
	return NULL;
}

/* A job that the BFF would refuse, and all the others with it, is left out. */
static bool acceptable(const json_t *job)
{
	return json_is_string(json_object_get(job, "id")) &&
	       json_is_string(json_object_get(job, "title"));
}

static json_t *jobs_for_bff(const json_t *jobs, const char *topic)
{
	const char *user_id = strncmp(topic, "user:", 5) == 0 ? topic + 5 : NULL;
	json_t *out = json_array();
	size_t i;
	json_t *job;

	json_array_foreach(jobs, i, job)
	{
		json_t *converted;

		if (out == NULL || !acceptable(job))
			continue;
		converted = job_for_bff(job, user_id);
		if (converted == NULL || json_array_append_new(out, converted) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* A copy of the statistics without nulls; an empty object when there are none. */
static json_t *stats_for_bff(const json_t *stats)
{
	json_t *out = json_object();
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)stats, key, value) if (out != NULL && !json_is_null(value) &&
							     json_object_set(out, key, value) < 0)
	{
		json_decref(out);
		return NULL;
	}
	return out;
}

int webhook_body(const struct event *event, char **body, size_t *len)
{
	json_t *payload = json_loads(event->payload, JSON_DECODE_ANY, NULL);
	const json_t *jobs = json_object_get(payload, "jobs");
	json_t *message = NULL;
	char *text = NULL;
	int rc = -EINVAL;

	if (!json_is_array(jobs))
		goto out;
	rc = -ENOMEM;
	message = json_pack("{s:o,s:o}", "jobs", jobs_for_bff(jobs, event->topic), "stats",
			    stats_for_bff(json_object_get(payload, "stats")));
	if (message != NULL)
		text = json_dumps(message, JSON_COMPACT);
	if (text == NULL)
		goto out;
	*body = text;
	*len = strlen(text);
	rc = 0;
out:
	json_decref(message);
	json_decref(payload);
	return rc;
}

/* 401, 403, 404 and 405 speak of our settings (the secret, API_BASE_URL), not of the event: giving
 * it up would lose all events until somebody corrects them. */
enum webhook_verdict webhook_judge(int status)
{
	switch (status) {
	case 401:
	case 403:
	case 404:
	case 405:
	case 408:
	case 425:
	case 429:
		return WEBHOOK_RETRY;
	default:
		if (status >= 200 && status < 300)
			return WEBHOOK_TAKEN;
		return status >= 400 && status < 500 ? WEBHOOK_REFUSED : WEBHOOK_RETRY;
	}
}

int64_t webhook_backoff_ms(unsigned failures, uint32_t random)
{
	unsigned doublings = failures == 0 ? 0 : failures - 1;
	int64_t most = FIRST_MS << (doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX);

	if (most > WEBHOOK_BACKOFF_MAX_MS)
		most = WEBHOOK_BACKOFF_MAX_MS;
	return most - most / 2 * (int64_t)(random % 1024) / 1024;
}
