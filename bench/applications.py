#!/usr/bin/python3
"""How many applications a second are committed, and how many are sent and ended?

    bench/applications.py [--applications 5000] [--callers 64] [--at-once 64] [--runs 5]

Store and submitter as they are, on a PostgreSQL of their own with every commit on the disk; HH takes no
time (idle_hh.c). Each application is another person's, costs a token of the rate limit, is marked before
it is sent, and is told of in two events.

  enqueue   callers submit, each the next one when its last is committed; nothing is sent meanwhile
  process   what was enqueued is sent, until the last end is committed

Beside it, in turn, on the same PostgreSQL and in the same run: graphile-worker with a task that does
nothing, jobs added one by one by as many callers, with a key that makes each unique as ours are. `cd
bench/peers && npm ci` installs it. As it is installed it fetches and ends each job alone; `batches` is
with its local queue, which fetches 500 jobs at once and keeps them in memory, and ends them together.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.harness import BUILD, Actor  # noqa: E402
from support.pg import Postgres, apply_migrations  # noqa: E402
from support.store import Database, Store  # noqa: E402

PEERS = Path(__file__).resolve().parent / "peers"
LOCAL_QUEUE = 500
DEADLINE_S = 300


def program(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, errors="replace", timeout=DEADLINE_S,
                          cwd=PEERS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Ours:
    """Store and submitter; HH is there while it is asked to be."""

    def __init__(self, server, options):
        self.options = options
        self.database = Database(server)
        settings = {"LOG_LEVEL": "error", "MAX_SUBMISSIONS": options.at_once, "NODE_NAME": "bench"}
        self.store = Store(server.url, **settings)
        self.store.start()
        self.submitter = Actor("submitter", run_dir=self.store.run_dir, settings=settings)
        self.submitter.neighbour("store")
        self.store.neighbour("submitter")
        self.submitter.start()
        self.hh = None

    def enqueue(self, run):
        done = program(BUILD / "bench/application_callers", f"ipc://{self.store.run_dir}/submitter.1",
                       self.options.callers, self.options.applications, run)
        return done["applications"] / done["seconds"]

    def left(self):
        return self.database.value("select count(*) from applications where status <> 'submitted'")

    def process(self, run):
        self.hh = Actor("../bench/idle_hh", name="hh_client", generation=run + 1,
                        run_dir=self.store.run_dir, settings={"LOG_LEVEL": "error"})
        self.hh.start()
        assert self.left() == self.options.applications
        began = time.monotonic()
        if run == 0:
            self.submitter.neighbour("hh_client", 1)
        else:
            self.submitter.peers["hh_client"].up(run + 1)
        while self.left() > 0:
            assert time.monotonic() - began < DEADLINE_S
            time.sleep(0.01)
        took = time.monotonic() - began
        self.submitter.peers["hh_client"].down()
        self.hh.stop()
        self.hh.close()
        # All are over, and as many as were wanted; the next run begins with tables as large.
        self.database.rows("truncate applications, application_lanes, rate_limits, outbox, topics")
        return self.options.applications / took

    def close(self):
        for actor in self.submitter, self.store:
            actor.stop()
            actor.close()
        self.database.close()


class Graphile:
    def __init__(self, server, options, local_queue=None):
        self.options, self.local_queue = options, local_queue
        self.url = server.url

    def enqueue(self, run):
        done = program("node", "graphile.js", "add", self.url, self.options.callers,
                       self.options.applications)
        return done["jobs"] / done["seconds"]

    def process(self, run):
        done = program("node", "graphile.js", "work", self.url, self.options.at_once,
                       self.options.applications, *([self.local_queue] if self.local_queue else []))
        return done["jobs"] / done["seconds"]

    def close(self):
        pass


def show(what, rates):
    ours = statistics.median(rates["ours"])
    for name, values in rates.items():
        median = statistics.median(values)
        ratio = "" if name == "ours" else f", ours is {ours / median:.2f} x"
        print(f"{what:<8} {name:<26} median {median:7.0f}/s of {len(values)} runs "
              f"({min(values):.0f} to {max(values):.0f}){ratio}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--applications", type=int, default=5000)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    durable = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    with Postgres(**durable, shared_buffers="256MB") as server:
        apply_migrations(server.url)
        ways = {"ours": Ours(server, options)}
        if (PEERS / "node_modules").exists():
            ways["graphile-worker"] = Graphile(server, options)
            ways["graphile-worker, batches"] = Graphile(server, options, LOCAL_QUEUE)
        else:
            print("bench/peers is not installed: ours alone (cd bench/peers && npm ci)")
        rates = {what: {name: [] for name in ways} for what in ("enqueue", "process")}
        for run in range(options.runs + 1):
            for name, way in ways.items():
                for what in "enqueue", "process":
                    rate = getattr(way, what)(run)
                    if run > 0:  # the first one warms up
                        rates[what][name].append(rate)
        for what, results in rates.items():
            show(what, results)
        for way in ways.values():
            way.close()


if __name__ == "__main__":
    start = time.monotonic()
    main()
    print(f"{time.monotonic() - start:.0f} s, {os.cpu_count()} processors")
