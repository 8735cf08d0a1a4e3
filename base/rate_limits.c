/* rate_limits.c - reads RATE_LIMITS; see rate_limits.h. */
#include "base/rate_limits.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/settings.h"

#define BLANKS	   " \t"
#define NAME_MAX   64
#define NUMBER_MAX 1000000

struct entry {
	const char *name;
	size_t name_len;
	struct rate_limit limit;
};

/* Reads a number and the character that must follow it: stop, or with stop '\0' the word's end. */
static bool read_number(const char **at, char stop, int64_t *out)
{
	char *end;
	long long number;

	if (!isdigit((unsigned char)**at))
		return false;
	number = strtoll(*at, &end, 10);
	if (number < 1 || number > NUMBER_MAX)
		return false;
	if (stop == '\0' ? *end != '\0' && strchr(BLANKS, *end) == NULL : *end != stop)
		return false;
	*at = stop == '\0' ? end : end + 1;
	*out = number;
	return true;
}

/* Reads the next entry of a list and moves *at behind it. Returns 1, 0 at the end, -1 when it is
 * none. */
static int next_entry(const char **at, struct entry *entry)
{
	const char *equals;

	*at += strspn(*at, BLANKS);
	if (**at == '\0')
		return 0;
	entry->name = *at;
	entry->name_len = strcspn(*at, "=" BLANKS);
	equals = *at + entry->name_len;
	if (entry->name_len == 0 || entry->name_len > NAME_MAX || *equals != '=')
		return -1;
	*at = equals + 1;
	if (!read_number(at, '/', &entry->limit.capacity) ||
	    !read_number(at, '\0', &entry->limit.per_hour))
		return -1;
	return 1;
}

static bool is_called(const struct entry *entry, const char *name, size_t len)
{
	return entry->name_len == len && memcmp(entry->name, name, len) == 0;
}

bool rate_limit_of(const char *action, struct rate_limit *out)
{
	static const struct rate_limit application = {.capacity = 20, .per_hour = 8};
	const char *at = setting_text(RATE_LIMITS);
	struct entry entry;

	while (next_entry(&at, &entry) == 1)
		if (is_called(&entry, action, strlen(action))) {
			*out = entry.limit;
			return true;
		}
	if (strcmp(action, RATE_LIMIT_APPLICATION) != 0)
		return false;
	*out = application;
	return true;
}

const char *rate_limits_problem(const char *list)
{
	const char *at = list;
	struct entry entry;
	int rc;

	while ((rc = next_entry(&at, &entry)) == 1) {
		const char *before = list;
		struct entry other;

		while (next_entry(&before, &other) == 1 && other.name != entry.name)
			if (is_called(&other, entry.name, entry.name_len))
				return "names an action twice";
	}
	return rc == 0 ? NULL
		       : "is not a list of action=capacity/per_hour, numbers from 1 to 1000000, "
			 "with blanks between";
}
