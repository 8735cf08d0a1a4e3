"""Every death leaves a report: how, after how long, with which message in hand, and where in the code."""
import errno
import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest

from conftest import (BUILD, CRASH_FRAME, DEATHS, KILL_CHILD, NEXT_CRASH, SANITIZED, Door, stat_of,
                      until)


def death(report):
    return DEATHS[report.crash.death], report.crash.code


# --- what the supervisor makes of a death ---------------------------------------------------------

WAYS = {
    "exit": ("one_for_one", "ready-exit=70", ("exit", 70), "exit 70 (panic)"),
    "signal": ("one_for_one", "ready-signal=11", ("signal", 11), "killed by SIGSEGV"),
    "heartbeat": ("watched", "mute", ("heartbeat", 9), r"no heartbeat for \d+ ms"),
    "memory": ("narrow", "hog=100", ("memory", 9), r"holds 1\d\d MB of memory, 64 are allowed"),
    "failed start": ("one_for_one", "exit=71", ("exit", 71), r"exit 71 \(the world failed it\)"),
    "start too slow": ("slow", "never-ready", ("start", 9), "start timed out after 300 ms"),
    "no program": ("missing", None, ("start", errno.ENOENT), "cannot be started: No such file .*"),
    "broken treaty": ("one_for_one", "garbage=size", ("treaty", 9), "broke the treaty: .*"),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_die_is_reported(start, way):
    shape, words, how, reason = WAYS[way]
    tree = start(shape, {"a": words} if words else {})
    line = tree.expect("child.crash", name="a")
    assert re.fullmatch(reason, line.reason) or line.reason == reason
    assert line.generation == "1" and int(line.uptime_ms) >= 0
    tree.behave("a")
    if shape == "missing":
        return  # there is no probe in that tree
    tree.up()
    report = tree.crashes("a")[0]
    assert death(report) == how
    assert report.generation == 1 and report.value == 1
    assert report.crash.was_up == (way not in ("failed start", "start too slow"))
    assert (report.crash.pid, report.crash.frame_count) == (int(line.pid), 0)
    assert abs(report.crash.at_ms / 1000 - time.time()) < 60
    tree.stop()


def test_a_kill_by_request_is_reported_as_such(start):
    tree = start("one_for_one").up()
    tree.ask(KILL_CHILD, "b")
    tree.expect("child.up", name="b", generation=2)
    assert [death(r) for r in tree.crashes()] == [("requested", 9)]
    tree.stop()


def test_the_message_in_hand_is_known_after_sigkill_too(start):
    tree = start("one_for_one", {"b": "note=jobs.search\nheld=50"}).up()
    tree.kill_and_wait("b")
    line = tree.expect("child.crash", anywhere=True, name="b")
    assert (line.doing, line.method, line.fields["from"], line.trace) == \
        ("call", "jobs.search", "caller", "t-1")
    report = tree.crashes("b")[0].crash
    message = report.message
    assert (report.doing, message.method, message.sender, message.trace) == \
        (b"call", b"jobs.search", b"caller", b"t-1")
    assert (message.from_generation, message.ref) == (3, 7) and message.since_ms >= 50
    tree.stop()


BLAMED = {"it exits": ("ready-exit=70", 0, None, True),
          "it exits without a fault": ("ready-exit=78", 0, None, False),
          "it raises a fatal signal": ("ready-signal=6\nnote-backtrace=6", 0, None, True),
          "somebody sends a fatal signal": (None, 0, signal.SIGSEGV, False),
          "somebody kills it": (None, 0, signal.SIGKILL, False),
          "it was stuck, and somebody kills it": (None, 1500, signal.SIGKILL, True)}


@pytest.mark.parametrize("way", BLAMED)
def test_whether_the_message_is_blamed_depends_on_who_killed(start, way):
    words, held, signum, blamed = BLAMED[way]
    tree = start("one_for_one", {}).up()
    tree.behave("b", f"note=jobs.search\nheld={held}\n{words or ''}")
    tree.kill("b")
    tree.expect("child.start", name="b", generation=2)
    if signum:
        tree.expect("child.up", name="b", generation=2)
        tree.kill("b", signum)
    line = tree.expect("child.crash", name="b", generation=2)
    tree.behave("b")
    assert line.method == "jobs.search"
    assert tree.crashes("b")[1].crash.blamed == blamed
    tree.stop()


def test_a_backtrace_is_kept_frame_by_frame_and_logged(start):
    tree = start("one_for_one", {"b": "note-backtrace=11\nready-signal=11"})
    line = tree.expect("child.crash", name="b")
    assert line.backtrace == "inner+0x1 < outer+0x2"
    tree.behave("b")
    tree.up()
    assert tree.crashes("b")[0].frames == ["inner+0x1", "outer+0x2"]
    assert tree.request(CRASH_FRAME, value=1 * 32 + 2).result == -errno.ENOENT
    for value in (-1, 0, 50 * 32, 2 ** 62):  # crashes that there never were
        assert tree.request(CRASH_FRAME, value=value).result == -errno.ENOENT
    tree.stop()


def test_nonsense_in_the_note_hurts_nobody(start):
    tree = start("one_for_one", {"b": "note-garbage\nready-exit=1"})
    line = tree.expect("child.crash", name="b")
    assert set(line.method) == {"?"} and len(line.method) == 63
    tree.behave("b")
    tree.up()
    report = tree.crashes("b")[0]
    assert len(report.frames) == 32 and set("".join(report.frames)) == {"?"}
    tree.stop()


def test_orderly_ends_are_no_deaths(start):
    tree = start("dynamic", {"w:x": "ready-exit=0"}).up()
    tree.request(4, "w:x")  # START_CHILD
    tree.expect("child.died", name="w:x", next="none")
    assert tree.crashes() == []
    tree.stop()
    assert tree.all("child.crash") == []


def test_a_child_that_must_be_killed_at_the_stop_is_reported_and_a_brutal_one_is_not(start):
    tree = start("stubborn", {"a": "ignore-term", "brutal": "ignore-term"}).up()
    tree.stop()
    assert [(e.name, e.reason) for e in tree.all("child.crash")] == \
        [("a", "did not stop within 300 ms")]


def test_the_last_64_are_kept(start):
    tree = start("one_for_one", MAX_RESTARTS=1000, MAX_SECONDS=60).up()
    for _ in range(70):
        tree.kill_and_wait("b")
    reports = tree.crashes()
    assert [r.value for r in reports] == list(range(7, 71))
    assert [r.generation for r in reports] == list(range(7, 71))
    assert tree.request(NEXT_CRASH, value=71).result == -errno.ENOENT
    tree.stop()


# --- what an actor adds to it ---------------------------------------------------------------------

def crashes(tree):
    kind, reply = tree.door.call("tree.crashes")
    assert kind == "reply", reply
    return reply["crashes"]


def get(tree, vacancy, **more):
    return tree.door.call("jobs.get", {"id": vacancy}, **more)


def test_a_report_names_the_message_and_the_function(actors):
    kind, _ = get(actors, "abort", timeout=20)
    assert kind == "error"
    first = crashes(actors)[0]
    assert (first["name"], first["generation"], first["death"], first["code"]) == \
        ("hh_client", 1, "signal", signal.SIGABRT)
    assert (first["doing"], first["method"], first["from"]) == ("call", "jobs.get", "door")
    assert first["was_up"] and first["blamed"] and first["held_ms"] < 2000
    assert first["backtrace"][0].startswith("libc.so.6("), first  # where abort() raises
    assert any(re.match(r"on_get(\.cold)?\+0x[0-9a-f]+$", f) for f in first["backtrace"]), first
    assert any(f.startswith("libc.so.6(abort+0x") for f in first["backtrace"]), first
    assert any(f.startswith("actor_main+0x") for f in first["backtrace"]), first
    actors.stop()


@pytest.mark.skipif(SANITIZED, reason="the sanitizer takes this signal for itself")
def test_a_bad_pointer_is_found_where_it_was_used(actors):
    get(actors, "segv", timeout=20)
    first = crashes(actors)[0]
    assert first["code"] == signal.SIGSEGV
    assert first["backtrace"][0].startswith("die_of_a_bad_pointer+0x"), first
    assert first["backtrace"][1].startswith("on_get+0x"), first
    actors.stop()


def test_work_for_a_call_is_that_calls_in_an_answer_too(actors):
    get(actors, "later-abort", timeout=20)
    first = crashes(actors)[0]
    assert (first["doing"], first["method"], first["from"]) == ("answer", "jobs.get", "door")
    assert first["blamed"]
    actors.stop()


def test_a_killed_actor_that_waited_had_nothing_in_hand(actors):
    get(actors, "1")
    pid = actors.pid("hh_client")
    until(lambda: stat_of(pid) == "S")  # it has answered, but may not have put the message down
    os.kill(pid, signal.SIGKILL)
    actors.expect("child.up", name="hh_client", generation=2)
    first = crashes(actors)[0]
    assert not {"doing", "method", "trace", "backtrace"} & first.keys() and not first["blamed"]
    actors.stop()


def test_a_fatal_signal_from_outside_blames_nothing(actors):
    """Nor the message that is in hand: it is tried until the signal finds one."""
    other = Door(int((actors.run_dir / "zmq_port").read_text()))
    for generation in range(1, 21):
        caller = threading.Thread(target=other.call, args=("jobs.get", {"id": "dawdle"}, 30))
        caller.start()
        time.sleep(0.1)
        actors.kill("hh_client", signal.SIGABRT)
        actors.expect("child.up", name="hh_client", generation=generation + 1)
        caller.join(30)
        last = [c for c in crashes(actors) if c["name"] == "hh_client"][-1]
        assert last["backtrace"] and not last["blamed"]
        if "method" in last:
            break
    other.close()
    assert last["method"] == "jobs.get"
    actors.stop()


def test_no_body_is_in_a_report(actors):
    get(actors, "exit-5c1f0b", timeout=20)
    actors.expect("child.crash", anywhere=True, name="hh_client", method="jobs.get")
    assert "5c1f0b" not in actors.text() and "5c1f0b" not in json.dumps(crashes(actors))
    actors.stop()


def test_ugtj_crashes_shows_them(actors):
    def ugtj(*words):
        done = subprocess.run([str(BUILD / "ugtj"), "crashes", *words], capture_output=True, text=True,
                              env={**os.environ, "ZMQ_PORT": "0", "RUN_DIR": str(actors.run_dir)},
                              cwd=actors.folder, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout
    assert ugtj() == "no actor has died since the server was started\n"
    get(actors, "abort", timeout=20)
    until(lambda: json.loads(ugtj("--json"))["crashes"])
    shown = ugtj()
    assert "hh_client.1  killed by SIGABRT" in shown
    assert "in hand: call jobs.get from door" in shown and "it died of it" in shown
    assert re.search(r"#\d+ +on_get(\.cold)?\+0x", shown)
    actors.stop()


# --- messages that kill -----------------------------------------------------------------------------

def set_aside(tree, vacancy):
    """Sends what kills; returns the deaths that it cost."""
    kind, failure = get(tree, vacancy, timeout=30)
    assert (kind, failure["error"]) == ("error", "set_aside"), failure
    assert tree.expect("request.set_aside", method="jobs.get", to="hh_client", anywhere=True)
    return [c for c in crashes(tree) if c["name"] == "hh_client"]


@pytest.mark.parametrize("vacancy", ["abort", "exit", "later-abort"])
def test_a_message_that_kills_two_generations_is_set_aside(actors, vacancy):
    assert [c["generation"] for c in set_aside(actors, vacancy)] == [1, 2]
    assert get(actors, "1")[0] == "reply", "and all is well"
    assert len(actors.all("child.died", name="hh_client")) == 2
    actors.stop()


def test_a_message_in_whose_handler_two_generations_are_stuck_is_set_aside(actors):
    deaths = set_aside(actors, "spin")
    assert [(c["death"], c["method"]) for c in deaths] == [("heartbeat", "jobs.get")] * 2
    assert all(c["held_ms"] >= 1000 and c["blamed"] for c in deaths)
    actors.stop()


def test_an_innocent_message_survives_the_deaths_that_a_poisonous_one_costs(actors):
    other = Door(int((actors.run_dir / "zmq_port").read_text()))
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(other.call("jobs.get", {"id": "wait"}, timeout=30)))
    waiting.start()
    set_aside(actors, "abort")
    until(lambda: get(actors, "1")[0] == "reply" and answers)
    waiting.join(30)
    other.close()
    assert answers[0][0] == "reply", answers
    actors.stop()


def test_an_innocent_message_survives_any_number_of_kills_that_find_it_in_hand(actors):
    """It is in hand at each kill, and is not put aside: the kills came from outside."""
    other = Door(int((actors.run_dir / "zmq_port").read_text()))
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(other.call("jobs.get", {"id": "dawdle"}, timeout=60)))
    waiting.start()
    for generation in range(1, 41):
        if len(actors.all("child.crash", name="hh_client", method="jobs.get")) >= 4:
            break
        actors.expect("child.up", name="hh_client", generation=generation, anywhere=True)
        time.sleep(random.uniform(0, 0.2))  # somewhere in the handler
        actors.kill("hh_client")
        actors.expect("child.died", name="hh_client", generation=generation, anywhere=True)
    waiting.join(60)
    other.close()
    assert answers[0][0] == "reply", answers
    hit = [c for c in crashes(actors) if c.get("method") == "jobs.get"]
    assert len(hit) >= 3 and not any(c["blamed"] for c in hit)
    actors.stop()
