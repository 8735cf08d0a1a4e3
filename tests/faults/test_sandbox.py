"""What an actor may not do, it cannot: each is made to try, in its own process, from two of its threads."""
import ctypes
import errno
import os
import signal
import socket
import subprocess
import uuid
from pathlib import Path

import pytest
from support.system import BUILD, Simulator, System, wait_for

INJECT = BUILD / "tests/supervisor/inject_syscall"
CALLS = {"read": 0, "open": 2, "connect": 42, "socket": 41, "listen": 50, "clone": 56, "fork": 57,
         "execve": 59, "kill": 62, "ptrace": 101, "setuid": 105, "mount": 165, "clone3": 435}  # x86-64
STREAM, DATAGRAM, RAW = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW
CREATE = os.O_CREAT | os.O_WRONLY
SANITIZED = b"__asan_init" in (BUILD / "ugtj").read_bytes()

LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1)  # the kernel's version of it; -1: none
TO_CONNECT = 4  # the first one that knows of connections

# What the specs declare.
CONNECT, LISTEN, READ = "connect", "listen", "read"
ACTORS = {"store": {CONNECT, READ}, "hh_client": {CONNECT}, "broadcaster": {CONNECT, LISTEN},
          "gateway": {LISTEN}, "door": {LISTEN}, "telemetry": set(), "rate_limiter": set(),
          "scheduler": set(), "submitter": set(), "fetcher": set()}

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="knows one machine's registers")


@pytest.fixture(scope="module")
def running(cluster, tmp_path_factory):
    """A system that nothing is done to but this."""
    name = f"test_{uuid.uuid4().hex}"
    cluster.create_database(name)
    cluster.database = name
    simulator = Simulator("--vacancies", 50, "--max-rps", 0)
    one = System(cluster, simulator)
    try:
        one.start()
        user = str(uuid.uuid4())
        one.request(f"/api/schedules/{user}", "PUT", {"search": {"text": "python"}, "interval_s": 3600})
        wait_for(lambda: one.tree()[f"fetcher:{user}"]["state"] == "up", 20, "the fetcher")
        one.home = tmp_path_factory.mktemp("home")
        (one.home / "letters").write_text("private")
        one.listener = socket.create_server(("127.0.0.1", 0))
        yield one
        one.stop()
    finally:
        one.close()
        simulator.stop()
        cluster.drop_database(name)


def pid_of(system, actor):
    return next(child["pid"] for name, child in system.tree().items() if name.split(":")[0] == actor)


def threads_of(pid):
    """The main thread and one of the others."""
    return sorted(int(one.name) for one in Path(f"/proc/{pid}/task").iterdir())[:2]


def inject(tid, call, *arguments):
    """What the call returns in that thread: a number, or the name of an error."""
    for _ in range(100):
        done = subprocess.run([INJECT, str(tid), str(CALLS[call]), *map(str, arguments)],
                              capture_output=True, text=True, timeout=30)
        if done.returncode != 0 and "Operation not permitted" in done.stderr:
            pytest.skip("this user may not look into other processes")
        assert done.returncode == 0, done.stderr
        result = int(done.stdout)
        if result != 1000000:  # it was at work, not waiting
            return errno.errorcode[-result] if -4096 < result < 0 else result
    raise AssertionError("the thread never waits")


def files(system, may):
    if LANDLOCK < 1:
        return
    yield "open", (f"text:{system.home / 'new'}", CREATE, 0o600), "EACCES"
    yield "open", ("text:../new", CREATE, 0o600), "EACCES"
    if READ not in may:
        yield "open", (f"text:{system.home / 'letters'}", os.O_RDONLY, 0), "EACCES"
    if not may & {READ, CONNECT}:
        yield "open", ("text:/etc/passwd", os.O_RDONLY, 0), "EACCES"


def attempts(system, may, main):
    """(call, its arguments, how it fails) of all that such an actor may not do. Of other threads than the
    main one, what shows that they are confined too."""
    yield "execve", ("text:/bin/true", 0, 0), "EPERM"
    yield from files(system, may)
    if not main:
        return
    yield "fork", (), "EPERM"
    yield "clone", (int(signal.SIGCHLD), 0, 0, 0, 0), "EPERM"
    yield "clone3", (0, 0), "ENOSYS"
    yield "kill", (system.process.pid, 0), "EPERM"
    yield "setuid", (0,), "EPERM"
    yield "mount", (0, 0, 0, 0, 0), "EPERM"
    yield "socket", (socket.AF_PACKET, RAW, 0), "EPERM"
    if not SANITIZED:
        yield "ptrace", (0, 0, 0, 0), "EPERM"
    if not may & {LISTEN, CONNECT}:
        yield "socket", (socket.AF_INET, STREAM, 0), "EPERM"
        yield "socket", (socket.AF_INET6, STREAM, 0), "EPERM"
    if CONNECT not in may:
        yield "socket", (socket.AF_INET, DATAGRAM, 0), "EPERM"
    if LISTEN not in may:
        yield "listen", (0, 1), "EPERM"


@pytest.mark.parametrize("actor", ACTORS)
def test_an_actor_cannot_do_what_it_may_not(running, actor):
    may, pid = ACTORS[actor], pid_of(running, actor)
    for tid in threads_of(pid):
        for call, arguments, expected in attempts(running, may, tid == pid):
            assert inject(tid, call, *arguments) == expected, (actor, tid == pid, call, arguments)
    assert pid_of(running, actor) == pid, "and it lives"


@pytest.mark.skipif(LANDLOCK < TO_CONNECT, reason="the kernel's Landlock knows no connections")
@pytest.mark.parametrize("actor", [name for name, may in ACTORS.items() if LISTEN in may and CONNECT not in may])
def test_who_only_listens_connects_to_nobody(running, actor):
    tid = pid_of(running, actor)
    descriptor = inject(tid, "socket", socket.AF_INET, STREAM, 0)
    assert isinstance(descriptor, int)
    port = running.listener.getsockname()[1]
    assert inject(tid, "connect", descriptor, f"tcp:{port}", 16) in ("EACCES", "EPERM")


@pytest.mark.parametrize("actor", [name for name, may in ACTORS.items() if CONNECT in may])
def test_who_may_connect_can(running, actor):
    tid = pid_of(running, actor)
    descriptor = inject(tid, "socket", socket.AF_INET, STREAM, 0)
    port = running.listener.getsockname()[1]
    assert inject(tid, "connect", descriptor, f"tcp:{port}", 16) == 0
    assert isinstance(inject(tid, "open", "text:/etc/passwd", os.O_RDONLY, 0), int)


def test_who_may_read_reads_what_its_user_may(running):
    tid = pid_of(running, "store")
    assert isinstance(inject(tid, "open", f"text:{running.home / 'letters'}", os.O_RDONLY, 0), int)


@pytest.mark.parametrize("actor", ACTORS)
def test_all_threads_are_confined(running, actor):
    for task in Path(f"/proc/{pid_of(running, actor)}/task").iterdir():
        status = (task / "status").read_text()
        assert "\nNoNewPrivs:\t1\n" in status and "\nSeccomp:\t2\n" in status, task


@pytest.mark.settings(SANDBOX="false")
def test_the_operator_may_switch_it_off(system):
    for task in Path(f"/proc/{pid_of(system, 'submitter')}/task").iterdir():
        assert "\nSeccomp:\t0\n" in (task / "status").read_text()
    assert inject(pid_of(system, "submitter"), "kill", system.process.pid, 0) == 0
