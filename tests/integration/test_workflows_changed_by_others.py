"""Workflows whose rows others changed: what the BFF wrote itself, and what was deleted in the middle."""
import json

import pytest
from support.limits import hold
from support.workflows import ANNA, Workflows


@pytest.fixture
def flows(database):
    with Workflows(database.server, database.name) as one:
        yield one


# --- odd items --------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [
    {"cover_letter": "x" * 10001}, {"customized_cv": {"summary": "x" * 600000}, "cover_letter": "x"}])
def test_an_item_that_can_be_no_application_fails_and_stops_nobody(flows, database, broken):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2, 3])
    flows.do("start", flow)
    database.rows("update application_queue set status = 'ready', payload = %s"
                  " where job_external_id = '2'", json.dumps(broken))
    assert flows.serve() == ["1"] and flows.serve() == ["3"]
    assert flows.progress(flow) == ("done", {"submitted": 2, "failed": 1})
    assert database.value("select last_error from application_queue where job_external_id = '2'") == \
        "bad_request"
    assert [p["status"] for p in flows.told(user, "application_progress") if p["job_external_id"] == "2"] \
        == ["failed"]


def test_an_item_with_an_id_that_hh_never_gave_fails_and_stops_nobody(flows, database):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2])
    database.rows("update application_queue set job_external_id = %s where job_external_id = '1'",
                  "1" * 40)
    flows.do("start", flow)
    assert flows.serve() == ["2"]
    assert flows.progress(flow) == ("done", {"submitted": 1, "failed": 1})


def deep(levels):
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize("broken", [
    {"customized_cv": {"a": deep(60)}, "cover_letter": "x"}, {"customized_cv": [1], "cover_letter": "x"},
    {"customized_cv": "x", "cover_letter": "x"}, {"customized_cv": None, "cover_letter": None},
    {"customized_cv": {}, "cover_letter": 7}, [], 5])
def test_whatever_the_bff_wrote_for_one_stops_nobody_else(flows, database, broken):
    hold(database)
    user, cv = flows.person(ANNA)
    other, his = flows.person(ANNA)
    flow, theirs = flows.add(user, cv, [1, 2]), flows.add(other, his, [3])
    database.rows("update application_queue set status = 'ready', payload = %s"
                  " where job_external_id = '1'", json.dumps(broken))
    for one in flow, theirs:
        flows.do("start", one)
    served = []
    while some := flows.serve():
        served += some
    assert {"2", "3"} <= set(served)
    assert flows.progress(flow)[0] == flows.progress(theirs)[0] == "done"


@pytest.mark.parametrize("status", ["submitting", "rate_limited"])
def test_an_item_that_only_says_it_is_in_flight_stops_nobody(flows, database, status):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2])
    database.rows("update application_queue set status = %s where job_external_id = '2'", status)
    flows.do("start", flow)
    assert flows.serve() == ["1"] and flows.serve() == ["2"]
    assert flows.progress(flow) == ("done", {"submitted": 2})


# --- deleted in the middle --------------------------------------------------------------------------


def test_a_deleted_cv_takes_its_items_and_what_is_in_flight_still_ends(flows, database):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2])
    flows.do("start", flow)
    work, = flows.claim_work()
    database.rows("delete from cvs where id = %s", cv)
    assert flows.end_work(work, "submitted", negotiation_id="n")["status"] == "submitted"
    assert flows.claim_work() == []


def another_cv(database, user):
    return database.value("insert into cvs (user_id, name, file_path) values (%s, 'Other', '/o')"
                          " returning id", user)


@pytest.mark.parametrize("ends", ["submitted", "pending"])
def test_after_a_deleted_cv_the_persons_other_workflows_go_on(flows, database, ends):
    user, cv = flows.person(ANNA)
    flows.do("start", flows.add(user, cv, [1, 2]))
    other = flows.add(user, another_cv(database, user), [3])
    flows.do("start", other)
    work, = flows.claim_work()
    database.rows("delete from cvs where id = %s", cv)
    ended = flows.end_work(work, ends, **({} if ends == "submitted" else {"error": "unavailable"}))
    assert flows.application(ended)["status"] == ("submitted" if ends == "submitted" else "cancelled")
    assert flows.serve() == ["3"]
    assert flows.progress(other) == ("done", {"submitted": 1})


def test_what_waited_for_a_token_when_its_cv_was_deleted_is_not_sent(flows, database):
    hold(database)
    user, cv = flows.person(ANNA)
    flows.do("start", flows.add(user, cv, range(1, 22)))
    for _ in range(20):
        flows.serve()
    assert flows.claim_work() == []
    database.rows("delete from cvs where id = %s", cv)
    database.rows("update application_lanes set due_at = now()")
    assert flows.claim_work() == []
    assert database.rows("select status, count(*) from applications group by 1 order by 1") == [
        ("cancelled", 1), ("submitted", 20)]


def test_what_is_in_flight_when_its_cv_is_deleted_may_become_anothers_item(flows, database):
    user, cv = flows.person(ANNA)
    flows.do("start", flows.add(user, cv, [1]))
    work, = flows.claim_work()
    database.rows("delete from cvs where id = %s", cv)
    other = flows.add(user, another_cv(database, user), [1])
    flows.do("start", other)
    assert flows.items(other) == {"1": "submitting"}
    flows.end_work(work, "submitted", negotiation_id="n")
    assert flows.progress(other) == ("done", {"submitted": 1})


def test_a_deleted_vacancy_was_applied_to_all_the_same(flows, database):
    user, cv = flows.person(ANNA)
    for number in 1, 2:
        flows.vacancy(number)
    flow = flows.add(user, cv, [1, 2])
    flows.do("start", flow)
    assert flows.serve() == ["1"]
    work, = flows.claim_work()
    database.rows("delete from jobs")
    flows.end_work(work, "submitted", negotiation_id="n")
    assert flows.progress(flow) == ("done", {"submitted": 2})
    assert flows.submit(user, 1)["status"] == "submitted", "never again"
