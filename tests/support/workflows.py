"""Workflows in the words of the store's messages; the test is the submitter."""
import itertools
import json

from support.applications import Queue
from support.store import Database

numbers = itertools.count(1)

ANNA = {"firstName": "Anna", "last_name": "Smith", "email": "anna@example.test", "phone": "",
        "title": "C developer", "skills": ["C", "Linux", "SQL"], "summary": "I write daemons."}


class Workflows(Queue):
    """A store, its database, and a person with a CV."""

    def __init__(self, server, name, **settings):
        super().__init__(server.url_of(name), **settings)
        self.database = Database(server, name)

    def __exit__(self, *error):
        self.database.close()
        return super().__exit__(*error)

    def person(self, parsed_data=None):
        """(user, cv)"""
        user = self.database.value("insert into users (email, password_hash) values (%s, 'x')"
                                   " returning id", f"u{next(numbers)}@example.test")
        cv = self.database.value("insert into cvs (user_id, name, file_path, parsed_data) values"
                                 " (%s, 'CV', '/f', %s) returning id", user,
                                 None if parsed_data is None else json.dumps(parsed_data))
        return user, cv

    def session_of(self, user):
        return self.database.value(
            "insert into sessions (session_id, user_id, token, expires_at) values"
            " (gen_random_uuid(), %s, 't', now() + interval '1 day') returning session_id", user)

    def add(self, user, cv, vacancies, **fields):
        """The workflow's id."""
        return self.added(user, cv, vacancies, **fields)["workflow_id"]

    def added(self, user, cv, vacancies, **fields):
        return self.call("queue.add", {"user_id": user, "cv_id": cv,
                                       "job_ids": [str(v) for v in vacancies], **fields})

    def do(self, verb, flow, **fields):
        return self.call(f"queue.{verb}", {"workflow_id": flow, **fields})

    def progress(self, flow):
        """State and the counts that are not 0."""
        reply = self.do("progress", flow)
        return reply["state"], {k: n for k, n in reply["progress"].items() if n}

    def items(self, flow):
        """vacancy -> status, in the order of insertion."""
        return dict(self.database.rows("select job_external_id, status from application_queue"
                                       " where workflow_id = %s order by place", flow))

    def payload(self, flow, vacancy):
        return self.database.value("select payload from application_queue where workflow_id = %s"
                                   " and job_external_id = %s", flow, str(vacancy))

    def claim_work(self, **more):
        """What somebody prepares at this moment is passed over: it is due still, and asked for again."""
        due = "select count(*) from application_lanes where due_at <= now()"
        while not (work := super().claim_work(**more)) and self.database.value(due) > 0:
            pass
        return work

    def serve(self, status="submitted", **fields):
        """Claims and ends what is due; gives the vacancies."""
        work = self.claim_work()
        for one in work:
            assert self.note(one)
            self.end_work(one, status, **fields)
        return [one["job_external_id"] for one in work]

    def told(self, user, kind):
        return [json.loads(e["payload"])["data"] for e in self.events(f"user:{user}")["events"]
                if e["type"] == kind]

    def vacancy(self, number, title="Vacancy", **fields):
        columns = {"external_id": str(number), "title": title, **fields}
        return self.database.value(
            f"insert into jobs ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})"
            " returning id", *columns.values())
