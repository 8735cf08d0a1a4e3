"""Applying: what it answers, every refusal, the limit, what is seen of it afterwards, and the messages."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture
def who(sim):
    sim.control("settings", {"readable_after_s": 0, "indexed_after_s": 0, "chat_ready_after_s": 0})
    return sim.applicant()


@pytest.fixture
def vacancy_id(sim):
    return sim.open_vacancies()[0]


def read(sim, who, path, query=None):
    answer = sim.get(path, query, token=who["access_token"])
    assert answer.status == 200, answer.body
    return answer.json()


def applied(sim, who, vacancy_id, **more):
    """The id of the application."""
    answer = sim.apply(who, vacancy_id, **more)
    assert answer.status == 201, answer.body
    return answer.headers["Location"].rsplit("/", 1)[1]


def refused(answer):
    return answer.status, *answer.errors()[0]


def applications(sim, **query):
    return sim.get("/_sim/applications", query).json()["applications"]


def multipart(sim, who, fields):
    parts = [f'--bound\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    return sim.send("POST", "/negotiations", token=who["access_token"], body=("".join(parts) + "--bound--\r\n").encode(),
                    headers={"Content-Type": "multipart/form-data; boundary=bound"})


# Carried out

def test_applying_answers_with_a_location_and_nothing_else(sim, who, vacancy_id):
    answer = sim.apply(who, vacancy_id, message="Здравствуйте")
    assert (answer.status, answer.body, answer.headers.get_content_type()) == (201, b"", "text/html")
    application_id = answer.headers["Location"].removeprefix("/negotiations/")
    made = applications(sim)
    assert [(one["id"], one["user_id"], one["vacancy_id"], one["resume_id"], one["message"]) for one in made] == [
        (application_id, who["user_id"], vacancy_id, who["resume_ids"][0], "Здравствуйте")]


def test_multipart_is_read_as_well(sim, who, vacancy_id):
    fields = {"vacancy_id": vacancy_id, "resume_id": who["resume_ids"][0], "message": "Привет\nи пока"}
    assert multipart(sim, who, fields).status == 201
    assert applications(sim)[0]["message"] == "Привет\nи пока"


def test_hhs_own_application_gets_the_id_in_the_body_too(sim, who, vacancy_id):
    answer = sim.apply(who, vacancy_id, with_chat_info="true")
    assert answer.headers["Location"] == f"/negotiations/{answer.json()['id']}"


def test_json_is_not_read(sim, who, vacancy_id):
    answer = sim.json("POST", "/negotiations", {"vacancy_id": vacancy_id, "resume_id": who["resume_ids"][0]},
                      token=who["access_token"])
    assert (answer.status, answer.errors()) == (400, [("bad_argument", "vacancy_id"), ("bad_argument", "resume_id")])
    assert [entry["description"] for entry in answer.json()["bad_arguments"]] == [
        "Vacancy id must be set", "Resume id must be set"]
    assert applications(sim) == []


def test_a_direct_vacancy_is_applied_to_elsewhere(sim, who):
    direct = sim.open_vacancies(type="direct", response_url="https://jobs.test/apply?x=1")[0]
    answer = sim.apply(who, direct)
    assert (answer.status, answer.headers["Location"], answer.body) == (303, "https://jobs.test/apply?x=1", b"")
    assert applications(sim) == []


def test_applications_are_listed_in_the_order_they_were_made(sim, who):
    ids = sim.open_vacancies(5)
    for vacancy_id in ids:
        applied(sim, who, vacancy_id)
    other = sim.applicant()
    applied(sim, other, ids[0])
    made = applications(sim)
    assert [one["vacancy_id"] for one in made] == [*ids, ids[0]] and made == sorted(made, key=lambda one: one["at"])
    assert [one["user_id"] for one in applications(sim, vacancy_id=ids[0])] == [who["user_id"], other["user_id"]]
    stats = sim.control("stats", method="GET")
    assert stats["applications"] == 6 and stats["apply_outcomes"] == {"applied": 6}


# Refused

def test_a_pair_of_resume_and_vacancy_applies_once(sim, vacancy_id):
    who = sim.applicant(resumes=2)
    assert sim.apply(who, vacancy_id).status == 201
    again = sim.apply(who, vacancy_id)
    assert refused(again) == (403, "negotiations", "already_applied")
    assert (again.json()["description"], again.json()["bad_argument"]) == ("Already applied", "vacancy_id")
    assert sim.apply(who, vacancy_id, resume_id=who["resume_ids"][1]).status == 201
    assert len(applications(sim)) == 2


def test_of_many_at_once_one_applies(sim, who, vacancy_id):
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: sim.apply(who, vacancy_id).status, range(8)))
    assert sorted(statuses) == [201] + [403] * 7 and len(applications(sim)) == 1


@pytest.mark.parametrize("fields, error", [
    ({"vacancy_id": ""}, (400, "bad_argument", "vacancy_id")), ({"resume_id": ""}, (400, "bad_argument", "resume_id")),
    ({"vacancy_id": "abc"}, (400, "bad_argument", "vacancy_id")), ({"resume_id": "a/b"}, (400, "bad_argument", "resume_id")),
    ({"vacancy_id": "1"}, (400, "negotiations", "vacancy_not_found")),
    ({"resume_id": "0123456789abcdef"}, (400, "negotiations", "resume_not_found")),
    ({"message": "  "}, (403, "negotiations", "empty_message")), ({"message": ""}, (403, "negotiations", "empty_message")),
    ({"message": "ж" * 10_001}, (403, "negotiations", "too_long_message"))])
def test_fields_are_checked(sim, who, vacancy_id, fields, error):
    assert refused(sim.apply(who, vacancy_id, **fields)) == error
    assert applications(sim) == []
    assert sim.apply(who, vacancy_id, message="ж" * 10_000).status == 201


@pytest.mark.parametrize("shape, error", [
    ({"archived": True}, (403, "negotiations", "invalid_vacancy")),
    ({"has_test": True, "test_required": True}, (403, "negotiations", "test_required")),
    ({"response_letter_required": True}, (400, "bad_argument", "message"))])
def test_the_vacancy_decides(sim, who, shape, error):
    assert refused(sim.apply(who, sim.open_vacancies(**shape)[0])) == error


def test_a_test_that_may_be_skipped_is_no_obstacle(sim, who):
    assert sim.apply(who, sim.open_vacancies(has_test=True)[0]).status == 201


def test_a_letter_that_is_required_may_not_be_blank(sim, who):
    vacancy_id = sim.open_vacancies(response_letter_required=True)[0]
    for message in ({}, {"message": ""}, {"message": " \n"}):
        content = sim.apply(who, vacancy_id, **message).json()
        assert content["description"] == content["bad_arguments"][0]["description"] == "Letter required"
        assert content["bad_argument"] == "message"
    assert sim.apply(who, vacancy_id, message="Вот").status == 201


def test_a_vacancy_archived_after_the_search_is_invalid(sim, who, vacancy_id):
    sim.control("archive", {"ids": [vacancy_id]})
    assert refused(sim.apply(who, vacancy_id)) == (403, "negotiations", "invalid_vacancy")


@pytest.mark.parametrize("status", ["not_published", "blocked", "on_moderation"])
def test_only_a_published_resume_applies(sim, who, vacancy_id, status):
    resume_id = sim.control("resumes", {"user_id": who["user_id"], "status": status})["ids"][0]
    assert refused(sim.apply(who, vacancy_id, resume_id=resume_id)) == (403, "negotiations", "resume_not_found")


def test_nobody_applies_with_the_resume_of_another(sim, who, vacancy_id):
    other = sim.applicant()
    assert refused(sim.apply(who, vacancy_id, resume_id=other["resume_ids"][0])) == (
        400, "negotiations", "resume_not_found")


def test_a_fresh_resume_is_read_before_it_can_be_applied_with(sim, who, vacancy_id):
    sim.control("settings", {"indexed_after_s": 60})
    draft = sim.control("resumes", {"user_id": who["user_id"], "status": "not_published"})["ids"][0]
    assert sim.send("POST", f"/resumes/{draft}/publish", token=who["access_token"]).status == 204
    assert read(sim, who, f"/resumes/{draft}")["status"]["id"] == "published"
    assert refused(sim.apply(who, vacancy_id, resume_id=draft)) == (400, "negotiations", "resume_not_found")
    sim.control("clock", {"advance_s": 61})
    assert sim.apply(who, vacancy_id, resume_id=draft).status == 201


def test_a_hidden_resume_and_an_anonymous_employer_do_not_meet(sim, who):
    anonymous = sim.open_vacancies(type="anonymous", employer={"name": "Крупный банк"})[0]
    resume = {"user_id": who["user_id"], "content": {"access": {"type": {"id": "whitelist"}}}}
    hidden = sim.control("resumes", resume)["ids"][0]
    assert refused(sim.apply(who, anonymous, resume_id=hidden)) == (403, "negotiations", "resume_visibility_conflict")
    assert sim.apply(who, anonymous).status == 201


def test_applying_with_a_resume_for_nobody_makes_a_list_of_it(sim, who, vacancy_id):
    resume = {"user_id": who["user_id"], "content": {"access": {"type": {"id": "no_one"}}}}
    resume_id = sim.control("resumes", resume)["ids"][0]
    assert sim.apply(who, vacancy_id, resume_id=resume_id).status == 201
    assert read(sim, who, f"/resumes/{resume_id}")["access"]["type"]["id"] == "whitelist"


@pytest.mark.parametrize("status", [400, 403, 429])
def test_the_limit_counts_back_24_hours(sim, who, status):
    sim.control("settings", {"negotiation_limit": 3, "limit_status": status})
    ids = sim.open_vacancies(6)
    applied(sim, who, ids[0])
    sim.control("clock", {"advance_s": 3600})
    for vacancy_id in ids[1:3]:
        applied(sim, who, vacancy_id)
    assert refused(sim.apply(who, ids[3])) == (status, "negotiations", "limit_exceeded")
    assert sim.apply(sim.applicant(), ids[3]).status == 201
    sim.control("clock", {"advance_s": 23 * 3600})
    assert sim.apply(who, ids[3]).status == 201
    assert refused(sim.apply(who, ids[4]))[2] == "limit_exceeded"


def test_200_is_the_limit_and_hiding_gives_nothing_back(sim, who):
    ids = sim.open_vacancies(201)
    made = [applied(sim, who, vacancy_id) for vacancy_id in ids[:200]]
    sim.send("DELETE", f"/negotiations/active/{made[0]}", token=who["access_token"])
    assert refused(sim.apply(who, ids[200])) == (400, "negotiations", "limit_exceeded")


def test_single_vacancies_refuse_on_demand(sim, who):
    first, second = sim.open_vacancies(2)
    sim.control("refuse", {"vacancy_ids": [first], "value": "application_denied"})
    assert refused(sim.apply(who, first)) == (403, "negotiations", "application_denied")
    assert sim.apply(who, second).status == 201
    sim.control("refuse", {"vacancy_ids": [first], "status": 400, "type": "bad_argument",
                           "description": '"enable_applicant_visibility_in_country" param required'})
    answer = sim.apply(who, first)
    assert refused(answer) == (400, "bad_argument", None) and "visibility" in answer.json()["description"]
    sim.control("refuse", {"vacancy_ids": [first]})
    assert sim.apply(who, first).status == 201
    outcomes = [attempt["outcome"] for attempt in sim.get("/_sim/applications").json()["attempts"]]
    assert outcomes == ["application_denied", "applied", "bad_argument", "applied"]


# Afterwards

def test_an_application_can_be_read_by_its_owner(sim, who, vacancy_id):
    application_id = applied(sim, who, vacancy_id)
    one = read(sim, who, f"/negotiations/{application_id}")
    assert one["state"]["id"] == "response" and one["messaging_status"] == "no_invitation"
    assert one["vacancy"]["id"] == vacancy_id and one["resume"]["id"] == who["resume_ids"][0]
    assert read(sim, who, "/negotiations")["items"] == [one]
    stranger = sim.get(f"/negotiations/{application_id}", token=sim.applicant()["access_token"])
    assert refused(stranger) == (404, "negotiations", "topic_not_found")


def test_the_list_goes_by_the_latest_update_in_pages(sim, who):
    made = [applied(sim, who, vacancy_id) for vacancy_id in sim.open_vacancies(5)]
    page = read(sim, who, "/negotiations", {"per_page": 2, "page": 1})
    assert (page["found"], page["pages"], page["page"], page["per_page"]) == (5, 3, 1, 2)
    assert [item["id"] for item in page["items"]] == made[::-1][2:4]
    sim.control("application_state", {"id": made[0], "state": "invitation"})
    assert read(sim, who, "/negotiations")["items"][0]["id"] == made[0]
    by_creation = read(sim, who, "/negotiations", {"order_by": "created_at", "order": "asc"})
    assert [item["id"] for item in by_creation["items"]] == made
    assert read(sim, who, "/me")["counters"]["unread_negotiations"] == 1


def test_the_list_can_be_narrowed(sim, who):
    ids = sim.open_vacancies(4)
    made = [applied(sim, who, vacancy_id) for vacancy_id in ids]
    sim.control("application_state", {"id": made[0], "state": "invitation"})
    sim.control("application_state", {"id": made[1], "state": "discard"})
    sim.send("DELETE", f"/negotiations/active/{made[2]}", token=who["access_token"])
    sim.control("archive", {"ids": [ids[3]]})

    def found(**query):
        return {item["id"] for item in read(sim, who, "/negotiations", query)["items"]}
    assert found(vacancy_id=ids[1]) == {made[1]} and found(vacancy_id="1") == set()
    assert found(status="invitations") == found(status="active") == {made[0]}
    assert found(status="discard") == {made[1]} and found(status="deleted") == {made[2]}
    assert found(status="archived") == {made[3]} and found(status="non_archived") == set(made[:3])
    assert found(status="all") == found() == set(made) and found(has_updates="true") == set(made[:2])


@pytest.mark.parametrize("query", [{"per_page": 101}, {"page": "x"}, {"status": "no"}, {"order_by": "id"}, {"order": "up"}])
def test_the_list_takes_no_nonsense(sim, who, query):
    assert refused(sim.get("/negotiations", query, token=who["access_token"])) == (400, "bad_argument", next(iter(query)))


def test_the_list_may_lag_behind(sim, who, vacancy_id):
    sim.control("settings", {"listed_after_s": 60})
    applied(sim, who, vacancy_id)
    assert read(sim, who, "/negotiations", {"vacancy_id": vacancy_id})["items"] == []
    sim.control("clock", {"advance_s": 61})
    assert read(sim, who, "/negotiations", {"vacancy_id": vacancy_id})["found"] == 1


def test_the_search_knows_what_was_applied_to(sim, who, vacancy_id):
    application_id = applied(sim, who, vacancy_id)
    sim.control("application_state", {"id": application_id, "state": "discard"})
    assert read(sim, who, f"/vacancies/{vacancy_id}")["relations"] == ["got_response", "got_rejection"]
    stranger = sim.applicant(resumes=0)
    assert read(sim, stranger, f"/vacancies/{vacancy_id}")["relations"] == []


def test_the_applications_of_a_deleted_resume_vanish(sim, who, vacancy_id):
    application_id = applied(sim, who, vacancy_id)
    sim.send("DELETE", f"/resumes/{who['resume_ids'][0]}", token=who["access_token"])
    assert read(sim, who, "/negotiations")["items"] == []
    assert sim.get(f"/negotiations/{application_id}", token=who["access_token"]).status == 404
    assert applications(sim)[0]["gone"] is True


def test_hiding_and_messages_wait_for_the_chat(sim, who, vacancy_id):
    sim.control("settings", {"chat_ready_after_s": 60})
    application_id, token = applied(sim, who, vacancy_id), who["access_token"]
    for method, path in (("DELETE", f"/negotiations/active/{application_id}"),
                         ("GET", f"/negotiations/{application_id}/messages"),
                         ("POST", f"/negotiations/{application_id}/messages")):
        assert refused(sim.send(method, path, token=token)) == (425, "negotiations", "chat_is_not_ready")
    sim.control("clock", {"advance_s": 61})
    assert sim.send("DELETE", f"/negotiations/active/{application_id}", token=token).status == 204
    assert read(sim, who, f"/negotiations/{application_id}")["hidden"] is True


def test_one_writes_only_when_invited(sim, who, vacancy_id):
    application_id = applied(sim, who, vacancy_id, message="Письмо")
    path, token = f"/negotiations/{application_id}/messages", who["access_token"]
    assert [message["text"] for message in read(sim, who, path)["items"]] == ["Письмо"]
    assert refused(sim.form(path, {"message": "Ау"}, token=token)) == (403, "negotiations", "no_invitation")
    sim.control("application_state", {"id": application_id, "state": "invitation"})
    assert refused(sim.form(path, {"message": ""}, token=token)) == (403, "negotiations", "message_cannot_be_empty")
    answer = sim.form(path, {"message": "Спасибо"}, token=token)
    assert (answer.status, answer.json()["text"]) == (201, "Спасибо")
    assert [message["text"] for message in read(sim, who, path)["items"]] == ["Письмо", "Спасибо"]


@pytest.mark.parametrize("path, body", [
    ("settings", {"nonsense": 1}), ("settings", {"negotiation_limit": "7"}), ("settings", {"limit_status": 500}),
    ("settings", {"complete_resumes": 1}), ("resumes", {}), ("resumes", {"user_id": "1", "status": "lost"}),
    ("resumes", {"user_id": "1", "content": {"area": {"id": "113"}}}), ("resume_status", {"id": "1", "status": "blocked"}),
    ("application_state", {"id": ["1"], "state": {}}), ("refuse", {"vacancy_ids": "1"})])
def test_the_control_api_says_what_makes_no_sense(sim, path, body):
    answer = sim.send("POST", f"/_sim/{path}", body=json.dumps(body).encode())
    assert answer.status == 400 and answer.json()["error"]
