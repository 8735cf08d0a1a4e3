"""One actor alone: this is the supervisor and all its peers, so that a test sees every message.

    with Actor("scheduler", settings={"MAX_FETCHERS": 5}) as scheduler:
        store = scheduler.fake("store", {"store.claim": {"leases": []}})
        scheduler.start()
        assert scheduler.call("schedules.fetch", {"user_id": USER}) == {...}

The actor is a program of UGTJ_BUILD_DIR/libexec (default: build), started in a run directory of its
own with nothing in its environment but the settings given. A thread serves its control socket
(proto/control.h) and the fake peers; the test's thread asks and waits. Leaving the block stops the
actor in order and fails when it does not end with 0, when a sanitizer reported something, or when
an answer function of the test raised.
"""
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from concurrent.futures import Future
from pathlib import Path

import msgpack
import zmq

from support.fakes import (NO_ANSWER, TIMEOUT_S, Failed, Fake,  # noqa: F401 (for the tests)
                           Neighbour, Refuse)
from support.treaty import (CONTROL_FD, DOWN, EEXIST, ENOENT, HEARTBEAT, MONITOR, NEXT_CHILD, PACKET_SIZE,
                            READY, REPLY, REQUESTS, START_CHILD, STARTING, TERMINATE_CHILD, UP,
                            VERSION, pack_packet, unpack_packet)

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("UGTJ_BUILD_DIR", ROOT / "build")).resolve()
SANITIZER_REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|"
                              r"WARNING: ThreadSanitizer")
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "LSAN_OPTIONS": f"suppressions={ROOT}/tests/support/lsan.supp",
    "TSAN_OPTIONS": f"exitcode=99:suppressions={ROOT}/tests/support/tsan.supp",
}

# --- the actor ---------------------------------------------------------------------------------

class Call(Future):
    """A call to the actor that is under way: .result(timeout) is the reply's body or raises Failed;
    .answers counts what came back for it."""

    def __init__(self, ref):
        super().__init__()
        self.ref, self.answers = ref, 0

    def result(self, timeout=TIMEOUT_S):
        return super().result(timeout)


