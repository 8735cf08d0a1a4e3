"""The supervisor over a tree of test children (tests/support/test_tree.c, test_child.c).

What a test sees is what an operator sees: the log, as events, and the processes; and what an actor
sees: packets of proto/control.h, by way of the child `probe`."""
import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from support.system import BUILD, ROOT, Door  # noqa: E402, F401
from support.treaty import VERSION  # noqa: E402

PROGRAM = BUILD / "tests/supervisor/test_tree"
SANITIZED = b"__asan_init" in PROGRAM.read_bytes()
TIMEOUT = int(os.environ.get("TEST_PATIENCE_S", "30"))

READY, HEARTBEAT, MONITOR, START_CHILD, TERMINATE_CHILD, KILL_CHILD, NEXT_CHILD, NEXT_CRASH, CRASH_FRAME, \
    RESTART_CHILD, DELETE_CHILD, RENEW_CHILD, UP, DOWN, REPLY = range(1, 16)
WAIT = 1
DEATHS = ["exit", "signal", "heartbeat", "memory", "start", "treaty", "stop", "requested"]
STATES = ["stopped", "waiting", "starting", "up", "degraded", "stopping", "backoff", "quarantined"]


class Child(ctypes.Structure):
    _fields_ = [("supervisor", ctypes.c_char * 64), ("generation", ctypes.c_uint64),
                ("pid", ctypes.c_int64), ("up_since_ms", ctypes.c_int64),
                ("restarts", ctypes.c_uint64), ("state", ctypes.c_uint32),
                ("is_supervisor", ctypes.c_uint32), ("is_dynamic", ctypes.c_uint32),
                ("deleted", ctypes.c_uint32)]


class Message(ctypes.Structure):
    _fields_ = [("method", ctypes.c_char * 64), ("sender", ctypes.c_char * 64),
                ("trace", ctypes.c_char * 72), ("from_generation", ctypes.c_uint64),
                ("ref", ctypes.c_int64), ("since_ms", ctypes.c_int64)]


class Crash(ctypes.Structure):
    _fields_ = [("message", Message), ("doing", ctypes.c_char * 16), ("at_ms", ctypes.c_int64),
                ("uptime_ms", ctypes.c_int64), ("pid", ctypes.c_int64), ("death", ctypes.c_uint32),
                ("code", ctypes.c_int32), ("was_up", ctypes.c_uint32), ("blamed", ctypes.c_uint32),
                ("frame_count", ctypes.c_uint32), ("reserved", ctypes.c_uint32)]


class Either(ctypes.Union):
    _fields_ = [("child", Child), ("crash", Crash)]


class Packet(ctypes.Structure):
    _anonymous_ = ("either",)
    _fields_ = [("version", ctypes.c_uint16), ("type", ctypes.c_uint16), ("ref", ctypes.c_uint32),
                ("generation", ctypes.c_uint64), ("value", ctypes.c_int64),
                ("result", ctypes.c_int32), ("reserved", ctypes.c_uint32),
                ("name", ctypes.c_char * 64), ("reason", ctypes.c_char * 128), ("either", Either)]


class Event:
    """A line of the log."""

    def __init__(self, line):
        words = line.split(None, 4)
        self.line, self.event = line, words[3] if len(words) > 3 else ""
        self.at = time.monotonic()
        pairs = re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', words[4] if len(words) > 4 else "")
        self.fields = {key: quoted or plain for key, quoted, plain in pairs}

    def __getattr__(self, key):
        try:
            return self.fields[key]
        except KeyError:
            raise AttributeError(key) from None

    def matches(self, event, fields):
        return self.event == event and all(self.fields.get(k) == str(v) for k, v in fields.items())

    def __repr__(self):
        return self.line


