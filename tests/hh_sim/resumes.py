"""Resumes of the simulated HH: what is kept of each, its states, and its JSON short and in full."""
import datetime
import secrets
from dataclasses import dataclass

import reference
from resume_rules import MANDATORY, check_resume, id_of, missing_fields, parse_date
from vacancy import API, SITE, area_json, timestamp

FIRST_REAL_ID = 10_500_001
_LANGUAGES = {"rus": "Русский", "eng": "Английский", "deu": "Немецкий", "fra": "Французский", "kaz": "Казахский"}
_LOCALES = {"RU": "Русский", "EN": "Английский"}
_NAMES = {name: {entry["id"]: entry["name"] for entry in entries}
          for name, entries in reference.DICTIONARIES.items() if name != "currency"}
_RECOMMENDED = (("salary", "Зарплата"), ("skills", "О себе"), ("photo", "Фото"))
# What a resume that nobody wrote says: enough to be published.
SAMPLE = {
    "first_name": "Вера", "last_name": "Соколова", "gender": {"id": "female"}, "area": {"id": "1"},
    "citizenship": [{"id": "113"}], "work_ticket": [{"id": "113"}], "resume_locale": {"id": "RU"},
    "access": {"type": {"id": "clients"}}, "professional_roles": [{"id": "96"}], "employments": [{"id": "full"}],
    "schedules": [{"id": "fullDay"}, {"id": "remote"}], "business_trip_readiness": {"id": "never"},
    "travel_time": {"id": "any"}, "language": [{"id": "rus", "level": {"id": "l1"}}],
    "skill_set": ["Python", "PostgreSQL"], "skills": "Люблю, когда всё работает.",
    "contact": [{"type": {"id": "email"}, "value": "vera@mail.test", "preferred": True},
                {"type": {"id": "cell"}, "value": {"formatted": "+7 (900) 123-45-67"}, "preferred": False}],
    "education": {"level": {"id": "higher"}, "primary": [{"name": "МГУ", "organization": "ВМК", "year": 2015}]},
    "experience": [{"company": "ООО «Ромашка»", "position": "Программист", "start": "2019-03-01", "end": None,
                    "description": "Писала и чинила."}],
}


@dataclass
class Resume:
    id: str
    real_id: str
    user_id: str
    content: dict
    created_at: float               # epoch seconds, as all times here
    updated_at: float
    readable_at: float
    status: str = "not_published"
    published_at: float = None      # the latest publication
    indexed_at: float = None        # from when on it can be applied with

    @property
    def title(self):
        return self.content.get("title")

    @property
    def access(self):
        return (self.content.get("access") or {}).get("type", {}).get("id")


