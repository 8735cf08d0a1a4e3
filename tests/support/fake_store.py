"""The part of the store that the broadcaster asks, in memory: topics, their events, who the webhook's
turn is. For tests of one actor alone (harness.py)."""
import json
import threading
import time


class FakeStore:
    """answer is the answers function of harness.Fake. Methods named in `broken` are answered with what
    it says (a Refuse, NO_ANSWER) instead."""

    def __init__(self):
        self.lock = threading.RLock()
        self.topics = {}     # topic -> its events; seq is the index + 1
        self.forgotten = {}  # topic -> up to this seq the events are no longer kept
        self.told = {}       # (topic, seq) -> the body of store.webhook_result
        self.due = {}        # (topic, seq) -> when it may be claimed again
        self.results = []    # every store.webhook_result
        self.broken = {}
        self.max_events = 1000  # of one answer, whatever was asked for

    def add(self, topic, type="new_jobs", payload=None):
        """One more event; gives the bell for it."""
        with self.lock:
            events = self.topics.setdefault(topic, [])
            seq = len(events) + 1
            if payload is None:
                payload = {"jobs": [{"id": str(seq), "title": f"Job {seq}"}], "stats": {"n": seq}}
            events.append({"topic": topic, "seq": seq, "type": type,
                           "payload": payload if isinstance(payload, str) else json.dumps(payload),
                           "created_ms": 1_700_000_000_000 + seq})
            return {"topic": topic, "seq": seq}

    def tail(self, topic):
        with self.lock:
            return len(self.topics.get(topic, []))

    def answer(self, request):
        broken = self.broken.get(request.method)
        if broken is not None:
            return broken() if callable(broken) else broken
        with self.lock:
            return getattr(self, request.method.replace("store.", "on_"))(request.body)

    def on_events_tail(self, body):
        return {"topic": body["topic"], "seq": self.tail(body["topic"])}

    def on_events_read(self, body):
        limit = min(body["limit"], self.max_events)
        found = []
        for cursor in sorted(body["cursors"], key=lambda c: c["topic"]):
            start = max(cursor["seq"], self.forgotten.get(cursor["topic"], 0))
            found += self.topics.get(cursor["topic"], [])[start:start + limit + 1 - len(found)]
            if len(found) > limit:
                break
        return {"events": found[:limit], "more": len(found) > limit}

    def on_webhook_claim(self, body):
        found = []
        for topic, events in self.topics.items():
            first = next((e for e in events
                          if not self.told.get((topic, e["seq"]), {}).get("delivered")), None)
            if first is not None and self.due.get((topic, first["seq"]), 0) <= time.monotonic():
                found.append(first)
        claimed = found[:body["limit"]]
        for event in claimed:
            self.due[event["topic"], event["seq"]] = time.monotonic() + body["ttl_ms"] / 1000
        return {"events": claimed, "more": len(found) > body["limit"]}

    def on_webhook_result(self, body):
        key = body["topic"], body["seq"]
        self.told[key] = body
        self.due[key] = time.monotonic() + body.get("retry_in_ms", 0) / 1000
        self.results.append(body)
        return {}
