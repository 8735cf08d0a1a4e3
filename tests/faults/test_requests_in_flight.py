"""A request in flight when its actor dies: 32 clients, a storm of kills, no wrong answer and none that
hangs. UGTJ_KILLS=1000 is the storm that the README speaks of; the default fits into ./test."""
import os
import random
import signal
import threading
import time

import pytest
from support.system import wait_for

CLIENTS = 32
KILLS = int(os.environ.get("UGTJ_KILLS", "250"))
VICTIMS = ["store", "hh_client", "scheduler", "telemetry", "broadcaster"]


class Client(threading.Thread):
    """Asks for things whose right answers are its own, so that somebody else's would show."""

    def __init__(self, system, number, vacancy, user):
        super().__init__(daemon=True)
        self.system, self.number, self.vacancy, self.user = system, number, str(vacancy), user
        self.counts, self.wrong, self.longest = {}, [], 0.0
        self.ending = threading.Event()

    def steps(self):
        system = self.system
        yield "search", lambda: system.request(
            "/api/jobs/search", "POST", {"text": f"unicorn{self.number}x"}), \
            lambda a: [j["id"] for j in a.json["jobs"]] == [self.vacancy]
        yield "job", lambda: system.request(f"/api/jobs/{self.vacancy}"), \
            lambda a: a.json["job"]["id"] == self.vacancy
        yield "schedule", lambda: system.request(f"/api/schedules/{self.user}"), \
            lambda a: a.json["schedule"]["user_id"] == self.user
        yield "put", lambda: system.request(
            f"/api/schedules/{self.user}", "PUT",
            {"search": {"text": f"unicorn{self.number}x"}, "interval_s": 600, "paused": True}), \
            lambda a: a.json["schedule"]["user_id"] == self.user
        yield "health", system.health, lambda a: a.json["db"] == "up"

    def run(self):
        while not self.ending.is_set():
            for name, ask, right in self.steps():
                began = time.monotonic()
                try:
                    answer = ask()
                    if answer.status != 200 or not right(answer):
                        self.wrong.append((name, answer.status, answer.raw[:300]))
                except (OSError, ValueError, KeyError) as error:
                    self.wrong.append((name, repr(error)))
                self.longest = max(self.longest, time.monotonic() - began)
                self.counts[name] = self.counts.get(name, 0) + 1


@pytest.mark.settings(HH_MAX_RPS=1000, MAX_RESTARTS=100000)
def test_thirty_two_clients_get_their_own_answers_through_a_storm_of_kills(system, simulator):
    import uuid
    clients = []
    for number in range(CLIENTS):
        vacancy = simulator.publish(1, name=f"Unicorn unicorn{number}x")[0]
        user = str(uuid.uuid4())
        system.request(f"/api/schedules/{user}", "PUT",
                       {"search": {"text": "x"}, "interval_s": 600, "paused": True})
        clients.append(Client(system, number, vacancy, user))
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
