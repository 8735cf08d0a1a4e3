/* plan.c - compares files and records; see plan.h. */
#include "migrations/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *plan_state_word(enum plan_state state)
{
	switch (state) {
	case PLAN_APPLIED:
		return "applied";
	case PLAN_PENDING:
		return "pending";
	case PLAN_CHANGED:
		return "changed";
	case PLAN_MISSING:
		break;
	}
	return "missing";
}

static enum plan_state state_of(const struct migration *file, const struct applied *record)
{
	if (record == NULL)
		return PLAN_PENDING;
	if (file == NULL)
		return PLAN_MISSING;
	return strcmp(file->name, record->name) == 0 &&
			       strcmp(file->checksum, record->checksum) == 0
		       ? PLAN_APPLIED
		       : PLAN_CHANGED;
}

int plan_init(const struct migration_set *files, const struct applied_list *records,
	      struct plan *out)
{
	size_t room = files->count + records->count;
	struct plan p = {.rows = calloc(room + 1, sizeof(*p.rows)),
			 .steps = calloc(room + 1, sizeof(void *))};
	size_t f = 0;
	size_t r = 0;

	if (p.rows == NULL || p.steps == NULL) {
		plan_fini(&p);
		return -ENOMEM;
	}
	while (f < files->count || r < records->count) {
		const struct migration *file = f < files->count ? &files->items[f] : NULL;
		const struct applied *record = r < records->count ? &records->items[r] : NULL;

		if (file != NULL && record != NULL && file->version < record->version)
			record = NULL;
		else if (file != NULL && record != NULL && file->version > record->version)
			file = NULL;
		f += file != NULL;
		r += record != NULL;
		p.rows[p.count++] = (struct plan_row){state_of(file, record), file, record};
	}
	*out = p;
	return 0;
}

static int complain_changed(const struct plan_row *row, FILE *errors)
{
	char was[MIGRATION_LABEL_SIZE];
	char file[MIGRATION_FILE_SIZE];

	migration_label(row->record->version, row->record->name, was);
	migration_file(row->file, MIGRATION_UP, file);
	if (strcmp(row->file->name, row->record->name) != 0)
		(void)fprintf(errors,
			      "%s has the number of %s, which was applied at %s: give the new one "
			      "the next number and restore the old one\n",
			      file, was, row->record->applied_at);
	else
		(void)fprintf(errors,
			      "%s has changed since it was applied at %s: restore the file and put "
			      "the change into a new one (ugtj migration new NAME); while it is "
			      "not released, undo and repeat it (ugtj rollback, ugtj migrate)\n",
			      file, row->record->applied_at);
	return 1;
}

static int complain_missing(const struct plan_row *row, FILE *errors)
{
	char label[MIGRATION_LABEL_SIZE];

	(void)fprintf(errors,
		      "%s was applied at %s and its file is missing: restore it, or run the newer "
		      "program that brought it\n",
		      migration_label(row->record->version, row->record->name, label),
		      row->record->applied_at);
	return 1;
}

static int complain_skipped(const struct plan_row *row, const struct plan_row *later, FILE *errors)
{
	char label[MIGRATION_LABEL_SIZE];
	char label_later[MIGRATION_LABEL_SIZE];

	(void)fprintf(errors,
		      "%s was never applied and the later %s was: roll back to before it first "
		      "(ugtj rollback N)\n",
		      migration_label(row->file->version, row->file->name, label),
		      migration_label(later->record->version, later->record->name, label_later));
	return 1;
}

int plan_up(struct plan *p, FILE *errors)
{
	const struct plan_row *last_applied = NULL;
	int wrong = 0;

	for (size_t i = 0; i < p->count; i++)
		if (p->rows[i].record != NULL)
			last_applied = &p->rows[i];
	p->step_count = 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct plan_row *row = &p->rows[i];

		if (row->record == NULL) {
			if (last_applied != NULL && row < last_applied)
				wrong += complain_skipped(row, last_applied, errors);
			p->steps[p->step_count++] = row->file;
		} else if (row->file == NULL) {
			wrong += complain_missing(row, errors);
		} else if (row->state == PLAN_CHANGED) {
			wrong += complain_changed(row, errors);
		}
	}
	return wrong;
}

int plan_down(struct plan *p, int64_t how_many, FILE *errors)
{
	char file[MIGRATION_FILE_SIZE];
	int wrong = 0;

	p->step_count = 0;
	for (size_t i = p->count; i > 0 && how_many > 0; i--) {
		const struct plan_row *row = &p->rows[i - 1];

		if (row->record == NULL)
			continue;
		how_many--;
		if (row->file == NULL) {
			wrong += complain_missing(row, errors);
			continue;
		}
		if (strcmp(row->file->name, row->record->name) != 0)
			wrong += complain_changed(row, errors);
		if (!row->file->has_down) {
			(void)fprintf(errors, "%s is missing: it cannot be rolled back\n",
				      migration_file(row->file, MIGRATION_DOWN, file));
			wrong++;
		}
		p->steps[p->step_count++] = row->file;
	}
	return wrong;
}

void plan_fini(struct plan *p)
{
	free(p->rows);
	free((void *)p->steps);
	*p = (struct plan){.rows = NULL};
}
