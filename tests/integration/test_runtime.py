"""What actors/runtime promises to every actor: calls made, calls answered, the supervisor's treaty.

Shown with real actors whose own work is small: the door (makes calls for outsiders), telemetry (asks
the supervisor), the scheduler (passes calls on). Their peers are fakes.
"""
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgpack
import pytest
import zmq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.harness import BUILD, NO_ANSWER, Actor, Failed, Refuse  # noqa: E402
from support.treaty import CHILD_UP, DOWN, ENOENT, NEXT_CHILD, REPLY, UP  # noqa: E402

CRASHES_MAX = 25  # actors/runtime/deaths.c
USER = "0f8fad5b-d9cb-469f-a165-70867728950e"
SEED = int(os.environ.get("UGTJ_SEED", "20240607"))
SCHEDULE = {"user_id": USER, "search": {"text": "python"}, "interval_s": 60, "paused": False,
            "next_run_ms": 0, "lag_ms": 0, "runs": 0, "jobs_seen": 0}
HH_STATE = {"circuit": "closed", "max_rps": 3.0, "queued_interactive": 0, "queued_background": 0,
            "wait_ms": 0, "requests": 0, "shared": 0, "failed": 0, "retried": 0}


class Visitor:
    """An outside service at the door."""

    def __init__(self, door):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm = self.socket.rcvhwm = 0
        self.port = int((door.run_dir / "zmq_port").read_text())
        self.socket.connect(f"tcp://127.0.0.1:{self.port}")
        self.ref = 0

    def send(self, method, body=None, kind="call", **envelope):
        self.ref += 1
        head = {"v": 1, "kind": kind, "ref": self.ref, "method": method, **envelope}
        self.socket.send_multipart([msgpack.packb(head), msgpack.packb(body or {})])
        return self.ref

    def receive(self, timeout=10):
        """(ref, kind, body) of the next answer."""
        assert self.socket.poll(int(timeout * 1000)), "no answer"
        head, body = (msgpack.unpackb(f) for f in self.socket.recv_multipart())
        return head["ref"], head["kind"], body

    def call(self, method, body=None, **envelope):
        ref = self.send(method, body, **envelope)
        got, kind, answer = self.receive()
        assert got == ref
        return kind, answer

    def hears_nothing(self, door):
        """A later call is answered first: nothing else was on its way."""
        ref = self.send("store.ping")
        got, kind, _ = self.receive()
        assert (got, kind) == (ref, "reply"), "an answer too many"

    def close(self):
        self.socket.close()


@pytest.fixture
def door():
    with Actor("door", settings={"ZMQ_PORT": 0}) as actor:
        actor.store = actor.fake("store", {"store.ping": {"db": "up"}})
        actor.hh = actor.fake("hh_client")
        actor.telemetry = actor.fake("telemetry")
        actor.start()
        actor.visitor = Visitor(actor)
        yield actor
        actor.visitor.close()


@pytest.fixture
def telemetry():
    with Actor("telemetry") as actor:
        actor.tree["store"] = {"pid": 7, "state": CHILD_UP}
        yield actor.start()


@pytest.fixture
def scheduler():
    with Actor("scheduler") as actor:
        actor.store = actor.fake("store", {"store.claim": {"leases": []}, "store.release": {}})
        yield actor.start()


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000


def counts(actor):
    actor.stop()
    return actor.counts()


# --- calls made: each ends in exactly one of reply, error, timeout, down --------------------------

def test_call_ends_with_the_reply(door):
    assert door.visitor.call("store.ping") == ("reply", {"db": "up"})
    door.visitor.hears_nothing(door)


def test_call_ends_with_the_receivers_own_error(door):
    door.store.answers["store.ping"] = Refuse("unavailable", "нет базы", retry_after_ms=5,
                                              details='{"a":[1]}')
    assert door.visitor.call("store.ping") == ("error", {
        "error": "unavailable", "message": "нет базы", "retry_after_ms": 5, "details": '{"a":[1]}'})


