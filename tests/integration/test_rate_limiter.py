"""The rate limits: real buckets in a real PostgreSQL, the rate_limiter before them."""
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.harness import Actor, Failed
from support.limits import HOUR_MS, Limits, hold, leap, take, user_id
from support.store import refused
from support.system import wait_for

LIMITS = "application=20/8 search=100/3600 slow=5/1"


@pytest.fixture
def limits(database):
    with Limits(database.url, RATE_LIMITS=LIMITS) as one:
        yield one


# --- the buckets, in SQL -----------------------------------------------------------------------


def test_a_bucket_is_full_and_never_above_its_capacity(database):
    user = user_id()
    hold(database)
    assert take(database, user, cost=0) == (True, 20.0, 0)
    hold(database, 1000 * HOUR_MS)
    assert [take(database, user)[1] for _ in range(20)] == [float(n) for n in range(19, -1, -1)]
    assert take(database, user) == (False, 0.0, 450000)
    hold(database, 2000 * HOUR_MS)
    assert take(database, user, cost=20) == (True, 0.0, 0)
    assert take(database, user, cost=21) == (False, 0.0, None), "it never can"


@pytest.mark.parametrize("per_hour", [1, 7, 8, 3601, 1000000])
def test_tokens_come_exactly_and_without_drift(database, per_hour):
    """At times that divide nothing evenly, against integers of Python."""
    user, dice = user_id(), random.Random(per_hour)
    level, last, at = 20 * HOUR_MS, 0, 0
    for _ in range(400):
        at += dice.choice([0, 1, 7, 333, 449999, 450000, 450001, 1234567])
        hold(database, at)
        level, last = min(20 * HOUR_MS, level + (at - last) * per_hour), at
        cost = dice.randint(1, 3)
        allowed, tokens, retry_ms = take(database, user, cost=cost, per_hour=per_hour)
        assert allowed == (level >= cost * HOUR_MS), (at, level)
        if allowed:
            level -= cost * HOUR_MS
        else:
            assert retry_ms == -(-(cost * HOUR_MS - level) // per_hour)
        assert tokens == level / HOUR_MS


def test_what_it_is_told_to_wait_for_is_there_then_and_not_before(database):
    user = user_id()
    hold(database)
    take(database, user, cost=20, per_hour=7)
    retry_ms = take(database, user, per_hour=7)[2]
    hold(database, retry_ms - 1)
    assert take(database, user, per_hour=7)[:1] == (False,)
    hold(database, retry_ms)
    assert take(database, user, per_hour=7)[:1] == (True,)


def test_the_clock_is_never_turned_back_and_a_bucket_ahead_of_it_gains_nothing(database):
    user = user_id()
    hold(database, 5000000)
    take(database, user, cost=20)
    assert database.value("select limiter_tick('b', 0, 1)") == 5000000
    hold(database, 4000000)     # a node that reads the clock a moment earlier, only more so
    assert take(database, user) == (False, 0.0, 450000)
    hold(database, 5000000)
    assert take(database, user) == (False, 0.0, 450000)


@pytest.mark.parametrize("jump, most", [("1 year", 3000), ("-1 year", 0), ("1 second", 1500)])
def test_a_jump_of_the_wall_clock_gives_nothing_away(database, jump, most):
    """Seen from the database, its wall clock has jumped when the row was written so long ago."""
    database.rows("update limiter_clock set at_ms = 1000, updated_at = clock_timestamp()"
                  " - %s::interval", jump)
    assert 1000 <= database.value("select limiter_now()") <= 1000 + most + 400
    assert database.value("select limiter_now()") <= 1000 + 3000


def test_ticks_of_two_boots_are_not_added_up(database):
    tick = "select limiter_tick(%s, %s, %s)"
    start = database.value(tick, "a", 1000, None)
    assert start == 0
    assert database.value(tick, "a", 3000, None) == 2000, "a limiter started again on the boot"
    assert database.value(tick, "b", 99000, None) == 2000, "another boot knows nothing"
    assert database.value(tick, "b", 99500, 2500) == 2500
    assert database.value(tick, "a", 3400, 2400) == 2500, "whoever is ahead is right"
    assert database.value(tick, "a", 4000, 3000) == 3000
    assert database.value(tick, "a", 3500, None) == 3000, "a reading of before"


def test_a_key_is_spent_once_and_a_refusal_does_not_use_it_up(database):
    once = "select * from limiter_take_once(%s, 'application', %s, 20, 8, %s)"
    user = user_id()
    hold(database)
    assert database.rows(once, user, 15, "a") == [(True, 5.0, 0, False)]
    assert database.rows(once, user, 15, "a") == [(True, 5.0, 0, False)]
    assert database.rows(once, user, 15, "b") == [(False, 5.0, 4500000, False)]
    hold(database, 4500000)
    assert database.rows(once, user, 15, "b") == [(True, 0.0, 0, False)]
    assert database.rows(once, user, 15, "a") == [(True, 0.0, 0, False)]
    assert database.rows(once, user_id(), 15, "a") == [(True, 5.0, 0, False)], "a key is one person's"
    assert database.rows(once, user, 14, "a") == [(False, 0.0, None, True)], "at another cost"


# --- the actor -------------------------------------------------------------------------------


def test_check_spends_and_says_when_to_come_again(limits, database):
    user = user_id()
    first = limits.check(user)
    assert first == {"allowed": True, "remaining": pytest.approx(19, abs=0.01)}
    allowed, verdict = limits.spent(user)
    assert allowed == 19 and verdict["remaining"] < 1
    assert 440000 < verdict["retry_after_ms"] <= 450000
    assert verdict["retry_at"].startswith("20") and verdict["retry_at"].endswith("Z")
    assert limits.check(user, action="search")["allowed"], "another bucket"
    never = limits.check(user, cost=21)
    assert not never["allowed"] and "retry_at" not in never and "retry_after_ms" not in never
    assert database.value("select count(*) from rate_limits") == 2


@pytest.mark.parametrize("method", ["check", "status", "reset"])
def test_an_action_without_a_limit_is_refused_by_name(limits, method):
    error = refused(getattr(limits, method), user_id(), action="unheard-of")
    assert (error.code, error.field) == ("bad_request", "action")
    assert refused(getattr(limits, method), "nobody").field == "user_id"


def test_status_spends_nothing(limits, database):
    user = user_id()
    assert limits.status(user) == {"tokens": 20.0, "capacity": 20, "refill_rate": 8.0,
                                   "can_apply": True, "applications_today": 0}
    limits.spent(user)
    sent = "insert into applications (user_id, person, job_external_id, idempotency_key, status," \
        " submitted_at) values (%s, %s, '1', %s, %s, now() at time zone 'UTC' - %s::interval)"
    for key, status, age in [("a", "submitted", "0"), ("b", "submitted", "25 hours"),
                             ("c", "failed", "0"), (None, "submitted", "0")]:
        database.rows(sent, user, user, key, status, age)
    status = limits.status(user)
    assert status["tokens"] < 1 and not status["can_apply"] and status["applications_today"] == 1
    assert status["next_refill"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 400))
    assert limits.status(user, action="slow")["capacity"] == 5


