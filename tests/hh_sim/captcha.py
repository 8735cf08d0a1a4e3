"""Captcha for callers without a token: their first search passes, later ones wait until someone solves the captcha.

The page of the captcha belongs to the site; opening it with a `backurl` counts as solving it, for the client IP that
was asked.
"""
import secrets

from aiohttp import web
from errors import bad_argument, captcha_required, forbidden


class Captcha:
    def __init__(self):
        self._used = set()      # (client IP, kind of call) that had their free request
        self._asked = {}        # state of a captcha -> the pair that must solve it
        self._solved = set()

    def passes(self, caller):
        if caller in self._solved:
            return True
        if caller in self._used:
            return False
        self._used.add(caller)
        return True

    def ask(self, caller):
        state = secrets.token_hex(12)
        self._asked[state] = caller
        return state

    def solve(self, state):
        caller = self._asked.pop(state, None)
        if caller is None:
            return False
        self._solved.add(caller)
        return True


def captcha_error(request, kind):
    state = request.app["sim"].captcha.ask((request.remote, kind))
    return captcha_required(f"{request.url.origin()}/account/captcha?state={state}")


def allow_anonymous(request, kind):
    """Raises for a caller without a token, unless the simulator is told to let such callers in."""
    sim = request.app["sim"]
    if request["token"] or sim.options.anonymous == "open":
        return
    if sim.options.anonymous == "forbidden":
        raise forbidden()
    if not sim.captcha.passes((request.remote, kind)):
        raise captcha_error(request, kind)


async def captcha_page(request):
    back_url = request.query.get("backurl", "")
    if "://" not in back_url or not back_url.isprintable():
        raise bad_argument("backurl")
    if not request.app["sim"].captcha.solve(request.query.get("state", "")):
        raise bad_argument("state")
    return web.Response(status=302, headers={"Location": back_url})


def add_routes(app):
    app.router.add_get("/account/captcha", captcha_page)
