"""The generator: vacancy number N of seed S is always the same one, but for its dates, which count from "now".

Ordinary fields are drawn; the rare cases that break clients (archived, anonymous, direct, null and absent fields, titles
no one expects) come at fixed numbers, so that a hundred vacancies already hold each of them.
"""
import random

import reference
import texts
from vacancy import API, SITE, Draft, Vacancy

FIRST_NUMBER = 128_000_000
EMPLOYERS = 400
# The oldest is a little younger than the longest search period, or it would leave the results during a test.
SPREAD_S = 30 * 86_400 - 7_200
YOUNGEST_S = 60

_CITIES = tuple(texts.COORDINATES)
_CITY_WEIGHTS = (30, 14) + (4,) * (len(_CITIES) - 2)
_OTHER_PLACES = ("2034", "2059", "1287", "1642", "237", "212", "2760", "2758", "2492")
_CURRENCIES = ("RUR",) * 14 + ("USD", "EUR", "KZT", "BYR", "UZS", "KGS", "AZN", "GEL")
_EXPERIENCE = tuple(entry["id"] for entry in reference.EXPERIENCE)
_EMPLOYMENT = ("full",) * 8 + ("part", "project", "volunteer", "probation")
_FORM_OF_EMPLOYMENT = {"full": "FULL", "part": "PART", "project": "PROJECT", "volunteer": "PART", "probation": "FULL"}
_FORMATS = (["ON_SITE"], ["ON_SITE"], ["REMOTE"], ["HYBRID"], ["ON_SITE", "HYBRID"], ["REMOTE", "HYBRID"])
_SCHEDULE_OF_FORMAT = {"ON_SITE": "fullDay", "REMOTE": "remote", "HYBRID": "flexible", "FIELD_WORK": "fullDay"}
_HOURS = (["HOURS_8"],) * 6 + (["HOURS_4"], ["HOURS_12"], ["HOURS_2", "HOURS_4"], [])
_WEEKS = (["FIVE_ON_TWO_OFF"],) * 6 + (["TWO_ON_TWO_OFF"], ["WEEKEND"], ["SEVEN_ON_ZERO_OFF"], ["FLEXIBLE"], [])
_EDUCATION = tuple(entry["id"] for entry in reference.EDUCATION)
_DRAWN_LABELS = ("accept_handicapped", "not_from_agency", "accept_kids", "low_performance", "internship", "accept_teens")
_OPTIONAL = ("archived", "premium", "created_at", "address", "schedule", "employment", "employment_form", "work_format",
             "working_hours", "work_schedule_by_days", "accept_temporary", "night_shifts", "internship", "working_days",
             "insider_interview", "show_contacts", "show_logo_in_search", "fly_in_fly_out_duration", "response_url",
             "adv_response_url", "is_adv_vacancy", "adv_context")
_STATION_KEYS = ("station_id", "station_name", "line_id", "line_name", "lat", "lng")
# Details always have these.
_REQUIRED_IN_DETAILS = ("archived", "premium", "created_at", "schedule")
_ENGLISH = {"id": "eng", "name": "Английский", "level": {"id": "b1", "name": "B1 — Средний"}}


class Factory:
    def __init__(self, seed, started_at):
        self.seed = seed
        self.started_at = int(started_at)
        self.next_number = FIRST_NUMBER + 1
        self.employers = _employers(random.Random(seed))

    def first(self, count):
        """The stock at the start, spread over the last month."""
        return [self._make(None, {}) for _ in range(count)]

    def one(self, now, **decided):
        """A vacancy published now, with what the caller decided in place of what was drawn."""
        return self._make(int(now), decided)

    def _make(self, published, decided):
        number, self.next_number = self.next_number, self.next_number + 1
        rng = random.Random(self.seed * 1_000_003 + number)
        if published is None:
            published = self.started_at - YOUNGEST_S - int(rng.random() * SPREAD_S)
        draft = self._draw(rng, number, published)
        for name, value in decided.items():
            setattr(draft, name, value(draft) if callable(value) else value)
        return Vacancy(draft)

    def _draw(self, rng, number, published):
        profession = rng.choice(texts.PROFESSIONS)
        place = number - FIRST_NUMBER
        draft = Draft(number=number, published=published, created=published - rng.choice((0, 0, 86_400 * 19)),
                      name=_title(rng, profession, place), role=profession.role, area=_area(rng),
                      employer=self.employers[int(EMPLOYERS * rng.random() ** 2)])
        _draw_conditions(rng, draft, profession)
        _draw_text(rng, draft, profession)
        if rng.random() < 0.7:
            draft.salary = _salary(rng, profession)
            draft.salary_frequency = rng.choice(("MONTHLY", "TWICE_PER_MONTH", None))
        if rng.random() < 0.4:
            draft.address = _address(rng, number, draft.area)
        _make_special(rng, draft, place)
        return draft