class Tree:
    """A running test_tree. behaviours: what children do, by name; settings: environment."""

    def __init__(self, tree, behaviours=None, folder=None, limits=None, program=PROGRAM,
                 **settings):
        self.tree, self.settings = tree, settings
        self.own_folder = None if folder else tempfile.TemporaryDirectory(prefix="ugtj-sup-")
        self.folder = Path(folder or self.own_folder.name)
        self.run_dir = self.folder / "run"
        self.behaviour_dir = self.folder / "behaviour"
        self.behaviour_dir.mkdir(exist_ok=True)
        self.events, self.news = [], threading.Condition()
        self.position = 0
        self.connection, self.ref, self.told = None, 0, []
        for name, words in (behaviours or {}).items():
            self.behave(name, words)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.folder / f"probe{id(self)}"))
        self.listener.listen()
        self.behave("probe", "probe")
        self.process = subprocess.Popen(
            [str(program), tree or str(self.run_dir)], stderr=subprocess.PIPE, text=True, errors="replace",
            preexec_fn=lambda: [resource.setrlimit(*one) for one in (limits or {}).items()],
            env={**os.environ, "RUN_DIR": str(self.run_dir), "BEHAVIOUR_DIR": str(self.behaviour_dir),
                 "PROBE_SOCKET": self.listener.getsockname(),
                 **{k: str(v) for k, v in settings.items()}})
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def behave(self, name, words=None):
        """What the child does from its next start on; None: nothing wrong."""
        path = self.behaviour_dir / name
        if words is None:
            path.unlink(missing_ok=True)
        else:
            path.with_suffix(".new").write_text(words)
            path.with_suffix(".new").rename(path)

    def read(self):
        for line in self.process.stderr:
            with self.news:
                self.events.append(Event(line.rstrip("\n")))
                self.news.notify_all()

    # --- the log

    def expect(self, event, timeout=TIMEOUT, anywhere=False, **fields):
        """The first line after the last expected one (or anywhere) that matches; waits for it."""
        deadline = time.monotonic() + timeout
        with self.news:
            while True:
                for i in range(0 if anywhere else self.position, len(self.events)):
                    if self.events[i].matches(event, fields):
                        self.position = max(self.position, i + 1)
                        return self.events[i]
                left = deadline - time.monotonic()
                if left <= 0 or not self.news.wait(left):
                    raise AssertionError(f"no {event} {fields}\n{self.text()}")

    def all(self, event, **fields):
        with self.news:
            return [e for e in self.events if e.matches(event, fields)]

    def names(self, event):
        return [e.fields.get("name") for e in self.all(event)]

    def text(self):
        return "\n".join(e.line for e in self.events)

    def up(self):
        self.expect("tree.up", anywhere=True)
        return self

    # --- processes

    def pid(self, name):
        return int(self.all("child.start", name=name)[-1].pid)

    def kill(self, name, signum=signal.SIGKILL):
        os.kill(self.pid(name), signum)

    def kill_and_wait(self, name):
        """Kills the child and waits until it is up again."""
        self.kill(name)
        self.expect("child.died", name=name)
        return self.expect("child.up", name=name)

    def children(self):
        """The pids that were ever started and still live."""
        return [int(e.pid) for e in self.all("child.start") if alive(int(e.pid))]

    def stop(self, signum=signal.SIGTERM, code=0):
        """Stops in order, and leaves nothing behind."""
        self.process.send_signal(signum)
        return self.wait(code)

    def wait(self, code):
        try:
            got = self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end\n{self.text()}") from None
        self.reader.join(TIMEOUT)
        assert got == code, f"exit code {got}\n{self.text()}"
        assert self.children() == [], f"processes are left\n{self.text()}"
        assert list(self.run_dir.iterdir()) == [], "files are left"
        return self

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(TIMEOUT)
        assert not self.reader.is_alive(), "somebody outlived the supervisor, and holds its log open"
        self.process.stderr.close()
        self.listener.close()
        if self.connection is not None:
            self.connection.close()
        assert not re.search(r"Sanitizer|runtime error:", self.text()), self.text()
        if self.own_folder:
            self.own_folder.cleanup()

    # --- control packets, by way of the probe

    def send(self, kind, name="", value=0, ref=0):
        if self.connection is None:
            self.listener.settimeout(TIMEOUT)
            self.connection, _ = self.listener.accept()
            self.connection.settimeout(TIMEOUT)
        self.connection.send(bytes(Packet(version=VERSION, type=kind, ref=ref, name=name.encode(),
                                          value=value)))

    def receive(self):
        return Packet.from_buffer_copy(self.connection.recv(ctypes.sizeof(Packet)))

    def request(self, kind, name="", value=0):
        """The reply to a request; news that come before it are kept."""
        self.ref += 1
        self.send(kind, name, value, self.ref)
        while True:
            packet = self.receive()
            if packet.type == REPLY:
                assert packet.ref == self.ref
                return packet
            self.told.append(packet)

    def ask(self, kind, name, value=0):
        return self.request(kind, name, value).result

    def monitor(self, name):
        """Monitors; returns what holds now."""
        self.send(MONITOR, name)
        return self.hear(name)

    def hear(self, name):
        """The next news of name as (kind, generation, reason)."""
        while True:
            for packet in self.told:
                if packet.name.decode() == name:
                    self.told.remove(packet)
                    kind = {UP: "up", DOWN: "down"}[packet.type]
                    return kind, packet.generation, packet.reason.decode()
            self.told.append(self.receive())

    def status(self):
        """All children by name, as NEXT_CHILD tells them."""
        rows = {}
        for i in range(100000):
            reply = self.request(NEXT_CHILD, value=i)
            if reply.result < 0:
                return rows
            rows[reply.name.decode()] = reply
        raise AssertionError("the tree has no end")

    def crashes(self, name=None):
        """The reports of deaths (of name): packets of NEXT_CRASH, each with .frames."""
        reports, number = [], 1
        while True:
            reply = self.request(NEXT_CRASH, value=number)
            if reply.result < 0:
                return [r for r in reports if name in (None, r.name.decode())]
            reply.frames = [self.request(CRASH_FRAME, value=reply.value * 32 + i).reason.decode()
                            for i in range(reply.crash.frame_count)]
            reports.append(reply)
            number = reply.value + 1

    def state(self, name):
        return STATES[self.status()[name].child.state]

    def until_state(self, name, state):
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            row = self.status().get(name)
            if (row and STATES[row.child.state]) == state:
                return row
        raise AssertionError(f"{name} is not {state}\n{self.text()}")


def fields_of(pid):
    """Of /proc/PID/stat, from the state letter on."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def stat_of(pid):
    """The state letter of a process, None when there is none."""
    try:
        return fields_of(pid)[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid):
    """Whether the process is there and no zombie."""
    return stat_of(pid) not in (None, "Z")


def until(condition, timeout=TIMEOUT):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


@pytest.fixture
def start():
    """start(tree, behaviours, **settings) runs a tree that ends with the test."""
    trees = []

    def begin(tree, behaviours=None, **settings):
        trees.append(Tree(tree, behaviours, **settings))
        return trees[-1]
    yield begin
    for one in reversed(trees):
        one.close()


@pytest.fixture
def actors(start):
    """Real actors, hh_client being tests/support/test_actor.c, and a client of their door."""
    tree = start("actors", ZMQ_PORT=0, LOG_LEVEL="debug").up()
    tree.door = Door(int((tree.run_dir / "zmq_port").read_text()))
    yield tree
    tree.door.close()
