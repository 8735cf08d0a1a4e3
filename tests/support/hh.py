"""hh_client alone, with the HH simulator on one side and the test on the other."""
import gzip
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler

from support.harness import Actor, Failed
from support.system import Simulator, http, wait_for

TOKEN = "APPLTOKENOFTHETESTS"
AGENT = "UllGetTheJobTests/1.0 (tests@localhost.test)"


class Hh(Simulator):
    """The simulator with a small world and no limit, unless the options say so."""

    def __init__(self, *options):
        super().__init__("--vacancies", 400, "--access-token", TOKEN,
                         *(() if "--max-rps" in options else ("--max-rps", 0)), *options)

    def control(self, path, body=None, method=None):
        answer = http(f"{self.url}/_sim/{path}", method or ("GET" if body is None else "POST"), body)
        assert answer.status < 300, answer.raw
        return answer.json if answer.raw else None

    def fresh(self):
        """Forgets faults and counts."""
        self.control("faults", method="DELETE")
        self.control("reset_stats", {})
        return self

    def fault(self, kind, **rule):
        return self.control("faults", {"kind": kind, **rule})

    def well(self):
        self.control("faults", method="DELETE")

    def requests(self, path=None):
        """What came, oldest first; that is still under way as well."""
        all_of_them = self.control("requests?last=5000")["requests"]
        return [r for r in all_of_them if path is None or r["path"].startswith(path)]

    def texts(self):
        """The texts that were searched, in the order in which they came."""
        return [dict(map(tuple, r["query"])).get("text", "") for r in self.requests("/vacancies")]

    def stats(self):
        return self.control("stats")


class Secrets:
    """store.secret_claim and store.secret_put, for any number of nodes."""

    def __init__(self):
        self.version, self.sealed, self.key_id = 0, None, None
        self.stale, self.node = False, None
        self.puts = []

    def claim(self, request):
        wanted = request.body
        if self.sealed is None or self.stale or wanted.get("stale_version", 0) >= self.version:
            self.stale = self.sealed is not None
            self.node = self.node or wanted["node"]
        return self.row(wanted["node"])

    def put(self, request):
        given = request.body
        self.puts.append(given)
        if given["ciphertext"] != self.sealed:
            self.version += 1
            self.sealed, self.key_id = given["ciphertext"], given["key_id"]
            self.stale, self.node = False, None
        return self.row(None)

    def row(self, node):
        there = self.sealed is not None and not self.stale
        return {"name": "hh_app_token", "version": self.version,
                "may_fetch": not there and self.node is not None and self.node == node,
                **({"ciphertext": self.sealed, "key_id": self.key_id} if there else {})}

    def answers(self):
        return {"store.secret_claim": self.claim, "store.secret_put": self.put}


class HhClient(Actor):
    """The actor; hh: whom it takes for HH, or a URL."""

    def __init__(self, hh, secrets=None, generation=1, run_dir=None, token=TOKEN, **settings):
        url = hh if isinstance(hh, str) else hh.url
        names = {"HH_BASE_URL": url, "HH_USER_AGENT": AGENT, "HH_MAX_RPS": 500}
        if secrets is not None:
            names.update(HH_CLIENT_ID="demo", HH_CLIENT_SECRET="demo-secret",
                         ENCRYPTION_KEY="an encryption key of the tests")
        elif token is not None:
            names["HH_ACCESS_TOKEN"] = token
        super().__init__("hh_client", generation=generation, run_dir=run_dir,
                         settings={**names, **settings})
        self.secrets = secrets
        self.store = self.fake("store", secrets.answers()) if secrets is not None else None

    def search(self, text="", within=None, **more):
        """An interactive search; gives the Call. within: seconds until its deadline."""
        return self.call_async("jobs.search", {"text": text, **more}, **deadline(within))

    def fetch(self, text, user, within=None, page=0, max_age_ms=0, **more):
        """A page of a scheduled search; gives the Call."""
        body = {"search": {"text": text}, "user_id": user, "page": page, "max_age_ms": max_age_ms,
                **more}
        return self.call_async("jobs.fetch_page", body, **deadline(within))

    def state(self):
        return self.call("hh.state")

    def wait_state(self, timeout=10, **fields):
        """Waits until hh.state has these values."""
        wait_for(lambda: fields.items() <= self.state().items(), timeout, fields)

    def wait_requests(self, count):
        wait_for(lambda: self.state()["requests"] >= count, 10, f"{count} requests were sent")

    def cpu_s(self):
        """Processor time that it has used so far."""
        fields = open(f"/proc/{self.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def peak_kb(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def deadline(within):
    return {} if within is None else {"deadline_ms": int((time.monotonic() + within) * 1000)}


def failure(call, timeout=20):
    """The Failed that a call ends with."""
    try:
        body = call.result(timeout)
    except Failed as failed:
        return failed
    raise AssertionError(f"it was answered: {str(body)[:300]}")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        self.server.answer(self)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    do_PUT = do_POST

    def log_message(self, *_):
        pass


class OddServer(socketserver.ThreadingTCPServer):
    """An HTTP server that answers as answer(handler) says, for what the simulator cannot do."""
    allow_reuse_address = daemon_threads = True

    def __init__(self, answer, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.seen = answer, []
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def handle_error(self, *_):
        pass  # a client that hangs up is what some tests are about

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self.thread.join()


def send(handler, body, status=200, **headers):
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": len(body),
                        **headers}.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


def gzip_bomb(megabytes):
    """Zeros, compressed a thousand to one."""
    return gzip.compress(bytes(megabytes << 20), compresslevel=6)

