/* child_env.c - what a child finds in its environment. See node.h.
 *
 * The settings are the parent's; the secrets among them only where the child spec names them. What
 * systemd said to the parent alone is left out: a child must not answer for it.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/settings.h"

static const char *const not_for_children[] = {
	"NOTIFY_SOCKET",	"WATCHDOG_PID",	      "WATCHDOG_USEC",	  CONTROL_ENV_NAME,
	CONTROL_ENV_GENERATION, CONTROL_ENV_ARGUMENT, CONTROL_ENV_ZYGOTE,
};

static bool is_named(const char *entry, const char *name)
{
	size_t len = strlen(name);

	return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static bool may_have_secret(const struct child_spec *spec, const char *name)
{
	for (size_t i = 0; i < SPEC_SECRETS_MAX && spec->secrets[i] != NULL; i++)
		if (strcmp(spec->secrets[i], name) == 0)
			return true;
	return false;
}

static bool is_for(const struct child_spec *spec, const char *entry)
{
	for (size_t i = 0; i < sizeof(not_for_children) / sizeof(not_for_children[0]); i++)
		if (is_named(entry, not_for_children[i]))
			return false;
	for (size_t i = 0; i < SETTING_COUNT; i++)
		if ((settings_table[i].flags & SETTING_SECRET) != 0 &&
		    is_named(entry, settings_table[i].name))
			return may_have_secret(spec, settings_table[i].name);
	return true;
}

static size_t environ_count(void)
{
	size_t n = 0;

	while (environ != NULL && environ[n] != NULL)
		n++;
	return n;
}

/* "NAME=value" from malloc, or NULL. */
static char *entry_new(const char *name, const char *value)
{
	char *entry = NULL;

	return asprintf(&entry, "%s=%s", name, value) < 0 ? NULL : entry;
}

/* Puts an entry at the end of a block that has room for it. Returns 0 or -ENOMEM. */
static int add(char **env, size_t *n, char *entry)
{
	env[*n] = entry;
	return env[(*n)++] == NULL ? -ENOMEM : 0;
}

/* What the treaty promises. */
static int add_treaty(char **env, size_t *n, const char *name, uint64_t generation)
{
	const char *argument = name == NULL ? NULL : strchr(name, ':');
	char number[24];
	int rc;

	if (name == NULL) {
		rc = add(env, n, entry_new(CONTROL_ENV_ZYGOTE, "1"));
		return rc < 0 ? rc
			      : add(env, n,
				    entry_new("LD_BIND_NOW", "1")); /* once for all copies */
	}
	(void)snprintf(number, sizeof(number), "%" PRIu64, generation);
	rc = add(env, n, entry_new(CONTROL_ENV_NAME, name));
	if (rc == 0)
		rc = add(env, n, entry_new(CONTROL_ENV_GENERATION, number));
	if (rc == 0 && argument != NULL)
		rc = add(env, n, entry_new(CONTROL_ENV_ARGUMENT, argument + 1));
	return rc;
}

int child_env_new(const struct child_spec *spec, const char *name, uint64_t generation, char ***out)
{
	char **env = calloc(environ_count() + 4, sizeof(*env));
	size_t n = 0;
	int rc = env == NULL ? -ENOMEM : add_treaty(env, &n, name, generation);

	for (size_t i = 0; rc == 0 && i < environ_count(); i++)
		if (is_for(spec, environ[i]))
			rc = add(env, &n, strdup(environ[i]));
	if (rc < 0)
		child_env_free(&env);
	else
		*out = env;
	return rc;
}

void child_env_free(char ***env)
{
	if (*env == NULL)
		return;
	for (size_t i = 0; (*env)[i] != NULL; i++)
		free((*env)[i]);
	free(*env);
	*env = NULL;
}
