"""The rate limiter with a real store behind it, and the arithmetic of its buckets to compare with."""
from concurrent.futures import ThreadPoolExecutor

from support.harness import NO_ANSWER, Actor, Failed
from support.store import Store, user_id

HOUR_MS = 3600000


class Limits:
    """A node's rate_limiter and store. Several may run on one database."""

    def __init__(self, url, **settings):
        self.store = Store(url)
        self.limiter = Actor("rate_limiter", settings=settings)
        self.threads = ThreadPoolExecutor(8)  # between the two harnesses' own threads
        self.store.fake("rate_limiter", lambda bell: self._later(self._ring, bell))
        self.limiter.fake("store", lambda call: self._later(self._pass_on, call))
        self.pass_on = True

    def _later(self, function, request):
        self.threads.submit(function, request)
        return NO_ANSWER

    def _ring(self, bell):
        if self.limiter.running():
            self.limiter.cast(bell.method, bell.body)

    def _pass_on(self, call):
        try:
            call.reply(self.store.call(call.method, call.body, timeout=30))
        except Failed as error:
            call.refuse(error.code, error.message)

    def __enter__(self):
        self.store.__enter__()
        self.limiter.start()
        return self

    def __exit__(self, *error):
        self.limiter.__exit__(*error)
        self.threads.shutdown()
        self.store.__exit__(*error)

    def check(self, user, **fields):
        return self.limiter.call("limiter.check", {"user_id": user, **fields}, timeout=30)

    def status(self, user, **fields):
        return self.limiter.call("limiter.status", {"user_id": user, **fields})

    def reset(self, user, **fields):
        return self.limiter.call("limiter.reset", {"user_id": user, **fields})

    def spent(self, user, **fields):
        """Asks until it is refused: how many were allowed, and the refusal."""
        allowed = 0
        while (verdict := self.check(user, **fields))["allowed"]:
            allowed += 1
        return allowed, verdict


def leap(database, ms):
    """Moves the limiter's time."""
    database.rows("update limiter_clock set at_ms = at_ms + %s", ms)


def hold(database, at_ms=0):
    """Stops the limiter's time at at_ms, as far as the row goes: wall clocks add nothing to it."""
    database.rows("update limiter_clock set at_ms = %s, updated_at = now() + interval '1 day',"
                  " boot = 'the test''s', boot_ms = 0", at_ms)


def take(database, user, action="application", cost=1, capacity=20, per_hour=8):
    return database.rows("select * from limiter_take(%s, %s, %s, %s, %s)",
                         user, action, cost, capacity, per_hour)[0]


__all__ = ["HOUR_MS", "Limits", "hold", "leap", "take", "user_id"]
