"""A person's things over HTTP with all actors behind it: a raw token of HH, the bucket, the applications."""
import uuid

import pytest
from support.session_token import token
from support.system import Simulator

BASE = "s" * 64  # the tests' SECRET_KEY_BASE


@pytest.fixture
def simulator():
    sim = Simulator("--vacancies", 100, "--max-rps", 0, "--access-token", "USERRAW1")
    yield sim
    sim.stop()


def test_a_raw_token_of_hh_sees_its_resumes(system):
    answer = system.request("/api/hh/resumes", Authorization="Bearer USERRAW1")
    assert (answer.status, answer.json["success"]) == (200, True), answer.raw
    assert isinstance(answer.json["items"], list)
    answer = system.request("/api/hh/resumes", Authorization="Bearer USERWRONG")
    assert (answer.status, answer.json["error"]) == (401, "hh_login_required"), answer.raw
    assert "USERRAW1" not in system.log() and "USERWRONG" not in system.log()


def test_without_an_account_a_session_has_to_log_in(system, user):
    for headers in ({"X-Session-Id": user}, {"Authorization": f"Bearer {token(user, base=BASE)}"}):
        answer = system.request("/api/hh/resumes", **headers)
        assert (answer.status, answer.json["error"]) == (401, "hh_login_required"), answer.raw


def test_a_bucket_is_spent_shown_and_filled(system, user):
    status = f"/api/rate-limit/status?user_id={user}"
    assert system.request(status).json["tokens"] == 20
    spent = system.request("/api/v1/rate-limit/check", "POST", {"cost": 20}, **{"X-Session-Id": user})
    assert spent.json["allowed"] is True, spent.raw
    refused = system.request("/api/v1/rate-limit/check", "POST", {"user_id": user, "cost": 1})
    assert (refused.status, refused.json["allowed"]) == (200, False), refused.raw
    assert refused.json["retry_at"].endswith("Z")
    shown = system.request(f"/api/rate-limit/status/{user}").json
    assert shown["can_apply"] is False and shown["tokens"] < 1, shown
    assert system.request("/api/rate-limit/reset", "POST", {"userId": user}).json["tokens"] == 20


def test_applications_are_listed_and_asked_for(system, user):
    answer = system.request("/api/applications?status=dead")
    assert answer.json == {"success": True, "applications": [], "total": 0}, answer.raw
    for verb, path in (("GET", f"/api/applications/{user}"), ("POST", f"/api/applications/{user}/retry")):
        answer = system.request(path, verb)
        assert (answer.status, answer.json["error"]) == (404, "not_found"), answer.raw


def test_an_application_without_an_account_says_so_and_is_kept(system, simulator, user):
    vacancy = simulator.ids("text=python")[0]
    body = {"job_external_id": vacancy, "customizedCv": {
        "title": "Программист C", "firstName": "Вера", "lastName": "Ли", "email": "a@b.test",
        "phone": "+7 912 345-67-89"}}
    answer = system.request("/api/applications/submit", "POST", body, **{"X-Session-Id": user})
    assert (answer.status, answer.json["error"]) == (401, "hh_login_required"), answer.raw
    details = answer.json["details"]
    assert details["description"] and details["idempotency_key"], details
    path = f"/api/applications/{details['job_id']}"
    kept = system.request(path, **{"X-Session-Id": user}).json["application"]
    assert (kept["status"], kept["job_external_id"]) == ("failed", vacancy), kept
    assert system.request(path, **{"X-Session-Id": str(uuid.uuid4())}).status == 404
    assert system.request("/api/applications", **{"X-Session-Id": user}).json["total"] == 1
    assert details["job_id"] in system.ugtj("applications", user).stdout
    assert system.request(f"{path}/retry", "POST").json["application"]["status"] == "pending"
