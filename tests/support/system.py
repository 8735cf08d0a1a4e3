"""The whole system as an operator starts it: a PostgreSQL cluster, the HH simulator and `ugtj server`,
each on free ports and in private folders; for the fault tests and the benchmarks."""
import asyncio
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgpack
import websockets
import zmq
from websockets.exceptions import WebSocketException

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("UGTJ_BUILD_DIR", ROOT / "build")).resolve()
SECRET = "orchestrator-secret-of-the-tests"
SANITIZER_REPORT = re.compile(r"ERROR: (AddressSanitizer|LeakSanitizer)|runtime error:|"
                              r"WARNING: ThreadSanitizer")


def wait_for(condition, timeout=30, what="", every=0.02):
    """Returns condition()'s first true value; fails the test at the deadline. Errors of the way there
    (a refused connection, say) count as not yet."""
    deadline = time.monotonic() + timeout
    last = None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
        except (OSError, TimeoutError, AssertionError, LookupError, ValueError) as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"not within {timeout} s: {what or condition} ({last!r})")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.raw = status, headers, body

    @property
    def json(self):
        return json.loads(self.raw)


def http(url, method="GET", body=None, headers=None, timeout=40):
    """One HTTP request; error statuses are answers, not exceptions."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={
        "Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


class Simulator:
    """tests/hh_sim as a process of its own."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", str(ROOT / "tests/hh_sim/hh_sim.py"), "--port", "0",
             *map(str, options)],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert "listening on" in line, f"the simulator did not start: {line!r}"
        self.url = line.split()[-1]

    def control(self, path, body=None, method=None):
        answer = http(f"{self.url}/_sim/{path}", method or ("GET" if body is None else "POST"), body)
        assert answer.status < 300, answer.raw
        return answer.json

    def publish(self, count=1, **fields):
        return self.control("vacancies", {"count": count, **fields})["ids"]

    def ids(self, query):
        return [str(i) for i in self.control(f"search_ids?{query}")["ids"]]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


class Door:
    """A client of the ZeroMQ door for one thread."""

    def __init__(self, port):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self.socket.connect(f"tcp://127.0.0.1:{port}")
        self.ref = 0

    def call(self, method, body=None, timeout=10):
        """Returns (kind, body) of the answer to this very call."""
        self.ref += 1
        self.socket.send_multipart([
            msgpack.packb({"v": 1, "kind": "call", "ref": self.ref, "method": method,
                           "ttl_ms": int(timeout * 1000)}),
            msgpack.packb(body or {})])
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not self.socket.poll(int(left * 1000)):
                raise TimeoutError(f"{method}: no answer within {timeout} s")
            head, reply = (msgpack.unpackb(f) for f in self.socket.recv_multipart())
            if head["ref"] == self.ref:
                return head["kind"], reply

    def close(self):
        self.socket.close()


