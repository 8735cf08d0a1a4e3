"""A person with a CV who lets the system apply: what the frontend and the BFF do for them, over HTTP."""
import asyncio
import json
import os
import random
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid

import websockets
from websockets.exceptions import WebSocketException

from support.system import SECRET, http, wait_for

CALLBACK = "http://127.0.0.1:4000/auth/hh/callback"
OPEN = {"type": "open", "has_test": False, "test_required": False, "response_letter_required": False,
        "archived": False}
CV = {"title": "Программист C", "firstName": "Вера", "lastName": "Ли", "email": "vera@mail.test",
      "phone": "+7 912 345-67-89", "skills": ["C", "PostgreSQL"], "experience": [
          {"company": "Завод", "position": "Программист", "start": "2019-02-01",
           "description": "Сервер на C"}],
      "education": [{"name": "МГУ", "year": 2018}], "area": "1"}
WANTED = 30  # applications
SOON = "--vacancies", 200, "--resume-readable-after", 0.3, "--resume-indexed-after", 0.6  # of the simulator
TOKEN_MS = 450_000  # how long a token of the rate limit takes
MEANWHILE = (OSError, ValueError, KeyError)  # an HTTP client's own business while things die


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Person:
    """url: of a gateway that is up now, asked for before each request."""

    def __init__(self, url, postgres):
        self.url = url
        self.database = postgres.connect(postgres.database)
        self.session = str(uuid.uuid4())
        self.user, = self.row("insert into users (email, password_hash) values (%s, '')"
                              " returning id::text", f"{self.session}@mail.test")
        self.cv, = self.row("insert into cvs (user_id, name, file_path, parsed_data)"
                            " values (%s, 'CV', '/cv.pdf', %s) returning id::text", self.user,
                            json.dumps(CV))
        self.row("insert into sessions (session_id, user_id, token, expires_at)"
                 " values (%s, %s, '', now() + interval '1 day') returning 1", self.session, self.user)

    def row(self, sql, *values):
        with self.database.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchone()

    def request(self, path, method="GET", body=None):
        return http(self.url() + path, method, body, {"X-Core-Secret": SECRET,
                                                      "X-Session-Id": self.session})

    def insist(self, path, method="GET", body=None, timeout=60):
        """As the BFF does: 502 to 504 and a broken connection are tried again."""
        def answered():
            try:
                answer = self.request(path, method, body)
            except MEANWHILE:
                return None
            return answer.status < 500 and answer
        return wait_for(answered, timeout, path)

    def connect(self):
        """Logs in at HH; gives HH's id of the account."""
        page = self.insist("/auth/hh/redirect").json["url"]
        try:
            urllib.request.build_opener(NoRedirect).open(page, timeout=20).close()
            raise AssertionError("HH did not redirect")
        except urllib.error.HTTPError as redirect:
            back = urllib.parse.urlsplit(redirect.headers["Location"])
            redirect.close()
        code = urllib.parse.parse_qs(back.query)["code"][0]
        answer = self.insist(f"/auth/hh/callback?code={code}&session_id={self.session}")
        assert answer.status == 200 and answer.json["success"], answer.raw
        assert self.insist("/api/hh/status").json["connected"]

    def auto_apply(self, vacancies):
        """Puts them into a new workflow and starts it; its id."""
        added = self.insist("/api/queue/add", "POST", {
            "user_id": self.user, "cv_id": self.cv, "job_ids": vacancies}).json
        assert added["success"], added
        started = self.insist("/api/queue/start-workflow", "POST", {
            "workflowId": added["workflow_id"], "userId": self.user})
        assert started.status == 200, started.raw
        return added["workflow_id"], started.json

    def progress(self, workflow):
        return self.insist(f"/api/queue/progress/{workflow}").json["progress"]

    def move_time(self, ms):
        """The clock of the rate limits leaps."""
        self.row("update limiter_clock set at_ms = at_ms + %s returning 1", ms)

    def close(self):
        self.database.close()


