"""One worker after the other is stopped in order and started again, as the program that is installed
now."""
import errno
import os
import shutil
import subprocess
import threading

from conftest import BUILD, PROGRAM, RENEW_CHILD, START_CHILD, WAIT, Door, until


def renewals(tree):
    """What happened since the roll began, in order."""
    first = next(i for i, e in enumerate(tree.events) if e.event == "child.renew")
    return [(e.event, e.name) for e in tree.events[first:]
            if e.event in ("child.renew", "child.stopped", "child.up")]


def test_all_workers_are_renewed_in_start_order_one_at_a_time(start):
    tree = start("dynamic", MAX_RESTARTS=1, MAX_SECONDS=60).up()
    tree.ask(START_CHILD, "w:x", WAIT)
    tree.send(RENEW_CHILD)
    tree.expect("tree.renewed")
    assert renewals(tree) == [(event, name) for name in ("probe", "w:x", "z")
                              for event in ("child.renew", "child.stopped", "child.up")]
    assert all(e.reason == "exit 0 (normal)" for e in tree.all("child.stopped"))
    assert tree.all("child.died") == [], "no restart is counted"
    tree.connection = None
    tree.kill_and_wait("z")
    assert tree.status()["z"].child.generation == 3
    tree.stop()


def test_one_worker_alone_is_renewed(start):
    tree = start("one_for_all", MAX_RESTARTS=1, MAX_SECONDS=60).up()
    for generation in (2, 3, 4):
        assert tree.ask(RENEW_CHILD, "b") == 0
        tree.expect("child.up", name="b", generation=generation)
        tree.expect("tree.renewed")
    assert set(tree.names("child.stopped")) == {"b"}, "the strategy has no part in it"
    tree.stop()


def test_a_newly_installed_program_comes_into_use(start, tmp_path):
    for name in ("test_tree", "test_child"):
        shutil.copy(PROGRAM.parent / name, tmp_path / name)
    tree = start("one_for_one", program=tmp_path / "test_tree").up()
    shutil.copy(PROGRAM.parent / "test_child", tmp_path / "new")
    os.rename(tmp_path / "new", tmp_path / "test_child")
    installed = (tmp_path / "test_child").stat().st_ino

    def running(name):
        return os.stat(f"/proc/{tree.pid(name)}/exe").st_ino
    assert running("b") != installed
    tree.send(RENEW_CHILD)
    tree.expect("tree.renewed")
    assert [running(name) for name in "abc"] == [installed] * 3
    tree.stop()


def test_a_program_that_does_not_start_ends_it_and_the_others_are_left(start):
    tree = start("one_for_one").up()
    tree.behave("b", "exit=71")
    tree.send(RENEW_CHILD)
    failed = tree.expect("tree.renew_failed")
    assert (failed.name, failed.why) == ("b", "exit 71 (the world failed it)")
    tree.connection = None
    assert [tree.status()[name].child.generation for name in "ac"] == [2, 1]
    assert tree.ask(RENEW_CHILD, "c") == 0, "and a new one can begin"
    tree.behave("b")
    tree.expect("child.up", name="b", anywhere=True)
    tree.stop()


def test_a_worker_that_does_not_stop_in_time_is_killed_and_started(start):
    tree = start("stubborn_too", {"a": "ignore-term"}).up()
    assert tree.ask(RENEW_CHILD, "a") == 0
    assert tree.expect("child.stopped", name="a").reason == "did not stop within 300 ms"
    tree.behave("a")
    tree.expect("child.up", name="a", generation=2)
    tree.stop()


def test_what_cannot_be_renewed_is_refused(start):
    tree = start("one_for_all").up()
    assert tree.ask(RENEW_CHILD, "group") == -errno.EINVAL
    assert tree.ask(RENEW_CHILD, "nobody") == -errno.ENOENT
    tree.behave("z", "exit=1")
    tree.kill("z")
    tree.until_state("z", "backoff")
    assert tree.ask(RENEW_CHILD, "z") == -errno.ESRCH
    tree.behave("a", "ignore-term")
    tree.kill("a")
    tree.expect("child.up", name="a")
    assert tree.ask(RENEW_CHILD, "a") == 0
    assert tree.ask(RENEW_CHILD, "b") == -errno.EBUSY
    tree.behave("a")
    tree.kill("a")
    tree.expect("tree.renewed")
    tree.stop()


def test_a_stop_during_it_is_in_order(start):
    tree = start("one_for_one", {"b": "ignore-term"}).up()
    assert tree.ask(RENEW_CHILD, "b") == 0
    tree.until_state("b", "stopping")
    tree.process.terminate()
    tree.expect("tree.stopping")
    tree.kill("b")
    tree.wait(0)
    assert tree.names("child.start").count("b") == 1


def test_a_group_that_is_restarted_during_it_starts_each_once(start):
    tree = start("one_for_all", {"b": "ignore-term"}).up()
    assert tree.ask(RENEW_CHILD, "b") == 0
    tree.until_state("b", "stopping")
    tree.kill("a")
    tree.expect("child.died", name="a")
    tree.behave("b")
    tree.kill("b")
    tree.expect("child.up", name="c", generation=2)
    assert tree.names("child.start").count("b") == 2
    assert tree.ask(RENEW_CHILD, "b") == 0, "the roll is over"
    tree.stop()


def test_who_calls_all_the_time_gets_every_answer(actors):
    """Calls to hh_client through the door, while hh_client is renewed again and again."""
    answers, ending = [], threading.Event()

    def call_on():
        while not ending.is_set():
            answers.append(actors.door.call("jobs.get", {"id": "1"}, timeout=20)[0])
    caller = threading.Thread(target=call_on)
    caller.start()
    other = Door(int((actors.run_dir / "zmq_port").read_text()))
    for generation in range(2, 22):
        assert other.call("tree.restart", {"name": "hh_client"}, timeout=20)[0] == "reply"
        actors.expect("child.up", name="hh_client", generation=generation, anywhere=True)
        seen = len(answers)
        until(lambda n=seen: len(answers) > n)
    ending.set()
    caller.join(30)
    other.close()
    assert set(answers) == {"reply"} and len(answers) >= 20
    assert actors.all("child.died") == []
    actors.stop()


def test_ugtj_restart_says_who_was_restarted(actors):
    def ugtj(*words):
        return subprocess.run([str(BUILD / "ugtj"), "restart", *words], capture_output=True, text=True,
                              cwd=actors.folder, timeout=60,
                              env={**os.environ, "ZMQ_PORT": "0", "RUN_DIR": str(actors.run_dir)})
    done = ugtj()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "restarting 4, one after the other"
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == \
        ["telemetry", "hh_client", "door", "g"]
    assert ugtj("hh_client").stdout.splitlines()[1].startswith("hh_client restarted, pid ")
    actors.behave("g", "exit=1")
    failed = ugtj("g")
    assert failed.returncode == 69 and "g does not start: exit 1" in failed.stderr
    actors.stop()
