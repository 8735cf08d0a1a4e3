"""The control API under /_sim/: what tests use to look inside the simulator and to change the world."""
import datetime
import html
import json
import re

import parameters
import reference
import search as searching
import users
from aiohttp import web
from errors import json_response
from faults import BadRule

# Optional keys of POST /_sim/vacancies that go into the vacancy as they are, and their types.
_TEXT, _NULLABLE_TEXT = (str,), (str, type(None))
_PLAIN = {"name": _TEXT, "type": _TEXT, "experience": _TEXT, "employment": _NULLABLE_TEXT, "schedule": _NULLABLE_TEXT,
          "employment_form": _NULLABLE_TEXT, "response_url": _NULLABLE_TEXT, "branded_description": _NULLABLE_TEXT,
          "archived": (bool,), "has_test": (bool,), "test_required": (bool,), "response_letter_required": (bool,),
          "work_format": (list,), "key_skills": (list,), "salary": (dict, type(None)), "description": _TEXT,
          "requirement": _NULLABLE_TEXT, "responsibility": _NULLABLE_TEXT}
_SEARCHED = ("description", "requirement", "responsibility")
_TAG = re.compile(r"<[^>]*>")
_DICTIONARY_OF = {"type": reference.VACANCY_TYPE, "experience": reference.EXPERIENCE,
                  "employment": reference.EMPLOYMENT, "schedule": reference.SCHEDULE,
                  "employment_form": reference.EMPLOYMENT_FORM, "work_format": reference.WORK_FORMAT}
_MAX_AT_ONCE = 100_000


class Refused(Exception):
    """What a test asked for makes no sense."""


def answers_refusals(handler):
    async def wrapped(request):
        try:
            return await handler(request)
        except (Refused, BadRule) as error:
            return json_response({"error": str(error)}, 400)
    return wrapped


async def body_of(request):
    """The JSON object of the request; no body at all is an empty one."""
    text = await request.text()
    try:
        content = json.loads(text) if text else {}
    except ValueError:
        raise Refused("the body is not JSON") from None
    if not isinstance(content, dict):
        raise Refused("the body must be an object")
    return content


def number_of(body, name, default, least=0):
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
        raise Refused(f"{name} must be a number of at least {least}")
    return value


async def stats(request):
    sim = request.app["sim"]
    return json_response({**sim.traffic.stats(), **sim.tokens.stats(), "resumes": len(sim.resumes.all()),
                          "applications": len(sim.negotiations.applications),
                          "apply_outcomes": dict(sim.negotiations.outcomes), "vacancies": len(sim.index.live),
                          "archived": len(sim.index.vacancies) - len(sim.index.live)})


async def reset_stats(request):
    request.app["sim"].traffic.reset()
    return web.Response(status=204)


async def requests(request):
    log = list(request.app["sim"].traffic.log)
    last = request.query.get("last", "100")
    if not last.isdigit():
        raise Refused("last must be a number")
    return json_response({"requests": log[-int(last):] if int(last) else []})


async def publish(request):
    body = await body_of(request)
    count = int(number_of(body, "count", 1))
    if count > _MAX_AT_ONCE:
        raise Refused(f"count must be at most {_MAX_AT_ONCE}")
    decided = _decided({name: value for name, value in body.items() if name != "count"})
    sim = request.app["sim"]
    return json_response({"ids": [sim.publish(**decided).id for _ in range(count)]}, 201)


def _decided(body):
    # Who shapes a vacancy wants to see it whole: none of its keys is left out then.
    decided = {"missing": (), "missing_in_details": (), "null_in_details": ()} if body else {}
    for name, value in body.items():
        if name in _PLAIN:
            decided[name] = _checked(name, value)
        elif name in _READERS:
            decided.update(_READERS[name](value))
        else:
            raise Refused(f"unknown key {name!r}; known: count, {', '.join(sorted((*_PLAIN, *_READERS)))}")
    written = [html.unescape(_TAG.sub(" ", body[name])) for name in _SEARCHED if body.get(name)]
    if written:
        decided["sentences"] = written if "description" in body else lambda draft: [*draft.sentences, *written]
    return decided


def _checked(name, value):
    if not isinstance(value, _PLAIN[name]):
        raise Refused(f"{name}: {value!r} has the wrong type")
    dictionary = _DICTIONARY_OF.get(name)
    values = value if isinstance(value, list) else [value]
    if dictionary and value is not None and not set(values) <= reference.ids_of(dictionary):
        raise Refused(f"{name}: {value!r} is not in the dictionary")
    return _salary(value) if name == "salary" and value is not None else value


