"""The broadcaster's webhook against a real HTTP server: what the BFF gets, and when it gets it again."""
import asyncio
import json
import socket
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.fake_store import FakeStore  # noqa: E402
from support.harness import Actor, Refuse  # noqa: E402
from support.http_server import HttpServer  # noqa: E402

SECRET = "the secret of the orchestrator"
USER = "0f8fad5b-d9cb-469f-a165-70867728950e"
TOPIC = f"user:{USER}"
OK = (200, {"ok": True}, {})


class Broadcaster(Actor):
    def __init__(self, api_base_url):
        super().__init__("broadcaster", settings={
            "WS_PORT": 0, "ORCHESTRATOR_SECRET": SECRET,
            **({"API_BASE_URL": api_base_url} if api_base_url else {})})
        self.store = FakeStore()
        self.peer = self.fake("store", self.store.answer)

    def happen(self, topic=TOPIC, type="new_jobs", payload=None):
        event = self.store.add(topic, type, payload)
        self.cast("events.changed", event)
        return event["seq"]

    def wait_results(self, count, timeout=10):
        self.peer.wait_received("store.webhook_result", count, timeout)
        return self.store.results


@pytest.fixture
def bff():
    with HttpServer() as server:
        yield server


@pytest.fixture
def broadcaster(bff):
    with Broadcaster(bff.url + "/") as actor:
        yield actor.start()
        assert SECRET not in actor.log


def scripted(*answers):
    """Answers in a row; the last one for ever."""
    rest = list(answers)
    return lambda request: rest.pop(0) if len(rest) > 1 else rest[0]


def job_ids(request):
    return [job["id"] for job in json.loads(request.body)["jobs"]]


def test_the_bff_gets_what_it_takes(bff, broadcaster):
    full = {"id": "17", "hh_vacancy_id": "17", "title": "Инженер", "company": "ООО", "salary": "from 1 RUR",
            "area": "Москва", "url": "https://hh.ru/vacancy/17", "skills": ["C"], "description": "d",
            "has_test": False, "test_required": False, "employer_id": "3"}
    bare = {"id": "18", "title": "T", "company": None, "salary": None, "area": None, "url": None,
            "description": ""}
    bad = [{"id": 19, "title": "no text for an id"}, {"id": "20"}, None, 7]
    broadcaster.happen(payload={"jobs": [full, bare, *bad], "stats": {"total": 2, "best": None}})
    request, = bff.wait(1)
    assert (request.method, request.path) == ("POST", "/api/v1/jobs/broadcast")
    assert request.headers["X-Core-Secret"] == SECRET
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {
        "jobs": [
            {"id": "17", "externalId": "17", "title": "Инженер", "company": "ООО",
             "salary": "from 1 RUR", "area": "Москва", "url": "https://hh.ru/vacancy/17",
             "description": "d", "source": "hh.ru", "userId": USER},
            {"id": "18", "externalId": "18", "title": "T", "description": "", "source": "hh.ru",
             "userId": USER}],
        "stats": {"total": 2}}
    assert broadcaster.wait_results(1) == [{"topic": TOPIC, "seq": 1, "delivered": True}]
    assert broadcaster.call("broadcaster.state")["webhook_delivered"] == 1


@pytest.mark.parametrize("answer", [OK, (200, {"ok": True, "delivered": 3}, {}), (201, "x", {}),
                                    (204, None, {})])
def test_every_2xx_is_a_success(bff, broadcaster, answer):
    bff.answer = lambda request: answer
    broadcaster.happen()
    assert broadcaster.wait_results(1)[0]["delivered"]
    assert len(bff.requests) == 1


def test_a_topic_stays_in_order_and_topics_do_not_wait_for_each_other(bff, broadcaster):
    async def slow_then_fast(request):
        await asyncio.sleep(0.02 if job_ids(request)[0] == "1" else 0)
        return OK
    bff.answer = slow_then_fast
    topics = [f"user:{USER[:-1]}{d}" for d in "0123456789abcdef"]
    for _ in range(10):
        for topic in topics:
            broadcaster.happen(topic)
    broadcaster.wait_results(160, 20)
    for topic in topics:
        ids = [job_ids(r)[0] for r in bff.requests
               if json.loads(r.body)["jobs"][0]["userId"] == topic[5:]]
        assert ids == [str(n) for n in range(1, 11)]


