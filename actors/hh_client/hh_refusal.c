/* hh_refusal.c - tables from HH's errors to ours, and the order in which they are asked; see
 * hh_refusal.h. */
#include "actors/hh_client/hh_refusal.h"

#include <errno.h>
#include <string.h>

/* What a person is told, by the table of errors. */
static const char *const words[ERR_COUNT] = {
#define ERR(id, code, http, when) [ERR_##id] = (when),
#include "proto/errors.def"
#undef ERR
};

/* HH's errors[] by type and value, NULL is any. The first row that fits one of the entries counts. */
static const struct {
	const char *type;
	const char *value;
	enum msg_error error;
} refusals[] = {
	{"negotiations", "already_applied", ERR_ALREADY_APPLIED},
	{"negotiations", "vacancy_not_found", ERR_VACANCY_NOT_FOUND},
	{"negotiations", "resume_not_found", ERR_RESUME_NOT_AVAILABLE},
	{"negotiations", "resume_deleted", ERR_RESUME_NOT_AVAILABLE},
	{"negotiations", "limit_exceeded", ERR_LIMIT_EXCEEDED},
	{"negotiations", "overall_limit", ERR_LIMIT_EXCEEDED},
	{"negotiations", "invalid_vacancy", ERR_INVALID_VACANCY},
	{"negotiations", "archived", ERR_INVALID_VACANCY},
	{"negotiations", "test_required", ERR_TEST_REQUIRED},
	{"negotiations", "resume_visibility_conflict", ERR_RESUME_VISIBILITY_CONFLICT},
	{"negotiations", "application_denied", ERR_APPLICATION_DENIED},
	{"negotiations", "letter_required", ERR_LETTER_REQUIRED},
	{"negotiations", "empty_message", ERR_LETTER_REQUIRED},
	{"negotiations", "message_cannot_be_empty", ERR_LETTER_REQUIRED},
	{"negotiations", "too_long_message", ERR_LETTER_REFUSED},
	{"negotiations", "inappropriate_language", ERR_LETTER_REFUSED},
	{"negotiations", "inappropriate_language_message", ERR_LETTER_REFUSED},
	{"negotiations", "resource_policy_violation", ERR_LETTER_REFUSED},
	{"negotiations", "resource_policy_violation_message", ERR_LETTER_REFUSED},
	{"negotiations", "topic_not_found", ERR_NOT_FOUND},
	{"bad_argument", "letter_required", ERR_LETTER_REQUIRED},
	{"resumes", "total_limit_exceeded", ERR_RESUMES_FULL},
	{"resumes", "touch_limit_exceeded", ERR_RATE_LIMITED},
	{"not_suitable_vacancy", NULL, ERR_INVALID_VACANCY},
	{"bad_json_data", NULL, ERR_BAD_ARGUMENTS},
};

