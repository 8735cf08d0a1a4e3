"""Applications: the store's durable queue, and a node that sends what is in it."""
import threading
import time

from support.harness import Actor, Refuse
from support.store import Store

TTL_MS = 8000


class Queue(Store):
    """A store whose submitter is the test."""

    def __init__(self, url, **more):
        super().__init__(url, **more)
        self.submitter = self.fake("submitter", {"applications.changed": {}})

    def submit(self, user, vacancy, **fields):
        return self.submit_all({"user_id": user, "job_external_id": str(vacancy), **fields})[0]

    def submit_all(self, *items):
        return self.call("store.applications_put", {"items": list(items)})["applications"]

    def claim_work(self, held=(), limit=100, node="one"):
        """What the node is to send, in the order of the vacancies' ids."""
        reply = self.call("store.applications_claim", {
            "node": node, "limit": limit, "ttl_ms": TTL_MS, "held": [lease(work) for work in held]})
        self.next_due_ms = reply.get("next_due_ms")
        return sorted(reply["work"], key=lambda work: work["job_external_id"])

    def note(self, work, resume_id="r1", **fields):
        """Whether the lease still holds."""
        reply = self.call("store.applications_note", {
            "items": [{**lease(work), "resume_id": resume_id, **fields}]})
        return reply["leases"] == [lease(work)]

    def end_work(self, work, status, **fields):
        return self.call("store.applications_end", {
            "items": [{**lease(work), "status": status, **fields}]})["applications"][0]

    def application(self, application, **fields):
        return self.call("applications.get", {"id": application["id"], **fields})

    def rung(self):
        """How often the submitter was told so far."""
        return len(self.submitter.received("applications.changed"))


def lease(work):
    return {"id": work["id"], "token": work["token"]}


class Hh:
    """hh_client as submitters know it: answer is the answers function of harness.Fake.

    scripts: vacancy -> what hh.apply answers there, one a time, before it simply applies: a Refuse; or
    LOST, it applies and the answer is lost; or a dict. Any method in `broken` is answered with what
    it says."""

    LOST = Refuse("down", "hh_client died")

    def __init__(self):
        self.lock = threading.Lock()
        self.scripts, self.broken = {}, {}
        self.applied = {}    # (user, vacancy) -> its negotiation
        self.hidden = set()  # vacancies whose applications are not listed
        self.created = False
        self.calls = []      # (method, body)

    def answer(self, request):
        with self.lock:
            self.calls.append((request.method, request.body))
            broken = self.broken.get(request.method)
            if broken is not None:
                return broken
            return getattr(self, request.method.replace("hh.", "on_").replace(".", "_"))(request.body)

    def resumes_ensure(self, body):
        return {"resume_id": "r2" if body.get("not_resume_id") else "r1", "created": self.created}

    def accounts_keep(self, body):
        return {}

    def on_applied(self, body):
        there = self.applied.get((body["user_id"], body["vacancy_id"]))
        return there if there and body["vacancy_id"] not in self.hidden else {}

    def on_apply(self, body):
        script = self.scripts.get(body["vacancy_id"], [])
        answer = script.pop(0) if script else None
        if answer is not None and answer is not Hh.LOST:
            return answer
        key = body["user_id"], body["vacancy_id"]
        if key in self.applied:
            return Refuse("already_applied")
        self.applied[key] = {"negotiation_id": f"n{len(self.applied) + 1}",
                             "resume_id": body["resume_id"]}
        return answer or {"negotiation_id": self.applied[key]["negotiation_id"]}

    def methods(self, vacancy=None):
        """What was called so far, in order, in short (for that vacancy)."""
        with self.lock:
            return [method.split(".")[1] for method, body in self.calls
                    if vacancy is None or body.get("vacancy_id", vacancy) == vacancy]


class Node:
    """A real store and a real submitter, side by side; hh_client is fake."""

    def __init__(self, url, hh=None, name="one", **settings):
        self.hh = hh or Hh()
        self.store = Store(url, NODE_NAME=name, **settings)
        self.settings = {"NODE_NAME": name, **settings}
        self.generation = 0
        self.submitter = None

    def __enter__(self):
        self.store.__enter__()
        return self.start()

    def start(self):
        """The (next) generation of the submitter."""
        self.generation += 1
        self.submitter = Actor("submitter", generation=self.generation, settings=self.settings,
                               run_dir=self.store.run_dir)
        self.submitter.neighbour("store", self.store.generation)
        self.submitter.fake("hh_client", self.hh.answer, generation=self.generation)
        if self.generation == 1:
            self.store.neighbour("submitter", 1)
        else:
            self.store.peers["submitter"].up(self.generation)
        self.submitter.start()
        return self

    def kill(self):
        """kill -9, as the store hears of it."""
        self.submitter.kill()
        self.store.peers["submitter"].down()
        self.submitter.close()

    def wait_over(self, application, timeout=30):
        deadline = time.monotonic() + timeout
        while (now := self.get(application))["status"] in ("pending", "submitting", "rate_limited"):
            assert time.monotonic() < deadline, now
            time.sleep(0.02)
        return now

    def __exit__(self, *error):
        self.submitter.__exit__(*error)
        self.store.__exit__(*error)

    def submit_async(self, user, vacancy, **fields):
        return self.submitter.call_async("applications.submit", {
            "user_id": user, "job_external_id": str(vacancy), **fields})

    def submit(self, user, vacancy, **fields):
        return self.submit_async(user, vacancy, **fields).result(30)

    def get(self, application):
        return self.store.call("applications.get", {"id": application["id"]})

    def wait_status(self, application, status, timeout=30):
        deadline = time.monotonic() + timeout
        while (now := self.get(application))["status"] != status:
            assert time.monotonic() < deadline, f"not {status} but {now}"
            time.sleep(0.02)
        return now
