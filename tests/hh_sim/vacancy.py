"""One vacancy: what was decided about it (Draft), how the search sees it, and its JSON as an item and in full.

The part of an item that is the same for every caller is serialised once. What depends on the caller or the query
(snippet, contacts, relations, counters, distance) is appended to it.
"""
import json
import math
import time
from dataclasses import dataclass, field

import reference

API = "https://api.hh.ru"
SITE = "https://hh.ru"
MOSCOW_OFFSET_S = 3 * 3600


def timestamp(epoch_s):
    return time.strftime("%Y-%m-%dT%H:%M:%S+0300", time.gmtime(epoch_s + MOSCOW_OFFSET_S))


def to_json(content):
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _lookup(dictionary):
    return {entry["id"]: entry for entry in dictionary}


_EXPERIENCE = _lookup(reference.EXPERIENCE)
_EMPLOYMENT = _lookup(reference.EMPLOYMENT)
_SCHEDULE = _lookup(reference.SCHEDULE)
_EMPLOYMENT_FORM = _lookup(reference.EMPLOYMENT_FORM)
_WORK_FORMAT = _lookup(reference.WORK_FORMAT)
_WORKING_HOURS = _lookup(reference.WORKING_HOURS)
_WORK_SCHEDULE = _lookup(reference.WORK_SCHEDULE)
_TYPE = _lookup(reference.VACANCY_TYPE)
_SALARY_MODE = _lookup(reference.SALARY_MODE)
_SALARY_FREQUENCY = _lookup(reference.SALARY_FREQUENCY)


@dataclass
class Draft:
    number: int
    published: int                  # epoch seconds
    created: int
    name: str
    role: str
    area: str
    employer: dict                  # {"name"} alone when the employer stays anonymous
    type: str = "open"
    archived: bool = False
    salary: dict = None             # {from, to, currency, gross}
    salary_mode: str = "MONTH"
    salary_frequency: str = None
    experience: str = "noExperience"
    employment: str = None
    schedule: str = None
    employment_form: str = None
    work_format: list = field(default_factory=list)
    working_hours: list = field(default_factory=list)
    work_schedule: list = field(default_factory=list)
    education: str = "not_required_or_not_specified"
    labels: set = field(default_factory=set)
    has_test: bool = False
    test_required: bool = False
    response_letter_required: bool = False
    response_url: str = None
    premium: bool = False
    accept_temporary: bool = False
    address: dict = None
    contacts: dict = None
    department: dict = None
    requirement: str = None
    responsibility: str = None
    description: str = ""
    branded_description: str = None
    sentences: list = field(default_factory=list)   # the description's text, for the search
    key_skills: list = field(default_factory=list)
    languages: list = field(default_factory=list)
    driver_licences: list = field(default_factory=list)
    responses: int = 0
    extra: dict = field(default_factory=dict)       # keys no documentation mentions
    missing: tuple = ()                             # optional keys this vacancy does without
    missing_in_details: tuple = ()
    null_in_details: tuple = ()
    null_relation: bool = False
    archived_as_text: bool = False                  # old HH wrote "false" instead of false


class Vacancy:
    __slots__ = ("draft", "number", "id", "published", "archived", "pieces", "facets", "roubles", "point", "_item")

    def __init__(self, draft):
        self.draft = draft
        self.number = draft.number
        self.id = str(draft.number)
        self.published = draft.published
        self.archived = draft.archived
        self.pieces = {"name": (draft.name,), "company_name": (draft.employer["name"],),
                       "description": (*draft.sentences, *draft.key_skills)}
        self.facets = _facets(draft)
        self.roubles = _roubles(draft.salary)
        self.point = _point(draft.address)
        self._item = None

    def archive(self):
        self.archived = True
        self._item = None

    def item_json(self, tail):
        """The item as bytes; tail is the dict of what depends on the caller."""
        if self._item is None:
            self._item = to_json(self.shared(self.draft.missing))[:-1]
        return self._item + b"," + to_json(tail)[1:]

    def relations(self):
        return [None] if self.draft.null_relation else []

    def details(self):
        draft = self.draft
        content = self.shared(draft.missing_in_details)
        content.update(_only_in_details(draft, self.id, self.archived))
        if "employer" in content:
            content["employer"] = {**content["employer"], "blacklisted": False}
        for key in draft.null_in_details:
            content[key] = None
        return content

    def distance_m(self, lat, lng):
        if self.point is None:
            return None
        mean_lat = math.radians((lat + self.point[0]) / 2)
        return 111_320 * math.hypot(lat - self.point[0], (lng - self.point[1]) * math.cos(mean_lat))

    def shared(self, missing=()):
        """What the item, the details and an application's vacancy have in common, without the keys of `missing`."""
        content = _shared_fields(self.draft, self.id)
        content["archived"] = "false" if self.draft.archived_as_text and not self.archived else self.archived
        content.update(self.draft.extra)
        for key in missing:
            content.pop(key, None)
        return content


