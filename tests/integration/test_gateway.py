"""The gateway alone: HTTP on one side, fake actors on the other."""
import hashlib
import hmac
import http.client
import json
import os
import random
import re
import signal
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.harness import NO_ANSWER, Actor, Refuse

SECRET = "orchestrator-secret"
USER = "0b4e9d7a-5c1f-4c3e-8a2b-0123456789ab"
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
HEALTH = "/api/v1/system/health"

JOB = {"id": "93", "hh_vacancy_id": "93", "title": "Разработчик C", "skills": ["C"],
       "description": "text", "has_test": False, "test_required": False}
JOB_JSON = {**JOB, "company": None, "salary": None, "area": None, "url": None}
SCHEDULE = {"user_id": USER, "search": {"text": "c"}, "interval_s": 1800, "paused": False,
            "next_run_ms": 1, "lag_ms": 0, "runs": 0, "jobs_seen": 0}
SCHEDULE_JSON = {**SCHEDULE, "last_status": None, "last_error": None, "node": None}


class Gateway(Actor):
    def __init__(self, **settings):
        super().__init__("gateway", settings={"PORT": 0, "ORCHESTRATOR_SECRET": SECRET, **settings})

    @property
    def port(self):
        return int((self.run_dir / "http_port").read_text())

    def connect(self, timeout=40):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, verb, path, body=None, secret=SECRET, connection=None, **headers):
        """One request. body: an object, or bytes as they are. Gives status, headers and the JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"Content-Type": "application/json",
                  **({"X-Core-Secret": secret} if secret else {}),
                  **{name.replace("_", "-"): value for name, value in headers.items()}}
        mine = connection or self.connect()
        mine.request(verb, path, data, fields)
        answer = mine.getresponse()
        raw = answer.read()
        if connection is None:
            mine.close()
        return answer.status, answer.headers, json.loads(raw) if raw else None

    def raw(self, data, timeout=15):
        """Sends bytes and reads until the gateway hangs up, or says nothing for that long."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as plain:
            plain.sendall(data)
            got = b""
            while chunk := plain.recv(65536):
                got += chunk
            return got


@pytest.fixture
def gateway(request):
    """Started, with a store, an hh_client, a scheduler and a telemetry that hear and say nothing."""
    with Gateway(**getattr(request, "param", {})) as actor:
        for name in ("store", "hh_client", "scheduler", "telemetry"):
            actor.fake(name)
        actor.start()
        yield actor


def settings(**names):
    return pytest.mark.parametrize("gateway", [names], indirect=True, ids=["-".join(names)])


def answers(gateway, peer, method, answer):
    gateway.peers[peer].answers = {method: answer}


# --- each route ------------------------------------------------------------------------------------

def test_health_needs_no_secret(gateway):
    answers(gateway, "store", "store.ping", {"db": "up", "server": "15.20"})
    status, headers, body = gateway.ask("GET", HEALTH, secret=None)
    assert (status, body) == (200, {"status": "ok", "db": "up"})
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Type"] == "application/json; charset=utf-8"


def test_health_says_why_only_to_who_knows_the_secret(gateway):
    answers(gateway, "store", "store.ping", {"db": "down", "problem": "no route to db.internal"})
    status, headers, body = gateway.ask("GET", HEALTH)
    assert (status, body) == (503, {"status": "degraded", "db": "down",
                                    "problem": "no route to db.internal"})
    assert headers["Retry-After"] == "1"
    status, _, body = gateway.ask("GET", HEALTH, secret=None)
    assert (status, body["problem"]) == (503, "the database does not answer")


@pytest.mark.parametrize("answer", [Refuse("internal", "secret detail"), NO_ANSWER])
def test_health_is_degraded_when_the_store_does_not_answer(gateway, answer):
    answers(gateway, "store", "store.ping", answer)
    began = time.monotonic()
    status, headers, body = gateway.ask("GET", HEALTH, secret=None)
    assert time.monotonic() - began < 9
    assert (status, headers["Retry-After"]) == (503, "1")
    assert body == {"status": "degraded", "db": "down", "problem": "the store does not answer"}


