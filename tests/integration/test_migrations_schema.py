"""The schema: every column that the BFF reads or writes, and downs that undo their ups."""
import re

import pytest
from support.pg import migration_files
from support.store import Database

STAMPS = {"created_at": "timestamp = now()", "updated_at": "timestamp = now()"}
ID = {"id": "uuid! = gen_random_uuid()"}

# column: type, ! for not null, = default
BFF = {
    "users": {
        **ID, "email": "varchar(255)!", "password_hash": "varchar(255)!", **STAMPS},
    "cvs": {
        **ID, "user_id": "uuid!", "name": "varchar(255)!", "file_path": "text!",
        "original_filename": "varchar(255)", "content_type": "varchar(100)",
        "parsed_data": "jsonb", "is_active": "bool = true", **STAMPS},
    "jobs": {
        **ID, "external_id": "varchar(255)!", "title": "varchar(255)!", "company": "varchar(255)",
        "salary": "varchar(255)", "area": "varchar(255)", "url": "text", "description": "text",
        "source": "varchar(50) = hh.ru", "search_query": "text", "fetched_at": "timestamp = now()",
        "hh_vacancy_id": "varchar(255)", "has_test": "bool! = false",
        "test_required": "bool! = false", "employer_id": "varchar(255)",
        "skills": "varchar[] = {}", **STAMPS},
    "custom_cvs": {
        **ID, "cv_id": "uuid!", "job_id": "uuid", "job_title": "varchar(255)",
        "customized_data": "jsonb", "cover_letter": "text", "ai_suggestions": "jsonb", **STAMPS},
    "applications": {
        **ID, "user_id": "uuid!", "job_id": "uuid", "custom_cv_id": "uuid",
        "job_external_id": "varchar(255)!", "cover_letter": "text",
        "status": "varchar(50) = pending", "submitted_at": "timestamp", "response_data": "jsonb",
        "error_message": "text", "hh_resume_id": "varchar(255)",
        "hh_negotiation_id": "varchar(255)", "hh_status": "varchar(255)",
        "rate_limited_until": "timestamp", **STAMPS},
    "application_queue": {
        **ID, "workflow_id": "uuid!", "user_id": "uuid!", "cv_id": "uuid!", "job_id": "uuid",
        "job_external_id": "varchar(255)!", "status": "varchar(50) = pending", "payload": "jsonb",
        "attempts": "int4 = 0", "next_run_at": "timestamp = now()", "priority": "int4 = 0",
        "last_error": "text", **STAMPS},
    "parsed_cvs": {
        **ID, "user_id": "uuid", "first_name": "varchar(100)", "last_name": "varchar(100)",
        "email": "varchar(255)", "phone": "varchar(50)", "title": "varchar(255)",
        "summary": "text", "experience": "text", "education": "text", "skills": "varchar[] = {}",
        "projects": "text", "full_text": "text", "original_filename": "varchar(255)",
        "file_path": "text", "model_used": "varchar(100)", **STAMPS},
    "sessions": {
        **ID, "session_id": "varchar(255)!", "user_id": "uuid", "token": "text!",
        "expires_at": "timestamp!", "revoked_at": "timestamp",
        "last_activity_at": "timestamp = now()", "ip_address": "varchar(45)",
        "user_agent": "text", **STAMPS},
    "hh_tokens": {
        **ID, "user_id": "uuid!", "access_token": "text!", "refresh_token": "text",
        "expires_at": "timestamp", **STAMPS},
}

UNIQUE = {("users", "email"), ("jobs", "external_id"), ("sessions", "session_id"),
          ("hh_tokens", "user_id")}

# (table, column): (what it refers to, what a delete there does)
REFERENCES = {
    ("cvs", "user_id"): ("users", "cascade"),
    ("custom_cvs", "cv_id"): ("cvs", "cascade"),
    ("custom_cvs", "job_id"): ("jobs", "set null"),
    ("applications", "job_id"): ("jobs", "cascade"),
    ("applications", "custom_cv_id"): ("custom_cvs", "set null"),
    ("application_queue", "user_id"): ("users", "cascade"),
    ("application_queue", "cv_id"): ("cvs", "cascade"),
    ("application_queue", "job_id"): ("jobs", "set null"),
    ("parsed_cvs", "user_id"): ("users", "cascade"),
    ("sessions", "user_id"): ("users", "cascade"),
    ("workflows", "cv_id"): ("cvs", "cascade"),
}

COLUMNS = """
    select c.relname, a.attname,
     regexp_replace(regexp_replace(replace(format_type(a.atttypid, a.atttypmod),
       'character varying', 'varchar'), ' without time zone', ''), '^timestamp with time zone$',
       'timestamptz'),
     a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
     and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'"""

