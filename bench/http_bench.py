#!/usr/bin/python3
"""HTTP through the gateway: requests a second, beside civetweb giving the same bytes and doing nothing.

    bench/http_bench.py [--runs 5] [--seconds 4] [--connections 32] [--path health]

Starts a system of its own on loopback (PostgreSQL, the simulator, the server; UGTJ_BUILD_DIR says which
build), and bench/bare_civetweb with the answer of each path. wrk (a package of Debian) asks both in turn,
with connections kept alive. Prints medians and their ratios. Health asks PostgreSQL each time; a search
goes to the simulator, whose pace (it is Python) is shared by those who ask for the same at the same time.
"""
import argparse
import re
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.pg import Postgres  # noqa: E402
from support.system import BUILD, SECRET, Simulator, System, wait_for  # noqa: E402

THREADS = 64
SEARCH = '{"text":"python","per_page":20}'
PATHS = {  # what is asked: verb, path, body
    "health": ("GET", "/api/v1/system/health", ""),
    "tree": ("GET", "/api/tree", ""),
    "search": ("POST", "/api/jobs/search", SEARCH),
}
UNITS = {"us": 0.001, "ms": 1, "s": 1000}


def answer_bytes(port, verb, path, body):
    """The whole answer, headers included, as the gateway sends it on a connection that is kept."""
    request = (f"{verb} {path} HTTP/1.1\r\nHost: localhost\r\nX-Core-Secret: {SECRET}\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(request.encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += client.recv(65536)
        length = int(re.search(rb"Content-Length: (\d+)", got)[1])
        while len(got.split(b"\r\n\r\n", 1)[1]) < length:
            got += client.recv(65536)
    assert got.startswith(b"HTTP/1.1 200 ") and b"keep-alive" in got, got[:300]
    return got


class Bare:
    """bench/bare_civetweb with one answer."""

    def __init__(self, folder, name, answer):
        path = Path(folder) / name
        path.write_bytes(answer)
        self.process = subprocess.Popen([str(BUILD / "bench/bare_civetweb"), str(path), str(THREADS)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def wrk(folder, port, verb, path, body, options):
    """(requests a second, median ms, 99th percentile ms) of one run."""
    script = Path(folder) / "request.lua"
    script.write_text(f'wrk.method = "{verb}"\nwrk.body = [[{body}]]\n'
                      f'wrk.headers["X-Core-Secret"] = "{SECRET}"\n')
    out = subprocess.run(
        ["wrk", "-t2", f"-c{options.connections}", f"-d{options.seconds}s", "--latency",
         "-s", str(script), f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    latency = [float(n) * UNITS[unit] for n, unit in
               (re.search(rf"{p}%\s+([\d.]+)(us|ms|s)", out).groups() for p in (50, 99))]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), *latency


def measure(system, folder, name, options):
    verb, path, body = PATHS[name]
    answer = answer_bytes(system.port("http_port"), verb, path, body)
    bare = Bare(folder, name, answer)
    try:
        targets = {"bare civetweb": bare.port, "gateway": system.port("http_port")}
        runs = {target: [] for target in targets}
        for _ in range(options.runs):
            for target, port in targets.items():
                runs[target].append(wrk(folder, port, verb, path, body, options))
    finally:
        bare.stop()
    rates = {}
    print(f"{name}: {len(answer)} bytes, {options.connections} connections")
    for target, results in runs.items():
        rate, half, most = (statistics.median(column) for column in zip(*results))
        rates[target] = rate
        spread = sorted(r[0] for r in results)
        print(f"  {target:14} {rate:9.0f} a second ({spread[0]:.0f} to {spread[-1]:.0f}), "
              f"median {half:.2f} ms, 99 % within {most:.2f} ms")
    print(f"  the gateway serves {100 * rates['gateway'] / rates['bare civetweb']:.1f} % of it")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--path", action="append", choices=PATHS, help="default: all")
    options = parser.parse_args()
    postgres, simulator = Postgres(), Simulator("--max-rps", 0)
    system = System(postgres, simulator, HH_MAX_RPS=10000, HTTP_THREADS=THREADS, LOG_LEVEL="warn")
    try:
        system.start()
        wait_for(lambda: system.request("/api/jobs/search", "POST", {"text": "c"}).status == 200)
        with tempfile.TemporaryDirectory() as folder:
            for name in options.path or PATHS:
                measure(system, folder, name, options)
        system.stop()
    finally:
        system.close()
        simulator.stop()
        postgres.close()


if __name__ == "__main__":
    main()
