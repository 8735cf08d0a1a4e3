"""Children that live and do not work, and children that break the treaty."""
import re
import signal
import time
from pathlib import Path

import pytest

from conftest import SANITIZED


def rss_kb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def expect_killed(tree, name, reason):
    killed = tree.expect("child.kill", name=name)
    assert re.fullmatch(reason, killed.reason), killed
    tree.behave(name)
    died = tree.expect("child.died", name=name)
    assert died.next == "restart" and died.reason == killed.reason
    tree.up()


@pytest.mark.parametrize("how", ["mute", "burn"])
def test_a_silent_child_is_killed_and_replaced(start, how):
    tree = start("watched", {"a": how})
    expect_killed(tree, "a", r"no heartbeat for [2-9]\d\d\d ms")
    tree.expect("child.up", name="a", generation=2)
    tree.stop()


def test_a_stopped_child_is_killed_and_replaced(start):
    tree = start("watched").up()
    tree.kill("a", signal.SIGSTOP)
    begin = time.monotonic()
    expect_killed(tree, "a", r"no heartbeat for [2-9]\d\d\d ms")
    assert time.monotonic() - begin > 1.9
    tree.stop()


def test_a_child_without_heartbeat_in_its_row_is_left_alone(start):
    tree = start("watched", {"b": "mute"}).up()
    tree.kill("a", signal.SIGSTOP)
    tree.expect("child.kill", name="a")
    time.sleep(1.5)  # b is looked at every 2.5 s
    assert tree.state("b") == "up" and tree.all("child.kill", name="b") == []
    tree.stop()


def test_nobody_is_blamed_for_our_own_sleep(start):
    tree = start("watched").up()
    tree.process.send_signal(signal.SIGSTOP)
    time.sleep(3)  # longer than the heartbeat's limit
    tree.process.send_signal(signal.SIGCONT)
    tree.kill_and_wait("b")
    assert tree.all("child.kill") == [] and tree.state("a") == "up", tree.text()
    tree.stop()


def test_nobody_is_blamed_when_all_slept(start):
    """The machine was suspended: whoever wakes first must give the others time."""
    tree = start("watched").up()
    tree.kill("a", signal.SIGSTOP)
    tree.process.send_signal(signal.SIGSTOP)
    time.sleep(3)  # longer than the heartbeat's limit
    tree.process.send_signal(signal.SIGCONT)
    tree.expect("loop.late")
    tree.kill("a", signal.SIGCONT)
    time.sleep(2.5)  # a whole limit more
    assert tree.all("child.kill") == [] and tree.state("a") == "up", tree.text()
    tree.stop()


@pytest.mark.parametrize("what, words", [
    ("size", "a packet of the wrong size"), ("version", "a packet of another version"),
    ("type", "a packet of a type that it may not send"), ("name", "a text without an end")])
def test_a_child_that_sends_garbage_is_killed(start, what, words):
    tree = start("one_for_one", {"b": f"garbage={what}"})
    expect_killed(tree, "b", f"broke the treaty: sent {words}")
    tree.stop()


def test_a_child_that_closes_its_control_socket_is_killed(start):
    tree = start("one_for_one", {"b": "close-control"})
    expect_killed(tree, "b", "closed its control socket")
    tree.stop()


def test_a_child_that_talks_without_end_does_not_keep_us_from_the_others(start):
    tree = start("watched", {"b": "spam"}).up()
    for _ in range(5):
        tree.kill_and_wait("a")
    assert tree.state("b") == "up"
    tree.stop()


def test_a_child_that_asks_and_does_not_read_costs_nothing_but_itself(start):
    tree = start("watched", {"a": "ask-deaf"})
    expect_killed(tree, "a", r"no heartbeat for [2-9]\d\d\d ms")
    tree.stop()


def test_a_monitor_that_does_not_read_neither_blocks_nor_grows_us(start):
    tree = start("one_for_one", {"b": "deaf=a"}, MAX_RESTARTS=1000, MAX_SECONDS=60).up()
    for _ in range(20):
        tree.kill_and_wait("a")
    before = rss_kb(tree.process.pid)
    for _ in range(200):
        tree.kill_and_wait("a")
    assert SANITIZED or rss_kb(tree.process.pid) - before < 256, "kB"
    assert tree.state("b") == "up"
    tree.stop()


def test_a_child_that_outgrows_its_memory_is_killed(start):
    tree = start("narrow", {"a": "hog=100"})
    killed = tree.expect("child.kill", name="a")
    assert re.fullmatch(r"holds 1\d\d MB of memory, 64 are allowed", killed.reason)
    tree.behave("a")
    tree.expect("child.up", name="a", generation=2)
    tree.stop()


def test_degraded_is_a_state_and_no_death(start):
    tree = start("watched", {"a": "degraded=the database is away"}).up()
    row = tree.until_state("a", "degraded")
    assert row.reason == b"the database is away"
    time.sleep(1.5)  # several heartbeats say so
    tree.behave("a")
    tree.expect("child.well_again", name="a")
    assert tree.state("a") == "up" and tree.status()["a"].child.restarts == 0
    assert len(tree.all("child.degraded")) == 1, "said once"
    tree.stop()


def test_a_child_of_a_row_without_control_is_refused(start):
    tree = start("watched", {"b": "ask-deaf"}).up()
    assert tree.expect("request.refused", name="b")
    tree.stop()
