"""Faults on the applicants' methods, outcomes that the caller cannot know, and how often tokens were refreshed."""
import http.client
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import APP_TOKEN


@pytest.fixture
def who(sim):
    sim.control("settings", {"readable_after_s": 0, "indexed_after_s": 0})
    return sim.applicant()


def count(sim):
    return len(sim.get("/_sim/applications").json()["applications"])


def test_a_connection_reset_after_the_application_was_made(sim, who):
    first, second = sim.open_vacancies(2)
    sim.fault("reset_after", path="/negotiations", method="POST", count=1)
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        sim.apply(who, first)
    assert count(sim) == 1
    found = sim.get("/negotiations", {"vacancy_id": first}, token=who["access_token"]).json()
    assert found["found"] == 1
    assert sim.apply(who, first).errors() == [("negotiations", "already_applied")]
    sim.fault("reset", path="/negotiations", method="POST", count=1)
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        sim.apply(who, second)
    assert count(sim) == 1


def test_a_reset_after_a_refusal_changes_nothing(sim, who):
    sim.fault("reset_after", path="/negotiations")
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        sim.apply(who, "1")
    assert count(sim) == 0


def test_an_answer_that_comes_late_to_a_caller_who_left(sim, who):
    sim.fault("latency_after", path="/negotiations", method="POST", ms=60_000, count=1)
    fields = {"vacancy_id": sim.open_vacancies()[0], "resume_id": who["resume_ids"][0]}
    with pytest.raises(TimeoutError):
        sim.form("/negotiations", fields, token=who["access_token"], timeout=0.5)
    assert count(sim) == 1


def test_latency_after_delays_the_answer_and_not_the_deed(sim, who):
    vacancy_id = sim.open_vacancies()[0]
    sim.fault("latency_after", path="/negotiations", method="POST", ms=2000)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        answer = pool.submit(sim.apply, who, vacancy_id)
        while count(sim) == 0:
            assert not answer.done()
        assert not answer.done()
        assert answer.result().status == 201
    assert time.monotonic() - began >= 2
    assert [entry["fault"] for entry in sim.log() if entry["method"] == "POST"] == ["latency_after"]


@pytest.mark.parametrize("method, path", [
    ("GET", "/resumes/mine"), ("POST", "/resumes"), ("POST", "/resumes/x/publish"), ("POST", "/negotiations"),
    ("GET", "/negotiations"), ("GET", "/vacancies/1/resumes_by_status"), ("GET", "/resume_conditions")])
def test_the_applicants_methods_can_be_closed(sim, who, method, path):
    sim.fault("applicant_closed")
    answer = sim.send(method, path, token=who["access_token"])
    assert (answer.status, answer.errors()) == (403, [("forbidden", None)])
    for other in ("/me", "/vacancies", "/areas"):
        assert sim.get(other, token=who["access_token"]).status == 200


@pytest.mark.parametrize("kind, error", [
    ("captcha", ("captcha_required", "captcha_required")), ("token_revoked", ("oauth", "token_revoked")),
    ("token_expired", ("oauth", "token_expired")), ("forbidden", ("forbidden", None))])
def test_a_fault_strikes_applying_and_nothing_else(sim, who, kind, error):
    sim.fault(kind, path="/negotiations", method="POST")
    answer = sim.apply(who, sim.open_vacancies()[0])
    assert (answer.status, answer.errors()) == (403, [error])
    assert count(sim) == 0
    for path in ("/negotiations", "/resumes/mine"):
        assert sim.get(path, token=who["access_token"]).status == 200


def test_any_refusal_can_be_asked_for(sim, who):
    vacancy_id = sim.open_vacancies()[0]
    sim.fault("refuse", path="/negotiations", method="POST", value="application_denied", count=1)
    sim.fault("refuse", path="/negotiations", method="POST", value="inappropriate_language", status=400, count=1)
    answers = [sim.apply(who, vacancy_id) for _ in range(3)]
    assert [(answer.status, answer.errors()[0][1]) for answer in answers[:2]] == [
        (403, "application_denied"), (400, "inappropriate_language")]
    assert answers[2].status == 201


