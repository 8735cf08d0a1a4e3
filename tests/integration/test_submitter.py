"""The submitter, on a real store and database; hh_client is fake (support/applications.py)."""
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.applications import Hh, Node
from support.harness import NO_ANSWER, Failed, Refuse
from support.store import refused, user_id

CV = json.dumps({"title": "C developer", "email": "a@b.cd"})


@pytest.fixture
def node(database):
    with Node(database.url) as one:
        yield one


@pytest.fixture
def hh(node):
    return node.hh


def in_flight(node, user, vacancy, **fields):
    """An application that HH does not answer: its call of hh_client, and the caller's."""
    answers = node.submitter.peers["hh_client"].answers

    def answer(request):
        if request.method == "hh.apply" and request.body["vacancy_id"] == str(vacancy):
            held.append(request)
            return NO_ANSWER
        return answers(request)

    held = []
    node.submitter.peers["hh_client"].answers = answer
    call = node.submit_async(user, vacancy, **{"wait_ms": 0, **fields})
    node.submitter.wait_for(lambda: held, what="hh.apply")
    return held[0], call


# --- the way of an application ---------------------------------------------------------------------

def test_an_application_is_sent_once_and_answered_with_what_came_of_it(node, hh, database):
    user = user_id()
    done = node.submit(user, 77, customized_cv=CV, cover_letter="Здравствуйте")
    assert done["status"] == "submitted" and done["negotiation_id"] == "n1"
    assert done["resume_id"] == "r1" and done["submitted_at"].endswith("Z")
    assert done["idempotency_key"] == "vacancy:77" and done["attempts"] == 1
    assert [method for method, _ in hh.calls] == ["resumes.ensure", "hh.apply"]
    assert json.loads(hh.calls[0][1]["customized_cv"]) == json.loads(CV)
    assert hh.calls[1][1] == {"user_id": user, "vacancy_id": "77", "resume_id": "r1",
                              "message": "Здравствуйте"}
    assert node.submit(user, 77) == done, "again: the same answer"
    assert hh.methods() == ["ensure", "apply"]


def test_that_it_is_sent_is_committed_before_it_is(node, database):
    request, call = in_flight(node, user_id(), 1)
    assert database.value("select sent_at is not null and hh_resume_id = 'r1' from applications")
    request.reply({"negotiation_id": "n1"})
    node.wait_status(call.result(), "submitted")


def test_twenty_callers_with_one_key_are_one_application(node, hh):
    user = user_id()
    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda _: node.submit(user, 1), range(20)))
    assert answers == answers[:1] * 20 and answers[0]["status"] == "submitted"
    assert hh.methods() == ["ensure", "apply"]


def test_who_does_not_wait_is_answered_at_once_and_may_ask_later(node, hh):
    request, call = in_flight(node, user_id(), 1)
    first = call.result()
    assert first["status"] == "pending" and "negotiation_id" not in first
    assert node.wait_status(first, "submitting")["attempts"] == 1
    request.reply({"negotiation_id": "n7"})
    assert node.wait_status(first, "submitted")["negotiation_id"] == "n7"


def test_who_waits_in_vain_is_told_how_it_stands(node):
    request, call = in_flight(node, user_id(), 1, wait_ms=300)
    assert call.result()["status"] == "submitting"
    request.reply({"negotiation_id": "n7"})
    node.wait_status(call.result(), "submitted")


def test_a_persons_applications_are_sent_one_by_one_in_their_order(node, hh):
    user = user_id()
    request, first = in_flight(node, user, 1)
    later = [node.submit_async(user, vacancy) for vacancy in (2, 3, 4)]
    node.submit(user_id(), 9)
    assert "2" not in [body.get("vacancy_id") for _, body in hh.calls]
    request.reply({"negotiation_id": "n1"})
    assert [call.result(20)["status"] for call in later] == ["submitted"] * 3
    assert [body["vacancy_id"] for method, body in hh.calls if method == "hh.apply"] == [
        "9", "2", "3", "4"]


