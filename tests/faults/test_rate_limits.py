"""A token that was spent stays spent, whoever is killed; a check with a key spends once."""
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.limits import HOUR_MS
from support.system import Door

CAPACITY, CALLERS, KILLS = 100000, 8, 15


class Killer(threading.Thread):
    """Kills, in turn, the rate limiter, the store and the store's connections."""

    def __init__(self, system, every_s):
        super().__init__(daemon=True)
        self.system, self.every_s, self.kills = system, every_s, 0
        self.ending = threading.Event()
        self.start()

    def run(self):
        door = self.system.door()
        database = self.system.postgres.connect()
        while not self.ending.wait(self.every_s):
            self.kills += 1
            victim = ("rate_limiter", "store", None)[self.kills % 3]
            if victim is None:
                database.cursor().execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where pid <>"
                    " pg_backend_pid() and datname = current_database()")
                continue
            try:
                kind, _ = door.call("tree.kill", {"name": victim}, timeout=5)
                self.system.expected_deaths += kind == "reply"
            except TimeoutError:
                self.system.expected_deaths += 1    # perhaps
        door.close()
        database.close()

    def close(self):
        self.ending.set()
        self.join(20)


def insist(system, killer, caller, user, keyed):
    """Checks until there were enough kills; asks again, under the same key, until it is answered. How
    many were allowed, and of how many the outcome is not known."""
    door, allowed, unknown, number = Door(system.zmq_port), 0, 0, 0
    while killer.kills < KILLS:
        number += 1
        body = {"user_id": user, "action": "storm", **({"key": f"{caller}.{number}"} if keyed else {})}
        while True:
            try:
                kind, answer = door.call("limiter.check", body, timeout=5)
            except TimeoutError:
                kind, answer = "error", None
            if kind == "reply":
                allowed += answer["allowed"]
            if kind == "reply" or not keyed:
                unknown += kind != "reply"
                break
    door.close()
    return allowed, unknown


@pytest.mark.settings(RATE_LIMITS=f"storm={CAPACITY}/1")
@pytest.mark.parametrize("keyed", [True, False], ids=["with_keys", "without"])
def test_no_token_is_given_back_and_none_is_spent_twice(system, keyed):
    user = str(uuid.uuid4())
    killer = Killer(system, 0.5)
    with ThreadPoolExecutor(CALLERS) as callers:
        outcomes = list(callers.map(lambda n: insist(system, killer, n, user, keyed),
                                    range(CALLERS)))
    killer.close()
    allowed, unknown = map(sum, zip(*outcomes))
    database = system.postgres.connect()
    cursor = database.cursor()
    cursor.execute("select limiter_level(level, at_ms, limiter_now(), %s, 1) from rate_limits",
                   (CAPACITY * HOUR_MS,))
    spent = CAPACITY - cursor.fetchone()[0] / HOUR_MS
    database.close()
    print(f"{killer.kills} kills, {allowed} allowed, {unknown} not known, {spent:.3f} spent")
    assert allowed > 0
    if keyed:
        assert unknown == 0 and allowed - 1 < spent <= allowed
    else:
        assert allowed - 1 < spent <= allowed + unknown
