"""The gateway alone: bodies, connections, deadlines, start and stop."""
import http.client
import json
import os
import random
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.gateway import JOB, SCHEDULE, SECRET, USER, Gateway, answers, refused, settings
from support.harness import NO_ANSWER, Actor

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
HEALTH = "/api/v1/system/health"


# --- bodies ----------------------------------------------------------------------------------------

def test_bodies_of_up_to_a_mebibyte(gateway):
    answers(gateway, "hh_client", "jobs.search", {"jobs": [], "found": 0, "page": 0, "pages": 0})
    mebibyte = b'{"x":"' + b"y" * (1048576 - 8) + b'"}'
    search = "/api/jobs/search"
    assert gateway.ask("POST", search, mebibyte)[0] == 200
    refused(gateway.ask("POST", search, mebibyte + b" "), 413, "too_large", "body")
    refused(gateway.ask("POST", search, mebibyte * 3), 413, "too_large", "body")


def chunked(gateway, chunks, end=b"0\r\n\r\n", secret=SECRET):
    head = (f"POST /api/jobs/search HTTP/1.1\r\nHost: x\r\nX-Core-Secret: {secret}\r\n"
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n").encode()
    return gateway.raw(head + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + end)


def test_bodies_without_a_length(gateway):
    answers(gateway, "hh_client", "jobs.search", {"jobs": [], "found": 0, "page": 0, "pages": 0})
    assert chunked(gateway, [b'{"te', b'xt":', b'"c"}']).startswith(b"HTTP/1.1 200 ")
    assert gateway.peers["hh_client"].log[0].body["text"] == "c"
    assert b" 413 " in chunked(gateway, [b"{" + b" " * 65535] + [b" " * 65536] * 16)
    assert b" 400 " in chunked(gateway, [b"{}"], end=b"zz\r\n")
    assert b" 401 " in chunked(gateway, [b"{}"], secret="wrong")


def test_expect_100_continue(gateway):
    answers(gateway, "hh_client", "jobs.search", {"jobs": [], "found": 0, "page": 0, "pages": 0})
    head = ("POST /api/jobs/search HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-Core-Secret: %s\r\n"
            "Expect: 100-continue\r\nConnection: close\r\n\r\n")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall((head % SECRET).encode())
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    assert b" 401 " in gateway.raw((head % "wrong").encode()), "nobody unknown is asked for a body"


def test_a_body_where_none_is_needed_is_ignored(gateway):
    answers(gateway, "store", "schedules.get", SCHEDULE)
    one = gateway.connect()
    for _ in range(3):
        assert gateway.ask("GET", f"/api/schedules/{USER}", b"not json", connection=one)[0] == 200
    one.close()


@pytest.mark.parametrize("headers", ids=range(7), argvalues=[
    "Content-Length: 2\r\nTransfer-Encoding: chunked", "Content-Length: 2\r\nContent-Length: 3",
    "Content-Length: 2x", "Content-Length: -2", "Content-Length: ", "Transfer-Encoding: gzip",
    "\r\n".join(f"X-{n}: x" for n in range(70)),
])
def test_unclear_headers_are_refused_and_the_connection_ends(gateway, headers):
    got = gateway.raw(f"POST /api/jobs/search HTTP/1.1\r\nHost: x\r\nX-Core-Secret: {SECRET}\r\n"
                      f"{headers}\r\n\r\n{{}}GET {HEALTH} HTTP/1.1\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 4") and got.count(b"HTTP/1.1 ") == 1, got
    assert b'"success":false' in got and b"Connection: close" in got


# --- request ids, connections ----------------------------------------------------------------------

def test_the_request_id_of_the_caller_is_kept_and_carried_on(gateway):
    answers(gateway, "store", "schedules.get", SCHEDULE)
    headers = gateway.ask("GET", f"/api/schedules/{USER}", X_Request_ID="abc-1")[1]
    assert headers["X-Request-ID"] == "abc-1"
    assert gateway.peers["store"].log[-1].trace == "abc-1"
    for bad in ("", "x" * 65, "with space", "кириллица".encode().decode("latin1")):
        headers = gateway.ask("GET", f"/api/schedules/{USER}", X_Request_ID=bad)[1]
        assert UUID4.fullmatch(headers["X-Request-ID"])
        assert gateway.peers["store"].log[-1].trace == headers["X-Request-ID"]


def test_connections_are_kept_alive(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    one = gateway.connect()
    for _ in range(20):
        _, headers, _ = gateway.ask("GET", HEALTH, connection=one)
        assert headers["Connection"] == "keep-alive" and "timeout" in headers["Keep-Alive"]
    assert gateway.ask("GET", "/nowhere", secret=None, connection=one)[0] == 401
    assert gateway.ask("GET", HEALTH, connection=one)[1]["Connection"] == "keep-alive"
    one.close()


def test_pipelined_requests_are_answered_in_order(gateway):
    answers(gateway, "hh_client", "jobs.get", lambda r: {"job": {**JOB, "id": r.body["id"]}})
    request = "GET /api/jobs/{} HTTP/1.1\r\nHost: x\r\nX-Core-Secret: " + SECRET + "\r\n{}\r\n"
    got = gateway.raw("".join(request.format(n, "Connection: close\r\n" if n == 5 else "")
                              for n in range(1, 6)).encode())
    assert re.findall(rb'"id":"(\d)"', got) == [b"1", b"2", b"3", b"4", b"5"]


@settings(HTTP_THREADS=4)
def test_idle_connections_do_not_keep_new_ones_out(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    idle = [gateway.connect() for _ in range(20)]
    began = time.monotonic()
    kept = [gateway.ask("GET", HEALTH, connection=c)[1]["Connection"] for c in idle]
    assert time.monotonic() - began < 3, "nobody waits for an idle connection to end"
    assert "keep-alive" in kept and "close" in kept
    for one in idle:
        one.close()


@settings(HTTP_THREADS=2)
def test_more_requests_than_may_wait_are_refused_at_once(gateway):
    waiting = [gateway.connect() for _ in range(2)]
    for one in waiting:
        one.request("GET", "/api/jobs/1", headers={"X-Core-Secret": SECRET})
    held = [gateway.peers["hh_client"].next("jobs.get") for _ in waiting]
    refused(gateway.ask("GET", "/api/jobs/2"), 503, "overloaded")
    answers(gateway, "store", "store.ping", {"db": "up"})
    assert gateway.ask("GET", HEALTH)[0] == 200, "health is still answered"
    for request in held:
        request.reply({"job": JOB})
    for one in waiting:
        assert one.getresponse().status == 200
        one.close()
    answers(gateway, "hh_client", "jobs.get", {"job": JOB})
    assert gateway.ask("GET", "/api/jobs/2")[0] == 200


class Shuffled:
    """Holds requests back and answers them in another order, each with what it asked for."""

    def __init__(self, clients):
        self.clients, self.held, self.lock = clients, [], threading.Lock()

    def __call__(self, request):
        with self.lock:
            self.held.append(request)
        self.release()
        return NO_ANSWER

    def client_ends(self):
        with self.lock:
            self.clients -= 1
        self.release()

    def release(self):
        with self.lock:
            if len(self.held) < min(16, self.clients):
                return
            batch, self.held = self.held, []
        random.shuffle(batch)
        for request in batch:
            request.reply({"job": {**JOB, "id": request.body["id"]}})


def test_sixty_four_clients_each_get_their_own_answers(gateway):
    shuffled, barrier = Shuffled(64), threading.Barrier(64)
    rounds = int(os.environ.get("UGTJ_ROUNDS", "30"))
    answers(gateway, "hh_client", "jobs.get", shuffled)

    def client(number):
        one = gateway.connect()
        barrier.wait()
        for n in range(rounds):
            job, request_id = str(number * 1000 + n), f"c{number}-{n}"
            status, headers, body = gateway.ask("GET", f"/api/jobs/{job}", connection=one,
                                                X_Request_ID=request_id)
            assert (status, body["job"]["id"]) == (200, job)
            assert headers["X-Request-ID"] == request_id
        one.close()
        shuffled.client_ends()

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(client, range(64)))
    log = gateway.peers["hh_client"].log
    assert len(log) == 64 * rounds
    for request in log:
        number, n = divmod(int(request.body["id"]), 1000)
        assert request.trace == f"c{number}-{n}"


# --- time ------------------------------------------------------------------------------------------

def test_a_request_waits_for_an_actor_that_restarts(gateway):
    store = gateway.peers["store"]
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(gateway.ask, "GET", f"/api/schedules/{USER}")
        store.next("schedules.get")
        store.down()
        store.up()
        store.next("schedules.get").reply(SCHEDULE)
        assert answer.result()[0] == 200


def test_a_request_waits_for_an_actor_that_is_not_up_yet(gateway):
    store = gateway.peers["store"].down()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(gateway.ask, "GET", f"/api/schedules/{USER}")
        gateway.wait_for(lambda: "store" in gateway.monitored)
        store.up().next("schedules.get").reply(SCHEDULE)
        assert answer.result()[0] == 200


def test_what_is_not_answered_ends_at_its_deadline(gateway):
    began = time.monotonic()
    refused(gateway.ask("GET", f"/api/schedules/{USER}"), 504, "timeout")
    assert 9.5 < time.monotonic() - began < 11
    gateway.peers["store"].next("schedules.get").reply(SCHEDULE)  # nobody waits for it any more
    answers(gateway, "store", "store.ping", {"db": "up"})
    assert gateway.ask("GET", HEALTH)[0] == 200


def test_a_client_that_hung_up_does_no_harm(gateway):
    """The client is gone when the answer comes."""
    one = gateway.connect()
    one.request("GET", f"/api/schedules/{USER}", headers={"X-Core-Secret": SECRET})
    held = gateway.peers["store"].next("schedules.get")
    one.close()
    held.reply(SCHEDULE)
    answers(gateway, "store", "store.ping", {"db": "up"})
    assert gateway.ask("GET", HEALTH)[0] == 200


def test_clients_that_send_half_a_request_are_let_go(gateway):
    began = time.monotonic()
    half_head = b"GET / HTTP/1.1\r\nHo"
    half_body = (f"POST /api/jobs/search HTTP/1.1\r\nX-Core-Secret: {SECRET}\r\n"
                 "Content-Length: 9\r\n\r\n{").encode()
    nothing = b""
    with ThreadPoolExecutor() as pool:
        got = list(pool.map(lambda data: gateway.raw(data, 20), (half_head, half_body, nothing)))
    assert time.monotonic() - began < 13
    assert b" 400 " in got[0]
    assert b" 400 " in got[1] and b'"field":"body"' in got[1]
    assert got[2] == b""


def test_random_bytes(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    seed = random.Random(7)
    for n in range(200):
        junk = seed.randbytes(seed.randrange(1, 3000))
        if n % 3 == 0:
            junk = b"GET /" + junk
        if n % 5 == 0:
            junk += b"\r\n\r\n"
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
            client.sendall(junk)
            client.shutdown(socket.SHUT_WR)
            try:
                got = client.recv(65536)
            except ConnectionResetError:
                continue
            assert got == b"" or got.startswith(b"HTTP/1.1 4") or got.startswith(b"HTTP/1.1 5"), got
    assert b" 400 " in gateway.raw(b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n")
    assert gateway.ask("GET", HEALTH)[0] == 200


# --- start and stop --------------------------------------------------------------------------------

def test_a_port_that_is_taken_is_waited_for():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with Gateway(PORT=port) as gateway:
            gateway.fake("store", {"store.ping": {"db": "up"}})
            gateway.start()
            assert "Address already in use" in gateway.wait_degraded()
            assert str(port) in gateway.degraded
            other.close()
            gateway.wait_well()
            assert gateway.port == port and gateway.ask("GET", HEALTH)[0] == 200


def test_stops_while_its_port_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with Gateway(PORT=other.getsockname()[1]) as gateway:
            gateway.start()
            gateway.wait_degraded()


def test_listens_on_the_same_port_again_after_a_kill(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    port = gateway.port
    busy = gateway.connect()
    gateway.ask("GET", HEALTH, connection=busy)
    gateway.kill()
    with Actor("gateway", generation=2, run_dir=gateway.run_dir, settings=gateway.settings) as again:
        again.fake("store", {"store.ping": {"db": "up"}}, generation=2)
        again.start()
        assert gateway.port == port
        assert gateway.ask("GET", HEALTH)[0] == 200
    busy.close()
    gateway.pid = None  # its end is not one in order, and was meant


def test_a_stop_answers_what_was_let_in(gateway):
    """Those that wait for an actor, those that the kernel let in, and those half sent."""
    store = gateway.peers["store"]
    waiting = [gateway.connect() for _ in range(10)]
    for one in waiting:
        one.request("GET", f"/api/schedules/{USER}", headers={"X-Core-Secret": SECRET})
    held = [store.next("schedules.get") for _ in waiting]
    idle = gateway.connect()
    answers(gateway, "store", "store.ping", {"db": "up"})
    assert gateway.ask("GET", HEALTH, connection=idle)[0] == 200
    half = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    half.sendall(f"GET {HEALTH} HTTP/1.1\r\n".encode())
    gateway.terminate()
    time.sleep(0.3)  # the stop goes on while nothing happens: there is no event to wait for
    assert gateway.running()
    half.sendall(b"Host: x\r\n\r\n")
    assert half.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert gateway.ask("GET", HEALTH, connection=idle)[1]["Connection"] == "close"
    for request in held:
        request.reply(SCHEDULE)
    for one in waiting:
        answer = one.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert json.loads(answer.read())["success"] is True
        one.close()
    assert gateway.wait_exit() == 0
    assert not (gateway.run_dir / "http_port").exists()
    half.close()
    idle.close()


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_a_stop_under_load_resets_nobody(gateway, connection):
    """Clients that ask and ask, on one connection or on a new one each time: all are answered, or not
    let in."""
    answers(gateway, "store", "store.ping", {"db": "up"})
    port, wrong, served, ending = gateway.port, [], [], threading.Event()

    def client():
        one = None
        while not ending.is_set():
            if one is None:
                one = http.client.HTTPConnection("127.0.0.1", port, timeout=0.5)
                try:
                    one.connect()
                except OSError:
                    return  # not let in: the stop has begun
            try:
                one.request("GET", HEALTH, headers={"Connection": connection})
                one.sock.settimeout(20)
                answer = one.getresponse()
                served.append(answer.status)
                assert answer.read()
            except (OSError, http.client.HTTPException) as error:
                wrong.append(repr(error))
                return
            if answer.headers["Connection"] == "close":
                one.close()
                one = None

    clients = [threading.Thread(target=client) for _ in range(16)]
    for one in clients:
        one.start()
    gateway.wait_for(lambda: len(served) > 200)
    gateway.terminate()
    assert gateway.wait_exit() == 0
    ending.set()
    for one in clients:
        one.join(20)
    if "gateway.not_hushed" in gateway.log:
        pytest.skip("this kernel lets no ordinary user attach a filter to a socket")
    assert wrong == [] and set(served) == {200}


def test_a_stop_is_quick_and_closes_idle_connections_in_order(gateway):
    answers(gateway, "store", "store.ping", {"db": "up"})
    idle = [gateway.connect() for _ in range(5)]
    for one in idle:
        assert gateway.ask("GET", HEALTH, connection=one)[1]["Connection"] == "keep-alive"
    began = time.monotonic()
    gateway.terminate()
    for one in idle:
        assert one.sock.recv(1) == b"", "the end of the stream, no reset"
        one.close()
    assert gateway.wait_exit() == 0
    assert time.monotonic() - began < 1.5


def test_a_stop_tells_who_waits_too_long_to_come_again(gateway):
    one = gateway.connect()
    one.request("GET", "/api/jobs/1", headers={"X-Core-Secret": SECRET})
    gateway.peers["hh_client"].next("jobs.get")
    began = time.monotonic()
    gateway.terminate()
    answer = one.getresponse()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert json.loads(answer.read())["error"] == "unavailable"
    one.close()
    assert gateway.wait_exit() == 0
    assert time.monotonic() - began < 7.5, "the supervisor's patience is 8 s"


def test_logs_no_secret_and_prints_nothing(gateway):
    refused(gateway.ask("GET", "/api/tree", secret="a-guess-of-somebody"), 401, "unauthorized")
    gateway.raw(b"\x16\x03\x01junk\r\n\r\n")
    gateway.signal(signal.SIGTERM)
    gateway.wait_exit()
    log = gateway.log
    assert SECRET not in log and "a-guess" not in log
    assert "gateway.refused from=127.0.0.1 secret=wrong" in log
    stamp = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info |warn |error) gateway\[")
    assert all(stamp.match(line) for line in log.splitlines()), log
