"""The migration runner against a real PostgreSQL: what it applies, what it refuses, what a kill leaves."""
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.pg import MIGRATIONS, Postgres  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
RUNNER = Path(os.environ.get("UGTJ_BUILD_DIR", ROOT / "build")).resolve() / "libexec/migrate"
USAGE, UNAVAILABLE, WORLD, CONFIG = 64, 69, 71, 78
GATE = 4242  # an advisory lock that a migration waits for, until the test lets it go on


@pytest.fixture(scope="module")
def cluster():
    with Postgres() as one:
        yield one


class Runner:
    """The runner on a database and a folder of its own."""

    def __init__(self, cluster, folder):
        self.cluster, self.folder = cluster, folder
        self.database = f"m{time.monotonic_ns()}"
        self.url = cluster.create_database(self.database)

    def write(self, name, up, down="select 1;"):
        (self.folder / f"{name}.up.sql").write_text(up)
        if down is not None:
            (self.folder / f"{name}.down.sql").write_text(down)

    def three(self):
        for number, name in enumerate("abc", 1):
            self.write(f"{number:04}_{name}", f"create table {name} (id int primary key);",
                       f"drop table {name};")

    def environment(self, **more):
        return {**os.environ, "DATABASE_URL": self.url, "UGTJ_MIGRATIONS_DIR": str(self.folder),
                **more}

    def start(self, *words, **more):
        return subprocess.Popen([RUNNER, *words], env=self.environment(**more), text=True,
                                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def run(self, *words, code=0, **more):
        """Returns what it printed on standard output and standard error."""
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, (process.returncode, out, err)
        return out if code == 0 else err

    def query(self, statement, *values):
        connection = self.cluster.connect(self.database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall()
        finally:
            connection.close()

    def tables(self):
        return [row[0] for row in self.query(
            "select tablename from pg_tables where schemaname = 'public'"
            " and tablename <> 'schema_migrations' order by 1")]

    def applied(self):
        return [row[0] for row in self.query("select version from schema_migrations order by 1")]

    def wait(self, statement, deadline_s=20):
        """Waits until the query gives a true value."""
        deadline = time.monotonic() + deadline_s
        while not self.query(statement)[0][0]:
            assert time.monotonic() < deadline, f"never true: {statement}"
            time.sleep(0.02)

    def wait_at_gate(self):
        self.wait("select count(*) = 1 from pg_locks where locktype = 'advisory'"
                  f" and objid = {GATE} and not granted and database = "
                  "(select oid from pg_database where datname = current_database())")


@pytest.fixture
def runner(cluster, tmp_path):
    one = Runner(cluster, tmp_path)
    yield one
    cluster.drop_database(one.database)


@pytest.fixture
def gate(runner):
    """A session that keeps the gate shut."""
    connection = runner.cluster.connect(runner.database)
    connection.cursor().execute("select pg_advisory_lock(%s)", [GATE])
    yield connection
    connection.close()


def columns(runner):
    return runner.query("select table_name, column_name, data_type, is_nullable, column_default"
                        " from information_schema.columns where table_schema = 'public'"
                        " order by 1, 2")


def test_the_products_schema_goes_up_down_and_up_again_to_the_same(runner):
    runner.folder = MIGRATIONS
    count = len(list(MIGRATIONS.glob("*.up.sql")))
    runner.run("migrate")
    first = columns(runner)
    assert runner.applied() == list(range(1, count + 1))
    runner.run("rollback", str(count))
    assert runner.tables() == []
    assert runner.query("select count(*) from pg_proc p join pg_namespace n on n.oid ="
                        " p.pronamespace left join pg_depend d on d.objid = p.oid and d.deptype ="
                        " 'e' where n.nspname = 'public' and d.objid is null") == [(0,)]
    runner.run("migrate")
    assert columns(runner) == first


def test_each_migration_of_the_product_can_be_rolled_back_and_repeated(runner):
    runner.folder = MIGRATIONS
    runner.run("migrate")
    for back in range(1, len(list(MIGRATIONS.glob("*.up.sql"))) + 1):
        before = columns(runner)
        runner.run("rollback", str(back))
        runner.run("migrate")
        assert columns(runner) == before


def test_applies_in_order_and_then_has_nothing_to_do(runner):
    runner.three()
    out = runner.run("migrate")
    assert re.fullmatch(r"up    0001_a  \d+ ms\nup    0002_b  \d+ ms\nup    0003_c  \d+ ms\n"
                        r"the database is at 0003_c\n", out)
    assert runner.tables() == ["a", "b", "c"]
    assert runner.run("migrate") == "nothing to do\nthe database is at 0003_c\n"
    assert runner.applied() == [1, 2, 3]


def test_applies_only_what_is_new(runner):
    runner.three()
    runner.run("migrate")
    runner.write("0004_d", "create table d ();", "drop table d;")
    out = runner.run("migrate")
    assert "0004_d" in out and "0001_a" not in out
    assert runner.tables() == ["a", "b", "c", "d"]


def test_keeps_what_it_knows_of_each(runner):
    runner.three()
    runner.run("migrate")
    rows = runner.query("select name, length(checksum), duration_ms >= 0,"
                        " applied_at between now() - interval '1 minute' and now()"
                        " from schema_migrations order by version")
    assert rows == [(name, 64, True, True) for name in "abc"]


def test_rolls_back_one_by_default_and_redoes_it(runner):
    runner.three()
    runner.run("migrate")
    assert "down  0003_c" in runner.run("rollback")
    assert runner.tables() == ["a", "b"]
    runner.run("rollback", "2")
    assert runner.tables() == [] and runner.applied() == []
    assert "without any migration" in runner.run("rollback", "7")
    runner.run("migrate")
    assert runner.tables() == ["a", "b", "c"]


def test_a_broken_one_is_named_with_its_line_and_undone_whole(runner):
    runner.three()
    runner.write("0004_d", "create table d ();\n\n-- Комментарий\nselect\n  nonsense;\n")
    err = runner.run("migrate", code=WORLD)
    assert err.startswith('0004_d.up.sql:5: column "nonsense" does not exist\n')
    assert runner.tables() == ["a", "b", "c"] and runner.applied() == [1, 2, 3]
    runner.write("0004_d", "create table d ();")
    runner.run("migrate")
    assert runner.applied() == [1, 2, 3, 4]


def test_an_error_without_a_position_is_given_the_line_of_its_statement(runner):
    runner.write("0001_a", "create table a (id int primary key);\ninsert into a values (1);\n"
                           "-- once more; and again\ninsert into a\nvalues (1);\n")
    err = runner.run("migrate", code=WORLD)
    assert err.startswith("0001_a.up.sql:4: duplicate key value")
    assert "detail: Key (id)=(1) already exists." in err


def test_an_error_that_only_the_commit_finds_undoes_all(runner):
    runner.write("0001_a", "create table a (id int primary key,"
                           " other int references a deferrable initially deferred);\n"
                           "insert into a values (1, 2);")
    assert "violates foreign key" in runner.run("migrate", code=WORLD)
    assert runner.tables() == [] and runner.applied() == []


def test_a_broken_down_file_leaves_the_migration_applied(runner):
    runner.write("0001_a", "create table a ();", "drop table a; drop table nonsense;")
    runner.run("migrate")
    assert "0001_a.down.sql:1:" in runner.run("rollback", code=WORLD)
    assert runner.tables() == ["a"] and runner.applied() == [1]


def test_a_changed_file_stops_everything_until_it_is_as_before(runner):
    runner.three()
    runner.run("migrate")
    runner.write("0002_b", "create table b (id bigint);", "drop table b;")
    runner.write("0004_d", "create table d ();")
    err = runner.run("migrate", code=CONFIG)
    assert "0002_b.up.sql has changed since it was applied" in err and "migration new" in err
    assert runner.tables() == ["a", "b", "c"]
    runner.three()
    runner.run("migrate")
    assert runner.applied() == [1, 2, 3, 4]


def test_a_changed_file_can_be_undone_and_repeated(runner):
    runner.three()
    runner.run("migrate")
    runner.write("0003_c", "create table c (id bigint);", "drop table c;")
    runner.run("rollback")
    runner.run("migrate")
    assert ("c", "id", "bigint", "YES", None) in columns(runner)


def test_a_missing_file_is_named(runner):
    runner.three()
    runner.run("migrate")
    (runner.folder / "0003_c.up.sql").unlink()
    (runner.folder / "0003_c.down.sql").unlink()
    for words in (["migrate"], ["rollback"], ["db", "reset", "--yes"]):
        assert "0003_c was applied at" in runner.run(*words, code=CONFIG)
    assert runner.tables() == ["a", "b", "c"]


def test_a_missing_down_file_stops_a_rollback_before_it_began(runner):
    runner.three()
    (runner.folder / "0002_b.down.sql").unlink()
    runner.run("migrate")
    err = runner.run("rollback", "3", code=CONFIG)
    assert err == "0002_b.down.sql is missing: it cannot be rolled back\n"
    assert runner.tables() == ["a", "b", "c"]
    runner.run("rollback")


@pytest.mark.parametrize("names, message", [
    (["0001_a", "0001_b"], "0001_a and 0001_b have the same number"),
    (["0001_a", "0003_c"], "0002 is missing"),
    (["0001_a", "2_b"], "2_b.up.sql is not named like a migration"),
])
def test_wrong_numbers_are_refused_before_anything_runs(runner, names, message):
    for name in names:
        runner.write(name, "select 1;", None)
    assert message in runner.run("migrate", code=CONFIG)
    assert runner.query("select to_regclass('schema_migrations')") == [(None,)]


def test_two_runners_at_once_take_turns(runner, gate):
    runner.write("0001_a", f"create table a (); select pg_advisory_xact_lock({GATE});")
    runner.write("0002_b", "create table b ();")
    first = runner.start("migrate")
    runner.wait_at_gate()
    second = runner.start("migrate")
    assert second.stdout.readline() == "another runner is at work, waiting\n"
    gate.close()
    out, err = first.communicate(timeout=30)
    assert first.returncode == 0, err
    assert "0002_b" in out
    out, err = second.communicate(timeout=30)
    assert second.returncode == 0, err
    assert out == "nothing to do\nthe database is at 0002_b\n"
    assert runner.applied() == [1, 2]


def test_many_runners_at_once_apply_each_once(runner):
    runner.three()
    crowd = [runner.start("migrate") for _ in range(8)]
    outputs = [process.communicate(timeout=60) for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 8, outputs
    assert "".join(out for out, _ in outputs).count("0001_a ") == 1
    assert runner.applied() == [1, 2, 3]


def test_a_killed_runner_leaves_nothing_half_done_and_no_lock(runner, gate):
    runner.write("0001_a", "create table a ();")
    runner.write("0002_b", f"create table b (); select pg_advisory_xact_lock({GATE});")
    victim = runner.start("migrate")
    runner.wait_at_gate()
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=10)
    # its statement still waits for the gate: the server itself has to see that nobody is there
    runner.wait("select not exists (select from pg_stat_activity where application_name ="
                " 'ugtj migrate' and datname = current_database())")
    assert runner.tables() == ["a"] and runner.applied() == [1]
    gate.close()
    out = runner.run("migrate")
    assert "waiting" not in out
    assert runner.tables() == ["a", "b"] and runner.applied() == [1, 2]


def test_a_server_that_dies_in_the_middle_is_said_so(runner, gate):
    runner.write("0001_a", f"create table a (); select pg_advisory_xact_lock({GATE});")
    process = runner.start("migrate")
    runner.wait_at_gate()
    runner.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name ="
                 " 'ugtj migrate' and datname = current_database()")
    _, err = process.communicate(timeout=30)
    assert process.returncode == UNAVAILABLE
    assert err.startswith("0001_a.up.sql: the connection to the database was lost: ")
    assert err.count("\n") == 1
    assert runner.tables() == []


def test_a_file_that_commits_on_its_own_is_caught(runner):
    runner.write("0001_a", "create table a (); commit; begin;")
    assert "0001_a.up.sql ends the transaction" in runner.run("migrate", code=WORLD)
    assert runner.applied() == []


def test_what_a_file_sets_ends_with_it(runner):
    runner.write("0001_a", "set search_path = ''; create table public.a (); set role = none;")
    runner.write("0002_b", "create table b ();")
    runner.run("migrate")
    assert runner.tables() == ["a", "b"]


def test_copy_from_stdin_is_refused(runner):
    runner.write("0001_a", "create table a (id int); copy a from stdin;")
    assert "use INSERT" in runner.run("migrate", code=WORLD)
    assert runner.tables() == []


def test_a_table_of_another_program_is_left_alone(runner):
    connection = runner.cluster.connect(runner.database)
    connection.cursor().execute("create table schema_migrations (version bigint, inserted_at date)")
    connection.close()
    runner.three()
    assert "belongs to another program" in runner.run("migrate", code=CONFIG)
    assert runner.tables() == []


def test_status_only_looks(runner):
    runner.three()
    assert runner.run("migrate", "--status") == "pending  0001_a\npending  0002_b\npending  0003_c\n"
    assert runner.query("select to_regclass('schema_migrations')") == [(None,)]
    runner.run("migrate")
    runner.write("0002_b", "select 2;")
    (runner.folder / "0003_c.up.sql").unlink()
    (runner.folder / "0003_c.down.sql").unlink()
    lines = runner.run("migrate", "--status").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["applied", "0001_a"], ["changed", "0002_b"], ["missing", "0003_c"]]


