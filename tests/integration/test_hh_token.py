"""hh_client's application token: fetched once for all nodes, sealed in the store, replaced when HH
revokes it, and what callers hear when there is none."""
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.harness import NO_ANSWER, Refuse  # noqa: E402
from support.hh import Hh, HhClient, Secrets, failure  # noqa: E402
from support.system import wait_for  # noqa: E402

USER = "0f8fad5b-d9cb-469f-a165-70867728950e"
APPLICATION_TOKEN = re.compile(r"APPL[0-9A-F]{60}")


@pytest.fixture(scope="module")
def the_hh():
    one = Hh()
    yield one
    one.stop()


@pytest.fixture
def hh(the_hh):
    """HH, which last gave a token to the application long ago."""
    the_hh.control("clock", {"advance_s": 400})
    return the_hh.fresh()


@pytest.fixture
def secrets():
    return Secrets()


def fetches(hh):
    return hh.requests("/token")


def revoke(hh, long_ago=True):
    """HH ends the application's token, and would give another one."""
    hh.control("tokens", {"kind": "app"})
    if long_ago:
        hh.control("clock", {"advance_s": 400})


def test_the_token_is_fetched_once_and_kept_sealed(hh, secrets):
    with HhClient(hh, secrets) as client:
        client.start()
        calls = [client.search(f"q{i}") for i in range(10)]
        assert all("jobs" in call.result() for call in calls)
        [fetch] = fetches(hh)
        assert fetch["form_fields"] == ["client_id", "client_secret", "grant_type"]
        assert fetch["headers"]["User-Agent"] and "Authorization" not in fetch["headers"]
        assert {r["token"] for r in hh.requests("/vacancies")} == {"app"}
        wait_for(lambda: secrets.version == 1, what="it is kept")
        [put] = secrets.puts
        assert put["name"] == "hh_app_token" and len(put["key_id"]) == 16
        assert "APPL" not in put["ciphertext"]
        assert not APPLICATION_TOKEN.search(client.log) and "demo-secret" not in client.log


def test_a_restart_opens_the_kept_one(hh, secrets):
    for generation in (1, 2, 3):
        with HhClient(hh, secrets, generation=generation) as client:
            client.start()
            assert client.search("").result()["jobs"]
            wait_for(lambda: secrets.version == 1)
    assert len(fetches(hh)) == 1


def test_nodes_share_it(hh, secrets):
    nodes = [HhClient(hh, secrets, NODE_NAME=f"node-{i}") for i in range(4)]
    try:
        for node in nodes:
            node.start()
        with ThreadPoolExecutor() as pool:
            for page in pool.map(lambda node: node.search("").result(15), nodes):
                assert page["jobs"]
        assert len(fetches(hh)) == 1
        revoke(hh)
        with ThreadPoolExecutor() as pool:
            for page in pool.map(lambda node: node.search("").result(15), nodes):
                assert page["jobs"]
        assert len(fetches(hh)) == 2 and secrets.version == 2
        for node in nodes:
            node.stop()
    finally:
        for node in nodes:
            node.close()


def test_a_revoked_token_is_replaced_once_however_many_meet_it(hh, secrets):
    with HhClient(hh, secrets) as client:
        client.start()
        client.search("").result()
        wait_for(lambda: secrets.version == 1)
        revoke(hh)
        calls = [client.search(f"q{i}") for i in range(12)]
        assert all("jobs" in call.result() for call in calls)
        assert len(fetches(hh)) == 2
        wait_for(lambda: secrets.version == 2)
        assert client.state()["circuit"] == "closed"


def test_one_that_fails_again_is_an_answer(hh, secrets):
    with HhClient(hh, secrets) as client:
        client.start()
        client.search("").result()
        hh.fault("token_revoked", path="/vacancies")
        hh.control("clock", {"advance_s": 400})
        failed = failure(client.search("x"))
        assert failed.code == "hh_auth" and "revoked" in failed.message
        assert len(hh.requests("/vacancies")) == 3  # the good one, the bad one, once more


def test_too_early_for_another_is_said_in_words(hh, secrets):
    with HhClient(hh, secrets) as client:
        client.start()
        client.search("").result()
        wait_for(lambda: secrets.version == 1)
        revoke(hh, long_ago=False)
        for call in (client.search("x"), client.fetch("y", USER)):
            failed = failure(call)
            assert failed.code == "hh_auth" and "too early" in failed.message
            assert 50000 < failed.retry_after_ms <= 60000
        assert "too early" in client.wait_degraded()
        assert len(fetches(hh)) == 2  # it does not insist


@pytest.mark.parametrize("wrong", [{"HH_CLIENT_ID": "nobody"}, {"HH_CLIENT_SECRET": "wrong"}],
                         ids=lambda wrong: list(wrong)[0])
def test_a_wrong_client_is_said_in_words(hh, secrets, wrong):
    with HhClient(hh, secrets, **wrong) as client:
        client.start()
        for call in (client.search("x"), client.fetch("y", USER)):
            failed = failure(call)
            assert failed.code == "hh_auth" and "found" in failed.message
        assert "HH gives our application no token" in client.wait_degraded()
        assert secrets.puts == [] and len(fetches(hh)) == 1


