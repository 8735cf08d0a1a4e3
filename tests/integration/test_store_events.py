"""The store's outbox: read by cursors, handed to the webhook in order, pruned by age."""
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.store import Store, refused

TOPICS = ["user:a", "user:b", "user:c"]


def fill(database, topic, count, **columns):
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", {value}" for value in columns.values())
    database.rows("insert into topics values (%s, %s) on conflict (topic) do update"
                  " set last_seq = excluded.last_seq", topic, count)
    database.rows(f"insert into outbox (topic, seq, type, payload{names}) select %s, n, 'new_jobs',"
                  f" '{{\"jobs\": []}}'{values} from generate_series(1, %s) n", topic, count)


def places(reply):
    return [(event["topic"], event["seq"]) for event in reply["events"]]


def claim(store, limit=1000, ttl_ms=60000, node="one"):
    return places(store.call("store.webhook_claim", {"node": node, "limit": limit,
                                                     "ttl_ms": ttl_ms}))


def result(store, topic, seq, delivered=True, **more):
    assert store.call("store.webhook_result", {"topic": topic, "seq": seq, "delivered": delivered,
                                               **more}) == {}


# --- reading -------------------------------------------------------------------------------------

def test_events_after_the_cursors_come_in_the_order_of_topics_and_numbers(store, database):
    for topic, count in zip(TOPICS, (3, 0, 5)):
        fill(database, topic, count)
    reply = store.call("store.events_read", {"limit": 100, "cursors": [
        {"topic": "user:c", "seq": 3}, {"topic": "user:b", "seq": 0}, {"topic": "user:a", "seq": 1}]})
    assert places(reply) == [("user:a", 2), ("user:a", 3), ("user:c", 4), ("user:c", 5)]
    assert reply["more"] is False
    assert reply["events"][0]["payload"] == '{"jobs": []}'
    assert reply["events"][0]["created_ms"] > 1_700_000_000_000


def test_more_is_said_and_can_be_read_on(store, database):
    for topic in TOPICS:
        fill(database, topic, 10)
    cursors, read, turns = dict.fromkeys(TOPICS, 0), [], 0
    while True:
        reply = store.call("store.events_read", {"limit": 7, "cursors": [
            {"topic": topic, "seq": seq} for topic, seq in cursors.items()]})
        read += places(reply)
        cursors.update(places(reply))
        turns += 1
        if not reply["more"]:
            break
    assert read == [(topic, n) for topic in TOPICS for n in range(1, 11)] and turns == 5


def test_exactly_as_many_as_asked_for_is_not_more(store, database):
    fill(database, "user:a", 7)
    assert store.events("user:a", limit=7)["more"] is False


def test_nothing_new_is_an_empty_answer(store):
    reply = store.events(*TOPICS)
    assert places(reply) == [] and reply["more"] is False
    assert places(store.call("store.events_read", {"limit": 1, "cursors": []})) == []


def test_large_events_are_given_in_several_answers(store, database):
    database.rows("insert into outbox (topic, seq, type, payload) select 'user:a', n, 'new_jobs',"
                  " jsonb_build_object('text', repeat('x', 3000000)) from generate_series(1, 5) n")
    reply = store.events("user:a")
    assert [seq for _, seq in places(reply)] == [1, 2] and reply["more"]
    assert [seq for _, seq in places(store.events("user:a", after=4))] == [5]


def test_twenty_thousand_cursors_are_one_call(store, database):
    fill(database, "user:x9999", 2)
    reply = store.events(*(f"user:x{n}" for n in range(20000)))
    assert places(reply) == [("user:x9999", 1), ("user:x9999", 2)]


def test_the_tail_of_a_topic(store, database):
    fill(database, "user:a", 4)
    for topic, seq in ("user:a", 4), ("user:nobody", 0):
        assert store.call("store.events_tail", {"topic": topic}) == {"topic": topic, "seq": seq}


# --- the webhook ---------------------------------------------------------------------------------

def test_each_topic_gives_its_oldest_event_and_the_next_one_after_it_was_delivered(store, database):
    for topic in TOPICS:
        fill(database, topic, 2, webhook_due_at="now()")
    assert claim(store) == [(topic, 1) for topic in TOPICS]
    assert claim(store) == [], "all are leased, and those behind them wait"
    result(store, "user:a", 1)
    assert claim(store) == [("user:a", 2)]
    result(store, "user:a", 2)
    result(store, "user:a", 2)
    assert claim(store) == []
    assert database.value("select webhook_attempts from outbox where topic = 'user:a' and seq = 2"
                          ) == 1


def test_a_failed_delivery_holds_its_topic_until_its_retry(store, database):
    fill(database, "user:a", 2, webhook_due_at="now()")
    claim(store)
    for _ in range(2):
        result(store, "user:a", 1, delivered=False, retry_in_ms=3_600_000, problem="500")
    assert claim(store) == []
    assert database.rows("select webhook_attempts, webhook_problem, webhook_lease_until from outbox"
                         " where seq = 1") == [(1, "500", None)]
    database.rows("update outbox set webhook_due_at = now() where seq = 1")
    assert claim(store) == [("user:a", 1)]
    result(store, "user:a", 1, delivered=False, retry_in_ms=0)
    assert claim(store) == [("user:a", 1)]


def test_a_claim_that_ended_without_a_result_is_given_again(store, database):
    fill(database, "user:a", 1, webhook_due_at="now()")
    assert claim(store) == [("user:a", 1)]
    database.rows("update outbox set webhook_lease_until = now() - interval '1 s'")
    assert claim(store, node="two") == [("user:a", 1)]


