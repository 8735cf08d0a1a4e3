"""What each actor may not do, and that it cannot: forbidden system calls, made in the running process.

tests/support/inject_syscall.c makes them, in the main thread and in another one, as somebody would who
had taken the process over. A filter or a rule that is taken away lets one of them through.
"""
import ctypes
import errno
import json
import os
import platform
import re
import signal
import socket
import struct
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest
from support.system import BUILD, ROOT, Simulator, System, wait_for

INJECT = BUILD / "tests/supervisor/inject_syscall"
CANNOT_TRACE = 77
CONNECT, LISTEN = "connect", "listen"
ACTORS = {  # what each declares at the end of its file
    "store": {CONNECT}, "hh_client": {CONNECT}, "broadcaster": {CONNECT, LISTEN},
    "door": {LISTEN}, "gateway": {LISTEN},
    "telemetry": set(), "rate_limiter": set(), "scheduler": set(), "submitter": set(), "fetcher": set()}
AT_FDCWD, O_CREAT_WRONLY = -100, os.O_CREAT | os.O_WRONLY
TIOCSTI, CLONE_NEWUSER, THREAD = 0x5412, 0x10000000, 0x10D00
EACCES, EPERM, ENOSYS, EBADF = -errno.EACCES, -errno.EPERM, -errno.ENOSYS, -errno.EBADF

FORBIDDEN = [
    ("execve", "s:/bin/true", 0, 0),
    ("clone", int(signal.SIGCHLD), 0, 0, 0, 0),  # fork
    ("clone", CLONE_NEWUSER | THREAD, 0, 0, 0, 0),
    ("unshare", CLONE_NEWUSER),
    ("mount", "s:none", "s:/tmp", "s:tmpfs", 0, 0),
    ("bpf", 0, 0, 0),
    ("keyctl", 0, 0, 0),
    ("io_uring_setup", 1, 0),
    ("perf_event_open", 0, 0, 0, 0, 0),
    ("init_module", 0, 0, 0),
    ("process_vm_writev", 1, 0, 0, 0, 0, 0),
    ("fchmodat", AT_FDCWD, "s:.", 0o777),
    ("setuid", 0),
    ("kill", 1, 0),
    ("kill", -1, 0),
    ("tgkill", 1, 1, 0),
    ("prlimit64", 1, 0, 0, 0),
    ("ioctl", 0, TIOCSTI, 0),
    ("socket", int(socket.AF_PACKET), int(socket.SOCK_DGRAM), 0),
    ("socket", int(socket.AF_NETLINK), int(socket.SOCK_RAW), 9),  # the audit log
    ("socket", int(socket.AF_INET), int(socket.SOCK_RAW), 1),
    ("socket", 38, int(socket.SOCK_SEQPACKET), 0),  # AF_ALG
]

HOME = tempfile.TemporaryDirectory(prefix="ugtj-home-")

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"),
                                reason="no registers are known here")


def landlock_version():
    libc = ctypes.CDLL(None)
    return max(0, libc.syscall(444, None, 0, 1))


needs_landlock = pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock")
needs_ports = pytest.mark.skipif(landlock_version() < 4, reason="Landlock knows no ports here")
needs_scopes = pytest.mark.skipif(landlock_version() < 6, reason="Landlock knows no scopes here")


# --- a thread of an actor, taken over -------------------------------------------------------------

