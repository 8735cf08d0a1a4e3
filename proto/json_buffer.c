/* json_buffer.c - JSON text: numbers, escapes, growth; see json_buffer.h. */
#include "proto/json_buffer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 512

/* Whether there is room for more bytes, after making it. */
static bool reserve(struct json_buffer *b, size_t more)
{
	size_t room = b->room == 0 ? FIRST_BYTES : b->room;
	char *data;

	if (b->failed || more > SIZE_MAX / 2 - b->len)
		goto failed;
	if (b->room - b->len >= more)
		return true;
	while (room - b->len < more)
		room *= 2;
	data = realloc(b->data, room);
	if (data == NULL)
		goto failed;
	b->data = data;
	b->room = room;
	return true;
failed:
	b->failed = true;
	return false;
}

void json_buffer_raw(struct json_buffer *b, const char *s, size_t len)
{
	if (len == 0 || !reserve(b, len))
		return;
	memcpy(b->data + b->len, s, len);
	b->len += len;
}

void json_buffer_char(struct json_buffer *b, char c)
{
	if (reserve(b, 1))
		b->data[b->len++] = c;
}

/* The letter that stands for c after a backslash; 0 when c needs none, 'u' when it has no own. */
static char escape_of(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return c < 0x20 ? 'u' : 0;
	}
}

static void append_escaped(struct json_buffer *b, unsigned char c, char escape)
{
	char text[8] = {'\\', escape};

	if (escape == 'u')
		(void)snprintf(text + 2, sizeof(text) - 2, "%04x", (unsigned)c);
	json_buffer_raw(b, text, strlen(text));
}

void json_buffer_text(struct json_buffer *b, const char *s, size_t len)
{
	size_t start = 0; /* of what needs no escape */

	json_buffer_char(b, '"');
	for (size_t i = 0; i < len; i++) {
		char escape = escape_of((unsigned char)s[i]);

		if (escape == 0)
			continue;
		json_buffer_raw(b, s + start, i - start);
		append_escaped(b, (unsigned char)s[i], escape);
		start = i + 1;
	}
	json_buffer_raw(b, s + start, len - start);
	json_buffer_char(b, '"');
}

void json_buffer_value(struct json_buffer *b, const char *json, size_t len)
{
	size_t start = b->len;

	json_buffer_raw(b, json, len);
	/* In valid JSON these are only between tokens: a string has them escaped. */
	for (size_t i = start; i < b->len; i++) {
		if (b->data[i] == '\n' || b->data[i] == '\r')
			b->data[i] = ' ';
	}
}

void json_buffer_int(struct json_buffer *b, int64_t number)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRId64, number);

	json_buffer_raw(b, text, (size_t)len);
}

/* The program never calls setlocale(), so the point is a point. */
void json_buffer_real(struct json_buffer *b, double number)
{
	char text[40];
	int len = 0;

	for (int digits = 15; digits <= 17; digits++) {
		len = snprintf(text, sizeof(text), "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	json_buffer_raw(b, text, (size_t)len);
	if (strpbrk(text, ".e") == NULL)
		json_buffer_raw(b, ".0", 2);
}

char *json_buffer_take(struct json_buffer *b)
{
	char *text;

	json_buffer_char(b, '\0');
	text = b->failed ? NULL : b->data;
	if (b->failed)
		free(b->data);
	*b = (struct json_buffer){0};
	return text;
}

void json_buffer_fini(struct json_buffer *b)
{
	free(b->data);
	*b = (struct json_buffer){0};
}
