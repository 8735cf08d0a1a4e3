#!/usr/bin/python3
"""What a waiting fetcher costs: memory, by what it is spent on.

    bench/fetcher_memory.py [--fetchers 200] [BUILD ...]

For each build directory (default: UGTJ_BUILD_DIR) it starts the system on loopback with so many schedules,
waits until their fetchers wait for their next run, and prints the median PSS of a fetcher, its private
memory, and the mappings that cost most. Several builds in one run can be compared.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.pg import Postgres  # noqa: E402
from support.system import BUILD, Simulator, System, wait_for  # noqa: E402


def mappings(pid):
    """PSS in KiB by file name, or [heap], [stack], anonymous."""
    found, name = defaultdict(int), ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)", line)
        if head:
            name = os.path.basename(head[1]) or "anonymous"
        elif line.startswith("Pss:"):
            found[name] += int(line.split()[1])
    return found


def rollup(pid, key):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def put(system, user):
    answer = system.request(f"/api/schedules/{user}", "PUT",
                            {"search": {"text": "python"}, "interval_s": 86400})
    assert answer.status == 200, answer.raw


def is_waiting(system, count):
    kind, reply = system.door().call("schedules.list", {"limit": 1000}, timeout=20)
    return kind == "reply" and sum(s["runs"] > 0 for s in reply["schedules"]) == count


def measure(fetchers):
    postgres, simulator = Postgres(), Simulator("--max-rps", 0)
    system = System(postgres, simulator, HH_MAX_RPS=1000)
    try:
        system.start()
        users = [str(uuid.uuid4()) for _ in range(fetchers)]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda user: put(system, user), users))
        wait_for(lambda: is_waiting(system, fetchers), 300, "each has run once", every=0.5)
        time.sleep(3)  # until what a run needed is given back
        pids = [c["pid"] for c in system.tree().values() if c["name"].startswith("fetcher:")]
        pss = [rollup(pid, "Pss") for pid in pids]
        private = [rollup(pid, "Private_Dirty") for pid in pids]
        print(f"{BUILD.name}: {len(pids)} fetchers: PSS median {statistics.median(pss):.0f} KiB, max "
              f"{max(pss)} KiB; private dirty median {statistics.median(private):.0f} KiB")
        parts = sorted(mappings(pids[0]).items(), key=lambda part: -part[1])
        print("   " + ", ".join(f"{name} {kib}" for name, kib in parts[:12]))
        system.stop()
    finally:
        system.close()
        simulator.stop()
        postgres.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fetchers", type=int, default=200)
    parser.add_argument("builds", nargs="*")
    options = parser.parse_args()
    if not options.builds:
        measure(options.fetchers)
    for build in options.builds:
        subprocess.run([sys.executable, __file__, "--fetchers", str(options.fetchers)], check=True,
                       env={**os.environ, "UGTJ_BUILD_DIR": str(Path(build).resolve())})


if __name__ == "__main__":
    main()