/* What HH gives no name to and says in words only. */
static const struct {
	const char *part;
	enum msg_error error;
} phrases[] = {
	{"letter required", ERR_LETTER_REQUIRED},
	{"enable_applicant_visibility_in_country", ERR_CONSENT_REQUIRED},
	{"required_applicant_visibility_id", ERR_CONSENT_REQUIRED},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

bool hh_names(const json_t *json, const char *type, const char *value)
{
	const json_t *errors = json_object_get(json, "errors");
	size_t i;
	json_t *error;

	json_array_foreach(errors, i, error)
	{
		if (strcmp(hh_text(error, "type"), type) == 0 &&
		    (value == NULL || strcmp(hh_text(error, "value"), value) == 0))
			return true;
	}
	return false;
}

static struct hh_judgement refused(enum msg_error error)
{
	return (struct hh_judgement){
		.verdict = HH_GIVE_UP, .health = HH_ALIVE, .error = error, .why = words[error]};
}

/* Whether HH says part, in its description, in one of errors[], or as an error's value. */
static bool says(const json_t *json, const char *part)
{
	const json_t *errors = json_object_get(json, "errors");
	size_t i;
	json_t *error;

	if (strcasestr(hh_text(json, "description"), part) != NULL)
		return true;
	json_array_foreach(errors, i, error)
	{
		if (strcasestr(hh_text(error, "description"), part) != NULL ||
		    strcasestr(hh_text(error, "value"), part) != NULL)
			return true;
	}
	return false;
}

static enum msg_error by_name(const json_t *json, enum hh_purpose purpose)
{
	for (size_t i = 0; i < COUNT(refusals); i++)
		if (hh_names(json, refusals[i].type, refusals[i].value))
			return refusals[i].error;
	if (purpose != HH_APPLYING)
		return ERR_NONE;
	for (size_t i = 0; i < COUNT(phrases); i++)
		if (says(json, phrases[i].part))
			return phrases[i].error;
	if (hh_names(json, "bad_argument", "message"))
		return ERR_LETTER_REFUSED;
	return hh_names(json, "negotiations", NULL) ? ERR_APPLICATION_DENIED : ERR_NONE;
}

/* HH knows the token and does not take it for this. */
static bool judge_standing(const json_t *json, struct hh_judgement *out)
{
	if (hh_names(json, "oauth", "application_not_found") || hh_names(json, "forbidden", NULL)) {
		*out = refused(ERR_HH_CLOSED);
		return true;
	}
	if (hh_names(json, "oauth", "user_auth_expected") ||
	    hh_names(json, "oauth", "application_auth_expected")) {
		*out = refused(ERR_HH_LOGIN_REQUIRED);
		return true;
	}
	return false;
}

/* What is left is told apart by the status, unless it is ours: not for the person to mend. */
static enum msg_error by_status(long status, enum hh_purpose purpose, enum msg_error general,
				bool ours)
{
	if (ours || (general != ERR_HH_REFUSED && general != ERR_NOT_FOUND))
		return general;
	if (purpose == HH_APPLYING && status == 404)
		return ERR_VACANCY_NOT_FOUND;
	if (purpose == HH_APPLYING && status == 403)
		return ERR_APPLICATION_DENIED;
	if (purpose != HH_READING && (status == 400 || status == 409 || status == 422))
		return ERR_BAD_ARGUMENTS;
	return general;
}

struct hh_judgement hh_judge_personal(const struct hh_reply *reply, enum hh_purpose purpose)
{
	const struct hh_judgement general = hh_judge(reply);
	struct hh_judgement own;
	enum msg_error error;

	if (reply->curl != CURLE_OK || reply->too_large)
		return general;
	if ((purpose != HH_READING && reply->status >= 200 && reply->status < 300) ||
	    (purpose == HH_APPLYING && reply->status == 303))
		return (struct hh_judgement){.verdict = HH_DONE, .health = HH_ALIVE, .why = ""};
	if (general.verdict == HH_DONE || general.error == ERR_HH_CAPTCHA)
		return general;
	error = by_name(reply->json, purpose);
	if (error != ERR_NONE)
		return refused(error);
	if (judge_standing(reply->json, &own))
		return own;
	/* HH names what is wrong with a token. A 401 that does not is a proxy's, or a bad moment. */
	if (general.verdict == HH_BAD_TOKEN && !hh_names(reply->json, "oauth", NULL))
		return (struct hh_judgement){.verdict = HH_TRY_AGAIN,
					     .health = HH_ALIVE,
					     .error = ERR_UNAVAILABLE,
					     .why = "HH says 401, and not what is wrong"};
	if (general.verdict == HH_BAD_TOKEN) {
		own = refused(ERR_HH_LOGIN_REQUIRED);
		own.verdict = HH_BAD_TOKEN;
		return own;
	}
	error = by_status(reply->status, purpose, general.error,
			  hh_names(reply->json, "bad_user_agent", NULL));
	return error == general.error ? general : refused(error);
}

int hh_location_id(const char *location, char *id, size_t size)
{
	size_t len = strcspn(location, "?#");
	size_t start;

	while (len > 0 && location[len - 1] == '/')
		len--;
	for (start = len; start > 0 && location[start - 1] != '/'; start--)
		;
	if (start == 0 || len == start || len - start >= size)
		return -EINVAL;
	for (size_t i = start; i < len; i++)
		if (strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_",
			   location[i]) == NULL)
			return -EINVAL;
	memcpy(id, location + start, len - start);
	id[len - start] = '\0';
	return 0;
}
