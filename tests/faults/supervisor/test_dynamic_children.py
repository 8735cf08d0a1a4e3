"""Children made from a template: started and ended by request, put aside when they keep dying."""
import errno

import pytest

from conftest import KILL_CHILD, START_CHILD, TERMINATE_CHILD


@pytest.fixture
def tree(start):
    return start("dynamic").up()


def up(tree, name):
    assert tree.ask(START_CHILD, name) == 0
    return tree.expect("child.up", name=name)


def test_a_child_is_started_by_request_and_knows_its_argument(tree, tmp_path):
    tree.behave("w:x", f"env={tmp_path}/env")
    up(tree, "w:x")
    assert "UGTJ_ACTOR_ARGUMENT=x" in (tmp_path / "env").read_text().splitlines()
    assert tree.status()["w:x"].child.supervisor == b"workers"
    assert tree.ask(START_CHILD, "w:x") == -errno.EEXIST
    tree.stop()


@pytest.mark.parametrize("name, code", [
    ("v:x", errno.ENOENT), ("w", errno.EINVAL), ("w:", errno.EINVAL), ("w:../x", errno.EINVAL),
    ("w:a b", errno.EINVAL), ("", errno.ENOENT)])
def test_bad_names_are_refused(tree, name, code):
    assert tree.ask(START_CHILD, name) == -code
    tree.stop()


def test_no_more_than_so_many(tree):
    for i in range(4):
        assert tree.ask(START_CHILD, f"w:{i}") == 0
    assert tree.ask(START_CHILD, "w:4") == -errno.ENOSPC
    assert tree.ask(TERMINATE_CHILD, "w:0") == 0
    tree.until_state("w:0", None)
    assert tree.ask(START_CHILD, "w:4") == 0
    tree.stop()


def test_only_so_many_start_at_once(tree):
    for i in range(4):
        tree.behave(f"w:{i}", "never-ready")
        tree.ask(START_CHILD, f"w:{i}")
    states = [tree.state(f"w:{i}") for i in range(4)]
    assert states == ["starting", "starting", "waiting", "waiting"]
    tree.ask(TERMINATE_CHILD, "w:2")
    tree.until_state("w:2", None)
    tree.ask(TERMINATE_CHILD, "w:0")
    tree.until_state("w:3", "starting")
    tree.behave("w:1")
    tree.kill("w:1")
    tree.expect("child.up", name="w:1")
    tree.stop()


def test_terminate_stops_in_order_and_forgets(tree):
    up(tree, "w:x")
    tree.monitor("w:x")
    assert tree.ask(TERMINATE_CHILD, "w:x") == 0
    assert tree.expect("child.stopped", name="w:x").reason == "exit 0 (normal)"
    assert tree.hear("w:x") == ("down", 1, "exit 0 (normal)")
    assert "w:x" not in tree.status()
    assert tree.ask(TERMINATE_CHILD, "w:x") == -errno.ENOENT
    tree.stop()


def test_no_generation_is_used_twice(tree):
    up(tree, "w:x")
    tree.kill_and_wait("w:x")
    tree.ask(TERMINATE_CHILD, "w:x")
    tree.until_state("w:x", None)
    assert int(up(tree, "w:x").generation) == 3
    assert tree.status()["w:x"].child.restarts == 0, "but it is a new child"
    tree.stop()


def test_started_again_while_it_stops_it_comes_back(tree):
    tree.behave("w:x", "ignore-term")
    up(tree, "w:x")
    assert tree.ask(TERMINATE_CHILD, "w:x") == 0
    assert tree.state("w:x") == "stopping"
    assert tree.ask(START_CHILD, "w:x") == 0
    tree.behave("w:x")
    tree.kill("w:x")
    tree.expect("child.stopped", name="w:x")
    tree.expect("child.up", name="w:x", generation=2)
    tree.stop()


def test_one_that_ends_normally_leaves_the_tree(tree):
    tree.behave("w:x", "ready-exit=0")
    tree.ask(START_CHILD, "w:x")
    tree.expect("child.died", name="w:x", next="none")
    assert "w:x" not in tree.status()
    tree.stop()


def test_one_that_keeps_dying_is_put_aside_alone(tree):
    up(tree, "w:good")
    good = tree.pid("w:good")
    up(tree, "w:bad")
    for attempt in (1, 2):
        tree.kill("w:bad")
        tree.expect("child.died", name="w:bad", attempt=f"{attempt} of 2")
        tree.expect("child.up", name="w:bad")
    tree.kill("w:bad")
    tree.expect("child.died", name="w:bad", next="quarantine")
    assert tree.expect("child.quarantined", name="w:bad").why == "dies too often"
    assert tree.state("w:bad") == "quarantined"
    assert tree.pid("w:good") == good and tree.state("workers") == "up"
    assert tree.ask(KILL_CHILD, "w:bad") == -errno.ESRCH
    up(tree, "w:bad")
    tree.kill("w:bad")
    tree.expect("child.died", name="w:bad", attempt="1 of 2")
    tree.expect("child.up", name="w:bad")
    tree.stop()


def test_one_that_never_starts_is_put_aside_after_so_many_tries(tree):
    tree.behave("w:x", "exit=1")
    tree.ask(START_CHILD, "w:x")
    for attempt in (1, 2):
        tree.expect("child.died", name="w:x", next="retry", attempt=f"{attempt} of 3")
    tree.expect("child.died", name="w:x", next="quarantine", attempt="3 of 3")
    assert tree.expect("child.quarantined", name="w:x").why == "fails to start"
    tree.behave("w:x")
    up(tree, "w:x")
    tree.stop()


def test_wrong_configuration_puts_aside_too(tree):
    tree.behave("w:x", "exit=78")
    tree.ask(START_CHILD, "w:x")
    tree.expect("child.died", name="w:x", next="none: wrong configuration")
    tree.until_state("w:x", "quarantined")
    assert tree.state("z") == "up"
    tree.stop()


def test_their_deaths_do_not_count_for_the_root(tree):
    for i in range(3):
        up(tree, f"w:{i}")
        tree.kill_and_wait(f"w:{i}")
    tree.kill_and_wait("z")
    tree.stop()


def test_they_stop_all_together(tree):
    tree.behave("w:2", "ignore-term")
    for i in range(3):
        up(tree, f"w:{i}")
    tree.process.terminate()
    tree.expect("child.stopped", anywhere=True, name="w:0")
    tree.expect("child.stopped", anywhere=True, name="w:1")
    assert tree.names("child.stopped")[0] == "z" and "w:2" not in tree.names("child.stopped")
    tree.kill("w:2")
    tree.wait(0)
    assert tree.names("child.stopped")[3:] == ["w:2", "probe"]


def test_a_killed_dynamic_supervisor_comes_back_with_its_children(tree):
    for i in range(3):
        up(tree, f"w:{i}")
    assert tree.ask(KILL_CHILD, "workers") == 0
    tree.expect("child.died", name="workers", next="restart")
    for i in range(3):
        tree.expect("child.up", anywhere=True, name=f"w:{i}", generation=2)
    tree.stop()


def test_nothing_is_started_during_the_stop(tree):
    tree.behave("z", "ignore-term")
    tree.kill("z")
    tree.expect("child.up", name="z")
    tree.request(START_CHILD, "w:0")
    tree.process.terminate()
    tree.expect("tree.stopping")
    assert tree.ask(START_CHILD, "w:1") == -errno.ESHUTDOWN
    tree.kill("z")
    tree.wait(0)
