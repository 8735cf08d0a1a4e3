/* runner.c - migrate, rollback, status and reset; see runner.h. */
#include "migrations/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/settings.h"
#include "migrations/database.h"

/* What a command works on: the files, and the database with its records. */
struct run {
	const struct runner_options *options;
	struct report *report;
	struct migration_set files;
	struct applied_list records;
	PGconn *conn;
};

static int exit_code_of(int rc)
{
	switch (rc) {
	case 0:
		return EXIT_OK;
	case -ECONNREFUSED:
	case -EBUSY:
		return EXIT_UNAVAILABLE;
	case -EIO:
	case -ENOMEM:
		return EXIT_WORLD;
	default:
		return EXIT_CONFIG; /* files or settings: trying again does not help */
	}
}

static int run_open(struct run *run)
{
	FILE *errors = run->report->errors;
	const char *url = setting_text(DATABASE_URL);
	int rc;

	if (url == NULL) {
		(void)fprintf(errors, "DATABASE_URL is not set\n");
		return -EINVAL;
	}
	rc = migration_set_load(run->options->dir, errors, &run->files);
	if (rc == 0)
		rc = database_open(url, errors, &run->conn);
	return rc;
}

/* Opens, and keeps other runners out from here on. */
static int run_open_locked(struct run *run)
{
	FILE *errors = run->report->errors;
	bool taken;
	int rc = run_open(run);

	if (rc == 0)
		rc = database_try_lock(run->conn, errors, &taken);
	if (rc == 0 && !taken) {
		report_note(run->report, "another runner is at work, waiting");
		rc = database_lock(run->conn, errors);
	}
	if (rc == 0)
		rc = database_prepare(run->conn, errors);
	return rc;
}

static void run_close(struct run *run)
{
	database_close(&run->conn);
	free(run->records.items);
	migration_set_fini(&run->files);
}

/* Reads the records anew and lays them beside the files. */
static int run_plan(struct run *run, struct plan *p)
{
	int rc;

	free(run->records.items);
	run->records = (struct applied_list){.items = NULL};
	rc = database_records(run->conn, run->report->errors, &run->records);
	if (rc == 0)
		rc = plan_init(&run->files, &run->records, p);
	return rc;
}

static int run_steps(struct run *run, const struct plan *p, enum migration_direction direction)
{
	report_steps(run->report);
	for (size_t i = 0; i < p->step_count; i++) {
		int64_t duration_ms;
		int rc;

		report_step_begins(run->report, direction, p->steps[i]);
		rc = database_step(run->conn, run->options->dir, p->steps[i], direction,
				   run->report->errors, &duration_ms);
		if (rc < 0)
			return rc;
		report_step_ended(run->report, direction, p->steps[i], duration_ms);
	}
	return 0;
}

/* Says where the database stands now. */
static int run_summary(struct run *run)
{
	struct plan p = {.rows = NULL};
	const struct applied *last = NULL;
	char label[MIGRATION_LABEL_SIZE];
	int rc = run_plan(run, &p);

	if (rc == 0 && run->records.count > 0)
		last = &run->records.items[run->records.count - 1];
	if (rc == 0 && !run->report->json)
		report_note(run->report, "the database is at %s",
			    last == NULL ? "the beginning, without any migration"
					 : migration_label(last->version, last->name, label));
	if (rc == 0)
		report_number(run->report, "version", last == NULL ? 0 : last->version);
	plan_fini(&p);
	return rc;
}

/* how_many < 0: up; else that many down. */
static int run_direction(struct run *run, int64_t how_many)
{
	struct plan p = {.rows = NULL};
	FILE *errors = run->report->errors;
	int rc = run_plan(run, &p);

	if (rc == 0 && (how_many < 0 ? plan_up(&p, errors) : plan_down(&p, how_many, errors)) > 0)
		rc = -EINVAL;
	if (rc == 0 && p.step_count == 0 && !run->report->json)
		report_note(run->report, "nothing to do");
	if (rc == 0)
		rc = run_steps(run, &p, how_many < 0 ? MIGRATION_UP : MIGRATION_DOWN);
	plan_fini(&p);
	return rc;
}