def test_no_more_are_in_flight_than_the_setting_allows(database):
    with Node(database.url, MAX_SUBMISSIONS=2) as node:
        node.hh.broken["hh.apply"] = None
        held = [in_flight(node, user_id(), vacancy)[0] for vacancy in (1, 2)]
        third = node.submit_async(user_id(), 3)
        assert node.submit(user_id(), 4, wait_ms=200)["status"] == "pending"
        held[0].reply({"negotiation_id": "n1"})
        assert third.result(20)["status"] == "submitted"
        held[1].reply({"negotiation_id": "n2"})


@pytest.mark.parametrize("cv", ["[]", "{", '{"a": 1, "a": 2}', '"text"', "[" * 40 + "]" * 40])
def test_a_cv_that_is_none_is_refused(node, cv):
    error = refused(node.submit, user_id(), 1, customized_cv=cv)
    assert (error.code, error.field) == ("bad_request", "customized_cv")


def test_one_that_the_database_does_not_take_spoils_nothing_for_others(node):
    grows = '{"a": [' + ",".join(["1e300"] * 2000) + "]}"
    bad = [node.submit_async(user_id(), 1, customized_cv=grows) for _ in range(3)]
    good = [node.submit_async(user_id(), 1) for _ in range(20)]
    for call in bad:
        with pytest.raises(Failed) as error:
            call.result()
        assert error.value.code == "bad_request"
    assert {call.result(20)["status"] for call in good} == {"submitted"}


@pytest.mark.parametrize("vacancy", ["x", "12a", "-1", "1 ", "٣"])
def test_what_is_no_vacancys_id_is_refused(node, vacancy):
    error = refused(node.submit, user_id(), vacancy)
    assert (error.code, error.field) == ("bad_request", "job_external_id")


def test_a_key_that_stands_for_another_vacancy_is_a_conflict(node, hh, database):
    user = user_id()
    assert node.submit(user, 1, idempotency_key="mine")["status"] == "submitted"
    error = refused(node.submit, user, 2, idempotency_key="mine")
    assert (error.code, error.field) == ("conflict", "idempotency_key")
    assert list(hh.applied) == [(user, "1")]
    assert node.submit(user, 2)["status"] == "submitted"


def test_a_key_that_is_made_of_a_vacancy_is_no_other_vacancys(node, hh):
    user = user_id()
    error = refused(node.submit, user, 1, idempotency_key="vacancy:2")
    assert (error.code, error.field) == ("bad_request", "idempotency_key")
    first = node.submit(user, 2, idempotency_key="vacancy:2")
    assert node.submit(user, 2)["id"] == first["id"]
    assert list(hh.applied) == [(user, "2")]


@pytest.mark.parametrize("cv", ['{"a": ' + "[" * 60 + "]" * 60 + "}", "[1]", '"x"', "7",
                                '{"a": "' + "Ж" * 200000 + '"}'], ids=range(5))
def test_an_odd_cv_that_a_workflow_brought_stops_nobody_else(node, database, cv):
    """It was not checked as a caller's is."""
    put = "select (application_put(%s, '1', %s, null, null, 0, null, null)).id"
    odd = database.value(put, user_id(), cv)
    assert node.submit(user_id(), 2)["status"] == "submitted"
    assert node.wait_over({"id": str(odd)})["status"] in ("submitted", "failed")


# --- a token that came along ------------------------------------------------------------------------

def test_a_token_that_came_along_is_kept_first(node, hh):
    user = user_id()
    node.submit(user, 1, access_token="TOKEN")
    assert hh.calls[0] == ("accounts.keep", {"user_id": user, "access_token": "TOKEN"})
    assert hh.methods() == ["keep", "ensure", "apply"]
    hh.broken["accounts.keep"] = Refuse("hh_login_required", "no")
    assert refused(node.submit, user, 2, access_token="BAD").code == "hh_login_required"
    assert node.store.call("applications.list", {})["total"] == 1
    assert "TOKEN" not in node.submitter.log + node.store.log


