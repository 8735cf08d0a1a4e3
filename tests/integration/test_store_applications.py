"""The store's durable queue of applications."""
import json
import threading
import time

import pytest
from support.applications import Queue
from support.store import refused, user_id

OVER = ["submitted", "failed", "dead"]


@pytest.fixture
def queue(database):
    with Queue(database.url) as one:
        yield one


def expire_leases(database):
    database.rows("update applications set lease_until = now() - interval '1 s'"
                  " where lease_token is not null")
    database.rows("update application_lanes set due_at = now() - interval '1 s' where busy")


# --- submitting -----------------------------------------------------------------------------------

def test_an_application_is_committed_as_given_and_rings_the_submitters(queue, database):
    user, before = user_id(), queue.rung()
    put = queue.submit(user, 77, customized_cv=json.dumps({"title": "C \"снаружи\""}),
                       cover_letter="Здравствуйте")
    assert put["status"] == "pending" and put["user_id"] == user
    assert put["job_external_id"] == "77" and put["attempts"] == 0
    assert put["idempotency_key"] == "vacancy:77"
    assert put["created_at"].endswith("Z") and "retry_at" not in put and "error" not in put
    assert queue.application(put) == put
    assert database.value("select cover_letter from applications") == "Здравствуйте"
    queue.wait_for(lambda: queue.rung() > before, what="the bell")


def test_an_access_token_is_not_even_looked_at(queue, database):
    queue.submit(user_id(), 1, access_token="secret-of-the-test")
    assert "secret-of-the-test" not in str(database.rows("select * from applications"))


@pytest.mark.parametrize("key", [{}, {"idempotency_key": "mine"}])
def test_the_same_key_is_the_same_application(queue, database, key):
    user = user_id()
    first = queue.submit(user, 1, **key)
    again = queue.submit_all(*[{"user_id": user, "job_external_id": "1", **key}] * 3)
    assert again == [first] * 3
    assert database.value("select count(*) from applications") == 1
    assert queue.submit(user_id(), 1, **key)["id"] != first["id"], "of another user"


def test_a_user_and_the_sessions_of_the_user_are_one_person(queue, database):
    user, session = user_id(), user_id()
    database.rows("insert into users (id, email, password_hash) values (%s, 'a@b.cd', '')", user)
    database.rows("insert into sessions (session_id, user_id, token, expires_at)"
                  " values (%s, %s, '', now() + interval '1 day')", session, user)
    first = queue.submit(session, 1)
    assert queue.submit(user, 1)["id"] == first["id"]
    assert queue.application(first, user_id=user)["user_id"] == session
    queue.submit(user, 2)
    assert len(queue.claim_work()) == 1, "one of a person at a time"
    database.rows("delete from users")
    assert database.value("select count(*) from applications where user_id = %s", user) == 0


def test_many_are_answered_in_the_order_in_which_they_came(queue):
    items = [{"user_id": user_id(), "job_external_id": str(i)} for i in range(100)]
    answers = queue.submit_all(*items)
    assert [a["job_external_id"] for a in answers] == [i["job_external_id"] for i in items]
    assert [a["user_id"] for a in answers] == [i["user_id"] for i in items]


@pytest.mark.parametrize("status", OVER)
def test_a_vacancy_that_was_applied_to_never_is_again_and_one_that_was_not_may_be(queue, database,
                                                                                 status):
    user = user_id()
    first = queue.submit(user, 1, cover_letter="one")
    work, = queue.claim_work()
    assert queue.note(work)
    queue.end_work(work, status, **({} if status == "submitted" else {"error": "missing_email"}))
    again = queue.submit(user, 1, cover_letter="two")
    assert again["id"] == first["id"]
    if status == "submitted":
        assert again["status"] == "submitted" and queue.claim_work() == []
        return
    assert again["status"] == "pending" and "error" not in again and again["attempts"] == 0
    work, = queue.claim_work()
    assert work["cover_letter"] == "two" and "resume_id" not in work
    assert work["sent"], "HH may have the first"
    assert database.value("select level / 3600000 from rate_limits") == 19, "one token"


