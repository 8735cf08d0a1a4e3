"""Clients over HTTP who can tell whether an answer is theirs."""
import threading
import time
import uuid
from http.client import HTTPException


class Client(threading.Thread):
    """Asks for things whose right answers are its own, so that somebody else's would show."""

    def __init__(self, system, number, vacancy, user, gateway_dies=False):
        super().__init__(daemon=True)
        self.system, self.number, self.vacancy, self.user = system, number, str(vacancy), user
        self.gateway_dies = gateway_dies  # then a lost connection is no answer, and no wrong one
        self.counts, self.wrong, self.lost, self.longest = {}, [], 0, 0.0
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
        yield "list", lambda: system.request("/api/schedules?limit=1000"), \
            lambda a: self.user in [one["user_id"] for one in a.json["schedules"]]
        yield "health", system.health, lambda a: a.json["db"] == "up"

    def run(self):
        while not self.ending.is_set():
            for name, ask, right in self.steps():
                began = time.monotonic()
                try:
                    answer = ask()
                    if answer.status != 200 or not right(answer):
                        self.wrong.append((name, answer.status, answer.raw[:300]))
                except (OSError, HTTPException, ValueError, KeyError) as error:
                    if self.gateway_dies and isinstance(error, (OSError, HTTPException)):
                        self.lost += 1
                        continue
                    self.wrong.append((name, repr(error)))
                self.longest = max(self.longest, time.monotonic() - began)
                self.counts[name] = self.counts.get(name, 0) + 1


def clients_of(system, simulator, count, first=0, **options):
    """So many, numbered from first, each with a vacancy and a schedule of its own; to be started."""
    clients = []
    for number in range(first, first + count):
        vacancy = simulator.publish(1, name=f"Unicorn unicorn{number}x")[0]
        user = str(uuid.uuid4())
        system.request(f"/api/schedules/{user}", "PUT",
                       {"search": {"text": "x"}, "interval_s": 600, "paused": True})
        clients.append(Client(system, number, vacancy, user, **options))
    return clients
