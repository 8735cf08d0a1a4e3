/* uri.c - see uri.h. civetweb could decode too, but cuts a path at an encoded NUL and takes an
 * encoded slash for a real one. */
#include "gateway/uri.h"

#include <errno.h>
#include <string.h>

#include "base/hex.h"

/* The byte that stands at *s, which is moved behind it; -1 for broken encoding and for NUL. */
static int decode_byte(const char **s, const char *end, bool plus_is_space)
{
	int high;
	int low;

	if (**s != '%') {
		char c = *(*s)++;

		return c == '+' && plus_is_space ? ' ' : (unsigned char)c;
	}
	if (end - *s < 3)
		return -1;
	high = hex_digit((*s)[1]);
	low = hex_digit((*s)[2]);
	*s += 3;
	if (high < 0 || low < 0 || (high == 0 && low == 0))
		return -1;
	return high << 4 | low;
}

static int decode(const char *s, size_t len, bool plus_is_space, struct arena *arena,
		  const char **out)
{
	const char *end = s + len;
	char *text = arena_alloc(arena, len + 1);
	size_t n = 0;

	if (text == NULL)
		return -ENOMEM;
	while (s < end) {
		int c = decode_byte(&s, end, plus_is_space);

		if (c < 0)
			return -EINVAL;
		text[n++] = (char)c;
	}
	text[n] = '\0';
	*out = text;
	return 0;
}

static bool has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

int uri_split_path(const char *raw, struct arena *arena, struct uri_path *out)
{
	out->count = 0;
	for (;;) {
		const char *segment;
		size_t len;
		int rc;

		raw += strspn(raw, "/");
		len = strcspn(raw, "/");
		if (len == 0)
			return 0;
		if (out->count == URI_SEGMENTS_MAX)
			return -EINVAL;
		rc = decode(raw, len, false, arena, &segment);
		if (rc < 0)
			return rc;
		if (has_control(segment))
			return -EINVAL;
		out->segments[out->count++] = segment;
		raw += len;
	}
}

static int split_param(const char *raw, size_t len, struct arena *arena, struct uri_param *out)
{
	const char *equals = memchr(raw, '=', len);
	size_t name_len = equals == NULL ? len : (size_t)(equals - raw);
	int rc = decode(raw, name_len, true, arena, &out->name);

	if (rc < 0)
		return rc;
	if (equals == NULL)
		return decode("", 0, true, arena, &out->value);
	return decode(equals + 1, len - name_len - 1, true, arena, &out->value);
}

int uri_split_query(const char *raw, struct arena *arena, struct uri_query *out)
{
	out->count = 0;
	while (raw != NULL && *raw != '\0') {
		size_t len = strcspn(raw, "&");
		int rc;

		if (len > 0) {
			if (out->count == URI_PARAMS_MAX)
				return -EINVAL;
			rc = split_param(raw, len, arena, &out->params[out->count]);
			if (rc < 0)
				return rc;
			out->count++;
		}
		raw += len;
		raw += strspn(raw, "&");
	}
	return 0;
}
