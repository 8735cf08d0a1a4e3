"""Resumes: creation and what HH finds wrong with them, their delays, changes, states and publication."""
import copy
import time

import pytest
from conftest import APP_TOKEN

RESUME = {
    "title": "Программист C", "first_name": "Анна-Мария", "last_name": "О'Нил", "gender": {"id": "female"},
    "area": {"id": "1"}, "citizenship": [{"id": "113"}], "resume_locale": {"id": "RU"},
    "access": {"type": {"id": "clients"}}, "professional_roles": [{"id": "96"}], "employments": [{"id": "full"}],
    "schedules": [{"id": "remote"}], "business_trip_readiness": {"id": "ready"}, "travel_time": {"id": "any"},
    "language": [{"id": "rus", "level": {"id": "l1"}}, {"id": "eng", "level": {"id": "b2"}}],
    "skill_set": ["C", "Linux"], "skills": "О себе", "salary": {"amount": 200000, "currency": "RUR"},
    "contact": [{"type": {"id": "email"}, "value": "a@mail.test", "preferred": True},
                {"type": {"id": "cell"}, "value": {"country": "7", "city": "900", "number": "1234567"}}],
    "education": {"level": {"id": "higher"}, "primary": [{"name": "МГУ", "year": 2010}]},
    "experience": [{"company": "ООО", "position": "Инженер", "start": "2015-01-01", "end": "2016-01-01",
                    "description": "Работа"}],
}


@pytest.fixture
def who(sim):
    sim.control("settings", {"readable_after_s": 0, "indexed_after_s": 0})
    return sim.applicant(resumes=0)


def create(sim, who, content=None, query=None):
    return sim.json("POST", "/resumes", RESUME if content is None else content, token=who["access_token"], query=query)


def made(sim, who, content=None):
    answer = create(sim, who, content)
    assert answer.status == 201, answer.body
    return answer.headers["Location"]


def read(sim, who, path):
    answer = sim.get(path, token=who["access_token"])
    assert answer.status == 200, answer.body
    return answer.json()


def publish(sim, who, path):
    return sim.send("POST", f"{path}/publish", token=who["access_token"])


def changed(path, value):
    """RESUME with one place of it replaced; the path is dotted, a value of None takes the key away."""
    content = copy.deepcopy(RESUME)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = content
    for part in way:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return content


def test_creation_answers_with_a_location_and_nothing_else(sim, who):
    answer = create(sim, who)
    assert (answer.status, answer.body, answer.headers.get_content_type()) == (201, b"", "text/html")
    location = answer.headers["Location"]
    assert location.startswith("/resumes/") and len(location) == len("/resumes/") + 38
    full = read(sim, who, location)
    assert full["id"] == location.rsplit("/", 1)[1] and full["title"] == RESUME["title"]
    assert full["status"]["id"] == "not_published" and full["finished"] is True
    assert full["can_publish_or_update"] is None and full["next_publish_at"] is None
    assert full["contact"][1]["value"]["formatted"] == "+7 (900) 1234567" and full["total_experience"]["months"] == 12
    assert full["skill_set"] == ["C", "Linux"] and full["skills"] == "О себе"
    assert full["employment"] == full["employments"][0] == {"id": "full", "name": "Полная занятость"}


def test_the_list_is_shorter_than_the_resume_and_has_its_own_users_only(sim, who):
    location = made(sim, who)
    page = read(sim, who, "/resumes/mine")
    assert (page["found"], page["page"], page["pages"], page["per_page"]) == (1, 0, 1, 20)
    assert "skill_set" not in page["items"][0] and "similar_vacancies" in page["items"][0]
    stranger = sim.applicant(resumes=2)
    assert len(read(sim, stranger, "/resumes/mine")["items"]) == 2
    assert sim.get(location, token=stranger["access_token"]).errors() == [("not_found", None)]