def test_a_key_that_was_given_keeps_the_answer_of_the_first(queue):
    user = user_id()
    queue.submit(user, 1, idempotency_key="mine")
    work, = queue.claim_work()
    ended = queue.end_work(work, "failed", error="missing_email")
    assert queue.submit(user, 1, idempotency_key="mine") == ended
    assert queue.claim_work() == []


def test_a_vacancy_that_was_applied_to_is_not_worth_another_token(queue, database):
    user = user_id()
    first = queue.submit(user, 1, idempotency_key="mine")
    queue.end_work(queue.claim_work()[0], "submitted", negotiation_id="n")
    assert queue.submit(user, 1)["id"] == first["id"], "without a key it is about the vacancy"
    other = queue.submit(user, 1, idempotency_key="other")
    assert (other["status"], other["error"]) == ("failed", "already_applied")
    assert queue.submit(user, 1, idempotency_key="other") == other and queue.claim_work() == []
    assert database.value("select level / 3600000 from rate_limits") == 19
    assert queue.submit(user_id(), 1)["status"] == "pending", "another person"


def test_what_has_its_token_does_not_wait_for_one(queue, database):
    user = user_id()
    queue.submit(user, 1)
    queue.end_work(queue.claim_work()[0], "failed", error="missing_email")
    for vacancy in range(2, 22):
        queue.submit(user, vacancy)
    for _ in range(19):
        queue.end_work(queue.claim_work()[0], "submitted")
    assert queue.claim_work() == [] and database.value("select limited from application_lanes")
    queue.submit(user, 1)
    assert [w["job_external_id"] for w in queue.claim_work()] == ["1"]


def test_what_no_message_could_carry_is_refused(queue, database):
    large = json.dumps({"a": "x" * 262144})
    assert refused(queue.submit, user_id(), 1, customized_cv=large).code == "bad_request"
    grows = "[" + ",".join(["1e300"] * 2000) + "]"
    error = refused(queue.submit, user_id(), 1, customized_cv=grows)
    assert error.code == "bad_request" and "1e300" not in str(error)
    assert database.value("select count(*) from applications") == 0


# --- claims ---------------------------------------------------------------------------------------

def test_a_claim_gives_what_is_to_be_sent_and_spends_a_token(queue, database):
    user = user_id()
    put = queue.submit(user, 5, customized_cv='{"title": "C"}', cover_letter="Hello")
    work, = queue.claim_work()
    assert json.loads(work.pop("customized_cv")) == {"title": "C"}
    assert work == {"id": put["id"], "token": work["token"], "user_id": user,
                    "job_external_id": "5", "cover_letter": "Hello", "attempts": 1, "failures": 0}
    assert queue.application(put)["status"] == "submitting"
    assert database.value("select level / 3600000 from rate_limits where person = %s", user) == 19
    kinds = [e["type"] for e in queue.events(f"user:{user}")["events"]]
    assert kinds == ["rate_limit_update"]


def test_one_of_a_person_is_in_flight_and_the_next_one_follows(queue):
    user, other = user_id(), user_id()
    for vacancy in 1, 2, 3:
        queue.submit(user, vacancy)
    queue.submit(other, 9)
    first, theirs = queue.claim_work()
    assert (first["job_external_id"], theirs["job_external_id"]) == ("1", "9")
    assert queue.claim_work(held=[first, theirs]) == []
    queue.submit(user, 4, priority=1)
    queue.end_work(first, "submitted")
    urgent, = queue.claim_work(held=[theirs])
    assert urgent["job_external_id"] == "4", "the urgent one goes first"
    queue.end_work(urgent, "failed", error="missing_email")
    assert queue.claim_work(held=[theirs])[0]["job_external_id"] == "2"


def test_a_claim_takes_no_more_than_its_limit(queue):
    for _ in range(5):
        queue.submit(user_id(), 1)
    assert queue.claim_work(limit=0) == []
    held = queue.claim_work(limit=2)
    assert len(held) == 2 and len(queue.claim_work(held=held)) == 3


