"""Starts simulators for the tests and speaks HTTP with them."""
import gzip
import http.client
import json
import pathlib
import subprocess
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

PROGRAM = pathlib.Path(__file__).with_name("hh_sim.py")
AGENT = "hh_sim-tests/1.0 (tests@mail.test)"
USER_TOKEN = "USERTESTTOKEN"
APP_TOKEN = "APPLTESTTOKEN"


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)

    def errors(self):
        return [(entry["type"], entry.get("value")) for entry in self.json()["errors"]]


class Sim:
    def __init__(self, *options):
        self.process = subprocess.Popen([PROGRAM, "--port", "0", "--access-token", USER_TOKEN, "--access-token",
                                         APP_TOKEN, *options], stdout=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline()
        self.port = int(self.line.rsplit(":", 1)[1])

    def stop(self):
        self.process.terminate()
        self.process.stdout.close()
        return self.process.wait(10)

    def send(self, method, path, query=None, *, token=USER_TOKEN, headers=None, body=None, timeout=10):
        """query is a dict (a list value repeats) ; body is bytes. token=None: no Authorization."""
        address = path + ("?" + urlencode(query, doseq=True) if query else "")
        all_headers = {"User-Agent": AGENT, **(headers or {})}
        if token:
            all_headers.setdefault("Authorization", f"Bearer {token}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, address, body=body,
                               headers={name: value for name, value in all_headers.items() if value is not None})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        return Answer(response.status, response.headers, content)

    def get(self, path, query=None, **more):
        return self.send("GET", path, query, **more)

    def form(self, path, fields, *, token=None, **more):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", path, headers=headers, body=urlencode(fields).encode(), token=token, **more)

    def json(self, method, path, content, **more):
        return self.send(method, path, headers={"Content-Type": "application/json"},
                         body=json.dumps(content).encode(), **more)

    def applicant(self, resumes=1):
        """A user nobody else has used, with published resumes: access_token, user_id, resume_ids."""
        self.users = getattr(self, "users", 0) + 1
        return self.control("tokens", {"user_id": str(80_000_000 + self.users), "resumes": resumes})

    def apply(self, who, vacancy_id, /, **more):
        """With the user's first resume; `more` are further fields, and replace these."""
        fields = {"vacancy_id": vacancy_id, "resume_id": (who["resume_ids"] or ["none"])[0], **more}
        return self.form("/negotiations", fields, token=who["access_token"])

    def open_vacancies(self, count=1, **more):
        """New ones that anybody can apply to, but for what `more` says."""
        plain = {"name": "Программист", "type": "open", "has_test": False, "response_letter_required": False}
        return self.control("vacancies", {"count": count, **plain, **more})["ids"]

    def log(self):
        return self.control("requests", method="GET")["requests"]

    def control(self, name, content=None, method="POST"):
        answer = self.send(method, f"/_sim/{name}", body=None if content is None else json.dumps(content).encode())
        assert answer.status < 300, answer.body
        return answer.json() if answer.body else None

    def fault(self, kind, **rule):
        return self.control("faults", {"kind": kind, **rule})

    def found(self, **query):
        """Every vacancy that matches, in full, in the order of the search."""
        ids = self.get("/_sim/search_ids", query).json()["ids"]
        return [self.vacancy(vacancy_id) for vacancy_id in ids]

    def vacancy(self, vacancy_id):
        return self.get(f"/vacancies/{vacancy_id}").json()

    def page(self, **query):
        answer = self.get("/vacancies", query)
        assert answer.status == 200, answer.body
        return answer.json()


@pytest.fixture(scope="session")
def shared_sim():
    sim = Sim("--max-rps", "0", "--vacancies", "3000")
    yield sim
    assert sim.stop() == 0


@pytest.fixture
def sim(shared_sim):
    """The shared simulator without the faults, counters, resumes and applications of earlier tests."""
    shared_sim.control("faults", method="DELETE")
    shared_sim.control("applicants", method="DELETE")
    shared_sim.control("reset_stats")
    return shared_sim


@pytest.fixture
def start():
    """Starts simulators with options of the test's own, and ends them."""
    started = []

    def begin(*options):
        started.append(Sim("--vacancies", "200", *options))
        return started[-1]
    yield begin
    for each in started:
        each.stop()
