"""The scheduler alone: leases of the store become fetchers of the supervisor, and nothing gets lost."""
import os
import sys
import time
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.harness import Actor, Failed, Refuse  # noqa: E402
from support.treaty import (CHILD_UP, ENOSPC, QUARANTINED, START_CHILD, STOPPING,  # noqa: E402
                            TERMINATE_CHILD)

USER = "0f8fad5b-d9cb-469f-a165-70867728950e"
OTHER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
SYNC_S = 3  # the scheduler looks by itself so often
SCHEDULE = {"user_id": USER, "search": {"text": "python"}, "interval_s": 60, "paused": False,
            "next_run_ms": 0, "lag_ms": 0, "runs": 0, "jobs_seen": 0}


class Scheduler(Actor):
    """The actor with a store that holds leases: user -> (token, revision)."""

    def __init__(self, leases=None, **more):
        super().__init__("scheduler", **more)
        self.leases = dict(leases or {})
        self.store = self.fake("store", {"store.claim": self.claim, "store.release": {},
                                         "store.schedule_put": SCHEDULE,
                                         "store.schedule_due": SCHEDULE, "store.schedule_delete": {}})

    def claim(self, _):
        return {"leases": [{"user_id": user, "token": token, "revision": revision}
                           for user, (token, revision) in sorted(self.leases.items())]}

    def claims(self):
        return len(self.store.received("store.claim"))

    def sync(self):
        """Makes it look, and waits until it has acted on what it saw: then only does it claim again."""
        for _ in range(2):
            before = self.claims()
            self.cast("schedules.changed")
            self.wait_for(lambda: self.claims() > before, what="a claim")

    def started(self):
        return [p.name.removeprefix("fetcher:") for p in self.requests(START_CHILD)]

    def terminated(self):
        return [p.name.removeprefix("fetcher:") for p in self.requests(TERMINATE_CHILD)]

    def wait_started(self, users, timeout=10):
        self.wait_for(lambda: sorted(self.started()) == sorted(users), timeout,
                      f"{len(users)} fetchers are started")


@pytest.fixture
def scheduler():
    with Scheduler({USER: (7, 1)}) as one:
        one.start()
        one.wait_started([USER])
        yield one


# --- calls that the store answers -----------------------------------------------------------------

@pytest.mark.parametrize("method, behind, body", [
    ("schedules.put", "store.schedule_put",
     {"user_id": USER, "search": {"text": "python", "area": ["1"], "salary": 5}, "interval_s": 60}),
    ("schedules.delete", "store.schedule_delete", {"user_id": USER}),
    ("schedules.fetch", "store.schedule_due", {"user_id": USER}),
])
def test_change_is_written_by_the_store_and_then_acted_upon(scheduler, method, behind, body):
    before = scheduler.claims()
    reply = scheduler.call(method, body)
    assert reply == ({} if method == "schedules.delete" else SCHEDULE)
    assert [r.body for r in scheduler.store.received(behind)] == [body]
    scheduler.wait_for(lambda: scheduler.claims() > before, SYNC_S / 3, "a claim at once")


def test_error_of_the_store_is_handed_on(scheduler):
    scheduler.store.answers["store.schedule_due"] = Refuse("not_found", "no schedule", field="user_id")
    before = scheduler.claims()
    with pytest.raises(Failed) as refused:
        scheduler.call("schedules.fetch", {"user_id": USER})
    assert (refused.value.code, refused.value.field) == ("not_found", "user_id")
    assert scheduler.claims() <= before + 1


def test_call_does_not_outlive_its_caller(scheduler):
    del scheduler.store.answers["store.schedule_due"]
    now_ms = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000
    call = scheduler.call_async("schedules.fetch", {"user_id": USER}, deadline_ms=now_ms + 300)
    asked = scheduler.store.next("store.schedule_due")
    assert abs(asked.envelope["deadline_ms"] - now_ms - 300) <= 2
    with pytest.raises(Failed) as failed:
        call.result()
    assert failed.value.code == "timeout"


# --- leases and fetchers --------------------------------------------------------------------------

def test_lease_becomes_a_fetcher_once(scheduler):
    scheduler.sync()
    scheduler.sync()
    assert scheduler.started() == [USER] and scheduler.terminated() == []
    claim = scheduler.store.received("store.claim")[0].body
    assert claim["capacity"] == 1000 and claim["ttl_ms"] > 3 * SYNC_S * 1000 and claim["node"]


