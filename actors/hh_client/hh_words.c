/* hh_words.c - trims, cuts and compares, a character at a time; see hh_words.h. */
#include "actors/hh_client/hh_words.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

/* The small letter of a character of two bytes; itself where there is none of the same length. */
static uint32_t lower_wide(uint32_t c)
{
	if (c >= 0xC0 && c <= 0xDE && c != 0xD7) /* Latin with accents */
		return c + 0x20;
	if (c >= 0x410 && c <= 0x42F) /* А..Я */
		return c + 0x20;
	if (c >= 0x400 && c <= 0x40F) /* Ё and others */
		return c + 0x50;
	if ((c >= 0x460 && c <= 0x480) || (c >= 0x48A && c <= 0x4BE) || (c >= 0x4D0 && c <= 0x52E))
		return c | 1; /* letters of other languages in Cyrillic */
	return c;
}

char *hh_words_lower(const char *s)
{
	char *copy = strdup(s);

	for (unsigned char *p = (unsigned char *)copy; p != NULL && *p != '\0'; p++) {
		uint32_t c;

		if (*p >= 'A' && *p <= 'Z')
			*p = (unsigned char)(*p - 'A' + 'a');
		if ((*p & 0xE0) != 0xC0 || p[1] == '\0')
			continue;
		c = lower_wide((uint32_t)(*p & 0x1F) << 6 | (p[1] & 0x3F));
		*p = (unsigned char)(0xC0 | c >> 6);
		*++p = (unsigned char)(0x80 | (c & 0x3F));
	}
	return copy;
}

/* The bytes that white space or a control character at s takes; 0: it is something else. */
static size_t space_at(const char *s)
{
	unsigned char c = (unsigned char)*s;

	if (c != '\0' && (c <= ' ' || c == 0x7F))
		return 1;
	if (c == 0xC2 && (unsigned char)s[1] <= 0xA0)
		return 2; /* U+0080 to U+00A0, the space that does not break */
	if (strncmp(s, "\xE2\x80\x8B", 3) == 0)
		return 3; /* U+200B, which has no width */
	return 0;
}

bool hh_words_blank(const char *s)
{
	size_t space;

	while ((space = space_at(s)) > 0)
		s += space;
	return *s == '\0';
}

/* Copies up to len bytes of s to out, which has room for them, as hh_words_line() says. */
static size_t one_line(const char *s, size_t len, char *out)
{
	const char *end = s + len;
	size_t n = 0;

	while (s < end && *s != '\0') {
		size_t space = space_at(s);

		if (space == 0) {
			out[n++] = *s++;
			continue;
		}
		if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
		s += space;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return n;
}

bool hh_words_same(const char *a, const char *b)
{
	char *one = hh_words_lower(a);
	char *two = hh_words_lower(b);
	bool same = false;

	if (one != NULL && two != NULL) {
		(void)one_line(one, strlen(one), one); /* never writes ahead of what it reads */
		(void)one_line(two, strlen(two), two);
		same = strcmp(one, two) == 0;
	}
	free(one);
	free(two);
	return same;
}

/* What is left of copy (taken) after cutting. */
static json_t *cut(char *copy, size_t max_chars)
{
	size_t len = utf8_prefix(copy, max_chars);
	json_t *string;

	while (len > 0 && copy[len - 1] == ' ')
		len--;
	string = len == 0 ? NULL : json_stringn(copy, len);
	free(copy);
	return string;
}

json_t *hh_words_line(const char *s, size_t len, size_t max_chars)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return NULL;
	(void)one_line(s, len, copy);
	return cut(copy, max_chars);
}

json_t *hh_words_text(const char *s, size_t max_chars)
{
	size_t space;
	size_t n = 0;
	char *copy;

	while ((space = space_at(s)) > 0)
		s += space;
	copy = malloc(strlen(s) + 1);
	if (copy == NULL)
		return NULL;
	while (*s != '\0') {
		space = space_at(s);
		copy[n++] = space > 0 && *s != '\n' ? ' ' : *s;
		s += space > 0 ? space : 1;
	}
	while (n > 0 && (copy[n - 1] == ' ' || copy[n - 1] == '\n'))
		n--;
	copy[n] = '\0';
	return cut(copy, max_chars);
}