class Thread:
    def __init__(self, tid):
        self.tid = tid

    def calls(self, *calls):
        """The results of system calls, each NAME,ARGUMENT,... (inject_syscall.c)."""
        done = subprocess.run([str(INJECT), str(self.tid), *calls], capture_output=True, text=True,
                              timeout=30)
        if done.returncode == CANNOT_TRACE:
            pytest.skip(f"not allowed to trace here: {done.stderr}")
        assert done.returncode == 0, (calls, done.stderr)
        return list(map(int, done.stdout.split()))

    def call(self, name, *arguments):
        return self.calls(",".join([name, *map(str, arguments)]))[0]

    def open(self, path, flags=os.O_RDONLY):
        """0, or a negative errno."""
        fd = self.call("openat", AT_FDCWD, f"s:{path}", flags, 0o600)
        if fd >= 0:
            self.call("close", fd)
        return min(fd, 0)

    def connect(self, port, kind=socket.SOCK_STREAM):
        """Of a socket to a port of loopback: (socket's result, connect's)."""
        made, connected = self.calls(f"socket,{socket.AF_INET},{int(kind)},0",
                                     f"connect,r:1,x:{address(port)},16")
        if made >= 0:
            self.call("close", made)
        return min(made, 0), connected

    def listen(self):
        """Of a TCP socket that is to listen at a port of its own: (socket's result, bind's, listen's)."""
        made, bound, listens = self.calls(f"socket,{socket.AF_INET},{int(socket.SOCK_STREAM)},0",
                                          f"bind,r:1,x:{address(0)},16", "listen,r:1,1")
        if made >= 0:
            self.call("close", made)
        return min(made, 0), bound, listens


def address(port):
    return (struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) +
            socket.inet_aton("127.0.0.1") + bytes(8)).hex()


def whole_tree(system):
    """The threads of each actor of the running tree by its name: the main one, and another."""
    system.request(f"/api/schedules/{uuid.uuid4()}", "PUT",
                   {"search": {"text": "python"}, "interval_s": 600})

    def whole():
        tree = {name: child for name, child in system.tree().items() if child["pid"]}
        return len(tree) == len(ACTORS) and all(c["state"] == "up" for c in tree.values()) and tree
    tree = wait_for(whole, 30, "a fetcher and all others up")
    found = {name.split(":")[0]: threads_of(child["pid"]) for name, child in tree.items()}
    assert found.keys() == ACTORS.keys(), "an actor without a row in this test"
    return found


@pytest.fixture(scope="module")
def confined(cluster, tmp_path_factory):
    """One system for all tests that only try what is refused."""
    name = f"test_{uuid.uuid4().hex}"
    cluster.create_database(name)
    cluster.database = name
    simulator = Simulator("--vacancies", 100, "--max-rps", 0)
    folder = tmp_path_factory.mktemp("libpq")
    (folder / "pgpass").write_text("")
    one = System(cluster, simulator,
                 DATABASE_URL=f"{cluster.url}{'&' if '?' in cluster.url else '?'}passfile={folder}/pgpass",
                 HH_BASE_URL=simulator.url.replace("127.0.0.1", "localhost"))
    one.folder_of_libpq = folder
    try:
        yield one.start()
        one.stop()
    finally:
        one.close()
        simulator.stop()
    cluster.drop_database(name)


@pytest.fixture(scope="module")
def actors(confined):
    return whole_tree(confined)


def threads_of(pid):
    tids = sorted(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())
    other = next(tid for tid in tids if tid != pid)
    return {"main": Thread(pid), "other": Thread(other)}


def each(actors):
    """(name, what it may, the thread's name, the thread) of all."""
    for name, threads in actors.items():
        for which, thread in threads.items():
            yield name, ACTORS[name], which, thread


def differences(actors, wanted, make):
    """What make(thread) gave where it is not wanted(name, may)."""
    return {(name, which): (got, right) for name, may, which, thread in each(actors)
            for got, right in [(make(thread), wanted(name, may))] if got != right}


# --- what none of them may ------------------------------------------------------------------------

def status_of(thread):
    return dict(re.findall(r"^(\w+):\s*(.*)$", Path(f"/proc/{thread.tid}/status").read_text(), re.M))


def test_every_thread_of_every_actor_is_under_a_filter(actors):
    for name, threads in actors.items():
        for task in Path(f"/proc/{threads['main'].tid}/task").iterdir():
            status = status_of(Thread(task.name))
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), (name, task.name)