def test_json_says_all_in_one_object(runner):
    runner.three()
    done = json.loads(runner.run("migrate", "--json"))
    assert done["version"] == 3
    assert [(s["version"], s["name"], s["direction"]) for s in done["steps"]] == [
        (1, "a", "up"), (2, "b", "up"), (3, "c", "up")]
    assert json.loads(runner.run("migrate", "--json"))["steps"] == []
    rows = json.loads(runner.run("migrate", "--status", "--json"))
    assert rows["pending"] == 0 and rows["migrations"][0]["state"] == "applied"
    runner.write("0004_d", "nonsense;")
    process = runner.start("migrate", "--json")
    out, err = process.communicate(timeout=30)
    failure = json.loads(out)
    assert failure["error"] == "failed" and failure["message"].startswith("0004_d.up.sql:1: ")
    assert failure["steps"] == [] and err == ""


def test_new_makes_the_next_pair_which_runs(runner):
    runner.three()
    out = runner.run("migration", "new", "add_index").splitlines()
    assert out == [f"{runner.folder}/0004_add_index.up.sql",
                   f"{runner.folder}/0004_add_index.down.sql"]
    runner.run("migrate")
    runner.run("rollback")
    assert runner.applied() == [1, 2, 3]


@pytest.mark.parametrize("name", ["Add", "a-b", "a b", "../a", "", "ä", "x" * 64])
def test_new_refuses_a_name_that_is_no_file_name(runner, name):
    runner.run("migration", "new", name, code=USAGE)
    assert list(runner.folder.iterdir()) == []


