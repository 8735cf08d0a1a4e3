"""Reads the search's query string into a Search, or raises the 400 that HH gives for a value it does not take.

Unknown parameters are ignored. Values of dictionaries are checked; ids (areas, roles, employers) need only look like
ids, since the real dictionaries are larger than ours, and one we do not have finds nothing.
"""
import datetime
import re
from dataclasses import dataclass, field

import query
import reference
from errors import bad_argument, too_deep
from index import TEXT_FIELDS

DEPTH_LIMIT = 2000
MAX_PER_PAGE = 100
DEFAULT_PER_PAGE = 20
MAX_PERIOD_DAYS = 30
ROUND_S = 300

_NUMERIC = re.compile(r"\d{1,18}")
_METRO = re.compile(r"\d+(\.\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_INTEGER = re.compile(r"-?\d{1,18}")
_DECIMAL = re.compile(r"-?\d{1,15}(\.\d{1,20})?")
_MOSCOW = datetime.timezone(datetime.timedelta(hours=3))

_BOX = ("top_lat", "bottom_lat", "left_lng", "right_lng")
_POINT = ("sort_point_lat", "sort_point_lng")
_OTHERS = ("text", "search_field", "page", "per_page", "salary", "currency", "only_with_salary", "label", "period",
           "date_from", "date_to", "order_by", "no_magic", "premium", "clusters", "describe_arguments",
           "responses_count_enabled", "accept_temporary", "excluded_text", "excluded_employer_id", *_BOX, *_POINT)


@dataclass
class Search:
    page: int = 0
    per_page: int = DEFAULT_PER_PAGE
    text: object = None                 # a node of query.py
    fields: tuple = TEXT_FIELDS
    facets: dict = field(default_factory=dict)      # facet -> accepted values
    labels: set = field(default_factory=set)        # all of them must hold
    excluded_employers: set = field(default_factory=set)
    excluded_text: list = field(default_factory=list)
    published_from: float = None        # epoch seconds, inclusive both
    published_to: float = None
    salary_roubles: float = None
    order_by: str = None
    box: tuple = None                   # (top, bottom, left, right)
    sort_point: tuple = None
    clusters: bool = False
    describe_arguments: bool = False
    responses_count: bool = False
    given: list = field(default_factory=list)       # the (name, value) pairs that mean something


def _one_of(dictionary):
    ids = reference.ids_of(dictionary)
    return lambda value: value in ids


# Multi-valued parameters that select by a facet of the same name, and what their values must look like.
FACETS = {
    "experience": _one_of(reference.EXPERIENCE), "employment": _one_of(reference.EMPLOYMENT),
    "schedule": _one_of(reference.SCHEDULE), "employment_form": _one_of(reference.EMPLOYMENT_FORM),
    "work_format": _one_of(reference.WORK_FORMAT), "working_hours": _one_of(reference.WORKING_HOURS),
    "work_schedule_by_days": _one_of(reference.WORK_SCHEDULE), "education": _one_of(reference.EDUCATION),
    "area": _NUMERIC.fullmatch, "professional_role": _NUMERIC.fullmatch, "employer_id": _NUMERIC.fullmatch,
    "metro": _METRO.fullmatch,
}
_MEANINGFUL = frozenset(FACETS) | frozenset(_OTHERS)


def read(params, now, round_date_from="down"):
    """params is a multidict; now is in epoch seconds, for `period`."""
    search = Search(given=[(name, value) for name, value in params.items() if name in _MEANINGFUL])
    _read_page(search, params)
    _read_text(search, params)
    _read_facets(search, params)
    _read_salary(search, params)
    _read_dates(search, params, now, round_date_from)
    _read_place(search, params)
    search.order_by = _choice(params, "order_by", reference.ids_of(reference.SEARCH_ORDER))
    if search.order_by == "distance" and search.sort_point is None:
        raise bad_argument("sort_point_lat")
    search.clusters = _flag(params, "clusters")
    search.describe_arguments = _flag(params, "describe_arguments")
    search.responses_count = _flag(params, "responses_count_enabled")
    return search


def _values(params, name):
    """Repeated parameters; an empty value is as good as none."""
    return [value for value in params.getall(name, ()) if value != ""]


def _first(params, name):
    values = _values(params, name)
    return values[0] if values else None


def _integer(params, name, default):
    value = _first(params, name)
    if value is None:
        return default
    if not _INTEGER.fullmatch(value):
        raise bad_argument(name)
    return int(value)


def _decimal(params, name):
    value = _first(params, name)
    if value is None:
        return None
    if not _DECIMAL.fullmatch(value):
        raise bad_argument(name)
    return float(value)


def _flag(params, name):
    value = _first(params, name)
    if value not in (None, "true", "false", "1", "0"):
        raise bad_argument(name)
    return value in ("true", "1")


def _choice(params, name, ids):
    value = _first(params, name)
    if value is not None and value not in ids:
        raise bad_argument(name)
    return value


def _read_page(search, params):
    search.page = _integer(params, "page", 0)
    search.per_page = _integer(params, "per_page", DEFAULT_PER_PAGE)
    if search.page < 0:
        raise bad_argument("page")
    # per_page=0 asks for the counts alone.
    if not 0 <= search.per_page <= MAX_PER_PAGE:
        raise bad_argument("per_page")
    if (search.page + 1) * search.per_page > DEPTH_LIMIT:
        raise too_deep(DEPTH_LIMIT)


def _read_text(search, params):
    search.text = query.parse(_first(params, "text") or "")
    fields = _values(params, "search_field")
    if any(name not in TEXT_FIELDS for name in fields):
        raise bad_argument("search_field")
    search.fields = tuple(fields) or TEXT_FIELDS
    excluded = (query.parse(word) for word in (_first(params, "excluded_text") or "").split(","))
    search.excluded_text = [node for node in excluded if node is not None]


def _read_facets(search, params):
    for name, accepts in FACETS.items():
        values = _values(params, name)
        if not all(accepts(value) for value in values):
            raise bad_argument(name)
        if values:
            search.facets[name] = set(values)
    if "area" in search.facets:
        search.facets["area"] = set().union(*map(reference.with_descendants, search.facets["area"]))
    if _flag(params, "accept_temporary"):
        search.facets["accept_temporary"] = {"true"}
    search.labels = set(_values(params, "label"))
    if not search.labels <= reference.ids_of(reference.VACANCY_LABEL):
        raise bad_argument("label")
    if _flag(params, "only_with_salary"):
        search.labels.add("with_salary")
    search.excluded_employers = set(_values(params, "excluded_employer_id"))


def _read_salary(search, params):
    salary = _decimal(params, "salary")
    currency = _choice(params, "currency", reference.RATES) or "RUR"
    if salary is not None:
        if salary < 0:
            raise bad_argument("salary")
        search.salary_roubles = salary / reference.RATES[currency]


def _moment(params, name):
    """(epoch seconds, whether it named a whole day) of a date parameter."""
    value = _first(params, name)
    if value is None:
        return None, False
    try:
        if _DATE.fullmatch(value):
            day = datetime.datetime.strptime(value, "%Y-%m-%d")
            return int(day.replace(tzinfo=_MOSCOW).timestamp()), True
        return int(datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z").timestamp()), False
    except (ValueError, OverflowError):
        raise bad_argument(name) from None


def _nearest(moment):
    return (moment + ROUND_S // 2) // ROUND_S * ROUND_S


def _read_dates(search, params, now, round_date_from):
    period = _integer(params, "period", None)
    start, _ = _moment(params, "date_from")
    end, end_is_day = _moment(params, "date_to")
    if period is not None and (start is not None or end is not None):
        raise bad_argument("period")
    if end is not None and start is None:
        raise bad_argument("date_from")
    if period is not None:
        if not 1 <= period <= MAX_PERIOD_DAYS:
            raise bad_argument("period")
        search.published_from = now - period * 86_400
    if start is not None:
        search.published_from = _nearest(start) if round_date_from == "nearest" else start // ROUND_S * ROUND_S
    if end is not None:
        search.published_to = end + 86_399 if end_is_day else _nearest(end)


def _read_place(search, params):
    box = [_decimal(params, name) for name in _BOX]
    if any(side is not None for side in box):
        for name, side in zip(_BOX, box):
            if side is None:
                raise bad_argument(name)
        search.box = tuple(box)
    lat, lng = (_decimal(params, name) for name in _POINT)
    if (lat is None) != (lng is None):
        raise bad_argument("sort_point_lat" if lat is None else "sort_point_lng")
    if lat is not None:
        search.sort_point = (lat, lng)
