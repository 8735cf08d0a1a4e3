"""PostgreSQL is stopped for 20 s while all goes on: health says so, nothing gives up, all catches up."""
import os
import time

from support.system import wait_for

OUTAGE_S = float(os.environ.get("UGTJ_OUTAGE", "20"))


def test_database_stopped_and_started_again(system, simulator, postgres, user, subscriber):
    system.request(f"/api/schedules/{user}", "PUT", {"search": {"text": "zebra"}, "interval_s": 5})
    simulator.control("appear", {"every": 0.5, "name": "Zebra keeper "})
    wait_for(lambda: len(subscriber.job_ids()) > 2, 30, "the first zebras")
    before = system.tree()
    postgres.stop()
    down = wait_for(lambda: (a := system.health()).status == 503 and a, 10, "health says down")
    assert down.json["db"] == "down" and "Retry-After" in down.headers
    ended = time.monotonic() + OUTAGE_S
    while time.monotonic() < ended:
        assert system.health().json["db"] == "down"
        answer = system.request("/api/jobs/search", "POST", {"text": "python", "per_page": 1})
        assert answer.status == 200, "a search needs no database"
        time.sleep(0.5)
    postgres.start()
    wait_for(lambda: system.health().status == 200, 20, "health says up")
    simulator.control("appear", {"every": 0})
    wanted = simulator.ids("text=zebra")
    wait_for(lambda: set(subscriber.job_ids()) == set(wanted), 40, "all that appeared meanwhile")
    ids = subscriber.job_ids()
    assert len(ids) == len(set(ids)) and subscriber.problems == []
    after = system.tree()
    died = [n for n in before if after[n]["restarts"] != before[n]["restarts"]]
    assert died == [], f"an outage outside burns no restarts: {died}"