def test_call_without_an_answer_ends_at_its_deadline_and_late_answers_are_ignored(door):
    start = time.monotonic()
    kind, failure = door.visitor.call("hh.state", ttl_ms=300)
    assert (kind, failure["error"]) == ("error", "timeout")
    assert 0.25 < time.monotonic() - start < 2
    door.hh.next("hh.state").reply(HH_STATE)
    door.visitor.hears_nothing(door)
    assert counts(door)["late"] == 1


def test_call_that_may_not_be_repeated_ends_with_the_receivers_death(door):
    door.visitor.send("tree.kill", {"name": "store"})
    door.telemetry.next("tree.kill")
    start = time.monotonic()
    door.telemetry.down("killed by signal 11")
    _, kind, failure = door.visitor.receive()
    assert (kind, failure["error"]) == ("error", "down") and "signal 11" in failure["message"]
    assert time.monotonic() - start < 1
    door.telemetry.up()
    door.visitor.hears_nothing(door)
    assert len(door.telemetry.received()) == 1, "nor was it sent to the next generation"


def test_call_that_may_not_be_repeated_fails_at_once_while_the_receiver_is_down(door):
    door.visitor.send("tree.kill", {"name": "store"})
    door.telemetry.next().refuse("not_found")
    door.visitor.receive()
    door.telemetry.down()
    start = time.monotonic()
    kind, failure = door.visitor.call("tree.kill", {"name": "store"})
    assert (kind, failure["error"]) == ("error", "down") and time.monotonic() - start < 1


def test_call_that_may_be_repeated_is_carried_over_a_death(door):
    ref = door.visitor.send("hh.state", ttl_ms=8000, trace="t-1")
    first = door.hh.next("hh.state")
    door.hh.down()
    door.hh.up()
    second = door.hh.next("hh.state")
    assert second.generation == second.envelope["to_generation"] == first.generation + 1
    assert second.envelope["deadline_ms"] == first.envelope["deadline_ms"], "the deadline stays"
    assert second.trace == "t-1"
    second.reply(HH_STATE)
    assert door.visitor.receive() == (ref, "reply", HH_STATE)


def test_call_that_may_be_repeated_waits_for_a_receiver_that_is_down(door):
    door.hh.down()
    ref = door.visitor.send("hh.state", ttl_ms=8000)
    door.visitor.hears_nothing(door)
    door.hh.answers["hh.state"] = HH_STATE
    door.hh.up()
    assert door.visitor.receive() == (ref, "reply", HH_STATE)


def test_receiver_that_never_comes_is_a_timeout_at_the_deadline(door):
    door.hh.down()
    start = time.monotonic()
    kind, failure = door.visitor.call("hh.state", ttl_ms=300)
    assert failure["error"] == "timeout" and 0.25 < time.monotonic() - start < 2
    door.hh.up()
    door.visitor.hears_nothing(door)
    assert door.hh.received() == [], "what nobody waits for is not sent"


def test_call_of_which_two_receivers_died_is_set_aside(door):
    door.visitor.send("hh.state", ttl_ms=60000)
    for generation in (1, 2):
        request = door.hh.next("hh.state")
        assert request.generation == generation
        door.hh.restart(of=request)
    _, kind, failure = door.visitor.receive()
    assert (kind, failure["error"]) == ("error", "set_aside")
    door.visitor.hears_nothing(door)
    assert len(door.hh.received()) == 2
    assert "request.set_aside method=hh.state to=hh_client" in door.log


def test_a_death_between_the_two_does_not_save_the_call(door):
    door.visitor.send("hh.state", ttl_ms=60000)
    door.hh.restart(of=door.hh.next("hh.state"))
    door.hh.next("hh.state")
    door.hh.restart()
    door.hh.restart(of=door.hh.next("hh.state"))
    assert door.visitor.receive()[2]["error"] == "set_aside"