# --- refusals ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("code", ["test_required", "letter_required", "limit_exceeded", "hh_captcha",
                                  "hh_login_required", "hh_closed", "already_applied", "hh_refused"])
def test_a_refusal_fails_at_once_with_its_reason(node, hh, code):
    details = {"errors": [{"type": "negotiations", "value": code}]}
    hh.scripts["1"] = [Refuse(code, "HH's own words", details=json.dumps(details))]
    done = node.submit(user_id(), 1)
    assert (done["status"], done["error"], done["attempts"]) == ("failed", code, 1)
    assert json.loads(done["details"]) == details
    if code in ("hh_captcha", "hh_refused"):
        assert done["error_message"] == "HH's own words"
    else:
        assert done["error_message_ru"] and done["error_message"] != done["error_message_ru"]


def test_a_cv_without_what_hh_needs_fails_at_once_and_may_come_again_with_it(node, hh, database):
    user = user_id()
    hh.broken["resumes.ensure"] = Refuse("missing_email", "no e-mail")
    assert node.submit(user, 1)["error"] == "missing_email"
    del hh.broken["resumes.ensure"]
    assert node.submit(user, 1, customized_cv=CV)["status"] == "submitted"
    assert database.value("select level / 3600000 from rate_limits") == 19, "one token for both"


def test_an_external_site_is_told_with_its_address(node, hh):
    hh.scripts["1"] = [{"external_url": "https://jobs.example/1"}]
    done = node.submit(user_id(), 1)
    assert (done["status"], done["error"]) == ("failed", "external_site")
    assert done["external_url"] == "https://jobs.example/1"


# --- what time mends --------------------------------------------------------------------------------

@pytest.mark.parametrize("error", [
    Refuse("rate_limited", "slower", retry_after_ms=700), Refuse("overloaded"),
    Refuse("unavailable", details=json.dumps({"sent": False}))])
def test_what_time_mends_is_tried_again_without_asking_since_hh_has_nothing(node, hh, error):
    hh.scripts["1"] = [error, error]
    start = time.monotonic()
    done = node.submit(user_id(), 1)
    assert (done["status"], done["attempts"]) == ("submitted", 3)
    assert hh.methods() == ["ensure", "apply", "apply", "apply"]
    assert time.monotonic() - start >= (1.4 if error.body["error"] == "rate_limited" else 0.7)


def test_a_try_says_why_it_waits(node, hh):
    hh.broken["resumes.ensure"] = Refuse("unavailable", "HH is away", retry_after_ms=60000)
    user = user_id()
    done = node.submit(user, 1, wait_ms=1000)
    assert (done["status"], done["error"], done["error_message"]) == ("pending", "unavailable",
                                                                      "HH is away")
    assert done["retry_at"].endswith("Z")


def test_too_many_failures_are_its_death_and_it_can_be_raised(node, hh, database):
    hh.broken["resumes.ensure"] = Refuse("unavailable", "HH is away")
    put = node.submit(user_id(), 1, wait_ms=0)
    node.submitter.wait_for(lambda: hh.methods())
    database.rows("update applications set failures = 22")
    node.submitter.wait_for(lambda: database.value("select failures > 22 from applications"), 20)
    database.rows("update applications set next_attempt_at = now();"
                  "update application_lanes set due_at = now()")
    dead = node.wait_status(put, "dead")
    assert (dead["error"], dead["error_message"]) == ("unavailable", "HH is away")
    del hh.broken["resumes.ensure"]
    node.store.call("applications.retry", {"id": put["id"]})
    assert node.wait_status(put, "submitted")["attempts"] == 1


# --- an outcome that nobody knows -------------------------------------------------------------------