def _employers(rng):
    return [_employer(rng, 9_000_001 + at) for at in range(EMPLOYERS)]


def _employer(rng, number):
    name = rng.choice(texts.EMPLOYER_FORMS).format(rng.choice(texts.EMPLOYER_FIRST) + rng.choice((" ", "-", ""))
                                                   + rng.choice(texts.EMPLOYER_SECOND))
    logo = f"https://img.example.com/{number}"
    logos = {"90": f"{logo}-90.png", "240": f"{logo}-240.png", "original": f"{logo}.png"}
    return {"id": str(number), "name": name, "url": f"{API}/employers/{number}",
            "alternate_url": f"{SITE}/employer/{number}", "logo_urls": logos if rng.random() < 0.8 else None,
            "vacancies_url": f"{API}/vacancies?employer_id={number}", "accredited_it_employer": rng.random() < 0.3,
            "trusted": rng.random() < 0.95}


def _title(rng, profession, place):
    grade = rng.choice(texts.GRADES) if profession.graded else ""
    title = grade + rng.choice(profession.titles) + rng.choice(texts.TITLE_TAILS).format(n=place)
    odd = texts.ODD_TITLES.get(place % 100)
    return odd.format(title) if odd else title


def _area(rng):
    if rng.random() < 0.06:
        return rng.choice(_OTHER_PLACES)
    return rng.choices(_CITIES, _CITY_WEIGHTS)[0]


def _salary(rng, profession):
    currency = rng.choice(_CURRENCIES)
    least, most = profession.pay
    unit = 1000 if currency in ("RUR", "KZT", "UZS") else 50
    scale = reference.RATES[currency]
    low = int(least + (most - least) * rng.random() ** 1.5) * scale
    high = low * (1.1 + rng.random() * 0.6)
    low, high = (max(unit, round(amount / unit) * unit) for amount in (low, high))
    shape = rng.random()
    return {"from": low if shape < 0.8 else None, "to": high if shape < 0.45 or shape >= 0.8 else None,
            "currency": currency, "gross": rng.choice((True, False, None))}


def _address(rng, number, area):
    if area not in texts.COORDINATES:
        return None
    city, street, building = reference.AREA_BY_ID[area]["name"], rng.choice(texts.STREETS), str(rng.randint(1, 120))
    near = texts.METRO.get(area, ())
    stations = [dict(zip(_STATION_KEYS, station)) for station in rng.sample(near, k=min(rng.randint(0, 2), len(near)))]
    lat, lng = texts.COORDINATES[area]
    return {"city": city, "street": street, "building": building, "lat": round(lat + rng.uniform(-0.1, 0.1), 6),
            "lng": round(lng + rng.uniform(-0.2, 0.2), 6), "description": None, "raw": f"{city}, {street}, {building}",
            "metro": stations[0] if stations else None, "metro_stations": stations, "id": str(number % 10_000_000)}


def _draw_conditions(rng, draft, profession):
    draft.experience = rng.choice(_EXPERIENCE)
    draft.employment = rng.choice(_EMPLOYMENT)
    draft.employment_form = _FORM_OF_EMPLOYMENT[draft.employment]
    draft.work_format = ["ON_SITE"] if profession.on_site else rng.choice(_FORMATS)
    draft.schedule = _SCHEDULE_OF_FORMAT[draft.work_format[0]]
    draft.working_hours = rng.choice(_HOURS)
    draft.work_schedule = rng.choice(_WEEKS)
    if profession.on_site and rng.random() < 0.5:
        draft.schedule = rng.choice(("shift", "flyInFlyOut"))
    draft.education = rng.choice(_EDUCATION)
    draft.labels = {label for label in _DRAWN_LABELS if rng.random() < 0.12}
    if draft.employer["accredited_it_employer"]:
        draft.labels.add("accredited_it")
    draft.responses = rng.randint(0, 9) if "low_performance" in draft.labels else rng.randint(10, 900)
    draft.premium = rng.random() < 0.05
    draft.accept_temporary = rng.random() < 0.1
    draft.response_letter_required = rng.random() < 0.12
    if profession.role == "21":
        draft.driver_licences = rng.choice((["B"], ["B", "C"], ["C", "CE"]))
    if rng.random() < 0.25:
        draft.languages = [_ENGLISH]
    if rng.random() < 0.2:
        draft.contacts = _contacts(rng)
    if rng.random() < 0.1:
        draft.department = {"id": f"dep-{draft.employer['id']}", "name": f"{draft.employer['name']}: филиал"}