def test_call_that_was_pending_when_another_killed_its_receiver_is_answered(door):
    poison = door.visitor.send("hh.state", ttl_ms=60000)
    innocent = door.visitor.send("jobs.get", {"id": "1"}, ttl_ms=60000)
    for _ in range(2):
        door.hh.next("jobs.get")
        door.hh.restart(of=door.hh.next("hh.state"))
    assert door.visitor.receive()[::2] == (poison, {
        "error": "set_aside", "message": "hh_client died 2 times of this: it is not tried again"})
    door.hh.next("jobs.get").refuse("not_found")
    assert door.visitor.receive()[0] == innocent


def test_same_number_of_another_caller_is_another_message(door):
    door.visitor.send("hh.state", ttl_ms=60000)
    for change in {"from": "gateway"}, {"from_generation": 7}:
        for _ in range(2):
            request = door.hh.next("hh.state")
            request.envelope.update(change)
            door.hh.restart(of=request)
    door.hh.next("hh.state").reply(HH_STATE)
    assert door.visitor.receive()[1] == "reply"


def test_call_is_carried_over_any_number_of_kills_from_outside(door):
    door.visitor.send("hh.state", ttl_ms=60000)
    for _ in range(2 * CRASHES_MAX):
        door.hh.next("hh.state")
        door.hh.restart()
    door.hh.next("hh.state").reply(HH_STATE)
    assert door.visitor.receive()[1] == "reply"


def test_call_is_not_sent_for_ever_to_who_keeps_ending_and_cannot_say_why(door):
    door.visitor.send("hh.state", ttl_ms=60000)
    for _ in range(CRASHES_MAX):
        door.hh.next("hh.state")
        door.hh.restart(own_fault=True)
    assert door.visitor.receive()[2]["error"] == "set_aside"
    door.visitor.hears_nothing(door)
    assert len(door.hh.received()) == CRASHES_MAX


def test_answer_function_may_call_the_same_peer_while_its_death_is_told(scheduler):
    """The scheduler claims again as soon as a claim has failed, if it was asked to meanwhile. Its
    connection to the generation that is gone would show as a descriptor too many."""
    def descriptors():
        return len(os.listdir(f"/proc/{scheduler.pid}/fd"))

    scheduler.store.wait_received("store.claim")
    heartbeats_from_now(scheduler, 1)
    before = descriptors()
    del scheduler.store.answers["store.claim"]
    scheduler.cast("schedules.changed")
    scheduler.store.restart(of=scheduler.store.next("store.claim"))
    poison = scheduler.store.next("store.claim")
    scheduler.cast("schedules.changed")
    heartbeats_from_now(scheduler, 1)  # the cast is handled, and a claim need not wait for its gap
    scheduler.store.restart(of=poison)
    again = scheduler.store.next("store.claim")
    assert again.generation == 3
    assert "scheduler.claim_failed" in scheduler.log
    again.reply({"leases": []})
    scheduler.wait_well()
    scheduler.wait_for(lambda: descriptors() <= before + 1, 5, "no connection is left")  # + ours


def test_news_told_twice_fail_nothing(door):
    ref = door.visitor.send("tree.kill", {"name": "store"})
    asked = door.telemetry.next("tree.kill")
    door.control_send(type=UP, name="telemetry", generation=door.telemetry.generation)
    door.control_send(type=DOWN, name="nobody", generation=0)
    door.visitor.hears_nothing(door)
    asked.refuse("not_found")
    got, kind, failure = door.visitor.receive()
    assert (got, kind, failure["error"]) == (ref, "error", "not_found")


def test_up_of_a_new_generation_without_a_down_is_a_death_too(door):
    door.visitor.send("tree.kill", {"name": "store"})
    door.telemetry.next("tree.kill")
    door.control_send(type=UP, name="telemetry", generation=door.telemetry.generation + 1)
    assert door.visitor.receive()[2]["error"] == "down"


# --- answers that are not what was asked for ------------------------------------------------------

def test_answer_with_another_ref_is_ignored(door):
    ref = door.visitor.send("hh.state")
    asked = door.hh.next()
    asked.reply(HH_STATE, ref=asked.envelope["ref"] + 1000)
    asked.reply(HH_STATE)
    assert door.visitor.receive() == (ref, "reply", HH_STATE)
    assert counts(door)["late"] == 1


