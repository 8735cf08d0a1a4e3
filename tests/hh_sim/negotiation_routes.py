"""The methods of applications: applying, the list, one of them, hiding it, and its messages."""
import re

from aiohttp import web
from applicants import MAX_PER_PAGE, page_of, require_applicant, whole_number
from errors import ApiError, bad_argument, bad_request, json_response, refusal, unset_arguments
from negotiations import application_json, has_status
from reference import DICTIONARIES, ids_of

MAX_LETTER = 10_000
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_VACANCY_ID = re.compile(r"\d{1,18}")
_RESUME_ID = re.compile(r"[0-9A-Za-z]{1,128}")
_STATUSES = ids_of(DICTIONARIES["applicant_negotiation_status"])
_ORDERS = {"updated_at": lambda application: (application.updated_at, application.id),
           "created_at": lambda application: (application.at, application.id)}


def add_routes(app):
    router = app.router
    router.add_post("/negotiations", apply)
    router.add_get("/negotiations", listing)
    router.add_get("/negotiations/{application_id}", one)
    router.add_delete("/negotiations/active/{application_id}", hide)
    router.add_get("/negotiations/{application_id}/messages", messages)
    router.add_post("/negotiations/{application_id}/messages", write)


async def _form(request):
    """The text fields of the two forms; any other body, JSON too, is not read at all."""
    if request.content_type not in _FORMS:
        return {}
    try:
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    except ValueError:  # a body that is not what it says
        raise bad_request() from None


async def apply(request):
    user_id, form = require_applicant(request), await _form(request)
    request["form_fields"] = sorted(form)
    negotiations = request.app["sim"].negotiations
    attempt = {"user_id": user_id, "vacancy_id": form.get("vacancy_id"), "resume_id": form.get("resume_id")}
    try:
        vacancy = _vacancy(request.app["sim"], form)
        if vacancy.draft.type == "direct":
            negotiations.note_attempt(outcome="direct", **attempt)
            return web.Response(status=303, content_type="text/html", headers={"Location": vacancy.draft.response_url})
        application = _carry_out(request.app["sim"], user_id, vacancy, form)
    except ApiError as error:
        entry = error.body["errors"][0]
        negotiations.note_attempt(outcome=entry.get("value") or entry["type"], **attempt)
        raise
    negotiations.note_attempt(outcome="applied", **attempt)
    headers = {"Location": f"/negotiations/{application.id}"}
    if form.get("with_chat_info") == "true":  # what HH's own application asks for
        return json_response({"id": application.id}, 201, headers)
    return web.Response(status=201, content_type="text/html", headers=headers)


def _vacancy(sim, form):
    """The vacancy of the form, once both ids are there."""
    unset = {f"{name}_id": f"{name.capitalize()} id must be set" for name in ("vacancy", "resume")
             if not form.get(f"{name}_id")}
    if unset:
        raise unset_arguments(unset)
    if not _VACANCY_ID.fullmatch(form["vacancy_id"]):
        raise bad_argument("vacancy_id")
    if not _RESUME_ID.fullmatch(form["resume_id"]):
        raise bad_argument("resume_id")
    vacancy = sim.index.by_id.get(form["vacancy_id"])
    if vacancy is None:
        raise refusal(400, "negotiations", "vacancy_not_found")
    return vacancy


def _carry_out(sim, user_id, vacancy, form):
    resume, letter, negotiations = sim.resumes.get(form["resume_id"]), form.get("message"), sim.negotiations
    _check_resume(sim, user_id, resume)
    if negotiations.has_applied(resume.id, vacancy.id):
        raise refusal(403, "negotiations", "already_applied", "Already applied", bad_argument="vacancy_id",
                      bad_arguments=[{"name": "vacancy_id", "description": "Already applied"}])
    _check_vacancy(vacancy, resume)
    _check_letter(vacancy, letter)
    if negotiations.limit_reached(user_id):
        raise refusal(sim.settings.limit_status, "negotiations", "limit_exceeded")
    if vacancy.id in negotiations.refusals:
        raise refusal(*negotiations.refusals[vacancy.id])
    if resume.access == "no_one":
        resume.content["access"] = {"type": {"id": "whitelist"}}
    return negotiations.apply(user_id, vacancy, resume, letter)


