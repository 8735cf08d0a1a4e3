#!/usr/bin/python3
"""How long is an actor away when it is killed?

    bench/restart_latency.py [--kills 200]

A supervisor, the door and a small actor (tests/support/test_actor.c). Again and again the actor is killed
with SIGKILL and at once a call is sent to it through the door; measured is the time from the kill until that
call is answered. Once with some time before each kill, in which it is called and its standby is made, and once kill
upon kill: then there is none. In the same run, before and after: a bare fork, a bare fork and exec of /bin/true,
and one of the actor's own program, which ends as soon as its libraries are linked, each with the wait for its end;
and a bare process with ZeroMQ that is killed, waited for, forked anew and asked. UGTJ_BUILD_DIR says which build;
use a release build.
"""
import argparse
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from bare import bare
from support.system import BUILD, Door, wait_for

ACTOR = "hh_client"
IN_USE_S = 0.3
BARE = {"a bare fork": ("bare_fork", "fork"),
        "a fork and exec of /bin/true": ("bare_fork", "/bin/true"),
        "a fork and exec of the actor's program": ("bare_fork", str(BUILD / "tests/supervisor/test_actor")),
        "a bare process with ZeroMQ, killed": ("bare_zeromq", "restart")}


def row(name, times_ms):
    ordered = sorted(times_ms)
    median, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    print(f"{name:<42} median {median:7.3f} ms  p99 {p99:7.3f} ms  max {ordered[-1]:7.3f} ms")
    return median


def pid_of(door):
    kind, reply = door.call("tree.state")
    assert kind == "reply", reply
    return next(c["pid"] for c in reply["children"] if c["name"] == ACTOR)


def call_for(door, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert door.call("jobs.get", {"id": "1"})[0] == "reply"


def kill_once(door, in_use_s):
    call_for(door, in_use_s)
    pid = pid_of(door)
    assert door.call("jobs.get", {"id": "1"})[0] == "reply"
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    kind, reply = door.call("jobs.get", {"id": "1"})
    took = (time.monotonic() - began) * 1000
    assert kind == "reply" and pid_of(door) != pid, reply
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ugtj-") as folder:
        run_dir = Path(folder) / "run"
        with open(Path(folder) / "log", "wb") as log:
            tree = subprocess.Popen(
                [str(BUILD / "tests/supervisor/test_tree"), "actors"], stderr=log,
                env={**os.environ, "RUN_DIR": str(run_dir), "ZMQ_PORT": "0", "BEHAVIOUR_DIR": folder,
                     "MAX_RESTARTS": "1000000", "MAX_SECONDS": "1"})
        try:
            measure(run_dir, options.kills)
        finally:
            tree.send_signal(signal.SIGTERM)
            tree.wait(20)


def measure(run_dir, kills):
    port = int(wait_for(lambda: (run_dir / "zmq_port").read_text(), 20, "the door"))
    door = Door(port)
    wait_for(lambda: door.call("jobs.get", {"id": "1"})[0] == "reply", 20, "the actor")
    half = kills // 2
    compared = {name: bare(*what, half) for name, what in BARE.items()}
    calls = []
    for _ in range(kills):
        began = time.monotonic()
        door.call("jobs.get", {"id": "1"})
        calls.append((time.monotonic() - began) * 1000)
    rare = [kill_once(door, IN_USE_S) for _ in range(kills)]
    often = [kill_once(door, 0) for _ in range(kills)]
    for name, what in BARE.items():
        compared[name] += bare(*what, half)
    door.close()
    print(f"{kills} kills, {BUILD.name}")
    medians = [row(name, times) for name, times in compared.items()]
    row("a call to the living actor", calls)
    for what, took in (("kill -9 to the first answered call", rare), ("the same, kill upon kill", often)):
        median = row(what, took)
        for name, base in zip(compared, medians):
            print(f"    that is {median / base:.1f} times {name}")


if __name__ == "__main__":
    main()
