"""The broadcaster alone, with a store in memory: what subscribers and the BFF hear, and what they don't
miss. A real WebSocket client (python3-websockets), real sockets, a real HTTP server."""
import asyncio
import json
import os
import random
import resource
import socket
import struct
import sys
import threading
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.broadcaster import (SOON, TOPIC, USER, Broadcaster, ask, event_ids, greeting,  # noqa: E402
                                 hear, nothing_more, run)
from support.fake_store import FakeStore  # noqa: E402
from support.harness import Refuse  # noqa: E402


@pytest.fixture
def broadcaster():
    with Broadcaster() as actor:
        yield actor.start()


# --- the protocol ----------------------------------------------------------------------------------

def test_greets_and_understands_the_clients_messages(broadcaster):
    async def scenario():
        async with broadcaster.connect() as ws:
            hello = await greeting(ws)
            assert hello["userId"] == USER and hello["message"]
            assert hello["last_event_id"] == 0
            assert await ask(ws, {"type": "register", "clientId": "c9"}) == {
                "type": "registered", "clientId": "c9"}
            assert await ask(ws, {"type": "register"}) == {"type": "registered", "clientId": "c1"}
            params = {"text": "Си", "area": ["1", None]}
            assert await ask(ws, {"type": "subscribe", "searchParams": params}) == {
                "type": "subscribed", "searchParams": params}
            assert (await ask(ws, {"type": "subscribe"}))["searchParams"] is None
            pong = await ask(ws, {"type": "ping"})
            assert pong["type"] == "pong" and pong["timestamp"].endswith("Z")
            for other in ({"type": "dance", "n": 1.5}, {"no": "type"}, [1, "two", None], 7, "text"):
                assert await ask(ws, json.dumps(other)) == {"type": "echo", "message": other}
            for text in ("", "{broken", "{} {}"):
                assert await ask(ws, text) == {"type": "echo", "message": text}
    run(scenario())


def test_a_client_without_user_is_greeted_and_hears_of_nothing(broadcaster):
    async def scenario():
        async with broadcaster.connect("clientId=c1") as ws:
            assert (await greeting(ws))["userId"] is None
            broadcaster.happen()
            assert (await ask(ws, {"type": "resume", "after": 0}))["type"] == "error"
            await nothing_more(ws)
        async with broadcaster.connect("userId=") as ws:
            assert (await greeting(ws))["userId"] is None
    run(scenario())
    assert not broadcaster.peer.received("store.events_tail")


def test_new_jobs_are_on_top_and_other_events_under_data(broadcaster):
    progress = {"workflow_id": "w", "completed": 1, "total": 2, "current_job": "x"}

    async def scenario():
        async with broadcaster.connect() as ws:
            await greeting(ws)
            broadcaster.happen(payload={"jobs": [{"id": "1", "title": "Ё"}], "stats": {"total": 1}})
            broadcaster.happen(type="application_progress", payload=progress)
            broadcaster.happen(payload=" {\n} ")
            broadcaster.happen(type='odd "type"\n', payload="[1]")
            stamp = "2023-11-14T22:13:20.00%dZ"
            assert await hear(ws) == {
                "type": "new_jobs", "jobs": [{"id": "1", "title": "Ё"}], "stats": {"total": 1},
                "event_id": 1, "timestamp": stamp % 1}
            assert await hear(ws) == {"type": "application_progress", "data": progress,
                                      "event_id": 2, "timestamp": stamp % 2}
            assert await hear(ws) == {"type": "new_jobs", "event_id": 3, "timestamp": stamp % 3}
            assert await hear(ws) == {"type": 'odd "type"\n', "data": [1],
                                      "event_id": 4, "timestamp": stamp % 4}
    run(scenario())


def http_status(broadcaster, request):
    with broadcaster.raw() as s:
        s.sendall(request)
        reply = b""
        while chunk := s.recv(4096):
            reply += chunk
        return int(reply.split()[1]), reply.decode()


UPGRADE = ("Host: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")