def _check_resume(sim, user_id, resume):
    if resume is None or resume.user_id != user_id:
        raise refusal(400, "negotiations", "resume_not_found")
    if resume.status != "published":
        raise refusal(403, "negotiations", "resume_not_found")
    if not sim.resumes.can_apply(resume):
        raise refusal(400, "negotiations", "resume_not_found")


def _check_vacancy(vacancy, resume):
    if vacancy.archived:
        raise refusal(403, "negotiations", "invalid_vacancy")
    if vacancy.draft.has_test and vacancy.draft.test_required:
        raise refusal(403, "negotiations", "test_required")
    if resume.access == "whitelist" and vacancy.draft.type == "anonymous":
        raise refusal(403, "negotiations", "resume_visibility_conflict")


def _check_letter(vacancy, letter):
    if vacancy.draft.response_letter_required and not (letter or "").strip():
        raise refusal(400, "bad_argument", "message", "Letter required", bad_argument="message",
                      bad_arguments=[{"name": "message", "description": "Letter required"}])
    if letter is not None and not letter.strip():
        raise refusal(403, "negotiations", "empty_message")
    if letter is not None and len(letter) > MAX_LETTER:
        raise refusal(403, "negotiations", "too_long_message")


async def listing(request):
    user_id, query = require_applicant(request), request.query
    page, per_page = whole_number(query, "page", 0), whole_number(query, "per_page", 20, MAX_PER_PAGE)
    status = _choice(query, "status", _STATUSES, "all")
    found = [application for application in request.app["sim"].negotiations.listed(user_id)
             if has_status(application, status)]
    if query.get("vacancy_id"):
        found = [application for application in found if application.vacancy.id == query["vacancy_id"]]
    if _choice(query, "has_updates", ("true", "false"), "false") == "true":
        found = [application for application in found if application.has_updates]
    order = _ORDERS[_choice(query, "order_by", _ORDERS, "updated_at")]
    found.sort(key=order, reverse=_choice(query, "order", ("asc", "desc"), "desc") == "desc")
    content = page_of(found, page, per_page)
    return json_response({**content, "items": [application_json(application) for application in content["items"]]})


def _choice(query, name, choices, default):
    value = query.get(name) or default
    if value not in choices:
        raise bad_argument(name)
    return value


def _own(request):
    user_id, application_id = require_applicant(request), request.match_info["application_id"]
    application = request.app["sim"].negotiations.get(user_id, application_id)
    if application is None:
        raise refusal(404, "negotiations", "topic_not_found")
    return application


def _own_with_chat(request):
    application = _own(request)
    if not request.app["sim"].negotiations.chat_is_ready(application):
        raise refusal(425, "negotiations", "chat_is_not_ready")
    return application


async def one(request):
    return json_response(application_json(_own(request)))


async def hide(request):
    request.app["sim"].negotiations.hide(_own_with_chat(request))
    return web.Response(status=204)


async def messages(request):
    return json_response(page_of(_own_with_chat(request).messages))


async def write(request):
    application = _own_with_chat(request)
    if application.messaging_status != "ok":
        raise refusal(403, "negotiations", _UNWRITABLE.get(application.messaging_status, "disabled_by_employer"))
    text = (await _form(request)).get("message", "")
    if not text.strip():
        raise refusal(403, "negotiations", "message_cannot_be_empty")
    if len(text) > MAX_LETTER:
        raise refusal(403, "negotiations", "too_long_message")
    return json_response(request.app["sim"].negotiations.write(application, text), 201)


_UNWRITABLE = {"archived": "archived", "no_invitation": "no_invitation"}
