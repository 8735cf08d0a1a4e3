#!/usr/bin/python3
"""A storm: an actor picked at random is killed every 100 ms, and people go on searching, scheduling, listing.

    bench/storm.py [--seconds 60] [--every-ms 100] [--clients 16]

The whole system on loopback. All actors are killed, fetchers, door and gateway too. What is promised, and ends
the program with 1 if it is broken: no answer is wrong or somebody else's (a connection that dies with the
gateway is none), no request hangs, the tree is whole a second after the last kill, and processes, descriptors,
sockets and memory are what they were before. `before` is after each actor has died once. UGTJ_BUILD_DIR says
which build; use a release build.
"""
import argparse
import os
import random
import signal
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

from fetcher_memory import put, rollup
from support.client import clients_of
from support.person import children_of
from support.pg import Postgres
from support.system import BUILD, Simulator, System, wait_for

HANGS_S = 31     # no call of the product waits longer
WHOLE_S = 1
MEMORY = 1.25    # times before
WARM_S = 5       # of work, so that those who talk to each other are connected
REST_S = 5       # then idle connections of HTTP have ended, and memory of the last requests is given back
FETCHERS = 8
FETCHER_DEATHS = 4  # of each: one that dies more often within a minute is put aside


def is_whole(system):
    return all(child["state"] == "up" for child in system.tree().values())


def census(system):
    """What there is, while nobody asks for anything."""
    pids = children_of(system.process.pid)
    return {"processes": len(pids),
            "descriptors of the supervisor": len(os.listdir(f"/proc/{system.process.pid}/fd")),
            "descriptors of all others": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
            "files in RUN_DIR": len(list(system.run_dir.iterdir())),
            "RSS of the supervisor, KiB": rollup(system.process.pid, "Rss"),
            "PSS of all others, KiB": sum(rollup(pid, "Pss") for pid in pids)}


def kill(system, pid):
    system.expected_deaths += 1
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def running(system):
    """(pid, name) of the actors' processes, as the kernel knows them: the door may be dead."""
    found = []
    for pid in children_of(system.process.pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if len(words) > 1 and not words[1].startswith((b"zygote", b"standby")):
            found.append((pid, words[1].decode()))
    return found


def each_dies_once(system):
    for child in list(system.tree().values()):
        if child["pid"]:
            system.wait_restarted(system.kill(child["name"]))
    time.sleep(3)


def rage(system, options):
    """Kills until the time is over. Returns how many, and how long the tree then took to be whole."""
    choose = random.Random(1)
    end = time.monotonic() + options.seconds
    kills = Counter()
    while time.monotonic() < end:
        due = time.monotonic() + options.every_ms / 1000
        victims = [(pid, name) for pid, name in running(system)
                   if not name.startswith("fetcher:") or kills[name] < FETCHER_DEATHS]
        if victims:
            pid, name = choose.choice(victims)
            kill(system, pid)
            kills[name] += 1
        time.sleep(max(0, due - time.monotonic()))
    began = time.monotonic()
    wait_for(lambda: is_whole(system), 30, "the tree is whole")
    return sum(kills.values()), time.monotonic() - began


def begin(clients, seconds=0):
    for client in clients:
        client.start()
    time.sleep(seconds)
    return clients


def end(clients):
    """Returns how many of them still wait for an answer."""
    for client in clients:
        client.ending.set()
    for client in clients:
        client.join(90)
    return sum(client.is_alive() for client in clients)


def show_answers(clients):
    answered = {}
    for client in clients:
        for name, count in client.counts.items():
            answered[name] = answered.get(name, 0) + count
    wrong = [one for client in clients for one in client.wrong]
    longest = max(client.longest for client in clients)
    print(f"answered {sum(answered.values())} ({', '.join(f'{n} {c}' for n, c in answered.items())}); "
          f"connections lost with the gateway {sum(client.lost for client in clients)}; wrong {len(wrong)}; "
          f"the slowest took {longest:.2f} s")
    for one in wrong[:10]:
        print("   wrong:", one)
    return not wrong and longest < HANGS_S


def compare(before, after):
    kept = True
    for what, count in before.items():
        limit = count * MEMORY if "KiB" in what else count
        kept = kept and after[what] <= limit
        print(f"{what:<32} before {count:>8}  after {after[what]:>8}"
              f"{'' if after[what] <= limit else '  MORE'}")
    return kept


def measure(system, simulator, options):
    for _ in range(FETCHERS):
        put(system, str(uuid.uuid4()))
    clients = clients_of(system, simulator, options.clients, gateway_dies=True)
    wait_for(lambda: is_whole(system), 30, "the tree is whole")
    each_dies_once(system)
    end(begin(clients_of(system, simulator, options.clients, 1000), WARM_S))
    time.sleep(REST_S)
    before = census(system)
    begin(clients)
    kills, whole = rage(system, options)
    hanging = end(clients)
    print(f"{BUILD.name}: {kills} kills in {options.seconds} s; whole {whole:.2f} s after; {hanging} requests hang")
    right = show_answers(clients)
    time.sleep(REST_S)
    return compare(before, census(system)) and right and not hanging and whole < WHOLE_S


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--every-ms", type=int, default=100)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    postgres, simulator = Postgres(), Simulator("--max-rps", 0)
    system = System(postgres, simulator, HH_MAX_RPS=1000, MAX_RESTARTS=100000)
    try:
        system.start()
        kept = measure(system, simulator, options)
        system.stop()
    finally:
        system.close()
        simulator.stop()
        postgres.close()
    print("kept" if kept else "BROKEN")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
