"""The control API of the applicants' side: their settings, resumes and applications."""
from dataclasses import asdict, fields

from aiohttp import web
from applicants import Settings
from control import Refused, answers_refusals, body_of, number_of
from errors import json_response
from negotiations import STATES
from reference import DICTIONARIES, ids_of

_STATUSES = ids_of(DICTIONARIES["resume_status"])
_MAX_AT_ONCE = 1000


def _all_settings(sim):
    return {**asdict(sim.settings), "token_ttl_s": sim.options.token_ttl}


async def read_settings(request):
    return json_response(_all_settings(request.app["sim"]))


async def change_settings(request):
    body, sim = await body_of(request), request.app["sim"]
    types = {field.name: field.type for field in fields(Settings)} | {"token_ttl_s": float}
    for name, value in body.items():
        if name not in types:
            raise Refused(f"unknown setting {name!r}; known: {', '.join(types)}")
        if types[name] is bool and not isinstance(value, bool):
            raise Refused(f"{name} must be true or false")
        if types[name] is not bool:
            body[name] = types[name](number_of(body, name, None))
    if body.get("limit_status", 400) not in (400, 403, 429):
        raise Refused("limit_status is 400, 403 or 429")
    sim.options.token_ttl = body.pop("token_ttl_s", sim.options.token_ttl)
    for name, value in body.items():
        setattr(sim.settings, name, value)
    return json_response(_all_settings(sim))


async def forget(request):
    request.app["sim"].forget_applicants()
    return web.Response(status=204)


async def list_resumes(request):
    sim = request.app["sim"]
    return json_response({"resumes": [
        {"id": resume.id, "user_id": resume.user_id, "title": resume.title, "status": resume.status,
         "created_at": resume.created_at, "published_at": resume.published_at,
         "can_apply": sim.resumes.can_apply(resume), "content": resume.content} for resume in sim.resumes.all(request.query.get("user_id"))]})


async def make_resumes(request):
    """Resumes that are there at once, for all methods."""
    body, resumes = await body_of(request), request.app["sim"].resumes
    count, status = int(number_of(body, "count", 1)), str(body.get("status", "published"))
    user_id, content = body.get("user_id"), body.get("content", {})
    if not isinstance(user_id, str) or not isinstance(content, dict) or count > _MAX_AT_ONCE:
        raise Refused(f"user_id is text, content an object, count at most {_MAX_AT_ONCE}")
    if status not in _STATUSES:
        raise Refused(f"status is one of {', '.join(sorted(_STATUSES))}")
    title, ids = content.get("title", "Программист"), []
    for number in range(1, count + 1):
        wanted = {**content, "title": title if count == 1 else f"{title} {number}"}
        _, problems = resumes.check(user_id, wanted)
        if problems:
            raise Refused(f"HH would not take it: {problems}")
        ids.append(resumes.add_sample(user_id, status, **wanted).id)
    return json_response({"ids": ids}, 201)


async def set_resume_status(request):
    body, resumes = await body_of(request), request.app["sim"].resumes
    resume = resumes.get(str(body.get("id")))
    if resume is None or str(body.get("status")) not in _STATUSES - {"not_published"}:
        raise Refused("id is a resume's, status is published, blocked or on_moderation")
    if body["status"] == "published" and resume.published_at is None:
        raise Refused("moderators do not publish what its owner has not")
    resume.status = body["status"]
    return json_response({"id": resume.id, "status": resume.status})


async def list_applications(request):
    """In the order they were made, and every try that reached HH with what came of it."""
    negotiations, wanted = request.app["sim"].negotiations, dict(request.query)
    made = [application.describe() for application in negotiations.applications]
    return json_response({name: [entry for entry in entries if wanted.items() <= entry.items()]
                          for name, entries in (("applications", made), ("attempts", list(negotiations.attempts)))})


async def set_state(request):
    body, negotiations = await body_of(request), request.app["sim"].negotiations
    application = negotiations.find(str(body.get("id")))
    if application is None or str(body.get("state")) not in STATES:
        raise Refused(f"id is an application's, state is one of {', '.join(STATES)}")
    negotiations.set_state(application, body["state"])
    return json_response(application.describe())


async def refuse(request):
    """From now on applying to these vacancies gives this error; without a value or a description, none again."""
    body, refusals = await body_of(request), request.app["sim"].negotiations.refusals
    ids, value, said = body.get("vacancy_ids"), body.get("value"), body.get("description")
    if not isinstance(ids, list):
        raise Refused("vacancy_ids must be a list")
    for vacancy_id in map(str, ids):
        refusals.pop(vacancy_id, None)
        if value or said:
            refusals[vacancy_id] = (int(number_of(body, "status", 403, 400)), body.get("type", "negotiations"), value,
                                    said)
    return json_response({"refused": sorted(refusals)})


def add_routes(app):
    routes = (("GET", "settings", read_settings), ("POST", "settings", change_settings),
              ("DELETE", "applicants", forget), ("GET", "resumes", list_resumes), ("POST", "resumes", make_resumes),
              ("POST", "resume_status", set_resume_status), ("GET", "applications", list_applications),
              ("POST", "application_state", set_state), ("POST", "refuse", refuse))
    for method, name, handler in routes:
        app.router.add_route(method, f"/_sim/{name}", answers_refusals(handler))