def test_without_a_token_an_application_waits_and_is_rung_for_when_there_is_one(queue, database):
    user = user_id()
    queue.submit_all(*[{"user_id": user, "job_external_id": str(i)} for i in range(23)])
    for i in range(20):
        work, = queue.claim_work()
        assert work["job_external_id"] == str(i)
        queue.end_work(work, "submitted")
    assert queue.claim_work() == []
    assert 440_000 < queue.next_due_ms <= 450_000, "7.5 minutes for a token"
    listed = queue.call("applications.list", {"user_id": user, "status": "rate_limited"})
    limited, = listed["applications"]
    assert limited["job_external_id"] == "20" and limited["error"] == "rate_limited"
    assert limited["retry_at"].endswith("Z") and limited["attempts"] == 0
    queue.submit(user, 99)
    assert queue.claim_work() == [] and queue.next_due_ms > 400_000, "a new one does not help"
    before = queue.rung()
    database.rows("update limiter_clock set at_ms = at_ms + 450000")
    queue.wait_for(lambda: queue.rung() > before, what="the bell of time")
    work, = queue.claim_work()
    assert work["job_external_id"] == "20"
    queue.end_work(work, "submitted")
    assert queue.claim_work() == []
    before = queue.rung()
    database.rows("select limiter_reset(%s, null)", user)
    queue.wait_for(lambda: queue.rung() > before, what="the bell of the reset")
    assert queue.claim_work()[0]["job_external_id"] == "21"


def test_a_try_that_is_over_is_followed_by_another_which_spends_nothing(queue, database):
    user = user_id()
    put = queue.submit(user, 1)
    queue.submit(user, 2)
    work, = queue.claim_work()
    assert queue.note(work, "r1", created=True)
    ended = queue.end_work(work, "pending", retry_in_ms=60000, error="unavailable",
                           message="HH is away", details='{"a": 1}')
    assert ended["status"] == "pending" and ended["error"] == "unavailable"
    assert ended["error_message"] == "HH is away" and json.loads(ended["details"]) == {"a": 1}
    assert ended["retry_at"].endswith("Z") and ended["attempts"] == 1
    other, = queue.claim_work()
    assert other["job_external_id"] == "2", "it is not held up by the one that waits"
    database.rows("update applications set next_attempt_at = now() where id = %s", put["id"])
    queue.end_work(other, "pending", retry_in_ms=60000, unsent=True)
    again, = queue.claim_work()
    assert again["id"] == put["id"] and again["attempts"] == 2 and again["failures"] == 1
    assert again["sent"] and again["resume_id"] == "r1" and again["resume_new"]
    assert database.value("select level / 3600000 from rate_limits") == 18, "two tokens for two"
    assert "error" not in queue.application(put)


def test_what_hh_is_known_not_to_have_acted_on_is_not_asked_for(queue):
    queue.submit(user_id(), 1)
    work, = queue.claim_work()
    queue.note(work)
    queue.end_work(work, "pending", unsent=True)
    again, = queue.claim_work()
    assert "sent" not in again and "resume_new" not in again and again["resume_id"] == "r1"
    assert queue.note(again, "r2", created=True, replaced=True)
    queue.end_work(again, "pending")
    last, = queue.claim_work()
    assert last["sent"] and last["resume_replaced"] and last["resume_new"]


# --- leases ---------------------------------------------------------------------------------------

def test_a_lease_that_is_lost_is_worth_nothing(queue, database):
    put = queue.submit(user_id(), 1)
    old, = queue.claim_work(node="one")
    assert queue.claim_work(node="two") == []
    expire_leases(database)
    new, = queue.claim_work(node="two")
    assert new["token"] > old["token"] and new["attempts"] == 2
    assert not queue.note(old)
    assert queue.end_work(old, "submitted", negotiation_id="n1")["status"] == "submitting"
    assert queue.note(new)
    queue.end_work(new, "submitted", negotiation_id="n2")
    assert queue.application(put)["negotiation_id"] == "n2"
    assert database.value("select level / 3600000 from rate_limits") == 19


def test_what_a_node_has_but_nobody_there_holds_is_claimed_anew_at_once(queue):
    for _ in range(3):
        queue.submit(user_id(), 1)
    first = queue.claim_work()
    again = queue.claim_work(held=first[:1])
    assert {w["id"] for w in again} == {w["id"] for w in first[1:]}
    assert not queue.note(first[1]) and queue.note(again[0]) and queue.note(first[0])


