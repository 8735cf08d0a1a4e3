"""Start in order, restart by type, stop in reverse order."""
import os
import re
import signal
import socket
import time

import pytest

from conftest import alive, stat_of, until


def test_children_start_in_order_each_after_the_one_before_is_ready(start):
    tree = start("one_for_one").up()
    order = [(e.event, e.name) for e in tree.events if e.event in ("child.start", "child.up")]
    assert order == [(event, name) for name in ("probe", "a", "b", "c")
                     for event in ("child.start", "child.up")]
    tree.stop()


def test_children_stop_in_reverse_order_each_after_the_one_before_has_stopped(start):
    tree = start("one_for_all", {"c": "term-exit=3"}).up()
    tree.stop()
    assert tree.names("child.stopped") == ["z", "c", "t", "b", "a", "probe"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_both_stop_signals_end_it_with_0(start, signum):
    start("one_for_one").up().stop(signum)


def test_sighup_is_ignored(start):
    tree = start("one_for_one").up()
    tree.process.send_signal(signal.SIGHUP)
    tree.kill_and_wait("a")
    tree.stop()


def test_a_killed_child_is_replaced_and_its_siblings_live_on(start):
    tree = start("one_for_one").up()
    others = {name: tree.pid(name) for name in ("a", "c")}
    tree.kill("b")
    died = tree.expect("child.died", name="b")
    assert died.reason == "killed by SIGKILL" and died.next == "restart"
    assert tree.expect("child.up", name="b").generation == "2"
    assert {name: tree.pid(name) for name in others} == others
    tree.stop()


def test_a_killed_child_is_back_within_milliseconds(start):
    tree = start("one_for_one").up()
    took = []
    for _ in range(20):
        begin = time.monotonic()
        tree.kill("b")
        tree.expect("child.died", name="b")
        took.append((tree.expect("child.up", name="b").at - begin) * 1000)
    print(f"kill to ready: median {sorted(took)[10]:.1f} ms")
    assert sorted(took)[10] < 1000
    tree.stop()


# How it dies: what it is told, and what is said of it.
WAYS = {"normally": ("ready-exit=0", r"exit 0 \(normal\)"),
        "with a code": ("ready-exit=70", r"exit 70 \(panic\)"),
        "of a signal": ("ready-signal=10", "killed by SIGUSR1"),
        "of a kill from outside": (None, "killed by SIGKILL"),
        "of silence": ("mute", r"no heartbeat for \d+ ms"),
        "of its size": ("hog=100", r"holds \d+ MB of memory, 64 are allowed")}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["permanent", "transient", "temporary"])
def test_restart_type_decides_who_comes_back(start, kind, way):
    comes_back = kind == "permanent" or (kind == "transient" and way != "normally")
    words, reason = WAYS[way]
    tree = start("types", {kind: words} if words else {})
    if words is None:
        tree.up().kill(kind)
    died = tree.expect("child.died", name=kind)
    tree.behave(kind)
    assert died.next == ("restart" if comes_back else "none")
    assert re.fullmatch(reason, died.reason), died
    tree.up()
    tree.until_state(kind, "up" if comes_back else "stopped")
    tree.stop()


def test_a_failing_start_backs_off_and_holds_up_only_the_first_start(start):
    tree = start("one_for_one", {"b": "exit=71"}, MAX_RESTARTS=1, MAX_SECONDS=60)
    for attempt in (1, 2, 3):
        died = tree.expect("child.died", name="b", attempt=attempt)
        assert died.next == "retry" and died.reason == "exit 71 (the world failed it)"
        base = 100 * 2 ** (attempt - 1)
        assert base / 2 <= int(died.in_ms) <= base * 1.5
        again = tree.expect("child.start", name="b")
        assert again.at - died.at >= int(died.in_ms) / 1000 - 0.05
    assert "c" not in tree.names("child.start"), "those after it wait"
    tree.behave("b")
    tree.expect("child.up", name="b")
    tree.up()
    tree.behave("b", "exit=1")
    tree.kill("b")
    tree.expect("child.died", name="b", attempt=1, next="retry")
    assert tree.state("c") == "up", "later on nobody waits for it"
    tree.stop()


