#!/usr/bin/python3
"""A complete client of the ZeroMQ door: searches, schedules a search, and reads the tree's state.

    apt-get install python3-zmq python3-msgpack
    ./docs/examples/zmq_client.py [--port 4002] [--text python]

A call is two frames, both msgpack: an envelope, and the body that docs/messages.md describes. The
answer comes back on the same socket with the same `ref`: kind `reply` with the reply's body, or kind
`error` with `error`, `message` and perhaps `field` and `retry_after_ms`.
"""
import argparse
import itertools
import sys
import time
import uuid

import msgpack
import zmq


class CallFailed(Exception):
    """The server answered with an error; `.failure` is its body."""

    def __init__(self, method, failure):
        super().__init__(f"{method}: {failure.get('error')} {failure.get('field', '')} "
                         f"{failure.get('message', '')}")
        self.failure = failure


class Core:
    """One connection to Core. Calls may overlap: each is matched to its answer by `ref`."""

    def __init__(self, port=4002, context=None):
        self.socket = (context or zmq.Context.instance()).socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self.refs = itertools.count(1)

    def send(self, method, body=None, ttl_ms=30000):
        """Sends a call and returns its ref."""
        ref = next(self.refs)
        envelope = {"v": 1, "kind": "call", "ref": ref, "method": method, "ttl_ms": ttl_ms}
        self.socket.send_multipart([msgpack.packb(envelope), msgpack.packb(body or {})])
        return ref

    def receive(self, timeout_ms):
        """Returns the next answer as (ref, kind, body)."""
        if not self.socket.poll(timeout_ms):
            raise TimeoutError(f"no answer within {timeout_ms} ms")
        envelope, body = (msgpack.unpackb(frame) for frame in self.socket.recv_multipart())
        return envelope["ref"], envelope["kind"], body

    def call(self, method, body=None, ttl_ms=30000):
        """Sends a call and waits for its own answer."""
        ref = self.send(method, body, ttl_ms)
        deadline = time.monotonic() + ttl_ms / 1000
        while True:
            left = max(0, deadline - time.monotonic())
            answered, kind, reply = self.receive(int(left * 1000))
            if answered != ref:
                continue  # the late answer of a call that was given up
            if kind == "error":
                raise CallFailed(method, reply)
            return reply

    def close(self):
        self.socket.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=4002)
    parser.add_argument("--text", default="python")
    options = parser.parse_args()
    core = Core(options.port)

    page = core.call("jobs.search", {"text": options.text, "per_page": 5})
    print(f"{page['found']} vacancies for {options.text!r}, the first {len(page['jobs'])}:")
    for job in page["jobs"]:
        print(f"  {job['id']}  {job['title']}  {job.get('salary') or ''}")

    user = str(uuid.uuid4())
    core.call("schedules.put", {"user_id": user, "search": {"text": options.text},
                                "interval_s": 3600})
    deadline = time.monotonic() + 30
    schedule = core.call("schedules.get", {"user_id": user})
    while schedule["runs"] == 0 and time.monotonic() < deadline:
        time.sleep(0.2)
        schedule = core.call("schedules.get", {"user_id": user})
    print(f"the schedule of {user}: {schedule['runs']} runs, {schedule['jobs_seen']} vacancies seen")
    core.call("schedules.delete", {"user_id": user})

    try:
        core.call("schedules.get", {"user_id": user})
    except CallFailed as refused:
        print(f"and now: {refused.failure['error']}")

    for child in core.call("tree.state")["children"]:
        print(f"  {child['name']:<20} {child['state']:<9} restarts={child['restarts']}")
    core.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
