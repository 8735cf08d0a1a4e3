/* database.c - the runner's statements; see database.h. */
#include "migrations/database.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "migrations/sql_text.h"

#define OLDEST_SERVER 140000 /* for client_connection_check_interval */

/* "UGTJMIGR": the key of the advisory lock that keeps two runners apart. */
#define LOCK_KEY      "6144972894671292242"

/* The session as every step finds it, whatever the one before it set.
 * client_connection_check_interval: a statement of a runner that was killed ends within a second
 * and is undone, where the server would else finish it first. lock_timeout: a change that waits for
 * a lock makes all later readers of that table wait behind it; better to give up and be run again.
 */
#define SESSION_SQL                                                                                \
	"reset all; set client_min_messages = warning; set statement_timeout = 0;"                 \
	" set idle_in_transaction_session_timeout = 0; set lock_timeout = '30s';"                  \
	" set client_connection_check_interval = '1s'"

#define TABLE_SQL                                                                                  \
	"create table schema_migrations ("                                                         \
	" version bigint primary key,"                                                             \
	" name text not null,"                                                                     \
	" checksum text not null,"                                                                 \
	" applied_at timestamptz not null default now(),"                                          \
	" duration_ms bigint not null)"

/* How many of our five columns schema_migrations has; NULL without such a table. */
#define COLUMNS_SQL                                                                                \
	"select case when to_regclass('schema_migrations') is not null then"                       \
	" (select count(*) from pg_attribute where attrelid = to_regclass('schema_migrations')"    \
	" and not attisdropped"                                                                    \
	" and attname in ('version', 'name', 'checksum', 'applied_at', 'duration_ms')) end"

#define RECORDS_SQL                                                                                \
	"select version, name, checksum, duration_ms,"                                             \
	" to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"             \
	" from schema_migrations order by version"

/* The first line of a message of libpq: the rest repeats it for each address that was tried. */
static void complain_connection(PGconn *conn, const char *what, FILE *errors)
{
	const char *message = PQerrorMessage(conn);

	(void)fprintf(errors, "%s: %.*s\n", what, (int)strcspn(message, "\n"), message);
}

/* Whether res tells of the session's end: libpq may see the closed socket only later. */
static bool is_lost(PGconn *conn, const PGresult *res)
{
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	return PQstatus(conn) != CONNECTION_OK || severity == NULL ||
	       strcmp(severity, "ERROR") != 0;
}

static void on_notice(void *arg, const PGresult *res)
{
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	(void)arg;
	(void)fprintf(stderr, "\n%s: %s\n", severity == NULL ? "NOTICE" : severity,
		      message == NULL ? "" : message);
}

/* Says what the server answered where a statement of our own failed. */
static int complain_result(PGconn *conn, const PGresult *res, FILE *errors)
{
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (is_lost(conn, res) || message == NULL) {
		complain_connection(conn, "the connection to the database was lost", errors);
		return -ECONNREFUSED;
	}
	(void)fprintf(errors, "the database refused: %s\n", message);
	return -EIO;
}

/* Runs one of our own statements. Gives the result where out is not NULL. */
static int query(PGconn *conn, FILE *errors, const char *sql, int count, const char *const *values,
		 PGresult **out)
{
	PGresult *res = count == 0 ? PQexec(conn, sql)
				   : PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(res);
	int rc = 0;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		rc = complain_result(conn, res, errors);
	if (rc == 0 && out != NULL)
		*out = res;
	else
		PQclear(res);
	return rc;
}

static int check_server(PGconn *conn, FILE *errors)
{
	int version = PQserverVersion(conn);

	if (version >= OLDEST_SERVER)
		return 0;
	(void)fprintf(errors, "the server is PostgreSQL %d, and %d or newer is needed\n",
		      version / 10000, OLDEST_SERVER / 10000);
	return -EINVAL;
}

/* libpq quotes a string that it cannot parse, password and all: ours is the message then. */
static int check_url(const char *url, FILE *errors)
{
	PQconninfoOption *options = PQconninfoParse(url, NULL);

	if (options == NULL) {
		(void)fprintf(errors,
			      "DATABASE_URL is neither postgresql://user:password@host/name "
			      "nor libpq's host=... dbname=...\n");
		return -EINVAL;
	}
	PQconninfoFree(options);
	return 0;
}

int database_open(const char *url, FILE *errors, PGconn **out)
{
	/* What stands before dbname is a default which the URL may override. */
	static const char *const names[] = {
		"connect_timeout", "keepalives_idle",  "keepalives_interval", "tcp_user_timeout",
		"dbname",	   "application_name", "client_encoding",     NULL};
	const char *const values[] = {"10", "5", "5", "15000", url, "ugtj migrate", "UTF8", NULL};
	PGconn *conn;
	int rc = check_url(url, errors);

	if (rc < 0)
		return rc;
	conn = PQconnectdbParams(names, values, 1);
	if (conn == NULL)
		return -ENOMEM;
	if (PQstatus(conn) != CONNECTION_OK) {
		complain_connection(conn, "the database cannot be reached", errors);
		rc = -ECONNREFUSED;
		goto out;
	}
	rc = check_server(conn, errors);
	if (rc < 0)
		goto out;
	(void)PQsetNoticeReceiver(conn, on_notice, NULL);
	rc = query(conn, errors, SESSION_SQL, 0, NULL, NULL);
	if (rc < 0)
		goto out;

	*out = conn; /* handed over */
	conn = NULL;
out:
	database_close(&conn);
	return rc;
}