static int run_status(struct run *run)
{
	struct plan p = {.rows = NULL};
	int64_t pending = 0;
	int rc = run_open(run);

	if (rc == 0)
		rc = run_plan(run, &p);
	if (rc == 0) {
		report_rows(run->report, &p);
		for (size_t i = 0; i < p.count; i++)
			pending += p.rows[i].state == PLAN_PENDING;
		report_number(run->report, "pending", pending);
	}
	plan_fini(&p);
	return rc;
}

int runner_migrate(const struct runner_options *o, struct report *r)
{
	struct run run = {.options = o, .report = r};
	int rc;

	if (o->status) {
		rc = run_status(&run);
	} else {
		rc = run_open_locked(&run);
		if (rc == 0)
			rc = run_direction(&run, -1);
		if (rc == 0)
			rc = run_summary(&run);
	}
	run_close(&run);
	return exit_code_of(rc);
}

int runner_rollback(const struct runner_options *o, struct report *r)
{
	struct run run = {.options = o, .report = r};
	int rc = run_open_locked(&run);

	if (rc == 0)
		rc = run_direction(&run, o->count);
	if (rc == 0)
		rc = run_summary(&run);
	run_close(&run);
	return exit_code_of(rc);
}

/* Lets a person type the database's name, so that it is read before it is lost. */
static bool person_agrees(const struct run *run)
{
	const char *name = PQdb(run->conn);
	const char *host = PQhost(run->conn);
	char answer[128];

	if (!isatty(STDIN_FILENO)) {
		(void)fprintf(run->report->errors,
			      "db reset deletes all data of the database %s: say --yes\n", name);
		return false;
	}
	(void)fprintf(stderr,
		      "This deletes all data of the database %s at %s.\nIts name, to go on: ", name,
		      host == NULL || host[0] == '\0' ? "localhost" : host);
	if (fgets(answer, sizeof(answer), stdin) == NULL)
		answer[0] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
	if (strcmp(answer, name) == 0)
		return true;
	(void)fprintf(run->report->errors, "nothing was done\n");
	return false;
}

/* A server and its subscribers would not notice that everything begins anew. */
static int refuse_servers(const struct run *run)
{
	int64_t servers = 0;
	int rc = database_servers(run->conn, run->report->errors, &servers);

	if (rc < 0 || servers == 0)
		return rc;
	(void)fprintf(run->report->errors,
		      "%" PRId64 " running server(s) use this database: stop them first\n",
		      servers);
	return -EBUSY;
}

int runner_reset(const struct runner_options *o, struct report *r)
{
	struct run run = {.options = o, .report = r};
	int rc = run_open_locked(&run);
	bool agreed;

	if (rc == 0)
		rc = refuse_servers(&run);
	agreed = rc == 0 && (o->yes || person_agrees(&run));
	if (rc == 0 && agreed)
		rc = run_direction(&run, INT64_MAX);
	if (rc == 0 && agreed)
		rc = run_direction(&run, -1);
	if (rc == 0 && agreed)
		rc = run_summary(&run);
	run_close(&run);
	return rc == 0 && !agreed ? EXIT_USAGE : exit_code_of(rc);
}

int runner_new(const struct runner_options *o, struct report *r)
{
	struct migration m;
	char up[MIGRATION_FILE_SIZE];
	char down[MIGRATION_FILE_SIZE];
	int rc = migration_create(o->dir, o->name, r->errors, &m);

	if (rc < 0)
		return migration_name_is_valid(o->name) ? EXIT_CONFIG : EXIT_USAGE;
	migration_file(&m, MIGRATION_UP, up);
	migration_file(&m, MIGRATION_DOWN, down);
	report_number(r, "version", m.version);
	report_text(r, "folder", o->dir);
	report_text(r, "up", up);
	report_text(r, "down", down);
	if (!r->json)
		report_note(r, "%s/%s\n%s/%s", o->dir, up, o->dir, down);
	return EXIT_OK;
}
