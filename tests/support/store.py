"""The store actor alone, in the words of its messages; and a look into its database."""
import time
import uuid

from support.harness import Actor, Failed


def user_id():
    return str(uuid.uuid4())


def job(number, **fields):
    """A vacancy as a search gives it."""
    return {
        "id": str(number), "hh_vacancy_id": str(number), "title": f"Vacancy {number}",
        "company": "Company", "salary": "from 100000 RUR", "area": "Moscow",
        "url": f"https://hh.example/vacancy/{number}", "skills": [],
        "description": f"what {number} takes", "has_test": False, "test_required": False,
        "employer_id": "77", "published_at": "2026-11-24T10:00:00Z", **fields}


class Database:
    """A look at the tables."""

    def __init__(self, server, name=None):
        self.server, self.name = server, name or server.database
        self.url = server.url_of(self.name)
        self.connection = server.connect(self.name)

    def rows(self, sql, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, sql, *values):
        return self.rows(sql, *values)[0][0]

    def close(self):
        self.connection.close()


class Store(Actor):
    """Its scheduler and its broadcaster are fakes that keep what they were told."""

    def __init__(self, url, generation=1, run_dir=None, **settings):
        super().__init__("store", generation=generation, run_dir=run_dir, settings={
            "DATABASE_URL": url, "API_BASE_URL": "http://127.0.0.1:9", **settings})
        self.scheduler = self.fake("scheduler")
        self.broadcaster = self.fake("broadcaster")

    def __enter__(self):
        self.start()
        self.wait_for(lambda: "db.connected for=listen" in self.log, what="the store listens")
        self.scheduler.next("schedules.changed")
        return self

    def put(self, user, text="python", **fields):
        return self.call("store.schedule_put", {"user_id": user, "search": {"text": text}, **fields})

    def claim(self, node="one", capacity=100, ttl_ms=60000):
        """user -> lease of all that the node holds."""
        reply = self.call("store.claim", {"node": node, "capacity": capacity, "ttl_ms": ttl_ms})
        return {lease["user_id"]: lease for lease in reply["leases"]}

    def leased(self, node="one", **fields):
        """A new user with a schedule that the node holds: (user, token)."""
        user = user_id()
        self.put(user, **fields)
        return user, self.claim(node, capacity=20000)[user]["token"]

    def plan(self, user, token):
        return self.call("store.run_plan", {"user_id": user, "lease_token": token})

    def page(self, user, token, jobs):
        reply = self.call("store.run_page", {"user_id": user, "lease_token": token, "jobs": jobs})
        return reply["new_to_user"], reply["changed"]

    def end(self, user, token, started_ms, ok=True, **fields):
        return self.call("store.run_end", {"user_id": user, "lease_token": token, "ok": ok,
                                           "started_ms": started_ms, "whole": False, **fields})

    def run(self, user, token, jobs=(), **fields):
        """A whole run; gives the next plan."""
        plan = self.plan(user, token)
        if jobs:
            self.page(user, token, list(jobs))
        return self.end(user, token, plan["now_ms"], **fields)

    def get(self, user):
        return self.call("schedules.get", {"user_id": user})

    def events(self, *topics, after=0, limit=1000):
        cursors = [{"topic": topic, "seq": after} for topic in topics]
        return self.call("store.events_read", {"cursors": cursors, "limit": limit})

    def bell(self, topic, seq, timeout=10):
        """Waits until the broadcaster is told of this event."""
        wanted = {"topic": topic, "seq": seq}
        self.wait_for(lambda: wanted in [r.body for r in self.broadcaster.received()], timeout,
                      f"the bell for {wanted}")


def refused(call, *arguments, **more):
    """The error that the call ends with."""
    try:
        answer = call(*arguments, **more)
    except Failed as error:
        return error
    raise AssertionError(f"answered with {answer}")


def within(seconds):
    """For a call: it is given up after so long."""
    return {"deadline_ms": time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000
            + int(seconds * 1000)}


def wall_ms():
    return int(time.time() * 1000)
