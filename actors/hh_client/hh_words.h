/* hh_words.h - text of people and of HH: trimming, cutting, comparing without case. Pure.
 *
 * Texts are valid UTF-8. Case is told for Latin (with accents) and Cyrillic letters.
 */
#ifndef HH_CLIENT_HH_WORDS_H
#define HH_CLIENT_HH_WORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* s in small letters, malloc'ed; NULL: no memory. */
char *hh_words_lower(const char *s);

/* Whether a and b are the same but for case and white space at their ends and in a row. False when
 * there is no memory to tell. */
bool hh_words_same(const char *a, const char *b);

/* Nothing but white space and control characters? */
bool hh_words_blank(const char *s);

/* At most max_chars of len bytes of s as a new string of jansson's, on one line: white space and
 * control characters in a row are one space, none is at the ends. NULL: no memory, or nothing is
 * left. */
json_t *hh_words_line(const char *s, size_t len, size_t max_chars);

/* The same with its lines kept: only its ends are trimmed, and other control characters are spaces.
 */
json_t *hh_words_text(const char *s, size_t max_chars);

#endif