def test_search(gateway):
    answers(gateway, "hh_client", "jobs.search", {"jobs": [JOB], "found": 1, "page": 0, "pages": 1})
    status, _, body = gateway.ask("POST", "/api/jobs/search?page=0",
                                  {"text": "c", "area": "1", "schedule": ["remote"], "later": 1})
    assert (status, body) == (200, {"jobs": [JOB_JSON], "found": 1, "page": 0, "pages": 1})
    request = gateway.peers["hh_client"].received("jobs.search")[0]
    assert request.body["text"] == "c" and request.body["area"] == ["1"]
    assert request.body["schedule"] == ["remote"] and "later" not in request.body


def test_job(gateway):
    answers(gateway, "hh_client", "jobs.get", {"job": JOB})
    assert gateway.ask("GET", "/api/jobs/93")[::2] == (200, {"success": True, "job": JOB_JSON})
    assert gateway.peers["hh_client"].received()[0].body == {"id": "93"}


def test_job_that_is_not_there(gateway):
    answers(gateway, "hh_client", "jobs.get", Refuse("not_found", "no such vacancy"))
    status, _, body = gateway.ask("GET", "/api/jobs/94")
    assert (status, body["error"], body["message"]) == (404, "not_found", "no such vacancy")


def test_schedule_is_put(gateway):
    answers(gateway, "scheduler", "schedules.put", SCHEDULE)
    status, _, body = gateway.ask("PUT", f"/api/schedules/{USER.upper()}",
                                  {"search": {"text": "c"}, "interval_s": 60, "paused": True,
                                   "user_id": str(uuid.uuid4())})
    assert (status, body) == (200, {"success": True, "schedule": SCHEDULE_JSON})
    assert gateway.peers["scheduler"].received()[0].body == {
        "user_id": USER, "search": {"text": "c"}, "interval_s": 60, "paused": True}


def test_schedule_is_read_run_and_deleted(gateway):
    answers(gateway, "store", "schedules.get", SCHEDULE)
    assert gateway.ask("GET", f"/api/schedules/{USER}")[::2] == (
        200, {"success": True, "schedule": SCHEDULE_JSON})
    answers(gateway, "scheduler", "schedules.fetch", SCHEDULE)
    assert gateway.ask("POST", f"/api/schedules/{USER}/fetch")[::2] == (
        200, {"success": True, "schedule": SCHEDULE_JSON})
    answers(gateway, "scheduler", "schedules.delete", {})
    assert gateway.ask("DELETE", f"/api/schedules/{USER}")[::2] == (200, {"success": True})


def test_schedules_are_listed(gateway):
    answers(gateway, "store", "schedules.list",
            {"schedules": [SCHEDULE], "total": 5, "overdue": 1, "max_lag_ms": 20})
    status, _, body = gateway.ask("GET", f"/api/schedules?after={USER}&limit=1")
    assert (status, body) == (200, {"success": True, "schedules": [SCHEDULE_JSON], "total": 5,
                                    "overdue": 1, "max_lag_ms": 20})
    assert gateway.peers["store"].received()[0].body == {"after": USER, "limit": 1}


def test_tree(gateway):
    answers(gateway, "telemetry", "tree.state",
            {"node": "n", "version": "1", "uptime_ms": 3, "children": []})
    assert gateway.ask("GET", "/api/tree")[::2] == (
        200, {"success": True, "node": "n", "version": "1", "uptime_ms": 3, "children": []})


# --- refusals --------------------------------------------------------------------------------------

def refused(answer, status, error, field=None):
    got, headers, body = answer
    assert (got, body["success"], body["error"]) == (status, False, error), body
    assert body.get("field") == field, body
    assert body["message"] and body["request_id"] == headers["X-Request-ID"]
    assert (status in (429, 503)) == ("Retry-After" in headers)
    return body


