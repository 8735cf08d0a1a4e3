"""hh_client and a real store behind it: what users' accounts take."""
import re
from concurrent.futures import ThreadPoolExecutor

from support.harness import NO_ANSWER, Failed
from support.hh import HhClient
from support.store import Store

KEY = "an encryption key of the tests"
CALLBACK = "http://localhost:4000/auth/hh/callback"
USER_TOKEN = re.compile(r"USER[0-9A-F]{60}")


class Accounts:
    """A node. hold: methods of the store that are not carried out until they are let go."""

    def __init__(self, hh, url, node="one", **settings):
        self.pool = ThreadPoolExecutor(24)
        self.hold, self.held, self.seen = set(), [], []
        self.store = Store(url)
        self.hh, self.settings, self.generation = hh, {"NODE_NAME": node, **settings}, 0
        self.client = None

    def __enter__(self):
        self.store.__enter__()
        return self.start()

    def __exit__(self, *error):
        try:
            if self.client is not None:
                self.client.__exit__(*error)
        finally:
            self.store.__exit__(*error)
            self.pool.shutdown()

    def start(self):
        self.generation += 1
        self.client = HhClient(self.hh, generation=self.generation, **{
            "HH_CLIENT_ID": "demo", "HH_CLIENT_SECRET": "demo-secret", "ENCRYPTION_KEY": KEY,
            "HH_REDIRECT_URI": CALLBACK, "HH_OAUTH_URL": self.hh.url, **self.settings})
        self.client.fake("store", self.relay)
        self.client.start()
        return self

    def restart(self, **settings):
        """As the supervisor does after a SIGKILL, which the test sends."""
        self.settings.update(settings)
        self.client.close()
        return self.start()

    def relay(self, request):
        self.seen.append(request)
        if request.method in self.hold:
            self.held.append(request)
        else:
            self.pool.submit(self.forward, request)
        return NO_ANSWER

    def forward(self, request):
        try:
            request.reply(self.store.call(request.method, request.body))
        except Failed as failed:
            request.refuse(**failed.failure)

    def call(self, method, timeout=20, **body):
        return self.client.call(method, body, timeout)

    def ask(self, method, **body):
        return self.client.call_async(method, body)

    @property
    def logs(self):
        return self.client.log + self.store.log
