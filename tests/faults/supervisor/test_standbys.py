"""A copy of the zygote is made ahead: nameless, and ready for all that needs no name."""
import os
import signal
import time
from pathlib import Path

import pytest

from conftest import alive, fields_of, until
from test_zygotes import killed, zygote

PROGRAM = "test_actor"


def standbys(tree):
    """The pids of those that are bound: of hh_client, the small actor."""
    pids = [int(path.name.partition(".")[2]) for path in tree.run_dir.glob("standby.*")]
    return [pid for pid in pids if alive(pid) and os.readlink(f"/proc/{pid}/exe").endswith(PROGRAM)]


def standby(tree, other_than=None):
    until(lambda: set(standbys(tree)) - {other_than})
    (pid,) = set(standbys(tree)) - {other_than}
    return pid


def sockets_of(tree, name):
    return sorted(path.name for path in tree.run_dir.glob(f"{name}.*"))


def test_the_standby_takes_the_place_of_the_dead(actors):
    first = standby(actors)
    start = killed(actors)
    assert (start.by, int(start.pid)) == ("zygote", first)
    assert actors.door.call("jobs.get", {"id": "1"})[0] == "reply"
    assert standby(actors, other_than=first) != first
    actors.stop()


def test_it_has_no_name_until_then_and_the_right_one_afterwards(actors):
    pid = standby(actors)
    _, parent, group = fields_of(pid)[:3]
    assert (int(parent), int(group)) == (actors.process.pid, pid)
    assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1] == b"standby"
    start = killed(actors)
    assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1] == b"hh_client"
    assert f"standby.{pid}" not in sockets_of(actors, "standby")
    assert sockets_of(actors, "hh_client") == [f"hh_client.{start.generation}"]
    actors.stop()


def test_it_is_no_child(actors):
    pid = standby(actors)
    kind, state = actors.door.call("tree.state")
    assert kind == "reply" and pid not in [child["pid"] for child in state["children"]]
    actors.stop()


def test_time_that_it_waited_does_not_count(actors):
    standby(actors)
    time.sleep(2)  # what passes is the point
    start = killed(actors)
    actors.expect("timer.fired", anywhere=True)
    until(lambda: [e for e in actors.all("timer.fired") if f"[{start.pid}." in e.line])
    fired = [e for e in actors.all("timer.fired") if f"[{start.pid}." in e.line]
    assert int(fired[0].after_ms) >= 490
    actors.stop()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_died_is_not_missed(actors, signum):
    pid = standby(actors)
    os.kill(pid, signum)
    actors.expect("standby.died", name="hh_client", pid=pid)
    until(lambda: f"standby.{pid}" not in sockets_of(actors, "standby"))
    assert killed(actors).by == "zygote"
    assert standby(actors) != pid
    actors.stop()


def test_one_that_is_stopped_is_given_no_name(actors):
    pid = standby(actors)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: fields_of(pid)[0] == "T")
    assert killed(actors).by == "exec"
    until(lambda: not alive(pid))
    until(lambda: f"standby.{pid}" not in sockets_of(actors, "standby"))
    actors.stop()


def test_one_whose_zygote_died_ends_with_it(actors):
    pid = standby(actors)
    os.kill(zygote(actors), signal.SIGKILL)
    actors.expect("zygote.died", name="hh_client")
    until(lambda: not alive(pid))
    assert killed(actors).by == "exec"
    assert standby(actors) != pid
    actors.stop()


def test_what_is_renewed_is_not_the_standby(actors):
    pid = standby(actors)
    assert actors.door.call("tree.restart", {"name": "hh_client"})[0] == "reply"
    assert actors.expect("child.start", name="hh_client").by == "exec"
    actors.expect("tree.renewed")
    until(lambda: not alive(pid))
    actors.stop()


def test_a_failed_start_of_it_is_followed_by_an_exec(actors):
    pid = standby(actors)
    actors.behave("no-init", "")
    actors.kill("hh_client")
    start = actors.expect("child.start", name="hh_client")
    assert (start.by, int(start.pid)) == ("zygote", pid)
    actors.expect("zygote.birth_failed", name="hh_client", generation=start.generation)
    assert actors.expect("child.start", name="hh_client").by == "exec"
    assert actors.expect("child.died", name="hh_client", next="retry").attempt == "1", "only this one counts"
    actors.behave("no-init")
    actors.expect("child.up", name="hh_client", timeout=60)
    actors.stop()


def test_one_that_is_killed_with_the_child_that_it_is_to_follow_is_no_failed_start(actors):
    for _ in range(10):
        pids = [actors.pid("hh_client"), standby(actors), zygote(actors)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        actors.expect("child.up", name="hh_client")
    assert actors.all("child.died", name="hh_client", next="retry") == []
    actors.stop()


def test_none_outlives_the_supervisor(actors):
    pid = standby(actors)
    actors.process.kill()
    actors.process.wait()
    until(lambda: not alive(pid), timeout=5)


def test_a_stop_takes_it_along_in_silence(actors):
    pid = standby(actors)
    actors.stop()
    assert not alive(pid)
    assert actors.all("standby.died") == actors.all("orphan.kill") == []
