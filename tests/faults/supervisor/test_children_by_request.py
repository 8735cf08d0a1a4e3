"""OTP's start_child, terminate_child, restart_child, delete_child, which_children, count_children; as
requests to the supervisor, and as messages to telemetry."""
import errno
import json
import os
import subprocess

import pytest

from conftest import (BUILD, DELETE_CHILD, KILL_CHILD, RESTART_CHILD, START_CHILD, TERMINATE_CHILD, WAIT,
                      until)


@pytest.fixture
def tree(start):
    return start("one_for_one").up()


# --- terminate_child ------------------------------------------------------------------------------

def test_terminate_child_stops_it_in_order_and_it_is_not_restarted(tree):
    assert tree.ask(TERMINATE_CHILD, "b", WAIT) == 0
    assert tree.expect("child.stopped", name="b").reason == "exit 0 (normal)"
    assert tree.state("b") == "stopped" and tree.all("child.died") == []
    tree.kill_and_wait("a")
    assert tree.state("b") == "stopped", "its siblings' restarts do not bring it back"
    tree.stop()


def test_terminate_child_answers_when_it_has_stopped(tree):
    tree.behave("b", "ignore-term")
    tree.kill_and_wait("b")
    tree.send(TERMINATE_CHILD, "b", WAIT, ref=77)
    assert tree.state("b") == "stopping"
    tree.kill("b")
    (reply,) = [p for p in [tree.receive()] if p.ref == 77]
    assert reply.result == 0
    tree.stop()


def test_terminate_child_of_one_that_has_stopped_is_fine(tree):
    assert [tree.ask(TERMINATE_CHILD, "b", WAIT) for _ in range(2)] == [0, 0]
    tree.stop()


def test_terminate_child_of_one_that_is_being_restarted_ends_the_tries(tree):
    tree.behave("b", "exit=1")
    tree.kill("b")
    tree.until_state("b", "backoff")
    assert tree.ask(TERMINATE_CHILD, "b", WAIT) == 0
    assert tree.state("b") == "stopped"
    tree.stop()


def test_terminate_child_of_nobody_is_not_found(tree):
    assert tree.ask(TERMINATE_CHILD, "nobody") == -errno.ENOENT
    assert tree.ask(TERMINATE_CHILD, "one_for_one") == -errno.ENOENT, "the root is no child"
    tree.stop()


def test_a_child_cannot_terminate_itself_or_what_is_above_it(start):
    tree = start("inside").up()
    assert tree.ask(TERMINATE_CHILD, "probe") == -errno.EDEADLK
    assert tree.ask(TERMINATE_CHILD, "group") == -errno.EDEADLK
    tree.stop()


def test_a_terminated_child_comes_back_with_its_group_if_the_strategy_restarts_that(start):
    tree = start("rest_for_one").up()
    assert tree.ask(TERMINATE_CHILD, "c", WAIT) == 0
    tree.kill("b")
    tree.expect("child.up", name="c", generation=2)
    tree.stop()


def test_terminate_child_of_a_temporary_child_deletes_its_specification(start):
    tree = start("types").up()
    assert tree.ask(TERMINATE_CHILD, "temporary", WAIT) == 0
    assert tree.ask(RESTART_CHILD, "temporary") == -errno.ENOENT
    assert tree.status()["temporary"].child.deleted == 1
    tree.stop()


def test_the_specification_of_a_temporary_child_that_ends_is_deleted(start):
    tree = start("types", {"temporary": "ready-exit=1"}).up()
    tree.expect("child.died", name="temporary", anywhere=True)
    assert tree.ask(RESTART_CHILD, "temporary") == -errno.ENOENT
    assert tree.ask(DELETE_CHILD, "temporary") == -errno.ENOENT
    tree.stop()


def test_terminate_child_of_a_supervisor_stops_its_children_in_reverse_order(start):
    tree = start("rest_for_one").up()
    z = tree.pid("z")
    assert tree.ask(TERMINATE_CHILD, "group", WAIT) == 0
    tree.expect("child.stopped", name="a")
    assert tree.names("child.stopped") == ["c", "b", "a"]
    assert [tree.state(name) for name in ("group", "a", "b", "c", "z")] == ["stopped"] * 4 + ["up"]
    assert tree.ask(RESTART_CHILD, "group", WAIT) == 0
    assert [tree.state(name) for name in ("group", "a", "b", "c")] == ["up"] * 4
    assert tree.pid("z") == z
    tree.stop()


# --- restart_child --------------------------------------------------------------------------------