void database_close(PGconn **conn)
{
	PQfinish(*conn);
	*conn = NULL;
}

int database_try_lock(PGconn *conn, FILE *errors, bool *taken)
{
	PGresult *res = NULL;
	int rc = query(conn, errors, "select pg_try_advisory_lock(" LOCK_KEY ")", 0, NULL, &res);

	if (rc == 0)
		*taken = strcmp(PQgetvalue(res, 0, 0), "t") == 0;
	PQclear(res);
	return rc;
}

int database_lock(PGconn *conn, FILE *errors)
{
	int rc = query(conn, errors, "set lock_timeout = 0", 0, NULL, NULL);

	if (rc == 0)
		rc = query(conn, errors, "select pg_advisory_lock(" LOCK_KEY ")", 0, NULL, NULL);
	return rc;
}

/* *exists: whether the table of records is there. One that is not ours is refused. */
static int find_table(PGconn *conn, FILE *errors, bool *exists)
{
	PGresult *res = NULL;
	int rc = query(conn, errors, COLUMNS_SQL, 0, NULL, &res);

	if (rc == 0)
		*exists = !PQgetisnull(res, 0, 0);
	if (rc == 0 && *exists && strcmp(PQgetvalue(res, 0, 0), "5") != 0) {
		(void)fprintf(errors,
			      "the table schema_migrations of this database belongs to "
			      "another program: let DATABASE_URL name a database of its own, "
			      "or set search_path to a schema of its own\n");
		rc = -EINVAL;
	}
	PQclear(res);
	return rc;
}

int database_prepare(PGconn *conn, FILE *errors)
{
	bool exists;
	int rc = find_table(conn, errors, &exists);

	if (rc < 0 || exists)
		return rc;
	return query(conn, errors, TABLE_SQL, 0, NULL, NULL);
}

static void copy_text(char *to, size_t room, const PGresult *res, int row, int column)
{
	(void)snprintf(to, room, "%s", PQgetvalue(res, row, column));
}

int database_servers(PGconn *conn, FILE *errors, int64_t *out)
{
	PGresult *res = NULL;
	int rc = query(
		conn, errors,
		"select count(distinct application_name) from pg_stat_activity"
		" where datname = current_database() and application_name like 'ugtj store %'",
		0, NULL, &res);

	if (rc == 0)
		*out = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	return rc;
}

int database_records(PGconn *conn, FILE *errors, struct applied_list *out)
{
	struct applied_list list = {.items = NULL};
	PGresult *res = NULL;
	bool exists;
	int rc = find_table(conn, errors, &exists);

	if (rc == 0 && exists)
		rc = query(conn, errors, RECORDS_SQL, 0, NULL, &res);
	if (rc < 0)
		return rc;
	list.count = exists ? (size_t)PQntuples(res) : 0;
	list.items = calloc(list.count + 1, sizeof(*list.items));
	if (list.items == NULL) {
		PQclear(res);
		return -ENOMEM;
	}
	for (int i = 0; i < (int)list.count; i++) {
		struct applied *a = &list.items[i];

		a->version = strtoll(PQgetvalue(res, i, 0), NULL, 10);
		copy_text(a->name, sizeof(a->name), res, i, 1);
		copy_text(a->checksum, sizeof(a->checksum), res, i, 2);
		a->duration_ms = strtoll(PQgetvalue(res, i, 3), NULL, 10);
		copy_text(a->applied_at, sizeof(a->applied_at), res, i, 4);
	}
	PQclear(res);
	*out = list;
	return 0;
}

/* file:line: message, and what the server adds to it. */
static int complain_sql(PGconn *conn, const PGresult *res, const char *file, const char *text,
			size_t statement, FILE *errors)
{
	static const struct {
		int field;
		const char *title;
	} more[] = {{PG_DIAG_MESSAGE_DETAIL, "detail"},
		    {PG_DIAG_MESSAGE_HINT, "hint"},
		    {PG_DIAG_CONTEXT, "context"}};
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
	int line = position != NULL ? sql_line_of_position(text, strtoul(position, NULL, 10))
				    : sql_line_of_statement(text, statement);

	if (is_lost(conn, res) || message == NULL) {
		(void)fprintf(errors, "%s: ", file);
		complain_connection(conn, "the connection to the database was lost", errors);
		return -ECONNREFUSED;
	}
	(void)fprintf(errors, "%s:%d: %s\n", file, line, message);
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		const char *value = PQresultErrorField(res, more[i].field);

		if (value != NULL)
			(void)fprintf(errors, "  %s: %s\n", more[i].title, value);
	}
	return -EIO;
}

