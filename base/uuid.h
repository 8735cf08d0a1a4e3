/* uuid.h - UUIDs as text. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stddef.h>

#define UUID_CHARS 36
#define UUID_SIZE  (UUID_CHARS + 1)

/* Copies the len bytes at text as a UUID in its canonical form (RFC 9562: 8-4-4-4-12 hexadecimal
 * digits, lower case), ended by a NUL. Returns 0, or -EINVAL and leaves uuid as it was. */
int uuid_canonical(const char *text, size_t len, char uuid[UUID_SIZE])
	__attribute__((warn_unused_result));

#endif
