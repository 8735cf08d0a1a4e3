"""Anything at any time: whatever happened, the tree comes to rest as it should be, and stops clean."""
import os
import random
import signal

import pytest

from conftest import (DELETE_CHILD, KILL_CHILD, RENEW_CHILD, RESTART_CHILD, START_CHILD, STATES,
                      TERMINATE_CHILD, until)

BEHAVIOURS = [None, None, None, "exit=1", "ready-exit=1", "garbage=size", "close-control", "mute",
              "ignore-term", "term-exit=4"]


NAMES = {"one_for_all": ["a", "b", "c"], "rest_for_one": ["a", "b", "c"], "watched": ["a", "b"],
         "dynamic": ["w:0", "w:1", "w:2", "w:3"]}


REQUESTS = {"begin": START_CHILD, "end": TERMINATE_CHILD, "again": RESTART_CHILD,
            "forget": DELETE_CHILD, "renew": RENEW_CHILD}


def signal_to(pid, signum):
    if pid == 0:
        return  # it has no process just now
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        pass


def wreak_havoc(tree, names, dice):
    name = dice.choice(names)
    tree.behave(name, dice.choice(BEHAVIOURS))
    row = tree.status().get(name)
    act = dice.choice(["kill", "kill", "stop", "ask", *REQUESTS])
    if act == "kill" and row:
        signal_to(row.child.pid, signal.SIGKILL)
    elif act == "stop" and row:
        signal_to(row.child.pid, signal.SIGSTOP)
    elif act == "ask":
        tree.request(KILL_CHILD, dice.choice(names + ["group", "workers"]))
    elif act in REQUESTS:
        tree.request(REQUESTS[act], name)


def all_up(tree, names):
    """Helps those that still suffer from what they were told before."""
    rows = tree.status()
    for name in names:
        state = STATES[rows[name].child.state] if name in rows else None
        if state in (None, "quarantined"):
            tree.request(START_CHILD, name)
        elif state == "stopped":
            tree.request(START_CHILD if rows[name].child.deleted else RESTART_CHILD, name)
        else:
            signal_to(rows[name].child.pid,
                      signal.SIGKILL if state == "stopping" else signal.SIGCONT)
    return all(name in rows and STATES[rows[name].child.state] == "up" for name in names)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("shape", NAMES)
def test_after_the_storm_all_is_well(start, shape, seed):
    dice = random.Random(f"{shape} {seed}")
    tree = start(shape, MAX_RESTARTS=100000, MAX_SECONDS=1).up()
    for _ in range(60):
        wreak_havoc(tree, NAMES[shape], dice)
    for name in NAMES[shape]:
        tree.behave(name)
    until(lambda: all_up(tree, NAMES[shape]))
    for name in NAMES[shape]:  # one more time for those that were told to misbehave at the stop
        signal_to(tree.status()[name].child.pid, signal.SIGKILL)
    until(lambda: all_up(tree, NAMES[shape]))
    tree.stop()