INDEXES = """
    select c.relname, array_agg(a.attname::text order by k.n), i.indisunique, i.indpred is not null
    from pg_index i join pg_class c on c.oid = i.indrelid
    cross join lateral unnest(i.indkey) with ordinality k (attnum, n)
    join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
    where c.relnamespace = 'public'::regnamespace group by i.indexrelid, c.relname, i.indisunique,
     i.indpred is not null"""

FOREIGN_KEYS = """
    select c.conrelid::regclass::text, a.attname, c.confrelid::regclass::text,
     case c.confdeltype when 'c' then 'cascade' when 'n' then 'set null' else 'refuse' end
    from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    where c.contype = 'f'"""

# Everything that a migration may make.
OBJECTS = """
    select 'class', c.relkind::text, c.relname::text, coalesce(c.reloptions::text, '')
     from pg_class c where c.relnamespace = 'public'::regnamespace
    union all select 'column', a.attrelid::regclass::text, a.attname::text,
     format_type(a.atttypid, a.atttypmod) || a.attnotnull || a.atthasdef
     from pg_attribute a join pg_class c on c.oid = a.attrelid
     where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
    union all select 'constraint', conrelid::regclass::text, conname::text,
     pg_get_constraintdef(oid)
     from pg_constraint where connamespace = 'public'::regnamespace
    union all select 'function', proname::text, pg_get_function_identity_arguments(oid), ''
     from pg_proc where pronamespace = 'public'::regnamespace
    union all select 'type', typname::text, typtype::text, ''
     from pg_type where typnamespace = 'public'::regnamespace"""


def described(kind, not_null, default):
    kind = {"boolean": "bool", "integer": "int4", "character varying[]": "varchar[]",
            "timestamp(6)": "timestamp"}.get(kind, kind)
    words = kind + ("!" if not_null else "")
    if default is None:
        return words
    return f"{words} = {default.split('::')[0].strip(chr(39))}"


@pytest.mark.parametrize("table", BFF)
def test_every_column_of_the_bff_is_there_with_its_type_and_default(database, table):
    found = {column: described(kind, not_null, default)
             for name, column, kind, not_null, default in database.rows(COLUMNS) if name == table}
    missing = {column: wanted for column, wanted in BFF[table].items()
               if found.get(column) != wanted}
    assert missing == {}, f"found {found}"


def test_what_the_bff_may_leave_out_is_filled_in(database):
    user = database.value("insert into users (email, password_hash) values ('a', 'b') returning id")
    cv = database.value("insert into cvs (user_id, name, file_path) values (%s, 'n', '/f')"
                        " returning id", user)
    row = database.rows("insert into application_queue (workflow_id, user_id, cv_id,"
                        " job_external_id) values (gen_random_uuid(), %s, %s, '1') returning"
                        " status, attempts, priority, next_run_at is not null, created_at is not null",
                        user, cv)
    assert row == [("pending", 0, 0, True, True)]
    assert database.rows("insert into jobs (external_id, title) values ('1', %s) returning source,"
                         " skills, has_test, fetched_at is not null", "ы" * 255) == [
        ("hh.ru", [], False, True)]
    database.rows("delete from users")
    assert database.value("select count(*) from application_queue") == 0


def test_foreign_keys_do_what_the_bff_expects(database):
    found = {(table, column): (of, does)
             for table, column, of, does in database.rows(FOREIGN_KEYS)}
    assert found == REFERENCES


def test_what_must_be_unique_is_and_every_foreign_key_has_an_index(database):
    indexes = database.rows(INDEXES)
    unique = {(table, columns[0]) for table, columns, is_unique, _ in indexes
              if is_unique and len(columns) == 1}
    assert UNIQUE <= unique
    leading = {(table, columns[0]) for table, columns, _, partial in indexes if not partial}
    assert set(REFERENCES) <= leading


def test_each_down_undoes_its_up_exactly(server):
    name = "downs"
    server.create_database(name)
    database = Database(server, name)
    before = []
    for path in migration_files("up"):
        before.append((path, sorted(database.rows(OBJECTS))))
        database.rows(path.read_text(encoding="utf-8"))
    assert len(before) == len(migration_files("down"))
    for path, objects in reversed(before):
        down = path.with_name(path.name.replace(".up.", ".down."))
        database.rows(down.read_text(encoding="utf-8"))
        assert sorted(database.rows(OBJECTS)) == objects, f"{down.name} leaves something else"
    database.close()


@pytest.mark.parametrize("path", migration_files("up"), ids=lambda path: path.name)
def test_each_migration_is_transactional_and_says_why(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("-- ")
    assert not re.search(r"\b(concurrently|commit)\b", text.split(";", 1)[1], re.IGNORECASE)