@pytest.mark.parametrize("kind", ["503", "reset", "empty", "ddos_guard", "429"])
def test_a_failing_token_endpoint_is_asked_again(hh, secrets, kind):
    hh.fault(kind, path="/token", count=2)
    with HhClient(hh, secrets) as client:
        client.start()
        assert client.fetch("x", USER).result(20)["found"] == 0
        assert len(fetches(hh)) == 3


def test_while_the_store_is_away_what_is_held_is_used(hh, secrets):
    with HhClient(hh, secrets) as client:
        client.start()
        client.search("").result()
        wait_for(lambda: secrets.version == 1)
        client.store.down()
        assert client.search("again").result()["found"] == 0


def test_without_the_store_there_is_no_token_and_schedules_wait(hh, secrets):
    with HhClient(hh, secrets) as client:
        client.store.answers = lambda request: Refuse("unavailable", "the database is down")
        client.start()
        patient = client.fetch("x", USER)
        client.store.wait_received("store.secret_claim")
        wait_for(lambda: "token.none" in client.log)
        failed = failure(client.search("y"))
        assert failed.code == "unavailable" and failed.retry_after_ms <= 1000
        assert hh.requests() == []
        client.store.answers = secrets.answers()
        assert patient.result()["found"] == 0


def test_a_token_that_cannot_be_kept_yet_is_used_and_kept_later(hh, secrets):
    answers = secrets.answers()
    answers["store.secret_put"] = lambda request: Refuse("unavailable", "the database is down")
    with HhClient(hh, secrets) as client:
        client.store.answers = answers
        client.start()
        assert client.search("").result()["jobs"]
        client.store.wait_received("store.secret_put", 2)
        client.store.answers = secrets.answers()
        wait_for(lambda: secrets.version == 1, what="it is kept")
        assert len(fetches(hh)) == 1


def test_a_stop_waits_for_the_token_to_be_kept(hh, secrets):
    answers = secrets.answers()
    answers["store.secret_put"] = NO_ANSWER
    with HhClient(hh, secrets) as client:
        client.store.answers = {**answers, "store.secret_put": None}
        client.start()
        assert client.search("").result()["jobs"]
        put = client.store.next("store.secret_put")
        client.terminate()
        assert client.running()
        put.reply(secrets.put(put))
        assert client.wait_exit(2) == 0


def test_waits_while_another_node_fetches(hh, secrets):
    secrets.node = "another"
    with HhClient(hh, secrets, NODE_NAME="this") as client:
        client.start()
        call = client.search("")
        client.store.wait_received("store.secret_claim", 2)
        assert fetches(hh) == [] and not call.done()
        secrets.node = "this"  # the other one's right to fetch is over
        assert call.result()["jobs"]
        assert len(fetches(hh)) == 1


def test_what_another_key_sealed_is_replaced(hh, secrets):
    with HhClient(hh, secrets) as client:
        client.start()
        client.search("").result()
        wait_for(lambda: secrets.version == 1)
    hh.control("clock", {"advance_s": 400})
    with HhClient(hh, secrets, generation=2, ENCRYPTION_KEY="another key, 16+ chars") as client:
        client.start()
        assert client.search("").result()["jobs"]
        wait_for(lambda: secrets.version == 2)
        assert len(fetches(hh)) == 2


def test_a_kept_secret_that_was_tampered_with_is_replaced(hh, secrets):
    secrets.version, secrets.sealed, secrets.key_id = 5, "AQIDBAUG" * 20, "0123456789abcdef"
    with HhClient(hh, secrets) as client:
        client.start()
        assert client.search("").result()["jobs"]
        wait_for(lambda: secrets.version == 6)


def test_the_token_endpoint_may_be_elsewhere(hh, secrets):
    with HhClient(hh, secrets, HH_TOKEN_URL=f"{hh.url}/oauth/token") as client:
        client.start()
        assert client.search("").result()["jobs"]
        assert len(hh.requests("/oauth/token")) == 1 and fetches(hh) == []


def test_the_token_counts_in_the_pace(secrets):
    hh = Hh("--max-rps", 1)
    try:
        with HhClient(hh, secrets, HH_MAX_RPS=1) as client:
            client.start()
            client.search("one").result()
            client.search("two").result()
            stats = hh.stats()
            assert stats["requests"] == 3 and stats["too_many_requests"] == 0
    finally:
        hh.stop()


def test_nothing_secret_is_in_a_failure(hh, secrets):
    with tempfile.TemporaryDirectory() as folder, HhClient(hh, secrets, run_dir=folder) as client:
        client.start()
        client.search("").result()
        hh.fault("token_expired", path="/vacancies")
        told = str(failure(client.search("x")).failure)
        assert "APPL" not in told and "demo-secret" not in told
        assert not APPLICATION_TOKEN.search(client.log)
