/* hh_html.h - a vacancy's HTML as plain text. Pure. */
#ifndef HH_CLIENT_HH_HTML_H
#define HH_CLIENT_HH_HTML_H

#include <stddef.h>

#include "base/arena.h"

#define HH_HTML_MAX_BYTES ((size_t)256 * 1024)

/* Gives html's text in arena, NULL when out of memory. Paragraphs, headings and lists become lines
 * with blank lines between them, list items start with "- ", white space is collapsed, entities
 * become their characters; scripts, styles and comments vanish. At most max_chars code points are
 * given, HH_HTML_MAX_BYTES of html are read, and none of it beyond 200 elements within each other.
 * html must be UTF-8. */
const char *hh_html_text(const char *html, size_t max_chars, struct arena *arena);

/* hh_html_text() of a line of a search's snippet, which is mostly plain but for <highlighttext>. */
const char *hh_html_snippet(const char *html, size_t max_chars, struct arena *arena);

/* Copies s without <highlighttext>, the marks that HH puts around what was searched. NULL when out
 * of memory. */
char *hh_html_unmark(const char *s, struct arena *arena);

#endif
