"""The gateway alone: applications, limits and queues, as the BFF asks for them."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.gateway import USER, answers, refused, settings
from support.harness import NO_ANSWER, Refuse
from support.session_token import token

OTHER = "11111111-5c1f-4c3e-8a2b-0123456789ab"
ID = "22222222-5c1f-4c3e-8a2b-0123456789ab"
FLOW = "33333333-5c1f-4c3e-8a2b-0123456789ab"
CV = "44444444-5c1f-4c3e-8a2b-0123456789ab"
SUBMIT = "/api/applications/submit"
WHEN = "2026-01-01T00:00:00.000Z"

APPLICATION = {"id": ID, "user_id": USER, "job_external_id": "93", "status": "submitted",
               "resume_id": "r1", "negotiation_id": "n1", "submitted_at": WHEN,
               "idempotency_key": "k", "attempts": 1, "created_at": WHEN}
BUCKET = {"tokens": 19.5, "capacity": 20, "refill_rate": 8.0, "next_refill": WHEN, "can_apply": True,
          "applications_today": 1}
COUNTS = {"pending": 1, "customizing": 0, "ready": 2, "submitting": 0, "submitted": 3, "failed": 0,
          "rate_limited": 4}
WORKFLOW = {"workflow_id": FLOW, "user_id": USER, "state": "running", "progress": COUNTS,
            "estimated_completion": WHEN}


def submitted(gateway, body=None, outcome=None, **headers):
    """Submits an application; gives the answer and what the submitter was asked."""
    answers(gateway, "submitter", "applications.submit", outcome or APPLICATION)
    answer = gateway.ask("POST", SUBMIT, body or {"job_external_id": "93"},
                         **(headers or {"X_Session_Id": USER}))
    log = gateway.peers["submitter"].received()
    return answer, log[-1].body if log else None


# --- applications ----------------------------------------------------------------------------------

def test_an_application_that_was_sent(gateway):
    body = {"job_external_id": "93", "customized_cv": {"firstName": "Я"}, "cover_letter": "Добрый день"}
    answer, request = submitted(gateway, body)
    assert answer[::2] == (200, {
        "success": True, "job_id": ID, "job_external_id": "93", "resume_id": "r1", "negotiation_id": "n1", "submitted_at": WHEN,
        "idempotency_key": "k"})
    assert json.loads(request.pop("customized_cv")) == {"firstName": "Я"}
    assert request == {"user_id": USER, "job_external_id": "93", "cover_letter": "Добрый день"}


@pytest.mark.parametrize("status", ["pending", "submitting", "rate_limited"])
def test_an_application_that_is_under_way(gateway, status):
    answer, _ = submitted(gateway, outcome={
        "id": ID, "user_id": USER, "job_external_id": "93", "status": status, "idempotency_key": "k",
        "attempts": 0, "created_at": WHEN})
    assert answer[::2] == (202, {"success": True, "status": "processing", "job_id": ID, "job_external_id": "93",
                                 "idempotency_key": "k"})
    answer, _ = submitted(gateway, outcome={
        "id": ID, "user_id": USER, "job_external_id": "93", "status": status, "idempotency_key": "k",
        "attempts": 3, "created_at": WHEN, "retry_at": WHEN, "error": "unavailable"})
    assert answer[::2] == (202, {"success": True, "status": "processing", "job_id": ID, "job_external_id": "93",
                                 "idempotency_key": "k", "retry_at": WHEN, "reason": "unavailable"})


def failed(error, **fields):
    return {**APPLICATION, "status": "failed", "negotiation_id": None, "submitted_at": None,
            "error": error, "error_message": "in words", "error_message_ru": "словами", **fields}


@pytest.mark.parametrize("error, status", [
    ("missing_email", 422), ("missing_phone", 422), ("missing_resume_id", 422),
    ("resume_not_available", 422), ("bad_arguments", 422), ("already_applied", 422),
    ("test_required", 422), ("hh_login_required", 401), ("hh_closed", 403), ("limit_exceeded", 429),
    ("cancelled", 409)])
def test_an_application_that_failed_says_why(gateway, error, status):
    answer, _ = submitted(gateway, outcome=failed(error))
    assert (answer[0], answer[2]["success"], answer[2]["error"]) == (status, False, error)
    assert answer[2]["details"] == {"description": "in words", "job_id": ID, "idempotency_key": "k"}
    assert answer[2]["message"] == "in words" and answer[2]["message_ru"]
    assert answer[1]["Retry-After"] == ("3600" if error == "limit_exceeded" else None)


def test_hhs_own_details_are_handed_on(gateway):
    details = {"description": "phone is wrong", "bad_arguments": ["phone"]}
    answer, _ = submitted(gateway, outcome=failed("bad_arguments", details=json.dumps(details)))
    assert answer[2]["details"] == {**details, "job_id": ID, "idempotency_key": "k"}


def test_where_to_apply_instead_is_told(gateway):
    answer, _ = submitted(gateway, outcome=failed("external_site", external_url="https://e.test/1"))
    assert (answer[0], answer[2]["error"]) == (422, "external_site")
    assert answer[2]["details"]["external_url"] == "https://e.test/1"


@pytest.mark.parametrize("error", ["hh_refused", "hh_captcha", "unavailable", "timeout", "nonsense"])
@pytest.mark.parametrize("status", ["failed", "dead"])
def test_what_is_over_is_nothing_to_retry(gateway, error, status):
    answer, _ = submitted(gateway, outcome=failed(error, status=status))
    assert answer[0] == 422 and "Retry-After" not in answer[1]


@pytest.mark.parametrize("error, status", [("missing_email", 422), ("hh_login_required", 401),
                                           ("hh_closed", 403), ("conflict", 409), ("unavailable", 503)])
def test_a_submission_that_is_refused(gateway, error, status):
    answer, _ = submitted(gateway, outcome=Refuse(error, "in words", details='{"x":1}'))
    body = refused(answer, status, error)
    words = {"description": "in words"} if error not in ("conflict", "unavailable") else {}
    assert body["details"] == {"x": 1, **words}


def test_who_applies(gateway):
    named = {"job_external_id": "93", "user_id": OTHER, "access_token": "APPLbody"}
    assert submitted(gateway, named)[1]["user_id"] == USER, "the headers go first"
    _, request = submitted(gateway, named, Authorization="Bearer APPLraw")
    assert request == {"user_id": OTHER, "job_external_id": "93", "access_token": "APPLraw"}
    refused(gateway.ask("POST", SUBMIT, {**named, "userId": USER}), 400, "bad_request", "user_id")
    assert gateway.ask("POST", SUBMIT, {**named, "userId": OTHER})[0] == 200
    assert gateway.peers["submitter"].log[-1].body == {"user_id": OTHER, "job_external_id": "93"}
    refused(gateway.ask("POST", SUBMIT, {"job_external_id": "93"}), 400, "bad_request", "user_id")
    refused(gateway.ask("POST", SUBMIT, named, secret=None), 401, "unauthorized")


def test_the_idempotency_key_may_be_a_header(gateway):
    headers = {"X_Session_Id": USER, "Idempotency_Key": "from-header"}
    assert submitted(gateway, **headers)[1]["idempotency_key"] == "from-header"
    body = {"job_external_id": "93", "idempotencyKey": "from-body"}
    assert submitted(gateway, body)[1]["idempotency_key"] == "from-body"
    assert submitted(gateway, body, **headers)[1]["idempotency_key"] == "from-header"
    answer, _ = submitted(gateway, X_Session_Id=USER, Idempotency_Key="k" * 129)
    refused(answer, 400, "bad_request", "idempotency_key")


@settings(HTTP_THREADS=4)
def test_nobody_waits_for_an_outcome_when_many_do(gateway):
    answers(gateway, "submitter", "applications.submit", NO_ANSWER)
    body = {"job_external_id": "93", "wait_ms": 5000}
    peer = gateway.peers["submitter"]

    def submit():
        return gateway.ask("POST", SUBMIT, body, X_Session_Id=USER)
    with ThreadPoolExecutor(3) as pool:
        rest = []
        for count in range(1, 4):
            rest.append(pool.submit(submit))
            peer.wait_received("applications.submit", count)
        assert [r.body["wait_ms"] for r in peer.log] == [5000, 5000, 0]
        for request in peer.received():
            request.reply(APPLICATION)
        assert {one.result()[0] for one in rest} == {200}


def test_an_application_is_read_and_retried(gateway):
    answers(gateway, "store", "applications.get", APPLICATION)
    status, _, body = gateway.ask("GET", f"/api/applications/{ID}")
    assert (status, body["success"]) == (200, True)
    assert body["application"]["id"] == ID and body["application"]["status"] == "submitted"
    gateway.ask("GET", f"/api/applications/{ID}", X_Session_Id=USER)
    answers(gateway, "store", "applications.retry", {**APPLICATION, "status": "pending"})
    status, _, body = gateway.ask("POST", f"/api/applications/{ID}/retry")
    assert (status, body["application"]["status"]) == (200, "pending")
    assert [r.body for r in gateway.peers["store"].log] == [{"id": ID}, {"id": ID, "user_id": USER},
                                                            {"id": ID}]
    refused(gateway.ask("GET", "/api/applications/x"), 400, "bad_request", "id")


FORGED = token(base="another")
OF_NOBODY = [("GET", "/api/applications", None), ("GET", f"/api/applications/{ID}", None),
             ("POST", f"/api/applications/{ID}/retry", None),
             ("POST", SUBMIT, {"job_external_id": "93"}),
             ("GET", "/api/rate-limit/status", None),
             ("POST", "/api/queue/pause", {"workflow_id": ID}),
             ("POST", "/api/queue/cancel", {"workflow_id": ID, "user_id": None})]


@pytest.mark.parametrize("bearer", ["APPLraw", FORGED], ids=["raw", "forged"])
@pytest.mark.parametrize("verb, path, body", OF_NOBODY)
def test_a_bearer_that_names_nobody_is_not_everybody(gateway, verb, path, body, bearer):
    answer = gateway.ask(verb, path, body, Authorization=f"Bearer {bearer}")
    refused(answer, 401, "unauthorized", "user_id" if bearer != FORGED else None)
    assert gateway.peers["store"].log == []


def test_next_to_a_bearer_of_hh_a_user_may_be_named(gateway):
    answers(gateway, "store", "applications.list", {"applications": [], "total": 0})
    gateway.ask("GET", f"/api/applications?user_id={OTHER}", Authorization="Bearer APPLraw")
    assert [r.body for r in gateway.peers["store"].log] == [{"user_id": OTHER}]


def test_applications_are_listed(gateway):
    answers(gateway, "store", "applications.list", {"applications": [APPLICATION], "total": 7})
    status, _, body = gateway.ask("GET", f"/api/applications?status=dead&limit=1&after={ID}")
    assert (status, body["success"], body["total"]) == (200, True, 7)
    assert [a["id"] for a in body["applications"]] == [ID]
    gateway.ask("GET", f"/api/applications?userId={OTHER}")
    gateway.ask("GET", f"/api/applications?user_id={OTHER}", X_Session_Id=USER)
    assert [r.body for r in gateway.peers["store"].log] == [
        {"status": "dead", "limit": 1, "after": ID}, {"user_id": OTHER}, {"user_id": USER}]


# --- limits ----------------------------------------------------------------------------------------

def test_the_bucket_is_shown_in_both_forms(gateway):
    answers(gateway, "rate_limiter", "limiter.status", BUCKET)
    for path in (f"?user_id={USER}", f"?userId={USER}", f"/{USER}"):
        assert gateway.ask("GET", f"/api/rate-limit/status{path}")[::2] == (200, BUCKET)
    assert gateway.ask("GET", "/api/rate-limit/status", X_Session_Id=USER)[::2] == (200, BUCKET)
    assert [r.body for r in gateway.peers["rate_limiter"].log] == [{"user_id": USER}] * 4
    refused(gateway.ask("GET", "/api/rate-limit/status"), 400, "bad_request", "user_id")


def test_tokens_are_checked(gateway):
    answers(gateway, "rate_limiter", "limiter.check", {"allowed": True, "remaining": 18.5})
    check = "/api/v1/rate-limit/check"
    assert gateway.ask("POST", check, {"user_id": USER, "action": "search", "cost": 2})[::2] == (
        200, {"allowed": True, "remaining": 18.5})
    answers(gateway, "rate_limiter", "limiter.check",
            {"allowed": False, "remaining": 0.5, "retry_at": WHEN, "retry_after_ms": 1500})
    assert gateway.ask("POST", check, {"cost": 1}, X_Session_Id=USER)[::2] == (
        200, {"allowed": False, "remaining": 0.5, "retry_at": WHEN, "retry_after_ms": 1500})
    assert [r.body for r in gateway.peers["rate_limiter"].log] == [
        {"user_id": USER, "action": "search", "cost": 2}, {"user_id": USER, "cost": 1}]
    refused(gateway.ask("POST", check, {"cost": 0, "user_id": USER}), 400, "bad_request", "cost")


def test_a_check_without_an_answer_is_not_repeated(gateway):
    """It may have spent its tokens."""
    answers(gateway, "rate_limiter", "limiter.check", NO_ANSWER)
    refused(gateway.ask("POST", "/api/v1/rate-limit/check", {"user_id": USER}), 504, "timeout")
    assert len(gateway.peers["rate_limiter"].log) == 1


def test_a_bucket_is_reset_for_a_user_who_is_named(gateway):
    answers(gateway, "rate_limiter", "limiter.reset", BUCKET)
    reset = "/api/rate-limit/reset"
    assert gateway.ask("POST", reset, {"user_id": USER})[::2] == (200, BUCKET)
    refused(gateway.ask("POST", reset, {}, X_Session_Id=USER), 400, "bad_request", "user_id")


# --- queues ----------------------------------------------------------------------------------------

def test_vacancies_are_queued(gateway):
    answers(gateway, "store", "queue.add", {"workflow_id": FLOW, "jobs_added": 2})
    for body in ({"user_id": USER, "cv_id": CV, "job_ids": ["1", "2"]},
                 {"userId": USER, "cvId": CV, "jobIds": ["1", "2"]}):
        assert gateway.ask("POST", "/api/queue/add", body)[::2] == (
            200, {"success": True, "workflow_id": FLOW, "jobs_added": 2})
    assert [r.body for r in gateway.peers["store"].log] == [
        {"user_id": USER, "cv_id": CV, "job_ids": ["1", "2"]}] * 2


@pytest.mark.parametrize("body", [{"workflowId": FLOW, "userId": USER},
                                  {"workflow_id": FLOW, "user_id": USER}])
def test_a_workflow_is_started(gateway, body):
    answers(gateway, "store", "queue.start", WORKFLOW)
    assert gateway.ask("POST", "/api/queue/start-workflow", body)[::2] == (
        200, {"success": True, "estimatedCompletion": WHEN, **WORKFLOW})
    assert gateway.peers["store"].log[0].body == {"workflow_id": FLOW, "user_id": USER}
    answers(gateway, "store", "queue.start", {**WORKFLOW, "estimated_completion": None})
    assert gateway.ask("POST", "/api/queue/start-workflow", body)[2]["estimatedCompletion"] is None


def test_whom_a_queue_belongs_to_may_be_in_the_headers(gateway):
    answers(gateway, "store", "queue.start", WORKFLOW)
    for body in ({"workflowId": FLOW}, {"workflowId": FLOW, "userId": OTHER}, {"workflowId": FLOW, "userId": None},
                 {"workflowId": FLOW, "user_id": None}):
        assert gateway.ask("POST", "/api/queue/start-workflow", body, X_Session_Id=USER)[0] == 200
    assert [r.body.get("user_id") for r in gateway.peers["store"].log] == [USER, OTHER, USER, USER], "null is nobody"


@pytest.mark.parametrize("path, method", [
    ("batch-customize", "queue.customize"), ("pause", "queue.pause"), ("resume", "queue.resume"),
    ("cancel", "queue.cancel")])
def test_a_workflow_is_steered(gateway, path, method):
    answers(gateway, "store", method, WORKFLOW)
    body = {"workflowId": FLOW, "userId": USER, "jobCount": 3}
    assert gateway.ask("POST", f"/api/queue/{path}", body)[::2] == (200, {"success": True, **WORKFLOW})
    assert gateway.peers["store"].log[0].body == {"workflow_id": FLOW, "user_id": USER, "job_count": 3}
    answers(gateway, "store", method, Refuse("not_found", "no such workflow"))
    refused(gateway.ask("POST", f"/api/queue/{path}", body), 404, "not_found")


def test_progress_and_status(gateway):
    answers(gateway, "store", "queue.progress", WORKFLOW)
    status, _, body = gateway.ask("GET", f"/api/queue/progress/{FLOW}")
    assert (status, body["success"], body["progress"]) == (200, True, COUNTS)
    answers(gateway, "store", "queue.status", {"user_id": USER, "rate_limit": BUCKET,
                                               "workflows": [WORKFLOW]})
    assert gateway.ask("GET", f"/api/queue/status/{USER}")[::2] == (
        200, {"success": True, "user_id": USER, "rate_limit": BUCKET, "workflows": [WORKFLOW]})
