"""Misbehaviour on request: rules that say which requests suffer, how often, and from what.

A rule: {"kind", "path" (prefix), "exact", "method", "query" (substring of the query string), "probability", "count",
"skip"} and the settings of its kind (SETTINGS below). Every latency rule that matches delays, before the request
is carried out or, `latency_after`, between that and the answer; of the other rules the first that strikes decides, and
a probability is a share of the requests that the rules before let pass.
"""
import asyncio
import json
import random
import socket
import struct
from dataclasses import dataclass, field

import errors
from aiohttp import web
from applicants import is_applicant_method
from captcha import captcha_error
from traffic import is_control

MEGABYTE = 1 << 20
_GUARD_PAGE = ("<!DOCTYPE html><html><head><title>DDoS-Guard</title></head><body><h1>Checking your browser before "
               "accessing the site</h1><p>Error 403</p></body></html>")
_SERVER_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr>nginx</body></html>"
# Settings of the kinds and their defaults; a rule may name no other.
SETTINGS = {"ms": None, "retry_after": None, "body": None, "chunk_bytes": 16, "mb": 64, "keep": 0.5, "status": 403,
            "type": "negotiations", "value": None, "description": None}
_LATENCIES = ("latency", "latency_after")
_SELECTORS = ("kind", "path", "exact", "method", "query", "probability", "count", "skip")


def _is_text(value):
    return isinstance(value, str)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _is_whole(value):
    return isinstance(value, int) and _is_number(value)


_TYPES = {"path": _is_text, "method": _is_text, "query": _is_text, "probability": _is_number, "count": _is_whole,
          "skip": _is_whole, "ms": _is_number, "chunk_bytes": lambda value: _is_whole(value) and value > 0,
          "mb": _is_whole, "keep": lambda value: _is_number(value) and value <= 1,
          "status": lambda value: _is_whole(value) and 400 <= value < 600, "type": _is_text, "value": _is_text,
          "description": _is_text, "body": lambda value: value in ("json", "html", "empty")}


class BadRule(ValueError):
    pass


@dataclass
class Rule:
    id: int
    kind: str
    path: str = "/"
    exact: bool = False
    method: str = None
    query: str = None
    probability: float = 1.0
    count: int = None               # how often it still strikes; None: for ever
    skip: int = 0                   # how many matching requests it lets pass first
    settings: dict = field(default_factory=dict)
    fired: int = 0

    def concerns(self, request):
        path_fits = request.path == self.path if self.exact else request.path.startswith(self.path)
        if self.kind == "applicant_closed" and not is_applicant_method(request.path):
            return False
        return (path_fits and self.method in (None, request.method)
                and (self.query is None or self.query in request.query_string))

    def strikes(self, rng):
        """Counts the request, so it must be asked once for each."""
        if self.count == 0 or rng.random() >= self.probability:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.count is not None:
            self.count -= 1
        self.fired += 1
        return True

    def __getitem__(self, setting):
        return self.settings[setting]

    def describe(self):
        return {"id": self.id, "kind": self.kind, "path": self.path, "exact": self.exact, "method": self.method,
                "query": self.query, "probability": self.probability, "count": self.count, "skip": self.skip,
                "fired": self.fired, **self.settings}


class Faults:
    def __init__(self, seed):
        self._rng = random.Random(seed)
        self._rules = []
        self._next_id = 1

    def add(self, description):
        rule = _rule(self._next_id, description)
        self._next_id += 1
        self._rules.append(rule)
        return rule

    def clear(self):
        self._rules.clear()

    def describe(self):
        return [rule.describe() for rule in self._rules]

    def choose(self, request):
        """({kind of latency: milliseconds}, the rule that decides or None)"""
        delays_ms, decides = dict.fromkeys(_LATENCIES, 0), None
        for rule in self._rules:
            is_latency = rule.kind in _LATENCIES
            if (decides and not is_latency) or not rule.concerns(request) or not rule.strikes(self._rng):
                continue
            if is_latency:
                delays_ms[rule.kind] += rule["ms"] or 0
            else:
                decides = rule
        return delays_ms, decides


