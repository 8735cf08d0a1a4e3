"""Any actor may die at any moment, and nobody notices but the log."""
import threading

import pytest
from support.system import Door, wait_for

ACTORS = ["store", "telemetry", "rate_limiter", "hh_client", "broadcaster", "scheduler",
          "submitter", "door", "gateway"]


class Searcher(threading.Thread):
    """A client that searches all the time and keeps what was wrong. A reset connection is an HTTP
    client's own business only when the gateway itself was killed."""

    def __init__(self, system):
        super().__init__(daemon=True)
        self.system, self.answers, self.wrong = system, 0, []
        self.gateway_dies = False
        self.ending = threading.Event()
        self.start()

    def run(self):
        while not self.ending.is_set():
            try:
                answer = self.system.request("/api/jobs/search", "POST",
                                             {"text": "python", "per_page": 1})
                self.answers += 1
                if answer.status != 200 and not self.gateway_dies:
                    self.wrong.append((answer.status, answer.raw))
            except (OSError, ValueError) as error:
                if not self.gateway_dies:
                    self.wrong.append(repr(error))
                self.ending.wait(0.02)

    def close(self):
        self.ending.set()
        self.join(60)


def test_each_actor_is_killed_in_turn_and_nothing_is_lost_or_doubled(system, simulator, user,
                                                                    subscriber):
    system.request(f"/api/schedules/{user}", "PUT", {"search": {"text": "zebra"}, "interval_s": 5})
    searcher = Searcher(system)
    simulator.control("appear", {"every": 0.3, "name": "Zebra keeper "})
    wait_for(lambda: len(subscriber.job_ids()) > 2, 30, "the first zebras")
    for name in [f"fetcher:{user}", *ACTORS]:
        searcher.gateway_dies = name == "gateway"
        seen = len(subscriber.job_ids())
        before = system.kill(name)
        after = system.wait_restarted(before)
        assert after["restarts"] == before["restarts"] + 1, "the restart is visible"
        assert "SIGKILL" in after["last_exit"], after
        wait_for(lambda n=seen: len(subscriber.job_ids()) > n, 40, f"news after {name} died")
        searcher.gateway_dies = False
    simulator.control("appear", {"every": 0})
    wanted = simulator.ids("text=zebra")
    wait_for(lambda: set(subscriber.job_ids()) == set(wanted), 40, "all zebras")
    searcher.close()
    ids = subscriber.job_ids()
    assert len(ids) == len(set(ids)), "a repeat"
    assert subscriber.problems == [], "a gap in the events"
    assert searcher.wrong == [] and searcher.answers > 0
    print(f"{len(ids)} vacancies, each once; {searcher.answers} searches answered meanwhile")


def test_restarts_are_visible_in_status(system):
    before = system.kill("store")
    system.wait_restarted(before)
    shown = system.ugtj("status").stdout
    row = next(line for line in shown.splitlines() if line.split()[:1] == ["store"])
    assert row.split()[3] == "1" and "SIGKILL" in row, shown


@pytest.mark.parametrize("name", ["store", "hh_client"])
def test_a_stopped_actor_is_noticed_and_replaced(system, name):
    import signal
    before = system.kill(name, signal.SIGSTOP)
    after = system.wait_restarted(before, 30)
    assert "heartbeat" in after["last_exit"], after
    assert system.health().status == 200


def test_ugtj_kill_kills_and_status_shows_it(system):
    before = system.tree()["hh_client"]
    system.expected_deaths += 1
    assert "killed hh_client" in system.ugtj("kill", "hh_client").stdout
    system.wait_restarted(before)


def test_killed_supervisor_takes_everything_with_it(system):
    import signal
    from pathlib import Path
    children = [c["pid"] for c in system.tree().values() if c["pid"]]
    system.process.send_signal(signal.SIGKILL)
    system.process.wait(10)
    wait_for(lambda: not [p for p in children if Path(f"/proc/{p}").exists()], 5, "all are gone")
    system.start()
    door = Door(system.zmq_port)
    assert door.call("tree.state")[0] == "reply"
    door.close()