@pytest.mark.parametrize("path", ["/api/schedules", f"/api/schedules/{USER}", "/nowhere", "/"])
@pytest.mark.parametrize("secret", [None, "wrong", SECRET[:-1], SECRET + "x"])
def test_a_wrong_secret_gets_nowhere(gateway, path, secret):
    refused(gateway.ask("GET", path, secret=secret), 401, "unauthorized")
    assert not gateway.peers["store"].log


@settings(ORCHESTRATOR_SECRET="")
def test_without_a_secret_of_its_own_nobody_is_let_in(gateway):
    assert "ORCHESTRATOR_SECRET" in gateway.wait_degraded()
    refused(gateway.ask("GET", "/api/schedules", secret=None), 401, "unauthorized")
    refused(gateway.ask("GET", "/api/schedules", secret=" "), 401, "unauthorized")


def signature(body, key=SECRET):
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def test_a_signature_must_fit_the_body_when_there_is_one(gateway):
    answers(gateway, "hh_client", "jobs.search", {"jobs": [], "found": 0, "page": 0, "pages": 0})
    body = '{"text":"С пробелами  и кириллицей"}'.encode()
    search = "/api/jobs/search"
    assert gateway.ask("POST", search, body, X_Signature=signature(body))[0] == 200
    assert gateway.ask("POST", search, body, X_Signature=signature(body).upper())[0] == 200
    assert gateway.ask("POST", search, body)[0] == 200
    for wrong in (signature(body + b" "), signature(body, "other"), "", "0" * 64,
                  signature(body)[:-1], "x" * 64):
        refused(gateway.ask("POST", search, body, X_Signature=wrong), 401, "unauthorized")
    assert len(gateway.peers["hh_client"].log) == 3


@settings(REQUIRE_SIGNATURE="true")
def test_a_missing_signature_can_be_refused(gateway):
    answers(gateway, "hh_client", "jobs.search", {"jobs": [], "found": 0, "page": 0, "pages": 0})
    answers(gateway, "store", "schedules.get", SCHEDULE)
    refused(gateway.ask("POST", "/api/jobs/search", b"{}"), 401, "unauthorized")
    assert gateway.ask("POST", "/api/jobs/search", b"{}", X_Signature=signature(b"{}"))[0] == 200
    assert gateway.ask("GET", f"/api/schedules/{USER}")[0] == 200, "no body, nothing to sign"


def test_unknown_paths(gateway):
    for path in ("/", "/api", "/api/jobs", f"/api/schedules/{USER}/fetch/x", "/API/tree",
                 "/api/../api/tree", "/api%2Ftree", "/" + "/".join("abcdefghijklmnop")):
        refused(gateway.ask("GET", path), 404, "not_found")


def test_slashes_and_percents_in_paths(gateway):
    answers(gateway, "store", "schedules.get", SCHEDULE)
    for path in (f"//api///schedules/{USER}/", f"/%61pi/schedules/{USER.replace('-', '%2d')}"):
        assert gateway.ask("GET", path)[0] == 200, path
    for path in ("/api/jobs/1%00", "/api/jobs/%", "/api/jobs/%4", "/api/jobs/%zz", "/api/jobs/%0a",
                 "/a" * 17):
        refused(gateway.ask("GET", path), 400, "bad_request")
    answers(gateway, "hh_client", "jobs.get", {"job": JOB})
    assert gateway.ask("GET", "/api/jobs/a%2Fb%3F")[0] == 200
    assert gateway.peers["hh_client"].log[0].body == {"id": "a/b?"}
    refused(gateway.ask("GET", "/api/jobs/%ff%fe"), 400, "bad_request", "id")


def test_a_wrong_verb_is_told_the_right_ones(gateway):
    answer = gateway.ask("PATCH", f"/api/schedules/{USER}")
    refused(answer, 405, "method_not_allowed")
    assert answer[1]["Allow"] == "GET, HEAD, PUT, DELETE"
    assert gateway.ask("GET", "/api/jobs/search/x")[0] == 404