def test_second_answer_is_ignored(door):
    ref = door.visitor.send("hh.state")
    asked = door.hh.next()
    asked.reply(HH_STATE)
    asked.refuse("internal")
    assert door.visitor.receive() == (ref, "reply", HH_STATE)
    door.visitor.hears_nothing(door)


def test_reply_that_does_not_fit_the_catalogue_is_internal(door):
    door.hh.answers["hh.state"] = {"circuit": "closed"}
    kind, failure = door.visitor.call("hh.state")
    assert (kind, failure["error"]) == ("error", "internal")


def test_error_that_does_not_fit_the_catalogue_is_internal(door):
    door.visitor.send("hh.state")
    asked = door.hh.next()
    asked.answer_raw(msgpack.packb({"v": 1, "kind": "error", "ref": asked.envelope["ref"]}), b"\xc1")
    assert door.visitor.receive()[2]["error"] == "internal"


def test_unknown_error_code_reaches_the_caller_as_it_is(door):
    door.hh.answers["hh.state"] = Refuse("quite_new", "from a newer program")
    assert door.visitor.call("hh.state")[1]["error"] == "quite_new"


def test_garbage_instead_of_an_answer_is_ignored(door):
    ref = door.visitor.send("hh.state")
    asked = door.hh.next()
    generator = random.Random(SEED)
    for _ in range(200):
        asked.answer_raw(*[generator.randbytes(generator.randrange(64))
                           for _ in range(generator.randrange(1, 5))])
    asked.answer_raw(msgpack.packb({"v": 1, "kind": "cast", "ref": asked.envelope["ref"]}), b"\x80")
    asked.reply(HH_STATE)
    assert door.visitor.receive() == (ref, "reply", HH_STATE)


# --- many at once ---------------------------------------------------------------------------------

def test_thousand_overlapping_calls_each_get_their_own_answer_and_one_more_is_overloaded(door):
    visitors = [Visitor(door) for _ in range(20)]
    wanted = {(v, visitor.send("jobs.get", {"id": str(50 * v + i)})): 50 * v + i
              for v, visitor in enumerate(visitors) for i in range(50)}
    asked = [door.hh.next("jobs.get") for _ in range(1000)]
    kind, failure = door.visitor.call("jobs.get", {"id": "1000"})
    assert (kind, failure["error"]) == ("error", "overloaded") and failure["retry_after_ms"] > 0
    random.Random(SEED).shuffle(asked)
    for request in asked:
        job = {"id": request.body["id"], "hh_vacancy_id": request.body["id"], "title": "t",
               "skills": [], "description": "", "has_test": False, "test_required": False}
        request.reply({"job": job})
    for v in 50 * list(range(20)):
        ref, kind, reply = visitors[v].receive()
        assert kind == "reply" and reply["job"]["id"] == str(wanted.pop((v, ref)))
    assert wanted == {}
    for visitor in visitors:
        visitor.close()
    assert door.visitor.call("store.ping")[0] == "reply", "and there is room again"


def test_mailbox_that_is_full_says_overloaded(telemetry):
    telemetry.control = lambda packet: NO_ANSWER
    waiting = [telemetry.call_async("tree.state") for _ in range(1000)]
    telemetry.wait_for(lambda: len(telemetry.requests(NEXT_CHILD)) == 1000)
    with pytest.raises(Failed) as refused:
        telemetry.call("tree.state")
    assert refused.value.code == "overloaded"
    for packet in telemetry.requests(NEXT_CHILD):
        telemetry.control_send(type=REPLY, ref=packet.ref, result=-ENOENT)
    for call in waiting:
        assert call.result()["children"] == []


# --- calls answered -------------------------------------------------------------------------------

def test_expired_call_is_dropped_unseen(scheduler):
    late = scheduler.call_async("schedules.fetch", {"user_id": USER}, deadline_ms=now_ms() - 1)
    with pytest.raises(Failed):
        scheduler.call("scheduler.lease", {"user_id": USER})
    assert not late.done() and scheduler.store.received("store.schedule_due") == []
    assert counts(scheduler)["expired"] == 1