class System:
    """`ugtj server` on its own database and simulator. postgres: tests/support/pg.py's cluster."""

    def __init__(self, postgres, simulator, **settings):
        self.postgres, self.simulator = postgres, simulator
        self.folder = tempfile.TemporaryDirectory(prefix="ugtj-")
        self.run_dir = Path(self.folder.name) / "run"
        self.log_path = Path(self.folder.name) / "log"
        self.environment = {
            **os.environ,
            "DATABASE_URL": postgres.url,
            "ORCHESTRATOR_SECRET": SECRET,
            "SECRET_KEY_BASE": "s" * 64,
            "ENCRYPTION_KEY": "e" * 32,
            "HH_BASE_URL": simulator.url, "HH_OAUTH_URL": simulator.url,
            "HH_TOKEN_URL": f"{simulator.url}/token",
            "HH_CLIENT_ID": "demo", "HH_CLIENT_SECRET": "demo-secret",
            "HH_REDIRECT_URI": "http://localhost:4000/auth/hh/callback",  # nobody goes there
            "HH_USER_AGENT": "UllGetTheJobTests/1.0 (tests@localhost.test)",
            "PORT": "0", "WS_PORT": "0", "ZMQ_PORT": "0",
            "RUN_DIR": str(self.run_dir), "HH_MAX_RPS": "200",
            "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=1",
            "LSAN_OPTIONS": f"suppressions={ROOT / 'tests/support/lsan.supp'}:print_suppressions=0",
            **{name: str(value) for name, value in settings.items()},
        }
        self.launcher = []  # what the server is run by: a program and its arguments
        self.process = None
        self.expected_deaths = 0

    def ugtj(self, *words, check=True):
        ports = {}
        if (self.run_dir / "zmq_port").exists():
            ports["ZMQ_PORT"] = str(self.zmq_port)
        done = subprocess.run([str(BUILD / "ugtj"), *words], capture_output=True, text=True,
                              env={**self.environment, **ports}, cwd=self.folder.name, timeout=60)
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done

    def start(self, timeout=60):
        self.ugtj("migrate")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*self.launcher, str(BUILD / "ugtj"), "server"],
                                            env=self.environment, cwd=self.folder.name,
                                            stdout=log, stderr=log)
        wait_for(lambda: self.health().status == 200, timeout, "a healthy system")
        return self

    def port(self, name):
        return int((self.run_dir / name).read_text())

    @property
    def zmq_port(self):
        return self.port("zmq_port")

    @property
    def ws_url(self):
        return f"ws://127.0.0.1:{self.port('ws_port')}/ws"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port('http_port')}"

    def request(self, path, method="GET", body=None, **headers):
        return http(self.url + path, method, body, {"X-Core-Secret": SECRET, **headers})

    def health(self):
        return self.request("/api/v1/system/health")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def door(self):
        return Door(self.zmq_port)

    def tree(self, door=None):
        """The children by name, as tree.state tells them. What a door had when it was killed is not
        answered, and the next one may have another port: so it is asked again."""
        for timeout in (2, 10):
            mine = door or self.door()
            try:
                kind, reply = mine.call("tree.state", timeout=timeout)
                break
            except TimeoutError:
                if timeout == 10:
                    raise
            finally:
                if door is None:
                    mine.close()
        assert kind == "reply", reply
        return {child["name"]: child for child in reply["children"]}

    def kill(self, name, signum=signal.SIGKILL, tree=None):
        """Sends the actor a signal, as an operator would; returns its row of before."""
        child = (tree or self.tree())[name]
        self.expected_deaths += 1
        os.kill(child["pid"], signum)
        return child

    def wait_restarted(self, before, timeout=20):
        name = before["name"]

        def restarted():
            now = self.tree().get(name)
            return now and now["generation"] > before["generation"] and now["state"] == "up" and now
        return wait_for(restarted, timeout, f"{name} up again")

    def stop(self, timeout=30):
        """Stops in order and checks that nothing is left: no process, no file, no report."""
        children = [c["pid"] for c in self.tree().values() if c["pid"]]
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        text = self.log()
        assert code == 0, f"exit code {code}\n{text[-3000:]}"
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()], "a process is left"
        left = list(self.run_dir.iterdir()) if self.run_dir.exists() else []
        assert left == [], f"files are left: {left}"
        self.check_log(text)

    def check_log(self, text=None):
        """A supervisor hides a crash: a sanitizer's report, or a death that the test did not announce
        in expected_deaths, fails the test."""
        text = self.log() if text is None else text
        report = SANITIZER_REPORT.search(text)
        assert report is None, text[max(0, report.start() - 200):report.start() + 6000]
        deaths = [line for line in text.splitlines() if " child.died " in line]
        assert len(deaths) <= self.expected_deaths, "\n".join(deaths[-20:])

    def close(self):
        """Ends whatever still runs, for a test that failed."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.folder.cleanup()


class Subscriber(threading.Thread):
    """A browser on /ws: keeps every event, and reconnects with `after` as the last one it saw."""

    def __init__(self, system, user, after=None):
        super().__init__(daemon=True)
        self.system, self.user, self.after = system, user, after
        self.events, self.greetings, self.problems = [], 0, []
        self.connected = threading.Event()
        self.ending = threading.Event()
        self.start()

    def run(self):
        asyncio.run(self.follow())

    async def follow(self):
        while not self.ending.is_set():
            try:
                after = "" if self.after is None else f"&after={self.after}"
                url = f"{self.system.ws_url}?clientId=tests&userId={self.user}{after}"
                async with websockets.connect(url, max_size=None) as socket:
                    await self.listen(socket)
            except (OSError, ValueError, WebSocketException, asyncio.TimeoutError):
                self.connected.clear()
                await asyncio.sleep(0.05)

    async def listen(self, socket):
        while not self.ending.is_set():
            try:
                message = json.loads(await asyncio.wait_for(socket.recv(), 0.2))
            except asyncio.TimeoutError:
                continue
            self.take(message)

    def take(self, message):
        if message["type"] == "connected":
            self.greetings += 1
            if self.after is None:
                self.after = message.get("last_event_id", 0)
            self.connected.set()
        elif message["type"] == "new_jobs":
            if message["event_id"] != self.after + 1:
                self.problems.append((self.after, message["event_id"]))
            self.after = message["event_id"]
            self.events.append(message)

    def job_ids(self):
        return [job["id"] for event in list(self.events) for job in event["jobs"]]

    def close(self):
        self.ending.set()
        self.join(10)
