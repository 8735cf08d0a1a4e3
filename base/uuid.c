/* uuid.c - UUIDs read and made canonical; see uuid.h. */
#include "base/uuid.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/hex.h"

int uuid_canonical(const char *text, size_t len, char uuid[UUID_SIZE])
{
	char copy[UUID_SIZE];

	if (len != UUID_CHARS)
		return -EINVAL;
	for (size_t i = 0; i < UUID_CHARS; i++) {
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (hyphen ? text[i] != '-' : hex_digit(text[i]) < 0)
			return -EINVAL;
		copy[i] = (char)tolower((unsigned char)text[i]);
	}
	copy[UUID_CHARS] = '\0';
	memcpy(uuid, copy, sizeof(copy));
	return 0;
}