def test_restart_child_starts_a_terminated_child_and_answers_when_it_is_up(tree):
    tree.ask(TERMINATE_CHILD, "b", WAIT)
    assert tree.ask(RESTART_CHILD, "b", WAIT) == 0
    assert tree.state("b") == "up" and tree.status()["b"].child.generation == 2
    tree.kill_and_wait("b")
    tree.stop()


def test_restart_child_does_not_count_as_a_restart_of_the_intensity(start):
    tree = start("one_for_one", MAX_RESTARTS=1, MAX_SECONDS=60).up()
    for _ in range(5):
        tree.ask(TERMINATE_CHILD, "b", WAIT)
        assert tree.ask(RESTART_CHILD, "b", WAIT) == 0
    tree.kill_and_wait("b")
    tree.stop()


def test_restart_child_of_one_that_runs_is_refused(tree):
    assert tree.ask(RESTART_CHILD, "b") == -errno.EEXIST
    tree.stop()


def test_restart_child_of_one_that_is_being_restarted_is_refused(tree):
    tree.behave("b", "exit=1")
    tree.kill("b")
    tree.until_state("b", "backoff")
    assert tree.ask(RESTART_CHILD, "b") == -errno.EALREADY
    tree.stop()


def test_restart_child_of_nobody_is_not_found(tree):
    assert tree.ask(RESTART_CHILD, "nobody") == -errno.ENOENT
    tree.stop()


def test_restart_child_that_fails_to_start_says_why_and_leaves_it_stopped(tree):
    tree.ask(TERMINATE_CHILD, "b", WAIT)
    tree.behave("b", "exit=71")
    reply = tree.request(RESTART_CHILD, "b", WAIT)
    assert (reply.result, reply.reason) == (-errno.ECHILD, b"exit 71 (the world failed it)")
    assert tree.state("b") == "stopped", "it is not tried again"
    tree.stop()


def test_restart_child_that_somebody_terminates_meanwhile_is_canceled(tree):
    tree.ask(TERMINATE_CHILD, "b", WAIT)
    tree.behave("b", "never-ready")
    tree.send(RESTART_CHILD, "b", WAIT, ref=77)
    until((tree.run_dir / "b.2").exists)
    tree.send(TERMINATE_CHILD, "b", WAIT, ref=78)
    replies = {p.ref: p.result for p in (tree.receive(), tree.receive())}
    assert replies == {77: -errno.ECANCELED, 78: 0}
    tree.stop()


# --- delete_child ---------------------------------------------------------------------------------

def test_delete_child_of_one_that_runs_is_refused(tree):
    assert tree.ask(DELETE_CHILD, "b") == -errno.EBUSY
    tree.stop()


def test_delete_child_of_one_that_is_being_restarted_is_refused(tree):
    tree.behave("b", "exit=1")
    tree.kill("b")
    tree.until_state("b", "backoff")
    assert tree.ask(DELETE_CHILD, "b") == -errno.EALREADY
    tree.stop()


def test_delete_child_forgets_it_and_start_child_brings_it_back(tree):
    tree.ask(TERMINATE_CHILD, "b", WAIT)
    assert tree.ask(DELETE_CHILD, "b") == 0
    for kind in (DELETE_CHILD, RESTART_CHILD, TERMINATE_CHILD):
        assert tree.ask(kind, "b") == -errno.ENOENT
    assert tree.ask(START_CHILD, "b", WAIT) == 0
    assert tree.state("b") == "up" and tree.status()["b"].child.deleted == 0
    tree.stop()


def test_a_deleted_child_does_not_come_back_with_its_group(start):
    tree = start("rest_for_one").up()
    tree.ask(TERMINATE_CHILD, "b", WAIT)
    tree.ask(DELETE_CHILD, "b")
    tree.kill("a")
    tree.expect("child.up", name="c", generation=2)
    assert tree.state("b") == "stopped"
    tree.stop()


def test_a_deleted_child_comes_back_when_its_supervisor_is_started_anew(start):
    tree = start("rest_for_one").up()
    tree.ask(TERMINATE_CHILD, "b", WAIT)
    tree.ask(DELETE_CHILD, "b")
    tree.ask(KILL_CHILD, "group")
    tree.expect("child.up", name="b", generation=2)
    assert tree.status()["b"].child.deleted == 0
    tree.stop()


# --- start_child ----------------------------------------------------------------------------------

def test_start_child_of_one_that_runs_is_already_started(tree):
    assert tree.ask(START_CHILD, "b") == -errno.EEXIST
    tree.stop()


