"""The broadcaster alone, with a store in memory, and how its tests listen to it."""
import asyncio
import json
import socket
import time

import websockets
from support.fake_store import FakeStore
from support.harness import Actor

USER = "0f8fad5b-d9cb-469f-a165-70867728950e"
TOPIC = f"user:{USER}"
SOON = 5  # seconds in which what comes at once has come


class Broadcaster(Actor):
    """The actor with its store, and how to reach it."""

    def __init__(self, settings=None, run_dir=None, generation=1, store=None):
        super().__init__("broadcaster", settings={"WS_PORT": 0, **(settings or {})},
                         run_dir=run_dir, generation=generation)
        self.store = store or FakeStore()
        self.peer = self.fake("store", self.store.answer)

    @property
    def port(self):
        path = self.run_dir / "ws_port"
        return int(self.wait_for(lambda: path.exists() and path.read_text(), what="ws_port"))

    def url(self, query=f"clientId=c1&userId={USER}", path="/ws"):
        return f"ws://127.0.0.1:{self.port}{path}?{query}"

    def connect(self, query=f"clientId=c1&userId={USER}", **options):
        return websockets.connect(self.url(query), max_size=None, open_timeout=30, **options)

    def happen(self, topic=TOPIC, type="new_jobs", payload=None, bell=True):
        """An event is committed, and the bell rings."""
        event = self.store.add(topic, type, payload)
        if bell:
            self.cast("events.changed", event)
        return event["seq"]

    def raw(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=SOON)

    def state(self):
        return self.call("broadcaster.state")

    def wait_state(self, timeout=SOON, **expected):
        deadline = time.monotonic() + timeout
        while not expected.items() <= (state := self.state()).items():
            assert time.monotonic() < deadline, f"{state}, not {expected}"


async def hear(ws, timeout=SOON):
    return json.loads(await asyncio.wait_for(ws.recv(), timeout))


async def greeting(ws):
    message = await hear(ws)
    assert message["type"] == "connected", message
    return message


async def ask(ws, message):
    await ws.send(message if isinstance(message, str) else json.dumps(message))
    return await hear(ws)


async def event_ids(ws, count, timeout=30):
    """The event ids of the next `count` messages, all of which must be events."""
    return [(await hear(ws, timeout))["event_id"] for _ in range(count)]


async def nothing_more(ws):
    """A ping is answered before anything else comes: the queue is in order, so nothing was on its way."""
    assert (await ask(ws, {"type": "ping"}))["type"] == "pong"


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 100))
