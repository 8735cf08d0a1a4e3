#!/usr/bin/python3
"""A thousand fetchers: what do they cost, and how fast are they back when all of them are killed at once?

    bench/thousand_fetchers.py [--fetchers 1000] [--runs 5]

The system on loopback, each fetcher waiting for its next run. All are killed with SIGKILL at once, again and
again; measured is the time from the first kill until the last one is up again, as the log tells it. In the same
run, before: as many bare processes with ZeroMQ, each forked anew and answered once. Then one fetcher is killed
whenever it comes up, until it is put aside. A promise that is broken ends the program with 1: that one alone is
put aside, all others are the processes that they were, and the supervisor stays below 4 MiB.
UGTJ_BUILD_DIR says which build; use a release build.
"""
import argparse
import os
import signal
import statistics
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from bare import bare
from fetcher_memory import is_waiting, rollup
from support.pg import Postgres
from support.system import BUILD, Simulator, System, wait_for

SUPERVISOR_KIB = 4096
TARGET_S = 3


def put(system, user):
    """A search that finds nothing: what a run costs is not the question."""
    answer = system.request(f"/api/schedules/{user}", "PUT",
                            {"search": {"text": "nothingofthekind"}, "interval_s": 86400})
    assert answer.status == 200, answer.raw


def fetchers(system):
    return {name: child for name, child in system.tree().items() if name.startswith("fetcher:")}


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def up_since(system, offset):
    """When the fetchers came up, of the log from offset on, in seconds since 1970."""
    with open(system.log_path, encoding="utf-8", errors="replace") as log:
        log.seek(offset)
        lines = [line for line in log if " child.up name=fetcher:" in line]
    return [datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp() for line in lines]


def kill_all(system, count):
    """Seconds until all are up again."""
    pids = [child["pid"] for child in fetchers(system).values()]
    assert len(pids) == count
    offset = os.path.getsize(system.log_path)
    system.expected_deaths += count
    began = time.time()
    for pid in pids:
        kill(pid)
    killed = time.time() - began
    wait_for(lambda: len(up_since(system, offset)) == count, 120, "all are up again", every=0.2)
    return max(up_since(system, offset)) - began, killed


def crash_for_ever(system):
    """One fetcher is killed until it is put aside. Returns what broke."""
    before = fetchers(system)
    victim = next(iter(before))
    kills = 0
    while (now := system.tree()[victim])["state"] != "quarantined":
        if now["pid"] and now["state"] == "up":
            system.expected_deaths += 1
            kills += 1
            kill(now["pid"])
        assert kills < 100, "it is never put aside"
        time.sleep(0.05)
    after = fetchers(system)
    same = sum(after[name]["pid"] == child["pid"] for name, child in before.items() if name != victim)
    print(f"one that is killed whenever it is up: put aside after {kills} more; of the other {len(before) - 1}"
          f" {same} are untouched")
    return same == len(before) - 1


def measure(system, options, bare_s):
    users = [str(uuid.uuid4()) for _ in range(options.fetchers)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda user: put(system, user), users))
    began = time.monotonic()
    wait_for(lambda: is_waiting(system, options.fetchers), 600, "each has run once", every=0.5)
    print(f"each has run once, {time.monotonic() - began:.0f} s after the last was scheduled", flush=True)
    time.sleep(3)  # until what a run needed is given back
    pss = [rollup(child["pid"], "Pss") for child in fetchers(system).values()]
    print(f"{BUILD.name}, {len(pss)} fetchers: PSS median {statistics.median(pss):.0f} KiB, max {max(pss)} KiB",
          flush=True)
    times = [kill_all(system, options.fetchers) for _ in range(options.runs)]
    median = statistics.median(took for took, _ in times)
    print(f"all killed at once: up again after {median:.2f} s (median of {len(times)}: "
          f"{', '.join(f'{took:.2f}' for took, _ in times)}; the kills themselves took "
          f"{statistics.median(killed for _, killed in times):.2f} s); "
          f"{TARGET_S} s is {'met' if median < TARGET_S else 'NOT met'}", flush=True)
    print(f"    that is {median / bare_s:.2f} times as many bare processes with ZeroMQ", flush=True)
    rss = rollup(system.process.pid, "Rss")
    print(f"the supervisor: RSS {rss} KiB, of which private and written {rollup(system.process.pid, 'Private_Dirty')} KiB")
    return crash_for_ever(system) and rss < SUPERVISOR_KIB


def bare_crowd(options):
    """Seconds, the median, for as many bare processes with ZeroMQ."""
    times = [bare("bare_zeromq", "crowd", options.fetchers)[0] / 1000 for _ in range(options.runs)]
    print(f"as many bare processes with ZeroMQ, killed at once: answered again after {statistics.median(times):.2f} s"
          f" (median of {len(times)}: {', '.join(f'{took:.2f}' for took in times)})", flush=True)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fetchers", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5, help="more would put fetchers aside")
    options = parser.parse_args()
    bare_s = bare_crowd(options)
    postgres, simulator = Postgres(), Simulator("--max-rps", 0)
    system = System(postgres, simulator, HH_MAX_RPS=1000, MAX_RESTARTS=100000)
    try:
        system.start()
        kept = measure(system, options, bare_s)
        system.stop(120)
    finally:
        system.close()
        simulator.stop()
        postgres.close()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