class Listener(threading.Thread):
    """A browser on /ws: keeps every event of the user, reconnects where it was, and notes each that is
    not the next one."""

    def __init__(self, ws_url, user):
        super().__init__(daemon=True)
        self.ws_url, self.user, self.after = ws_url, user, 0
        self.events, self.problems = [], []
        self.ending = threading.Event()
        self.start()

    def run(self):
        asyncio.run(self.follow())

    async def follow(self):
        while not self.ending.is_set():
            try:
                url = f"{self.ws_url()}?clientId=tests&userId={self.user}&after={self.after}"
                async with websockets.connect(url, max_size=None) as socket:
                    while not self.ending.is_set():
                        try:
                            self.take(json.loads(await asyncio.wait_for(socket.recv(), 0.2)))
                        except asyncio.TimeoutError:
                            continue
            except (*MEANWHILE, WebSocketException, asyncio.TimeoutError):
                await asyncio.sleep(0.05)

    def take(self, message):
        if "event_id" not in message:
            return
        if message["event_id"] != self.after + 1:
            self.problems.append((self.after, message["event_id"]))
        self.after = message["event_id"]
        self.events.append(message)

    def of(self, kind):
        return [event["data"] for event in list(self.events) if event["type"] == kind]

    def close(self):
        self.ending.set()
        self.join(10)


class Killer(threading.Thread):
    """kill -9 for an actor picked at random, again and again, where it is up."""

    def __init__(self, system, actors, every_s=0.2, seed=1):
        super().__init__(daemon=True)
        self.system, self.actors, self.every_s = system, actors, every_s
        self.random = random.Random(seed)
        self.kills = 0
        self.ending = threading.Event()
        self.start()

    def run(self):
        while not self.ending.wait(self.every_s):
            pids = [pid for pid in children_of(self.system.process.pid)
                    if name_of(pid) in self.actors]
            if not pids:
                continue
            self.system.expected_deaths += 1
            self.kills += 1
            try:
                os.kill(self.random.choice(pids), 9)
            except ProcessLookupError:
                pass

    def close(self):
        self.ending.set()
        self.join(20)


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            return [int(child) for child in children.read().split()]
    except OSError:
        return []


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
            return comm.read().strip()
    except OSError:
        return ""


def publish(simulator):
    word = f"w{uuid.uuid4().hex[:10]}"
    return word, [str(i) for i in simulator.publish(WANTED, name=f"{word} программист C", **OPEN)]


def at_hh(simulator):
    return [a["vacancy_id"] for a in simulator.control("applications")["applications"]]


def check(simulator, person, listener, workflow, vacancies):
    """All that must hold at the end."""
    sent = at_hh(simulator)
    assert sorted(sent) == sorted(vacancies), "each once"
    assert person.progress(workflow)["submitted"] == WANTED
    rows = person.row("select count(*), count(distinct hh_negotiation_id) from applications"
                      " where status = 'submitted' and user_id = %s", person.user)
    assert rows == (WANTED, WANTED)
    wait_for(lambda: len(listener.of("application_completed")) == WANTED, 60, "all is told")
    assert listener.problems == [], "no event twice, none missing, none out of order"
    completed = listener.of("application_completed")
    assert {c["status"] for c in completed} == {"success"}
    assert sorted(c["job_external_id"] for c in completed) == sorted(vacancies)
    totals = [p["completed"] for p in listener.of("application_progress")]
    assert totals == sorted(totals) and totals[-1] == WANTED
    spent = person.row("select count(token_at) from applications where user_id = %s", person.user)
    assert spent == (WANTED,)


def apply_to_all(simulator, person, timeout):
    """Connects, puts the vacancies into a workflow, and lets time pass until it is through."""
    _, vacancies = publish(simulator)
    person.connect()
    workflow, _ = person.auto_apply(vacancies)
    wait_for(lambda: len(at_hh(simulator)) >= 20, timeout, "twenty are sent", every=0.2)
    wait_for(lambda: person.progress(workflow)["rate_limited"] > 0, timeout, "one waits", every=0.2)
    person.move_time(10 * TOKEN_MS)
    wait_for(lambda: person.progress(workflow)["submitted"] == WANTED, timeout, "all are sent",
             every=0.2)
    return workflow, vacancies