class Actor:
    """One actor's process, its supervisor and its peers.

    program: in libexec. name: what the supervisor calls it (default: the program; a fetcher is
    "fetcher:USER"). settings: its environment. control: function(Packet) that answers its requests
    to the supervisor: a negative errno, 0, or a dict of the packet's fields (default: children()).
    A peer that no fake() was made for is reported down.
    """

    def __init__(self, program, name=None, generation=1, settings=None, control=None, run_dir=None):
        self.program, self.name, self.generation = program, name or program, generation
        self.settings = {k: str(v) for k, v in (settings or {}).items()}
        self.control = control or self.children
        self._own_dir = run_dir is None
        self.run_dir = Path(run_dir or tempfile.mkdtemp(prefix="ugtj-"))
        self.log_path = self.run_dir / f"{self.name}.{generation}.log"
        self.changed = threading.Condition(threading.RLock())
        self.peers = {}          # name -> Fake
        self.monitored = set()   # names that the actor asked news of
        self.tree = {}           # children(): name -> dict of packet fields
        self.packets = []        # everything it told the supervisor but heartbeats
        self.heartbeats = []     # (when, degraded, reason)
        self.problems = []       # what went wrong on the harness's thread
        self.pid = None
        self.exit_status = None  # negative: by that signal
        self._context = zmq.Context()
        self._calls = {}
        self._ref = 0
        self._dealer = None
        self._control_socket = None
        self._unsent = deque()  # packets for which the control socket has no room
        self._jobs = deque()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        self._ending = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    # --- life ---

    def start(self, wait_ready=True):
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LOG_LEVEL": "debug",
            "RUN_DIR": str(self.run_dir), **SANITIZER_OPTIONS,
            **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")},
            **self.settings,
            "UGTJ_ACTOR_NAME": self.name, "UGTJ_ACTOR_GENERATION": str(self.generation)}
        if ":" in self.name:
            environment["UGTJ_ACTOR_ARGUMENT"] = self.name.split(":", 1)[1]
        program = BUILD / "libexec" / self.program
        assert program.exists(), f"{program} is not built"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        # No fork in a program with threads; env changes the directory and becomes the actor.
        self.pid = os.posix_spawn(
            "/usr/bin/env", ["env", "--ignore-signal=INT", "-C", str(self.run_dir), str(program)],
            environment, file_actions=[
                (os.POSIX_SPAWN_DUP2, its.fileno(), CONTROL_FD),
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log_path), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2)])
        its.close()
        ours.setblocking(False)
        self._do(lambda: self._adopt(ours))
        if wait_ready:
            self.wait_ready()
        return self

    @property
    def ready(self):
        return any(p.type == READY for p in self.packets)

    def wait_ready(self, timeout=TIMEOUT_S):
        self.wait_for(lambda: self.ready or not self.running(), timeout, f"{self.name} is ready")
        assert self.ready, f"{self.name} ended with {self.exit_status} before it was ready:\n{self.log}"
        return self

    def running(self):
        """Whether the process lives; notes its exit status when it has ended."""
        with self.changed:
            if self.pid is not None and self.exit_status is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid == self.pid:
                    self.exit_status = os.waitstatus_to_exitcode(status)
        return self.pid is not None and self.exit_status is None

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait_exit()

    def terminate(self):
        self.signal(signal.SIGTERM)

    def wait_exit(self, timeout=TIMEOUT_S):
        """Waits for the end of the process; gives its exit status."""
        self.wait_for(lambda: not self.running(), timeout, f"{self.name} ends")
        return self.exit_status

    def stop(self, timeout=TIMEOUT_S):
        """SIGTERM, and all that must hold of an end in order."""
        self.terminate()
        self.wait_exit(timeout)
        self.check()
        assert self.exit_status == 0, f"{self.name} ended with {self.exit_status}:\n{self.log}"

    def check(self):
        """No sanitizer report, and nothing went wrong on the harness's thread."""
        log = self.log
        assert not SANITIZER_REPORT.search(log), f"{self.name}:\n{log}"
        assert not self.problems, "\n".join(self.problems)

    def close_control(self):
        """The supervisor is gone, as its child sees it."""
        self._do(self._drop_control)

    def close(self):
        """Kills what still runs and frees everything; nothing is checked."""
        if self.running():
            self.kill()
        self._do(self._close_sockets)
        self._ending = True
        self._wake()
        self._thread.join()
        self._context.term()
        os.close(self._wake_in)
        os.close(self._wake_out)
        if self._own_dir:
            shutil.rmtree(self.run_dir, ignore_errors=True)

    @property
    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def counts(self):
        """What the runtime counted, as the ended actor logged it."""
        line = [s for s in self.log.splitlines() if " actor.count " in s][-1]
        return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", line)}

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None and self.pid is not None and self.running():
                self.stop()
            elif kind is None:
                self.check()
            else:
                print(f"--- {self.name}\n{self.log}", "\n".join(self.problems), file=sys.stderr)
        finally:
            self.close()

    # --- the test's side ---

    def fake(self, name, answers=None, up=True, generation=None):
        """A peer called name; see Fake. up=False: the supervisor says that it is down."""
        peer = Fake(self, name, answers)
        self.peers[name] = peer
        if up:
            peer.up(generation)
        return peer

    def neighbour(self, name, generation=1):
        """A peer that is another Actor in the same run_dir; see Neighbour."""
        peer = self.peers[name] = Neighbour(self, name, None)
        return peer.up(generation)

    def call_async(self, method, body=None, **envelope):
        """Sends a call; gives a Call. envelope: ttl_ms, deadline_ms, trace, to_generation, ..."""
        with self.changed:
            self._ref += 1
            call = self._calls[self._ref] = Call(self._ref)
        self.send(self.envelope(method, "call", ref=call.ref, **envelope), body or {})
        return call

    def call(self, method, body=None, timeout=TIMEOUT_S, **envelope):
        """The reply's body; raises Failed, or TimeoutError when nothing comes."""
        return self.call_async(method, body, **envelope).result(timeout)

    def cast(self, method, body=None, **envelope):
        self.send(self.envelope(method, "cast", ref=0, **envelope), body or {})

    @staticmethod
    def envelope(method, kind, **more):
        return {"v": 1, "kind": kind, "method": method, "from": "test", **more}

    def send(self, envelope, body):
        self.send_raw(msgpack.packb(envelope), msgpack.packb(body))

    def send_raw(self, *frames):
        """Any frames at all, to the actor's mailbox."""
        self._do(lambda: self._mailbox().send_multipart(list(frames)))

    def wait_for(self, condition, timeout=TIMEOUT_S, what=""):
        """condition()'s first true value. Looked at again whenever something happens; it must not
        wait for the harness's thread itself (fake(), up(), call(), ...)."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                value = condition()
                if value:
                    return value
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"not within {timeout} s: {what or condition}")
                self.changed.wait(min(left, 0.05))

    def requests(self, kind=None):
        """What it asked of the supervisor so far: START_CHILD, ..."""
        with self.changed:
            return [p for p in self.packets if p.type in REQUESTS and kind in (None, p.type)]

    @property
    def degraded(self):
        """Why it is degraded; None while it is well (or has said nothing yet)."""
        with self.changed:
            return self.heartbeats[-1][2] if self.heartbeats and self.heartbeats[-1][1] else None

    def wait_degraded(self, timeout=TIMEOUT_S):
        return self.wait_for(lambda: self.degraded, timeout, f"{self.name} is degraded")

    def wait_well(self, timeout=TIMEOUT_S):
        self.wait_for(lambda: self.heartbeats and not self.degraded, timeout,
                      f"{self.name} is not degraded")

    def children(self, packet):
        """A supervisor that keeps its children in self.tree, name -> packet fields."""
        if packet.type == NEXT_CHILD:
            names = list(self.tree)
            if packet.value >= len(names):
                return -ENOENT
            return {"name": names[packet.value], **self.tree[names[packet.value]]}
        if packet.type == START_CHILD:
            if packet.name in self.tree:
                return -EEXIST
            self.tree[packet.name] = {"state": STARTING, "child_generation": 1,
                                      "supervisor": packet.name.split(":")[0] + "s"}
            return 0
        if packet.name not in self.tree:
            return -ENOENT
        if packet.type == TERMINATE_CHILD:
            del self.tree[packet.name]
        return 0

    def control_send(self, **fields):
        """Any packet at all, from the supervisor."""
        self._do(lambda: self._control_send(**fields))

    # --- the harness's thread; only it touches sockets ---

    def _do(self, job):
        """Runs job on the harness's thread and gives its result."""
        if threading.current_thread() is self._thread:
            return job()
        done = Future()
        self._jobs.append((job, done))
        self._wake()
        return done.result(TIMEOUT_S)

    def _wake(self):
        os.write(self._wake_out, b"x")

    def _adopt(self, control):
        self._drop_control()
        self._control_socket = control

    def _drop_control(self):
        if self._control_socket is not None:
            self._control_socket.close()
        self._control_socket = None
        self._unsent.clear()

    def _close_sockets(self):
        self._drop_control()
        for peer in self.peers.values():
            if peer.socket is not None:
                peer.socket.close()
                peer.socket, peer.is_up = None, False
        if self._dealer is not None:
            self._dealer.close()
            self._dealer = None

    def _mailbox(self):
        if self._dealer is None:
            self._dealer = self._context.socket(zmq.DEALER)
            self._dealer.linger = 0
            self._dealer.sndhwm = self._dealer.rcvhwm = 0
            self._dealer.connect(f"ipc://{self.run_dir}/{self.name}.{self.generation}")
        return self._dealer

    def _control_send(self, **fields):
        self._unsent.append(pack_packet(**fields))
        self._flush_control()

    def _flush_control(self):
        with contextlib.suppress(BlockingIOError):
            while self._unsent and self._control_socket is not None:
                with contextlib.suppress(ConnectionError):  # its end may be what the test is about
                    self._control_socket.send(self._unsent[0])
                self._unsent.popleft()

    def _tell(self, name, reason="never started", **more):
        if name not in self.monitored:
            return
        peer = self.peers.get(name)
        if peer is not None and peer.is_up:
            self._control_send(type=UP, name=name, generation=peer.generation)
        else:
            self._control_send(type=DOWN, name=name, reason=reason, **more,
                               generation=peer.generation if peer is not None else 0)

    def _on_control(self):
        try:
            raw = self._control_socket.recv(PACKET_SIZE + 1)
        except BlockingIOError:
            return
        except OSError:
            raw = b""
        if not raw:
            self._drop_control()
            return
        assert len(raw) == PACKET_SIZE, f"a control packet of {len(raw)} bytes"
        packet = unpack_packet(raw)
        assert packet.version == VERSION
        with self.changed:
            if packet.type == HEARTBEAT:
                self.heartbeats.append((time.monotonic(), bool(packet.value), packet.reason))
            else:
                self.packets.append(packet)
            self.changed.notify_all()
        if packet.type == MONITOR:
            self.monitored.add(packet.name)
            self._tell(packet.name)
        elif packet.type in REQUESTS:
            answer = self.control(packet)
            if answer is not NO_ANSWER:
                fields = answer if isinstance(answer, dict) else {"result": answer or 0}
                self._control_send(**{"name": packet.name, **fields, "type": REPLY,
                                      "ref": packet.ref})

    def _on_answer(self):
        head, body = (msgpack.unpackb(f, strict_map_key=False)
                      for f in self._dealer.recv_multipart())
        with self.changed:
            call = self._calls.get(head["ref"])
            assert call is not None, f"an answer to nothing: {head} {body}"
            call.answers += 1
            assert call.answers == 1, f"a second answer: {head} {body}"
            if head["kind"] == "reply":
                call.set_result(body)
            else:
                assert head["kind"] == "error", head
                call.set_exception(Failed(body))
            self.changed.notify_all()

    def _turn(self):
        """Waits for something and handles all that is there."""
        poller = zmq.Poller()
        poller.register(self._wake_in, zmq.POLLIN)
        if self._control_socket is not None:
            # As the supervisor does: nothing is read while what it should hear does not fit.
            poller.register(self._control_socket.fileno(),
                            zmq.POLLOUT if self._unsent else zmq.POLLIN)
        sockets = {p.socket: p for p in self.peers.values() if p.socket is not None}
        for one in [*sockets, *([self._dealer] if self._dealer is not None else [])]:
            poller.register(one, zmq.POLLIN)
        for source, _ in poller.poll():
            if source == self._wake_in:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_in, 4096)
            elif isinstance(source, int):
                self._flush_control() if self._unsent else self._on_control()
            elif source is self._dealer:
                self._on_answer()
            elif source in sockets and not source.closed:
                sockets[source]._receive()
        while self._jobs:
            job, done = self._jobs.popleft()
            try:
                done.set_result(job())
            except Exception as error:  # handed to the test's thread
                done.set_exception(error)

    def _serve(self):
        while not self._ending:
            try:
                self._turn()
            except Exception:  # fails the test in check()
                with self.changed:
                    self.problems.append(traceback.format_exc())
                    self.changed.notify_all()