@pytest.mark.parametrize("status, head", [
    (404, "GET / HTTP/1.1\r\n" + UPGRADE),
    (404, "GET /ws/ HTTP/1.1\r\n" + UPGRADE),
    (404, "GET /health HTTP/1.1\r\nHost: x\r\n"),
    (426, "GET /ws HTTP/1.1\r\nHost: x\r\n"),
    (426, "GET /ws HTTP/1.1\r\n" + UPGRADE.replace("13", "8")),
    (405, "POST /ws HTTP/1.1\r\n" + UPGRADE),
    (400, "GET /ws HTTP/1.1\r\n" + UPGRADE.replace("dGhl", "!Ghl")),
    (400, "GET /ws HTTP/1.1\r\n" + UPGRADE + "Content-Length: 5\r\n"),
    (400, "GET /ws?userId=nobody HTTP/1.1\r\n" + UPGRADE),
    (400, f"GET /ws?userId={USER}0 HTTP/1.1\r\n" + UPGRADE),
    (400, f"GET /ws?userId={USER}&after=-1 HTTP/1.1\r\n" + UPGRADE),
    (400, f"GET /ws?userId={USER}&after=99999999999999999999 HTTP/1.1\r\n" + UPGRADE),
    (400, "GET /ws?clientId=%zz HTTP/1.1\r\n" + UPGRADE),
    (400, "GET /ws?clientId=%ff HTTP/1.1\r\n" + UPGRADE),
    (400, "\x16\x03\x01\x02\x00\x01\x00"),
    (414, "GET /ws?x=" + "a" * 5000 + " HTTP/1.1\r\n" + UPGRADE),
    (431, "GET /ws HTTP/1.1\r\nX: " + "a" * 9000 + "\r\n" + UPGRADE),
], ids=lambda value: str(value)[:30])
def test_refuses_what_is_no_request_for_a_websocket(broadcaster, status, head):
    got, text = http_status(broadcaster, (head + "\r\n").encode("latin-1"))
    assert got == status, text
    assert "connection: close" in text.lower()
    if status == 426:
        assert "Sec-WebSocket-Version: 13" in text
    broadcaster.wait_state(subscribers=0)


def test_an_upper_case_user_is_the_same_user(broadcaster):
    async def scenario():
        async with broadcaster.connect(f"userId={USER.upper()}") as ws:
            assert (await greeting(ws))["userId"] == USER
            broadcaster.happen()
            assert await event_ids(ws, 1) == [1]
    run(scenario())


# --- replay ----------------------------------------------------------------------------------------

def test_replays_what_came_after_in_order_and_goes_on_live(broadcaster):
    for _ in range(450):
        broadcaster.happen(bell=False)

    async def scenario():
        async with broadcaster.connect(f"userId={USER}&after=0") as all_, \
                broadcaster.connect(f"userId={USER}&after=447") as some, \
                broadcaster.connect(f"userId={USER}") as new:
            assert (await greeting(all_))["last_event_id"] == 450
            assert await event_ids(all_, 450) == list(range(1, 451))
            await greeting(some)
            assert await event_ids(some, 3) == [448, 449, 450]
            assert (await greeting(new))["last_event_id"] == 450
            await nothing_more(new)
            broadcaster.happen()
            for ws in (all_, some, new):
                assert await event_ids(ws, 1) == [451]
                await nothing_more(ws)
    run(scenario())


def test_replays_what_is_still_kept(broadcaster):
    for _ in range(20):
        broadcaster.happen(bell=False)
    broadcaster.store.forgotten[TOPIC] = 17

    async def scenario():
        async with broadcaster.connect() as live, broadcaster.connect(f"userId={USER}&after=0") as ws:
            await greeting(live)
            await greeting(ws)
            assert await event_ids(ws, 3) == [18, 19, 20]
            broadcaster.store.forgotten[TOPIC] = 20
            async with broadcaster.connect(f"userId={USER}&after=5") as late:
                await greeting(late)
                await nothing_more(late)
                broadcaster.happen()
                for one in (live, ws, late):
                    assert await event_ids(one, 1) == [21]
                    await nothing_more(one)
    run(scenario())
    reads = len(broadcaster.peer.received("store.events_read"))
    assert reads < 30, f"{reads} reads: it asks in circles for what is no longer kept"


def test_an_after_beyond_the_end_is_the_end(broadcaster):
    broadcaster.happen()

    async def scenario():
        async with broadcaster.connect(f"userId={USER}&after=1000") as ws:
            assert (await greeting(ws))["last_event_id"] == 1
            broadcaster.happen()
            assert await event_ids(ws, 1) == [2]
    run(scenario())