def test_sixteen_callers_spend_exactly_what_there_is(limits):
    user = user_id()
    with ThreadPoolExecutor(16) as callers:
        verdicts = list(callers.map(lambda _: limits.check(user, action="search", cost=3), range(80)))
    assert sum(v["allowed"] for v in verdicts) == 33
    assert limits.status(user, action="search")["tokens"] < 3


def test_two_nodes_share_one_bucket(limits, database):
    user = user_id()
    with Limits(database.url, RATE_LIMITS=LIMITS) as other, ThreadPoolExecutor(16) as callers:
        verdicts = list(callers.map(lambda n: (limits, other)[n % 2].check(user), range(60)))
        assert sum(v["allowed"] for v in verdicts) == 20
        assert not limits.check(user)["allowed"] and not other.check(user)["allowed"]
        limits.reset(user)
        wait_for(lambda: other.check(user)["allowed"], what="the other node hears of it")


def test_a_user_and_the_sessions_of_that_user_have_one_bucket(limits, database):
    user, session = user_id(), user_id()
    database.rows("insert into users (id, email, password_hash) values (%s, 'a@b.c', 'x')", user)
    database.rows("insert into sessions (session_id, user_id, token, expires_at)"
                  " values (%s, %s, 't', now() + interval '1 day')", session, user)
    assert limits.spent(session)[0] == 20
    assert not limits.check(user)["allowed"] and not limits.status(user)["can_apply"]
    assert limits.reset(session)["can_apply"] and limits.check(user)["allowed"]
    told = database.rows("select topic, count(*) from outbox group by 1")
    assert sorted(told) == sorted([(f"user:{session}", 21), (f"user:{user}", 1)])


