"""hh_client against the HH simulator: what is found, what is asked, and what happens when HH misbehaves."""
import json
import shutil
import ssl
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.hh import AGENT, Hh, HhClient, OddServer, failure, gzip_bomb, send  # noqa: E402
from support.system import wait_for  # noqa: E402

A, B, C = (f"{letter * 8}-0000-4000-8000-000000000000" for letter in "abc")
EMPTY_PAGE = b'{"items":[],"found":0,"pages":0,"page":0,"per_page":100}'


@pytest.fixture(scope="module")
def the_hh():
    one = Hh()
    yield one
    one.stop()


@pytest.fixture
def hh(the_hh):
    return the_hh.fresh()


@pytest.fixture
def client(hh):
    with HhClient(hh) as one:
        yield one.start()


def query_of(request):
    return [tuple(pair) for pair in request["query"]]


# --- what is found ---------------------------------------------------------------------------------

def test_a_search_gives_jobs(hh, client):
    [vacancy] = hh.publish(name="Оператор плазменного реза", area="1", type="open",
                           salary={"from": 100000, "to": 150000}, requirement="Знание <i>ЧПУ</i>",
                           responsibility="Резать &amp; гнуть", employer={"id": "7", "name": "Завод"},
                           published_at="2026-01-31T12:00:00+0300", has_test=True)
    page = client.search("плазменного").result()
    assert page["found"] == 1 and page["page"] == 0 and page["pages"] == 1
    [job] = page["jobs"]
    assert job == {
        "id": vacancy, "hh_vacancy_id": vacancy, "title": "Оператор плазменного реза",
        "company": "Завод", "employer_id": "7", "salary": "100000-150000 RUR", "area": "Москва",
        "url": job["url"], "skills": [], "description": job["description"], "has_test": True,
        "test_required": False, "published_at": "2026-01-31T09:00:00Z"}
    assert "ЧПУ\n" in job["description"] and "Резать & гнуть" in job["description"]
    assert "<" not in job["description"]