def test_message_to_another_generation_is_dropped(scheduler):
    stale = scheduler.call_async("schedules.fetch", {"user_id": USER}, to_generation=2)
    with pytest.raises(Failed):
        scheduler.call("scheduler.lease", {"user_id": USER}, to_generation=1)
    assert not stale.done() and scheduler.store.received("store.schedule_due") == []
    assert counts(scheduler)["stale"] == 1


@pytest.mark.parametrize("method", ["no.such", "jobs.search", "schedules.changed"])
def test_method_that_the_actor_has_not_is_unknown(telemetry, method):
    with pytest.raises(Failed) as refused:
        telemetry.call(method)
    assert refused.value.code == "unknown_method"


def test_casts_that_the_actor_has_not_are_ignored(scheduler):
    scheduler.cast("no.such")
    scheduler.cast("fetcher.replan")
    scheduler.cast("schedules.put", {"user_id": USER})
    scheduler.send({"v": 1, "kind": "cast", "ref": 0, "method": "fetcher.replan"}, {})  # no sender
    with pytest.raises(Failed):
        scheduler.call("scheduler.lease", {"user_id": USER})
    assert counts(scheduler)["malformed"] == 4


@pytest.mark.parametrize("body, field", [
    ({}, "user_id"),
    ({"user_id": 5, "search": {}}, "user_id"),
    ({"user_id": USER[:-1], "search": {}}, "user_id"),
    ({"user_id": USER, "search": {"text": "x" * 2049}}, "search.text"),
    ({"user_id": USER, "search": {}, "interval_s": 4}, "interval_s"),
])
def test_body_that_does_not_fit_is_refused_with_the_fields_name(scheduler, body, field):
    with pytest.raises(Failed) as refused:
        scheduler.call("schedules.put", body)
    assert (refused.value.code, refused.value.field) == ("bad_request", field)
    assert scheduler.store.received("store.schedule_put") == []


def test_body_that_does_not_parse_is_a_bad_request(scheduler):
    call = scheduler.call_async("schedules.fetch", {"user_id": USER}, to_generation=99)  # a ref
    scheduler.send_raw(msgpack.packb(scheduler.envelope("schedules.fetch", "call", ref=call.ref)),
                       b"\xc1\xff")
    with pytest.raises(Failed) as refused:
        call.result()
    assert refused.value.code == "bad_request"


def test_reply_that_does_not_fit_the_catalogue_is_answered_with_internal(telemetry):
    telemetry.tree[""] = {"pid": 1}  # a child without a name
    with pytest.raises(Failed) as refused:
        telemetry.call("tree.state")
    assert refused.value.code == "internal"


def test_trace_id_is_carried_on(scheduler):
    scheduler.store.answers["store.schedule_due"] = SCHEDULE
    scheduler.call("schedules.fetch", {"user_id": USER}, trace="trace-of-the-request")
    assert scheduler.store.received("store.schedule_due")[0].trace == "trace-of-the-request"
    assert scheduler.store.received("store.claim")[0].trace is None, "a timer has none"


def test_answer_for_a_caller_that_is_gone_is_dropped(door):
    gone = Visitor(door)
    gone.send("hh.state")
    asked = door.hh.next()
    gone.close()
    asked.reply(HH_STATE)
    door.visitor.hears_nothing(door)


# --- what is sent by somebody hostile or broken ---------------------------------------------------