def test_a_bad_day_of_hh(sim, who):
    """Shares of failures together; a latency that was named last delays the failures too."""
    for kind, probability in (("429", 0.2), ("503", 0.2), ("reset", 0.1), ("reset_after", 0.1)):
        sim.fault(kind, path="/negotiations", method="POST", probability=probability)
    sim.fault("latency", path="/negotiations", ms=5)
    seen = []
    for vacancy_id in sim.open_vacancies(150):
        try:
            seen.append(sim.apply(who, vacancy_id).status)
        except (ConnectionResetError, http.client.RemoteDisconnected):
            seen.append("cut")
    assert set(seen) == {201, 429, 503, "cut"}
    assert seen.count(201) < count(sim) < seen.count(201) + seen.count("cut")
    fired = {fault["kind"]: fault["fired"] for fault in sim.control("faults", method="GET")["faults"]}
    assert fired["latency"] == 150
    assert fired["429"] == seen.count(429) and fired["503"] == seen.count(503)
    assert fired["reset"] + fired["reset_after"] == seen.count("cut")
    assert count(sim) == seen.count(201) + fired["reset_after"]
    assert 10 <= fired["429"] <= 55 and 8 <= fired["503"] <= 50


# Tokens

def refresh(sim, refresh_token):
    return sim.form("/token", {"grant_type": "refresh_token", "refresh_token": refresh_token})


def test_refreshes_are_counted_by_user(start):
    sim = start("--max-rps", "0")
    who, other = sim.applicant(), sim.applicant()
    assert refresh(sim, who["refresh_token"]).status == 400
    sim.control("tokens", {"action": "expire", "user_id": who["user_id"]})
    fresh = refresh(sim, who["refresh_token"]).json()
    assert refresh(sim, who["refresh_token"]).status == 400
    sim.control("tokens", {"action": "expire", "access_token": fresh["access_token"]})
    assert refresh(sim, fresh["refresh_token"]).status == 200
    stats = sim.control("stats", method="GET")
    assert stats["refreshes"] == {who["user_id"]: 2} and stats["refused_refreshes"] == {who["user_id"]: 2}
    assert other["user_id"] not in stats["refreshes"]


def test_a_pair_whose_answer_was_lost_is_lost(start):
    sim = start("--max-rps", "0")
    who = sim.applicant()
    sim.control("tokens", {"action": "expire", "user_id": who["user_id"]})
    sim.fault("reset_after", path="/token", count=1)
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        refresh(sim, who["refresh_token"])
    assert refresh(sim, who["refresh_token"]).json()["error_description"] == "token has already been refreshed"
    assert sim.control("stats", method="GET")["refreshes"] == {who["user_id"]: 1}


def test_the_lifetime_of_tokens_can_be_changed_while_it_runs(start):
    sim = start("--max-rps", "0")
    sim.control("settings", {"token_ttl_s": 0.2})
    who = sim.applicant()
    deadline = time.monotonic() + 10
    while sim.get("/resumes/mine", token=who["access_token"]).status == 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sim.apply(who, sim.open_vacancies()[0]).errors() == [("oauth", "token_expired")]
    sim.control("settings", {"token_ttl_s": 600})
    pair = refresh(sim, who["refresh_token"]).json()
    assert pair["expires_in"] == 600
    assert sim.apply({**who, "access_token": pair["access_token"]}, sim.open_vacancies()[0]).status == 201


def test_the_applications_token_reads_vacancies_and_nothing_of_applicants(sim):
    assert sim.get("/vacancies", token=APP_TOKEN).status == 200
    assert sim.get("/resumes/mine", token=APP_TOKEN).errors() == [("forbidden", None)]
