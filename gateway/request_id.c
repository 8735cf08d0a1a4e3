/* request_id.c - takes X-Request-ID, or makes one; see request_id.h. */
#include "gateway/request_id.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

static bool can_be_used(const char *given)
{
	size_t len = strlen(given);

	for (const char *c = given; *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80 || !isgraph((unsigned char)*c))
			return false;
	return len > 0 && len < REQUEST_ID_SIZE;
}

char *request_id_new(char id[REQUEST_ID_SIZE])
{
	unsigned char r[16] = {0};

	/* So few bytes always come; if not, an id that is only probably new is good enough for a
	 * log. */
	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r)) {
		const int64_t now_us = clock_mono_us();

		memcpy(r, &now_us, sizeof(now_us));
	}
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	(void)snprintf(id, REQUEST_ID_SIZE,
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0],
		       r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12],
		       r[13], r[14], r[15]);
	return id;
}

char *request_id_of(const char *given, char id[REQUEST_ID_SIZE])
{
	if (given == NULL || !can_be_used(given))
		return request_id_new(id);
	(void)snprintf(id, REQUEST_ID_SIZE, "%s", given);
	return id;
}
