"""GET /vacancies and GET /vacancies/{vacancy_id}: the search's page and one vacancy in full."""
from urllib.parse import urlencode

import parameters
import reference
import search as searching
from aiohttp import web
from captcha import allow_anonymous
from errors import json_response, not_found
from vacancy import API, SITE, to_json
from words import highlight

_CLUSTERS = (("area", "Регион"), ("experience", "Опыт работы"), ("employment", "Тип занятости"),
             ("schedule", "График работы"))
_CLUSTER_NAMES = {
    "area": {area_id: area["name"] for area_id, area in reference.AREA_BY_ID.items()},
    **{name: {entry["id"]: entry["name"] for entry in reference.DICTIONARIES[name]}
       for name in ("experience", "employment", "schedule")}}


def add_routes(app):
    app.router.add_get("/vacancies", search_page)
    app.router.add_get("/vacancies/{vacancy_id}", details)


async def search_page(request):
    allow_anonymous(request, "search")
    sim = request.app["sim"]
    search = parameters.read(request.query, sim.now(), sim.options.round_date_from)
    sim.traffic.note_search(search.given)
    found = searching.find(search, sim.index)
    first = search.page * search.per_page
    items = b",".join(_item(vacancy, search, request) for vacancy in found[first:first + search.per_page])
    rest = to_json(_page(search, sim, found))
    return web.Response(body=b'{"items":[' + items + b"]," + rest[1:], content_type="application/json", charset="utf-8")


def _item(vacancy, search, request):
    draft, terms = vacancy.draft, frozenset(search.text.terms()) if search.text else None
    tail = {"snippet": {"requirement": highlight(draft.requirement, terms),
                        "responsibility": highlight(draft.responsibility, terms)},
            "contacts": draft.contacts if request["token"] else None,
            "relations": _relations(vacancy, request),
            "sort_point_distance": vacancy.distance_m(*search.sort_point) if search.order_by == "distance" else None}
    if search.responses_count:
        tail["counters"] = {"responses": draft.responses, "total_responses": draft.responses}
    return vacancy.item_json(tail)


def _relations(vacancy, request):
    token = request["token"]
    applied = request.app["sim"].negotiations.relations(token.user_id, vacancy.id) if token else []
    return [*vacancy.relations(), *applied]


def _page(search, sim, found):
    return {"found": len(found), "pages": _page_count(search, len(found), sim.options.uncapped_pages),
            "page": search.page, "per_page": search.per_page,
            "clusters": _clusters(search, sim.index, found) if search.clusters else None,
            "arguments": _arguments(search) if search.describe_arguments else None,
            "fixes": None, "suggests": None,
            "alternate_url": f"{SITE}/search/vacancy?{urlencode(sorted(search.given))}&enable_snippets=true"}


def _page_count(search, found, uncapped):
    if search.per_page == 0:
        return 0
    reachable = found if uncapped else min(found, parameters.DEPTH_LIMIT)
    return -(-reachable // search.per_page)


def _clusters(search, index, found):
    numbers = {vacancy.number for vacancy in found}
    return [{"id": facet, "name": name, "items": list(_cluster_items(facet, search, index, numbers))}
            for facet, name in _CLUSTERS]


def _cluster_items(facet, search, index, numbers):
    for value, name in _CLUSTER_NAMES[facet].items():
        count = len(numbers & index.with_facet(facet, value))
        if count:
            url = f"{API}/vacancies?{urlencode([*search.given, (facet, value)])}"
            yield {"name": name, "url": url, "count": count}


def _arguments(search):
    return [{"argument": name, "value": value, "value_description": None, "cluster_group": None,
             "disable_url": f"{API}/vacancies?{urlencode(search.given[:at] + search.given[at + 1:])}"}
            for at, (name, value) in enumerate(search.given)]


async def details(request):
    allow_anonymous(request, "details")
    vacancy = request.app["sim"].index.by_id.get(request.match_info["vacancy_id"])
    if vacancy is None:
        raise not_found()
    content = vacancy.details()
    content["contacts"] = vacancy.draft.contacts if request["token"] and not vacancy.archived else None
    content["relations"] = _relations(vacancy, request)
    return json_response(content)