def test_reset_fills_all_of_a_persons_buckets_or_one(limits, database):
    user, stranger = user_id(), user_id()
    for action in ("application", "slow"):
        limits.spent(user, action=action)
        limits.spent(stranger, action=action)
    limits.reset(user, action="slow")
    assert limits.spent(user, action="slow")[0] == 5
    assert not limits.check(user)["allowed"]
    assert limits.reset(user)["tokens"] == 20.0
    assert limits.spent(user)[0] == 20 and limits.spent(user, action="slow")[0] == 5
    assert not limits.check(stranger)["allowed"]
    assert database.rows("select act, user_id, detail from audit order by id") == [
        ("limit_reset", user, "slow"), ("limit_reset", user, "all actions")]


def test_a_leap_of_the_clock_wakes_who_was_refused(limits, database):
    user = user_id()
    limits.spent(user)
    assert not limits.check(user)["allowed"]
    leap(database, HOUR_MS)
    wait_for(lambda: limits.check(user)["allowed"], what="the token of the hour")
    assert limits.spent(user)[0] == 7


def test_time_passes_by_the_node_and_goes_on_after_a_restart(database):
    at = "select at_ms from limiter_clock"
    with Limits(database.url) as one:
        one.limiter.wait_for(lambda: database.value(at) > 2000, 30, "the clock runs")
        one.limiter.kill()
    before = database.value(at)
    time.sleep(1)   # time that nobody is there to see
    began = time.monotonic()
    with Limits(database.url) as one:
        one.limiter.wait_for(lambda: database.value(at) > before, 30, "the clock goes on")
        after = database.value(at)
    assert 1000 <= after - before <= 1000 + (time.monotonic() - began) * 1000 + 3000


def test_a_key_that_was_spent_at_another_cost_is_a_conflict(limits):
    user = user_id()
    assert [limits.check(user, key="k", cost=2)["allowed"] for _ in range(2)] == [True, True]
    error = refused(limits.check, user, key="k", cost=3)
    assert (error.code, error.field) == ("conflict", "key")
    assert limits.status(user)["tokens"] < 18.1


def test_a_refusal_is_remembered_and_spares_the_store(limits):
    user = user_id()
    limits.spent(user)
    asked = len(limits.limiter.peers["store"].received("store.limiter_spend"))
    verdicts = [limits.check(user) for _ in range(50)]
    assert not any(v["allowed"] for v in verdicts)
    assert verdicts[0]["retry_after_ms"] >= verdicts[-1]["retry_after_ms"] > 440000
    assert len(limits.limiter.peers["store"].received("store.limiter_spend")) == asked
    assert limits.limiter.call("limiter.check", {"user_id": user, "key": "k"})["allowed"] is False
    assert len(limits.limiter.peers["store"].received("store.limiter_spend")) == asked + 1


def test_a_spend_is_told_to_the_user_and_other_actions_are_not(limits, database):
    user = user_id()
    limits.check(user)
    limits.check(user, action="search")
    limits.reset(user, action="search")
    limits.reset(user)
    limits.check(user, cost=21)
    told = database.rows("select seq, type, payload, webhook_due_at from outbox where topic = %s"
                         " order by seq", f"user:{user}")
    assert [row[:2] for row in told] == [(1, "rate_limit_update"), (2, "rate_limit_update")]
    assert told[0][2]["data"]["tokens"] < 19.1 and told[1][2]["data"]["tokens"] == 20
    assert set(told[0][2]["data"]) == {"tokens", "capacity", "refill_rate", "next_refill", "can_apply"}
    assert told[0][2]["timestamp"].endswith("Z") and told[0][3] is None
    limits.store.bell(f"user:{user}", 2)


