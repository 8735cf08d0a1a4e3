"""A private PostgreSQL for tests: made in a temporary directory, on a Unix socket only.

    with Postgres() as pg:                      # or Postgres() and pg.close()
        apply_migrations(pg.url)                # of the database that is there from the start
        other = pg.create_database("other")     # the URL of one more
        pg.stop("immediate")                    # as a crash would
        pg.start()

The server runs as the user `postgres` when the tests run as root, since PostgreSQL refuses to be root.
It dies with the process that made it.
"""

import ctypes
import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg2

MIGRATIONS = pathlib.Path(__file__).resolve().parents[2] / "migrations"
SUPERUSER = "ugtj"
DATABASE = "ugtj"
PR_SET_PDEATHSIG = 1

SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "log_line_prefix": "%m [%p] %a ",
}


def bin_dir():
    """The directory of the newest installed server."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda d: int(d.split("/")[-2]))
    if found:
        return found[-1]
    return os.path.dirname(shutil.which("initdb") or "/usr/bin/initdb")


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


class Postgres:
    """A running server. `settings` are added to (or replace) those above."""

    def __init__(self, **settings):
        self.settings = {**SETTINGS, **settings}
        self.root = tempfile.mkdtemp(prefix="ugtj-pg-")
        self.data = os.path.join(self.root, "data")
        self.log = os.path.join(self.root, "log")
        self.database = DATABASE    # what url and connect() mean
        self.process = None
        self._as_user = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.root, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chmod(self.root, 0o755)
        try:
            self._init()
            self.start()
            self.create_database(self.database)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _init(self):
        subprocess.run(
            [f"{bin_dir()}/initdb", "--no-sync", "-A", "trust", "-U", SUPERUSER, "-E", "UTF8",
             "--locale=C.UTF-8", "-D", self.data],
            check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as_user)

    def start(self, timeout_s=30):
        """Starts the server and waits until it answers."""
        assert self.process is None
        options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [f"{bin_dir()}/postgres", "-D", self.data, "-k", self.root, *options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/",
                preexec_fn=_die_with_parent, **self._as_user)
        self.wait_ready(timeout_s)

    def wait_ready(self, timeout_s=30):
        """Waits until the server answers, e.g. after a crash of one of its processes."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                psycopg2.connect(self.url_of("postgres")).close()
                return
            except psycopg2.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    with open(self.log, encoding="utf-8", errors="replace") as log:
                        raise RuntimeError("PostgreSQL did not start:\n" + log.read()[-4000:]) from None
                time.sleep(0.02)

    def stop(self, mode="fast", timeout_s=30):
        """Stops the server: `smart`, `fast`, or `immediate` (as a crash would)."""
        if self.process is None:
            return
        signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self.process.send_signal(signals[mode])
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process = None

    def close(self):
        """Stops the server and removes all that it had."""
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    def url_of(self, database):
        """The URL of `database`: for DATABASE_URL, psql and psycopg2 alike."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.root}&port=5432"

    @property
    def url(self):
        return self.url_of(self.database)

    def connect(self, database=None):
        """A psycopg2 connection with autocommit."""
        connection = psycopg2.connect(self.url_of(database or self.database))
        connection.autocommit = True
        return connection

    def create_database(self, name, template="template1"):
        """Makes the database `name`, a copy of `template`, and returns its URL."""
        self._administer(f'create database "{name}" template "{template}"')
        return self.url_of(name)

    def drop_database(self, name):
        self._administer(f'drop database if exists "{name}" with (force)')

    def _administer(self, statement):
        connection = self.connect("postgres")
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()


def migration_files(direction="up"):
    """The migrations' files in the order in which they are applied."""
    return sorted(MIGRATIONS.glob(f"*.{direction}.sql"), reverse=direction == "down")


def apply_migrations(url, direction="up"):
    """Runs all migrations as they are, each in a transaction; for tests that are not about the runner.
    Of the runner's table the store reads the versions alone."""
    connection = psycopg2.connect(url)
    try:
        for path in migration_files(direction):
            with connection, connection.cursor() as cursor:
                cursor.execute(path.read_text(encoding="utf-8"))
        with connection, connection.cursor() as cursor:
            if direction == "up":
                cursor.execute("create table schema_migrations as select unnest(%s) as version",
                               ([int(path.name[:4]) for path in migration_files("up")],))
            else:
                cursor.execute("drop table schema_migrations")
    finally:
        connection.close()