/* A file has no data to copy in, and nobody reads what it copies out. */
static void end_copy(PGconn *conn, ExecStatusType status)
{
	char *buffer = NULL;

	if (status == PGRES_COPY_IN)
		(void)PQputCopyEnd(conn, "a migration cannot COPY FROM STDIN: use INSERT");
	while (status == PGRES_COPY_OUT && PQgetCopyData(conn, &buffer, 0) > 0)
		PQfreemem(buffer);
}

/* Runs all statements of text; the first error ends it, as the server skips the rest. */
static int run_text(PGconn *conn, const char *file, const char *text, FILE *errors)
{
	PGresult *res;
	size_t statement = 0;
	int rc = 0;

	if (PQsendQuery(conn, text) != 1) {
		(void)fprintf(errors, "%s: ", file);
		complain_connection(conn, "the connection to the database was lost", errors);
		return -ECONNREFUSED;
	}
	while ((res = PQgetResult(conn)) != NULL) {
		ExecStatusType status = PQresultStatus(res);

		if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT)
			end_copy(conn, status);
		else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
			statement++;
		else if (status != PGRES_EMPTY_QUERY && rc == 0)
			rc = complain_sql(conn, res, file, text, statement, errors);
		PQclear(res);
		if (PQstatus(conn) != CONNECTION_OK)
			break; /* no further result will come */
	}
	return rc;
}

/* The number of the transaction that we are in, to see that it is still the same. */
static int transaction_id(PGconn *conn, FILE *errors, char id[32])
{
	PGresult *res = NULL;
	int rc = query(conn, errors, "select pg_current_xact_id()", 0, NULL, &res);

	if (rc == 0)
		copy_text(id, 32, res, 0, 0);
	PQclear(res);
	return rc;
}

/* A file that commits on its own has already broken the promise, so at least it is said aloud. */
static int check_transaction(PGconn *conn, const char *file, const char *id, FILE *errors)
{
	char now[32] = "";
	int rc = transaction_id(conn, errors, now);

	if (rc == 0 && strcmp(now, id) != 0) {
		(void)fprintf(errors,
			      "%s ends the transaction that it runs in: take out its BEGIN, COMMIT "
			      "and ROLLBACK, and undo by hand what it did\n",
			      file);
		rc = -EIO;
	}
	return rc;
}

static int record_step(PGconn *conn, const struct migration *m, enum migration_direction direction,
		       const char *checksum, int64_t duration_ms, FILE *errors)
{
	char version[24];
	char duration[24];
	const char *const values[] = {version, m->name, checksum, duration};
	int rc = query(conn, errors, "reset search_path", 0, NULL, NULL); /* dumps empty it */

	(void)snprintf(version, sizeof(version), "%" PRId64, m->version);
	(void)snprintf(duration, sizeof(duration), "%" PRId64, duration_ms);
	if (rc < 0)
		return rc;
	if (direction == MIGRATION_UP)
		return query(conn, errors,
			     "insert into schema_migrations (version, name, checksum, duration_ms)"
			     " values ($1, $2, $3, $4)",
			     4, values, NULL);
	return query(conn, errors, "delete from schema_migrations where version = $1", 1, values,
		     NULL);
}

int database_step(PGconn *conn, const char *dir, const struct migration *m,
		  enum migration_direction direction, FILE *errors, int64_t *duration_ms)
{
	char file[MIGRATION_FILE_SIZE];
	char checksum[MIGRATION_CHECKSUM_SIZE];
	char id[32] = "";
	char *text = NULL;
	size_t len = 0;
	int64_t start_ms = clock_mono_ms();
	int64_t taken_ms;
	int rc;

	migration_file(m, direction, file);
	rc = migration_read(dir, m, direction, &text, &len);
	if (rc == 0)
		rc = migration_checksum(text, len, checksum);
	if (rc < 0) {
		(void)fprintf(errors, "%s/%s: %s\n", dir, file, strerror(-rc));
		goto out;
	}
	if ((rc = query(conn, errors, SESSION_SQL, 0, NULL, NULL)) < 0 ||
	    (rc = query(conn, errors, "begin", 0, NULL, NULL)) < 0 ||
	    (rc = transaction_id(conn, errors, id)) < 0 ||
	    (rc = run_text(conn, file, text, errors)) < 0 ||
	    (rc = check_transaction(conn, file, id, errors)) < 0)
		goto out;
	taken_ms = clock_mono_ms() - start_ms;
	if ((rc = record_step(conn, m, direction, checksum, taken_ms, errors)) < 0 ||
	    (rc = query(conn, errors, "commit", 0, NULL, NULL)) < 0)
		goto out;
	*duration_ms = taken_ms;
out:
	if (rc < 0 && PQtransactionStatus(conn) > PQTRANS_IDLE)
		PQclear(PQexec(conn, "rollback")); /* closing would undo it as well */
	free(text);
	return rc;
}
