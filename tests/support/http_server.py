"""A small real HTTP server whose answers a test scripts, and which remembers what it was asked."""
import asyncio
import json
import threading
import time
from collections import namedtuple

from aiohttp import web

Received = namedtuple("Received", "at method path headers body")


class HttpServer:
    """`answer` is a function(Received) giving (status, body, headers), or a coroutine doing so.

    with HttpServer(answer) as server: ... server.url ... server.requests
    """

    def __init__(self, answer=None, port=0):
        self.answer = answer or (lambda request: (200, {"ok": True}, {}))
        self.port = port
        self.requests = []
        self.changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def wait(self, count, timeout=10):
        """Waits until so many requests have come; gives them all."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= count, timeout), \
                f"{len(self.requests)} requests of {count} within {timeout} s"
            return list(self.requests)

    async def _handle(self, request):
        received = Received(time.monotonic(), request.method, request.path, request.headers.copy(),
                            await request.text())
        with self.changed:
            self.requests.append(received)
            self.changed.notify_all()
        answer = self.answer(received)
        status, body, headers = await answer if asyncio.iscoroutine(answer) else answer
        return web.Response(status=status, text=json.dumps(body), headers=headers,
                            content_type="application/json")

    async def _start(self):
        app = web.Application(client_max_size=1 << 28)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, shutdown_timeout=0.1,
                           reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self._started.set()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()

    def __enter__(self):
        self._thread.start()
        assert self._started.wait(10)
        return self

    async def _stop(self):
        await self._runner.cleanup()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:  # answers that nobody waits for any more
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