def test_head_is_get_without_a_body(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    with_body = gateway.connect()
    status, headers, body = gateway.ask("HEAD", HEALTH, connection=with_body)
    assert (status, body, headers["Content-Length"]) == (200, None, "25")
    assert gateway.ask("GET", HEALTH, connection=with_body)[0] == 200, "the connection is intact"
    with_body.close()


@pytest.mark.parametrize("body, field, message", ids=range(14), argvalues=[
    (b"", "body", "empty"),
    (b"   ", "body", "not valid JSON"),
    (b'{"text": "c",}', "body", "at byte 14"),
    (b'{"text": "\xff"}', "body", "UTF-8"),
    (b'{"text":"a","text":"b"}', "body", "twice"),
    (b"[]", "body", "object"),
    (b"null", "body", "object"),
    (b"[" * 100000, "body", "nested too deep"),
    (b'{"x":' * 33 + b"1" + b"}" * 33, "body", "nested too deep"),
    (b'{"text": 5}', "text", "text"),
    (b'{"page": -1}', "page", ""),
    (b'{"per_page": 101}', "per_page", ""),
    (b'{"area": ["1", 2]}', "area[1]", "text"),
    (json.dumps({"text": "x" * 2049}).encode(), "text", "2048"),
])
def test_a_body_that_does_not_fit_says_where(gateway, body, field, message):
    answer = refused(gateway.ask("POST", "/api/jobs/search", body), 400, "bad_request", field)
    assert message in answer["message"]


def test_a_nested_field_is_named_with_its_path(gateway):
    refused(gateway.ask("PUT", f"/api/schedules/{USER}", {"search": {"text": 1}}),
            400, "bad_request", "search.text")
    refused(gateway.ask("PUT", f"/api/schedules/{USER}", {"interval_s": 60}),
            400, "bad_request", "search")


@pytest.mark.parametrize("user", ["x", USER[:-1], USER + "0", USER.replace("-", "_"),
                                  USER.replace("a", "g"), "%D0%B0" * 36])
def test_a_user_is_a_uuid(gateway, user):
    refused(gateway.ask("GET", f"/api/schedules/{user}"), 400, "bad_request", "user_id")


@pytest.mark.parametrize("query, field", ids=range(11), argvalues=[
    ("limit=x", "limit"), ("limit=0", "limit"), ("limit=1.5", "limit"), ("limit=", "limit"),
    ("limit=9223372036854775808", "limit"), ("limit=1&limit=2", "limit"), ("after=me", "after"),
    ("after=%ff", "after"), ("limit=%zz", "query"), ("x=%00", "query"), ("&".join("a" * 300), "query"),
])
def test_a_query_that_does_not_fit_says_where(gateway, query, field):
    refused(gateway.ask("GET", f"/api/schedules?{query}"), 400, "bad_request", field)


def test_actors_errors_are_handed_on(gateway):
    answers(gateway, "hh_client", "jobs.search",
            Refuse("rate_limited", "later", retry_after_ms=1500, details='{"a":[1]}', field="text"))
    answer = gateway.ask("POST", "/api/jobs/search", {})
    body = refused(answer, 429, "rate_limited", "text")
    assert body["details"] == {"a": [1]} and answer[1]["Retry-After"] == "2"


@pytest.mark.parametrize("error, status", [
    ("unavailable", 503), ("overloaded", 503), ("down", 503), ("hh_refused", 502), ("hh_auth", 502),
    ("hh_captcha", 502), ("conflict", 409), ("internal", 500), ("timeout", 504),
    ("of_a_newer_version", 500),
])
def test_each_error_has_its_status(gateway, error, status):
    answers(gateway, "hh_client", "jobs.search", Refuse(error, "why"))
    code = "internal" if error == "of_a_newer_version" else error
    refused(gateway.ask("POST", "/api/jobs/search", {}), status, code)


# --- bodies ----------------------------------------------------------------------------------------

def test_bodies_of_up_to_a_mebibyte(gateway):
    answers(gateway, "hh_client", "jobs.search", {"jobs": [], "found": 0, "page": 0, "pages": 0})
    mebibyte = b'{"x":"' + b"y" * (1048576 - 8) + b'"}'
    search = "/api/jobs/search"
    assert gateway.ask("POST", search, mebibyte)[0] == 200
    refused(gateway.ask("POST", search, mebibyte + b" "), 413, "too_large", "body")
    refused(gateway.ask("POST", search, mebibyte * 3), 413, "too_large", "body")


def chunked(gateway, chunks, end=b"0\r\n\r\n", secret=SECRET):
    head = (f"POST /api/jobs/search HTTP/1.1\r\nHost: x\r\nX-Core-Secret: {secret}\r\n"
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n").encode()
    return gateway.raw(head + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + end)


def test_bodies_without_a_length(gateway):
    answers(gateway, "hh_client", "jobs.search", {"jobs": [], "found": 0, "page": 0, "pages": 0})
    assert chunked(gateway, [b'{"te', b'xt":', b'"c"}']).startswith(b"HTTP/1.1 200 ")
    assert gateway.peers["hh_client"].log[0].body["text"] == "c"
    assert b" 413 " in chunked(gateway, [b"{" + b" " * 65535] + [b" " * 65536] * 16)
    assert b" 400 " in chunked(gateway, [b"{}"], end=b"zz\r\n")
    assert b" 401 " in chunked(gateway, [b"{}"], secret="wrong")


def test_expect_100_continue(gateway):
    answers(gateway, "hh_client", "jobs.search", {"jobs": [], "found": 0, "page": 0, "pages": 0})
    head = ("POST /api/jobs/search HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-Core-Secret: %s\r\n"
            "Expect: 100-continue\r\nConnection: close\r\n\r\n")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall((head % SECRET).encode())
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    assert b" 401 " in gateway.raw((head % "wrong").encode()), "nobody unknown is asked for a body"


def test_a_body_where_none_is_needed_is_ignored(gateway):
    answers(gateway, "store", "schedules.get", SCHEDULE)
    one = gateway.connect()
    for _ in range(3):
        assert gateway.ask("GET", f"/api/schedules/{USER}", b"not json", connection=one)[0] == 200
    one.close()


@pytest.mark.parametrize("headers", ids=range(7), argvalues=[
    "Content-Length: 2\r\nTransfer-Encoding: chunked", "Content-Length: 2\r\nContent-Length: 3",
    "Content-Length: 2x", "Content-Length: -2", "Content-Length: ", "Transfer-Encoding: gzip",
    "\r\n".join(f"X-{n}: x" for n in range(70)),
])
def test_unclear_headers_are_refused_and_the_connection_ends(gateway, headers):
    got = gateway.raw(f"POST /api/jobs/search HTTP/1.1\r\nHost: x\r\nX-Core-Secret: {SECRET}\r\n"
                      f"{headers}\r\n\r\n{{}}GET {HEALTH} HTTP/1.1\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 4") and got.count(b"HTTP/1.1 ") == 1, got
    assert b'"success":false' in got and b"Connection: close" in got


# --- request ids, connections ----------------------------------------------------------------------

def test_the_request_id_of_the_caller_is_kept_and_carried_on(gateway):
    answers(gateway, "store", "schedules.get", SCHEDULE)
    headers = gateway.ask("GET", f"/api/schedules/{USER}", X_Request_ID="abc-1")[1]
    assert headers["X-Request-ID"] == "abc-1"
    assert gateway.peers["store"].log[-1].trace == "abc-1"
    for bad in ("", "x" * 65, "with space", "кириллица".encode().decode("latin1")):
        headers = gateway.ask("GET", f"/api/schedules/{USER}", X_Request_ID=bad)[1]
        assert UUID4.fullmatch(headers["X-Request-ID"])
        assert gateway.peers["store"].log[-1].trace == headers["X-Request-ID"]


def test_connections_are_kept_alive(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    one = gateway.connect()
    for _ in range(20):
        _, headers, _ = gateway.ask("GET", HEALTH, connection=one)
        assert headers["Connection"] == "keep-alive" and "timeout" in headers["Keep-Alive"]
    assert gateway.ask("GET", "/nowhere", secret=None, connection=one)[0] == 401
    assert gateway.ask("GET", HEALTH, connection=one)[1]["Connection"] == "keep-alive"
    one.close()


def test_pipelined_requests_are_answered_in_order(gateway):
    answers(gateway, "hh_client", "jobs.get", lambda r: {"job": {**JOB, "id": r.body["id"]}})
    request = "GET /api/jobs/{} HTTP/1.1\r\nHost: x\r\nX-Core-Secret: " + SECRET + "\r\n{}\r\n"
    got = gateway.raw("".join(request.format(n, "Connection: close\r\n" if n == 5 else "")
                              for n in range(1, 6)).encode())
    assert re.findall(rb'"id":"(\d)"', got) == [b"1", b"2", b"3", b"4", b"5"]


@settings(HTTP_THREADS=4)
def test_idle_connections_do_not_keep_new_ones_out(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    idle = [gateway.connect() for _ in range(20)]
    began = time.monotonic()
    kept = [gateway.ask("GET", HEALTH, connection=c)[1]["Connection"] for c in idle]
    assert time.monotonic() - began < 3, "nobody waits for an idle connection to end"
    assert "keep-alive" in kept and "close" in kept
    for one in idle:
        one.close()


@settings(HTTP_THREADS=2)
def test_more_requests_than_may_wait_are_refused_at_once(gateway):
    waiting = [gateway.connect() for _ in range(2)]
    for one in waiting:
        one.request("GET", "/api/jobs/1", headers={"X-Core-Secret": SECRET})
    held = [gateway.peers["hh_client"].next("jobs.get") for _ in waiting]
    refused(gateway.ask("GET", "/api/jobs/2"), 503, "overloaded")
    answers(gateway, "store", "store.ping", {"db": "up"})
    assert gateway.ask("GET", HEALTH)[0] == 200, "health is still answered"
    for request in held:
        request.reply({"job": JOB})
    for one in waiting:
        assert one.getresponse().status == 200
        one.close()
    answers(gateway, "hh_client", "jobs.get", {"job": JOB})
    assert gateway.ask("GET", "/api/jobs/2")[0] == 200


class Shuffled:
    """Holds requests back and answers them in another order, each with what it asked for."""

    def __init__(self, clients):
        self.clients, self.held, self.lock = clients, [], threading.Lock()

    def __call__(self, request):
        with self.lock:
            self.held.append(request)
        self.release()
        return NO_ANSWER

    def client_ends(self):
        with self.lock:
            self.clients -= 1
        self.release()

    def release(self):
        with self.lock:
            if len(self.held) < min(16, self.clients):
                return
            batch, self.held = self.held, []
        random.shuffle(batch)
        for request in batch:
            request.reply({"job": {**JOB, "id": request.body["id"]}})


def test_sixty_four_clients_each_get_their_own_answers(gateway):
    shuffled, barrier = Shuffled(64), threading.Barrier(64)
    rounds = int(os.environ.get("UGTJ_ROUNDS", "30"))
    answers(gateway, "hh_client", "jobs.get", shuffled)

    def client(number):
        one = gateway.connect()
        barrier.wait()
        for n in range(rounds):
            job, request_id = str(number * 1000 + n), f"c{number}-{n}"
            status, headers, body = gateway.ask("GET", f"/api/jobs/{job}", connection=one,
                                                X_Request_ID=request_id)
            assert (status, body["job"]["id"]) == (200, job)
            assert headers["X-Request-ID"] == request_id
        one.close()
        shuffled.client_ends()

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(client, range(64)))
    log = gateway.peers["hh_client"].log
    assert len(log) == 64 * rounds
    for request in log:
        number, n = divmod(int(request.body["id"]), 1000)
        assert request.trace == f"c{number}-{n}"


# --- time ------------------------------------------------------------------------------------------

def test_a_request_waits_for_an_actor_that_restarts(gateway):
    store = gateway.peers["store"]
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(gateway.ask, "GET", f"/api/schedules/{USER}")
        store.next("schedules.get")
        store.down()
        store.up()
        store.next("schedules.get").reply(SCHEDULE)
        assert answer.result()[0] == 200


def test_a_request_waits_for_an_actor_that_is_not_up_yet(gateway):
    store = gateway.peers["store"].down()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(gateway.ask, "GET", f"/api/schedules/{USER}")
        gateway.wait_for(lambda: "store" in gateway.monitored)
        store.up().next("schedules.get").reply(SCHEDULE)
        assert answer.result()[0] == 200


def test_what_is_not_answered_ends_at_its_deadline(gateway):
    began = time.monotonic()
    refused(gateway.ask("GET", f"/api/schedules/{USER}"), 504, "timeout")
    assert 9.5 < time.monotonic() - began < 11
    gateway.peers["store"].next("schedules.get").reply(SCHEDULE)  # nobody waits for it any more
    answers(gateway, "store", "store.ping", {"db": "up"})
    assert gateway.ask("GET", HEALTH)[0] == 200


def test_a_client_that_hung_up_does_no_harm(gateway):
    """The client is gone when the answer comes."""
    one = gateway.connect()
    one.request("GET", f"/api/schedules/{USER}", headers={"X-Core-Secret": SECRET})
    held = gateway.peers["store"].next("schedules.get")
    one.close()
    held.reply(SCHEDULE)
    answers(gateway, "store", "store.ping", {"db": "up"})
    assert gateway.ask("GET", HEALTH)[0] == 200


def test_clients_that_send_half_a_request_are_let_go(gateway):
    began = time.monotonic()
    half_head = b"GET / HTTP/1.1\r\nHo"
    half_body = (f"POST /api/jobs/search HTTP/1.1\r\nX-Core-Secret: {SECRET}\r\n"
                 "Content-Length: 9\r\n\r\n{").encode()
    nothing = b""
    with ThreadPoolExecutor() as pool:
        got = list(pool.map(lambda data: gateway.raw(data, 20), (half_head, half_body, nothing)))
    assert time.monotonic() - began < 13
    assert b" 400 " in got[0]
    assert b" 400 " in got[1] and b'"field":"body"' in got[1]
    assert got[2] == b""


def test_random_bytes(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    seed = random.Random(7)
    for n in range(200):
        junk = seed.randbytes(seed.randrange(1, 3000))
        if n % 3 == 0:
            junk = b"GET /" + junk
        if n % 5 == 0:
            junk += b"\r\n\r\n"
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
            client.sendall(junk)
            client.shutdown(socket.SHUT_WR)
            try:
                got = client.recv(65536)
            except ConnectionResetError:
                continue
            assert got == b"" or got.startswith(b"HTTP/1.1 4") or got.startswith(b"HTTP/1.1 5"), got
    assert b" 400 " in gateway.raw(b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n")
    assert gateway.ask("GET", HEALTH)[0] == 200


# --- start and stop --------------------------------------------------------------------------------

def test_a_port_that_is_taken_is_waited_for():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with Gateway(PORT=port) as gateway:
            gateway.fake("store", {"store.ping": {"db": "up"}})
            gateway.start()
            assert "Address already in use" in gateway.wait_degraded()
            assert str(port) in gateway.degraded
            other.close()
            gateway.wait_well()
            assert gateway.port == port and gateway.ask("GET", HEALTH)[0] == 200


def test_stops_while_its_port_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with Gateway(PORT=other.getsockname()[1]) as gateway:
            gateway.start()
            gateway.wait_degraded()


def test_listens_on_the_same_port_again_after_a_kill(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    port = gateway.port
    busy = gateway.connect()
    gateway.ask("GET", HEALTH, connection=busy)
    gateway.kill()
    with Actor("gateway", generation=2, run_dir=gateway.run_dir, settings=gateway.settings) as again:
        again.fake("store", {"store.ping": {"db": "up"}}, generation=2)
        again.start()
        assert gateway.port == port
        assert gateway.ask("GET", HEALTH)[0] == 200
    busy.close()
    gateway.pid = None  # its end is not one in order, and was meant


def test_a_stop_answers_what_was_let_in(gateway):
    """Those that wait for an actor, those that the kernel let in, and those half sent."""
    store = gateway.peers["store"]
    waiting = [gateway.connect() for _ in range(10)]
    for one in waiting:
        one.request("GET", f"/api/schedules/{USER}", headers={"X-Core-Secret": SECRET})
    held = [store.next("schedules.get") for _ in waiting]
    idle = gateway.connect()
    answers(gateway, "store", "store.ping", {"db": "up"})
    assert gateway.ask("GET", HEALTH, connection=idle)[0] == 200
    half = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    half.sendall(f"GET {HEALTH} HTTP/1.1\r\n".encode())
    gateway.terminate()
    time.sleep(0.3)  # the stop goes on while nothing happens: there is no event to wait for
    assert gateway.running()
    half.sendall(b"Host: x\r\n\r\n")
    assert half.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert gateway.ask("GET", HEALTH, connection=idle)[1]["Connection"] == "close"
    for request in held:
        request.reply(SCHEDULE)
    for one in waiting:
        answer = one.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert json.loads(answer.read())["success"] is True
        one.close()
    assert gateway.wait_exit() == 0
    assert not (gateway.run_dir / "http_port").exists()
    half.close()
    idle.close()


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_a_stop_under_load_resets_nobody(gateway, connection):
    """Clients that ask and ask, on one connection or on a new one each time: all are answered, or not
    let in."""
    answers(gateway, "store", "store.ping", {"db": "up"})
    port, wrong, served, ending = gateway.port, [], [], threading.Event()

    def client():
        one = None
        while not ending.is_set():
            if one is None:
                one = http.client.HTTPConnection("127.0.0.1", port, timeout=0.5)
                try:
                    one.connect()
                except OSError:
                    return  # not let in: the stop has begun
            try:
                one.request("GET", HEALTH, headers={"Connection": connection})
                one.sock.settimeout(20)
                answer = one.getresponse()
                served.append(answer.status)
                assert answer.status == 200 and answer.read()
            except (OSError, http.client.HTTPException) as error:
                wrong.append(repr(error))
                return
            if answer.headers["Connection"] == "close":
                one.close()
                one = None

    clients = [threading.Thread(target=client) for _ in range(16)]
    for one in clients:
        one.start()
    gateway.wait_for(lambda: len(served) > 200)
    gateway.terminate()
    assert gateway.wait_exit() == 0
    ending.set()
    for one in clients:
        one.join(20)
    assert wrong == [] and set(served) == {200}


def test_a_stop_is_quick_and_closes_idle_connections_in_order(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    idle = [gateway.connect() for _ in range(5)]
    for one in idle:
        assert gateway.ask("GET", HEALTH, connection=one)[1]["Connection"] == "keep-alive"
    began = time.monotonic()
    gateway.terminate()
    for one in idle:
        assert one.sock.recv(1) == b"", "the end of the stream, no reset"
        one.close()
    assert gateway.wait_exit() == 0
    assert time.monotonic() - began < 1.5


def test_a_stop_tells_who_waits_too_long_to_come_again(gateway):
    one = gateway.connect()
    one.request("GET", "/api/jobs/1", headers={"X-Core-Secret": SECRET})
    gateway.peers["hh_client"].next("jobs.get")
    began = time.monotonic()
    gateway.terminate()
    answer = one.getresponse()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert json.loads(answer.read())["error"] == "unavailable"
    one.close()
    assert gateway.wait_exit() == 0
    assert time.monotonic() - began < 7.5, "the supervisor's patience is 8 s"


def test_logs_no_secret_and_prints_nothing(gateway):
    refused(gateway.ask("GET", "/api/tree", secret="a-guess-of-somebody"), 401, "unauthorized")
    gateway.raw(b"\x16\x03\x01junk\r\n\r\n")
    gateway.signal(signal.SIGTERM)
    gateway.wait_exit()
    log = gateway.log
    assert SECRET not in log and "a-guess" not in log
    assert "gateway.refused from=127.0.0.1 secret=wrong" in log
    stamp = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info |warn |error) gateway\[")
    assert all(stamp.match(line) for line in log.splitlines()), log