def test_reset_wants_a_yes_where_nobody_can_be_asked(runner):
    runner.three()
    runner.run("migrate")
    runner.query("insert into a values (1) returning id")
    assert "say --yes" in runner.run("db", "reset", code=USAGE)
    assert runner.query("select count(*) from a") == [(1,)]
    runner.run("db", "reset", "--yes")
    assert runner.query("select count(*) from a") == [(0,)]


def test_reset_is_refused_while_a_server_uses_the_database(runner):
    runner.three()
    runner.run("migrate")
    server = psycopg2.connect(runner.url, application_name="ugtj store node-1")
    assert "stop them first" in runner.run("db", "reset", "--yes", code=69)
    server.close()
    while runner.query("select count(*) from pg_stat_activity where application_name like 'ugtj store%%'"
                       " and datname = current_database()") != [(0,)]:
        time.sleep(0.05)
    runner.run("db", "reset", "--yes")


@pytest.mark.parametrize("right", [True, False])
def test_reset_asks_a_person_for_the_databases_name(runner, right):
    runner.three()
    runner.run("migrate")
    runner.query("insert into a values (1) returning id")
    ours, theirs = pty.openpty()
    process = subprocess.Popen([RUNNER, "db", "reset"], env=runner.environment(), stdin=theirs,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.write(ours, f"{runner.database if right else 'other'}\n".encode())
    _, err = process.communicate(timeout=30)
    os.close(theirs)
    os.close(ours)
    assert f"deletes all data of the database {runner.database}" in err
    assert process.returncode == (0 if right else USAGE)
    assert runner.query("select count(*) from a") == [(0 if right else 1,)]


def test_a_database_that_cannot_be_reached_is_one_clear_line(runner):
    url = "postgresql://someone:hunter2@127.0.0.1:1/nowhere"
    err = runner.run("migrate", code=UNAVAILABLE, DATABASE_URL=url)
    assert err.count("\n") == 1 and "cannot be reached" in err and "hunter2" not in err


@pytest.mark.parametrize("url", ["postgre://me:hunter2@host/name", "", "dbname=x nonsense=hunter2"])
def test_a_wrong_url_is_said_and_not_shown(runner, url):
    err = runner.run("migrate", code=CONFIG, DATABASE_URL=url)
    assert "DATABASE_URL" in err and "hunter2" not in err


@pytest.mark.parametrize("words", [[], ["nonsense"], ["migration"], ["migration", "new"], ["db"],
                                   ["rollback", "0"], ["rollback", "x"], ["rollback", "1", "2"],
                                   ["migrate", "--yes"], ["rollback", "99999999999999999999"]])
def test_words_that_make_no_sense_are_answered_with_the_usage(runner, words):
    assert runner.run(*words, code=USAGE).startswith("usage: ugtj migrate")


def test_reads_the_database_url_from_the_env_file(runner):
    runner.three()
    (runner.folder / ".env").write_text(f"DATABASE_URL='{runner.url}'\n")
    environment = runner.environment()
    del environment["DATABASE_URL"]
    subprocess.run([RUNNER, "migrate"], env=environment, cwd=runner.folder, check=True,
                   stdout=subprocess.DEVNULL)
    assert runner.applied() == [1, 2, 3]