def test_what_is_held_is_renewed(queue, database):
    queue.submit(user_id(), 1)
    work, = queue.claim_work()
    expire_leases(database)
    assert queue.claim_work(held=[work]) == []
    assert queue.claim_work(node="two") == [] and queue.next_due_ms > 5000
    assert queue.note(work)


def test_the_end_may_be_said_twice(queue):
    user = user_id()
    queue.submit(user, 1)
    work, = queue.claim_work()
    first = queue.end_work(work, "submitted", negotiation_id="n1", resume_id="r1")
    assert queue.end_work(work, "submitted", negotiation_id="n1", resume_id="r1") == first
    events = [e for e in queue.events(f"user:{user}")["events"]
              if e["type"] == "application_completed"]
    assert len(events) == 1


def test_claimers_at_the_same_time_never_share_an_application_nor_a_person(queue, database):
    users = [user_id() for _ in range(40)]
    for vacancy in range(3):
        queue.submit_all(*[{"user_id": u, "job_external_id": str(vacancy)} for u in users])
    done, lock = [], threading.Lock()

    def work(node):
        while True:
            claimed = queue.claim_work(node=node, limit=5)
            for one in claimed:
                assert queue.note(one)
                assert queue.end_work(one, "submitted")["status"] == "submitted"
            with lock:
                done.extend(claimed)
                if len(done) >= 120:
                    return

    threads = [threading.Thread(target=work, args=(f"node{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 120 and len({w["id"] for w in done}) == 120
    assert all(w["attempts"] == 1 for w in done)
    order = {u: [w["job_external_id"] for w in done if w["user_id"] == u] for u in users}
    assert database.value("select count(*) from application_lanes") == 0
    assert all(sorted(o) == ["0", "1", "2"] for o in order.values())


# --- what became of it ----------------------------------------------------------------------------

def test_the_person_is_told_in_the_transaction_of_the_end(queue, database):
    user = user_id()
    database.rows("insert into jobs (external_id, title, company) values ('1', 'C developer', 'Acme')")
    queue.submit(user, 1)
    queue.submit(user, 2)
    work, = queue.claim_work()
    queue.end_work(work, "submitted", negotiation_id="n1", resume_id="r1")
    work, = queue.claim_work()
    ended = queue.end_work(work, "failed", error="external_site", external_url="https://x.example/",
                           message="the employer takes applications on another site")
    assert ended["external_url"] == "https://x.example/" and "другом сайте" in ended["error_message_ru"]
    told = [json.loads(e["payload"]) for e in queue.events(f"user:{user}")["events"]
            if e["type"] == "application_completed"]
    good, bad = (t["data"] for t in told)
    assert (good["job_title"], good["company"], good["status"]) == ("C developer", "Acme", "success")
    assert good["negotiation_id"] == "n1" and "error_message" not in good
    assert bad["status"] == "failed" and "another site" in bad["error_message"]
    assert all(t["timestamp"].endswith("Z") for t in told)


def test_a_submitted_application_has_all_that_the_bff_reads(queue, database):
    user = user_id()
    queue.submit(user, 1)
    work, = queue.claim_work()
    queue.note(work, "r1")
    ended = queue.end_work(work, "submitted", negotiation_id="n1")
    assert ended["resume_id"] == "r1" and ended["negotiation_id"] == "n1"
    assert ended["submitted_at"].endswith("Z") and ended["status"] == "submitted"
    status, resume, negotiation, late = database.rows(
        "select status, hh_resume_id, hh_negotiation_id,"
        " abs(extract(epoch from submitted_at - now() at time zone 'UTC')) < 60"
        " from applications")[0]
    assert (status, resume, negotiation, late) == ("submitted", "r1", "n1", True)


def test_dead_ones_are_listed_and_tried_again(queue):
    user = user_id()
    dead = [queue.submit(user, i) for i in range(3)]
    for _ in dead:
        work, = queue.claim_work()
        queue.note(work)
        queue.end_work(work, "dead", error="unavailable", message="HH is away")
    listed = queue.call("applications.list", {"status": "dead", "limit": 2})
    assert listed["total"] == 3
    assert [a["id"] for a in listed["applications"]] == [dead[2]["id"], dead[1]["id"]]
    rest = queue.call("applications.list", {"status": "dead", "after": dead[1]["id"]})
    assert [a["id"] for a in rest["applications"]] == [dead[0]["id"]]
    before = queue.rung()
    retried = queue.call("applications.retry", {"id": dead[1]["id"]})
    assert retried["status"] == "pending" and retried["attempts"] == 0 and "error" not in retried
    assert queue.call("applications.retry", {"id": dead[1]["id"]})["status"] == "pending"
    queue.wait_for(lambda: queue.rung() > before, what="the bell")
    work, = queue.claim_work()
    assert work["id"] == dead[1]["id"] and work["sent"], "HH is asked first"
    queue.end_work(work, "submitted")
    assert refused(queue.call, "applications.retry", {"id": dead[1]["id"]}).code == "conflict"
    assert refused(queue.call, "applications.retry", {"id": user_id()}).code == "not_found"


def test_an_application_is_shown_to_whom_it_belongs(queue):
    put = queue.submit(user_id(), 1)
    assert refused(queue.application, put, user_id=user_id()).code == "not_found"
    assert refused(queue.call, "applications.retry",
                   {"id": put["id"], "user_id": user_id()}).code == "not_found"
    assert queue.application(put, user_id=put["user_id"]) == put


def test_rows_that_the_bff_inserts_are_not_ours_to_send(queue, database):
    database.rows("insert into applications (user_id, job_external_id) values (%s, '1')", user_id())
    assert queue.claim_work() == []
    assert queue.call("applications.list", {})["total"] == 0


def test_certain_applications_are_read(queue):
    puts = [queue.submit(user_id(), 1) for _ in range(3)]
    ids = [p["id"] for p in puts[:2]] + [user_id()]
    read = queue.call("store.applications_read", {"ids": ids})["applications"]
    assert sorted(a["id"] for a in read) == sorted(ids[:2])


def test_one_that_waits_is_cancelled_and_one_in_flight_is_not(queue, database):
    put = queue.submit(user_id(), 1)
    assert database.value("select application_cancel(%s)", put["id"])
    cancelled = queue.application(put)
    assert cancelled["status"] == cancelled["error"] == "cancelled"
    assert queue.claim_work() == []
    flying = queue.submit(user_id(), 1)
    queue.claim_work()
    assert not database.value("select application_cancel(%s)", flying["id"])
    assert queue.application(flying)["status"] == "submitting"


# --- what is too old ------------------------------------------------------------------------------

def test_old_applications_lose_what_they_were_made_of_and_those_that_came_to_nothing_go(database):
    ages = {"submitted": 200, "failed": 100, "dead": 40, "cancelled": 10}
    for status, days in ages.items():
        database.rows("insert into applications (user_id, person, idempotency_key, job_external_id,"
                      " status, customized_cv, updated_at) select u, u, 'k', '1', %s, '{}',"
                      " now() - %s * interval '1 day' from gen_random_uuid() u", status, days)
    with Queue(database.url) as queue:
        def left():
            return dict(database.rows("select status, customized_cv from applications"))
        queue.wait_for(lambda: left() == {"submitted": None, "dead": None, "cancelled": {}}, 20)
        put = queue.submit(user_id(), 1)
        database.rows("update applications set updated_at = now() - interval '1 year'"
                      " where id = %s", put["id"])
        assert queue.application(put)["status"] == "pending"


def test_a_claim_is_quick_however_many_wait(queue, database):
    user = user_id()
    database.rows("select application_put(%s, i::text, '{}', null, null, 0, null, null)"
                  " from generate_series(1, 5000) i", user)
    database.rows("analyze applications")
    start = time.monotonic()
    for i in range(1, 21):
        work, = queue.claim_work()
        assert work["job_external_id"] == str(i)
        queue.end_work(work, "submitted")
    assert time.monotonic() - start < 10
