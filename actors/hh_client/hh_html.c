/* hh_html.c - the words and lines of an HTML text, without its tags; see hh_html.h.
 *
 * Employers write the HTML, by hand and with odd editors, so it is parsed by a parser of HTML:
 * libxml2's, through its SAX interface, so that no tree is built and nothing here recurses. It
 * knows the entities, and closes what is left open. It costs 4 ms of this actor's
 * start (it brings ICU along) and 25 us per kilobyte of text; nobody else links it. A tokenizer of
 * our own would be faster by microseconds that no one waits for, and be one more parser of
 * strangers' input to keep right.
 */
#include "actors/hh_client/hh_html.h"

#include <libxml/HTMLparser.h>
#include <stdbool.h>
#include <string.h>

#include "proto/codec.h"

#define INDENT_MAX 6
/* Deeper than anybody writes; the parser's time would grow with the square of it. */
#define DEPTH_MAX  200

/* What stands between the text so far and the text to come. Ordered: the greater one wins. */
enum gap { GAP_NONE, GAP_SPACE, GAP_LINE, GAP_BLANK };

struct writer {
	htmlParserCtxtPtr parser;
	int depth; /* open elements */
	char *out;
	size_t len;
	size_t room; /* without the NUL */
	size_t chars_left;
	enum gap gap;
	bool bullet;  /* an item of a list starts */
	int lists;    /* open ones */
	int silenced; /* open elements whose text is not for people */
};

/* How an element lays out. */
static const struct {
	const char *name;
	enum gap gap;
	bool silent;
} elements[] = {
	{"p", GAP_BLANK, false},      {"h1", GAP_BLANK, false},
	{"h2", GAP_BLANK, false},     {"h3", GAP_BLANK, false},
	{"h4", GAP_BLANK, false},     {"h5", GAP_BLANK, false},
	{"h6", GAP_BLANK, false},     {"table", GAP_BLANK, false},
	{"pre", GAP_BLANK, false},    {"blockquote", GAP_BLANK, false},
	{"dl", GAP_BLANK, false},     {"hr", GAP_BLANK, false},
	{"div", GAP_LINE, false},     {"tr", GAP_LINE, false},
	{"section", GAP_LINE, false}, {"article", GAP_LINE, false},
	{"dt", GAP_LINE, false},      {"dd", GAP_LINE, false},
	{"li", GAP_LINE, false},      {"td", GAP_SPACE, false},
	{"th", GAP_SPACE, false},     {"script", GAP_NONE, true},
	{"style", GAP_NONE, true},    {"head", GAP_NONE, true},
	{"title", GAP_NONE, true},    {"noscript", GAP_NONE, true},
	{"template", GAP_NONE, true}, {"iframe", GAP_NONE, true},
	{"select", GAP_NONE, true},   {"svg", GAP_NONE, true},
};

static void widen(struct writer *w, enum gap gap)
{
	if (gap > w->gap)
		w->gap = gap;
}

static void put(struct writer *w, const char *s, size_t len, size_t chars)
{
	if (len > w->room - w->len || chars > w->chars_left) {
		w->chars_left = 0; /* full: nothing more, not even what would still fit */
		return;
	}
	memcpy(w->out + w->len, s, len);
	w->len += len;
	w->chars_left -= chars;
}

/* Items of a list within a list stand two spaces further in, up to INDENT_MAX. */
static size_t indent_of(const struct writer *w)
{
	size_t indent = w->lists > 1 ? (size_t)(w->lists - 1) * 2 : 0;

	return indent < INDENT_MAX ? indent : INDENT_MAX;
}

static void put_gap(struct writer *w)
{
	static const char *const gaps[] = {"", " ", "\n", "\n\n"};

	if (w->len > 0)
		put(w, gaps[w->gap], strlen(gaps[w->gap]), strlen(gaps[w->gap]));
	if (w->bullet) {
		size_t indent = indent_of(w);

		put(w, "      ", indent, indent);
		put(w, "- ", 2, 2);
	}
	w->gap = GAP_NONE;
	w->bullet = false;
}

/* The length of white space at s: ASCII's, or a no-break space. 0: none. */
static size_t space_length(const char *s, size_t len)
{
	if (*s == ' ' || (*s >= '\t' && *s <= '\r'))
		return 1;
	return len >= 2 && memcmp(s, "\xc2\xa0", 2) == 0 ? 2 : 0;
}

static size_t word_length(const char *s, size_t len, size_t *chars)
{
	size_t n = 0;

	*chars = 0;
	while (n < len && space_length(s + n, len - n) == 0) {
		if (((unsigned char)s[n] & 0xc0) != 0x80)
			(*chars)++;
		n++;
	}
	return n;
}

