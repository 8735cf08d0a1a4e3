"""docs/failures.md: every test that it names exists. And what it lists that has no better place."""
import os
import re
import signal
import subprocess

from conftest import PROGRAM, ROOT, alive, until


def test_every_test_that_the_page_of_failures_names_exists():
    named = re.findall(r"`(test_\w+\.(?:py|c))::(\w+)`", (ROOT / "docs/failures.md").read_text())
    assert len(named) > 50
    files = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.[pc]*")
             if path.suffix in (".py", ".c")}
    missing = [f"{file}::{test}" for file, test in named
               if not re.search(rf"^(def|static void) {test}\(", files.get(file, ""), re.MULTILINE)]
    assert missing == []


def test_a_log_that_nobody_reads_stops_nobody(tmp_path):
    """The pipe is full and stays so; the tree goes on, starts children, and stops in order."""
    run, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(write, True)
    tree = subprocess.Popen([str(PROGRAM), "one_for_one"], stderr=write,
                            env={**os.environ, "RUN_DIR": str(tmp_path / "run"),
                                 "BEHAVIOUR_DIR": str(tmp_path), "PROBE_SOCKET": "/nowhere"})
    (tmp_path / "probe").write_text("")
    until((tmp_path / "run/c.1").exists)

    def pids():
        with open(f"/proc/{tree.pid}/task/{tree.pid}/children") as children:
            return [int(pid) for pid in children.read().split()]
    until(lambda: len(pids()) == 4)
    victim = pids()[-1]
    os.kill(victim, signal.SIGKILL)
    until(lambda: not alive(victim) and len(pids()) == 4)
    tree.send_signal(signal.SIGTERM)
    assert tree.wait(30) == 0
    os.close(run)
    os.close(write)
