"""The example of docs/examples/own_tree.c is what it says: the supervisor over another tree."""
import signal

from conftest import BUILD


def test_the_example_of_a_tree_of_ones_own_runs(start):
    tree = start(None, program=BUILD / "tests/supervisor/own_tree").up()
    tree.expect("child.up", name="worker:1", anywhere=True)
    tree.kill_and_wait("worker:1")
    tree.kill("clock", signal.SIGSTOP)
    assert "no heartbeat" in tree.expect("child.died", name="clock").reason
    tree.expect("child.up", name="clock", generation=2)
    tree.stop()
    assert tree.names("child.stopped") == ["worker:1", "clock"]
