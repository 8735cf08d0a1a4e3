"""A request in flight when its actor dies: 32 clients, a storm of kills, no wrong answer and none that
hangs. UGTJ_KILLS=1000 is the storm that the README speaks of; the default fits into ./test."""
import os
import random
import signal
import time

import pytest
from support.client import clients_of
from support.system import wait_for

CLIENTS = 32
KILLS = int(os.environ.get("UGTJ_KILLS", "250"))
VICTIMS = ["store", "hh_client", "scheduler", "telemetry", "broadcaster"]


@pytest.mark.settings(HH_MAX_RPS=1000, MAX_RESTARTS=100000)
def test_thirty_two_clients_get_their_own_answers_through_a_storm_of_kills(system, simulator):
    clients = clients_of(system, simulator, CLIENTS)
    for client in clients:
        client.start()
    choose = random.Random(1)
    door = system.door()
    kills, began = 0, time.monotonic()
    while kills < KILLS and time.monotonic() - began < 400:
        child = system.tree(door).get(choose.choice(VICTIMS))
        if child and child["pid"] and child["state"] in ("up", "degraded"):
            try:
                os.kill(child["pid"], signal.SIGKILL)
                kills += 1
                system.expected_deaths += 1
            except ProcessLookupError:
                pass
    took = time.monotonic() - began
    for client in clients:
        client.ending.set()
    for client in clients:
        client.join(90)
        assert not client.is_alive(), "a request hangs"
    door.close()
    answered = {}
    for client in clients:
        for name, count in client.counts.items():
            answered[name] = answered.get(name, 0) + count
    wrong = [w for client in clients for w in client.wrong]
    print(f"{kills} kills in {took:.0f} s; answered {answered}; "
          f"longest wait {max(c.longest for c in clients):.2f} s; wrong {len(wrong)}")
    assert wrong == []
    assert kills == KILLS
    wait_for(lambda: all(c["state"] == "up" for c in system.tree().values()
                         if c["kind"] == "worker"), 20, "the tree is whole")


def test_a_call_that_is_not_idempotent_fails_at_once_when_its_actor_dies(system):
    """tree.kill of telemetry itself: its actor dies while it handles the call."""
    door = system.door()
    system.expected_deaths += 1
    began = time.monotonic()
    kind, body = door.call("tree.kill", {"name": "telemetry"}, timeout=8)
    took = time.monotonic() - began
    door.close()
    assert kind == "error" and body["error"] == "down", body
    assert took < 3, f"{took} s"
