/* report.c - lines for people, or JSON; see report.h.
 *
 * A JSON value that could not be made for lack of memory is left out of the object: jansson's
 * setters take NULL and say so, and the exit code tells the outcome in any case.
 */
#include "migrations/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int report_init(struct report *r, bool json)
{
	*r = (struct report){.json = json};
	r->errors = open_memstream(&r->errors_text, &r->errors_size);
	if (r->errors == NULL)
		return -ENOMEM;
	if (!json)
		return 0;
	r->body = json_object();
	if (r->body == NULL)
		return -ENOMEM;
	return 0;
}

static const char *word(enum migration_direction direction)
{
	return direction == MIGRATION_UP ? "up" : "down";
}

void report_steps(struct report *r)
{
	if (!r->json || r->steps != NULL)
		return;
	r->steps = json_array();
	(void)json_object_set_new(r->body, "steps", r->steps);
}

void report_step_begins(struct report *r, enum migration_direction direction,
			const struct migration *m)
{
	char label[MIGRATION_LABEL_SIZE];

	if (r->json)
		return;
	(void)printf("%-4s  %s", word(direction), migration_label(m->version, m->name, label));
	(void)fflush(stdout);
	r->line_open = true;
}

void report_step_ended(struct report *r, enum migration_direction direction,
		       const struct migration *m, int64_t duration_ms)
{
	if (!r->json) {
		(void)printf("  %" PRId64 " ms\n", duration_ms);
		(void)fflush(stdout);
		r->line_open = false;
		return;
	}
	(void)json_array_append_new(r->steps,
				    json_pack("{sI ss ss sI}", "version", (json_int_t)m->version,
					      "name", m->name, "direction", word(direction),
					      "duration_ms", (json_int_t)duration_ms));
}

static void close_line(struct report *r)
{
	if (r->line_open)
		(void)printf("\n");
	r->line_open = false;
}

void report_note(struct report *r, const char *fmt, ...)
{
	FILE *out = r->json ? stderr : stdout;
	va_list args;

	close_line(r);
	va_start(args, fmt);
	(void)vfprintf(out, fmt, args);
	va_end(args);
	(void)fputc('\n', out);
	(void)fflush(out);
}

static void add_row(json_t *rows, const struct plan_row *row)
{
	const struct applied *record = row->record;
	json_t *one = json_pack("{sI ss ss}", "version",
				(json_int_t)(record != NULL ? record->version : row->file->version),
				"name", record != NULL ? record->name : row->file->name, "state",
				plan_state_word(row->state));

	if (record != NULL) {
		(void)json_object_set_new(one, "applied_at", json_string(record->applied_at));
		(void)json_object_set_new(one, "duration_ms", json_integer(record->duration_ms));
	}
	(void)json_array_append_new(rows, one);
}

static void print_row(const struct plan_row *row)
{
	const struct applied *record = row->record;
	char label[MIGRATION_LABEL_SIZE];

	if (record == NULL) {
		(void)printf("%-7s  %s\n", plan_state_word(row->state),
			     migration_label(row->file->version, row->file->name, label));
		return;
	}
	(void)printf("%-7s  %s  %s  %" PRId64 " ms\n", plan_state_word(row->state),
		     migration_label(record->version, record->name, label), record->applied_at,
		     record->duration_ms);
}

void report_rows(struct report *r, const struct plan *p)
{
	json_t *rows = r->json ? json_array() : NULL;

	for (size_t i = 0; i < p->count; i++) {
		if (r->json)
			add_row(rows, &p->rows[i]);
		else
			print_row(&p->rows[i]);
	}
	if (r->json)
		(void)json_object_set_new(r->body, "migrations", rows);
}

void report_text(struct report *r, const char *key, const char *value)
{
	if (r->json)
		(void)json_object_set_new(r->body, key, json_string(value));
}

void report_number(struct report *r, const char *key, int64_t value)
{
	if (r->json)
		(void)json_object_set_new(r->body, key, json_integer(value));
}

/* The code in a word, for programs that read the JSON object. */
static const char *error_word(int code)
{
	switch (code) {
	case EXIT_USAGE:
		return "usage";
	case EXIT_UNAVAILABLE:
		return "unavailable";
	case EXIT_CONFIG:
		return "refused";
	default:
		return "failed";
	}
}

int report_end(struct report *r, int code)
{
	if (r->errors != NULL)
		(void)fclose(r->errors);
	close_line(r);
	if (code != EXIT_OK && r->body == NULL)
		(void)fputs(r->errors_text == NULL ? "out of memory\n" : r->errors_text, stderr);
	if (code != EXIT_OK && r->body != NULL) {
		size_t len = strlen(r->errors_text);

		while (len > 0 && r->errors_text[len - 1] == '\n')
			r->errors_text[--len] = '\0';
		report_text(r, "error", error_word(code));
		report_text(r, "message", r->errors_text);
	}
	if (r->body != NULL) {
		(void)json_dumpf(r->body, stdout, JSON_INDENT(2));
		(void)fputc('\n', stdout);
	}
	free(r->errors_text);
	json_decref(r->body);
	return code;
}
