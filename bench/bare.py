"""The bare limits, measured in the same run: bare_fork.c and bare_zeromq.c."""
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.system import BUILD  # noqa: E402


def bare(program, what, count):
    """The milliseconds that the program prints; it works in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="ugtj-") as folder:
        done = subprocess.run([str(BUILD / "bench" / program), what, str(count)], check=True, text=True,
                              capture_output=True, cwd=folder)
    return [float(line) for line in done.stdout.split()]
