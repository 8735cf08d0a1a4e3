/* settings.c - settings.def, .env, and secrets that leave the environment; see settings.h. */
#include "base/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rate_limits.h"

#define TEXT   SETTING_TEXT
#define INT    SETTING_INT
#define REAL   SETTING_REAL
#define BOOL   SETTING_BOOL
#define URL    SETTING_URL
#define SECRET SETTING_SECRET

const struct setting settings_table[SETTING_COUNT] = {
#define SETTING(name, type, fallback, min, max, flags, help)                                       \
	{#name, type, fallback, min, max, flags, help},
#include "base/settings.def"
#undef SETTING
};

const char *setting_text_by_id(enum setting_id id)
{
	const char *value = getenv(settings_table[id].name);

	return value != NULL && value[0] != '\0' ? value : settings_table[id].fallback;
}

int64_t setting_int_by_id(enum setting_id id)
{
	const char *value = setting_text_by_id(id);

	return value == NULL ? 0 : strtoll(value, NULL, 10);
}

double setting_real_by_id(enum setting_id id)
{
	const char *value = setting_text_by_id(id);

	return value == NULL ? 0 : strtod(value, NULL);
}

static bool is_true(const char *value)
{
	return strcasecmp(value, "true") == 0 || strcasecmp(value, "on") == 0 ||
	       strcmp(value, "1") == 0;
}

bool setting_bool_by_id(enum setting_id id)
{
	const char *value = setting_text_by_id(id);

	return value != NULL && is_true(value);
}

const struct setting *setting_find(const char *name)
{
	for (size_t i = 0; i < SETTING_COUNT; i++)
		if (strcmp(settings_table[i].name, name) == 0)
			return &settings_table[i];
	return NULL;
}

static const char *number_problem(const struct setting *s, const char *value)
{
	char *end;
	double number = strtod(value, &end);

	if (end == value || *end != '\0')
		return "is not a number";
	if (s->type == SETTING_INT && strspn(value, "0123456789") != strlen(value))
		return "is not a whole number";
	if (!(number >= s->min && number <= s->max))
		return "is out of range";
	return NULL;
}

/* http:// or https://, then a host: the rest is read by those who use it. */
static const char *url_problem(const char *value)
{
	const char *host = strstr(value, "://");

	if (strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0)
		return "is not an http:// or https:// URL";
	host += 3;
	if (strcspn(host, ":/?#") == 0 || strpbrk(host, " \"<>\\^`{|}") != NULL)
		return "is not a URL with a host";
	return NULL;
}

static bool has_control_characters(const char *value)
{
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return true;
	return false;
}

static const char *problem(const struct setting *s, const char *value)
{
	size_t len = strlen(value);

	if (has_control_characters(value)) /* most go into headers of HTTP */
		return "has a line's end or another control character in it";

	switch (s->type) {
	case SETTING_INT:
	case SETTING_REAL:
		return number_problem(s, value);
	case SETTING_BOOL:
		return is_true(value) || strcasecmp(value, "false") == 0 ||
				       strcasecmp(value, "off") == 0 || strcmp(value, "0") == 0
			       ? NULL
			       : "is neither true nor false";
	case SETTING_URL:
		if (url_problem(value) != NULL)
			return url_problem(value);
		break;
	case SETTING_TEXT:
		break;
	}
	if ((double)len < s->min)
		return "is too short";
	if ((double)len > s->max)
		return "is too long";
	return NULL;
}

static int check_one(const struct setting *s, FILE *errors)
{
	const char *value = getenv(s->name);
	const char *wrong = value == NULL || value[0] == '\0' ? NULL : problem(s, value);

	if (wrong == NULL)
		return 0;
	if (s->flags & SETTING_SECRET)
		(void)fprintf(errors, "%s %s (%g to %g characters): %s\n", s->name, wrong, s->min,
			      s->max, s->help);
	else
		(void)fprintf(errors, "%s=%s %s (%g to %g): %s\n", s->name, value, wrong, s->min,
			      s->max, s->help);
	return 1;
}

static int demand(bool met, const char *what, FILE *errors)
{
	if (!met)
		(void)fprintf(errors, "%s\n", what);
	return met ? 0 : 1;
}

/* As libpq sees it; whether the database is there is another matter. */
static bool database_url_is_plausible(const char *url)
{
	if (url == NULL) /* said elsewhere */
		return true;
	return strstr(url, "://") == NULL ? strchr(url, '=') != NULL
					  : strncmp(url, "postgresql://", 13) == 0 ||
						    strncmp(url, "postgres://", 11) == 0;
}

static bool address_is_plausible(const char *address)
{
	struct in_addr ignored;

	return inet_pton(AF_INET, address, &ignored) == 1;
}

int settings_check(FILE *errors)
{
	bool id = setting_text(HH_CLIENT_ID) != NULL;
	bool secret = setting_text(HH_CLIENT_SECRET) != NULL;
	const char *limits = rate_limits_problem(setting_text(RATE_LIMITS));
	int wrong = 0;

	for (size_t i = 0; i < SETTING_COUNT; i++)
		wrong += check_one(&settings_table[i], errors);
	wrong += demand(setting_text(DATABASE_URL) != NULL, "DATABASE_URL is not set", errors);
	wrong += demand(database_url_is_plausible(setting_text(DATABASE_URL)),
			"DATABASE_URL is neither postgresql://user:password@host/name nor libpq's "
			"host=... dbname=...",
			errors);
	wrong += demand(address_is_plausible(setting_text(BIND_ADDRESS)),
			"BIND_ADDRESS is not an IPv4 address", errors);
	wrong += demand(setting_text(ORCHESTRATOR_SECRET) != NULL,
			"ORCHESTRATOR_SECRET is not set: make one with ugtj gen-secret", errors);
	wrong += demand(id == secret, "HH_CLIENT_ID and HH_CLIENT_SECRET go together", errors);
	wrong += demand(!id || setting_text(ENCRYPTION_KEY) != NULL,
			"ENCRYPTION_KEY is not set: HH's tokens are kept encrypted", errors);
	wrong += demand(
		setting_text(HH_REDIRECT_URI) == NULL || setting_text(SECRET_KEY_BASE) != NULL,
		"SECRET_KEY_BASE is not set: it signs the sessions of those who log in", errors);
	wrong += demand(id || setting_text(HH_ACCESS_TOKEN) != NULL,
			"neither HH_ACCESS_TOKEN nor HH_CLIENT_ID is set: HH answers anonymous "
			"searches with a captcha",
			errors);
	wrong += demand(log_level_parse(setting_text(LOG_LEVEL)) >= 0,
			"LOG_LEVEL is none of debug, info, warn, error", errors);
	if (limits != NULL)
		(void)fprintf(errors, "RATE_LIMITS=%s %s\n", setting_text(RATE_LIMITS), limits);
	wrong += limits != NULL;
	return wrong;
}

/* Cuts blanks and one pair of quotes off value, in place. */
static char *unquote(char *value)
{
	size_t len;

	value += strspn(value, " \t");
	len = strlen(value);
	while (len > 0 && strchr(" \t\r\n", value[len - 1]) != NULL)
		value[--len] = '\0';
	if (len >= 2 && (value[0] == '"' || value[0] == '\'') && value[len - 1] == value[0]) {
		value[len - 1] = '\0';
		value++;
	}
	return value;
}

/* Puts one line of an env file into the environment. Returns NULL or what is wrong with it. */
static const char *read_env_line(char *line)
{
	char *name = line + strspn(line, " \t\r\n");
	char *equals;

	if (*name == '\0' || *name == '#')
		return NULL;
	if (strncmp(name, "export ", 7) == 0)
		name += 7;
	equals = strchr(name, '=');
	if (equals == NULL || equals == name)
		return "is not NAME=value";
	*equals = '\0';
	if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") !=
	    strlen(name))
		return "has a name with other characters than letters, digits and _";
	return setenv(name, unquote(equals + 1), 0) == 0 ? NULL : "could not be kept";
}

