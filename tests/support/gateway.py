"""The gateway alone, and what its tests ask of it: HTTP on one side, fake actors on the other."""
import http.client
import json
import socket

import pytest
from support.harness import Actor
from support.session_token import PERSON, SESSION_BASE

SECRET = "orchestrator-secret"
USER = PERSON

JOB = {"id": "93", "hh_vacancy_id": "93", "title": "Разработчик C", "skills": ["C"],
       "description": "text", "has_test": False, "test_required": False}
SCHEDULE = {"user_id": USER, "search": {"text": "c"}, "interval_s": 1800, "paused": False,
            "next_run_ms": 1, "lag_ms": 0, "runs": 0, "jobs_seen": 0}


class Gateway(Actor):
    def __init__(self, **settings):
        super().__init__("gateway", settings={
            "PORT": 0, "ORCHESTRATOR_SECRET": SECRET, "SECRET_KEY_BASE": SESSION_BASE, **settings})

    @property
    def port(self):
        return int((self.run_dir / "http_port").read_text())

    def connect(self, timeout=40):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, verb, path, body=None, secret=SECRET, connection=None, **headers):
        """One request. body: an object, or bytes as they are. Gives status, headers and the JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"Content-Type": "application/json",
                  **({"X-Core-Secret": secret} if secret else {}),
                  **{name.replace("_", "-"): value for name, value in headers.items()}}
        mine = connection or self.connect()
        mine.request(verb, path, data, fields)
        answer = mine.getresponse()
        raw = answer.read()
        if connection is None:
            mine.close()
        return answer.status, answer.headers, json.loads(raw) if raw else None

    def raw(self, data, timeout=15):
        """Sends bytes and reads until the gateway hangs up, or says nothing for that long."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as plain:
            plain.sendall(data)
            got = b""
            while chunk := plain.recv(65536):
                got += chunk
            return got


def settings(**names):
    return pytest.mark.parametrize("gateway", [names], indirect=True, ids=["-".join(names)])


def answers(gateway, peer, method, answer):
    gateway.peers[peer].answers = {method: answer}


def refused(answer, status, error, field=None):
    got, headers, body = answer
    assert (got, body["success"], body["error"]) == (status, False, error), body
    assert body.get("field") == field, body
    assert body["message"] and body["request_id"] == headers["X-Request-ID"]
    assert (status in (429, 503)) == ("Retry-After" in headers)
    return body