def test_a_claim_takes_no_more_than_its_limit_the_longest_due_first(store, database):
    for topic, minutes in zip(TOPICS, (1, 3, 2)):
        fill(database, topic, 1, webhook_due_at=f"now() - interval '{minutes} minutes'")
    assert claim(store, limit=2) == [("user:b", 1), ("user:c", 1)]
    assert claim(store, limit=2) == [("user:a", 1)]


def test_nobody_gets_what_another_one_claims_at_the_same_time(store, database):
    for n in range(60):
        fill(database, f"user:{n}", 2, webhook_due_at="now()")
    with Store(database.url) as other, ThreadPoolExecutor(8) as pool:
        claims = [pool.submit(claim, one, 10) for _ in range(8) for one in (store, other)]
        got = [place for one in claims for place in one.result()]
    got += claim(store)
    assert len(got) == len(set(got)) == 60


def test_without_a_webhook_nothing_waits_for_it(database):
    with Store(database.url, API_BASE_URL="") as store:
        user, token = store.leased()
        store.page(user, token, [{"id": "1", "hh_vacancy_id": "1", "title": "t", "skills": [],
                                  "description": "", "has_test": False, "test_required": False}])
        assert claim(store) == []
        assert len(places(store.events(f"user:{user}"))) == 1


# --- bells ---------------------------------------------------------------------------------------

def test_a_notification_of_any_node_rings_the_broadcaster(store, database):
    database.rows("select pg_notify('ugtj_events', 'user:a 7')")
    store.bell("user:a", 7)
    database.rows("select pg_notify('ugtj_events', 'nonsense')")
    database.rows("select pg_notify('ugtj_events', 'user:a 8')")
    store.bell("user:a", 8)
    assert "notify.malformed" in store.log


def test_who_comes_up_is_told_to_read_everything(store):
    store.bell("*", 0)
    rung = len(store.broadcaster.received())
    store.broadcaster.restart()
    store.broadcaster.wait_received("events.changed", rung + 1)
    assert store.broadcaster.received()[-1].body == {"topic": "*", "seq": 0}
    store.scheduler.restart()
    assert store.scheduler.next().method == "schedules.changed"


# --- pruning -------------------------------------------------------------------------------------

def test_old_events_are_deleted_delivered_or_not(database):
    old = "now() - interval '8 days'"
    fill(database, "user:a", 2500, created_at=old)
    fill(database, "user:b", 3, created_at=old, webhook_due_at=old)
    fill(database, "user:c", 3, created_at="now() - interval '6 days'")
    with Store(database.url) as store:
        store.wait_for(lambda: database.value("select count(*) from outbox") == 3, 10, "pruned")
        assert places(store.events(*TOPICS)) == [("user:c", n) for n in (1, 2, 3)]
        assert store.call("store.events_tail", {"topic": "user:a"})["seq"] == 2500


# --- shared secrets ------------------------------------------------------------------------------

def secret(store, node, stale_version=0, ttl_ms=60000):
    return store.call("store.secret_claim", {"name": "hh_app_token", "node": node, "ttl_ms": ttl_ms,
                                             "stale_version": stale_version})


def put_secret(store, ciphertext):
    return store.call("store.secret_put", {"name": "hh_app_token", "version": 0,
                                           "ciphertext": ciphertext, "key_id": "k1"})


def test_one_node_may_fetch_a_secret_that_was_never_written(store):
    assert secret(store, "a") == {"name": "hh_app_token", "version": 0, "may_fetch": True}
    assert not secret(store, "b").get("may_fetch")
    assert secret(store, "a")["may_fetch"], "a repeated claim"
    wanted = {"name": "hh_app_token", "version": 1, "ciphertext": "sealed", "key_id": "k1"}
    for _ in range(2):
        assert {**put_secret(store, "sealed"), "may_fetch": 0} == {**wanted, "may_fetch": 0}
    for node in "a", "b":
        assert {**secret(store, node), "may_fetch": 0} == {**wanted, "may_fetch": 0}


def test_a_stale_secret_is_given_to_nobody_and_fetched_by_one(store):
    put_secret(store, "first")
    assert secret(store, "a", stale_version=1) == {"name": "hh_app_token", "version": 1,
                                                   "may_fetch": True}
    for stale_version in 0, 1:
        held = secret(store, "b", stale_version)
        assert "ciphertext" not in held and not held.get("may_fetch")
    put_secret(store, "second")
    held = secret(store, "b", stale_version=1)
    assert (held["version"], held["ciphertext"]) == (2, "second"), "a newer one than the stale"


def test_the_right_to_fetch_ends(store, database):
    secret(store, "a")
    database.rows("update shared_secrets set fetch_until = now() - interval '1 s'")
    assert secret(store, "b")["may_fetch"]
    assert not secret(store, "a").get("may_fetch")


def test_the_right_to_fetch_goes_to_one_of_many(store):
    with ThreadPoolExecutor(16) as pool:
        held = list(pool.map(lambda n: secret(store, f"node{n}"), range(16)))
    assert sum(bool(one.get("may_fetch")) for one in held) == 1


@pytest.mark.parametrize("missing", ["ciphertext", "key_id"])
def test_half_a_secret_is_refused(store, missing):
    body = {"name": "x", "version": 0, "ciphertext": "c", "key_id": "k"}
    del body[missing]
    error = refused(store.call, "store.secret_put", body)
    assert (error.code, error.field) == ("bad_request", missing)
