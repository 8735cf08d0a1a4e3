"""What passes through: the request log, the counters, the pacing (429), and the rule about User-Agent.

Paths under /_sim/ are the tests' own and are neither counted nor limited.
"""
import gzip
import secrets
import time
from collections import Counter, deque

from aiohttp import web
from errors import bad_user_agent, too_many_requests

LOG_LENGTH = 5000
GZIP_FROM_BYTES = 1000
CONTROL = "/_sim/"
# Pages for browsers, which send their own User-Agent and no token.
SITE_PATHS = frozenset({"/oauth/authorize", "/account/captcha"})
# The sample of HH's documentation is on its stop list, and so are other addresses at the same domain.
BLACKLISTED_CONTACT = "@example.com"


class SlidingSecond:
    """The moments of the last second."""

    def __init__(self):
        self._moments = deque()

    def count(self, now):
        while self._moments and self._moments[0] <= now - 1:
            self._moments.popleft()
        return len(self._moments)

    def add(self, now):
        self._moments.append(now)


class Traffic:
    def __init__(self):
        self.log = deque(maxlen=LOG_LENGTH)
        self._by_client = {}
        self.reset()

    def reset(self):
        """Forgets the counters and the log, but not how much each client has sent in the last second."""
        self.log.clear()
        self._paths, self._statuses, self._searches = Counter(), Counter(), Counter()
        self._total = self._peak = self._paced = 0
        self._last_second = SlidingSecond()

    def arrived(self):
        now = time.monotonic()
        self._total += 1
        self._last_second.add(now)
        self._peak = max(self._peak, self._last_second.count(now))

    def finished(self, pattern, status):
        self._paths[pattern] += 1
        self._statuses[status] += 1

    def note_search(self, given):
        """One search, whichever page of it: what is counted is how often the same question is asked."""
        self._searches[tuple(sorted(pair for pair in given if pair[0] not in ("page", "per_page")))] += 1

    def may_pass(self, client, max_rps):
        now = time.monotonic()
        second = self._by_client.setdefault(client, SlidingSecond())
        if second.count(now) >= max_rps:
            self._paced += 1
            return False
        second.add(now)
        return True

    def stats(self):
        return {"requests": self._total, "by_path": dict(self._paths), "by_status": dict(self._statuses),
                "peak_per_second": self._peak, "searches": sum(self._searches.values()),
                "distinct_searches": len(self._searches), "too_many_requests": self._paced}


def is_control(request):
    return request.path.startswith(CONTROL)


def is_api(request):
    """Neither the tests' own path nor a page for browsers: HH's rules about headers hold."""
    return not is_control(request) and request.path not in SITE_PATHS


def _pattern(request):
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical if resource else '(unknown)'}"


def _log_entry(request):
    headers = dict(request.headers)
    if "Authorization" in headers:
        headers["Authorization"] = headers["Authorization"].partition(" ")[0] + " (hidden)"
    return {"time": time.time(), "client": request.remote, "method": request.method, "path": request.path,
            "query": [list(pair) for pair in request.query.items()], "headers": headers}


def _outcome(request, status):
    token = request["token"]
    return {"status": status, "request_id": request["request_id"], "fault": request["fault"],
            "token": token.kind if token else None, "user_id": token.user_id if token else None,
            "form_fields": request["form_fields"], "took_ms": round((time.monotonic() - request["arrived"]) * 1000, 2)}


@web.middleware
async def record(request, handler):
    request["request_id"] = f"{time.time_ns() // 1_000_000}{secrets.token_hex(9)}"
    request["arrived"] = time.monotonic()
    request["token"] = request["fault"] = request["form_fields"] = None
    if is_control(request):
        return await handler(request)
    traffic, entry, status = request.app["sim"].traffic, _log_entry(request), 0  # 0: cut off before an answer
    traffic.log.append(entry)
    traffic.arrived()
    try:
        response = await handler(request)
        status = response.status
        if not response.prepared:
            response.headers["X-Request-ID"] = request["request_id"]
            _compress(request, response)
        return response
    finally:
        traffic.finished(_pattern(request), status)
        entry.update(_outcome(request, status))


def _compress(request, response):
    if "gzip" in request.headers.get("Accept-Encoding", "") and response.body and len(response.body) > GZIP_FROM_BYTES:
        response.body = gzip.compress(response.body, compresslevel=1, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"


@web.middleware
async def pace(request, handler):
    sim = request.app["sim"]
    max_rps = sim.options.max_rps
    if max_rps and not is_control(request) and not sim.traffic.may_pass(request.remote, max_rps):
        raise too_many_requests()
    return await handler(request)


@web.middleware
async def require_user_agent(request, handler):
    if is_api(request):
        agent = request.headers.get("HH-User-Agent") or request.headers.get("User-Agent")
        if not agent:
            raise bad_user_agent("unset")
        if BLACKLISTED_CONTACT in agent:
            raise bad_user_agent("blacklisted")
    return await handler(request)
