"""Everybody can monitor anybody; and what the tree answers to questions."""
import errno
import signal
import time

import pytest

from conftest import KILL_CHILD, NEXT_CHILD


def test_who_monitors_hears_at_once_what_holds(start):
    tree = start("one_for_one", {"b": "never-ready"})
    tree.expect("child.start", name="b")
    assert tree.monitor("a") == ("up", 1, "")
    assert tree.monitor("b") == ("down", 0, "is not up yet")
    assert tree.monitor("nobody") == ("down", 0, "is not known")
    tree.stop()


def test_down_and_up_reach_the_monitor_within_milliseconds(start):
    tree = start("one_for_one").up()
    tree.monitor("b")
    took = []
    for generation in range(1, 11):
        begin = time.monotonic()
        tree.kill("b")
        assert tree.hear("b") == ("down", generation, "killed by SIGKILL")
        took.append((time.monotonic() - begin) * 1000)
        assert tree.hear("b") == ("up", generation + 1, "")
        tree.expect("child.up", name="b", generation=generation + 1)
    print(f"kill to DOWN at a monitor: median {sorted(took)[5]:.2f} ms")
    assert sorted(took)[5] < 500
    tree.stop()


def test_asked_twice_it_is_told_twice_but_news_come_once(start):
    tree = start("one_for_one").up()
    assert tree.monitor("b") == ("up", 1, "")
    assert tree.monitor("b") == ("up", 1, "")
    tree.kill("b")
    assert tree.hear("b") == ("down", 1, "killed by SIGKILL")
    assert tree.hear("b") == ("up", 2, "")
    tree.status()
    assert tree.told == []
    tree.stop()


def test_a_failed_start_is_no_news(start):
    tree = start("one_for_one").up()
    tree.monitor("b")
    tree.behave("b", "exit=1")
    tree.kill("b")
    assert tree.hear("b") == ("down", 1, "killed by SIGKILL")
    tree.expect("child.died", name="b", attempt=2)
    tree.behave("b")
    kind, generation, _ = tree.hear("b")
    assert kind == "up" and generation >= 4
    tree.stop()


@pytest.mark.parametrize("fits_last", ["UP", "DOWN"])
def test_news_for_a_monitor_that_sleeps_are_coalesced(start, fits_last):
    """However often b comes and goes: its last generation is told, and no UP without the DOWN."""
    tree = start("one_for_one", MAX_RESTARTS=1000, MAX_SECONDS=60).up()
    tree.monitor("b")
    tree.monitor("a")
    tree.kill("probe", signal.SIGSTOP)
    if fits_last == "UP":
        tree.behave("a", "exit=1")  # its DOWN moves those of b by one place
        tree.kill("a")
        tree.expect("child.died", name="a")
    for _ in range(200):
        tree.kill_and_wait("b")
    tree.kill("probe", signal.SIGCONT)
    heard = []
    while not heard or heard[-1][:2] != ("up", 201):
        heard.append(tree.hear("b"))
    assert len(heard) < 400, "the socket holds fewer, so some must have been left out"
    kinds = [kind for kind, _, _ in heard]
    assert kinds == ["down", "up"] * (len(kinds) // 2)
    believed = 1
    for kind, generation, _ in heard:
        if kind == "down":
            assert generation == believed
        else:
            assert generation > believed
            believed = generation
    tree.stop()


def test_the_tree_can_be_read_child_by_child(start):
    tree = start("one_for_all").up()
    rows = tree.status()
    assert list(rows) == ["probe", "group", "a", "b", "t", "c", "z"]
    group, a = rows["group"].child, rows["a"].child
    assert (group.is_supervisor, group.pid, group.supervisor) == (1, 0, b"")
    assert (a.is_supervisor, a.pid, a.supervisor) == (0, tree.pid("a"), b"group")
    assert a.generation == rows["a"].generation == 1 and a.restarts == 0
    assert 0 < a.up_since_ms <= time.monotonic_ns() // 1000000
    tree.kill("z")
    tree.expect("child.up", name="z")
    z = tree.status()["z"]
    assert (z.child.generation, z.child.restarts, z.reason) == (2, 1, b"killed by SIGKILL")
    assert tree.request(NEXT_CHILD, value=-1).result == -errno.ENOENT
    tree.stop()


def test_kill_child_is_a_death_like_any_other(start):
    tree = start("one_for_one").up()
    assert tree.ask(KILL_CHILD, "b") == 0
    assert tree.expect("child.died", name="b", next="restart").reason == \
        "killed by SIGKILL (asked by probe)"
    tree.expect("child.up", name="b")
    assert tree.ask(KILL_CHILD, "nobody") == -errno.ENOENT
    assert tree.ask(KILL_CHILD, "one_for_one") == -errno.ENOENT, "the root is no child"
    tree.behave("b", "exit=1")
    tree.ask(KILL_CHILD, "b")
    tree.until_state("b", "backoff")
    assert tree.ask(KILL_CHILD, "b") == -errno.ESRCH
    tree.stop()


def test_killing_a_supervisor_empties_it_before_it_is_restarted(start):
    tree = start("rest_for_one", {"a": "ignore-term"}).up()
    tree.behave("a")
    assert tree.ask(KILL_CHILD, "group") == 0
    died = tree.expect("child.died", name="group", next="restart")
    assert died.reason == "killed by SIGKILL (asked by probe)"
    assert sorted(tree.names("child.stopped")) == ["a", "b", "c"]
    tree.expect("child.up", name="c", generation=2)
    assert tree.state("group") == "up"
    tree.stop()