def test_after_a_lost_answer_hh_is_asked_and_nothing_is_sent_again(node, hh):
    hh.scripts["1"] = [Hh.LOST]
    done = node.submit(user_id(), 1)
    assert (done["status"], done["negotiation_id"], done["attempts"]) == ("submitted", "n1", 2)
    assert hh.methods() == ["ensure", "apply", "applied"]


@pytest.mark.parametrize("error", ["down", "timeout", "unavailable", "internal"])
def test_what_hh_does_not_have_is_sent_again(node, hh, error):
    hh.scripts["1"] = [Refuse(error)]
    assert node.submit(user_id(), 1)["status"] == "submitted"
    assert hh.methods() == ["ensure", "apply", "applied", "apply"]


def test_already_applied_after_our_own_try_is_the_success_that_it_looks_like(node, hh):
    user = user_id()
    hh.scripts["1"] = [Hh.LOST]
    hh.hidden.add("1")
    done = node.submit(user, 1)
    assert done["status"] == "submitted" and "error" not in done
    assert hh.methods() == ["ensure", "apply", "applied", "apply", "applied"]


def test_hh_is_not_sent_to_while_it_cannot_be_asked(node, hh):
    hh.scripts["1"] = [Hh.LOST]
    hh.broken["hh.applied"] = Refuse("unavailable")
    put = node.submit(user_id(), 1, wait_ms=0)
    node.submitter.wait_for(lambda: hh.methods().count("applied") >= 2, 20)
    assert hh.methods().count("apply") == 1
    del hh.broken["hh.applied"]
    assert node.wait_status(put, "submitted")["negotiation_id"] == "n1"


# --- a resume that HH does not find -----------------------------------------------------------------

NOT_FOUND = Refuse("resume_not_available", "resume_not_found")


def test_a_resume_that_was_just_made_is_given_time(node, hh):
    hh.created = True
    hh.scripts["1"] = [NOT_FOUND, NOT_FOUND]
    done = node.submit(user_id(), 1)
    assert (done["status"], done["resume_id"]) == ("submitted", "r1")
    assert hh.methods() == ["ensure", "apply", "apply", "apply"]


def test_another_is_replaced_once(node, hh):
    hh.scripts["1"] = [NOT_FOUND]
    done = node.submit(user_id(), 1)
    assert (done["status"], done["resume_id"], done["attempts"]) == ("submitted", "r2", 1)
    assert hh.calls[2][1]["not_resume_id"] == "r1"
    hh.scripts["2"] = [NOT_FOUND, NOT_FOUND]
    failed = node.submit(user_id(), 2)
    assert (failed["status"], failed["error"]) == ("failed", "resume_not_available")
    assert hh.methods().count("ensure") == 4


# --- tokens -----------------------------------------------------------------------------------------

def test_who_has_no_token_is_told_until_when_and_goes_when_there_is_one(database):
    with Node(database.url, RATE_LIMITS="application=1/8") as node:
        user = user_id()
        assert node.submit(user, 1)["status"] == "submitted"
        start = time.monotonic()
        waits = node.submit(user, 2)
        assert waits["status"] == waits["error"] == "rate_limited" and waits["retry_at"]
        assert time.monotonic() - start < 8, "at once"
        database.rows("update limiter_clock set at_ms = at_ms + 450000")
        node.wait_status(waits, "submitted")
        assert node.submit(user, 3)["status"] == "rate_limited"
        database.rows("select limiter_reset(%s, null)", user)
        node.wait_status(node.submit(user, 3), "submitted")
        assert [v for _, v in node.hh.applied] == ["1", "2", "3"]


def test_a_token_comes_by_itself_too(database):
    with Node(database.url, RATE_LIMITS="application=1/3600") as node:
        user = user_id()
        puts = [node.submit(user, vacancy) for vacancy in range(4)]

        def over():
            """Time goes on by its small steps, which ring no bell."""
            database.rows("update limiter_clock set at_ms = at_ms + 100,"
                          " updated_at = clock_timestamp()")
            return all(node.get(put)["status"] == "submitted" for put in puts)
        node.submitter.wait_for(over, 30)