def _rule(rule_id, description):
    if not isinstance(description, dict):
        raise BadRule("a rule is an object")
    known = {*_SELECTORS, *SETTINGS}
    unknown = [name for name in description if name not in known]
    if unknown:
        raise BadRule(f"unknown setting {unknown[0]!r}; known: {', '.join(sorted(known))}")
    kind = str(description.get("kind"))  # 429 is as good as "429"
    if kind not in KINDS and kind not in _LATENCIES:
        raise BadRule(f"unknown kind {kind!r}; known: {', '.join((*_LATENCIES, *KINDS))}")
    for name, value in description.items():
        if value is not None and not _TYPES.get(name, lambda _: True)(value):
            raise BadRule(f"{name}: {value!r} will not do")
    selectors = {name: description[name] for name in _SELECTORS if name in description}
    selectors["kind"] = kind
    settings = {name: description.get(name, default) for name, default in SETTINGS.items()}
    return Rule(rule_id, **selectors, settings=settings)


@web.middleware
async def inject(request, handler):
    if is_control(request):
        return await handler(request)
    delays_ms, rule = request.app["sim"].faults.choose(request)
    struck = [kind for kind in _LATENCIES if delays_ms[kind]]
    request["fault"] = rule.kind if rule else struck[0] if struck else None
    await _wait(delays_ms["latency"])
    handler = _slow_to_answer(handler, delays_ms["latency_after"])
    return await (KINDS[rule.kind](request, handler, rule) if rule else handler(request))


async def _wait(ms):
    if ms:
        await asyncio.sleep(ms / 1000)


def _slow_to_answer(handler, ms):
    async def wrapped(request):
        response = await handler(request)
        await _wait(ms)
        return response
    return wrapped


def _server_error(status, reason, error):
    async def respond(request, handler, rule):
        if rule["body"] == "empty":
            return web.Response(status=status)
        if rule["body"] == "html":
            return web.Response(status=status, text=_SERVER_PAGE.format(f"{status} {reason}"), content_type="text/html")
        return errors.error_response(error(), request)
    return respond


async def _too_many(request, handler, rule):
    headers = {} if rule["retry_after"] is None else {"Retry-After": str(rule["retry_after"])}
    if rule["body"] == "empty":
        return web.Response(status=429, headers=headers)
    return errors.error_response(errors.too_many_requests(), request, headers)


async def _ddos_guard(request, handler, rule):
    return web.Response(status=403, text=_GUARD_PAGE, content_type="text/html", headers={"Server": "ddos-guard"})


async def _captcha(request, handler, rule):
    return errors.error_response(captcha_error(request, "fault"), request)


def _token_error(value):
    async def respond(request, handler, rule):
        return errors.error_response(errors.bad_token(value), request)
    return respond


async def _empty(request, handler, rule):
    return web.Response(status=200, headers={"Content-Type": "application/json; charset=utf-8"})


async def _malformed(request, handler, rule):
    response = await handler(request)
    response.body = _front(response, rule) + b'\xff,]"'
    return response


def _front(response, rule):
    body = response.body or b""
    return body[:int(len(body) * rule["keep"])]


async def _truncated(request, handler, rule):
    """Announces the whole body, sends a part of it, and closes."""
    whole = await handler(request)
    response = _stream_like(whole, request)
    response.content_length = len(whole.body or b"") + 1
    await response.prepare(request)
    await response.write(_front(whole, rule) or b"{")
    return _cut(request, response)


async def _dribble(request, handler, rule):
    """The right body, a few bytes at a time."""
    whole = await handler(request)
    response = _stream_like(whole, request)
    response.content_length = len(whole.body or b"")
    await _send_in_pieces(request, response, whole.body or b"", rule["chunk_bytes"], (rule["ms"] or 100) / 1000)
    return response