def random_frames(generator):
    """Frames from nothing but noise to nearly right."""
    head = {"v": 1, "kind": generator.choice(["call", "cast", "reply", "error", "xxxx"]),
            "ref": generator.randrange(1 << 40, 1 << 62),
            "method": generator.choice(["tree.state", "tree.kill", "store.ping", "", "x" * 65])}
    for key in generator.sample(sorted(head), generator.randrange(3)):
        head[key] = generator.choice([None, -1, 1 << 63, 2.5, "", "\udc80", [], {}, True, b"\0\xff"])
    if generator.random() < 0.3:
        head[generator.choice(["deadline_ms", "ttl_ms", "trace", "from"])] = \
            generator.choice([0, 1, (1 << 63) - 1, "a", "b" * 65])
    packed = bytearray(msgpack.packb(head, unicode_errors="surrogatepass"))
    for _ in range(generator.randrange(4)):
        packed[generator.randrange(len(packed))] = generator.randrange(256)
    body = generator.choice([b"", b"\x80", msgpack.packb({"name": "nobody"}), b"\xdf\xff\xff\xff\xff",
                             b"\x91" * 600, generator.randbytes(generator.randrange(200))])
    return generator.choice([
        [bytes(packed), body], [bytes(packed), body], [bytes(packed)], [body, bytes(packed)],
        [bytes(packed), body, body], [b""] * generator.randrange(1, 9),
        [bytes(packed[:generator.randrange(len(packed))]), body], [b"\xc4" + bytes(3000), body]])


def test_no_frames_whatever_end_an_actor(telemetry):
    generator = random.Random(SEED)
    dealer = zmq.Context.instance().socket(zmq.DEALER)
    dealer.linger = 0
    dealer.connect(f"ipc://{telemetry.run_dir}/telemetry.1")
    for _ in range(3000):
        dealer.send_multipart(random_frames(generator))
        while dealer.poll(0):  # what is answered fits the protocol
            head, body = (msgpack.unpackb(f) for f in dealer.recv_multipart())
            assert head["kind"] in ("reply", "error") and isinstance(body, dict)
    dealer.close()
    assert [c["name"] for c in telemetry.call("tree.state")["children"]] == ["store"]
    assert counts(telemetry)["malformed"] > 100


def test_no_frames_whatever_end_the_door(door):
    generator = random.Random(SEED + 1)
    door.telemetry.answers = {"tree.state": Refuse("unavailable"), "tree.kill": Refuse("not_found")}
    for _ in range(3000):
        door.visitor.socket.send_multipart(random_frames(generator))
    ref = door.visitor.send("store.ping")
    while door.visitor.receive()[0] != ref:
        pass


def test_bytes_that_are_no_zeromq_do_not_hurt_the_door(door):
    generator = random.Random(SEED + 2)
    for start in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(8) + b"\x7f\x03\x00NULL"):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", door.visitor.port)) as raw:
                raw.sendall(start + generator.randbytes(generator.randrange(400)))
    # Until ZeroMQ has seen the last of it: 4.3.4 aborts when it closes in the middle of a handshake
    # with a peer of an old version (zmtp_engine.cpp, process_routing_id_msg).
    for _ in range(20):
        assert door.visitor.call("store.ping") == ("reply", {"db": "up"})


@pytest.mark.parametrize("method, kind, error, field", [
    ("store.claim", "call", "unknown_method", "method"),  # not for outsiders
    ("no.such", "call", "unknown_method", "method"),
    ("schedules.changed", "call", "unknown_method", "method"),
    ("store.ping", "cast", "bad_request", "kind"),
    ("store.ping", "reply", "bad_request", "kind"),
])
def test_door_takes_public_calls_only(door, method, kind, error, field):
    got, failure = door.visitor.call(method, kind=kind)
    assert (got, failure["error"], failure["field"]) == ("error", error, field)
    assert door.store.received() == []


def test_door_names_the_field_that_does_not_fit(door):
    kind, failure = door.visitor.call("jobs.search", {"text": "a", "per_page": 101})
    assert (failure["error"], failure["field"]) == ("bad_request", "per_page")


def test_door_says_when_a_message_is_too_large(door):
    kind, failure = door.visitor.call("jobs.search", {"text": "x" * (1 << 20)})
    assert (kind, failure["error"]) == ("error", "too_large")
    assert door.visitor.call("store.ping")[0] == "reply"


# --- the supervisor's treaty ----------------------------------------------------------------------