def test_a_search_pages(client):
    first = client.search("", per_page=50).result()
    second = client.search("", per_page=50, page=1).result()
    assert len(first["jobs"]) == len(second["jobs"]) == 50
    assert second["page"] == 1 and first["pages"] == -(-first["found"] // 50)
    assert not {j["id"] for j in first["jobs"]} & {j["id"] for j in second["jobs"]}


def test_nothing_found_is_an_empty_page(client):
    page = client.search("нетнетнетнет").result()
    assert page["jobs"] == [] and page["found"] == 0 and page["pages"] == 0


def test_details_are_plain_text_with_skills(hh, client):
    [vacancy] = hh.publish(description="<p>Кто:</p><ul><li>токарь &mdash; 6 разряд</li></ul>",
                           key_skills=["ЧПУ", "Чертежи"], archived=False)
    job = client.call("jobs.get", {"id": vacancy})["job"]
    assert job["description"] == "Кто:\n\n- токарь — 6 разряд"
    assert job["skills"] == ["ЧПУ", "Чертежи"]
    assert job["full_description_loaded"] is True and "archived" not in job
    hh.control("archive", {"ids": [vacancy]})
    assert client.call("jobs.get", {"id": vacancy})["job"]["archived"] is True


def test_every_vacancy_of_the_simulator_can_be_read(hh, client):
    for page in range(4):
        for job in client.search("", page=page).result()["jobs"][::10]:
            assert client.call("jobs.get", {"id": job["id"]})["job"]["title"] == job["title"]


def test_an_unknown_vacancy_is_not_found(client):
    failed = failure(client.call_async("jobs.get", {"id": "999999999999"}))
    assert failed.code == "not_found"
    details = json.loads(failed.failure["details"])
    assert details["http_status"] == 404 and details["errors"] == [{"type": "not_found"}]
    assert details["request_id"]


@pytest.mark.parametrize("vacancy", ["x", "1/../me", "1?a=b", "-1", "1 "])
def test_an_id_that_is_no_number_is_not_asked_for(hh, client, vacancy):
    failed = failure(client.call_async("jobs.get", {"id": vacancy}))
    assert (failed.code, failed.field) == ("bad_request", "id")
    assert hh.requests() == []


def test_beyond_hhs_depth_is_refused(hh, client):
    for body in ({"page": 20}, {"page": 1999, "per_page": 2}, {"page": 40, "per_page": 50}):
        failed = failure(client.call_async("jobs.search", body))
        assert (failed.code, failed.field) == ("bad_request", "page")
    assert client.call("jobs.search", {"page": 19})["page"] == 19
    assert len(hh.requests()) == 1


# --- what is asked -----------------------------------------------------------------------------------

def test_a_search_is_sent_as_hh_wants_it(hh, client):
    client.search("C++ & Go", area=["2", "1"], experience=["between1And3"], salary=100000,
                  currency="RUR", only_with_salary=True, period=7, page=1, per_page=20).result()
    [request] = hh.requests()
    assert request["method"] == "GET" and request["path"] == "/vacancies"
    assert query_of(request) == [
        ("text", "C++ & Go"), ("area", "1"), ("area", "2"), ("experience", "between1And3"),
        ("salary", "100000"), ("currency", "RUR"), ("only_with_salary", "true"), ("period", "7"),
        ("page", "1"), ("per_page", "20")]
    assert request["headers"]["User-Agent"] == AGENT
    assert request["headers"]["Accept-Encoding"] == "gzip"
    assert request["token"] == "app"


def test_a_scheduled_search_asks_for_what_is_new(hh, client):
    client.fetch("python", A, page=2, date_from_ms=1795565554567).result()
    [request] = hh.requests()
    assert query_of(request) == [
        ("text", "python"), ("order_by", "publication_time"),
        ("date_from", "2026-11-25T00:10:00+0000"), ("page", "2"), ("per_page", "100")]


def test_what_hh_does_not_take_is_handed_on_by_name(hh, client):
    failed = failure(client.search("x", area=["nonsense"]))
    assert (failed.code, failed.field) == ("hh_refused", "area")
    assert "bad_argument/area" in failed.message
    details = json.loads(failed.failure["details"])
    assert details["http_status"] == 400
    assert details["errors"] == [{"type": "bad_argument", "value": "area"}]
    assert len(hh.requests()) == 1


def test_connections_are_kept():
    def answer(handler):
        ports.add(handler.client_address[1])
        send(handler, EMPTY_PAGE)

    ports = set()
    with OddServer(answer) as server, HhClient(server.url) as client:
        client.start()
        for i in range(20):
            client.search(f"q{i}").result()
        assert len(server.seen) == 20 and len(ports) == 1


# --- when HH misbehaves -------------------------------------------------------------------------------

@pytest.mark.parametrize("rule", [
    {"kind": "500"}, {"kind": "502"}, {"kind": "503"}, {"kind": "503", "body": "html"},
    {"kind": "503", "body": "empty"}, {"kind": "reset"}, {"kind": "truncated"},
    {"kind": "truncated", "keep": 0}, {"kind": "malformed"}, {"kind": "empty"},
    {"kind": "ddos_guard"}, {"kind": "429"}, {"kind": "429", "body": "empty"}],
    ids=lambda rule: "-".join(map(str, rule.values())))
def test_what_time_mends_is_tried_again(hh, client, rule):
    hh.fault(**rule, count=2)
    assert client.search("").result(20)["jobs"]
    assert len(hh.requests()) == 3
    state = client.state()
    assert (state["requests"], state["failed"], state["retried"]) == (3, 2, 2)
    assert state["circuit"] == "closed"


@pytest.mark.parametrize("rule", [{"kind": "chunked", "chunk_bytes": 1000},
                                  {"kind": "dribble", "chunk_bytes": 4000, "ms": 20}],
                         ids=lambda rule: rule["kind"])
def test_a_slow_or_chunked_answer_is_an_answer(hh, client, rule):
    hh.fault(**rule, count=1)
    assert client.search("").result()["jobs"]
    assert len(hh.requests()) == 1


def test_retry_after_is_kept_by_everybody(hh, client):
    hh.fault("429", retry_after=2, count=1)
    began = time.monotonic()
    first = client.search("one")
    client.wait_state(failed=1)
    second = client.fetch("two", A)
    first.result()
    second.result()
    times = [r["time"] for r in hh.requests()]
    assert len(times) == 3 and time.monotonic() - began >= 2
    assert all(t - times[0] >= 1.95 for t in times[1:])


def test_a_pause_longer_than_the_callers_patience_is_told_at_once(hh, client):
    hh.fault("429", retry_after=60)
    began = time.monotonic()
    failed = failure(client.search("", within=5))
    assert failed.code == "unavailable" and 55000 <= failed.retry_after_ms <= 60000
    failed = failure(client.search("another", within=5))  # not even asked
    assert failed.code == "unavailable" and failed.retry_after_ms > 50000
    assert time.monotonic() - began < 3 and len(hh.requests()) == 1


def test_no_retry_after_stops_us_for_longer_than_five_minutes(hh, client):
    hh.fault("429", retry_after=86400, count=1)
    failed = failure(client.search("", within=5))
    assert failed.code == "unavailable" and 200_000 < failed.retry_after_ms <= 300_000
    client.wait_for(lambda: client.degraded and "pause" in client.degraded)


def test_a_captcha_is_not_insisted_on(hh, client):
    hh.fault("captcha")
    failed = failure(client.search(""))
    assert failed.code == "hh_captcha"
    assert json.loads(failed.failure["details"])["captcha_url"].startswith("http")
    assert len(hh.requests()) == 1 and client.state()["circuit"] == "closed"


def test_anonymous_callers_are_told_of_the_captcha(hh):
    with HhClient(hh, token=None) as client:
        client.start()
        answers = [client.search(f"q{i}") for i in range(3)]
        codes = {failure(call).code for call in answers[1:]}
        assert codes == {"hh_captcha"}
        assert {r["token"] for r in hh.requests()} == {None}


def test_a_token_of_the_operators_own_has_no_other(hh):
    with HhClient(hh, token="APPLNOBODYSTOKEN") as client:
        client.start()
        assert failure(client.search("")).code == "hh_auth"
        assert failure(client.fetch("x", A)).code == "hh_auth"
        assert len(hh.requests()) == 2
        assert "APPLNOBODYSTOKEN" not in client.log


def test_gives_up_in_time_when_hh_fails_on_and_on(hh, client):
    hh.fault("503", query="text=bad")
    began = time.monotonic()
    failed = failure(client.search("bad", within=3))
    assert failed.code == "unavailable" and failed.retry_after_ms > 0
    assert json.loads(failed.failure["details"])["http_status"] == 503
    assert time.monotonic() - began < 3.1
    assert 2 <= len(hh.requests()) <= 5


def test_never_answers_later_than_the_deadline(hh, client):
    hh.fault("hang", path="/vacancies")
    began = time.monotonic()
    assert failure(client.search("", within=0.7)).code in ("timeout", "unavailable")
    assert time.monotonic() - began < 1.2
    assert client.state()["circuit"] == "closed"  # our haste says nothing about HH


def test_an_answer_without_end_is_cut_off(hh, client):
    hh.fault("huge", mb=200, count=1)
    before = client.peak_kb()
    failed = failure(client.search(""))
    assert failed.code == "hh_refused" and "larger" in failed.message
    assert client.peak_kb() - before < 30000
    assert client.search("").result()["jobs"]


def test_a_gzip_bomb_is_cut_off():
    bomb = gzip_bomb(64)
    with OddServer(lambda handler: send(handler, bomb, Content_Encoding="gzip")) as server, \
            HhClient(server.url) as client:
        client.start()
        before = client.peak_kb()
        failed = failure(client.search(""))
        assert failed.code == "hh_refused" and "larger" in failed.message
        assert client.peak_kb() - before < 30000 and len(server.seen) == 1


def test_json_of_any_depth_is_survived():
    body = b'{"items":' + b"[" * 200000
    with OddServer(lambda handler: send(handler, body)) as server, HhClient(server.url) as client:
        client.start()
        assert failure(client.search("", within=1)).code == "unavailable"
        assert client.state()["circuit"] == "closed"


def test_redirects_are_not_followed():
    with OddServer(lambda handler: send(handler, b"", 302, Location="/elsewhere")) as server, \
            HhClient(server.url) as client:
        client.start()
        failed = failure(client.search(""))
        assert failed.code == "hh_refused"
        assert json.loads(failed.failure["details"])["http_status"] == 302
        assert [path.split("?")[0] for path, _ in server.seen] == ["/vacancies"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_a_certificate_that_nobody_vouches_for_gets_no_token(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
                   check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with OddServer(lambda handler: send(handler, EMPTY_PAGE), tls) as server, \
            HhClient(server.url) as client:
        client.start()
        assert failure(client.search("", within=1)).code == "unavailable"
        assert server.seen == []


def test_a_vacancy_of_an_odd_shape_is_not_an_outage():
    with OddServer(lambda handler: send(handler, b'{"id":"1","name":null,"area":[]}')) as server, \
            HhClient(server.url) as client:
        client.start()
        job = client.call("jobs.get", {"id": "1"})["job"]
        assert job["title"] == "Вакансия 1" and job["description"] == ""


# --- the circuit ---------------------------------------------------------------------------------------

def open_circuit(hh, client):
    """Lets HH fail until the circuit is open."""
    hh.fault("503")
    for call in [client.search(f"bad{i}", within=2) for i in range(6)]:
        assert failure(call).code == "unavailable"
    client.wait_state(circuit="open")


def test_an_hh_that_is_down_is_left_alone(hh, client):
    open_circuit(hh, client)
    assert client.wait_degraded() == "HH does not answer"
    sent = len(hh.requests())
    began = time.monotonic()
    for i in range(20):
        failed = failure(client.search(f"q{i}"))
        assert failed.code == "unavailable" and 0 < failed.retry_after_ms <= 10000
    assert time.monotonic() - began < 2
    patient = client.fetch("patient", A)  # who has time waits
    hh.well()
    assert len(hh.requests()) == sent
    assert patient.result(15)["found"] == 0
    assert client.state()["circuit"] == "closed"
    client.wait_well()
    assert client.search("").result()["jobs"]
    assert client.state()["wait_ms"] == 0


def test_hears_that_hh_is_back_though_nobody_asks(hh, client):
    open_circuit(hh, client)
    client.wait_degraded()
    hh.well()
    client.wait_well(60)
    client.wait_state(circuit="closed")


def test_an_hh_that_is_not_there_is_unavailable():
    hh = Hh()
    hh.stop()
    with HhClient(hh) as client:
        client.start()
        failed = failure(client.search("", within=2))
        assert failed.code == "unavailable" and "details" not in failed.failure


# --- one request for many --------------------------------------------------------------------------------

def test_the_same_search_is_asked_once(hh, client):
    hh.fault("latency", ms=300, count=1)
    calls = [client.search("python") for _ in range(20)]
    pages = [call.result() for call in calls]
    assert len(hh.requests()) == 1
    assert sorted(bool(page.get("shared")) for page in pages) == [False] + [True] * 19
    assert len({json.dumps(page["jobs"]) for page in pages}) == 1
    assert client.state()["shared"] == 19
    client.search("python").result()
    assert len(hh.requests()) == 2  # who watches gets what is true now


def test_a_scheduled_search_takes_an_answer_that_is_young_enough(hh, client):
    hour = 3600000
    first = client.fetch("python", A, max_age_ms=60000, date_from_ms=hour).result()
    second = client.fetch("python", B, max_age_ms=60000, date_from_ms=hour + 200000).result()
    assert "shared" not in first and second["shared"] and second["jobs"] == first["jobs"]
    assert len(hh.requests()) == 1
    client.fetch("python", B, max_age_ms=0, date_from_ms=hour).result()
    client.fetch("python", B, max_age_ms=60000, date_from_ms=2 * hour).result()
    client.fetch("golang", B, max_age_ms=60000, date_from_ms=hour).result()
    assert len(hh.requests()) == 4


def test_who_joined_is_answered_though_the_first_one_gave_up(hh, client):
    hh.fault("latency", ms=1200, count=1)
    first = client.search("python", within=0.4)
    client.wait_requests(1)
    second = client.fetch("python", A)
    third = client.search("python")
    assert failure(first).code in ("timeout", "unavailable")
    assert third.result()["jobs"] and second.result()["jobs"]


def test_who_joined_is_answered_though_the_request_failed(hh, client):
    hh.fault("reset", query="text=python", count=1)
    hh.fault("latency", ms=200)
    calls = [client.search("python", within=within) for within in (0.25, 10, 10)]
    assert failure(calls[0]).code in ("timeout", "unavailable")
    assert all(call.result()["jobs"] for call in calls[1:])
    assert len(hh.requests()) == 2


# --- turns ----------------------------------------------------------------------------------------------------

def test_users_take_turns(hh):
    with HhClient(hh, HH_MAX_RPS=5) as client:
        client.start()
        calls = [client.fetch(f"a{i}", A) for i in range(9)]
        client.wait_requests(1)
        calls += [client.fetch("b0", B), client.fetch("c0", C)]
        for call in calls:
            call.result(20)
        order = hh.texts()
        assert len(order) == 11
        assert max(order.index("b0"), order.index("c0")) < 7  # of nine of a's
        assert [t for t in order if t.startswith("a")] == [f"a{i}" for i in range(9)]


def test_who_watches_goes_first_and_the_schedules_still_move(hh):
    with HhClient(hh, HH_MAX_RPS=10) as client:
        client.start()
        calls = [client.fetch(f"b{i}", A) for i in range(12)]
        client.wait_requests(1)
        calls += [client.search(f"i{i}", user_id=B) for i in range(12)]
        for call in calls:
            call.result(20)
        kinds = "".join(text[0] for text in hh.texts())
        busy = kinds[kinds.index("i"):kinds.rindex("i") + 1]  # while both waited
        assert 3 <= busy.count("b") <= 6, kinds
        assert "iiii" not in busy, kinds


def test_a_search_that_is_scheduled_gains_by_being_watched(hh):
    with HhClient(hh, HH_MAX_RPS=4) as client:
        client.start()
        calls = [client.fetch(f"b{i}", f"{i:08d}-0000-4000-8000-000000000000") for i in range(16)]
        client.wait_requests(1)
        watched = client.search("b15", order_by="publication_time")
        assert watched.result(3)["shared"] is True
        assert hh.texts().index("b15") < 9
        for call in calls:
            call.result(20)
        assert len(hh.texts()) == 16


def test_who_gave_up_costs_no_request(hh):
    with HhClient(hh, HH_MAX_RPS=1) as client:
        client.start()
        client.search("first").result()
        began = time.monotonic()
        calls = [client.search(f"late{i}", within=0.3) for i in range(10)]
        assert {failure(call).code for call in calls} == {"timeout"}
        assert time.monotonic() - began < 0.9
        assert client.state()["queued_interactive"] == 0
        client.search("last").result()
        assert hh.texts() == ["first", "last"]


def test_too_many_are_refused_with_a_time_to_come_back(hh):
    with HhClient(hh, HH_MAX_RPS=0.1) as client:
        client.start()
        user = "{:08d}-0000-4000-8000-000000000000".format
        calls = [client.fetch(f"b{i}", user(i)) for i in range(5010)]
        failed = failure(calls[-1])
        assert failed.code == "overloaded" and 1000 <= failed.retry_after_ms <= 60000
        state = client.state()
        assert state["queued_background"] == 5000 and state["wait_ms"] > 5000 * 9000
        failed = failure(client.search("watched", within=1))
        assert failed.code == "timeout"  # there was still room for who watches
        assert client.state()["queued_background"] == 5000


# --- the pace ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("rate", [2, 10, 40])
def test_hhs_own_limiter_at_our_pace_never_refuses_us(rate):
    hh = Hh("--max-rps", rate)
    seconds = 4
    try:
        with HhClient(hh, HH_MAX_RPS=rate) as client:
            client.start()
            count = rate * seconds
            began = time.monotonic()
            for call in [client.fetch(f"q{i}", A, within=60) for i in range(count)]:
                call.result(60)
            took = time.monotonic() - began
            stats = hh.stats()
            # A machine that stalls for a second hands two late requests over at once.
            assert stats["too_many_requests"] <= 1 and stats["peak_per_second"] <= rate + 1
            assert count <= stats["requests"] <= count + 1
            assert took > seconds * 0.9 - 1, f"{count} in {took:.1f} s: faster than allowed"
    finally:
        hh.stop()


def test_slows_down_where_hh_allows_less_than_was_thought():
    hh = Hh("--max-rps", 5)
    try:
        with HhClient(hh, HH_MAX_RPS=20) as client:
            client.start()
            for call in [client.fetch(f"q{i}", A, within=60) for i in range(25)]:
                call.result(60)
            stats = hh.stats()
            assert stats["by_status"]["200"] == 25
            assert stats["too_many_requests"] < 20
    finally:
        hh.stop()


# --- the end -------------------------------------------------------------------------------------------------------

def test_a_stop_answers_what_is_under_way_and_leaves_the_rest(hh):
    with HhClient(hh, HH_MAX_RPS=1) as client:
        client.start()
        hh.fault("latency", ms=800)
        under_way = client.search("first")
        client.wait_requests(1)
        queued = client.search("second")
        client.wait_state(queued_interactive=1)
        client.terminate()
        assert "jobs" in under_way.result()
        assert client.wait_exit(3) == 0
        assert not queued.done() and hh.texts() == ["first"]


def test_a_stop_does_not_wait_for_an_hh_that_hangs(hh):
    with HhClient(hh) as client:
        client.start()
        hh.fault("hang")
        hanging = client.search("first")
        client.wait_requests(1)
        began = time.monotonic()
        client.terminate()
        assert client.wait_exit(5) == 0
        assert 2 < time.monotonic() - began < 4
        assert not hanging.done()


def test_survives_a_storm(hh):
    """Faults of all kinds at once, many callers, short and long deadlines: each has its answer."""
    for kind in ("503", "reset", "truncated", "malformed", "empty"):
        hh.fault(kind, probability=0.04)
    hh.fault("429", probability=0.01)
    hh.fault("latency", ms=50, probability=0.3)
    with HhClient(hh, HH_MAX_RPS=150) as client:
        client.start()
        calls = []
        for i in range(600):
            calls.append(client.search(f"q{i % 40}", within=0.2 + i % 7))
            if i % 3 == 0:
                calls.append(client.fetch(f"f{i % 50}", [A, B, C][i % 3], within=1 + i % 9,
                                          max_age_ms=i % 2 * 500))
        over = time.monotonic() + 9.5
        wait_for(lambda: time.monotonic() > over, 20, "the last deadline is over")
        outcomes = Counter(outcome(call) for call in calls)
        assert set(outcomes) <= {"reply", "timeout", "unavailable", "unanswered"}, outcomes
        assert outcomes["reply"] > len(calls) / 3, outcomes
        hh.well()
        client.wait_state(queued_interactive=0)
        client.fetch("after all", A).result(30)
        client.stop()
        # What was over before it was read is dropped unseen, and nothing else.
        assert client.counts()["expired"] == outcomes["unanswered"]


def outcome(call):
    if not call.done():
        return "unanswered"
    return "reply" if call.exception() is None else call.exception().code
