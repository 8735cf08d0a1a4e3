#!/usr/bin/python3
"""Does a supervisor grow with the restarts that it makes?

    bench/supervisor_memory.py [--restarts 20000]

A supervisor over a small tree of which one child says READY and dies, for ever. Prints its memory and its
descriptors every so often, and the restarts a second. Ends with 1 if it holds more at the end than after the
first thousand (64 reports of deaths are kept, and malloc has filled its bins by then). UGTJ_BUILD_DIR says
which build; use a release build.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fetcher_memory import rollup
from support.system import BUILD

SLACK_KIB = 64
DEADLINE_S = 900


def generation(log):
    """Of the child that dies, as the end of the log has it."""
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - 8192))
        found = re.findall(rb"child\.start name=b pid=\d+ generation=(\d+)", file.read())
    return int(found[-1]) if found else 0


def figures(pid):
    return rollup(pid, "Rss"), rollup(pid, "Private_Dirty"), len(os.listdir(f"/proc/{pid}/fd"))


def watch(pid, log, restarts):
    """The figures each thousand restarts: [(restarts, (rss, private, descriptors))]."""
    seen, began = [], time.monotonic()
    while not seen or seen[-1][0] < restarts:
        assert time.monotonic() - began < DEADLINE_S, "too slow"
        time.sleep(0.02)
        done = generation(log)
        if done >= 1000 * (len(seen) + 1):
            seen.append((done, figures(pid)))
            if len(seen) in (1, 2, 5) or len(seen) % 5 == 0:
                print("after {:6} restarts: RSS {} KiB, private and written {} KiB, {} descriptors"
                      .format(done, *seen[-1][1]), flush=True)
    print(f"{seen[-1][0] / (time.monotonic() - began):.0f} restarts a second, {BUILD.name}")
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restarts", type=int, default=20000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ugtj-") as folder:
        (Path(folder) / "b").write_text("ready-exit=1")
        log = Path(folder) / "log"
        with open(log, "wb") as out:
            tree = subprocess.Popen(
                [str(BUILD / "tests/supervisor/test_tree"), "one_for_one"], stderr=out,
                env={**os.environ, "RUN_DIR": folder + "/run", "BEHAVIOUR_DIR": folder,
                     "MAX_RESTARTS": "1000000", "MAX_SECONDS": "1"})
        try:
            seen = watch(tree.pid, log, options.restarts)
        finally:
            tree.send_signal(signal.SIGTERM)
            tree.wait(20)
    first, last = seen[0][1], seen[-1][1]
    grown = last[1] > first[1] + SLACK_KIB or last[2] > first[2]
    print("it GROWS" if grown else "it does not grow")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
