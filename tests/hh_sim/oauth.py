"""OAuth of the simulated HH: the authorize page, the token endpoint with its three grants, and Bearer tokens.

The site's user is taken to be logged in and to agree, so that authorize redirects at once; `force_login=true` shows
the page instead, `sim_user=ID` chooses who it is, and `sim_answer=refuse` says no.
"""
import html
import secrets
from collections import Counter
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

import users
from aiohttp import web
from errors import OAuthError, bad_token, forbidden, json_response
from traffic import is_api

CODE_LIFETIME_S = 300
APP_TOKEN_PAUSE_S = 300
FORM = "application/x-www-form-urlencoded"


@dataclass
class Token:
    kind: str                       # "user" or "app"
    access: str
    refresh: str = None
    user_id: str = None
    expires_at: float = None        # None: never
    state: str = "live"             # or revoked, deactivated, refreshed


@dataclass
class Code:
    user_id: str
    redirect_uri: str               # as given at authorize; None when left out
    expires_at: float
    used: bool = False


class Tokens:
    def __init__(self, options, now):
        self._options = options
        self._now = now
        self._by_access = {}
        self._by_refresh = {}
        self._codes = {}
        self._app_token = None
        self._app_issued_at = None
        self.refreshes, self.refused_refreshes = Counter(), Counter()   # by user id
        for access in options.access_token:
            kind = "app" if access.startswith("APPL") else "user"
            self._keep(Token(kind, access, user_id=users.DEFAULT_ID if kind == "user" else None))

    def _keep(self, token):
        self._by_access[token.access] = token
        if token.refresh:
            self._by_refresh[token.refresh] = token
        return token

    def user_tokens(self):
        return [token for token in self._by_access.values() if token.kind == "user"]

    def get(self, access):
        return self._by_access.get(access)

    def stats(self):
        return {"refreshes": dict(self.refreshes), "refused_refreshes": dict(self.refused_refreshes)}

    def issue_user(self, user_id, lifetime_s=None):
        lifetime_s = self._options.token_ttl if lifetime_s is None else lifetime_s
        return self._keep(Token("user", "USER" + secrets.token_hex(30).upper(), "USER" + secrets.token_hex(30).upper(),
                                user_id, self._now() + lifetime_s))

    def issue_app(self):
        """A new application token; the earlier one is dead from now on."""
        if self._app_issued_at is not None and self._now() - self._app_issued_at < APP_TOKEN_PAUSE_S:
            raise OAuthError("forbidden", "app token refresh too early", 403)
        return self.force_app()

    def force_app(self):
        if self._app_token:
            self._app_token.state = "revoked"
        self._app_issued_at = self._now()
        self._app_token = self._keep(Token("app", "APPL" + secrets.token_hex(30).upper()))
        return self._app_token

    def issue_code(self, user_id, redirect_uri):
        code = secrets.token_hex(32).upper()
        self._codes[code] = Code(user_id, redirect_uri, self._now() + CODE_LIFETIME_S)
        return code

    def spend_code(self, value, redirect_uri):
        code = self._codes.get(value)
        if code is None:
            raise OAuthError("invalid_request", "code not found")
        if code.used:
            raise OAuthError("invalid_grant", "code has already been used")
        if code.expires_at <= self._now():
            raise OAuthError("invalid_grant", "code expired")
        if code.redirect_uri is not None and code.redirect_uri != redirect_uri:
            raise OAuthError("invalid_request", "bad redirect url")
        code.used = True
        return self.issue_user(code.user_id)

    def refresh(self, value):
        if not value:
            raise OAuthError("invalid_request", "token is empty")
        token = self._by_refresh.get(value)
        if token is None:
            raise OAuthError("invalid_request", "token not found")
        dead = {"refreshed": "token has already been refreshed", "revoked": "token was revoked",
                "deactivated": "token deactivated"}.get(token.state)
        if dead is None and not self._has_expired(token):
            dead = "token not expired"
        if dead:
            self.refused_refreshes[token.user_id] += 1
            raise OAuthError("invalid_grant", dead)
        token.state = "refreshed"
        self.refreshes[token.user_id] += 1
        return self.issue_user(token.user_id)

    def _has_expired(self, token):
        return token.expires_at is not None and token.expires_at <= self._now()

    def expire(self, token):
        token.expires_at = self._now()

    def check(self, authorization):
        """The live token of an Authorization header, or the 403 that names what is wrong with it."""
        scheme, _, access = authorization.partition(" ")
        token = self._by_access.get(access.strip())
        if scheme.lower() != "bearer" or token is None:
            raise bad_token("bad_authorization")
        if token.state in ("revoked", "deactivated"):
            raise bad_token("token_revoked")
        if token.state == "refreshed" or self._has_expired(token):
            raise bad_token("token_expired")
        return token


def require_token(request):
    if request["token"] is None:
        raise forbidden()
    return request["token"]