int settings_read_file(const char *path, FILE *errors)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	int number = 0;
	int rc = 0;

	if (file == NULL)
		return errno == ENOENT ? 0 : -errno;
	while (getline(&line, &room, file) >= 0) {
		const char *wrong = read_env_line(line);

		number++;
		if (wrong != NULL) {
			(void)fprintf(errors, "%s:%d %s\n", path, number, wrong);
			rc = -EINVAL;
		}
	}
	if (ferror(file))
		rc = -EIO;
	free(line);
	(void)fclose(file);
	return rc;
}

/* NAME=value of a setting in memory, 0 when it is no secret or not set. */
static size_t secret_size(const struct setting *s)
{
	const char *value = s->flags & SETTING_SECRET ? getenv(s->name) : NULL;

	return value == NULL ? 0 : strlen(s->name) + strlen(value) + 2;
}

int settings_hide_secrets(void)
{
	size_t size = 0;
	char *place;

	for (size_t i = 0; i < SETTING_COUNT; i++)
		size += secret_size(&settings_table[i]);
	if (size == 0)
		return 0;
	place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (place == MAP_FAILED)
		return -errno;
	if (madvise(place, size, MADV_DONTDUMP) < 0)
		return -errno;
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		size_t len = secret_size(&settings_table[i]);
		char *old;

		if (len == 0)
			continue;
		old = getenv(settings_table[i].name);
		(void)snprintf(place, len, "%s=%s", settings_table[i].name, old);
		if (putenv(place) != 0) /* it is the environment's from now on */
			return -ENOMEM;
		explicit_bzero(old, strlen(old));
		place += len;
	}
	return 0;
}

/* FNV-1a: tells two servers on one host apart, nothing more. */
static uint32_t digest(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

char *setting_node_name(char buf[SETTING_NODE_NAME_SIZE])
{
	const char *given = setting_text(NODE_NAME);
	char host[65] = "localhost";

	if (given != NULL) {
		(void)snprintf(buf, SETTING_NODE_NAME_SIZE, "%s", given);
		return buf;
	}
	(void)gethostname(host, sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	(void)snprintf(buf, SETTING_NODE_NAME_SIZE, "%s-%08x", host, digest(setting_text(RUN_DIR)));
	return buf;
}