async def _chunked(request, handler, rule):
    """The right body without Content-Length, as it comes from behind the guard."""
    whole = await handler(request)
    response = _stream_like(whole, request)
    response.enable_chunked_encoding()
    await _send_in_pieces(request, response, whole.body or b"", rule["chunk_bytes"], (rule["ms"] or 0) / 1000)
    return response


def _stream_like(whole, request):
    headers = {"Content-Type": whole.headers.get("Content-Type", "application/json"),
               "X-Request-ID": request["request_id"]}
    return web.StreamResponse(status=whole.status, headers=headers)


async def _send_in_pieces(request, response, body, size, pause_s):
    await response.prepare(request)
    try:
        for at in range(0, len(body), size):
            await response.write(body[at:at + size])
            await asyncio.sleep(pause_s)
        await response.write_eof()
    except ConnectionError:  # the client has had enough
        pass


async def _reset(request, handler, rule):
    """RST instead of an answer: with a linger time of 0 the kernel drops what is queued."""
    transport = request.transport
    if transport is not None:  # None: the client left first
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=200)


async def _reset_after(request, handler, rule):
    """The request is carried out, and the caller never learns what came of it."""
    await handler(request)
    return await _reset(request, handler, rule)


async def _forbidden(request, handler, rule):
    return errors.error_response(errors.forbidden(), request)


async def _without(request, handler, rule):
    """The right answer, but for one field."""
    response = await handler(request)
    answer = json.loads(response.body)
    answer.pop(rule["value"], None)
    response.body = json.dumps(answer).encode()
    return response


async def _lengthened(request, handler, rule):
    """The right answer, but for one text, to which 9000 characters are added."""
    response = await handler(request)
    answer = json.loads(response.body)
    answer[rule["value"]] += 9000 * "x"
    response.body = json.dumps(answer).encode()
    return response


async def _oauth_error(request, handler, rule):
    """As the token endpoint refuses."""
    return web.json_response({"error": rule["value"], "error_description": rule["description"]}, status=400)


async def _refuse(request, handler, rule):
    error = errors.refusal(rule["status"], rule["type"], rule["value"], rule["description"])
    return errors.error_response(error, request)


def _cut(request, response):
    """Closes after what is already written; the rest of the response never leaves."""
    response.force_close()
    if request.transport is not None:
        request.transport.close()
    return response


async def _huge(request, handler, rule):
    """Valid JSON, were it not for its size."""
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    head, tail = b'{"items":[],"found":0,"pages":0,"page":0,"per_page":20,"padding":"', b'"}'
    response.content_length = len(head) + rule["mb"] * MEGABYTE + len(tail)
    await response.prepare(request)
    try:
        await response.write(head)
        for _ in range(rule["mb"]):
            await response.write(b"x" * MEGABYTE)
        await response.write(tail)
    except ConnectionError:  # the client has had enough
        pass
    return response


async def _hang(request, handler, rule):
    """Holds the connection open and says nothing until the client gives up."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.05)
    return web.Response(status=200)


KINDS = {
    "429": _too_many, "500": _server_error(500, "Internal Server Error", errors.internal_error),
    "502": _server_error(502, "Bad Gateway", errors.bad_gateway),
    "503": _server_error(503, "Service Temporarily Unavailable", errors.service_unavailable),
    "ddos_guard": _ddos_guard, "captcha": _captcha, "token_expired": _token_error("token_expired"),
    "token_revoked": _token_error("token_revoked"), "bad_authorization": _token_error("bad_authorization"),
    "malformed": _malformed, "truncated": _truncated, "dribble": _dribble, "chunked": _chunked, "reset": _reset,
    "reset_after": _reset_after, "forbidden": _forbidden, "applicant_closed": _forbidden, "refuse": _refuse,
    "huge": _huge, "empty": _empty, "hang": _hang, "without": _without, "lengthened": _lengthened,
    "oauth_error": _oauth_error,
}


def rule_from_text(text):
    """For the command line: a whole rule as JSON, or a bare kind."""
    return json.loads(text) if text.lstrip().startswith("{") else {"kind": text}