def test_a_failure_is_tried_again_and_holds_up_its_topic_only(bff, broadcaster):
    other = f"user:{USER[:-1]}0"
    fails = scripted((500, {}, {}), (503, {}, {}), OK)
    bff.answer = lambda request: fails(request) if '"first"' in request.body else OK
    broadcaster.happen(payload={"jobs": [{"id": "first", "title": "t"}], "stats": {}})
    broadcaster.happen(payload={"jobs": [{"id": "second", "title": "t"}], "stats": {}})
    broadcaster.happen(other)
    results = broadcaster.wait_results(5)
    mine = [r for r in results if r["topic"] == TOPIC]
    assert [(r["seq"], r["delivered"]) for r in mine] == [
        (1, False), (1, False), (1, True), (2, True)]
    assert 500 <= mine[0]["retry_in_ms"] <= 1000 and mine[0]["problem"].startswith("HTTP 500")
    assert 1000 <= mine[1]["retry_in_ms"] <= 2000
    assert results.index({"topic": other, "seq": 1, "delivered": True}) < 2
    sent = [r for r in bff.requests if '"first"' in r.body]
    assert sent[1].at - sent[0].at < 3, "it is woken when the event is due again"
    state = broadcaster.call("broadcaster.state")
    assert (state["webhook_delivered"], state["webhook_failed"]) == (3, 2)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(bff, broadcaster, status):
    bff.answer = scripted((status, {}, {"Retry-After": "2"}), OK)
    broadcaster.happen()
    assert broadcaster.wait_results(1)[0]["retry_in_ms"] == 2000
    broadcaster.happen(f"user:{USER[:-1]}0")  # nor is anything else sent before
    broadcaster.wait_results(3)
    first, *rest = bff.requests
    assert all(r.at - first.at > 1.9 for r in rest)


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_an_event_that_is_refused_does_not_block_its_topic(bff, broadcaster, status):
    bff.answer = scripted((status, {"error": "jobs.0.title"}, {}), OK)
    broadcaster.happen()
    broadcaster.happen()
    refused, taken = broadcaster.wait_results(2)
    assert refused["delivered"] and refused["problem"] == f'HTTP {status}: {{"error": "jobs.0.title"}}'
    assert taken == {"topic": TOPIC, "seq": 2, "delivered": True}
    assert "webhook.refused" in broadcaster.log


@pytest.mark.parametrize("status", [401, 403, 404, 408, 425, 301, 502])
def test_what_settings_or_time_can_mend_is_tried_again(bff, broadcaster, status):
    bff.answer = scripted((status, {}, {}), OK)
    broadcaster.happen()
    assert [r["delivered"] for r in broadcaster.wait_results(2)] == [False, True]


def test_a_bff_that_does_not_answer_is_given_up_after_ten_seconds(bff, broadcaster):
    async def hang(request):
        await asyncio.sleep(60 if len(bff.requests) == 1 else 0)
        return OK
    bff.answer = hang
    start = time.monotonic()
    broadcaster.happen()
    failed, taken = broadcaster.wait_results(2, 20)
    assert not failed["delivered"] and "imeout" in failed["problem"]
    assert taken["delivered"]
    assert 10 < time.monotonic() - start < 14


def test_a_bff_that_is_down_is_not_hammered_and_gets_all_when_it_is_back():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    topics = [f"user:{i:08x}{USER[8:]}" for i in range(100)]
    with Broadcaster(f"http://127.0.0.1:{port}") as broadcaster:
        for topic in topics:
            broadcaster.store.add(topic)
        broadcaster.start()
        broadcaster.wait_for(lambda: "webhook.bff_fails" in broadcaster.log)
        broadcaster.wait_results(33)  # those that were under way together, and the first probe
        tried = len(broadcaster.store.results)
        assert tried < 40, f"{tried} tries: those after the first 32 are probes"
        with HttpServer(port=port) as bff:
            bff.wait(100, 30)
            broadcaster.wait_for(lambda: sum(r["delivered"] for r in broadcaster.store.results) == 100)
            assert sorted({json.loads(r.body)["jobs"][0]["userId"] for r in bff.requests}) == [
                t[5:] for t in topics]
        assert "webhook.bff_answers" in broadcaster.log


def test_only_vacancies_are_sent(bff, broadcaster):
    broadcaster.happen(type="application_progress", payload={"completed": 1})
    broadcaster.happen(payload={"nothing": "to tell"})
    broadcaster.happen(payload="[]")
    broadcaster.happen()
    results = broadcaster.wait_results(4)
    assert [(r["seq"], r["delivered"], r.get("problem")) for r in results] == [
        (1, True, None), (2, True, "the event has no jobs"), (3, True, "the event has no jobs"),
        (4, True, None)]
    assert [job_ids(r) for r in bff.requests] == [["4"]]


def test_a_result_that_could_not_be_noted_is_noted_later(bff, broadcaster):
    broadcaster.store.broken["store.webhook_result"] = lambda: Refuse("unavailable")
    broadcaster.happen()
    broadcaster.peer.wait_received("store.webhook_result", 2)
    broadcaster.store.broken.clear()
    broadcaster.wait_for(lambda: broadcaster.store.results)
    assert len(bff.requests) == 1


def test_what_happened_while_the_store_was_away_is_sent(bff, broadcaster):
    broadcaster.peer.down()
    broadcaster.happen()
    broadcaster.peer.up()
    bff.wait(1)
    assert broadcaster.wait_results(1)[0]["delivered"]


def test_without_a_bff_nothing_is_claimed():
    with Broadcaster(None) as broadcaster:
        broadcaster.start()
        broadcaster.happen()
        assert broadcaster.call("broadcaster.state")["webhook_delivered"] == 0
        assert not broadcaster.peer.received("store.webhook_claim")


def test_a_stop_gives_back_what_the_bff_did_not_take(bff):
    async def hang(request):
        await asyncio.sleep(60)
    bff.answer = hang
    with Broadcaster(bff.url) as broadcaster:
        broadcaster.start()
        broadcaster.happen()
        bff.wait(1)
        start = time.monotonic()
        broadcaster.stop()
        assert time.monotonic() - start < 2.5
        result, = broadcaster.store.results
        assert (result["delivered"], result["retry_in_ms"]) == (False, 0)