@pytest.mark.parametrize("path, value, pointer, reason", [
    ("title", "C", "/title", "length_less_than_min"), ("title", "x" * 101, "/title", "length_greater_than_max"),
    ("title", 7, "/title", "invalid"), ("first_name", "R2D2", "/first_name", "not_match_regexp"),
    ("gender", {"id": "other"}, "/gender/id", "not_in_dictionary"), ("area", {"id": "113"}, "/area/id", "not_a_leaf"),
    ("area", {"id": "1202"}, "/area/id", "not_a_leaf"), ("area", {"id": "0"}, "/area/id", "not_found"),
    ("citizenship", [{"id": "1"}], "/citizenship/0/id", "not_country"), ("citizenship", [], "/citizenship", "size_less_than_min"),
    ("access.type.id", "everyone", "/access/type/id", "not_available"),
    ("skill_set", ["C", "C"], "/skill_set", "must_contain_unique"), ("skill_set", ["C"] * 2 + [""], "/skill_set/2", "length_less_than_min"),
    ("skill_set", [str(n) for n in range(31)], "/skill_set", "size_greater_than_max"), ("skills", ["C"], "/skills", "invalid"),
    ("contact.0", {"type": {"id": "home"}, "value": {"formatted": "+7 495 1234567"}, "preferred": True}, "/contact", "required"),
    ("contact.0.value", "nonsense", "/contact/0/value", "invalid"),
    ("contact.1.value", {"country": "7"}, "/contact/1/value", "need_country_city_number_or_formatted"),
    ("contact.0.preferred", False, "/contact", "preferred_contact_not_specified"),
    ("contact.1.preferred", True, "/contact", "preferred_must_be_unique"),
    ("education.primary.0.year", 1949, "/education/primary/0/year", "less_than_min"),
    ("education.primary.0.name", None, "/education/primary/0/name", "required"),
    ("education.primary", [], "/education/primary", "size_less_than_min"),
    ("language.0.level.id", "b1", "/language", "required"),
    ("language.1.level.id", "l1", "/language", "more_than_one_native_language"),
    ("professional_roles", [{"id": str(n)} for n in (96, 160, 10, 12, 150, 25)], "/professional_roles", "size_greater_than_max"),
    ("employments", {"id": "full"}, "/employments", "invalid"), ("salary", {"amount": 5}, "/salary/currency", "required"),
    ("salary.currency", "RUB", "/salary/currency", "not_in_dictionary"),
    ("experience.0.description", None, "/experience/0/description", "required"),
    ("experience.0.end", "2014-01-01", "/experience/0/end", "end_date_before_start_date"),
    ("experience.0.start", "2999-01-01", "/experience/0/start", "later_than_max"),
    ("experience", [], "/experience", "required_with_not_started_career"),
])
def test_what_is_wrong_is_pointed_at(sim, who, path, value, pointer, reason):
    answer = create(sim, who, changed(path, value))
    assert answer.status == 400
    entries = [entry for entry in answer.json()["errors"] if entry["reason"] == reason]
    assert [(entry["type"], entry["pointer"]) for entry in entries] == [("bad_json_data", pointer)], answer.json()
    assert entries[0]["value"] == [part for part in pointer.split("/") if not part.isdigit()][-1]
    assert read(sim, who, "/resumes/mine")["found"] == 0


def test_the_sample_of_the_tests_has_nothing_wrong_and_several_mistakes_come_together(sim, who):
    wrong = {**changed("area", {"id": "113"}), "skill_set": []}
    assert {entry["pointer"] for entry in create(sim, who, wrong).json()["errors"]} == {"/area/id", "/skill_set"}
    assert create(sim, who, {**RESUME, "summary": "unknown keys are ignored"}).status == 201


@pytest.mark.parametrize("name", ["employment", "schedule"])
def test_singular_names_of_plural_fields_are_refused(sim, who, name):
    assert create(sim, who, {**RESUME, name: {"id": "full"}}).json()["errors"][0]["pointer"] == f"/{name}"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"title=x"])
def test_a_body_that_is_no_json_object_is_refused(sim, who, body):
    answer = sim.send("POST", "/resumes", body=body, token=who["access_token"])
    assert (answer.status, answer.errors()) == (400, [("bad_json_data", None)])


def test_titles_are_unique_to_a_user(sim, who):
    first = made(sim, who)
    assert create(sim, who).json()["errors"][0]["reason"] == "duplicate"
    made(sim, sim.applicant(resumes=0))
    second = made(sim, who, {**RESUME, "title": "Другая"})
    token = who["access_token"]
    assert sim.json("PUT", second, {"title": RESUME["title"]}, token=token).json()["errors"][0]["reason"] == "duplicate"
    assert sim.json("PUT", first, {"title": RESUME["title"]}, token=token).status == 204