# --- deaths and other nodes -------------------------------------------------------------------------

def test_the_next_generation_goes_on_at_once_and_sends_nothing_twice(node, hh, database):
    user = user_id()
    request, call = in_flight(node, user, 1)
    put = call.result()
    hh.on_apply(request.body)  # HH got it
    node.submit(user, 2, wait_ms=0)
    node.kill()
    start = time.monotonic()
    node.start()
    assert node.wait_status(put, "submitted")["negotiation_id"] == "n1"
    assert time.monotonic() - start < 6, "the lease of a dead one is not waited for"
    assert hh.methods("1").count("apply") == 0 and hh.methods("1").count("applied") >= 1
    assert node.submit(user, 2)["status"] == "submitted"
    assert database.value("select level / 3600000 from rate_limits") == 18


def test_another_node_sends_it_and_the_caller_here_is_told(database):
    hh = Hh()
    with Node(database.url, hh, "one", MAX_SUBMISSIONS=1) as one:
        held, _ = in_flight(one, user_id(), 1)
        with Node(database.url, hh, "two"):
            start = time.monotonic()
            done = one.submit(user_id(), 2)
            assert done["status"] == "submitted" and time.monotonic() - start < 9
        held.reply({"negotiation_id": "n9"})


def test_another_node_takes_over_what_a_dead_one_had(database):
    hh = Hh()
    with Node(database.url, hh, "one") as one:
        _, call = in_flight(one, user_id(), 1)
        put = call.result()
        with Node(database.url, hh, "two") as two:
            one.kill()
            start = time.monotonic()
            assert two.wait_status(put, "submitted", 15)["attempts"] == 2
            assert time.monotonic() - start < 10
        one.start()


def test_leases_are_renewed_while_hh_takes_its_time(database):
    hh = Hh()
    with Node(database.url, hh, "one") as one:
        held, call = in_flight(one, user_id(), 1)  # before there is another who might take it
        with Node(database.url, hh, "two") as two:
            two.submit(user_id(), 2)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                left = database.value("select extract(epoch from lease_until - clock_timestamp())"
                                      " from applications where lease_token is not null")
                assert left > 1
                time.sleep(0.2)
            held.reply({"negotiation_id": "n1"})
            assert one.wait_status(call.result(), "submitted")["attempts"] == 1


def test_a_store_that_is_replaced_costs_nothing_but_time(node, hh, database):
    users = [user_id() for _ in range(30)]
    calls = [node.submit_async(user, 1) for user in users]
    node.store.kill()
    node.submitter.peers["store"].down()
    with type(node.store)(database.url, generation=2, run_dir=node.store.run_dir,
                          NODE_NAME="one") as store:
        store.neighbour("submitter", 1)
        node.submitter.peers["store"].up(2)
        assert {call.result(20)["status"] for call in calls} == {"submitted"}
        assert sorted(u for u, _ in hh.applied) == sorted(users)
        assert hh.methods().count("apply") == 30


# --- the end ----------------------------------------------------------------------------------------

def test_who_waits_is_answered_at_the_end_and_what_is_in_flight_may_end(node):
    request, call = in_flight(node, user_id(), 1, wait_ms=10000)
    node.submitter.terminate()
    assert call.result()["status"] in ("pending", "submitting")
    request.reply({"negotiation_id": "n1"})
    assert node.submitter.wait_exit() == 0
    assert node.get(call.result())["status"] == "submitted"


def test_hh_that_does_not_answer_does_not_hold_up_the_end(node):
    in_flight(node, user_id(), 1)
    start = time.monotonic()
    node.submitter.stop()
    assert time.monotonic() - start < 4.8, "the supervisor kills after five seconds"