@web.middleware
async def authenticate(request, handler):
    """Leaves the caller's token in request["token"]; a bad one is refused even where none is needed."""
    authorization = request.headers.get("Authorization")
    if authorization is not None and is_api(request) and not _is_token_call(request):
        request["token"] = request.app["sim"].tokens.check(authorization)
    return await handler(request)


def _is_token_call(request):
    return request.method == "POST" and request.path in ("/token", "/oauth/token")


async def token(request):
    form = await _form(request)
    request["form_fields"] = sorted(form)
    grant = _GRANTS.get(form.get("grant_type"))
    if grant is None:
        raise OAuthError("unsupported_grant_type", "unsupported grant_type")
    return json_response(grant(request.app["sim"], form))


async def _form(request):
    """Only the documented content type is read; anything else looks like an empty form."""
    if request.content_type != FORM:
        return {}
    return dict(parse_qsl((await request.read()).decode("utf-8", "replace"), keep_blank_values=True))


def _by_code(sim, form):
    _check_client(sim.options, form)
    return _pair(sim, sim.tokens.spend_code(form.get("code"), form.get("redirect_uri")))


def _by_refresh_token(sim, form):
    return _pair(sim, sim.tokens.refresh(form.get("refresh_token")))


def _by_client(sim, form):
    _check_client(sim.options, form)
    return {"access_token": sim.tokens.issue_app().access, "token_type": "bearer"}


_GRANTS = {"authorization_code": _by_code, "refresh_token": _by_refresh_token, "client_credentials": _by_client}


def _check_client(options, form):
    client_id, client_secret = form.get("client_id"), form.get("client_secret")
    if not client_secret or client_id != options.client_id:
        raise OAuthError("invalid_client", "client_id or client_secret not found")
    if client_secret != options.client_secret:
        raise OAuthError("invalid_request", "account not found")


def _pair(sim, pair):
    return {"access_token": pair.access, "token_type": "bearer", "expires_in": int(sim.options.token_ttl),
            "refresh_token": pair.refresh}


async def invalidate(request):
    caller = require_token(request)
    if caller.kind != "user":
        raise forbidden()
    caller.state = "revoked"
    return web.Response(status=204)


def redirect_allowed(registered, wanted):
    """HH's rule: a subdomain, a deeper path and any query may differ from the registered address; nothing else."""
    ours, theirs = urlsplit(registered), urlsplit(wanted)
    host_ok = theirs.hostname == ours.hostname or theirs.hostname.endswith(f".{ours.hostname}")
    path_ok = theirs.path == ours.path or theirs.path.startswith(ours.path.rstrip("/") + "/")
    return host_ok and path_ok and (theirs.scheme, theirs.port) == (ours.scheme, ours.port)


def _is_address(text):
    if not text.isprintable():  # a line break would end the Location header
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


async def authorize(request):
    asked, options = request.query, request.app["sim"].options
    if asked.get("response_type") != "code" or asked.get("client_id") != options.client_id:
        return _site_page("Приложение не найдено", 400)
    target = asked.get("redirect_uri") or options.redirect_uri or ""
    if not _is_address(target) or (options.redirect_uri and not redirect_allowed(options.redirect_uri, target)):
        return _site_page("Неверный redirect_uri", 400)
    if asked.get("force_login") == "true" and "sim_answer" not in asked:
        return _login_page(asked)
    answer = {"error": "access_denied"}
    if asked.get("sim_answer") != "refuse":
        user_id = asked.get("sim_user", users.DEFAULT_ID)
        answer = {"code": request.app["sim"].tokens.issue_code(user_id, asked.get("redirect_uri"))}
    if "state" in asked:
        answer["state"] = asked["state"]
    glue = "&" if urlsplit(target).query else "?"
    return web.Response(status=302, headers={"Location": target + glue + urlencode(answer)})


def _login_page(asked):
    links = []
    for user_id in users.KNOWN_IDS:
        name = users.full_name(user_id)
        links.append(_answer_link(asked, f"Войти как {name}", sim_answer="allow", sim_user=user_id))
    links.append(_answer_link(asked, "Отказать", sim_answer="refuse"))
    return _site_page("Приложение просит доступ к вашему профилю", 200, "".join(links))


def _answer_link(asked, text, **answer):
    address = "/oauth/authorize?" + urlencode({**asked, **answer})
    return f'<p><a href="{html.escape(address)}">{html.escape(text)}</a></p>'


def _site_page(title, status, body=""):
    page = f"<!DOCTYPE html><html lang=ru><meta charset=utf-8><title>{title}</title><h1>{title}</h1>{body}</html>"
    return web.Response(text=page, status=status, content_type="text/html")


def add_routes(app):
    app.router.add_get("/oauth/authorize", authorize)
    app.router.add_post("/token", token)
    app.router.add_post("/oauth/token", token)
    app.router.add_delete("/oauth/token", invalidate)
