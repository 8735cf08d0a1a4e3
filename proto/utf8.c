/* utf8.c - UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 *
 * Nearly all of it is run on texts that are ASCII or Cyrillic, on every message: eight ASCII bytes
 * are taken at once, and two-byte characters come first.
 */
#include <stdint.h>
#include <string.h>

#include "proto/codec.h"

#define EVERY_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Whether all eight bytes are ASCII and none is NUL. */
static bool word_is_plain(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return ((word | (word - EVERY_BYTE(1))) & EVERY_BYTE(0x80)) == 0;
}

static bool is_continuation(unsigned char c)
{
	return (c & 0xC0) == 0x80;
}

/* The length of the character of more than one byte at p, 0 when there is none. */
static size_t long_char(const unsigned char *p, size_t left)
{
	if (left < 2 || !is_continuation(p[1]))
		return 0;
	if (p[0] >= 0xC2 && p[0] <= 0xDF)
		return 2;
	if (left < 3 || !is_continuation(p[2]))
		return 0;
	if ((p[0] & 0xF0) == 0xE0) {
		bool overlong = p[0] == 0xE0 && p[1] < 0xA0;
		bool surrogate = p[0] == 0xED && p[1] > 0x9F;

		return overlong || surrogate ? 0 : 3;
	}
	if (left < 4 || !is_continuation(p[3]) || p[0] < 0xF0 || p[0] > 0xF4)
		return 0;
	if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
		return 0;
	return 4;
}

bool utf8_valid(const char *s, size_t len, size_t *chars)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t count = 0;

	while (len > 0) {
		size_t step = 1;

		if (len >= 8 && word_is_plain(p)) {
			p += 8;
			len -= 8;
			count += 8;
			continue;
		}
		if (*p >= 0x80)
			step = long_char(p, len);
		else if (*p == '\0')
			step = 0;
		if (step == 0)
			return false;
		p += step;
		len -= step;
		count++;
	}
	if (chars != NULL)
		*chars = count;
	return true;
}

size_t utf8_prefix(const char *s, size_t max_chars)
{
	const unsigned char *p = (const unsigned char *)s;

	for (size_t chars = 0; *p != '\0'; p++) {
		if (!is_continuation(*p) && chars++ == max_chars)
			break;
	}
	return (size_t)(p - (const unsigned char *)s);
}
