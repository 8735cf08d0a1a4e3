"""Who is restarted with whom, and when a supervisor gives up."""
import pytest

from conftest import until


def since(tree, mark):
    """Starts and stops after that line of the log."""
    lines = tree.events[tree.events.index(mark) + 1:]
    return [(e.event, e.name) for e in lines if e.event in ("child.stopped", "child.up")]


def kill(tree, name):
    tree.kill(name)
    return tree.expect("child.died", name=name, next="restart")


def test_one_for_all_stops_all_in_reverse_order_and_starts_all_again(start):
    tree = start("one_for_all").up()
    z = tree.pid("z")
    died = kill(tree, "b")
    tree.expect("child.up", name="c", generation=2)
    assert since(tree, died) == [
        ("child.stopped", "c"), ("child.stopped", "t"), ("child.stopped", "a"),
        ("child.up", "a"), ("child.up", "b"), ("child.up", "c")]
    assert tree.state("t") == "stopped", "a temporary child is not started again"
    assert tree.pid("z") == z, "the group is a world of its own"
    assert tree.status()["b"].child.supervisor == b"group"
    tree.stop()


@pytest.mark.parametrize("victim, stopped, started", [
    ("a", ["c", "b"], ["a", "b", "c"]), ("b", ["c"], ["b", "c"]), ("c", [], ["c"])])
def test_rest_for_one_restarts_those_that_started_later(start, victim, stopped, started):
    tree = start("rest_for_one").up()
    died = kill(tree, victim)
    tree.expect("child.up", name="c")
    assert since(tree, died) == [("child.stopped", name) for name in stopped] + \
        [("child.up", name) for name in started]
    assert tree.pid("z") in tree.children()
    tree.stop()


def test_rest_for_one_widens_when_an_earlier_one_dies_meanwhile(start):
    tree = start("rest_for_one", {"c": "ignore-term"}).up()
    kill(tree, "b")  # c takes its time to stop
    died = kill(tree, "a")
    tree.behave("c")
    tree.kill("c")
    tree.expect("child.up", name="c", generation=2)
    assert since(tree, died) == [("child.stopped", "c"), ("child.up", "a"), ("child.up", "b"),
                                 ("child.up", "c")]
    tree.stop()


def test_a_death_during_the_start_of_a_group_starts_it_again(start):
    tree = start("one_for_all", {"c": "never-ready"})
    until((tree.run_dir / "c.1").exists)  # it has read what it is told
    tree.behave("c")
    died = kill(tree, "a")
    tree.up()
    assert since(tree, died)[:6] == [
        ("child.stopped", "c"), ("child.stopped", "t"), ("child.stopped", "b"),
        ("child.up", "a"), ("child.up", "b"), ("child.up", "c")]
    tree.stop()


def test_a_sibling_that_dies_while_it_is_to_be_stopped_counts_once(start):
    tree = start("one_for_all", {"c": "ignore-term"}).up()
    kill(tree, "a")
    tree.kill("b")
    tree.expect("child.stopped", name="b")
    tree.behave("c")
    tree.kill("c")
    tree.expect("child.up", name="c", generation=2)
    assert len(tree.all("child.died")) == 1
    tree.stop()


def test_within_the_intensity_it_goes_on(start):
    tree = start("one_for_one", MAX_RESTARTS=3, MAX_SECONDS=60).up()
    for attempt in (1, 2, 3):
        kill(tree, "b")
        assert tree.all("child.died", name="b")[-1].attempt == f"{attempt} of 3"
        tree.expect("child.up", name="b")
    tree.stop()


def test_one_death_more_and_the_root_gives_up_in_order(start):
    tree = start("one_for_one", MAX_RESTARTS=3, MAX_SECONDS=60).up()
    for name in ("a", "b", "c"):
        kill(tree, name)
        tree.expect("child.up", name=name)
    tree.kill("b")
    tree.wait(75)
    assert tree.all("child.died", name="b", next="supervisor gives up")
    assert tree.names("child.stopped") == ["c", "a", "probe"]


def test_where_no_restart_is_allowed_the_first_death_ends_it(start):
    tree = start("one_for_one", MAX_RESTARTS=0, MAX_SECONDS=60).up()
    tree.kill("b")
    tree.wait(75)


def test_a_normal_end_of_a_permanent_child_counts_like_any_death(start):
    tree = start("one_for_one", {"b": "ready-exit=0"}, MAX_RESTARTS=2, MAX_SECONDS=60)
    tree.wait(75)
    assert [e.attempt for e in tree.all("child.died", next="restart")] == ["1 of 2", "2 of 2"]


def test_an_end_that_is_not_followed_by_a_restart_does_not_count(start):
    tree = start("types", MAX_RESTARTS=1, MAX_SECONDS=60).up()
    tree.kill("temporary")
    tree.expect("child.died", name="temporary", next="none")
    kill(tree, "transient")
    tree.expect("child.up", name="transient")
    tree.stop()


def test_deaths_outside_the_window_are_forgotten(start):
    tree = start("one_for_one", MAX_RESTARTS=1, MAX_SECONDS=1).up()
    import time
    for _ in range(3):
        at = kill(tree, "b").at
        tree.expect("child.up", name="b")
        time.sleep(max(0, at + 1.1 - time.monotonic()))  # the window itself
    tree.stop()


def test_failing_starts_do_not_count(start):
    tree = start("one_for_one", {"b": "exit=1"}, MAX_RESTARTS=1, MAX_SECONDS=60)
    tree.expect("child.died", name="b", attempt=4)
    tree.behave("b")
    tree.up().stop()


def test_past_its_intensity_a_supervisor_dies_and_is_restarted_by_its_parent(start):
    tree = start("nested").up()
    z = tree.pid("z")
    kill(tree, "a")
    tree.expect("child.up", name="a", generation=2)
    tree.kill("a")
    tree.expect("child.died", name="a", next="supervisor gives up")
    tree.expect("supervisor.gives_up", name="inner")
    tree.expect("child.stopped", name="b")
    died = tree.expect("child.died", name="inner", next="restart", attempt="1 of 1")
    assert died.reason == "more than 1 restarts within 60000 ms"
    tree.expect("child.up", name="b", generation=2)
    assert tree.pid("z") == z
    inner = tree.status()["inner"]
    assert inner.child.is_supervisor == 1 and inner.child.restarts == 1
    assert tree.state("inner") == "up"
    kill(tree, "a")  # the new life has a new budget
    tree.expect("child.up", name="a")
    tree.kill("b")
    tree.wait(75)
    assert tree.all("child.died", name="inner", next="supervisor gives up")