def test_failed_starts_are_forgotten_once_it_was_up(start):
    tree = start("one_for_one", {"b": "exit=1"})
    tree.expect("child.died", name="b", attempt=2)
    tree.behave("b")
    tree.up()
    tree.behave("b", "exit=1")
    tree.kill("b")
    tree.expect("child.died", name="b", next="restart")
    assert tree.expect("child.died", name="b", next="retry").attempt == "1"
    tree.stop()


def test_last_words_are_heard(start):
    """READY and the death are found at once, with news that the child never read: it was up."""
    tree = start("one_for_one", {"b": "last-words=a"})
    tree.expect("child.start", name="b")
    until(lambda: stat_of(tree.process.pid) == "T" and not alive(tree.pid("b")))
    tree.behave("b")
    tree.process.send_signal(signal.SIGCONT)
    tree.expect("child.up", name="b", generation=1)
    tree.expect("child.died", name="b", generation=1, next="restart", reason="exit 3")
    tree.up().stop()


def test_a_start_that_takes_too_long_is_killed_and_the_others_go_on(start):
    tree = start("slow", {"a": "never-ready"})
    assert tree.expect("child.kill", name="a").reason == "start timed out after 300 ms"
    tree.expect("child.up", name="b")
    tree.up()
    tree.behave("a")
    tree.expect("child.up", name="a")
    tree.stop()


def test_a_program_that_is_missing_is_a_failed_start(start):
    tree = start("missing")
    died = tree.expect("child.died", name="a", next="retry")
    assert died.reason == "cannot be started: No such file or directory"
    assert tree.expect("child.died", name="a", next="retry").attempt == "2"
    tree.stop()


def test_wrong_configuration_ends_the_first_start_with_78(start):
    tree = start("one_for_one", {"b": "exit=78"})
    tree.wait(78)
    assert tree.all("tree.refused", name="b")
    assert tree.names("child.stopped") == ["a", "probe"]


def test_wrong_configuration_later_on_stops_only_that_child(start):
    tree = start("one_for_one").up()
    tree.behave("b", "exit=78")
    tree.kill("b")
    assert tree.expect("child.died", name="b", reason="exit 78 (wrong configuration)").next \
        == "none: wrong configuration"
    assert [tree.state(name) for name in "abc"] == ["up", "stopped", "up"]
    tree.stop()


def test_a_child_that_does_not_stop_is_killed_after_its_shutdown_time(start):
    tree = start("stubborn", {"a": "ignore-term", "brutal": "ignore-term"}).up()
    tree.stop()
    brutal = tree.all("child.stopped", name="brutal")[0]
    assert brutal.reason == "killed by SIGKILL"
    assert tree.all("child.stopped", name="a")[0].reason == "did not stop within 300 ms"
    assert len(tree.all("child.kill")) == 1, "brutal_kill is no failure"


def test_infinity_waits_and_a_second_interrupt_is_brutal(start):
    tree = start("stubborn", {"patient": "ignore-term"}).up()
    tree.process.send_signal(signal.SIGINT)
    tree.expect("tree.stopping")
    assert tree.process.poll() is None
    tree.stop(signal.SIGINT)
    assert tree.all("child.stopped", name="patient")[0].reason == "killed by SIGKILL"


def test_a_stop_during_the_start_is_in_order_too(start):
    tree = start("one_for_one", {"b": "never-ready"})
    tree.expect("child.start", name="b")
    tree.stop()
    assert tree.names("child.stopped") == ["b", "a", "probe"]
    assert "c" not in tree.names("child.start")


def test_a_stop_while_a_child_backs_off_ends_at_once(start):
    tree = start("one_for_one", {"b": "exit=1"})
    tree.expect("child.died", name="b", attempt=2)
    tree.stop()


def test_no_orphan_outlives_a_killed_supervisor(start):
    tree = start("one_for_one", {"a": "burn"}).up()
    tree.kill("b", signal.SIGSTOP)  # neither sees the end of file on its control socket
    tree.process.kill()
    tree.process.wait()
    until(lambda: not tree.children(), 5)


def test_what_a_child_forked_goes_with_it(start):
    tree = start("one_for_one", {"b": "descend=here"}).up()
    b = tree.pid("b")
    group = [int(p) for p in os.listdir("/proc") if p.isdigit() and alive(int(p)) and
             group_of(int(p)) == b]
    assert len(group) == 2
    tree.behave("b")
    tree.kill_and_wait("b")
    until(lambda: not any(alive(pid) for pid in group))
    tree.stop()


