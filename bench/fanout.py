"""How fast an event reaches many subscribers: the broadcaster alone, with a store in memory.

    bench/fanout.py [SUBSCRIBERS] [EVENTS]

One topic. First single events, each sent when everybody has the one before: latency. Then a burst: every
event is there at once, so that many frames go with one write. The clients are bare sockets in this one
process, which is the slower side: the broadcaster's own work is what its CPU time says.
"""
import os
import resource
import selectors
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.fake_store import FakeStore  # noqa: E402
from support.harness import Actor  # noqa: E402

USER = "0f8fad5b-d9cb-469f-a165-70867728950e"
TOPIC = f"user:{USER}"
REQUEST = (f"GET /ws?userId={USER} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode()
PAYLOAD = {"jobs": [{"id": str(i), "title": "A title of usual length", "company": "A company",
                     "description": "d" * 300} for i in range(5)], "stats": {"new": 5}}


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Crowd:
    def __init__(self, port, count):
        self.selector = selectors.DefaultSelector()
        self.bytes = 0
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", port))
            s.sendall(REQUEST)
            data = b""
            while b'"type":"connected"' not in data or not data.endswith(b"}"):
                data += s.recv(4096)
            s.setblocking(False)
            self.selector.register(s, selectors.EVENT_READ)

    def first_frame(self):
        """Reads one subscriber's next frame; gives its size."""
        s = next(iter(self.selector.get_map().values())).fileobj
        s.setblocking(True)
        head = s.recv(4, socket.MSG_WAITALL)
        assert head[1] == 126, "frames of 126 to 65535 bytes are measured"
        length = int.from_bytes(head[2:], "big")
        s.recv(length, socket.MSG_WAITALL)
        s.setblocking(False)
        return 4 + length

    def read(self, total):
        """Reads until all of them together have got so many bytes; gives the moments of arrival."""
        end = self.bytes + total
        moments = []
        while self.bytes < end:
            for key, _ in self.selector.select(10):
                n = len(key.fileobj.recv(1 << 20))
                assert n, "a subscriber was closed"
                self.bytes += n
                moments.append(time.monotonic())
        return moments


def main(count, events):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    store = FakeStore()
    with Actor("broadcaster", settings={"WS_PORT": 0, "LOG_LEVEL": "info"}) as actor:
        actor.fake("store", store.answer)
        actor.start()
        path = actor.run_dir / "ws_port"
        actor.wait_for(lambda: path.exists() and path.read_text())
        started = time.monotonic()
        crowd = Crowd(int(path.read_text()), count)
        print(f"{count} subscribers connected and greeted in {time.monotonic() - started:.2f} s")

        actor.cast("events.changed", store.add(TOPIC, payload=PAYLOAD))
        size = crowd.first_frame()
        crowd.read(size * (count - 1))

        cpu, first, last = cpu_s(actor.pid), [], []
        rounds = 30
        for _ in range(rounds):
            began = time.monotonic()
            actor.cast("events.changed", store.add(TOPIC, payload=PAYLOAD))
            moments = crowd.read(frame_size(size, store) * count)
            first.append(moments[0] - began)
            last.append(moments[-1] - began)
        cpu = cpu_s(actor.pid) - cpu
        print(f"single events of {size} bytes: the first subscriber has it after "
              f"{median(first):.2f} ms, the last after {median(last):.2f} ms (medians of {rounds}); "
              f"{cpu / rounds / count * 1e6:.1f} us of the broadcaster's CPU a delivery")

        cpu, began, total = cpu_s(actor.pid), time.monotonic(), 0
        for _ in range(events):
            bell = store.add(TOPIC, payload=PAYLOAD)
            total += frame_size(size, store)
        actor.cast("events.changed", bell)
        crowd.read(total * count)
        took, cpu = time.monotonic() - began, cpu_s(actor.pid) - cpu
        print(f"{events} at once: {events * count / took:,.0f} deliveries/s, "
              f"{total * count / took / 1e6:,.0f} MB/s; "
              f"{cpu / events / count * 1e6:.1f} us of CPU a delivery")


def frame_size(size, store):
    """An event's frame: its id and its time have more digits as they grow."""
    event = store.topics[TOPIC][-1]
    return size + len(str(event["seq"])) - 1


def median(seconds):
    return sorted(seconds)[len(seconds) // 2] * 1000


if __name__ == "__main__":
    main(*(int(n) for n in [*sys.argv[1:], 1000, 500][:2]))
