"""The store's durable queue of applications, in the words of its messages."""
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

    def claim_work(self, held=(), limit=24, node="one"):
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