def test_start_child_of_one_that_is_terminated_is_already_present(tree):
    tree.ask(TERMINATE_CHILD, "b", WAIT)
    assert tree.ask(START_CHILD, "b") == -errno.EALREADY
    tree.stop()


def test_start_child_answers_when_it_is_up(start):
    tree = start("dynamic").up()
    assert tree.ask(START_CHILD, "w:x", WAIT) == 0
    assert tree.state("w:x") == "up"
    tree.stop()


def test_start_child_that_fails_to_start_says_why_and_is_not_kept(start):
    tree = start("dynamic", {"w:x": "exit=71"}).up()
    reply = tree.request(START_CHILD, "w:x", WAIT)
    assert (reply.result, reply.reason) == (-errno.ECHILD, b"exit 71 (the world failed it)")
    assert "w:x" not in tree.status()
    tree.stop()


def test_restart_and_delete_of_a_child_made_from_a_template_are_refused(start):
    tree = start("dynamic").up()
    tree.ask(START_CHILD, "w:x", WAIT)
    assert tree.ask(RESTART_CHILD, "w:x") == -errno.EOPNOTSUPP
    assert tree.ask(DELETE_CHILD, "w:x") == -errno.EOPNOTSUPP
    assert tree.ask(TERMINATE_CHILD, "w:x", WAIT) == 0
    assert "w:x" not in tree.status()
    tree.stop()


def test_an_asker_that_dies_is_not_answered_and_hurts_nobody(tree):
    tree.behave("b", "ignore-term")
    tree.kill_and_wait("b")
    tree.send(TERMINATE_CHILD, "b", WAIT, ref=1)
    tree.until_state("b", "stopping")
    tree.connection.close()  # the probe ends with it
    tree.connection = None
    tree.expect("child.up", name="probe", generation=2)
    tree.kill("b")
    assert tree.until_state("b", "stopped")
    assert tree.told == []
    tree.stop()


def test_no_more_than_so_many_wait_for_one_child(tree):
    tree.behave("b", "ignore-term")
    tree.kill_and_wait("b")
    for ref in range(1, 18):
        tree.send(TERMINATE_CHILD, "b", WAIT, ref=ref)
    assert (tree.receive().ref, tree.told) == (17, [])
    tree.kill("b")
    assert sorted(tree.receive().ref for _ in range(16)) == list(range(1, 17))
    tree.stop()


# --- significant children and auto_shutdown -------------------------------------------------------

ENDS = {"transient": "ready-exit=0", "temporary": "ready-signal=9"}


@pytest.mark.parametrize("kind", ENDS)
def test_any_significant_the_first_that_ends_by_itself_ends_the_supervisor(start, kind):
    tree = start("any_significant").up()
    tree.behave(kind, ENDS[kind])
    tree.ask(TERMINATE_CHILD, "inner", WAIT)
    tree.ask(RESTART_CHILD, "inner")
    tree.expect("supervisor.auto_shutdown", name="inner")
    died = tree.expect("child.died", name="inner")
    assert (died.reason, died.next) == ("shut down by itself", "none"), "a transient one ends for good"
    assert tree.state("inner") == "stopped" and tree.state("z") == "up"
    tree.stop()


def test_all_significant_the_last_that_ends_by_itself_ends_the_supervisor(start):
    tree = start("all_significant", {"transient": "ready-exit=0"}).up()
    tree.expect("child.died", name="transient", anywhere=True)
    assert tree.state("inner") == "up" and tree.state("plain") == "up"
    tree.kill("temporary")
    tree.expect("supervisor.auto_shutdown", name="inner")
    assert tree.expect("child.died", name="inner").next == "restart", "it is a permanent one"
    tree.expect("child.up", name="plain", generation=2)
    tree.stop()


def test_a_significant_child_that_is_restarted_ends_nothing(start):
    tree = start("any_significant").up()
    tree.kill_and_wait("transient")
    assert tree.all("supervisor.auto_shutdown") == []
    tree.stop()


def test_a_significant_child_that_is_terminated_by_request_ends_nothing(start):
    tree = start("any_significant").up()
    tree.ask(TERMINATE_CHILD, "transient", WAIT)
    tree.ask(TERMINATE_CHILD, "temporary", WAIT)
    assert tree.state("inner") == "up"
    tree.stop()


