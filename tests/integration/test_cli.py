"""The operator's commands against a real door, with fakes behind it."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest
import zmq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.harness import BUILD, Actor, Refuse  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
USER = "0f8fad5b-d9cb-469f-a165-70867728950e"
USAGE, UNAVAILABLE = 64, 69
SCHEDULE = {"user_id": USER, "search": {"text": "python"}, "interval_s": 60, "paused": False,
            "next_run_ms": 0, "lag_ms": 0, "runs": 0, "jobs_seen": 0}
JOB = {"id": "1", "hh_vacancy_id": "1", "title": "Zoo keeper", "company": "Зоопарк", "skills": ["a"],
       "description": "animals", "has_test": False, "test_required": False}
CHILD = {"name": "store", "supervisor": "", "kind": "worker", "state": "up", "generation": 2,
         "pid": 77, "restarts": 1, "uptime_ms": 65000, "last_exit": "killed by signal 9"}


@pytest.fixture
def door():
    with Actor("door", settings={"ZMQ_PORT": 0}) as actor:
        for name in ("store", "hh_client", "scheduler", "telemetry", "rate_limiter", "submitter"):
            setattr(actor, name, actor.fake(name))
        yield actor.start()


def cli(door, *words, **more):
    environment = {"PATH": os.environ["PATH"], "ZMQ_PORT": "0", "RUN_DIR": str(door.run_dir), **more}
    return subprocess.run([str(BUILD / "libexec/cli"), *words], env=environment, timeout=30,
                          capture_output=True, text=True)


def asked(peer):
    (request,) = peer.received()
    return request.method, request.body


def test_status_shows_the_tree(door):
    door.telemetry.answers["tree.state"] = {"node": "n1", "version": "1", "uptime_ms": 90000,
                                            "children": [CHILD]}
    shown = cli(door, "status")
    assert shown.returncode == 0, shown.stderr
    assert "n1" in shown.stdout and "1m 30s" in shown.stdout
    row = next(line for line in shown.stdout.splitlines() if line.startswith("store"))
    assert row.split()[1:6] == ["up", "77", "1", "1m", "5s"] and "signal 9" in row
    assert json.loads(cli(door, "status", "--json").stdout)["children"] == [CHILD]


def test_one_caller_has_its_share_of_the_door_and_no_more(door):
    """A service that asks and asks is told to wait; the operator gets in."""
    greedy = zmq.Context.instance().socket(zmq.DEALER)
    greedy.linger = 0
    greedy.connect(f"tcp://127.0.0.1:{(door.run_dir / 'zmq_port').read_text().strip()}")
    for ref in range(80):
        greedy.send_multipart([msgpack.packb({"v": 1, "kind": "call", "ref": ref,
                                              "method": "schedules.list"}), msgpack.packb({})])
    refused = []
    for _ in range(16):
        assert greedy.poll(20000)
        head, body = map(msgpack.unpackb, greedy.recv_multipart())
        refused.append((head["ref"], head["kind"], body["error"]))
    assert refused == [(ref, "error", "overloaded") for ref in range(64, 80)]
    door.telemetry.answers["tree.state"] = {"node": "n1", "version": "1", "uptime_ms": 0,
                                            "children": [CHILD]}
    assert cli(door, "status").returncode == 0
    greedy.close()


ENVELOPE = {"v": 1, "kind": "call", "ref": 7, "method": "schedules.list"}
EMPTY = msgpack.packb({})


@pytest.mark.parametrize("frames, field", [
    ([{**ENVELOPE, "v": 2}, EMPTY], "v"), ([{**ENVELOPE, "kind": "question"}, EMPTY], "kind"),
    ([{**ENVELOPE, "ttl_ms": -1}, EMPTY], "ttl_ms"), ([{**ENVELOPE, "trace": 5}, EMPTY], "trace"),
    ([{"ref": 7}, EMPTY], "v"), ([ENVELOPE], None), ([ENVELOPE, EMPTY, EMPTY], None),
    ([ENVELOPE, b""], "body"), ([ENVELOPE, msgpack.packb([1])], "body"),
    ([ENVELOPE, b"\xc1" * 9], "body"), ([ENVELOPE, b"x" * (1 << 20) + b"x"], "body")])
def test_a_visitor_hears_what_is_wrong_with_the_message(door, frames, field):
    visitor = zmq.Context.instance().socket(zmq.DEALER)
    visitor.linger = 0
    visitor.connect(f"tcp://127.0.0.1:{(door.run_dir / 'zmq_port').read_text().strip()}")
    visitor.send_multipart([msgpack.packb(frames[0]), *frames[1:]])
    assert visitor.poll(20000)
    head, body = map(msgpack.unpackb, visitor.recv_multipart())
    assert (head["kind"], head["ref"]) == ("error", 7)
    assert body["error"] in ("bad_request", "too_large") and body.get("field") == field
    assert body["message"]
    visitor.close()


def test_output_that_cannot_be_written_is_an_error(door):
    door.telemetry.answers["tree.state"] = {"node": "n1", "version": "1", "uptime_ms": 0,
                                            "children": [CHILD]}
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([str(BUILD / "libexec/cli"), "status"], timeout=30, stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False,
                              env={"ZMQ_PORT": "0", "RUN_DIR": str(door.run_dir)})
    assert done.returncode != 0 and "could not be written" in done.stderr


def test_ugtj_knows_every_command_that_talks_to_a_server():
    """Two tables, since `ugtj` itself links nothing that could talk to one."""
    table = (ROOT / "cli/commands.c").read_text()
    names = re.findall(r'^\t\{"([a-z-]+)(?: [a-z]+)?", "', table, re.M)
    shown = subprocess.run([str(BUILD / "ugtj"), "--help"], timeout=30, capture_output=True, text=True,
                           check=True).stdout
    assert len(names) > 12 and {n for n in names if not re.search(rf"^  {n} ", shown, re.M)} == set()


def test_kill_names_whom_it_killed(door):
    door.telemetry.answers["tree.kill"] = CHILD
    assert cli(door, "kill", "store").stdout == "killed store, pid 77\n"
    assert asked(door.telemetry) == ("tree.kill", {"name": "store"})


def test_search_makes_fields_and_text_of_its_words(door):
    door.hh_client.answers["jobs.search"] = {"jobs": [JOB], "found": 1, "page": 0, "pages": 1}
    shown = cli(door, "search", "zoo", "area=1", "keeper", "area=2", "salary=5", "work_format=REMOTE",
                "only_with_salary=true", "text_with=")
    assert "Zoo keeper" in shown.stdout and "1 of 1 found" in shown.stdout, shown.stderr
    assert asked(door.hh_client) == ("jobs.search", {
        "text": "zoo keeper", "area": ["1", "2"], "salary": 5, "work_format": ["REMOTE"],
        "only_with_salary": True})


def test_schedule_sends_what_was_said(door):
    door.scheduler.answers["schedules.put"] = SCHEDULE
    shown = cli(door, "schedule", USER, "every=60", "python")
    assert USER in shown.stdout, shown.stderr
    assert asked(door.scheduler) == ("schedules.put", {
        "user_id": USER, "search": {"text": "python"}, "interval_s": 60})


def test_limiter_shows_and_fills_a_bucket(door):
    bucket = {"tokens": 3.25, "capacity": 20, "refill_rate": 8.0, "can_apply": True,
              "next_refill": "2026-11-24T10:00:00.000Z", "applications_today": 2}
    door.rate_limiter.answers = {"limiter.status": bucket, "limiter.reset": bucket}
    shown = cli(door, "limiter", "status", USER).stdout
    assert "3.25 of 20 tokens, 8 an hour, the next at 2026-11-24T10:00:00.000Z" in shown
    assert json.loads(cli(door, "limiter", "--json", "reset", USER, "search").stdout) == bucket
    assert [(r.method, r.body) for r in door.rate_limiter.received()] == [
        ("limiter.status", {"user_id": USER}),
        ("limiter.reset", {"user_id": USER, "action": "search"})]
    for words in (["limiter"], ["limiter", "status"], ["limiter", "fill", USER]):
        assert cli(door, *words).returncode == USAGE, words


APPLICATION = {"id": USER, "user_id": USER, "job_external_id": "93", "status": "submitted",
               "negotiation_id": "n1", "idempotency_key": "k", "attempts": 1,
               "created_at": "2026-01-01T00:00:00.000Z"}


def test_apply_sends_letter_and_cv(door, tmp_path):
    cv = tmp_path / "cv.json"
    cv.write_text('{"firstName": "Я"}')
    door.submitter.answers["applications.submit"] = APPLICATION
    shown = cli(door, "apply", USER, "93", "Добрый", "resume=r1", "a=b", f"cv={cv}", "key=k")
    assert "submitted" in shown.stdout and "n1" in shown.stdout, shown.stderr
    method, request = asked(door.submitter)
    assert json.loads(request.pop("customized_cv")) == {"firstName": "Я", "hh_resume_id": "r1"}
    assert (method, request) == ("applications.submit", {
        "user_id": USER, "job_external_id": "93", "cover_letter": "Добрый a=b",
        "idempotency_key": "k"})


def test_apply_needs_only_user_and_vacancy(door):
    door.submitter.answers["applications.submit"] = {
        **APPLICATION, "status": "failed", "error": "already_applied", "error_message": "in words"}
    shown = cli(door, "apply", USER, "93")
    assert "failed" in shown.stdout and "already_applied" in shown.stdout and "in words" in shown.stdout
    assert asked(door.submitter)[1] == {"user_id": USER, "job_external_id": "93"}


@pytest.mark.parametrize("words, request_", [
    ([], {}), (["--dead"], {"status": "dead"}), ([USER], {"user_id": USER}),
    ([USER, "--dead"], {"user_id": USER, "status": "dead"})])
def test_applications_are_listed(door, words, request_):
    door.store.answers["applications.list"] = {"applications": [
        {**APPLICATION, "status": "dead", "error": "unavailable"}], "total": 7}
    shown = cli(door, "applications", *words)
    row = shown.stdout.splitlines()[1].split()
    assert row == [USER, USER, "93", "dead", "1", "2026-01-01T00:00:00.000Z", "unavailable"]
    assert shown.stdout.endswith("1 of 7\n")
    assert asked(door.store) == ("applications.list", {"limit": 500, **request_})
    assert json.loads(cli(door, "applications", *words, "--json").stdout)["total"] == 7


def test_retry(door):
    door.store.answers["applications.retry"] = {**APPLICATION, "status": "pending"}
    assert "pending" in cli(door, "retry", USER).stdout
    assert asked(door.store) == ("applications.retry", {"id": USER})


def test_call_sends_any_message(door):
    door.store.answers["store.ping"] = {"db": "up"}
    assert json.loads(cli(door, "call", "store.ping").stdout) == {"db": "up"}
    door.scheduler.answers["schedules.fetch"] = SCHEDULE
    said = cli(door, "call", "schedules.fetch", json.dumps({"user_id": USER}))
    assert json.loads(said.stdout)["user_id"] == USER


@pytest.mark.parametrize("words, wrong", [
    (["search", "salary=much"], "salary"),
    (["search", "only_with_salary=perhaps"], "only_with_salary"),
    (["schedule", USER, "every=day", "x"], "interval_s"),
    (["schedule", "me", "x"], "user_id"),
    (["job", "x" * 33], "id"),
    (["call", "no.such"], "no.such"),
    (["call", "schedules.changed"], "schedules.changed"),
    (["call", "store.ping", "{"], "JSON"),
    (["apply", USER], "usage"),
    (["apply", "me", "1"], "user_id"),
    (["apply", USER, "1", "cv=/dev/null"], "/dev/null"),
    (["apply", USER, "1", os.fsdecode(b"\xff")], "usage"),
    (["applications", "--all"], "usage"),
    (["applications", USER, USER], "usage"),
    (["retry", "7"], "id"),
    (["kill"], "usage"),
    (["dance"], "no such command"),
    (["search", os.fsdecode(b"\xff")], "usage"),
])
def test_words_that_make_no_request_are_refused_before_anything_is_sent(door, words, wrong):
    shown = cli(door, *words)
    assert shown.returncode == USAGE and wrong in shown.stderr and shown.stdout == ""
    assert not any(peer.received() for peer in door.peers.values())


def test_error_of_the_server_is_said_in_words(door):
    door.scheduler.answers["schedules.fetch"] = Refuse("not_found", "no such schedule",
                                                       field="user_id")
    shown = cli(door, "fetch-now", USER)
    assert shown.returncode == UNAVAILABLE
    assert shown.stderr == "not_found: user_id no such schedule\n"


def test_message_that_is_not_for_outsiders_is_refused(door):
    shown = cli(door, "call", "store.claim", '{"node": "n", "capacity": 1, "ttl_ms": 1000}')
    assert shown.returncode == USAGE and "unknown_method" in shown.stderr


def test_texts_of_strangers_do_not_steer_the_terminal(door):
    evil = {**JOB, "title": "a\x1b]0;owned\x07b\u009b2Jc", "company": "x\x7fy"}
    door.hh_client.answers["jobs.search"] = {"jobs": [evil], "found": 1, "page": 0, "pages": 1}
    for words in (["search", "x"], ["search", "x", "--json"]):
        shown = cli(door, *words).stdout
        assert not any(c in shown for c in "\x1b\x07"), shown
    assert "a?]0;owned?b??2Jc" in cli(door, "search", "x").stdout


def test_server_that_is_not_there_is_said_soon(door):
    door.stop()
    for port in (door.run_dir / "zmq_port").read_text(), "0":
        shown = cli(door, "search", "x", ZMQ_PORT=port.strip())
        assert shown.returncode == UNAVAILABLE and "is `ugtj server` running?" in shown.stderr