def group_of(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def test_what_a_child_forked_into_another_session_goes_at_the_stop(start):
    tree = start("one_for_one", {"b": "descend=away"}).up()
    tree.behave("b")
    tree.kill_and_wait("b")
    with open(f"/proc/{tree.process.pid}/task/{tree.process.pid}/children") as children:
        pids = [int(pid) for pid in children.read().split()]
    assert len(pids) == 5, "the orphan has come to us"
    tree.stop()
    assert not any(alive(pid) for pid in pids)
    assert len(tree.all("orphan.kill")) == 1


def test_secrets_reach_only_those_whose_row_names_them(start, tmp_path):
    tree = start("secretive", {"a": f"env={tmp_path}/a", "b": f"env={tmp_path}/b"},
                 DATABASE_URL="postgres://x", ENCRYPTION_KEY="k" * 32, PORT="1",
                 NOTIFY_SOCKET="/nowhere").up()
    a, b = [(tmp_path / name).read_text().splitlines() for name in "ab"]
    assert "DATABASE_URL=postgres://x" in a and not [e for e in b if "postgres:" in e]
    assert not [e for e in a + b if e.startswith(("ENCRYPTION_KEY", "NOTIFY_SOCKET"))]
    assert "PORT=1" in a and "PORT=1" in b
    assert "UGTJ_ACTOR_NAME=a" in a and "UGTJ_ACTOR_GENERATION=1" in a
    tree.stop()


def test_a_child_inherits_nothing_but_its_control_socket(start):
    tree = start("one_for_one").up()
    fds = sorted(int(fd) for fd in os.listdir(f"/proc/{tree.pid('c')}/fd"))
    assert fds == [0, 1, 2, 3, 4, 5], "4 is its note, 5 its own mailbox"
    status = open(f"/proc/{tree.pid('c')}/status").read()
    assert "SigBlk:\t0000000000000000" in status
    assert "SigIgn:\t0000000000000002" in status, "SIGINT and nothing else"
    assert os.readlink(f"/proc/{tree.pid('c')}/cwd") == str(tree.run_dir)
    tree.stop()


@pytest.fixture
def systemd(tmp_path):
    """The socket at which systemd hears of us."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.settimeout(30)
        yield one


def test_systemd_is_told(start, systemd, tmp_path):
    tree = start("one_for_one", NOTIFY_SOCKET=str(tmp_path / "notify"))
    assert systemd.recv(64) == b"READY=1"
    tree.up()
    assert tree.names("child.up") == ["probe", "a", "b", "c"]
    tree.stop()
    assert systemd.recv(64) == b"STOPPING=1"


def test_systemds_watchdog_is_fed_while_the_loop_turns_and_only_then(start, systemd, tmp_path):
    tree = start("one_for_one", NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC=900000).up()

    def fed():
        while systemd.recv(64) != b"WATCHDOG=1":
            pass
        return time.monotonic()
    fed()
    gaps = [-(fed() - fed()) for _ in range(3)]
    assert all(0.15 < gap < 0.9 for gap in gaps), f"not every 300 ms: {gaps}"
    tree.process.send_signal(signal.SIGSTOP)
    until(lambda: stat_of(tree.process.pid) == "T")
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            systemd.recv(64)  # what was said before
    systemd.settimeout(2)
    with pytest.raises(TimeoutError):
        systemd.recv(64)
    tree.process.send_signal(signal.SIGCONT)
    systemd.settimeout(30)
    fed()
    assert not [e for e in environment_of(tree, "c") if e.startswith("WATCHDOG_")]
    tree.stop()


def environment_of(tree, name):
    with open(f"/proc/{tree.pid(name)}/environ") as file:
        return file.read().split("\0")


@pytest.mark.parametrize("settings", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": 0},
                                      {"WATCHDOG_USEC": 30000, "WATCHDOG_PID": 1}])
def test_a_watchdog_that_is_off_or_meant_for_another_is_not_fed(start, systemd, tmp_path, settings):
    tree = start("one_for_one", NOTIFY_SOCKET=str(tmp_path / "notify"), **settings).up()
    tree.kill_and_wait("a")
    tree.stop()
    assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"STOPPING=1"]