def cpu_ticks(actor):
    fields = Path(f"/proc/{actor.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def heartbeats_from_now(actor, count):
    have = len(actor.heartbeats)
    actor.wait_for(lambda: len(actor.heartbeats) >= have + count, 10, "heartbeats")
    return [when for when, _, _ in actor.heartbeats[have:have + count]]


def test_heartbeats_come_every_half_second(telemetry):
    beats = heartbeats_from_now(telemetry, 5)
    gaps = [later - earlier for earlier, later in zip(beats, beats[1:])]
    assert all(0.3 < gap < 0.8 for gap in gaps), gaps


def test_heartbeats_come_while_the_actor_is_busy(telemetry):
    done = []
    while len(done) < 4:
        calls = [telemetry.call_async("tree.state") for _ in range(400)]
        done += [heartbeats_from_now(telemetry, 1)[0]]
        for call in calls:
            call.result()
    gaps = [later - earlier for earlier, later in zip(done, done[1:])]
    assert all(gap < 1.4 for gap in gaps), gaps


def test_stop_finishes_what_was_accepted_and_takes_nothing_new(telemetry):
    telemetry.control = lambda packet: NO_ANSWER
    accepted = telemetry.call_async("tree.state")
    telemetry.wait_for(lambda: telemetry.requests(NEXT_CHILD))
    telemetry.terminate()
    telemetry.wait_for(lambda: "actor.stopping" in telemetry.log)
    new = telemetry.call_async("tree.state")
    before = cpu_ticks(telemetry)
    heartbeats_from_now(telemetry, 2)
    assert cpu_ticks(telemetry) - before < 20, "it must not spin on what it does not read"
    assert telemetry.running() and len(telemetry.requests(NEXT_CHILD)) == 1
    telemetry.control_send(type=REPLY, ref=telemetry.requests(NEXT_CHILD)[0].ref,
                           result=-ENOENT)
    assert accepted.result()["children"] == []
    assert telemetry.wait_exit() == 0 and not new.done()


def test_door_finishes_what_was_accepted_and_takes_nothing_new(door):
    ref = door.visitor.send("hh.state")
    asked = door.hh.next()
    door.terminate()
    door.wait_for(lambda: "actor.stopping" in door.log)
    door.visitor.send("store.ping")
    before = cpu_ticks(door)
    heartbeats_from_now(door, 2)
    assert cpu_ticks(door) - before < 20
    asked.reply(HH_STATE)
    assert door.visitor.receive() == (ref, "reply", HH_STATE)
    assert door.wait_exit() == 0 and door.store.received() == []


def test_idle_actor_stops_at_once(telemetry):
    start = time.monotonic()
    telemetry.stop()
    assert time.monotonic() - start < 1.5


def test_end_of_the_supervisor_is_the_end_of_the_actor(telemetry):
    telemetry.control = lambda packet: NO_ANSWER
    telemetry.call_async("tree.state")
    telemetry.wait_for(lambda: telemetry.requests(NEXT_CHILD))
    start = time.monotonic()
    telemetry.close_control()
    telemetry.wait_exit()
    assert time.monotonic() - start < 1


def test_actor_is_no_program_to_start_by_hand():
    done = subprocess.run([str(BUILD / "libexec/telemetry")], env={}, capture_output=True,
                          text=True)
    assert done.returncode == 64 and "ugtj server" in done.stderr


def test_broken_pipe_of_a_library_is_survived(telemetry):
    telemetry.signal(signal.SIGPIPE)
    telemetry.signal(signal.SIGINT)  # ctrl-C is the supervisor's
    assert telemetry.call("tree.state")["node"]


def test_unknown_control_packets_are_survived(telemetry):
    telemetry.control_send(type=99)
    telemetry.control_send(type=REPLY, ref=4711)
    telemetry.control_send(type=DOWN, name="x" * 64, reason="y" * 128)
    assert telemetry.call("tree.state")["node"]


def test_door_waits_for_its_port_and_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken, \
            Actor("door", settings={"ZMQ_PORT": taken.getsockname()[1]}) as door:
        door.start()
        assert "ZMQ_PORT" in door.wait_degraded()
        taken.close()
        door.wait_well()
        door.fake("store", {"store.ping": {"db": "up"}})
        visitor = Visitor(door)
        assert visitor.call("store.ping") == ("reply", {"db": "up"})
        visitor.close()
