"""The methods of resumes: the user's own list, one in full, its status, creation, change, deletion, publication."""
import json

from aiohttp import web
from applicants import MAX_PER_PAGE, page_of, require_applicant, whole_number
from errors import bad_json_data, json_response, not_found, refusal
from resume_rules import conditions


def add_routes(app):
    router = app.router
    router.add_get("/resume_conditions", demands)
    router.add_get("/resumes/mine", mine)
    router.add_get("/resumes/creation_availability", availability)
    router.add_post("/resumes", create)
    router.add_get("/resumes/{resume_id}", one)
    router.add_put("/resumes/{resume_id}", change)
    router.add_delete("/resumes/{resume_id}", delete)
    router.add_get("/resumes/{resume_id}/status", status)
    router.add_get("/resumes/{resume_id}/conditions", demands_of_one)
    router.add_post("/resumes/{resume_id}/publish", publish)
    router.add_get("/vacancies/{vacancy_id}/resumes_by_status", by_status)
    router.add_get("/vacancies/{vacancy_id}/suitable_resumes", suitable)


def _resumes(request):
    return request.app["sim"].resumes


def _own(request):
    """The resume of the path; another user's, and one that HH does not show yet, are not there."""
    user_id = require_applicant(request)
    for resume in _resumes(request).readable(user_id):
        if resume.id == request.match_info["resume_id"]:
            return resume
    raise not_found()


async def demands(request):
    require_applicant(request)
    return json_response(conditions())


async def demands_of_one(request):
    _own(request)
    return json_response(conditions())


async def mine(request):
    user_id, resumes = require_applicant(request), _resumes(request)
    page = whole_number(request.query, "page", 0)
    per_page = whole_number(request.query, "per_page", 20, MAX_PER_PAGE)
    items = [resumes.item_json(resume) for resume in resumes.readable(user_id)]
    return json_response(page_of(items, page, per_page))


async def availability(request):
    user_id, resumes = require_applicant(request), _resumes(request)
    created, most = len(resumes.all(user_id)), resumes.settings.max_resumes
    return json_response({"is_creation_available": created < most, "max": most, "created": created,
                          "remaining": max(0, most - created)})


async def one(request):
    return json_response(_resumes(request).full_json(_own(request)))


async def status(request):
    return json_response(_resumes(request).status_json(_own(request)))


async def _body(request):
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise refusal(400, "bad_json_data")
    return body


async def create(request):
    user_id, resumes = require_applicant(request), _resumes(request)
    body = await _body(request)
    if "source_resume_id" in request.query:
        source = resumes.get(request.query["source_resume_id"])
        if source is None or source.user_id != user_id:
            raise not_found()
        body = {**source.content, **body}
    if resumes.is_full(user_id):
        raise refusal(400, "resumes", "total_limit_exceeded")
    content, problems = resumes.check(user_id, body, complete=resumes.settings.complete_resumes)
    if problems:
        raise bad_json_data(problems)
    resume = resumes.add(user_id, content)
    return web.Response(status=201, content_type="text/html", headers={"Location": f"/resumes/{resume.id}"})


async def change(request):
    resume, resumes = _own(request), _resumes(request)
    content, problems = resumes.check(resume.user_id, await _body(request), resume)
    if problems:
        raise bad_json_data(problems)
    resumes.change(resume, content)
    return web.Response(status=204)


async def delete(request):
    resume = _own(request)
    _resumes(request).delete(resume)
    request.app["sim"].negotiations.forget_resume(resume.id)
    return web.Response(status=204)


async def publish(request):
    resume, resumes = _own(request), _resumes(request)
    if not resumes.may_publish(resume):
        raise refusal(400, "bad_request", description="Can't publish resume")
    if resumes.is_too_early(resume):
        raise refusal(429, "resumes", "touch_limit_exceeded", "Can't publish resume: too often")
    resumes.publish(resume)
    return web.Response(status=204)


def _sorted_for(request):
    """The user's resumes by what they are to the vacancy of the path."""
    user_id, sim = require_applicant(request), request.app["sim"]
    vacancy = sim.index.by_id.get(request.match_info["vacancy_id"])
    if vacancy is None:
        raise not_found()
    groups = {"suitable": [], "already_applied": [], "not_published": [], "unavailable": []}
    for resume in sim.resumes.readable(user_id):
        short = sim.resumes.short_json(resume)
        groups[_group(sim, resume, vacancy)].append({**short, "requires_completion": not short["finished"]})
    return groups


def _group(sim, resume, vacancy):
    if sim.negotiations.has_applied(resume.id, vacancy.id):
        return "already_applied"
    if resume.status in ("not_published", "blocked"):
        return "not_published"
    return "suitable" if sim.resumes.can_apply(resume) and not vacancy.archived else "unavailable"


async def by_status(request):
    groups = _sorted_for(request)
    return json_response({**groups, "counters": {name: len(resumes) for name, resumes in groups.items()}})


async def suitable(request):
    groups = _sorted_for(request)
    overall = {name: len(resumes) for name, resumes in groups.items() if name != "suitable"}
    return json_response({**page_of(groups["suitable"]), "overall": overall})