def test_fetcher_without_a_lease_is_stopped(scheduler):
    scheduler.leases = {OTHER: (8, 1)}
    scheduler.sync()
    scheduler.wait_for(lambda: scheduler.terminated() == [USER])
    scheduler.wait_started([USER, OTHER])
    scheduler.leases = {OTHER: (8, 1), USER: (9, 2)}
    scheduler.sync()
    scheduler.wait_started([USER, OTHER, USER])


@pytest.mark.parametrize("lease", [(7, 2), (8, 1)], ids=["revision", "token"])
def test_change_is_told_to_the_fetcher(scheduler, lease):
    fetcher = scheduler.fake(f"fetcher:{USER}")
    scheduler.sync()
    scheduler.leases[USER] = lease
    scheduler.sync()
    assert fetcher.next("fetcher.replan").kind == "cast"
    scheduler.sync()
    assert len(fetcher.received()) == 1, "what does not change is not told"


def test_fetcher_that_was_put_aside_gets_another_chance_with_a_change(scheduler):
    scheduler.tree[f"fetcher:{USER}"]["state"] = QUARANTINED
    scheduler.sync()
    assert scheduler.started() == [USER]
    scheduler.leases[USER] = (7, 2)
    scheduler.sync()
    scheduler.wait_started([USER, USER])


def test_fetcher_asks_for_its_lease(scheduler):
    assert scheduler.call("scheduler.lease", {"user_id": USER}) == {
        "user_id": USER, "token": 7, "revision": 1}
    with pytest.raises(Failed) as refused:
        scheduler.call("scheduler.lease", {"user_id": OTHER})
    assert refused.value.code == "not_found" and refused.value.retry_after_ms > 0


def test_start_that_failed_is_tried_again():
    with Scheduler({USER: (7, 1)}) as scheduler:
        scheduler.control = lambda p: -ENOSPC if p.type == START_CHILD else scheduler.children(p)
        scheduler.start()
        scheduler.wait_started([USER])
        scheduler.control = scheduler.children
        scheduler.wait_started([USER, USER], SYNC_S + 5)
        scheduler.sync()
        assert len(scheduler.started()) == 2


def test_fetcher_that_somebody_stopped_by_hand_comes_back(scheduler):
    """It ended in order, so the supervisor forgot it; the scheduler hears nothing of that."""
    scheduler.tree.clear()
    scheduler.wait_started([USER, USER], 15 + SYNC_S + 5)


def test_thousands_of_leases_start_at_once_and_block_nothing():
    users = [str(uuid.UUID(int=i)) for i in range(3000)]
    with Scheduler({user: (1, 1) for user in users}, settings={"MAX_FETCHERS": 3000}) as scheduler:
        scheduler.start()
        start = time.monotonic()
        scheduler.wait_started(users, 20)
        scheduler.sync()
        assert scheduler.call("scheduler.lease", {"user_id": users[2999]})["token"] == 1
        beats = [when for when, _, _ in scheduler.heartbeats if when > start]
        gaps = [later - earlier for earlier, later in zip([start, *beats], beats)]
        assert all(gap < 2.4 for gap in gaps), gaps
        assert len(scheduler.started()) == 3000
        assert scheduler.store.received("store.claim")[0].body["capacity"] == 3000
        scheduler.leases = {}
        scheduler.sync()
        scheduler.wait_for(lambda: sorted(scheduler.terminated()) == users, 20)


def test_telling_many_fetchers_keeps_no_connection_to_each():
    users = [str(uuid.UUID(int=i)) for i in range(60)]
    with Scheduler({user: (1, 1) for user in users}) as scheduler:
        fetchers = [scheduler.fake(f"fetcher:{user}") for user in users]
        scheduler.start()
        scheduler.wait_started(users)
        scheduler.sync()

        def descriptors():
            return len(os.listdir(f"/proc/{scheduler.pid}/fd"))

        before = descriptors()
        scheduler.leases = {user: (1, 2) for user in users}
        scheduler.sync()
        for fetcher in fetchers:
            fetcher.next("fetcher.replan")
        scheduler.wait_for(lambda: descriptors() < before + 10, 5, "the connections are closed")


def test_many_changes_at_once_are_few_claims(scheduler):
    before, start = scheduler.claims(), time.monotonic()
    for _ in range(300):
        scheduler.cast("schedules.changed")
    scheduler.sync()
    assert scheduler.claims() - before <= 3 + (time.monotonic() - start) / 0.05


