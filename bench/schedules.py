#!/usr/bin/python3
"""Many schedules at once: does every run happen, what does it cost HH, and what the machine?

    bench/schedules.py [--schedules 500] [--interval 10] [--seconds 60]

Starts a system of its own on loopback (PostgreSQL, the simulator, the server; UGTJ_BUILD_DIR says which
build). Prints the runs that happened beside those that were due, the requests that the simulator counted,
memory per fetcher, CPU under load and at rest; then, from the measured requests per run, how many
schedules of 30 minutes the default budget of 3 requests a second carries.
"""
import argparse
import os
import statistics
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.pg import Postgres  # noqa: E402
from support.system import Simulator, System, wait_for  # noqa: E402

TEXTS = ["python", "java", "devops", "analyst", "тестировщик", "разработчик", "менеджер", "design"]
TICK = os.sysconf("SC_CLK_TCK")
DEFAULT_RPS = 3
HALF_HOUR_S = 1800


def memory_kib(pid, key):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def cpu_s(pids):
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def pids_of(system):
    return [system.process.pid] + [c["pid"] for c in system.tree().values() if c["pid"]]


def put_all(system, users, interval_s):
    def put(numbered):
        number, user = numbered
        search = {"text": TEXTS[number % len(TEXTS)], "area": str(1 + number % 4)}
        answer = system.request(f"/api/schedules/{user}", "PUT",
                                {"search": search, "interval_s": interval_s})
        assert answer.status == 200, answer.raw
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, enumerate(users)))


def listed(system):
    kind, reply = system.door().call("schedules.list", {"limit": 1000}, timeout=20)
    assert kind == "reply", reply
    return reply["schedules"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--interval", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    postgres, simulator = Postgres(), Simulator("--max-rps", 0)
    system = System(postgres, simulator, HH_MAX_RPS=1000, MAX_FETCHERS=options.schedules + 100)
    try:
        measure(system, simulator, options)
        system.stop()
    finally:
        system.close()
        simulator.stop()
        postgres.close()


def measure(system, simulator, options):
    users = sorted(str(uuid.uuid4()) for _ in range(options.schedules))
    system.start()
    began = time.monotonic()
    put_all(system, users, options.interval)
    wait_for(lambda: all(s["runs"] > 0 for s in listed(system)), 300, "each has run once")
    print(f"{options.schedules} schedules made and run once in {time.monotonic() - began:.1f} s")

    runs = {s["user_id"]: s["runs"] for s in listed(system)}
    requests = simulator.control("stats")["requests"]
    cpu, began = cpu_s(pids_of(system)), time.monotonic()
    time.sleep(options.seconds)
    took = time.monotonic() - began
    done = [s["runs"] - runs[s["user_id"]] for s in listed(system)]
    asked = simulator.control("stats")["requests"] - requests
    load = (cpu_s(pids_of(system)) - cpu) / took
    due = int(took // options.interval)
    print(f"in {took:.0f} s each was due {due} times: runs min {min(done)}, median "
          f"{statistics.median(done):.0f}, max {max(done)}, in all {sum(done)}")
    print(f"schedules with fewer runs than due: {sum(1 for d in done if d < due)}; the latest by "
          f"{max(s['lag_ms'] for s in listed(system))} ms")
    print(f"requests at the simulator: {asked}, {asked / sum(done):.3f} a run (identical searches "
          f"are shared); CPU of the whole tree: {100 * load:.0f} % of one core")

    fetchers = [c["pid"] for c in system.tree().values() if c["name"].startswith("fetcher:")]
    pss = sorted(memory_kib(pid, "Pss") for pid in fetchers)
    print(f"memory per fetcher: PSS median {pss[len(pss) // 2]} KiB, max {pss[-1]} KiB; "
          f"supervisor RSS {memory_kib(system.process.pid, 'Rss')} KiB")

    put_all(system, users, HALF_HOUR_S)
    wait_for(lambda: all(s["next_run_ms"] > time.time() * 1000 + 60000 for s in listed(system)),
             300, "all wait for half an hour")
    time.sleep(2)
    pids = pids_of(system)
    cpu, began = cpu_s(pids), time.monotonic()
    time.sleep(15)
    rest = (cpu_s(pids) - cpu) / (time.monotonic() - began)
    print(f"CPU at rest with {options.schedules} fetchers: {100 * rest:.1f} % of one core")

    alone = simulator.control("stats")["requests"]
    user = str(uuid.uuid4())
    system.request(f"/api/schedules/{user}", "PUT", {"search": {"text": "golang"}, "interval_s": 5})
    wait_for(lambda: system.request(f"/api/schedules/{user}").json["schedule"]["runs"] >= 1, 60)
    first = simulator.control("stats")["requests"] - alone
    wait_for(lambda: system.request(f"/api/schedules/{user}").json["schedule"]["runs"] >= 5, 60)
    later = (simulator.control("stats")["requests"] - alone - first) / 4
    print(f"a search that nobody shares: {first} requests for its first run, {later:.2f} for each "
          f"later one: {DEFAULT_RPS} requests a second carry "
          f"{int(DEFAULT_RPS * HALF_HOUR_S / later)} schedules of 30 minutes")


if __name__ == "__main__":
    main()