def _facets(draft):
    """(facet, value) pairs, one for each value of a search parameter that would find this vacancy."""
    pairs = {("area", draft.area), ("professional_role", draft.role), ("experience", draft.experience),
             ("employment", draft.employment), ("schedule", draft.schedule), ("education", draft.education),
             ("employment_form", draft.employment_form), ("employer_id", draft.employer.get("id"))}
    pairs.update(("work_format", value) for value in draft.work_format)
    pairs.update(("working_hours", value) for value in draft.working_hours)
    pairs.update(("work_schedule_by_days", value) for value in draft.work_schedule)
    pairs.update(("label", value) for value in draft.labels)
    if draft.salary is not None:
        pairs.add(("label", "with_salary"))
    if draft.accept_temporary:
        pairs.add(("accept_temporary", "true"))
    if draft.address is not None:
        pairs.add(("label", "with_address"))
        for station in draft.address["metro_stations"]:
            pairs.update({("metro", station["station_id"]), ("metro", station["line_id"])})
    return pairs


def _roubles(salary):
    """(low, high) of the salary in roubles; a missing bound is the other one."""
    if salary is None:
        return None
    low = salary["from"] if salary["from"] is not None else salary["to"]
    high = salary["to"] if salary["to"] is not None else salary["from"]
    if low is None:
        return None
    rate = reference.RATES[salary["currency"]]
    return low / rate, high / rate


def _point(address):
    if address is None or address["lat"] is None:
        return None
    return address["lat"], address["lng"]


def _entry(lookup, key):
    return None if key is None else lookup[key]


def _salary_range(draft):
    if draft.salary is None:
        return None
    return {**draft.salary, "gross": bool(draft.salary["gross"]), "mode": _SALARY_MODE[draft.salary_mode],
            "frequency": _entry(_SALARY_FREQUENCY, draft.salary_frequency)}


def area_json(area_id):
    return {"id": area_id, "name": reference.AREA_BY_ID[area_id]["name"], "url": f"{API}/areas/{area_id}"}


def _shared_fields(draft, vacancy_id):
    internship = "internship" in draft.labels
    return {
        "id": vacancy_id, "premium": draft.premium, "name": draft.name, "department": draft.department,
        "has_test": draft.has_test, "response_letter_required": draft.response_letter_required,
        "area": area_json(draft.area), "salary": draft.salary, "salary_range": _salary_range(draft),
        "type": _TYPE[draft.type], "address": draft.address, "response_url": draft.response_url,
        "published_at": timestamp(draft.published), "created_at": timestamp(draft.published),
        "apply_alternate_url": f"{SITE}/applicant/vacancy_response?vacancyId={vacancy_id}",
        "show_logo_in_search": True if draft.premium else None, "show_contacts": draft.contacts is not None,
        "insider_interview": None, "url": f"{API}/vacancies/{vacancy_id}?host=hh.ru",
        "alternate_url": f"{SITE}/vacancy/{vacancy_id}", "employer": draft.employer,
        "schedule": _entry(_SCHEDULE, draft.schedule), "working_days": [], "working_time_intervals": [],
        "working_time_modes": [], "accept_temporary": draft.accept_temporary, "fly_in_fly_out_duration": [],
        "work_format": [_WORK_FORMAT[key] for key in draft.work_format],
        "working_hours": [_WORKING_HOURS[key] for key in draft.working_hours],
        "work_schedule_by_days": [_WORK_SCHEDULE[key] for key in draft.work_schedule],
        "night_shifts": draft.schedule == "shift",
        "professional_roles": [{"id": draft.role, "name": reference.ROLE_NAMES.get(draft.role, "Другое")}],
        "accept_incomplete_resumes": draft.role in ("31", "97"), "experience": _EXPERIENCE[draft.experience],
        "employment": _entry(_EMPLOYMENT, draft.employment),
        "employment_form": _entry(_EMPLOYMENT_FORM, draft.employment_form), "internship": internship,
        "adv_response_url": None, "is_adv_vacancy": False, "adv_context": None,
    }


def _only_in_details(draft, vacancy_id, archived):
    suitable = None if archived else f"{API}/vacancies/{vacancy_id}/suitable_resumes?host=hh.ru"
    return {
        "description": draft.description, "branded_description": draft.branded_description,
        "key_skills": [{"name": name} for name in draft.key_skills],
        "accept_handicapped": "accept_handicapped" in draft.labels, "accept_kids": "accept_kids" in draft.labels,
        "age_restriction": {"id": "AGE_14_PLUS", "name": "С 14 лет"} if "accept_kids" in draft.labels else None,
        "allow_messages": True, "approved": True, "billing_type": {"id": "standard", "name": "Стандарт"},
        "closed_for_applicants": None, "code": None,
        "driver_license_types": [{"id": category} for category in draft.driver_licences],
        "initial_created_at": timestamp(draft.created), "languages": draft.languages, "negotiations_url": None,
        "suitable_resumes_url": suitable, "hidden": False,
        "test": {"required": draft.test_required} if draft.has_test else None,
        "vacancy_constructor_template": None, "vacancy_properties": None, "video_vacancy": None,
    }
