"""What HH demands of a resume: checks of each field, which fields are mandatory, and what is wrong with a body.

A check is a function (value, pointer, problems); it adds what it finds to `problems`, an instance of Problems. Keys
without a check are taken as they are if HH knows them and ignored otherwise.
"""
import datetime
import re

import reference

_TEXTS = {
    "required": "обязательное поле", "invalid": "неверное значение", "duplicate": "такое значение уже есть",
    "not_found": "значение не найдено", "not_in_dictionary": "нет в справочнике", "not_a_leaf": "нужен город",
    "not_country": "нужна страна", "must_contain_unique": "значения повторяются", "not_available": "недоступно",
}
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|[ '’.-])*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_PHONE_TYPES = frozenset({"home", "work", "cell"})
# Roles whose holders may have no job behind them.
STUDENT_ROLES = frozenset({"40"})
LONG_TEXT = 32_768


class Problems:
    def __init__(self):
        self.entries = []

    def add(self, pointer, reason):
        named = [part for part in pointer.split("/") if part and not part.isdigit()]
        self.entries.append({"type": "bad_json_data", "value": named[-1] if named else "", "reason": reason,
                             "description": _TEXTS.get(reason, reason.replace("_", " ")), "pointer": pointer})


def text(least, most, pattern=None):
    def check(value, at, problems):
        if not isinstance(value, str):
            problems.add(at, "invalid")
        elif len(value) < least:
            problems.add(at, "length_less_than_min")
        elif len(value) > most:
            problems.add(at, "length_greater_than_max")
        elif pattern and not pattern.fullmatch(value):
            problems.add(at, "not_match_regexp")
    check.limits = {"min_length": least, "max_length": most}
    return check


def whole(least, most):
    def check(value, at, problems):
        if isinstance(value, bool) or not isinstance(value, int):
            problems.add(at, "invalid")
        elif value < least:
            problems.add(at, "less_than_min")
        elif value > most:
            problems.add(at, "greater_than_max")
    return check


def date(value, at, problems):
    parsed = parse_date(value)
    if parsed is None:
        problems.add(at, "invalid")
    elif parsed.year < 1900:
        problems.add(at, "earlier_than_min")
    elif parsed > datetime.date.today() + datetime.timedelta(days=1):
        problems.add(at, "later_than_max")


def parse_date(value):
    try:
        return datetime.date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def one_of(ids):
    """{"id": …} of a dictionary."""
    def check(value, at, problems):
        key = id_of(value)
        if key is None:
            problems.add(at, "invalid")
        elif key not in ids:
            problems.add(f"{at}/id", "not_in_dictionary")
    return check


def _ids(name):
    return reference.ids_of(reference.DICTIONARIES[name])


def id_of(value):
    key = value.get("id") if isinstance(value, dict) else None
    return key if isinstance(key, str) else None


def some(check_one, least, most, distinct=None):
    """A list; `distinct` is what may not come twice in it, as a function of an item."""
    def check(value, at, problems):
        if not isinstance(value, list):
            problems.add(at, "invalid")
            return
        if len(value) < least:
            problems.add(at, "size_less_than_min")
        if len(value) > most:
            problems.add(at, "size_greater_than_max")
        for number, item in enumerate(value):
            check_one(item, f"{at}/{number}", problems)
        keys = [distinct(item) for item in value] if distinct else []
        if any(keys.count(key) > 1 for key in keys if isinstance(key, str)):
            problems.add(at, "must_contain_unique")
    check.limits = {"min_count": least, "max_count": most}
    return check


def fields(required, optional=None):
    """An object with fields of its own; null is as good as absent."""
    def check(value, at, problems):
        if not isinstance(value, dict):
            problems.add(at, "invalid")
            return
        for name, check_one in {**required, **(optional or {})}.items():
            if value.get(name) is not None:
                check_one(value[name], f"{at}/{name}", problems)
            elif name in required:
                problems.add(f"{at}/{name}", "required")
    return check


def _area(value, at, problems):
    area = reference.AREA_BY_ID.get(id_of(value))
    if area is None:
        problems.add(f"{at}/id", "not_found")
    elif area["areas"] or area["parent_id"] is None:
        problems.add(f"{at}/id", "not_a_leaf")


def _country(value, at, problems):
    area = reference.AREA_BY_ID.get(id_of(value))
    if area is None:
        problems.add(f"{at}/id", "not_found")
    elif area["parent_id"] is not None:
        problems.add(f"{at}/id", "not_country")


def _any(_value, _at, _problems):
    pass


def _access(value, at, problems):
    fields({"type": one_of(_ids("resume_access_type"))})(value, at, problems)
    if isinstance(value, dict) and id_of(value.get("type")) == "everyone":
        problems.add(f"{at}/type/id", "not_available")


def _contact(value, at, problems):
    fields({"type": one_of(_ids("preferred_contact_type")), "value": _any})(value, at, problems)
    if not isinstance(value, dict) or value.get("value") is None:
        return
    kind, what = id_of(value.get("type")), value["value"]
    if kind == "email":
        if not isinstance(what, str) or not _EMAIL.fullmatch(what):
            problems.add(f"{at}/value", "invalid")
    elif kind in _PHONE_TYPES and not _is_phone(what):
        problems.add(f"{at}/value", "need_country_city_number_or_formatted")


def _is_phone(value):
    if not isinstance(value, dict):
        return False
    return any(all(isinstance(value.get(name), str) and value[name] for name in names)
               for names in (("formatted",), ("country", "city", "number")))


_some_contacts = some(_contact, 1, 4, lambda item: id_of(item.get("type")) if isinstance(item, dict) else None)


def _contacts(value, at, problems):
    _some_contacts(value, at, problems)
    contacts = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    if not contacts:
        return
    kinds = {id_of(item.get("type")) for item in contacts}
    if "email" not in kinds or not kinds & _PHONE_TYPES:
        problems.add(at, "required")
    preferred = sum(item.get("preferred") is True for item in contacts)
    if preferred != 1:
        problems.add(at, "preferred_must_be_unique" if preferred else "preferred_contact_not_specified")


_contacts.limits = _some_contacts.limits
_some_languages = some(fields({"id": text(2, 10), "level": one_of(_ids("language_level"))}), 1, 64, id_of)


def _languages(value, at, problems):
    _some_languages(value, at, problems)
    levels = [id_of(item.get("level")) for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    if levels and "l1" not in levels:
        problems.add(at, "required")
    if levels.count("l1") > 1:
        problems.add(at, "more_than_one_native_language")


_languages.limits = _some_languages.limits
_job = fields({"company": text(1, 512), "position": text(1, 512), "start": date, "description": text(1, LONG_TEXT)},
              {"end": date})


def _dated_job(value, at, problems):
    _job(value, at, problems)
    if isinstance(value, dict):
        start, end = parse_date(value.get("start")), parse_date(value.get("end"))
        if start and end and end < start:
            problems.add(f"{at}/end", "end_date_before_start_date")


_education = fields({
    "level": one_of(_ids("education_level")),
    "primary": some(fields({"name": text(1, 512), "year": whole(1950, datetime.date.today().year + 10)},
                           {"organization": text(0, 128), "result": text(0, 128)}), 1, 64)})


def _currency(value, at, problems):
    if not isinstance(value, str) or value not in reference.RATES:
        problems.add(at, "not_in_dictionary")


# In the order of HH's questionnaire: the name that `progress` shows, and the check.
MANDATORY = {
    "title": ("Желаемая должность", text(2, 100)),
    "first_name": ("Имя", text(1, 100, _NAME)),
    "last_name": ("Фамилия", text(1, 100, _NAME)),
    "gender": ("Пол", one_of(_ids("gender"))),
    "area": ("Город проживания", _area),
    "resume_locale": ("Язык резюме", one_of(frozenset({"RU", "EN"}))),
    "access": ("Видимость", _access),
    "citizenship": ("Гражданство", some(_country, 1, 3, id_of)),
    "contact": ("Контакты", _contacts),
    "education": ("Образование", _education),
    "language": ("Языки", _languages),
    "professional_roles": ("Профессиональная роль", some(one_of(frozenset(reference.ROLE_NAMES)), 1, 5, id_of)),
    "employments": ("Занятость", some(one_of(_ids("employment")), 1, 5, id_of)),
    "schedules": ("График работы", some(one_of(_ids("schedule")), 1, 5, id_of)),
    "business_trip_readiness": ("Командировки", one_of(_ids("business_trip_readiness"))),
    "travel_time": ("Время в пути", one_of(_ids("travel_time"))),
    "skill_set": ("Ключевые навыки", some(text(1, 100), 1, 30, lambda item: item)),
    "experience": ("Опыт работы", some(_dated_job, 0, 64)),
}
OPTIONAL = {
    "skills": text(0, LONG_TEXT), "middle_name": text(0, 100), "birth_date": date,
    "salary": fields({"amount": whole(1, 2**31 - 1), "currency": _currency}),
    "work_ticket": some(_country, 0, 3, id_of),
    "work_format": some(one_of(_ids("resume_work_format")), 0, 5, id_of),
    "employment_form": some(one_of(_ids("resume_employment_form")), 0, 5, id_of),
    **{name: _any for name in ("metro", "relocation", "site", "recommendation", "portfolio", "certificate",
                               "driver_license_types", "has_vehicle", "photo", "hidden_fields")}}

# Singular forms are in the answers only; HH refuses who sends them.
_READ_ONLY = ("employment", "schedule")
_CHECKS = {**{name: check for name, (_, check) in MANDATORY.items()}, **OPTIONAL}


def check_resume(body, before, other_titles, complete=False):
    """(the content that results, the entries of the refusal).

    `before` is the content so far; complete: a mandatory field that is absent is wrong as well.
    """
    problems = Problems()
    kept = {name: value for name, value in body.items() if name in _CHECKS}
    for name, value in kept.items():
        if value is not None:
            _CHECKS[name](value, f"/{name}", problems)
    content = {**before, **kept}
    if kept.get("title") in other_titles:
        problems.add("/title", "duplicate")
    if kept.get("experience") == [] and not _is_student(content):
        problems.add("/experience", "required_with_not_started_career")
    for name in _READ_ONLY:
        if name in body:
            problems.add(f"/{name}", "invalid")
    if complete:
        for name in missing_fields(content):
            if name not in kept or kept[name] is None:
                problems.add(f"/{name}", "required")
    return content, problems.entries


def _is_student(content):
    roles = content.get("professional_roles")
    return isinstance(roles, list) and any(id_of(role) in STUDENT_ROLES for role in roles)


def missing_fields(content):
    return [name for name in MANDATORY
            if not content.get(name) and not (name == "experience" and _is_student(content))]


def conditions():
    """The demands as GET /resume_conditions tells them."""
    return {name: {"required": name in MANDATORY, **getattr(check, "limits", {})} for name, check in _CHECKS.items()}
