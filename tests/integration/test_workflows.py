"""Workflows: what a person wants to apply to, prepared and applied to one after the other."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.limits import HOUR_MS, hold, leap
from support.store import refused, user_id
from support.system import wait_for
from support.workflows import ANNA, Workflows


@pytest.fixture
def flows(database):
    with Workflows(database.server, database.name) as one:
        yield one


def wait_ready(flows, flow, count):
    wait_for(lambda: flows.progress(flow)[1].get("ready") == count, 20, "all are prepared")


# --- adding -------------------------------------------------------------------------------------


def test_added_vacancies_wait_in_the_order_given_each_once(flows, database):
    user, cv = flows.person()
    job = flows.vacancy(3)
    reply = flows.added(user, cv, [3, 1, 2, 1])
    assert reply["jobs_added"] == 3
    flow = reply["workflow_id"]
    assert list(flows.items(flow)) == ["3", "1", "2"]
    assert flows.progress(flow) == ("waiting", {"pending": 3})
    assert database.rows("select job_id, user_id, cv_id from application_queue"
                         " where job_external_id = '3'") == [(job, user, cv)]
    assert flows.claim_work() == [] and flows.told(user, "application_progress") == []


def test_what_is_in_a_queue_already_is_left_out(flows):
    user, cv = flows.person()
    one = flows.add(user, cv, [1, 2])
    more = flows.added(user, cv, [2, 3], workflow_id=one)
    assert more == {"workflow_id": one, "jobs_added": 1}
    other = flows.added(flows.session_of(user), cv, [1, 2, 3, 4])
    assert other["jobs_added"] == 1 and list(flows.items(other["workflow_id"])) == ["4"]
    stranger, his = flows.person()
    assert flows.added(stranger, his, [1])["jobs_added"] == 1


def test_the_same_call_twice_adds_once(flows):
    user, cv = flows.person()
    body = {"user_id": user, "cv_id": cv, "job_ids": ["1", "2"]}
    first = flows.call("queue.add", body, trace="a-request")
    assert flows.call("queue.add", body, trace="a-request") == first
    assert len(flows.items(first["workflow_id"])) == 2
    assert flows.call("queue.add", {**body, "job_ids": ["3"]})["workflow_id"] != first["workflow_id"]
    other = flows.call("queue.add", {**body, "job_ids": ["4", "5"]}, trace="a-request")
    assert other["workflow_id"] != first["workflow_id"] and list(flows.items(other["workflow_id"])) == ["4", "5"]


@pytest.mark.parametrize("vacancy", ["x", "", "12a", "-1", "1 ", "٣"])
def test_what_is_no_vacancys_id_is_not_queued(flows, database, vacancy):
    user, cv = flows.person()
    assert refused(flows.add, user, cv, [1, vacancy]).field.startswith("job_ids")
    assert database.value("select count(*) from workflows") == 0


def test_cvs_and_workflows_of_others_are_not_found(flows):
    user, cv = flows.person()
    stranger, his = flows.person()
    flow = flows.add(user, cv, [1])
    assert refused(flows.add, stranger, cv, [1]).field == "cv_id"
    assert refused(flows.add, user_id(), cv, [1]).field == "cv_id"
    wrong = refused(flows.add, stranger, his, [1], workflow_id=flow)
    assert (wrong.code, wrong.field) == ("not_found", "workflow_id")
    for verb in ("start", "pause", "resume", "cancel", "customize", "progress"):
        assert refused(flows.do, verb, flow, user_id=stranger).code == "not_found"
        assert refused(flows.do, verb, user_id()).code == "not_found"
    assert flows.do("progress", flow, user_id=flows.session_of(user))["user_id"] == user


def test_a_workflow_that_the_bff_wrote_is_walked_as_well(flows, database):
    user, cv = flows.person()
    flow = user_id()
    database.rows("insert into application_queue (workflow_id, user_id, cv_id, job_external_id,"
                  " priority, payload) values (%s, %s, %s, '1', 0, null), (%s, %s, %s, '2', 5, %s)",
                  flow, user, cv, flow, user, cv, json.dumps({"coverLetter": "Mine", "x": 1}))
    assert flows.call("queue.status", {"user_id": user})["workflows"][0]["workflow_id"] == flow
    started = flows.do("start", flow, user_id=user, job_count=2)
    assert started["state"] == "running" and started["estimated_completion"].endswith("Z")
    work, = flows.claim_work()
    assert work["job_external_id"] == "2" and work["cover_letter"] == "Mine"
    assert flows.payload(flow, 2)["x"] == 1


# --- preparing ----------------------------------------------------------------------------------


def test_customize_prepares_each_item_and_sends_nothing(flows):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, range(60))
    assert flows.do("customize", flow)["progress"]["customizing"] == 60
    wait_ready(flows, flow, 60)
    assert flows.progress(flow) == ("waiting", {"ready": 60}) and flows.claim_work() == []
    told = flows.told(user, "customization_progress")
    assert [t["completed"] for t in told] == list(range(1, 61)) and told[0]["total"] == 60
    assert [t["current_job"] for t in told] == [str(n) for n in range(60)]
    assert told[0]["workflow_id"] == flow


def test_customized_comes_over_parsed_in_either_spelling(flows, database):
    user, cv = flows.person({"email": "new@example.test", "lastName": None, "title": " ",
                             "fullText": "x"})
    database.rows("insert into parsed_cvs (user_id, first_name, last_name, email, phone, title,"
                  " skills, full_text, file_path) values (%s, 'Old', 'Old', 'old@e.t', '1', 'T', '{}',"
                  " 'x', '/other'), (%s, 'Anna', 'Smith', 'a@e.t', '79161234567', 'C developer',"
                  " '{C,SQL}', 'all of it', '/f')", user, user)
    job = flows.vacancy(1)
    database.rows("insert into custom_cvs (cv_id, job_id, customized_data, cover_letter, created_at,"
                  " updated_at) values (%s, %s, '{\"firstName\": \"Nobody\"}', 'old', now() - interval"
                  " '1 day', null), (%s, %s, %s, '  As I wrote  ', now(), now())", cv, job, cv, job,
                  json.dumps({"firstName": "Anya", "hhResumeId": "r7", "experience": []}))
    flow = flows.add(user, cv, [1, 2])
    flows.do("customize", flow)
    wait_ready(flows, flow, 2)
    one, two = flows.payload(flow, 1), flows.payload(flow, 2)
    parsed = {"first_name": "Anna", "last_name": "Smith", "email": "new@example.test",
              "phone": "79161234567", "title": "C developer", "skills": ["C", "SQL"]}
    assert one["customized_cv"] == {**parsed, "first_name": "Anya", "hh_resume_id": "r7"}
    assert one["cover_letter"] == "As I wrote" and one["custom_cv_id"]
    assert two["customized_cv"] == parsed and "C developer" in two["cover_letter"]


@pytest.mark.parametrize("data", ["text", [1], 7, {"skills": {"a": 1}, "summary": [1]}, None])
def test_odd_parsed_data_does_no_harm(flows, data):
    user, cv = flows.person(data)
    flow = flows.add(user, cv, [1])
    flows.do("start", flow)
    work, = flows.claim_work()
    assert work["cover_letter"].startswith("Hello,")


def letter(flows, vacancy, **cv):
    user, cv = flows.person({**ANNA, **cv})
    flow = flows.add(user, cv, [vacancy])
    flows.do("start", flow)
    return {w["user_id"]: w for w in flows.claim_work()}[user]["cover_letter"]


def test_a_letter_is_made_of_vacancy_and_cv(flows):
    flows.vacancy(1, "Systems programmer", company="ACME", skills=["sql", "Rust"])
    assert letter(flows, 1) == (
        'Hello,\n\nI would like to apply for the position "Systems programmer" at ACME.'
        " My profession: C developer. My skills: SQL, C, Linux.\n\nI write daemons.\n\n"
        "I would be glad to tell you more about my experience.\n\n"
        "Kind regards,\nAnna Smith\nanna@example.test")


def test_a_letter_is_in_the_vacancys_language(flows):
    flows.vacancy(1, "Системный программист", company="Пример")
    text = letter(flows, 1, firstName="Анна", last_name="Смирнова", skills="C; Linux\nc, SQL")
    assert text.startswith("Здравствуйте!\n\nМеня заинтересовала вакансия «Системный программист» в"
                           " компании «Пример». Моя специальность: C developer. Мои навыки: C, Linux,"
                           " SQL.")
    assert text.endswith("С уважением,\nАнна Смирнова\nanna@example.test")
    flows.vacancy(2, "QA engineer", description="Тестирование", company=" ")
    assert "вакансия «QA engineer»." in letter(flows, 2)
    assert letter(flows, 404, firstName="Анна").startswith("Здравствуйте!\n\nПрошу рассмотреть")
    assert letter(flows, 404).startswith("Hello,\n\nPlease consider me")


def test_a_letter_of_an_empty_cv_has_no_gaps(flows):
    user, cv = flows.person()
    flows.vacancy(1, "100% %s %1$s")
    flow = flows.add(user, cv, [1])
    flows.do("start", flow)
    text = flows.claim_work()[0]["cover_letter"]
    assert text == ('Hello,\n\nI would like to apply for the position "100% %s %1$s".\n\n'
                    "I would be glad to tell you more about my experience.\n\nKind regards")


# --- walking ------------------------------------------------------------------------------------


def test_one_at_a_time_by_priority_then_insertion(flows, database):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2, 3, 4])
    database.rows("update application_queue set priority = 7 where job_external_id = '3'")
    flows.do("start", flow)
    sent = []
    for left in range(4, 0, -1):
        status = list(flows.items(flow).values())
        assert status.count("submitting") == 1 and status.count("submitted") == 4 - left
        assert database.value("select count(*) from applications where status = 'pending'") == 1
        sent += flows.serve(negotiation_id="n")
    assert sent == ["3", "1", "2", "4"]
    assert flows.progress(flow) == ("done", {"submitted": 4})
    assert flows.serve() == []


def test_each_step_is_told_in_order(flows):
    user, cv = flows.person(ANNA)
    session = flows.session_of(user)
    flows.vacancy(1, "First")
    flow = flows.add(session, cv, [1, 2])
    flows.do("start", flow, user_id=session)
    flows.serve(negotiation_id="n")
    flows.serve("failed", error="archived")
    told = [(e["type"], json.loads(e["payload"])["data"])
            for e in flows.events(f"user:{session}")["events"]]
    steps = [(kind, data.get("completed"), data.get("total"), data.get("current_job"))
             for kind, data in told if kind not in ("rate_limit_update", "customization_progress")]
    assert steps == [
        ("application_progress", 0, 2, "First"), ("application_completed", None, None, None),
        ("application_progress", 1, 2, "First"), ("application_progress", 1, 2, "2"),
        ("application_completed", None, None, None), ("application_progress", 2, 2, "2")]
    completed = [data for kind, data in told if kind == "application_completed"]
    assert [c["status"] for c in completed] == ["success", "failed"]
    assert all(c["workflow_id"] == flow for c in completed)


def test_a_person_has_one_in_flight_over_all_workflows(flows, database):
    user, cv = flows.person(ANNA)
    first, second = flows.add(user, cv, [1, 2]), flows.add(user, cv, [3, 4])
    stranger, his = flows.person(ANNA)
    third = flows.add(stranger, his, [5])
    for flow in (second, first, third):
        flows.do("start", flow)
    assert database.value("select count(*) from applications") == 2
    order = []
    while sent := flows.serve():
        order += sent
    assert sorted(order[:2]) == ["3", "5"], "what was begun first goes on"
    assert [n for n in order if n != "5"] == ["3", "1", "2", "4"]
    assert {flows.progress(f)[0] for f in (first, second, third)} == {"done"}


def test_the_limiter_holds_it_and_a_token_moves_it(flows, database):
    hold(database)
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, range(22))
    flows.do("start", flow)
    for _ in range(20):
        assert len(flows.serve()) == 1
    assert flows.claim_work() == []
    state, counts = flows.progress(flow)
    assert (state, counts.pop("rate_limited"), counts.pop("submitted")) == ("running", 1, 20)
    estimate = database.value("select extract(epoch from workflow_estimate(%s, 20, 8)"
                              " - clock_timestamp())", user)
    assert 900 < estimate < 910, "two tokens of 450 s each"
    leap(database, HOUR_MS // 8)
    assert flows.serve() == ["20"]
    assert flows.told(user, "application_progress")[-1]["status"] == "submitting"


def test_the_estimate_knows_the_tokens_that_are_there(flows, database):
    hold(database)
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, range(5))
    assert "estimated_completion" not in flows.do("progress", flow)
    flows.do("start", flow)
    estimate = "select extract(epoch from workflow_estimate(%s, 20, 8) - clock_timestamp())"
    assert 9 < database.value(estimate, user) <= 10.1
    flows.add(user, cv, range(5, 28), workflow_id=flow)
    assert 8 * 450 < database.value(estimate, user) < 8 * 450 + 60


def test_a_retry_stays_in_flight_and_a_failure_is_passed_over(flows, database):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2])
    flows.do("start", flow)
    assert flows.serve("pending", error="unavailable", retry_in_ms=0) == ["1"]
    assert flows.items(flow)["1"] == "submitting"
    assert flows.serve("dead", error="unavailable") == ["1"]
    assert flows.serve() == ["2"]
    assert flows.items(flow) == {"1": "failed", "2": "submitted"}
    assert database.value("select last_error from application_queue where job_external_id = '1'") == \
        "unavailable"
    retried = database.value("select id from applications where job_external_id = '1'")
    flows.call("applications.retry", {"id": str(retried)})
    assert flows.serve() == ["1"] and flows.items(flow)["1"] == "submitted"


def test_what_was_applied_to_before_counts_as_submitted(flows):
    user, cv = flows.person(ANNA)
    flows.submit(user, 2, customized_cv=json.dumps(ANNA))
    flows.serve(negotiation_id="n1")
    flow = flows.add(user, cv, [1, 2, 3])
    flows.do("start", flow)
    assert flows.serve() == ["1"] and flows.serve() == ["3"]
    assert flows.progress(flow) == ("done", {"submitted": 3})


def test_what_is_being_applied_to_without_a_workflow_becomes_its_item(flows, database):
    user, cv = flows.person(ANNA)
    flows.submit(user, 1, customized_cv=json.dumps(ANNA))
    flow = flows.add(user, cv, [1, 2])
    flows.do("start", flow)
    assert database.value("select count(*) from applications") == 1
    assert flows.serve() == ["1"] and flows.serve() == ["2"]
    assert flows.progress(flow) == ("done", {"submitted": 2})


@pytest.mark.parametrize("verb, left", [("pause", "ready"), ("cancel", "cancelled")])
@pytest.mark.parametrize("in_flight", [False, True])
def test_a_workflow_that_stops_leaves_what_somebody_else_submitted(flows, verb, left, in_flight):
    user, cv = flows.person(ANNA)
    direct = flows.submit(user, 1, customized_cv=json.dumps(ANNA))
    flow = flows.add(user, cv, [1])
    flows.do("start", flow)
    if in_flight:
        work, = flows.claim_work()
        flows.do(verb, flow)
        flows.end_work(work, "pending", error="unavailable", retry_in_ms=0)
    else:
        flows.do(verb, flow)
    assert flows.items(flow) == {"1": left}
    if verb == "pause":
        flows.do("resume", flow)
        assert flows.items(flow) == {"1": "submitting"}
    assert flows.serve() == ["1"] and flows.application(direct)["status"] == "submitted"
    assert flows.items(flow) == {"1": "submitted" if verb == "pause" else left}


def test_vacancies_added_to_a_running_workflow_are_sent_and_to_a_done_one_wait(flows):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1])
    flows.do("start", flow)
    flows.add(user, cv, [2], workflow_id=flow)
    assert flows.serve() == ["1"] and flows.serve() == ["2"]
    assert flows.progress(flow)[0] == "done"
    flows.add(user, cv, [3], workflow_id=flow)
    assert flows.progress(flow) == ("waiting", {"submitted": 2, "pending": 1})
    flows.do("start", flow)
    assert flows.serve() == ["3"]


# --- pausing and ending ---------------------------------------------------------------------------


def test_pause_takes_back_what_waits_and_resume_sends_it(flows, database):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2])
    flows.do("start", flow)
    assert flows.do("pause", flow)["state"] == "paused"
    assert flows.claim_work() == []
    assert flows.progress(flow)[1].get("ready", 0) + flows.progress(flow)[1].get("customizing", 0) == 2
    assert flows.do("pause", flow)["state"] == "paused"
    assert flows.do("resume", flow)["state"] == "running"
    assert flows.serve() == ["1"] and flows.serve() == ["2"]
    assert database.value("select count(*) from applications") == 2


def test_what_is_in_flight_at_a_pause_ends_and_nothing_follows(flows):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2, 3])
    flows.do("start", flow)
    one, = flows.claim_work()
    flows.do("pause", flow)
    assert flows.items(flow)["1"] == "submitting"
    assert flows.note(one)
    flows.end_work(one, "submitted", negotiation_id="n")
    assert flows.items(flow)["1"] == "submitted" and flows.claim_work() == []
    flows.do("start", flow)
    two, = flows.claim_work()
    flows.do("pause", flow)
    flows.end_work(two, "pending", error="unavailable", retry_in_ms=0)
    assert flows.claim_work() == [] and flows.items(flow)["2"] == "ready"
    flows.do("resume", flow)
    assert flows.serve() == ["2"] and flows.serve() == ["3"]


@pytest.mark.parametrize("prepared", [True, False])
def test_cancel_is_for_ever(flows, prepared):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2, 3])
    if prepared:
        flows.do("customize", flow)
        wait_ready(flows, flow, 3)
    flows.do("start", flow)
    flows.serve()
    assert flows.do("cancel", flow)["state"] == "cancelled"
    assert flows.progress(flow) == ("cancelled", {"submitted": 1, "failed": 2})
    assert flows.claim_work() == []
    assert flows.do("cancel", flow)["state"] == "cancelled"
    for verb in ("start", "resume", "pause", "customize"):
        assert refused(flows.do, verb, flow).code == "conflict"
    assert refused(flows.add, user, cv, [9], workflow_id=flow).field == "workflow_id"
    again = flows.add(user, cv, [2])
    flows.do("start", again)
    assert flows.serve() == ["2"], "in another workflow"


def test_what_was_in_flight_at_a_cancel_is_not_tried_again(flows):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1])
    flows.do("start", flow)
    work, = flows.claim_work()
    flows.do("cancel", flow)
    flows.end_work(work, "pending", error="unavailable", retry_in_ms=0)
    assert flows.claim_work() == [] and flows.items(flow) == {"1": "cancelled"}


@pytest.mark.parametrize("error", ["hh_login_required", "hh_closed", "hh_captcha", "limit_exceeded"])
def test_what_needs_the_person_pauses_and_keeps_its_token(flows, database, error):
    user, cv = flows.person(ANNA)
    flow, other = flows.add(user, cv, [1, 2]), flows.add(user, cv, [3])
    flows.do("start", flow)
    flows.do("start", other)
    flows.serve("failed", error=error)
    for one in (flow, other):
        reply = flows.do("progress", one)
        assert (reply["state"], reply.get("paused_reason")) == ("paused", error)
        assert "estimated_completion" not in reply
    assert flows.claim_work() == []
    last = flows.told(user, "application_progress")[-1]
    assert (last["state"], last["paused_reason"], last["completed"]) == ("paused", error, 0)
    flows.do("resume", flow)
    assert flows.serve() == ["1"]
    assert database.value("select round(20 - level / 3600000.0) from rate_limits") == 1


def test_hhs_daily_limit_ends_by_itself(flows, database):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2])
    flows.do("start", flow)
    flows.serve()
    database.rows("update applications set submitted_at = submitted_at - interval '20 hours'")
    flows.serve("failed", error="limit_exceeded")
    wait_s = database.value("select extract(epoch from resume_at - now()) from workflows")
    assert 3.9 * 3600 < wait_s <= 4 * 3600, "when the oldest of the last 24 hours is older"
    database.rows("update workflows set resume_at = now()")
    wait_for(lambda: flows.progress(flow)[0] == "running", 20, "it goes on by itself")
    assert flows.serve() == ["2"]


def test_hhs_daily_limit_without_applications_of_ours_is_tried_again_soon(flows, database):
    user, cv = flows.person(ANNA)
    flows.do("start", flows.add(user, cv, [1]))
    flows.serve("failed", error="limit_exceeded")
    assert 3500 < database.value("select extract(epoch from resume_at - now()) from workflows") <= 3600


# --- together -------------------------------------------------------------------------------------


def test_status_shows_bucket_and_workflows(flows, database):
    hold(database)
    user, cv = flows.person(ANNA)
    one, two = flows.add(user, cv, [1]), flows.add(user, cv, [2, 3])
    flows.do("start", two)
    flows.claim_work()
    session = flows.session_of(user)
    status = flows.call("queue.status", {"user_id": session})
    assert status["user_id"] == session
    assert (status["rate_limit"]["tokens"], status["rate_limit"]["capacity"]) == (19.0, 20)
    assert [w["workflow_id"] for w in status["workflows"]] == [two, one]
    assert status["workflows"][0]["progress"]["submitting"] == 1
    assert flows.call("queue.status", {"user_id": user_id()})["workflows"] == []


def test_all_at_once_nothing_is_lost_doubled_or_stuck(flows, database):
    """Starts, pauses and resumes against submitters that claim and end, of two persons."""
    people = [flows.person(ANNA) for _ in range(3)]
    ids = [[flows.add(user, cv, range(start, start + 6)) for start in (0, 100)] for user, cv in people]
    every = [flow for pair in ids for flow in pair]

    def disturb(flow):
        for verb in ("start", "pause", "resume", "pause", "start", "customize", "resume"):
            flows.do(verb, flow)

    def submit(node):
        for _ in range(60):
            for work in flows.claim_work(node=node):
                if flows.note(work):
                    flows.end_work(work, "submitted", negotiation_id="n")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda f: f(), [lambda x=x: disturb(x) for x in every]
                         + [lambda n=n: submit(n) for n in ("a", "b")]))
    wait_for(lambda: flows.serve() == [] and all(flows.progress(f)[0] == "done" for f in every), 60,
             "all are done")
    assert database.rows("select status, count(*) from application_queue group by 1") == [
        ("submitted", 36)]
    assert database.rows("select count(*), count(distinct (person, job_external_id)), max(attempts)"
                         " from applications where status = 'submitted'")[0][:2] == (36, 36)
    assert "40P01" not in flows.log, "a deadlock"


def test_a_deleted_user_leaves_nothing(flows, database):
    user, cv = flows.person(ANNA)
    flow = flows.add(user, cv, [1, 2])
    flows.do("start", flow)
    work, = flows.claim_work()
    database.rows("delete from users where id = %s", user)
    assert database.value("select count(*) from workflows") == 0
    assert refused(flows.do, "progress", flow).code == "not_found"
    assert flows.claim_work() == []
