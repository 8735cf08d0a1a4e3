/* sql_text.h - finds lines in the text of an SQL file, for messages about an error in it. */
#ifndef MIGRATIONS_SQL_TEXT_H
#define MIGRATIONS_SQL_TEXT_H

#include <stddef.h>

/* The line, from 1, of the position-th character (from 1, in UTF-8) of text: the server counts
 * characters. The last line when text is shorter. */
int sql_line_of_position(const char *text, size_t position);

/* The line, from 1, on which the index-th statement (from 0) of text begins. Empty statements do
 * not count, as with the server. The last line when there are fewer. */
int sql_line_of_statement(const char *text, size_t index);

#endif
