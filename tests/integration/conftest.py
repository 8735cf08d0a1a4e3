"""Fixtures of the tests that need a database: one server for all of them, a fresh database for each."""
import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.gateway import Gateway  # noqa: E402
from support.pg import Postgres, apply_migrations  # noqa: E402
from support.store import Database, Store  # noqa: E402

TEMPLATE = "migrated"
numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL for tests that leave it running."""
    with Postgres() as one:
        apply_migrations(one.create_database(TEMPLATE))
        yield one


@pytest.fixture
def database(server):
    """A migrated database."""
    name = f"t{next(numbers)}"
    server.create_database(name, TEMPLATE)
    one = Database(server, name)
    yield one
    one.close()
    server.drop_database(name)


@pytest.fixture
def store(database):
    """The store actor alone, on that database, with the BFF's webhook asked for."""
    with Store(database.url) as one:
        yield one


@pytest.fixture(scope="module")
def unsteady_server():
    with Postgres() as one:
        apply_migrations(one.create_database(TEMPLATE))
        yield one


@pytest.fixture
def postgres(unsteady_server):
    """A PostgreSQL that the test may stop and start, with a migrated database of its own."""
    if unsteady_server.process is None:
        unsteady_server.start()
    unsteady_server.wait_ready()
    unsteady_server.database = f"t{next(numbers)}"
    unsteady_server.create_database(unsteady_server.database, TEMPLATE)
    yield unsteady_server


@pytest.fixture
def gateway(request):
    """Started, with peers that hear and say nothing."""
    with Gateway(**getattr(request, "param", {})) as actor:
        for name in ("store", "hh_client", "scheduler", "telemetry", "rate_limiter", "submitter"):
            actor.fake(name)
        actor.start()
        yield actor
