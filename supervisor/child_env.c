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
	"NOTIFY_SOCKET",  "WATCHDOG_PID",	  "WATCHDOG_USEC",
	CONTROL_ENV_NAME, CONTROL_ENV_GENERATION, CONTROL_ENV_ARGUMENT,
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

int child_env_new(const struct child_spec *spec, const char *name, uint64_t generation, char ***out)
{
	const char *argument = strchr(name, ':');
	char **env = calloc(environ_count() + 4, sizeof(*env));
	char number[24];
	size_t n = 0;
	int rc = -ENOMEM;

	if (env == NULL)
		goto out;
	(void)snprintf(number, sizeof(number), "%" PRIu64, generation);
	env[n] = entry_new(CONTROL_ENV_NAME, name);
	if (env[n++] == NULL)
		goto out;
	env[n] = entry_new(CONTROL_ENV_GENERATION, number);
	if (env[n++] == NULL)
		goto out;
	if (argument != NULL) {
		env[n] = entry_new(CONTROL_ENV_ARGUMENT, argument + 1);
		if (env[n++] == NULL)
			goto out;
	}
	for (size_t i = 0; i < environ_count(); i++) {
		if (!is_for(spec, environ[i]))
			continue;
		env[n] = strdup(environ[i]);
		if (env[n++] == NULL)
			goto out;
	}
	*out = env;
	env = NULL;
	rc = 0;
out:
	child_env_free(&env);
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
