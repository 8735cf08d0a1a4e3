"""The gateway alone: where requests go, who is let in, and what does not fit."""
import hashlib
import hmac
import json
import time
import uuid

import pytest
from support.gateway import JOB, SCHEDULE, SECRET, USER, answers, refused, settings
from support.harness import NO_ANSWER, Refuse

HEALTH = "/api/v1/system/health"

JOB_JSON = {**JOB, "company": None, "salary": None, "area": None, "url": None}
SCHEDULE_JSON = {**SCHEDULE, "last_status": None, "last_error": None, "node": None}


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
