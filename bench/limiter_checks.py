#!/usr/bin/python3
"""How many checks of a rate limit a second, and how long does one take?

    bench/limiter_checks.py [--callers 16] [--runs 5] [--seconds 3]

The rate_limiter and the store on a PostgreSQL of their own, every commit on the disk before the answer.
Beside it, in turn, a token bucket as a script in Redis on a Unix socket: with its log synced before each
answer (appendfsync always), which is what ours promises, and with its default (no log at all: what is
spent since the last snapshot is given back by a crash). The same number of callers, each with a
connection of its own, in one program (limiter_callers.c).

  spend    1,000 people with full buckets: each check spends and is written
  refuse   1,000 people with empty buckets: nothing is written

`door` is the whole way of a service outside: ZeroMQ's door, rate_limiter, store; `actor` is what another
actor sees.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.pg import Postgres  # noqa: E402
from support.system import BUILD, Simulator, System, wait_for  # noqa: E402

PEOPLE = 1000
SPEND, REFUSE = ("bench_spend", 1000000, 1), ("bench_refuse", 1, 1)
SCRIPT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local full, rate, need = ARGV[1] * 3600000, tonumber(ARGV[2]), ARGV[3] * 3600000
local b = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = full
if b[1] then level = math.min(full, b[1] + math.max(0, now - b[2]) * rate) end
if level < need then return {0, tostring(level), math.ceil((need - level) / rate)} end
redis.call('HSET', KEYS[1], 'level', string.format('%.0f', level - need), 'at', now)
return {1, tostring(level - need), 0}
"""


class Redis:
    def __init__(self, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="ugtj-redis-")
        self.path = f"{self.folder.name}/socket"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--dir", self.folder.name,
             "--save", "", *options], stdout=subprocess.DEVNULL)
        self.command("ping")
        self.sha = self.command("script", "load", SCRIPT)

    def command(self, *words):
        def answer():
            done = subprocess.run(["redis-cli", "-s", self.path, *words], capture_output=True, text=True)
            return done.returncode == 0 and done.stdout.strip()
        return wait_for(answer, 10, f"Redis answers {words[0]}")

    def measure(self, limit, options):
        return callers(options, "redis", self.path, self.sha, limit[1], limit[2])

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.folder.cleanup()


def callers(options, kind, where, *more):
    done = subprocess.run(
        [str(BUILD / "bench/limiter_callers"), kind, where, str(options.callers),
         str(options.seconds), str(PEOPLE), *map(str, more)],
        capture_output=True, text=True, timeout=options.seconds + 60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def contenders(system, options):
    """name -> function(limit) that gives the figures of one run; and what is to be closed."""
    generation = system.tree()["rate_limiter"]["generation"]
    ways = {
        "actor": lambda limit: callers(
            options, "zmq", f"ipc://{system.run_dir}/rate_limiter.{generation}", limit[0]),
        "door": lambda limit: callers(
            options, "zmq", f"tcp://127.0.0.1:{system.zmq_port}", limit[0]),
    }
    servers = []
    if shutil.which("redis-server"):
        servers = [Redis("--appendonly", "yes", "--appendfsync", "always"), Redis()]
        ways["redis, fsync always"] = lambda limit: servers[0].measure(limit, options)
        ways["redis, default"] = lambda limit: servers[1].measure(limit, options)
    else:
        print("redis-server is not installed: ours alone (apt-get install redis-server)")
    return ways, servers


def show(what, results):
    """A line for each way: medians of all runs, and how many times as fast as Redis."""
    rate = {name: statistics.median(r["checks"] / r["seconds"] for r in runs)
            for name, runs in results.items()}
    for name, runs in results.items():
        p50, p99 = (statistics.median(r[p] for r in runs) / 1000 for p in ("p50_us", "p99_us"))
        ratios = "".join(f", {rate[name] / rate[other]:.2f} x {other}"
                         for other in rate if other.startswith("redis") and name in ("actor", "door"))
        print(f"{what:<7} {name:<20} median {rate[name]:8.0f} checks/s of {len(runs)} runs "
              f"({min(r['checks'] / r['seconds'] for r in runs):.0f} to "
              f"{max(r['checks'] / r['seconds'] for r in runs):.0f}), p50 {p50:.2f} ms, "
              f"p99 {p99:.2f} ms{ratios}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    durable = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    limits = " ".join(f"{name}={capacity}/{rate}" for name, capacity, rate in (SPEND, REFUSE))
    servers = []
    simulator = Simulator("--vacancies", 10)
    with Postgres(**durable) as postgres:
        system = System(postgres, simulator, RATE_LIMITS=limits, LOG_LEVEL="warn")
        try:
            system.start()
            ways, servers = contenders(system, options)
            for what, limit in (("spend", SPEND), ("refuse", REFUSE)):
                results = {name: [] for name in ways}
                for name in ways:  # fills the tables, empties the buckets
                    ways[name](limit)
                for _ in range(options.runs):
                    for name in ways:
                        result = ways[name](limit)
                        wanted = result["checks"] if what == "spend" else 0
                        assert result["allowed"] == wanted, (name, result)
                        results[name].append(result)
                show(what, results)
        finally:
            for server in servers:
                server.close()
            system.close()
            simulator.stop()


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"{time.monotonic() - began:.0f} s, {os.cpu_count()} processors")