def test_there_is_a_limit_to_how_many(sim, who):
    sim.control("settings", {"max_resumes": 2})
    made(sim, who)
    assert read(sim, who, "/resumes/creation_availability") == {
        "is_creation_available": True, "max": 2, "created": 1, "remaining": 1}
    made(sim, who, {**RESUME, "title": "Вторая"})
    answer = create(sim, who, {**RESUME, "title": "Третья"})
    assert (answer.status, answer.errors()) == (400, [("resumes", "total_limit_exceeded")])
    assert read(sim, who, "/resumes/creation_availability")["is_creation_available"] is False


def test_a_copy_differs_where_the_body_says_so(sim, who):
    source = made(sim, who).rsplit("/", 1)[1]
    answer = create(sim, who, {"title": "Копия"}, query={"source_resume_id": source})
    assert read(sim, who, answer.headers["Location"])["skill_set"] == RESUME["skill_set"]
    assert create(sim, who, {"title": "Нет"}, query={"source_resume_id": "0"}).status == 404


def test_a_change_keeps_what_it_does_not_name_and_replaces_lists(sim, who):
    location = made(sim, who)
    answer = sim.json("PUT", location, {"skill_set": ["Rust"], "salary": None}, token=who["access_token"])
    assert (answer.status, answer.body) == (204, b"")
    full = read(sim, who, location)
    assert full["skill_set"] == ["Rust"] and full["title"] == RESUME["title"] and full["salary"] is None
    refused = sim.json("PUT", location, {"skill_set": [], "title": "Новое"}, token=who["access_token"])
    assert refused.status == 400 and read(sim, who, location)["title"] == RESUME["title"]


def test_a_deleted_resume_is_gone(sim, who):
    location = made(sim, who)
    assert sim.send("DELETE", location, token=who["access_token"]).status == 204
    assert sim.get(location, token=who["access_token"]).status == 404
    assert sim.send("DELETE", location, token=who["access_token"]).status == 404
    assert read(sim, who, "/resumes/mine")["items"] == []


def test_an_incomplete_resume_says_what_it_lacks_and_cannot_be_published(sim, who):
    location = made(sim, who, {"title": "Начало"})
    status = read(sim, who, f"{location}/status")
    assert status["finished"] is False and status["can_publish_or_update"] is False
    missing = {entry["id"] for entry in status["progress"]["mandatory"]}
    assert {"contact", "education", "experience", "skill_set", "employments"} <= missing and "title" not in missing
    refused = publish(sim, who, location)
    assert (refused.status, refused.errors()) == (400, [("bad_request", None)])
    rest = {name: value for name, value in RESUME.items() if name != "title"}
    assert sim.json("PUT", location, rest, token=who["access_token"]).status == 204
    assert read(sim, who, f"{location}/status")["progress"]["mandatory"] == []
    assert publish(sim, who, location).status == 204


def test_creation_can_be_set_to_demand_everything(sim, who):
    sim.control("settings", {"complete_resumes": True})
    entries = create(sim, who, {"title": "Начало"}).json()["errors"]
    assert {(entry["pointer"], entry["reason"]) for entry in entries} >= {("/contact", "required"), ("/area", "required")}
    assert create(sim, who).status == 201


def test_publication_happens_at_once_and_then_every_four_hours(sim, who):
    location = made(sim, who)
    answer = publish(sim, who, location)
    assert (answer.status, answer.body) == (204, b"")
    full = read(sim, who, location)
    assert full["status"]["id"] == "published" and full["can_publish_or_update"] is False and full["next_publish_at"]
    early = publish(sim, who, location)
    assert (early.status, early.errors()) == (429, [("resumes", "touch_limit_exceeded")])
    assert early.json()["description"] == "Can't publish resume: too often"
    sim.control("clock", {"advance_s": 4 * 3600})
    assert read(sim, who, f"{location}/status")["can_publish_or_update"] is True
    assert publish(sim, who, location).status == 204
    assert sim.get(f"{location}/publish", token=who["access_token"]).status == 405