static void write_text(struct writer *w, const char *s, size_t len)
{
	while (len > 0) {
		size_t chars;
		size_t n = space_length(s, len);

		if (n > 0) {
			widen(w, GAP_SPACE);
		} else {
			n = word_length(s, len, &chars);
			put_gap(w);
			put(w, s, n, chars);
		}
		s += n;
		len -= n;
	}
}

/* --- what the parser meets --- */

static void on_text(void *context, const xmlChar *s, int len)
{
	struct writer *w = context;

	if (w->silenced == 0 && w->chars_left > 0 && len > 0)
		write_text(w, (const char *)s, (size_t)len);
}

static bool is_list(const char *name)
{
	return strcmp(name, "ul") == 0 || strcmp(name, "ol") == 0;
}

/* Both ends of an element lay out alike. */
static void lay_out(struct writer *w, const char *name, int opens)
{
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++)
		if (strcmp(elements[i].name, name) == 0) {
			/* In a list lines are set solid. */
			widen(w, elements[i].gap > GAP_LINE && w->lists > 0 ? GAP_LINE
									    : elements[i].gap);
			w->silenced += elements[i].silent ? opens : 0;
			if (w->silenced < 0)
				w->silenced = 0;
			return;
		}
}

static void on_start(void *context, const xmlChar *name, const xmlChar **attributes)
{
	struct writer *w = context;
	const char *element = (const char *)name;

	(void)attributes;
	if (++w->depth > DEPTH_MAX)
		xmlStopParser(w->parser);
	if (strcmp(element, "br") == 0)
		widen(w, w->gap == GAP_LINE ? GAP_BLANK : GAP_LINE);
	else if (is_list(element))
		widen(w, w->lists++ == 0 ? GAP_BLANK : GAP_LINE);
	else
		lay_out(w, element, 1);
	if (strcmp(element, "li") == 0)
		w->bullet = true;
}

static void on_end(void *context, const xmlChar *name)
{
	struct writer *w = context;
	const char *element = (const char *)name;

	w->depth--;
	if (strcmp(element, "li") == 0)
		w->bullet = false; /* it was empty */
	if (is_list(element))
		widen(w, w->lists > 0 && --w->lists == 0 ? GAP_BLANK : GAP_LINE);
	else
		lay_out(w, element, -1);
}

/* --- the parser --- */

/* How much of html is read: whole characters only. */
static size_t readable(const char *html)
{
	size_t len = strnlen(html, HH_HTML_MAX_BYTES);

	while (len == HH_HTML_MAX_BYTES && len > 0 && ((unsigned char)html[len] & 0xc0) == 0x80)
		len--;
	return len;
}

static int parse(const char *html, size_t len, struct writer *w)
{
	htmlParserCtxtPtr parser = htmlNewParserCtxt();

	if (parser == NULL)
		return -1;
	memset(parser->sax, 0, sizeof(*parser->sax));
	parser->sax->characters = on_text;
	parser->sax->ignorableWhitespace = on_text;
	parser->sax->cdataBlock = on_text;
	parser->sax->startElement = on_start;
	parser->sax->endElement = on_end;
	parser->userData = w;
	w->parser = parser;
	/* Without functions that would build one there is no document; that the HTML is bad is
	 * nothing to stop for. */
	(void)htmlCtxtReadMemory(parser, html, (int)len, NULL, "UTF-8",
				 HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
					 HTML_PARSE_RECOVER);
	htmlFreeParserCtxt(parser);
	return 0;
}

const char *hh_html_text(const char *html, size_t max_chars, struct arena *arena)
{
	const size_t len = readable(html);
	struct writer w = {.chars_left = max_chars};

	/* Room for the worst: "<li>a" in three lists becomes a line end, the indent and "- a". */
	w.room = 2 * len + 2;
	w.out = arena_alloc(arena, w.room + 1);
	if (w.out == NULL)
		return NULL;
	if (len > 0 && parse(html, len, &w) < 0)
		return NULL;
	return w.out;
}

char *hh_html_unmark(const char *html, struct arena *arena)
{
	static const char *const marks[] = {"<highlighttext>", "</highlighttext>"};
	char *out = arena_alloc(arena, strlen(html) + 1);
	size_t len = 0;

	while (out != NULL && *html != '\0') {
		size_t skip = 0;

		for (size_t i = 0; *html == '<' && i < 2; i++)
			if (strncmp(html, marks[i], strlen(marks[i])) == 0)
				skip = strlen(marks[i]);
		if (skip == 0)
			out[len++] = *html++;
		html += skip;
	}
	return out;
}

const char *hh_html_snippet(const char *html, size_t max_chars, struct arena *arena)
{
	char *text = hh_html_unmark(html, arena);

	if (text == NULL)
		return NULL;
	if (strpbrk(text, "<&") != NULL)
		return hh_html_text(text, max_chars, arena);
	text[utf8_prefix(text, max_chars)] = '\0';
	return text;
}
