#!/usr/bin/python3
"""How soon is an actor replaced that is stopped (SIGSTOP), and how soon is all gone with a killed supervisor?

    bench/stopped_actors.py [--runs 5]

The whole system on loopback. Each actor is stopped in turn, and the log tells when its next generation was up;
then the supervisor is killed, and all processes of the tree are looked for until none is left. Ends with 1 if
one takes longer than promised: 3 s and 1 s. UGTJ_BUILD_DIR says which build; use a release build.
"""
import argparse
import os
import signal
import statistics
import sys
import time
import uuid
from datetime import datetime
from pathlib import Path

from fetcher_memory import is_waiting, put
from storm import is_whole
from support.person import children_of
from support.pg import Postgres
from support.system import BUILD, Simulator, System, wait_for

REPLACED_S = 3
GONE_S = 1


def up_at(system, name, generation):
    """When that generation was up, in seconds since 1970; None: it is not."""
    for line in system.log().splitlines():
        if f" child.up name={name} " in line and f" generation={generation} " in line:
            return datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp()
    return None


def stop_one(system, child):
    """Seconds from SIGSTOP until it is replaced."""
    name, generation = child["name"], child["generation"] + 1
    system.expected_deaths += 1
    began = time.time()
    os.kill(child["pid"], signal.SIGSTOP)
    return wait_for(lambda: up_at(system, name, generation), 20, f"{name} is replaced", every=0.1) - began


def runs(pid):
    """Whether it is there, and not merely waits to be reaped by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def run(postgres, simulator):
    """The seconds of each actor, by name, and those of the supervisor."""
    system = System(postgres, simulator)
    try:
        system.start()
        put(system, str(uuid.uuid4()))
        wait_for(lambda: is_waiting(system, 1) and is_whole(system), 20, "all are up, the fetcher too")
        children = [child for child in system.tree().values() if child["pid"]]
        took = {child["name"].split(":")[0]: stop_one(system, child) for child in children}
        pids = children_of(system.process.pid)
        began = time.monotonic()
        system.process.kill()
        system.process.wait()
        wait_for(lambda: not any(runs(pid) for pid in pids), 20, "all are gone", every=0.005)
        return took, len(pids), time.monotonic() - began
    finally:
        system.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    postgres, simulator = Postgres(), Simulator("--max-rps", 0)
    try:
        results = [run(postgres, simulator) for _ in range(options.runs)]
    finally:
        simulator.stop()
        postgres.close()
    for name in results[0][0]:
        times = [took[name] for took, _, _ in results]
        print(f"{name:<14} replaced {statistics.median(times):.2f} s after SIGSTOP (at most {max(times):.2f})")
    gone = [seconds for _, _, seconds in results]
    print(f"supervisor     its {results[0][1]} processes gone {statistics.median(gone):.3f} s after SIGKILL "
          f"(at most {max(gone):.3f}); medians of {options.runs}, {BUILD.name}")
    kept = max(max(took.values()) for took, _, _ in results) < REPLACED_S and max(gone) < GONE_S
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