# --- the store's part of a check that nobody may do twice -------------------------------------


def spend(user, **fields):
    return {"user_id": user, "action": "search", "cost": 1, "capacity": 100, "per_hour": 3600, **fields}


def test_a_batch_that_comes_again_spends_nothing_more(store, database):
    user = user_id()
    batch = {"batch": "b", "number": 1, "spends": [spend(user), spend(user, cost=99), spend(user)]}
    first = store.call("store.limiter_spend", batch)
    assert [s["allowed"] for s in first["spents"]] == [True, True, False]
    assert store.call("store.limiter_spend", batch) == first
    again = store.call("store.limiter_spend", {**batch, "number": 2})
    assert [s["allowed"] for s in again["spents"]] == [False, False, False]


def test_the_verdicts_come_in_the_order_of_the_checks(store):
    users = sorted((user_id() for _ in range(20)), reverse=True)
    spends = [spend(user, cost=cost) for user in users for cost in (60, 60, 40)]
    reply = store.call("store.limiter_spend", {"batch": "b", "number": 1, "spends": spends})
    assert [s["allowed"] for s in reply["spents"]] == [True, False, True] * 20


def test_the_same_batch_twice_at_the_same_time_is_spent_once(store, database):
    user = user_id()
    for number in range(1, 20):
        batch = {"batch": "b", "number": number, "spends": [spend(user)]}
        calls = [store.call_async("store.limiter_spend", batch) for _ in range(3)]
        assert len({str(call.result()) for call in calls}) == 1
    assert 80 < database.value("select limiter_level(level, at_ms, limiter_now(), 360000000, 3600)"
                               " from rate_limits") / HOUR_MS < 82


def test_batches_in_opposite_orders_do_not_block_each_other(store, database):
    users = [user_id() for _ in range(10)]
    stop = time.monotonic() + 2
    def hammer(name, order):
        number = 0
        while time.monotonic() < stop:
            number += 1
            store.call("store.limiter_spend", {"batch": name, "number": number,
                                               "spends": [spend(u) for u in order]})
        return number
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(hammer, "abcd", [users, users[::-1], users, users[::-1]]))
    assert sum(done) > 4 and "40P01" not in store.log


def test_a_lost_connection_spends_once(store, database):
    """Connections are cut all the time, before and after the commit; each check is spent once."""
    user, ending = user_id(), threading.Event()
    killer = database.server.connect(database.name)

    def cut():
        while not ending.wait(0.15):
            killer.cursor().execute("select pg_terminate_backend(pid) from pg_stat_activity where"
                                    " datname = current_database() and application_name like '%store%'")
    thread = threading.Thread(target=cut)
    thread.start()
    def insist(batch):
        """The store gives up after some tries; the same number again is still the same check."""
        while True:
            try:
                return store.call("store.limiter_spend", batch, timeout=30)
            except Failed as error:
                assert error.code == "unavailable", store.log[-2000:]

    number = allowed = 0
    try:
        while store.log.count("db.lost for=store") < 8:
            number += 1
            allowed += insist({"batch": "b", "number": number, "spends": [
                spend(user, action="x", capacity=1000000, per_hour=1)]})["spents"][0]["allowed"]
    finally:
        ending.set()
        thread.join()
        killer.close()
    assert allowed == number
    spent = database.value("select 1000000 - level / 3600000.0 from rate_limits")
    assert number - 1 < spent <= number


def test_old_keys_and_batches_are_deleted(database):
    database.rows("insert into limiter_spends values (%s, 'a', 'old', 1, now() - interval '31 days'),"
                  " (%s, 'a', 'new', 1, now() - interval '29 days')", user_id(), user_id())
    database.rows("insert into limiter_batches values ('old', 1, '[]', now() - interval '2 hours'),"
                  " ('new', 1, '[]', now() - interval '59 minutes')")
    with Limits(database.url) as limits:
        left = "select (select string_agg(key, ' ') from limiter_spends), " \
               "(select string_agg(batch, ' ') from limiter_batches)"
        limits.store.wait_for(lambda: database.rows(left) == [("new", "new")], 30, "they are gone")


