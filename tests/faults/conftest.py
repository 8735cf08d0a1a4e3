"""Fixtures of the fault tests: each starts the real tree on a cluster and a simulator of its own."""
import sys
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.person import Listener, Person  # noqa: E402
from support.pg import Postgres  # noqa: E402
from support.system import Simulator, Subscriber, System  # noqa: E402


@pytest.fixture(scope="session")
def cluster():
    with Postgres() as one:
        yield one


@pytest.fixture
def postgres(cluster):
    """A database of the test's own; the test may stop and start the server."""
    name = f"test_{uuid.uuid4().hex}"
    cluster.create_database(name)
    cluster.database = name
    yield cluster
    if cluster.process is None:
        cluster.start()
    cluster.drop_database(name)


@pytest.fixture
def simulator(request):
    """HH. A test may ask for options: @pytest.mark.simulator("--vacancies", 200)."""
    marker = request.node.get_closest_marker("simulator")
    sim = Simulator("--vacancies", 5000, "--max-rps", 0, *(marker.args if marker else ()))
    yield sim
    sim.stop()


@pytest.fixture
def system(postgres, simulator, request):
    """A running system. A test may ask for settings: @pytest.mark.settings(HH_MAX_RPS=3). It ends with
    an ordered stop that leaves nothing behind, unless the test failed."""
    marker = request.node.get_closest_marker("settings")
    one = System(postgres, simulator, **(marker.kwargs if marker else {}))
    launcher = request.node.get_closest_marker("launcher")
    one.launcher = list(launcher.args) if launcher else []
    try:
        yield one.start()
        if one.process.poll() is None:
            one.stop()
    finally:
        one.close()


@pytest.fixture
def user():
    return str(uuid.uuid4())


@pytest.fixture
def subscriber(system, user):
    one = Subscriber(system, user, after=0)
    one.connected.wait(20)
    yield one
    one.close()


def pytest_configure(config):
    config.addinivalue_line("markers", "settings(**values): settings of the system under test")
    config.addinivalue_line("markers", "launcher(*words): what the server is run by")
    config.addinivalue_line("markers", "simulator(*options): options of HH's simulator")


@pytest.fixture
def person(system, postgres):
    one = Person(lambda: system.url, postgres)
    yield one
    one.close()


@pytest.fixture
def listener(system, person):
    one = Listener(lambda: system.ws_url, person.user)
    yield one
    one.close()
