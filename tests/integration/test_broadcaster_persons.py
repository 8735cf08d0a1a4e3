"""The broadcaster alone: whose events a subscriber may hear, and the events of a person's own doings."""
import json
import time

import pytest
from support.broadcaster import Broadcaster, greeting, hear, nothing_more, run
from support.http_server import HttpServer
from support.session_token import PERSON, SESSION_BASE, token
from websockets.exceptions import InvalidStatusCode

OTHER = "11111111-5c1f-4c3e-8a2b-0123456789ab"
KEY = {"SECRET_KEY_BASE": SESSION_BASE}
TYPES = ["application_progress", "application_completed", "rate_limit_update", "customization_progress",
         "hh_login_required"]


@pytest.fixture
def broadcaster():
    with Broadcaster(KEY) as actor:
        yield actor.start()


def refusal(broadcaster, query):
    async def scenario():
        try:
            async with broadcaster.connect(query):
                return None
        except InvalidStatusCode as error:
            return error.status_code
    return run(scenario())


def test_a_token_names_its_user(broadcaster):
    async def scenario():
        async with broadcaster.connect(f"clientId=c&userId={OTHER}&token={token()}") as ws:
            assert (await greeting(ws))["userId"] == PERSON
            broadcaster.happen(topic=f"user:{OTHER}")
            broadcaster.happen(topic=f"user:{PERSON}", payload={"jobs": [], "stats": {}})
            assert (await hear(ws))["jobs"] == []
            await nothing_more(ws)
    run(scenario())
    assert token() not in broadcaster.log


@pytest.mark.parametrize("bad", [token(base="another key base of some length"), token(alg="none"),
                                 token(issued=int(time.time()) - 4000), "x", "%zz", "a" * 1025],
                         ids=range(6))
def test_a_token_that_is_none_lets_nobody_in(broadcaster, bad):
    assert refusal(broadcaster, f"userId={PERSON}&token={bad}") == 401


def test_who_names_a_user_is_let_in_unless_a_token_is_demanded(broadcaster):
    assert refusal(broadcaster, f"userId={PERSON}") is None
    assert refusal(broadcaster, f"userId={PERSON}&token=") is None
    with Broadcaster({**KEY, "REQUIRE_WS_TOKEN": "true"}) as strict:
        strict.start()
        assert refusal(strict, f"userId={PERSON}") == 401
        assert refusal(strict, "clientId=c") is None
        assert refusal(strict, f"token={token()}") is None


@pytest.mark.parametrize("type_", TYPES)
def test_a_persons_events_have_data_and_timestamp(broadcaster, type_):
    data = {"workflow_id": "w", "total": 2, "current_job": None, "words": "Ё"}

    async def scenario():
        async with broadcaster.connect(f"userId={PERSON}") as ws:
            await greeting(ws)
            broadcaster.happen(topic=f"user:{PERSON}", type=type_, payload={
                "data": data, "timestamp": "2026-01-01T00:00:00.000Z"})
            assert await hear(ws) == {"type": type_, "data": data, "event_id": 1,
                                      "timestamp": "2026-01-01T00:00:00.000Z"}
    run(scenario())


def test_the_bff_hears_of_new_jobs_only():
    """The store asks for no webhook for them; if one came all the same, it is not sent."""
    with HttpServer() as bff, Broadcaster({
            **KEY, "API_BASE_URL": bff.url, "ORCHESTRATOR_SECRET": "orchestrator-secret"}) as actor:
        actor.start()
        topic = f"user:{PERSON}"
        for type_ in TYPES:
            actor.happen(topic=topic, type=type_, payload={"data": {}, "timestamp": "T"})
        actor.happen(topic=topic, payload={"jobs": [{"id": "7", "title": "C"}], "stats": {}})
        actor.wait_for(lambda: actor.store.told.get((topic, len(TYPES) + 1)), what="the last is told")
        assert [json.loads(r.body)["jobs"][0]["id"] for r in bff.requests] == ["7"]