def _salary(value):
    salary = {"from": None, "to": None, "currency": "RUR", "gross": None, **value}
    if len(salary) > 4 or salary["currency"] not in reference.RATES:
        raise Refused('salary is {"from", "to", "currency", "gross"} or null')
    return salary


def _area(value):
    if not isinstance(value, str) or value not in reference.AREA_BY_ID:
        raise Refused(f"area {value!r} is unknown")
    return {"area": value, "address": None}


def _published_at(value):
    try:
        return {"published": int(datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z").timestamp())}
    except (TypeError, ValueError):
        raise Refused("published_at must look like 2026-01-31T12:00:00+0300") from None


def _employer(value):
    """{"id", "name"}; without an id the employer stays anonymous."""
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise Refused('employer must be {"id", "name"}')
    return {"employer": {"trusted": True, "accredited_it_employer": False, **value}}


def _role(value):
    if not isinstance(value, str) or value not in reference.ROLE_NAMES:
        raise Refused(f"professional_role {value!r} is unknown")
    return {"role": value}


_READERS = {"area": _area, "published_at": _published_at, "employer": _employer,
            "professional_role": _role}


async def archive(request):
    ids, index = (await body_of(request)).get("ids", []), request.app["sim"].index
    unknown = [vacancy_id for vacancy_id in ids if vacancy_id not in index.by_id]
    if unknown:
        raise Refused(f"no vacancy {unknown[0]!r}")
    for vacancy_id in ids:
        index.archive(index.by_id[vacancy_id])
    return json_response({"archived": len(ids)})


async def appear(request):
    body = await body_of(request)
    every = number_of(body, "every", 0)
    request.app["sim"].appear_every(every, body.get("name"))
    return json_response({"every": every, "name": body.get("name")})


async def search_ids(request):
    sim = request.app["sim"]
    search = parameters.read(request.query, sim.now(), sim.options.round_date_from)
    found = searching.find(search, sim.index)
    return json_response({"found": len(found), "ids": [vacancy.id for vacancy in found]})


async def list_faults(request):
    return json_response({"faults": request.app["sim"].faults.describe()})


async def add_fault(request):
    return json_response(request.app["sim"].faults.add(await body_of(request)).describe(), 201)


async def clear_faults(request):
    request.app["sim"].faults.clear()
    return web.Response(status=204)


async def clock(request):
    """Moves the clock of tokens, codes, resumes and applications; vacancies keep to real time."""
    sim = request.app["sim"]
    sim.advance_clock(number_of(await body_of(request), "advance_s", 0))
    return json_response({"ahead_s": sim.clock_ahead_s})


async def tokens(request):
    body, store = await body_of(request), request.app["sim"].tokens
    action = body.get("action", "create")
    if action == "create":
        return json_response(_create(body, request.app["sim"]), 201)
    if action not in ("expire", "revoke", "deactivate"):
        raise Refused("action is create, expire, revoke or deactivate")
    changed = _chosen(body, store)
    for token in changed:
        if action == "expire":
            store.expire(token)
        else:
            token.state = action + "d"
    return json_response({"changed": len(changed)})


def _create(body, sim):
    if body.get("kind") == "app":
        return {"access_token": sim.tokens.force_app().access}
    token = sim.tokens.issue_user(str(body.get("user_id", users.DEFAULT_ID)), body.get("expires_in"))
    resume_ids = [sim.resumes.add_sample(token.user_id, title=f"Программист {number}").id
                  for number in range(1, int(number_of(body, "resumes", 0)) + 1)]
    return {"access_token": token.access, "refresh_token": token.refresh, "user_id": token.user_id,
            "resume_ids": resume_ids}


def _chosen(body, store):
    """The token named, or every token of the user named, or every user token."""
    if "access_token" in body:
        token = store.get(body["access_token"])
        if token is None:
            raise Refused("no such access_token")
        return [token]
    return [token for token in store.user_tokens() if body.get("user_id") in (None, token.user_id)]


def add_routes(app):
    routes = (("GET", "stats", stats), ("POST", "reset_stats", reset_stats), ("GET", "requests", requests),
              ("POST", "vacancies", publish), ("POST", "archive", archive), ("POST", "appear", appear),
              ("GET", "search_ids", search_ids), ("GET", "faults", list_faults), ("POST", "faults", add_fault),
              ("DELETE", "faults", clear_faults), ("POST", "clock", clock), ("POST", "tokens", tokens))
    for method, name, handler in routes:
        app.router.add_route(method, f"/_sim/{name}", answers_refusals(handler))