def test_none_of_them_can_do_what_is_forbidden(actors):
    done = {(name, which): thread.calls(*(",".join(map(str, call)) for call in FORBIDDEN))
            for name, _, which, thread in each(actors)}
    assert [(who, call, result) for who, results in done.items()
            for call, result in zip(FORBIDDEN, results) if result != EPERM] == []


def test_calls_that_cannot_be_seen_through_or_are_not_known_do_not_exist(actors):
    for call in ("clone3", 0, 0), ("shmget", 0, 4096, 0o1600):
        assert differences(actors, lambda *_: ENOSYS, lambda thread: thread.call(*call)) == {}


@needs_landlock
def test_no_actor_opens_a_file_that_is_none_of_its_business(actors, confined):
    secret = Path(confined.folder.name) / ".env"
    secret.write_text("ENCRYPTION_KEY=of somebody else\n")
    parent = f"/proc/{confined.process.pid}/environ"
    for path in str(secret), str(confined.log_path), str(Path.home() / ".bashrc"), parent, "/":
        assert differences(actors, lambda *_: EACCES, lambda thread: thread.open(path)) == {}, path
    new = Path(confined.folder.name) / "new"
    assert differences(actors, lambda *_: EACCES, lambda t: t.open(new, O_CREAT_WRONLY)) == {}
    assert not new.exists()


@needs_landlock
def test_etc_is_for_those_who_look_names_up(actors):
    assert differences(actors, lambda _, may: 0 if CONNECT in may else EACCES,
                       lambda thread: thread.open("/etc/passwd")) == {}
    assert differences(actors, lambda *_: EACCES,
                       lambda thread: thread.open("/etc/passwd", os.O_RDWR)) == {}


@needs_landlock
def test_a_file_that_a_setting_names_is_for_who_needs_it(actors, confined):
    """With its folder: it may be replaced by renaming."""
    (confined.folder_of_libpq / "new").write_text("")
    (confined.folder_of_libpq / "new").rename(confined.folder_of_libpq / "pgpass")
    assert differences(actors, lambda name, _: 0 if name == "store" else EACCES,
                       lambda thread: thread.open(confined.folder_of_libpq / "pgpass")) == {}


@needs_scopes
def test_no_actor_signals_another_even_where_the_filter_cannot_see_whom(actors):
    assert differences(actors, lambda *_: EPERM, lambda thread: thread.call("tkill", 1, 0)) == {}


# --- what some of them may ------------------------------------------------------------------------

@needs_ports
def test_only_those_connect_who_declare_it(actors):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def wanted(_, may):
            if CONNECT in may:
                return 0, 0
            return (0, EACCES) if LISTEN in may else (EPERM, EBADF)
        assert differences(actors, wanted, lambda thread: thread.connect(port)) == {}


def test_only_those_who_connect_ask_name_servers(actors):
    assert differences(actors, lambda _, may: 0 if CONNECT in may else EPERM,
                       lambda thread: thread.connect(53, socket.SOCK_DGRAM)[0]) == {}


def test_what_resembles_tcp_is_no_way_around(actors):
    """Landlock's rule is for TCP alone: MPTCP connected past it."""
    for protocol in 262, 132:  # MPTCP, SCTP
        made = differences(actors, lambda *_: EPERM, lambda thread: thread.call(
            "socket", int(socket.AF_INET), int(socket.SOCK_STREAM), protocol))
        assert {name for name, _ in made} <= {n for n, may in ACTORS.items() if CONNECT in may}, made


def test_fast_open_is_no_way_around(actors):
    assert differences(actors, lambda _, may: EBADF if CONNECT in may else EPERM,
                       lambda t: t.call("sendto", -1, 0, 0, socket.MSG_FASTOPEN, 0, 0)) == {}


@needs_ports
def test_only_those_listen_who_declare_it(actors):
    def wanted(_, may):
        if LISTEN in may:
            return 0, 0, 0
        return (0, EACCES, EPERM) if CONNECT in may else (EPERM, EBADF, EPERM)
    assert differences(actors, wanted, lambda thread: thread.listen()) == {}