def test_resumes_on_an_open_connection(broadcaster):
    for _ in range(5):
        broadcaster.happen(bell=False)

    async def scenario():
        async with broadcaster.connect() as ws:
            await greeting(ws)
            assert await ask(ws, {"type": "resume", "after": 2}) == {
                "type": "resumed", "after": 2, "last_event_id": 5}
            assert await event_ids(ws, 3) == [3, 4, 5]
            broadcaster.happen()
            assert await event_ids(ws, 1) == [6]
            assert (await ask(ws, {"type": "resume", "after": 0}))["after"] == 0
            assert await event_ids(ws, 6) == [1, 2, 3, 4, 5, 6]
            for bad in (-1, 1.5, "1", None):
                assert (await ask(ws, {"type": "resume", "after": bad}))["type"] == "error"
            await nothing_more(ws)
    run(scenario())


def test_no_gap_and_no_repeat_while_events_happen_and_clients_come(broadcaster):
    total, topics = 3000, [f"user:{USER[:-1]}{d}" for d in "0123"]
    rng = random.Random(7)
    broadcaster.store.max_events = 37  # so that reads are cut short, and overlap

    def publish():
        for _ in range(total):
            for topic in topics:
                broadcaster.happen(topic, bell=rng.random() < 0.5)

    async def client(topic, delay):
        await asyncio.sleep(delay)  # not to wait for anything: clients come at different moments
        after = rng.choice([0, broadcaster.store.tail(topic) // 2, broadcaster.store.tail(topic)])
        async with broadcaster.connect(f"userId={topic[5:]}&after={after}") as ws:
            await greeting(ws)
            expected = after + 1
            while expected <= total:
                assert (await hear(ws, 20))["event_id"] == expected
                expected += 1
                if rng.random() < 0.0005:
                    ws_after = rng.randrange(expected)
                    await ws.send(json.dumps({"type": "resume", "after": ws_after}))
                    while (message := await hear(ws))["type"] != "resumed":
                        assert message["event_id"] == expected
                        expected += 1
                    assert message["after"] == ws_after
                    expected = ws_after + 1
            await nothing_more(ws)

    async def scenario():
        publisher = threading.Thread(target=publish)
        publisher.start()
        await asyncio.gather(*(client(t, rng.random()) for t in topics for _ in range(8)))
        publisher.join()
    run(scenario())


# --- when something fails --------------------------------------------------------------------------

def test_a_lost_bell_delays_an_event_by_seconds_only(broadcaster):
    async def scenario():
        async with broadcaster.connect() as ws:
            await greeting(ws)
            broadcaster.happen(bell=False)
            assert (await hear(ws, 8))["event_id"] == 1
    run(scenario())


def test_a_bell_for_all_topics_is_heard(broadcaster):
    async def scenario():
        async with broadcaster.connect() as ws:
            await greeting(ws)
            broadcaster.happen(bell=False)
            broadcaster.cast("events.changed", {"topic": "*", "seq": 0})
            assert await event_ids(ws, 1) == [1]
    run(scenario())


def test_a_store_that_is_down_costs_no_subscriber_and_no_event(broadcaster):
    async def scenario():
        async with broadcaster.connect() as ws:
            await greeting(ws)
            broadcaster.peer.down()
            for _ in range(3):
                broadcaster.happen()
            async with broadcaster.connect(f"userId={USER}&after=1") as late:
                hello = await greeting(late)
                assert "last_event_id" not in hello
                assert (await ask(late, {"type": "ping"}))["type"] == "pong"
                broadcaster.peer.up()
                assert await event_ids(ws, 3) == [1, 2, 3]
                assert await event_ids(late, 2) == [2, 3]
                await nothing_more(ws)
                await nothing_more(late)
    run(scenario())


@pytest.mark.parametrize("error", ["unavailable", "internal"])
def test_goes_on_after_the_store_refused(broadcaster, error):
    async def scenario():
        async with broadcaster.connect() as ws:
            await greeting(ws)
            broadcaster.store.broken["store.events_read"] = lambda: Refuse(error)
            broadcaster.happen()
            broadcaster.peer.wait_received("store.events_read", 2)
            broadcaster.store.broken.clear()
            assert (await hear(ws, 12))["event_id"] == 1
    run(scenario())


def test_a_restarted_broadcaster_is_found_again_and_nothing_is_missed(tmp_path):
    store = FakeStore()
    with Broadcaster(run_dir=tmp_path, store=store) as first:
        first.start()
        port = first.port

        async def before():
            async with first.connect() as ws:
                await greeting(ws)
                first.happen()
                assert await event_ids(ws, 1) == [1]
                first.kill()
                with pytest.raises(ConnectionClosed):
                    await hear(ws)
        run(before())
        first.check()
    store.add(TOPIC)
    with Broadcaster(run_dir=tmp_path, store=store, generation=2) as second:
        second.start()
        assert second.port == port

        async def after():
            async with second.connect(f"userId={USER}&after=1") as ws:
                assert (await greeting(ws))["last_event_id"] == 2
                assert await event_ids(ws, 1) == [2]
        run(after())


def test_waits_for_a_port_that_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with Broadcaster({"WS_PORT": port}) as actor:
            actor.start()
            assert str(port) in actor.wait_degraded()
            other.close()
            actor.wait_well()

            async def scenario():
                async with actor.connect() as ws:
                    await greeting(ws)
            run(scenario())


def test_out_of_descriptors_it_serves_those_that_it_has(broadcaster):
    async def scenario():
        async with broadcaster.connect() as ws:
            await greeting(ws)
            broadcaster.state()  # ZeroMQ's own connection is there: it aborts where it gets no descriptor
            open_now = len(os.listdir(f"/proc/{broadcaster.pid}/fd"))
            soft, hard = resource.prlimit(broadcaster.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(broadcaster.pid, resource.RLIMIT_NOFILE, (open_now + 2, hard))
            crowd = [broadcaster.raw() for _ in range(6)]
            broadcaster.wait_for(lambda: "ws.accept_paused" in broadcaster.log)
            broadcaster.happen()
            assert await event_ids(ws, 1) == [1]
            resource.prlimit(broadcaster.pid, resource.RLIMIT_NOFILE, (soft, hard))
            async with broadcaster.connect() as late:
                await greeting(late)
            for one in crowd:
                one.close()
    run(scenario())


# --- slow and hostile clients ----------------------------------------------------------------------

def shake_hands(broadcaster, query, receive_buffer=None):
    """A client of bare sockets, which reads only when it is told to."""
    s = socket.socket()
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.settimeout(SOON)
    s.connect(("127.0.0.1", broadcaster.port))
    s.sendall(f"GET /ws?{query} HTTP/1.1\r\n{UPGRADE}\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += s.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455, section 1.3
    return s


def frame(opcode, payload=b"", fin=True, mask=True, length=None):
    length = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if mask else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", length)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", length)
    if not mask:
        return head + payload
    key = b"\x01\x02\x03\x04"
    return head + key + bytes(c ^ key[i % 4] for i, c in enumerate(payload))


def read_exactly(s, n):
    data = b""
    while len(data) < n:
        chunk = s.recv(n - len(data))
        if not chunk:
            raise EOFError(data)
        data += chunk
    return data


def read_frame(s):
    first, second = read_exactly(s, 2)
    assert first & 0x80 and not second & 0x80
    length = second & 0x7f
    if length == 126:
        length, = struct.unpack(">H", read_exactly(s, 2))
    elif length == 127:
        length, = struct.unpack(">Q", read_exactly(s, 8))
    return first & 0x0f, read_exactly(s, length)


def close_code(s):
    """The code with which the server closes; other frames before it are skipped."""
    while True:
        opcode, payload = read_frame(s)
        if opcode == 8:
            return struct.unpack(">H", payload[:2])[0] if payload else None


def test_a_slow_reader_hurts_nobody_and_loses_nothing(broadcaster):
    total = 400
    text = "x" * 50_000

    async def scenario():
        slow = shake_hands(broadcaster, f"userId={USER}", receive_buffer=8192)
        async with broadcaster.connect() as quick:
            await greeting(quick)
            assert json.loads(read_frame(slow)[1])["type"] == "connected"
            worst = 0
            for n in range(1, total + 1):
                start = time.monotonic()
                broadcaster.happen(type="note", payload={"text": text})
                assert await event_ids(quick, 1) == [n]
                worst = max(worst, time.monotonic() - start)
            rss = memory_mb(broadcaster)
            print(f"quick one: at most {worst * 1000:.1f} ms an event; {rss} MB resident "
                  f"with {total * len(text) >> 20} MB behind the slow one")
            assert rss < 60 or sanitized(broadcaster), "the queue of the slow one is not bounded"
            for n in range(1, total + 1):
                opcode, payload = read_frame(slow)
                assert opcode == 1 and json.loads(payload)["event_id"] == n
            broadcaster.happen(type="note", payload={})
            assert json.loads(read_frame(slow)[1])["event_id"] == total + 1
            assert await event_ids(quick, 1) == [total + 1]
        slow.close()
    run(scenario())
    assert broadcaster.state()["slow_closed"] == 0


def sanitized(actor):
    """A sanitizer keeps freed memory: how much is resident says nothing."""
    return "libasan" in Path(f"/proc/{actor.pid}/maps").read_text()


def memory_mb(actor):
    status = Path(f"/proc/{actor.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) >> 10


def test_an_event_larger_than_the_queue_is_delivered(broadcaster):
    async def scenario():
        async with broadcaster.connect() as ws:
            await greeting(ws)
            for n in range(3):
                broadcaster.happen(type="note", payload='{"text":"%s"}' % ("ы" * 2_600_000))
            for n in range(3):
                message = await hear(ws, 20)
                assert message["event_id"] == n + 1 and len(message["data"]["text"]) == 2_600_000
    run(scenario())


@pytest.mark.parametrize("code, bytes_", [
    (1002, frame(1, b"{}", mask=False)),
    (1002, frame(3, b"reserved")),
    (1002, frame(0, b"continues nothing")),
    (1002, frame(9, b"x" * 126)),
    (1002, frame(9, b"", fin=False)),
    (1002, frame(1, b"a", fin=False) + frame(1, b"b")),
    (1002, b"\xc1\x80\x00\x00\x00\x00"),
    (1002, frame(8, struct.pack(">H", 1005))),
    (1003, frame(2, b"binary")),
    (1007, frame(1, b"\xff\xfe")),
    (1007, frame(1, "ё".encode()[:1], fin=False) + frame(0, b"x")),
    (1007, frame(1, "ё".encode()[:1])),
    (1009, frame(1, b"x" * 65537)),
    (1009, frame(1, b"x" * 40000, fin=False) + frame(0, b"x" * 40000)),
    (1009, frame(1, b"x", length=1 << 62)),
    (1000, frame(8, struct.pack(">H", 1000) + b"bye")),
], ids=lambda value: str(value)[:4])
def test_closes_with_the_code_that_fits(broadcaster, code, bytes_):
    with shake_hands(broadcaster, f"userId={USER}") as s:
        assert json.loads(read_frame(s)[1])["type"] == "connected"
        s.sendall(bytes_)
        assert close_code(s) == code
        if code != 1000:
            s.sendall(frame(8, struct.pack(">H", code)))
        assert s.recv(1) == b""
    broadcaster.wait_state(subscribers=0)


def test_takes_messages_in_pieces_with_pings_between(broadcaster):
    with shake_hands(broadcaster, f"userId={USER}") as s:
        read_frame(s)
        message = json.dumps({"type": "register", "clientId": "ё" * 20}, ensure_ascii=False).encode()
        pieces = (frame(1, message[:10], fin=False) + frame(9, b"are you there") +
                  frame(0, message[10:41], fin=False) + frame(0, b"", fin=False) +
                  frame(0, message[41:]) + frame(10, b"unasked"))
        for byte in pieces:
            s.sendall(bytes([byte]))
        assert read_frame(s) == (10, b"are you there")
        assert json.loads(read_frame(s)[1]) == {"type": "registered", "clientId": "ё" * 20}
        s.sendall(frame(1, b"y" * 65536))
        assert json.loads(read_frame(s)[1])["message"] == "y" * 65536


def test_frames_right_behind_the_request_are_heard(broadcaster):
    with broadcaster.raw() as s:
        s.sendall(f"GET /ws?userId={USER} HTTP/1.1\r\n{UPGRADE}\r\n".encode() +
                  frame(1, b'{"type":"ping"}') + frame(9, b"p"))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += read_exactly(s, 1)
        frames = [read_frame(s) for _ in range(3)]
        assert [json.loads(text)["type"] for opcode, text in frames if opcode == 1] == [
            "connected", "pong"]
        assert (10, b"p") in frames


def test_who_talks_and_never_listens_is_not_read_from(broadcaster):
    with shake_hands(broadcaster, f"userId={USER}", receive_buffer=8192) as s:
        s.settimeout(0.5)
        sent = 0
        message = frame(1, b"z" * 60000)
        with pytest.raises(TimeoutError):
            while sent < 1000:
                s.sendall(message)
                sent += 1
        assert memory_mb(broadcaster) < 40 or sanitized(broadcaster)
        assert broadcaster.state()["subscribers"] == 1


def test_a_request_that_does_not_end_is_given_up(broadcaster):
    with broadcaster.raw() as idle, broadcaster.raw() as half:
        half.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        start = time.monotonic()
        for s in (idle, half):
            s.settimeout(8)
            assert s.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert 4 < time.monotonic() - start < 7


def test_random_bytes_do_no_harm(broadcaster):
    rng = random.Random(int(os.environ.get("SEED", "11")))
    for _ in range(300):
        junk = rng.randbytes(rng.randrange(1, 3000))
        if rng.random() < 0.3:
            junk = b"GET /ws?" + junk.replace(b"\n", b"") + b" HTTP/1.1\r\n\r\n"
        with broadcaster.raw() as s:
            try:
                s.sendall(junk)
            except OSError:
                pass
    for _ in range(300):
        with shake_hands(broadcaster, f"userId={USER}") as s:
            try:
                for _ in range(rng.randrange(1, 6)):
                    s.sendall(frame(rng.choice([0, 1, 1, 2, 8, 9, 10, rng.randrange(16)]),
                                    rng.randbytes(rng.choice([0, 1, 2, 50, 125, 300])),
                                    fin=rng.random() < 0.7, mask=rng.random() < 0.9))
                s.sendall(rng.randbytes(rng.randrange(200)))
            except OSError:
                pass

    async def scenario():
        async with broadcaster.connect() as ws:
            await greeting(ws)
            broadcaster.happen()
            assert await event_ids(ws, 1) == [1]
    run(scenario())
    broadcaster.wait_state(8, subscribers=0)


# --- many ------------------------------------------------------------------------------------------

class Crowd:
    """Many clients of bare sockets in one thread: a client library would be what is measured."""

    def __init__(self, broadcaster, queries):
        self.sockets = []
        for query in queries:
            s = socket.create_connection(("127.0.0.1", broadcaster.port))
            s.sendall(f"GET /ws?{query} HTTP/1.1\r\n{UPGRADE}\r\n".encode())
            self.sockets.append(s)
        self.buffers = [b""] * len(self.sockets)
        for i in range(len(self.sockets)):
            self.read_until(i, b'"type":"connected"')

    def read_until(self, i, text, timeout=30):
        self.sockets[i].settimeout(timeout)
        while text not in self.buffers[i]:
            data = self.sockets[i].recv(65536)
            assert data, f"client {i} was closed"
            self.buffers[i] += data
        self.buffers[i] = self.buffers[i].split(text, 1)[1]

    def close(self):
        for s in self.sockets:
            s.close()


@pytest.mark.parametrize("topics", [1, 1000])
def test_a_thousand_subscribers_hear_of_an_event(broadcaster, topics):
    users = [f"{i:08x}{USER[8:]}" for i in range(topics)]
    start = time.monotonic()
    crowd = Crowd(broadcaster, [f"userId={users[i % topics]}" for i in range(1000)])
    came = time.monotonic() - start
    assert broadcaster.state()["subscribers"] == 1000
    payload = {"jobs": [{"id": str(i), "title": "A title of usual length", "description": "d" * 300}
                        for i in range(5)], "stats": {}}
    times = []
    for n in range(1, 6):
        start = time.monotonic()
        for user in users:
            broadcaster.happen(f"user:{user}", payload=payload)
        for i in range(1000):
            crowd.read_until(i, b'"event_id":%d,' % n)
        times.append(time.monotonic() - start)
    print(f"\n1000 subscribers of {topics} topics: connected and greeted in {came:.2f} s, an event "
          f"reached all in {', '.join(f'{t * 1000:.0f}' for t in times)} ms, "
          f"{memory_mb(broadcaster)} MB resident")
    assert min(times) < 3
    assert broadcaster.state()["sent"] == 5000
    crowd.close()
    broadcaster.wait_state(subscribers=0, topics=0)


# --- the end ---------------------------------------------------------------------------------------

def test_says_goodbye_to_everybody_and_stops_in_time():
    with Broadcaster() as actor:
        actor.start()
        stuck = shake_hands(actor, f"userId={USER}", receive_buffer=8192)
        half = actor.raw()
        for _ in range(100):
            actor.happen(type="note", payload={"text": "x" * 50_000})

        async def scenario():
            async with actor.connect() as ws:
                await greeting(ws)
                start = time.monotonic()
                actor.terminate()
                with pytest.raises(ConnectionClosed) as closed:
                    while True:
                        await hear(ws)
                assert closed.value.rcvd.code == 1001
                assert actor.wait_exit() == 0
                assert time.monotonic() - start < 2.5
        run(scenario())
        with pytest.raises(ConnectionRefusedError):
            actor.raw()
        stuck.close()
        half.close()