def test_a_child_that_is_not_significant_ends_nothing(start):
    tree = start("any_significant").up()
    tree.behave("plain", "ready-exit=0")
    tree.kill("plain")
    tree.expect("child.died", name="plain", next="none")
    tree.kill_and_wait("transient")
    assert tree.all("supervisor.auto_shutdown") == []
    tree.stop()


def test_the_root_that_shuts_down_by_itself_ends_the_program_with_0(start):
    tree = start("root_significant").up()
    tree.behave("job", "ready-exit=0")
    tree.kill("job")
    tree.wait(0)
    assert tree.names("child.stopped") == ["a"]


@pytest.mark.parametrize("shape", ["significant_permanent", "significant_never"])
def test_a_significant_child_that_makes_no_sense_is_refused(start, shape):
    tree = start(shape)
    tree.wait(71)
    assert tree.all("tree.wrong")


# --- the same as messages -------------------------------------------------------------------------

def call(tree, method, name=None):
    kind, reply = tree.door.call(f"tree.{method}", {} if name is None else {"name": name}, timeout=20)
    return reply if kind == "reply" else (reply["error"], reply["message"].split(":")[0])


def test_the_messages_do_what_otps_functions_do(actors):
    rows = call(actors, "which_children")["children"]
    assert [(r["name"], r["child"], r["type"]) for r in rows] == [
        ("telemetry", "running", "worker"), ("hh_client", "running", "worker"),
        ("door", "running", "worker"), ("group", "running", "supervisor"),
        ("workers", "running", "supervisor")]
    assert call(actors, "count_children") == \
        {"specs": 5, "active": 5, "supervisors": 2, "workers": 3}
    assert call(actors, "terminate_child", "hh_client") == {}
    assert call(actors, "count_children")["active"] == 4
    rows = call(actors, "which_children")["children"]
    assert (rows[1]["child"], rows[1]["pid"]) == ("undefined", 0)
    assert call(actors, "start_child", "hh_client") == ("conflict", "already_present")
    assert call(actors, "restart_child", "hh_client")["state"] == "up"
    assert call(actors, "restart_child", "hh_client") == \
        ("conflict", "already_started")
    assert call(actors, "start_child", "hh_client") == ("conflict", "already_started")
    assert call(actors, "delete_child", "hh_client") == ("conflict", "running")
    call(actors, "terminate_child", "hh_client")
    assert call(actors, "delete_child", "hh_client") == {}
    assert call(actors, "count_children")["specs"] == 4
    assert call(actors, "restart_child", "hh_client")[0] == "not_found"
    assert call(actors, "start_child", "hh_client")["state"] == "up"
    assert call(actors, "terminate_child", "telemetry")[0] == "conflict", "it holds the line"
    actors.stop()


def test_the_messages_know_children_made_from_a_template(actors):
    assert call(actors, "count_children", "workers") == \
        {"specs": 1, "active": 0, "supervisors": 0, "workers": 0}
    assert call(actors, "start_child", "w:1")["supervisor"] == "workers"
    actors.behave("w:2", "exit=1")
    assert call(actors, "start_child", "w:2") == ("conflict", "it failed to start")
    assert call(actors, "start_child", "w:") == ("bad_request", "is no name for a child of that kind")
    assert call(actors, "count_children", "workers")["active"] == 1
    assert [r["name"] for r in call(actors, "which_children", "workers")["children"]] == ["w:1"]
    assert call(actors, "delete_child", "w:1") == ("conflict", "simple_one_for_one")
    assert call(actors, "terminate_child", "w:1") == {}
    assert call(actors, "which_children", "workers")["children"] == []
    actors.stop()


def test_the_messages_name_their_supervisor(actors):
    assert [r["name"] for r in call(actors, "which_children", "group")["children"]] == ["g"]
    assert call(actors, "count_children", "nobody")[0] == "not_found"
    assert call(actors, "count_children", "door")[0] == "not_found", "no supervisor"
    actors.behave("g", "exit=1")
    actors.kill("g")
    until(lambda: call(actors, "which_children", "group")["children"][0]["child"] == "restarting")
    actors.stop()


def test_ugtj_call_reaches_them(actors):
    done = subprocess.run(
        [str(BUILD / "ugtj"), "call", "tree.terminate_child", '{"name": "hh_client"}'],
        capture_output=True, text=True, cwd=actors.folder, timeout=30,
        env={**os.environ, "ZMQ_PORT": "0", "RUN_DIR": str(actors.run_dir)})
    assert done.returncode == 0 and json.loads(done.stdout) == {}, done.stderr
    assert actors.expect("child.stopped", name="hh_client")
    actors.stop()