# --- the actor and a store that fails -----------------------------------------------------------


def test_a_failing_store_is_no_answer_and_no_token():
    with Actor("rate_limiter") as limiter:
        store = limiter.fake("store")
        limiter.start()
        store.answers["store.limiter_tick"] = {"at_ms": 1}
        calls = [limiter.call_async("limiter.check", {"user_id": user_id()}) for _ in range(5)]
        first = store.next("store.limiter_spend")
        first.refuse("unavailable", "the database is down", retry_after_ms=1000)
        seen = len(first.body["spends"])
        while seen < 5:
            rest = store.next("store.limiter_spend")
            seen += len(rest.body["spends"])
            rest.refuse("unavailable", "the database is down", retry_after_ms=1000)
        for call in calls:
            assert refused(call.result).code == "unavailable"


def test_checks_that_come_while_a_batch_is_written_are_the_next_batch():
    with Actor("rate_limiter") as limiter:
        store = limiter.fake("store", {"store.limiter_tick": {"at_ms": 1}})
        limiter.start()
        user = user_id()
        calls = [limiter.call_async("limiter.check", {"user_id": user})]
        first = store.next("store.limiter_spend")
        calls += [limiter.call_async("limiter.check", {"user_id": user}) for _ in range(30)]
        refused(limiter.call, "limiter.check", {"user_id": user, "action": "none"})  # all were read
        first.reply({"spents": [{"allowed": True, "tokens": 1.0}]})
        rest = store.next("store.limiter_spend")
        assert len(rest.body["spends"]) == 30
        assert (rest.body["batch"], rest.body["number"]) == (first.body["batch"], 2)
        rest.reply({"spents": [{"allowed": n % 2 == 0, "tokens": 1.0} for n in range(30)]})
        assert [c.result()["allowed"] for c in calls] == [True, *([True, False] * 15)]


def test_a_refusal_of_before_a_filling_is_not_remembered():
    with Actor("rate_limiter") as limiter:
        store = limiter.fake("store", {"store.limiter_tick": {"at_ms": 1}})
        limiter.start()
        user = user_id()
        for bell in (True, False):
            call = limiter.call_async("limiter.check", {"user_id": user})
            batch = store.next("store.limiter_spend")
            if bell:
                limiter.cast("limits.changed")
                refused(limiter.call, "limiter.check", {"user_id": user, "action": "none"})
            batch.reply({"spents": [{"allowed": False, "tokens": 0.5, "retry_ms": 225000}]})
            assert not call.result()["allowed"]
        assert not limiter.call("limiter.check", {"user_id": user})["allowed"], "by heart"


def test_the_store_dies_and_the_batch_is_sent_again():
    with Actor("rate_limiter") as limiter:
        store = limiter.fake("store", {"store.limiter_tick": {"at_ms": 1}})
        limiter.start()
        call = limiter.call_async("limiter.check", {"user_id": user_id()})
        first = store.next("store.limiter_spend")
        store.restart()
        again = store.next("store.limiter_spend")
        assert again.body == first.body, "the same number: it is spent once"
        again.reply({"spents": [{"allowed": True, "tokens": 1.0}]})
        assert call.result()["allowed"]


def test_a_check_for_which_nobody_waits_any_more_is_not_spent():
    with Actor("rate_limiter") as limiter:
        store = limiter.fake("store", {"store.limiter_tick": {"at_ms": 1}})
        limiter.start()
        user = user_id()
        limiter.call_async("limiter.check", {"user_id": user})
        held = store.next("store.limiter_spend")
        late = limiter.call_async("limiter.check", {"user_id": user, "key": "late"},
                                  deadline_ms=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 10**6 + 100)
        assert refused(late.result).code == "timeout"
        held.reply({"spents": [{"allowed": True, "tokens": 1.0}]})
        limiter.call_async("limiter.check", {"user_id": user, "key": "next"})
        assert [s["key"] for s in store.next("store.limiter_spend").body["spends"]] == ["next"]
