/* sql_text.c - lines and columns in SQL; see sql_text.h.
 *
 * Only as much of SQL's grammar as tells where a statement ends: quotes, dollar quotes, comments.
 * The body of a BEGIN ATOMIC function counts as several statements; a line number is then too
 * small, which costs a look and no more.
 */
#include "migrations/sql_text.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

int sql_line_of_position(const char *text, size_t position)
{
	size_t seen = 0;
	int line = 1;

	for (const char *c = text; *c != '\0'; c++) {
		if (((unsigned char)*c & 0xC0) != 0x80 && ++seen >= position)
			break;
		if (*c == '\n')
			line++;
	}
	return line;
}

/* Past a quoted piece: s stands on its opening quote. Doubled quotes need no care, since they open
 * the next piece at once; with backslashes one may stand before a quote. */
static const char *skip_quoted(const char *s, bool backslashes)
{
	char quote = *s++;

	while (*s != '\0' && *s != quote) {
		if (backslashes && *s == '\\' && s[1] != '\0')
			s++;
		s++;
	}
	return *s == '\0' ? s : s + 1;
}

/* Past a comment of slash and star, which nests in PostgreSQL: s stands on its opening. */
static const char *skip_block_comment(const char *s)
{
	int depth = 0;

	do {
		if (s[0] == '/' && s[1] == '*') {
			depth++;
			s += 2;
		} else if (s[0] == '*' && s[1] == '/') {
			depth--;
			s += 2;
		} else {
			s++;
		}
	} while (depth > 0 && *s != '\0');
	return s;
}

/* Past $tag$ ... $tag$, or past the dollar when it opens no such quote. */
static const char *skip_dollar(const char *s)
{
	size_t tag = 1;
	const char *end;

	while (isalnum((unsigned char)s[tag]) || s[tag] == '_')
		tag++;
	if (s[tag] != '$' || isdigit((unsigned char)s[1]))
		return s + 1;
	tag++;
	for (end = s + tag; *end != '\0'; end++)
		if (strncmp(end, s, tag) == 0)
			return end + tag;
	return end;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || ((unsigned char)c & 0x80) != 0;
}

/* Past what stands at s: a blank, a comment, a quoted piece, a word or one character. */
static const char *skip_token(const char *s, bool *blank)
{
	*blank = true;
	if (isspace((unsigned char)*s))
		return s + 1;
	if (s[0] == '-' && s[1] == '-')
		return s + strcspn(s, "\n");
	if (s[0] == '/' && s[1] == '*')
		return skip_block_comment(s);

	*blank = false;
	if ((*s == 'e' || *s == 'E') && s[1] == '\'')
		return skip_quoted(s + 1, true);
	if (*s == '\'' || *s == '"')
		return skip_quoted(s, false);
	if (*s == '$')
		return skip_dollar(s);
	if (!is_word(*s))
		return s + 1;
	while (is_word(*s) || *s == '$')
		s++;
	return s;
}

static int line_at(const char *text, const char *s)
{
	int line = 1;

	for (; text < s; text++)
		if (*text == '\n')
			line++;
	return line;
}

int sql_line_of_statement(const char *text, size_t index)
{
	const char *s = text;
	bool inside = false;

	while (*s != '\0') {
		bool blank;
		const char *token = s;

		s = skip_token(s, &blank);
		if (*token == ';') {
			inside = false;
		} else if (!blank && !inside) {
			inside = true;
			if (index-- == 0)
				return line_at(text, token);
		}
	}
	return line_at(text, s);
}