def test_a_blocked_resume_waits_for_the_moderators_after_it_was_edited(sim, who):
    location = made(sim, who)
    resume_id = location.rsplit("/", 1)[1]
    publish(sim, who, location)
    sim.control("resume_status", {"id": resume_id, "status": "blocked"})
    blocked = read(sim, who, f"{location}/status")
    assert blocked["blocked"] is True and blocked["moderation_note"]
    assert publish(sim, who, location).status == 400
    sim.json("PUT", location, {"title": "Исправлено"}, token=who["access_token"])
    assert read(sim, who, location)["status"]["id"] == "on_moderation"
    assert publish(sim, who, location).status == 400
    sim.control("resume_status", {"id": resume_id, "status": "published"})
    assert read(sim, who, location)["status"]["id"] == "published"


def test_a_fresh_resume_is_not_there_at_first(start):
    sim = start("--max-rps", "0", "--resume-readable-after", "100", "--resume-indexed-after", "100")
    who = sim.applicant(resumes=0)
    location = made(sim, who)
    for method, path in (("GET", location), ("GET", f"{location}/status"), ("POST", f"{location}/publish"),
                         ("DELETE", location)):
        assert sim.send(method, path, token=who["access_token"]).status == 404
    assert read(sim, who, "/resumes/mine")["items"] == []
    assert create(sim, who).json()["errors"][0]["reason"] == "duplicate"
    sim.control("clock", {"advance_s": 101})
    assert publish(sim, who, location).status == 204


def test_the_delay_passes_by_itself(sim, who):
    sim.control("settings", {"readable_after_s": 0.3})
    location = made(sim, who)
    assert sim.get(location, token=who["access_token"]).status == 404
    deadline = time.monotonic() + 10
    while sim.get(location, token=who["access_token"]).status == 404:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("method, path", [
    ("GET", "/resumes/mine"), ("POST", "/resumes"), ("GET", "/resumes/x"), ("POST", "/resumes/x/publish"),
    ("PUT", "/resumes/x"), ("GET", "/resume_conditions"), ("GET", "/negotiations"), ("POST", "/negotiations"),
    ("GET", "/negotiations/1"), ("DELETE", "/negotiations/active/1"), ("GET", "/vacancies/1/resumes_by_status")])
@pytest.mark.parametrize("token", [None, APP_TOKEN])
def test_only_an_applicant_may(sim, method, path, token):
    answer = sim.send(method, path, token=token)
    assert (answer.status, answer.errors()) == (403, [("forbidden", None)])


def test_a_vacancy_says_which_resumes_suit(sim, who):
    sim.control("resumes", {"user_id": who["user_id"], "count": 3})
    sim.control("resumes", {"user_id": who["user_id"], "status": "not_published"})
    vacancy_id = sim.open_vacancies()[0]
    who["resume_ids"] = [item["id"] for item in read(sim, who, "/resumes/mine")["items"]
                         if item["status"]["id"] == "published"]
    assert sim.apply(who, vacancy_id).status == 201
    groups = read(sim, who, f"/vacancies/{vacancy_id}/resumes_by_status")
    assert groups["counters"] == {"suitable": 2, "already_applied": 1, "not_published": 1, "unavailable": 0}
    assert groups["already_applied"][0]["id"] == who["resume_ids"][0]
    page = read(sim, who, f"/vacancies/{vacancy_id}/suitable_resumes")
    assert page["found"] == 2 and page["overall"] == {"already_applied": 1, "not_published": 1, "unavailable": 0}
    assert sim.get("/vacancies/1/suitable_resumes", token=who["access_token"]).status == 404


def test_the_demands_can_be_asked_for(sim, who):
    demands = read(sim, who, "/resume_conditions")
    assert demands["title"] == {"required": True, "min_length": 2, "max_length": 100}
    assert demands["skill_set"]["max_count"] == 30 and demands["salary"]["required"] is False
    assert read(sim, who, made(sim, who) + "/conditions") == demands


def test_me_counts_resumes(sim, who):
    made(sim, who)
    assert read(sim, who, "/me")["counters"]["resumes_count"] == 1


def test_tests_see_all_resumes(sim, who):
    made(sim, who)
    listed = sim.get("/_sim/resumes", {"user_id": who["user_id"]}).json()["resumes"]
    assert [(resume["title"], resume["status"]) for resume in listed] == [(RESUME["title"], "not_published")]
    assert sim.control("stats", method="GET")["resumes"] == 1