def test_names_are_looked_up(actors, confined):
    assert actors["hh_client"] and "localhost" in confined.environment["HH_BASE_URL"]
    assert json.loads(confined.ugtj("search", "--json", "python").stdout)["found"] > 0


def test_what_all_need_is_there(actors):
    """Files in RUN_DIR, sockets to the others, libraries, and threads (flags without an effect)."""
    for call in (("getpid",), ("socket", int(socket.AF_UNIX), int(socket.SOCK_STREAM), 0)):
        for name, _, which, thread in each(actors):
            got = thread.call(*call)
            assert got >= 0, (name, which, call)
            if call[0] == "socket":
                thread.call("close", got)
    for path, flags in [("probe", O_CREAT_WRONLY), ("/dev/null", os.O_RDWR), ("/usr/lib", os.O_RDONLY),
                        ("/proc/self/exe", os.O_RDONLY), ("/proc/self/fd", os.O_RDONLY)]:
        assert differences(actors, lambda *_: 0, lambda thread: thread.open(path, flags)) == {}, path
    assert next(each(actors))[3].call("unlink", "s:probe") == 0
    assert differences(actors, lambda *_: -errno.EINVAL,
                       lambda thread: thread.call("clone", 0x10000, 0, 0, 0, 0)) == {}


# --- an actor that was made ahead (docs/decisions/0015) ---------------------------------------------

def has_standby(system, program):
    pids = [path.suffix[1:] for path in system.run_dir.glob("standby.*")]
    return any(os.path.exists(f"/proc/{pid}") and Path(os.readlink(f"/proc/{pid}/exe")).name == program
               for pid in pids)


@needs_landlock
@pytest.mark.settings(HOME=HOME.name)
def test_a_file_that_is_made_or_replaced_while_a_standby_waits_can_be_read(system):
    passwords = Path(HOME.name) / ".pgpass"
    for content in ("first", "second"):
        wait_for(lambda: has_standby(system, "store"), 30, "a standby")
        passwords.with_suffix(".new").write_text(content)
        passwords.with_suffix(".new").rename(passwords)
        before = system.kill("store")
        system.wait_restarted(before)
        assert threads_of(system.tree()["store"]["pid"])["main"].open(passwords) == 0
    assert len(re.findall(r"standby.outdated name=store", system.log())) == 2
    assert not re.search(r"child.died name=store .* next=\"retry\"", system.log())


# --- where it is not to be had, or not wanted -----------------------------------------------------

@pytest.mark.settings(SANDBOX="off")
def test_an_operator_can_switch_it_off(system):
    assert system.log().count("sandbox.off") == 1
    for name, _, which, thread in each(whole_tree(system)):
        assert thread.open("/etc/passwd") == 0, (name, which)
        assert status_of(thread)["Seccomp"] == "0"


@pytest.mark.launcher("/usr/bin/python3", str(ROOT / "tests/support/old_kernel.py"))
def test_a_kernel_without_it_is_told_of_once(system):
    actors = whole_tree(system)
    assert system.log().count(" sandbox.") == 1, "one line for all actors"
    assert "sandbox.partial" in system.log()
    assert actors["fetcher"]["main"].open("/etc/passwd") == 0
    assert json.loads(system.ugtj("search", "--json", "python").stdout)["found"] > 0


def test_a_stop_and_a_restart_are_possible_within_it(system):
    """Its own socket is removed, the port is the same, a backtrace has names (fatal.c)."""
    before = system.kill("gateway", signal.SIGABRT)
    system.wait_restarted(before)
    crash, = json.loads(system.ugtj("crashes", "--json").stdout)["crashes"][-1:]
    assert crash["name"] == "gateway" and [f for f in crash["backtrace"] if "+0x" in f], crash
    for word in ("gateway", "store"):
        system.ugtj("restart", word)
    assert "sandbox." not in system.log().split("sandbox.on", 1)[1], "nothing was refused unforeseen"
