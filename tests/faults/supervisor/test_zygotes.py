"""Later generations are forked from a process that is linked already; in any trouble, from their
program."""
import os
import signal
from pathlib import Path

from conftest import PROGRAM, ROOT, alive, fields_of, until

OLD_KERNEL = ROOT / "tests/support/old_kernel.py"


def zygote(tree, name="hh_client"):
    """The pid of the one that was started last."""
    return int(tree.all("zygote.start", name=name)[-1].pid)


def killed(tree, name="hh_client"):
    """Kills the child; the line of its next start."""
    tree.kill(name)
    start = tree.expect("child.start", name=name)
    tree.expect("child.up", name=name, generation=start.generation)
    return start


def killed_until(tree, by, name="hh_client"):
    """Kills it until its start is of that kind: a zygote needs a moment until it is linked."""
    starts = []
    until(lambda: starts.append(killed(tree, name)) or starts[-1].by == by)
    return starts[-1]


def test_the_first_generation_is_execed_and_later_ones_are_copies(actors):
    assert actors.all("child.start", name="hh_client")[0].by == "exec"
    pid = int(killed_until(actors, "zygote").pid)
    assert b"UGTJ_ACTOR_ZYGOTE=1" in Path(f"/proc/{zygote(actors)}/environ").read_bytes()
    assert os.readlink(f"/proc/{pid}/exe") == os.readlink(f"/proc/{zygote(actors)}/exe")
    assert actors.door.call("jobs.get", {"id": "1"})[0] == "reply"
    actors.stop()


def test_a_copy_is_the_supervisors_own_child_in_a_group_of_its_own_and_shows_its_name(actors):
    pid = int(killed_until(actors, "zygote").pid)
    _, parent, group = fields_of(pid)[:3]
    assert (int(parent), int(group)) == (actors.process.pid, pid)
    assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1] == b"hh_client"
    held = {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()}
    others = {os.readlink(one) for one in Path(f"/proc/{zygote(actors)}/fd").iterdir()}
    assert all(not one.startswith("socket:") for one in held & others), "nothing is shared but the log"
    actors.stop()


def test_a_killed_zygote_is_replaced(actors):
    killed_until(actors, "zygote")
    first = zygote(actors)
    os.kill(first, signal.SIGKILL)
    actors.expect("zygote.died", name="hh_client")
    assert killed(actors).by == "exec"
    killed_until(actors, "zygote")
    assert zygote(actors) != first
    actors.stop()


def test_a_zygote_that_is_stuck_is_not_waited_for(actors):
    killed_until(actors, "zygote")
    first = zygote(actors)
    os.kill(first, signal.SIGSTOP)
    until(lambda: fields_of(first)[0] == "T")
    killed_until(actors, "exec")  # a copy that was there before may be born first
    actors.expect("zygote.failed", anywhere=True, name="hh_client")
    until(lambda: not alive(first))
    assert actors.door.call("jobs.get", {"id": "1"})[0] == "reply"
    actors.stop()


def test_after_a_failed_start_the_program_is_read_anew(actors):
    killed_until(actors, "zygote")
    first = zygote(actors)
    actors.behave("no-init", "")
    actors.kill("hh_client")
    assert actors.expect("child.start", name="hh_client").by == "zygote"
    assert actors.expect("child.start", name="hh_client").by == "exec"
    until(lambda: not alive(first))
    actors.behave("no-init")
    actors.expect("child.up", name="hh_client", timeout=60)
    actors.stop()


def test_what_is_renewed_is_the_program_on_the_disk(actors):
    killed_until(actors, "zygote")
    first = zygote(actors)
    assert actors.door.call("tree.restart", {"name": "hh_client"})[0] == "reply"
    assert actors.expect("child.start", name="hh_client").by == "exec"
    actors.expect("tree.renewed")
    until(lambda: not alive(first))
    killed_until(actors, "zygote")
    actors.stop()


def test_a_program_that_is_none_is_left_alone(actors):
    actors.expect("zygote.died", anywhere=True, name="g")
    assert [killed(actors, "g").by for _ in range(3)] == ["exec"] * 3
    assert len(actors.all("zygote.start", name="g")) == 1
    actors.stop()


def test_one_that_is_killed_before_it_is_linked_is_replaced_too(start):
    tree = start("actors", ZMQ_PORT=0, LOG_LEVEL="debug")
    first = int(tree.expect("zygote.start", name="hh_client", anywhere=True).pid)
    os.kill(first, signal.SIGKILL)
    tree.up().expect("zygote.died", name="hh_client", pid=first, anywhere=True)
    killed_until(tree, "zygote")
    tree.stop()


def test_what_is_started_by_request_is_the_program_on_the_disk(actors):
    killed_until(actors, "zygote")
    first = zygote(actors)
    assert actors.door.call("tree.terminate_child", {"name": "hh_client"})[0] == "reply"
    assert actors.door.call("tree.restart_child", {"name": "hh_client"})[0] == "reply"
    assert actors.expect("child.start", name="hh_client").by == "exec"
    until(lambda: not alive(first))
    actors.stop()


def test_on_a_kernel_that_cannot_there_are_none(start, tmp_path):
    program = tmp_path / "test_tree"
    program.write_text(f'#!/bin/sh\nexec /usr/bin/python3 {OLD_KERNEL} {PROGRAM} "$@"\n')
    program.chmod(0o700)
    tree = start("actors", program=program, ZMQ_PORT=0, LOG_LEVEL="debug").up()
    tree.expect("zygote.died", anywhere=True, name="hh_client")
    assert [killed(tree).by for _ in range(3)] == ["exec"] * 3
    assert len(tree.all("zygote.start", name="hh_client")) == 1 and tree.all("zygote.failed") == []
    tree.stop()


def test_no_zygote_outlives_the_supervisor(actors):
    killed_until(actors, "zygote")
    pids = [int(e.pid) for e in actors.all("zygote.start")]
    assert len(pids) >= 3
    actors.process.kill()
    actors.process.wait()
    until(lambda: not any(alive(pid) for pid in pids), timeout=5)


def test_a_stop_takes_them_along_in_silence(actors):
    killed_until(actors, "zygote")
    pids = [int(e.pid) for e in actors.all("zygote.start")]
    actors.stop()
    assert not any(alive(pid) for pid in pids)
    assert actors.all("orphan.kill") == []
