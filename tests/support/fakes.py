"""Fake peers of an actor under test: see support/harness.py."""
import contextlib
import os
import time
from collections import deque

import msgpack
import zmq

TIMEOUT_S = 10  # how long a test waits for what should come at once


class Failed(Exception):
    """A call was answered with an error: code is of errors.def, failure the record."""

    def __init__(self, failure):
        super().__init__(failure)
        self.failure = failure
        self.code = failure.get("error")
        self.field = failure.get("field")
        self.message = failure.get("message")
        self.retry_after_ms = failure.get("retry_after_ms")


class Refuse:
    """Given back by an answer function: the call is answered with an error."""

    def __init__(self, error, message=None, **more):
        self.body = {"error": error, **({"message": message} if message else {}), **more}


NO_ANSWER = object()  # given back by an answer function: the caller hears nothing


class Request:
    """A call or cast that the actor sent to a fake peer."""

    def __init__(self, peer, identity, envelope, body, generation):
        self.peer, self.identity, self.envelope, self.body = peer, identity, envelope, body
        self.generation = generation  # of the fake that got it
        self.at = time.monotonic()

    def __repr__(self):
        return f"<{self.kind} {self.method} {self.body}>"

    @property
    def method(self):
        return self.envelope.get("method")

    @property
    def kind(self):
        return self.envelope.get("kind")

    @property
    def trace(self):
        return self.envelope.get("trace")

    def reply(self, body=None, ref=None):
        self._answer("reply", body or {}, ref)

    def refuse(self, error, message=None, **more):
        self._answer("error", Refuse(error, message, **more).body, None)

    def answer_raw(self, *frames):
        """Any frames at all, to the actor that asked."""
        self.peer.actor._do(lambda: self.peer._send(self.generation, [self.identity, *frames]))

    def _answer(self, kind, body, ref):
        envelope = {"v": 1, "kind": kind, "ref": self.envelope["ref"] if ref is None else ref,
                    "from": self.peer.name, "from_generation": self.generation}
        self.answer_raw(msgpack.packb(envelope), msgpack.packb(body))


class Fake:
    """Another actor, as far as the one under test can tell.

    answers: a dict, method -> reply body, Refuse, NO_ANSWER or function(Request) that gives one of
    them; or one function for all methods. What has no entry waits for next(). It may be replaced at
    any time. Functions run on the harness's thread and must not wait.
    """

    def __init__(self, actor, name, answers):
        self.actor, self.name = actor, name
        self.answers = answers if answers is not None else {}
        self.generation = 0
        self.is_up = False
        self.socket = None
        self.log = []           # every request that came, answered or not
        self._queue = deque()   # those that wait for next()

    def __repr__(self):
        return f"<fake {self.name}.{self.generation}>"

    def up(self, generation=None):
        """A new generation (default: the next) binds its mailbox and is announced."""
        self.actor._do(lambda: self._up(generation))
        return self

    def down(self, reason="killed by signal 9", of=None, own_fault=False):
        """It dies: of that request; or of nobody knows what, by a fault of its own; or is killed."""
        self.actor._do(lambda: self._down(reason, of, own_fault))
        return self

    def restart(self, reason="killed by signal 9", of=None, own_fault=False):
        return self.down(reason, of, own_fault).up()

    def next(self, method=None, timeout=TIMEOUT_S):
        """The oldest request (of that method) that no answers entry took. Waits for it."""
        def take():
            for request in self._queue:
                if method is None or request.method == method:
                    self._queue.remove(request)
                    return request
            return None
        return self.actor.wait_for(take, timeout, f"{self.name} is sent {method or 'something'}")

    def received(self, method=None):
        """All requests so far (of that method)."""
        with self.actor.changed:
            return [r for r in self.log if method is None or r.method == method]

    def wait_received(self, method, count=1, timeout=TIMEOUT_S):
        """Waits until count requests of that method have come; gives them all."""
        return self.actor.wait_for(
            lambda: (r := self.received(method)) and len(r) >= count and r, timeout,
            f"{self.name} is sent {method} {count} times")

    def _up(self, generation):
        assert not self.is_up, f"{self} is up already"
        self.generation = generation or self.generation + 1
        self.socket = self.actor._context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.sndhwm = self.socket.rcvhwm = 0
        self.socket.bind(f"ipc://{self.actor.run_dir}/{self.name}.{self.generation}")
        self.is_up = True
        self.actor._tell(self.name)

    def _down(self, reason, of=None, own_fault=False):
        if self.is_up:
            self.socket.close()
            self.socket, self.is_up = None, False
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.actor.run_dir / f"{self.name}.{self.generation}")
        more = {"value": int(own_fault or of is not None)}
        if of is not None:
            more["culprit"] = {"method": of.method, "from": of.envelope["from"],
                               "from_generation": of.envelope["from_generation"],
                               "message_ref": of.envelope["ref"]}
        self.actor._tell(self.name, reason, **more)

    def _send(self, generation, frames):
        if self.is_up and generation == self.generation:
            self.socket.send_multipart(frames)

    def _receive(self):
        identity, head, body = self.socket.recv_multipart()
        request = Request(self, identity, msgpack.unpackb(head), msgpack.unpackb(body),
                          self.generation)
        with self.actor.changed:
            self.log.append(request)
            answer = self.answers
            if isinstance(answer, dict):
                answer = answer.get(request.method)
            if answer is None:
                self._queue.append(request)
            self.actor.changed.notify_all()
        if answer is None:
            return
        if callable(answer):
            answer = answer(request)
        if request.kind == "cast" or answer is NO_ANSWER:
            return
        if isinstance(answer, Refuse):
            request.refuse(**answer.body)
        else:
            request.reply(answer)


class Neighbour(Fake):
    """A real actor in the same run directory, as the one under test is told of it: up(generation) and
    down() say what happened."""

    def _up(self, generation):
        self.generation, self.is_up = generation or self.generation + 1, True
        self.actor._tell(self.name)

    def _down(self, reason, of=None, own_fault=False):
        self.is_up = False
        self.actor._tell(self.name, reason, value=int(own_fault or of is not None))