# --- the scheduler's own death --------------------------------------------------------------------

def test_next_generation_takes_over_what_runs():
    gone = str(uuid.UUID(int=1))
    leaving = str(uuid.UUID(int=2))
    leases = {USER: (7, 1), OTHER: (8, 1), leaving: (9, 1)}
    with Scheduler(leases, generation=2) as scheduler:
        scheduler.tree = {"store": {"state": CHILD_UP}, "fetchers": {"is_supervisor": 1},
                          f"fetcher:{USER}": {"state": CHILD_UP},
                          f"fetcher:{gone}": {"state": CHILD_UP},
                          f"fetcher:{leaving}": {"state": STOPPING}}
        fetcher = scheduler.fake(f"fetcher:{USER}")
        scheduler.start()
        scheduler.wait_started([OTHER, leaving])
        scheduler.wait_for(lambda: scheduler.terminated() == [gone])
        fetcher.next("fetcher.replan")  # what changed meanwhile is not known
        scheduler.sync()
        assert sorted(scheduler.started()) == sorted([OTHER, leaving])
        assert len(fetcher.received()) == 1


# --- the store's absence --------------------------------------------------------------------------

def test_store_that_fails_makes_it_degraded_and_costs_no_fetcher(scheduler):
    scheduler.store.answers["store.claim"] = Refuse("unavailable", "no database")
    scheduler.cast("schedules.changed")
    assert "leases" in scheduler.wait_degraded()
    assert scheduler.terminated() == []
    scheduler.leases[OTHER] = (8, 1)
    scheduler.store.answers["store.claim"] = scheduler.claim
    scheduler.wait_well(SYNC_S + 5)
    scheduler.wait_started([USER, OTHER])


def test_store_that_is_replaced_is_not_even_noticed(scheduler):
    scheduler.store.down()
    scheduler.leases[OTHER] = (8, 1)
    scheduler.cast("schedules.changed")
    late = scheduler.call_async("schedules.fetch", {"user_id": USER})
    with pytest.raises(Failed):
        scheduler.call("scheduler.lease", {"user_id": OTHER})
    scheduler.store.up()
    scheduler.wait_started([USER, OTHER])
    assert late.result() == SCHEDULE
    assert not any(degraded for _, degraded, _ in scheduler.heartbeats)


def test_store_that_stays_away_is_claimed_from_when_it_comes():
    with Scheduler({USER: (7, 1)}) as scheduler:
        scheduler.store.down()
        scheduler.start()
        assert "leases" in scheduler.wait_degraded(15)
        scheduler.store.up()
        scheduler.wait_started([USER])
        scheduler.wait_well()


# --- the end --------------------------------------------------------------------------------------

def test_leases_are_given_back_at_the_end(scheduler):
    node = scheduler.store.received("store.claim")[0].body["node"]
    scheduler.stop()
    assert [r.body for r in scheduler.store.received("store.release")] == [{"node": node}]
    assert scheduler.terminated() == [], "the fetchers are the supervisor's to stop"


def test_stop_waits_for_what_was_accepted(scheduler):
    del scheduler.store.answers["store.schedule_due"]
    call = scheduler.call_async("schedules.fetch", {"user_id": USER})
    asked = scheduler.store.next("store.schedule_due")
    scheduler.terminate()
    scheduler.wait_for(lambda: "actor.stopping" in scheduler.log)
    assert scheduler.store.received("store.release") == []
    asked.reply(SCHEDULE)
    assert call.result() == SCHEDULE
    assert scheduler.wait_exit() == 0
    assert len(scheduler.store.received("store.release")) == 1


def test_claim_under_way_does_not_take_back_what_the_stop_gave(scheduler):
    del scheduler.store.answers["store.claim"]
    scheduler.cast("schedules.changed")
    asked = scheduler.store.next("store.claim")
    scheduler.terminate()
    scheduler.wait_for(lambda: "actor.stopping" in scheduler.log)
    assert scheduler.store.received("store.release") == []
    asked.reply(scheduler.claim(None))
    assert scheduler.wait_exit() == 0
    assert scheduler.store.log[-1].method == "store.release"


def test_store_that_is_away_does_not_hold_up_the_stop(scheduler):
    scheduler.store.down()
    scheduler.cast("schedules.changed")
    start = time.monotonic()
    scheduler.stop()
    assert time.monotonic() - start < 4.8, "the supervisor kills after five seconds"