class Resumes:
    def __init__(self, settings, now):
        self.settings = settings
        self._now = now
        self._by_id = {}            # in order of creation

    def all(self, user_id=None):
        return [resume for resume in self._by_id.values() if user_id in (None, resume.user_id)]

    def get(self, resume_id):
        return self._by_id.get(resume_id)

    def readable(self, user_id):
        """The user's resumes that the API already shows, the newest change first."""
        shown = [resume for resume in self.all(user_id) if resume.readable_at <= self._now()]
        return sorted(shown, key=lambda resume: -resume.updated_at)

    def is_full(self, user_id):
        return len(self.all(user_id)) >= self.settings.max_resumes

    def check(self, user_id, body, resume=None, complete=False):
        """As check_resume; `resume` is the one that changes."""
        titles = [other.title for other in self.all(user_id) if other is not resume]
        return check_resume(body, resume.content if resume else {}, titles, complete)

    def add(self, user_id, content):
        now = self._now()
        resume = Resume(secrets.token_hex(19), str(FIRST_REAL_ID + secrets.randbelow(10**7)), user_id, content,
                        created_at=now, updated_at=now, readable_at=now + self.settings.readable_after_s)
        self._by_id[resume.id] = resume
        return resume

    def add_sample(self, user_id, status="published", **content):
        """One that is there for all methods at once."""
        resume = self.add(user_id, {**SAMPLE, **content})
        resume.readable_at = resume.created_at
        if status != "not_published":
            self.publish(resume)
            resume.indexed_at = resume.created_at
            resume.status = status
        return resume

    def change(self, resume, content):
        resume.content = content
        resume.updated_at = self._now()
        if resume.status == "blocked":
            resume.status = "on_moderation"

    def delete(self, resume):
        del self._by_id[resume.id]

    def publish(self, resume):
        now = self._now()
        if resume.status != "published":
            resume.status = "published"
            resume.indexed_at = now + self.settings.indexed_after_s
        resume.published_at = resume.updated_at = now

    def next_publish_at(self, resume):
        return None if resume.published_at is None else resume.published_at + self.settings.publish_pause_s

    def may_publish(self, resume):
        """Editing after a block makes it on_moderation, where it waits for the moderators."""
        return resume.status in ("not_published", "published") and not missing_fields(resume.content)

    def is_too_early(self, resume):
        return resume.published_at is not None and self._now() < self.next_publish_at(resume)

    def can_apply(self, resume):
        return resume.status == "published" and resume.indexed_at <= self._now()

    def status_json(self, resume):
        return {"status": _named("resume_status", resume.status), "blocked": resume.status == "blocked",
                "finished": not missing_fields(resume.content), "moderation_note": _moderation_note(resume),
                "can_publish_or_update": self.may_publish(resume) and not self.is_too_early(resume),
                "publish_url": f"{API}/resumes/{resume.id}/publish?host=hh.ru", "progress": _progress(resume.content)}

    def short_json(self, resume):
        content = resume.content
        address = f"{API}/resumes/{resume.id}"
        download = {kind: {"url": f"{address}/download/resume.{kind}?type={kind}"} for kind in ("pdf", "rtf")}
        return {
            "id": resume.id, "real_id": resume.real_id, "title": resume.title, "url": f"{address}?host=hh.ru",
            "alternate_url": f"{SITE}/resume/{resume.id}", "first_name": content.get("first_name"),
            "last_name": content.get("last_name"), "middle_name": content.get("middle_name"),
            "age": _age(content.get("birth_date")), "gender": _pick("gender", content.get("gender")),
            "area": _area(content.get("area")), "created_at": timestamp(resume.created_at),
            "updated_at": timestamp(resume.updated_at), "salary": content.get("salary"), "photo": content.get("photo"),
            "total_experience": {"months": _months(content.get("experience") or [])},
            "certificate": content.get("certificate") or [], "hidden_fields": content.get("hidden_fields") or [],
            "marked": False, "platform": {"id": "headhunter"}, "education": _education(content.get("education")),
            "experience": [_job(job) for job in content.get("experience") or []],
            "actions": {"download": download}, "download": download,
            "access": {"type": _named("resume_access_type", resume.access)} if resume.access else None,
            "status": _named("resume_status", resume.status), "finished": not missing_fields(content),
        }

    def item_json(self, resume):
        """As the list of the user's own resumes shows it."""
        address = f"{API}/resumes/{resume.id}"
        return {
            **self.short_json(resume), "blocked": resume.status == "blocked", "total_views": 0, "new_views": 0,
            "views_url": f"{address}/views?host=hh.ru",
            "paid_services": [{"id": "resume_marked", "name": "Яркое резюме", "active": False}],
            "contact": [_contact(contact) for contact in resume.content.get("contact") or []],
            "similar_vacancies": {"url": f"{address}/similar_vacancies?host=hh.ru", "counters": {"total": 0}},
            "created": timestamp(resume.created_at), "updated": timestamp(resume.updated_at),
            "visible": resume.access not in (None, "no_one"), "tags": [], **self._next_publication(resume),
        }

    def _next_publication(self, resume):
        if resume.published_at is None:
            return {"can_publish_or_update": None, "next_publish_at": None}
        return {"can_publish_or_update": self.may_publish(resume) and not self.is_too_early(resume),
                "next_publish_at": timestamp(self.next_publish_at(resume))}

    def full_json(self, resume):
        content = resume.content
        jobs = [{**_job(job), "description": job["description"]} for job in content.get("experience") or []]
        return {**self.item_json(resume), **_more(content), "experience": jobs,
                "moderation_note": _moderation_note(resume),
                "publish_url": f"{API}/resumes/{resume.id}/publish?host=hh.ru", "progress": _progress(content)}


def _named(dictionary, key):
    return {"id": key, "name": _NAMES[dictionary][key]}