def _contacts(rng):
    number = f"{rng.randint(100, 999)}-{rng.randint(10, 99)}-{rng.randint(10, 99)}"
    phone = {"country": "7", "city": "495", "number": number, "formatted": f"+7 (495) {number}", "comment": None}
    return {"name": rng.choice(texts.CONTACT_NAMES), "email": rng.choice((None, "hr@jobs.example.com")),
            "phones": [phone] if rng.random() < 0.7 else [], "call_tracking_enabled": False}


def _draw_text(rng, draft, profession):
    skills = rng.sample(profession.skills, k=min(len(profession.skills), rng.randint(2, 6)))
    duties = [duty.format(skill=rng.choice(skills)) for duty in _some(rng, profession.duties)]
    wishes = [wish.format(skill=rng.choice(skills)) for wish in _some(rng, profession.wishes)]
    conditions = rng.sample(texts.CONDITIONS, k=rng.randint(2, 4))
    intro = rng.choice(texts.INTROS).format(firm=draft.employer["name"])
    draft.key_skills = skills if rng.random() < 0.9 else []
    draft.requirement = ". ".join(wishes) + "." if rng.random() < 0.92 else None
    draft.responsibility = "; ".join(duties) + "..." if rng.random() < 0.92 else None
    draft.sentences = [intro, *duties, *wishes, *conditions]
    draft.description = rng.choice(_LAYOUTS)(intro, duties, wishes, conditions)


def _some(rng, sentences):
    return rng.sample(sentences, k=rng.randint(2, len(sentences)))


def _escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _list(lines):
    return "<ul>" + "".join(f"<li>{_escape(line)};</li>" for line in lines) + "</ul>"


def _plain_layout(intro, duties, wishes, conditions):
    return (f"<p>{_escape(intro)}</p><p><strong>Обязанности:</strong></p>{_list(duties)}"
            f"<p><strong>Требования:</strong></p>{_list(wishes)}<p><strong>Условия:</strong></p>"
            "<ul>" + "".join(f"<li>{line};</li>" for line in conditions) + "</ul>")


def _nested_layout(intro, duties, wishes, conditions):
    return (f"<h3>О&nbsp;нас</h3> <div><p><em>{_escape(intro)}</em></p><ol><li><strong>Что&nbsp;делать<br /></strong>"
            f"{_list(duties)}</li><li><p>Кого ждём &laquo;у себя&raquo;:</p>{_list(wishes)}</li></ol></div>"
            f"<p>Мы предлагаем: <b><i>{'; '.join(conditions)}</i></b>&hellip;</p>")


def _line_layout(intro, duties, wishes, conditions):
    return (f"{_escape(intro)}<br /> <br />Задачи:<br />" + "<br />".join(f"&#8226; {_escape(line)}" for line in duties)
            + "<br /><br />Опыт:<br />" + "<br />".join(f"— {_escape(line)}" for line in wishes)
            + f"<br /><br />{'<br />'.join(conditions)}<br />Ждём откликов &#x1F680;")


_LAYOUTS = (_plain_layout, _plain_layout, _nested_layout, _line_layout)


def _make_special(rng, draft, place):
    """The rare cases, each at its own place in a small cycle."""
    if place % 25 == 24:
        _make_anonymous(rng, draft)
    elif place % 50 == 44:
        draft.type, draft.response_url = "direct", f"https://jobs.example.com/apply/{place}?from=hh&utm=1"
    elif place % 40 == 17:
        draft.type = "closed"
    draft.archived = place % 33 == 32
    if place % 20 == 19:
        draft.has_test, draft.test_required = True, place % 40 == 19
    if place % 10 == 5:
        draft.missing = tuple(rng.sample(_OPTIONAL, k=rng.randint(1, 8)))
        draft.missing_in_details = tuple(key for key in draft.missing if key not in _REQUIRED_IN_DETAILS)
    if place % 30 == 7:
        draft.missing_in_details += ("salary", "salary_range")
    if place % 80 == 12:
        draft.missing_in_details += ("employer",)
    if place % 80 == 52:
        draft.null_in_details = ("employer", "experience")
    if place % 15 == 11:
        draft.extra = {"manager_activity": None, "experimental_modes": [],
                       "brand_snippet_v2": {"id": place, "tags": [1.5, "x"]}}
    if place % 45 == 8:
        draft.branded_description = texts.BRANDED.format(n=place, name=_escape(draft.name), body=draft.description)
    draft.null_relation = place % 70 == 13
    draft.archived_as_text = place % 60 == 1
    if place % 55 == 2:
        draft.schedule = draft.employment = draft.employment_form = None
        draft.work_format, draft.working_hours, draft.work_schedule = [], [], []


def _make_anonymous(rng, draft):
    draft.type = "anonymous"
    draft.employer = {"name": rng.choice(texts.ANONYMOUS_EMPLOYERS), "trusted": True}
    draft.labels = draft.labels - {"accredited_it"}
    draft.department = draft.contacts = draft.address = None