def _pick(dictionary, value):
    return _named(dictionary, value["id"]) if value else None


def _picks(dictionary, values):
    return [_pick(dictionary, value) for value in values or []]


def _area(value):
    return area_json(value["id"]) if value else None


def _more(content):
    employments = _picks("employment", content.get("employments"))
    schedules = _picks("schedule", content.get("schedules"))
    return {
        "birth_date": content.get("birth_date"),
        "business_trip_readiness": _pick("business_trip_readiness", content.get("business_trip_readiness")),
        "citizenship": [_area(area) for area in content.get("citizenship") or []],
        "work_ticket": [_area(area) for area in content.get("work_ticket") or []],
        "driver_license_types": content.get("driver_license_types") or [], "has_vehicle": content.get("has_vehicle"),
        "employment": employments[0] if employments else None, "employments": employments,
        "schedule": schedules[0] if schedules else None, "schedules": schedules,
        "work_format": _picks("resume_work_format", content.get("work_format")),
        "employment_form": _picks("resume_employment_form", content.get("employment_form")),
        "language": [{"id": language["id"], "name": _LANGUAGES.get(language["id"], language["id"]),
                      "level": _pick("language_level", language["level"])}
                     for language in content.get("language") or []],
        "metro": content.get("metro"),
        "professional_roles": [{"id": role["id"], "name": reference.ROLE_NAMES[role["id"]]}
                               for role in content.get("professional_roles") or []],
        "recommendation": content.get("recommendation") or [], "relocation": content.get("relocation"),
        "resume_locale": ({"id": content["resume_locale"]["id"], "name": _LOCALES[content["resume_locale"]["id"]]}
                          if content.get("resume_locale") else None),
        "site": content.get("site") or [], "skill_set": content.get("skill_set") or [], "skills": content.get("skills"),
        "travel_time": _pick("travel_time", content.get("travel_time")), "portfolio": content.get("portfolio") or [],
    }


def _education(value):
    if not value:
        return None
    primary = [{"id": str(number), "name": school["name"], "name_id": None, "organization": school.get("organization"),
                "organization_id": None, "result": school.get("result"), "result_id": None, "year": school["year"]}
               for number, school in enumerate(value["primary"], 1)]
    return {"level": _pick("education_level", value["level"]), "primary": primary}


def _job(job):
    return {"start": job["start"], "end": job.get("end"), "company": job["company"], "company_id": None,
            "company_url": None, "employer": None, "area": None, "industries": [], "industry": None,
            "position": job["position"]}


def _contact(contact):
    kind, value = id_of(contact["type"]), contact["value"]
    common = {"type": _named("preferred_contact_type", kind), "preferred": contact.get("preferred") is True,
              "comment": contact.get("comment")}
    if kind == "email":
        return {**common, "kind": "email", "value": value, "contact_value": value}
    phone = _phone(value)
    return {**common, "kind": "phone", "value": phone, "contact_value": phone["formatted"],
            "need_verification": False, "verified": True}


def _phone(value):
    if value.get("formatted"):
        digits = "".join(filter(str.isdigit, value["formatted"]))
        return {"country": digits[:-10], "city": digits[-10:-7], "number": digits[-7:], "formatted": value["formatted"]}
    parts = {name: value[name] for name in ("country", "city", "number")}
    return {**parts, "formatted": "+{country} ({city}) {number}".format(**parts)}


def _months(jobs):
    total = 0
    for job in jobs:
        start, end = parse_date(job["start"]), parse_date(job.get("end")) or datetime.date.today()
        total += max(0, (end.year - start.year) * 12 + end.month - start.month)
    return total


def _age(birth_date):
    born, today = parse_date(birth_date), datetime.date.today()
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day)) if born else None


def _moderation_note(resume):
    if resume.status != "blocked":
        return []
    return [{"id": "bad_title", "name": "Измените название резюме", "field": "title"}]


def _progress(content):
    missing = missing_fields(content)
    recommended = [{"id": name, "name": said} for name, said in _RECOMMENDED if not content.get(name)]
    whole = len(MANDATORY) + len(_RECOMMENDED)
    return {"percentage": 100 * (whole - len(missing) - len(recommended)) // whole,
            "mandatory": [{"id": name, "name": MANDATORY[name][0]} for name in missing], "recommended": recommended}
