"""hh_client on behalf of a user: resumes and applications, against the HH simulator."""
import json
import signal
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.hh import Hh, HhClient, OddServer, failure, send  # noqa: E402
from support.system import wait_for  # noqa: E402

CV = {"title": "Программист C", "first_name": "Вера", "last_name": "Соколова",
      "email": "vera@mail.test", "phone": "+7 (900) 123-45-67", "skills": ["C", "Linux"],
      "experience": [{"company": "ООО Ромашка", "position": "Программист", "start": "2019-03",
                      "description": "Писала и чинила."}],
      "education": [{"name": "МГУ", "year": 2015}], "summary": "Люблю, когда всё работает."}
OPEN = {"type": "open", "has_test": False, "response_letter_required": False}


@pytest.fixture(scope="module")
def the_hh():
    one = Hh()
    yield one
    one.stop()


@pytest.fixture
def hh(the_hh):
    the_hh.fresh().control("applicants", method="DELETE")
    the_hh.control("settings", {"readable_after_s": 0.3, "indexed_after_s": 0.3})
    return the_hh


@pytest.fixture
def client(hh):
    with HhClient(hh) as one:
        yield one.start()


class Person:
    """Somebody at HH, with a token, and what hh_client does for him."""

    def __init__(self, hh, client, resumes=0):
        self.hh, self.client = hh, client
        self.id, self.hh_id = str(uuid.uuid4()), str(uuid.uuid4().int % 10**8)
        made = hh.control("tokens", {"action": "create", "user_id": self.hh_id,
                                     "resumes": resumes})
        self.token, self.resume_ids = made["access_token"], made.get("resume_ids", [])
        self.acting = {"user_id": self.id, "access_token": self.token}

    def call(self, method, **body):
        return self.client.call_async(method, {**self.acting, **body})

    def ensure(self, cv=None, **more):
        return self.call("resumes.ensure", customized_cv=json.dumps(CV if cv is None else cv), **more)

    def apply(self, vacancy, resume=None, **more):
        return self.call("hh.apply", vacancy_id=vacancy, resume_id=resume or self.resume_ids[0], **more)

    def resumes(self):
        return self.hh.control(f"resumes?user_id={self.hh_id}")["resumes"]

    def applications(self):
        return self.hh.control(f"applications?user_id={self.hh_id}")["applications"]


@pytest.fixture
def person(hh, client):
    return Person(hh, client)


@pytest.fixture
def applicant(hh, client):
    return Person(hh, client, resumes=1)


def vacancy(hh, **more):
    return hh.control("vacancies", {"count": 1, **OPEN, **more})["ids"][0]


def details(failed):
    return json.loads(failed.failure["details"])


def posts(hh, path):
    return [r for r in hh.requests(path) if r["method"] == "POST"]


# --- reading ---------------------------------------------------------------------------------------

def test_resumes_are_listed_and_read(hh, client):
    person = Person(hh, client, resumes=2)
    items = json.loads(person.call("resumes.list").result()["items"])
    assert {item["id"] for item in items} == set(person.resume_ids)
    resume = json.loads(person.call("resumes.get", id=items[0]["id"]).result()["resume"])
    assert resume["id"] == items[0]["id"] and resume["skill_set"]


def test_a_resume_that_is_not_there_is_not_found(person):
    assert failure(person.call("resumes.get", id="0123abcd")).code == "not_found"
    assert failure(person.call("resumes.get", id="../me")).code == "not_found"


def test_users_never_share_an_answer(hh, client):
    people = [Person(hh, client, resumes=1) for _ in range(5)]
    hh.fault("latency", ms=300, path="/resumes/mine")
    calls = [p.call("resumes.list") for p in people for _ in range(2)]
    lists = [[item["id"] for item in json.loads(call.result()["items"])] for call in calls]
    assert lists == [p.resume_ids for p in people for _ in range(2)]
    assert len(hh.requests("/resumes/mine")) == 10


def test_a_users_requests_need_no_token_of_the_application(hh):
    with HhClient(hh, token=None, HH_CLIENT_ID="demo", HH_CLIENT_SECRET="demo-secret",
                  ENCRYPTION_KEY="a key of the tests, long enough") as client:
        client.start()  # and no store is up that could give one
        person = Person(hh, client, resumes=1)
        search = client.search("", within=3)
        assert json.loads(person.call("resumes.list").result()["items"])
        assert failure(search).code in ("unavailable", "timeout")


@pytest.mark.parametrize("fault, code", [
    ("token_expired", "hh_login_required"), ("token_revoked", "hh_login_required"),
    ("bad_authorization", "hh_login_required"), ("applicant_closed", "hh_closed"),
    ("captcha", "hh_captcha")])
def test_the_403s_are_told_apart(hh, person, fault, code):
    hh.fault(fault, path="/resumes")
    failed = failure(person.call("resumes.list"))
    assert failed.code == code and details(failed)["http_status"] == 403
    assert code != "hh_captcha" or details(failed)["captcha_url"].startswith("http")


def test_an_outage_is_no_missing_login(hh, person):
    hh.fault("503", path="/resumes")
    failed = failure(person.client.call_async("resumes.list", person.acting, ttl_ms=4000))
    assert failed.code in ("unavailable", "timeout")


def test_reads_are_repeated(hh, applicant):
    hh.fault("reset", path="/resumes", count=1)
    hh.fault("503", path="/resumes", count=1)
    assert json.loads(applicant.call("resumes.list").result()["items"])
    assert len(hh.requests("/resumes/mine")) == 3


@pytest.mark.parametrize("token", ["USERX\r\nHost: elsewhere", "USER X", "ТОКЕН"])
def test_a_token_that_no_header_can_carry_is_none(hh, client, token):
    failed = failure(client.call_async("resumes.list", {"access_token": token}))
    assert failed.code == "hh_login_required" and not hh.requests()


def test_without_an_account_a_login_is_required(client):
    failed = failure(client.call_async("resumes.list", {}))
    assert failed.code == "hh_login_required"


# --- a resume to apply with ------------------------------------------------------------------------

def test_a_resume_is_made_and_published(hh, person):
    made = person.ensure().result(60)
    [resume] = person.resumes()
    assert made == {"resume_id": resume["id"], "created": True}
    assert resume["status"] == "published" and resume["title"] == CV["title"]
    content = resume["content"]
    assert content["professional_roles"] == [{"id": "96"}] and content["skill_set"] == ["C", "Linux"]
    assert content["contact"][1]["value"] == {"formatted": "+79001234567"}


def test_the_same_again_finds_the_same(hh, person):
    first = person.ensure().result(60)
    again = person.ensure({**CV, "title": "  программист c"}).result(60)
    assert again == {"resume_id": first["resume_id"], "created": False}
    assert len(person.resumes()) == 1 and len(posts(hh, "/resumes")) == 2  # made, published


def test_one_that_is_named_is_used_as_it_is(hh, client):
    person = Person(hh, client, resumes=2)
    named = person.ensure({"hh_resume_id": f" {person.resume_ids[1]} "}).result(60)
    assert named == {"resume_id": person.resume_ids[1], "created": False}
    assert not posts(hh, "/resumes")


def test_one_that_is_named_is_completed_and_published(hh, person):
    [half] = hh.control("resumes", {"user_id": person.hh_id, "status": "not_published",
                                    "content": {"skill_set": None, "education": None}})["ids"]
    named = person.ensure({**CV, "hhResumeId": half}).result(60)
    assert named == {"resume_id": half, "created": True}
    [resume] = person.resumes()
    assert resume["status"] == "published" and resume["content"]["skill_set"] == ["C", "Linux"]
    [put] = [r for r in hh.requests("/resumes") if r["method"] == "PUT"]
    assert put["status"] == 204


def test_what_is_incomplete_says_what_is_missing(person):
    failed = failure(person.ensure({k: v for k, v in CV.items() if k not in ("skills", "education")}))
    assert failed.code == "resume_incomplete"
    assert {m["id"] for m in details(failed)["missing"]} == {"skill_set", "education"}
    assert [r["status"] for r in person.resumes()] == ["not_published"]


@pytest.mark.parametrize("change, code", [
    ({"email": ""}, "missing_email"), ({"email": "vera"}, "missing_email"),
    ({"phone": None}, "missing_phone"), ({"phone": "7777777777"}, "missing_phone"),
    ({"title": "", "experience": ""}, "bad_arguments"), (None, "missing_resume_id")])
def test_a_cv_without_what_it_takes_is_refused(hh, person, change, code):
    failed = failure(person.ensure({} if change is None else {**CV, **change}))
    assert failed.code == code and not hh.requests("/resumes")


def test_hhs_own_words_about_a_cv_are_told(person):
    failed = failure(person.ensure({**CV, "area": "99999999"}))
    assert failed.code == "bad_arguments" and details(failed)["description"].startswith("id: ")


def test_as_many_resumes_as_there_may_be(hh, client):
    hh.control("settings", {"max_resumes": 1})
    assert failure(Person(hh, client, resumes=1).ensure()).code == "total_limit_exceeded"


@pytest.mark.parametrize("status", ["blocked", "on_moderation"])
def test_one_that_moderators_hold_is_refused(hh, applicant, status):
    hh.control("resume_status", {"id": applicant.resume_ids[0], "status": status})
    failed = failure(applicant.ensure({"hh_resume_id": applicant.resume_ids[0]}))
    assert failed.code == "resume_blocked"


def test_one_that_is_named_and_gone_is_replaced(hh, person):
    made = person.ensure({**CV, "hh_resume_id": "0123456789abcdef"}).result(60)
    assert made["created"] and [r["id"] for r in person.resumes()] == [made["resume_id"]]
    assert failure(person.ensure({"hh_resume_id": "0123456789abcdef"})).code == "resume_not_available"


def test_one_that_cannot_be_applied_with_is_replaced_once(hh, person):
    first = person.ensure().result(60)["resume_id"]
    second = person.ensure(not_resume_id=first).result(60)
    assert second["created"] and second["resume_id"] != first
    assert person.ensure(not_resume_id=first).result(60)["resume_id"] == second["resume_id"]
    assert [r["title"] for r in person.resumes()] == ["Программист C", "Программист C (2)"]
    named = person.ensure({**CV, "hh_resume_id": first}, not_resume_id=first).result(60)
    assert named["resume_id"] == second["resume_id"]


def test_the_persons_name_comes_from_hh_where_the_cv_has_none(person):
    cv = {k: v for k, v in CV.items() if k not in ("first_name", "last_name")}
    person.ensure(cv).result(60)
    [resume] = person.resumes()
    assert resume["content"]["first_name"] and resume["content"]["last_name"]
    person.ensure({**cv, "title": "Юрист", "lastName": "Ли"}).result(60)
    assert person.resumes()[1]["content"]["last_name"] == "Ли"


def test_a_slow_hh_is_waited_for(hh, person):
    hh.control("settings", {"readable_after_s": 4})
    assert person.ensure().result(60)["created"]
    checks = [r for r in hh.requests("/resumes") if r["path"].endswith("/status")]
    assert 3 <= len([r for r in checks if r["status"] == 404]) <= 12  # asked again, not hammered


def test_one_that_is_not_seen_yet_is_not_made_twice(hh, person):
    hh.control("settings", {"readable_after_s": 3})
    hh.fault("reset_after", path="/resumes", method="POST", exact=True, count=1)
    made = person.ensure().result(60)
    assert [r["id"] for r in person.resumes()] == [made["resume_id"]]


def test_two_at_once_make_one(hh, client):
    hh.control("settings", {"readable_after_s": 2})
    person = Person(hh, client)
    calls = [person.ensure() for _ in range(4)]
    assert len({call.result(60)["resume_id"] for call in calls}) == 1
    assert len(person.resumes()) == 1


def test_what_was_made_before_a_death_is_found(hh):
    hh.control("settings", {"readable_after_s": 3})
    with HhClient(hh) as client:
        client.start()
        person = Person(hh, client)
        person.ensure()
        wait_for(person.resumes, 20, "it is made")
        client.signal(signal.SIGKILL)
        client.wait_exit()
    with HhClient(hh, generation=2) as client:
        client.start()
        person.client = client
        made = person.ensure().result(60)
    assert [(r["id"], r["status"]) for r in person.resumes()] == [(made["resume_id"], "published")]


def test_published_too_often_is_as_good_as_published(hh, person):
    """HH publishes it and the answer is lost: the next try comes too early."""
    hh.fault("reset_after", path="/resumes", method="POST", skip=1, count=1)
    person.ensure().result(60)
    assert [r["status"] for r in person.resumes()] == ["published"]
    assert Counter(r["status"] for r in posts(hh, "/resumes"))[429] == 1


def test_a_bad_day_at_hh_ends_well(hh, person):
    hh.fault("503", probability=0.15, path="/resumes")
    hh.fault("reset", probability=0.1, path="/resumes")
    hh.fault("reset_after", probability=0.1, path="/resumes")
    for _ in range(20):
        try:
            made = person.ensure().result(130)
            break
        except Exception as error:  # what time may mend is for the caller to try again
            assert getattr(error, "code", "") == "unavailable", error
    assert [r["id"] for r in person.resumes()] == [made["resume_id"]]


def test_a_stop_in_the_middle_leaves_nothing_behind(hh):
    hh.control("settings", {"readable_after_s": 30})
    with HhClient(hh) as client:
        client.start()
        person = Person(hh, client)
        calls = [person.ensure() for _ in range(3)]
        wait_for(lambda: any(r["path"].endswith("/status") for r in hh.requests()), 20, "a look")
        client.stop()
    assert not any(call.done() for call in calls)  # idempotent: the next generation has them


# --- an HH that is odd -----------------------------------------------------------------------------

class OddHh(OddServer):
    """Answers from a table {"POST /negotiations": (status, body, headers)}; else 404."""

    def __init__(self, table):
        super().__init__(self.from_table)
        self.table, self.asked = table, []

    def from_table(self, handler):
        what = f"{handler.command} {handler.path.split('?')[0]}"
        self.asked.append(what)
        status, body, headers = self.table.get(what, (404, {"errors": [{"type": "not_found"}]}, {}))
        raw = b"" if body is None else json.dumps(body).encode()
        send(handler, raw, status, **headers)


def ask_odd(table, method, **body):
    """What hh_client says when HH answers like that."""
    with OddHh(table) as odd, HhClient(odd) as client:
        client.start()
        acting = {"user_id": str(uuid.uuid4()), "access_token": "USERTOKEN"}
        call = client.call_async(method, {**acting, **body}, ttl_ms=20000)
        try:
            return call.result(30), odd.asked
        except Exception as error:
            return error, odd.asked


APPLY = {"vacancy_id": "7", "resume_id": "abc"}
LISTED = {"items": [{"id": "1", "vacancy": {"id": "8"}}, {"id": "2", "vacancy": None}, None,
                    {"id": "3", "vacancy": {"id": "7"}, "resume": None}]}


def test_an_applications_id_may_be_in_the_body():
    answer, _ = ask_odd({"POST /negotiations": (201, {"id": "45"}, {})}, "hh.apply", **APPLY)
    assert answer == {"negotiation_id": "45"}


def test_an_applications_id_may_be_in_the_list_only():
    answer, asked = ask_odd({"POST /negotiations": (201, None, {}),
                             "GET /negotiations": (200, LISTED, {})}, "hh.apply", **APPLY)
    assert answer == {"negotiation_id": "3"}
    assert asked == ["POST /negotiations", "GET /negotiations"]


def test_an_application_without_any_id_is_left_open():
    failed, _ = ask_odd({"POST /negotiations": (201, None, {}),
                         "GET /negotiations": (200, {"items": []}, {})}, "hh.apply", **APPLY)
    assert failed.code == "unavailable" and details(failed)["sent"] is True


@pytest.mark.parametrize("location", [None, "/negotiations/1", "javascript:alert(1)"])
def test_an_address_that_is_none_is_not_given(location):
    headers = {} if location is None else {"Location": location}
    failed, asked = ask_odd({"POST /negotiations": (303, None, headers)}, "hh.apply", **APPLY)
    assert failed.code == "hh_refused" and details(failed)["sent"] is False
    assert asked == ["POST /negotiations"]


def test_a_redirect_is_not_followed():
    failed, asked = ask_odd({"POST /negotiations": (302, None, {"Location": "/elsewhere"})},
                            "hh.apply", **APPLY)
    assert failed.code == "hh_refused" and asked == ["POST /negotiations"]


STATUS = {"status": {"id": "published"}, "blocked": False, "progress": {"mandatory": []}}


@pytest.mark.parametrize("body, headers", [({"id": "abc"}, {}), (None, {"Location": "/resumes/abc?host=hh.ru"}),
                                           (None, {"Location": "https://api.hh.ru/resumes/abc"})])
def test_a_new_resumes_id_comes_from_the_location_or_the_body(body, headers):
    answer, _ = ask_odd({"GET /resumes/mine": (200, {"items": []}, {}),
                         "POST /resumes": (201, body, headers),
                         "GET /resumes/abc/status": (200, STATUS, {})},
                        "resumes.ensure", customized_cv=json.dumps(CV))
    assert answer == {"resume_id": "abc", "created": True}


def test_a_refusal_to_publish_what_has_all_is_incomplete():
    draft = {**STATUS, "status": {"id": "not_published"}}
    failed, asked = ask_odd({"GET /resumes/abc/status": (200, draft, {}),
                             "POST /resumes/abc/publish": (400, {"description": "Can't publish resume",
                                                                "errors": [{"type": "bad_request"}]}, {})},
                            "resumes.ensure", customized_cv=json.dumps({"hh_resume_id": "abc"}))
    assert failed.code == "resume_incomplete" and asked.count("POST /resumes/abc/publish") == 1


@pytest.mark.parametrize("odd", [{}, {"status": None, "progress": []}, {"status": {"id": 7}, "progress": {
    "mandatory": [None, 7, {"id": None}, {"id": "x" * 5000}]}}])
def test_an_odd_status_ends(odd):
    failed, _ = ask_odd({"GET /resumes/abc/status": (200, odd, {})},
                        "resumes.ensure", customized_cv=json.dumps({"hh_resume_id": "abc"}))
    assert failed.code == "resume_incomplete"


@pytest.mark.parametrize("odd", [{"items": None}, {"items": {}}, {}])
def test_a_list_that_is_none_is_no_list(odd):
    failed, _ = ask_odd({"GET /resumes/mine": (200, odd, {})}, "resumes.list")
    assert failed.code == "unavailable"


# --- applying --------------------------------------------------------------------------------------

def test_an_application_has_its_id_from_the_location(hh, applicant):
    wanted = vacancy(hh)
    outcome = applicant.apply(wanted, message="Здравствуйте!\n\"Тест\"; a=b&c").result()
    [made] = applicant.applications()
    assert outcome == {"negotiation_id": made["id"]}
    assert made["vacancy_id"] == wanted and made["message"] == "Здравствуйте!\n\"Тест\"; a=b&c"


@pytest.mark.parametrize("letter", [{}, {"message": ""}, {"message": " \n "}])
def test_an_empty_letter_is_none(hh, applicant, letter):
    applicant.apply(vacancy(hh), **letter).result()
    assert applicant.applications()[0]["message"] is None


def test_another_site_is_an_address(hh, applicant):
    url = "https://jobs.mail.test/apply?x=1&y=2"
    wanted = vacancy(hh, type="direct", response_url=url)
    assert applicant.apply(wanted).result() == {"external_url": url}
    assert not applicant.applications()


def test_twice_is_refused_and_found(hh, applicant):
    wanted = vacancy(hh)
    first = applicant.apply(wanted).result()
    failed = failure(applicant.apply(wanted))
    assert failed.code == "already_applied" and details(failed)["description"] == "Already applied"
    found = applicant.call("hh.applied", vacancy_id=wanted).result()
    assert found == {**first, "resume_id": applicant.resume_ids[0]}
    assert applicant.call("hh.applied", vacancy_id=vacancy(hh)).result() == {}


def test_refusals_have_their_names(hh, applicant):
    test = vacancy(hh, has_test=True, test_required=True)
    letter = vacancy(hh, response_letter_required=True)
    closed = vacancy(hh)
    hh.control("archive", {"ids": [closed]})
    for wanted, resume, code in [(test, None, "test_required"), (letter, None, "letter_required"),
                                 (closed, None, "invalid_vacancy"),
                                 ("999999999", None, "vacancy_not_found"),
                                 (vacancy(hh), "0123abcd", "resume_not_available")]:
        failed = failure(applicant.apply(wanted, resume))
        assert failed.code == code, failed
        assert details(failed)["sent"] is False and details(failed)["errors"]


@pytest.mark.parametrize("status", [400, 403, 429])
def test_the_days_limit_is_named_whatever_its_status(hh, applicant, status):
    hh.control("settings", {"negotiation_limit": 1, "limit_status": status})
    applicant.apply(vacancy(hh)).result()
    assert failure(applicant.apply(vacancy(hh))).code == "limit_exceeded"
    hh.control("reset_stats", {})
    assert json.loads(applicant.call("resumes.list").result()["items"])  # nobody else is slowed


def test_a_captcha_brings_its_address(hh, applicant):
    hh.fault("captcha", path="/negotiations")
    failed = failure(applicant.apply(vacancy(hh)))
    assert failed.code == "hh_captcha" and details(failed)["captcha_url"].startswith("http")
    assert len(posts(hh, "/negotiations")) == 1


@pytest.mark.parametrize("fault, sent", [
    ("reset_after", True), ("reset", True), ("503", True), ("429", False), ("ddos_guard", False)])
def test_a_failed_application_is_not_repeated(hh, applicant, fault, sent):
    hh.fault(fault, path="/negotiations", method="POST")
    failed = failure(applicant.apply(vacancy(hh)))
    assert failed.code == "unavailable" and details(failed)["sent"] is sent
    assert len(posts(hh, "/negotiations")) == 1


def test_a_kept_connection_that_hh_closed_does_not_apply_twice(hh, applicant):
    """libcurl repeats a request by itself when a connection that it kept turns out to be closed."""
    applicant.call("resumes.list").result()
    hh.fault("reset_after", path="/negotiations", method="POST")
    failed = failure(applicant.apply(vacancy(hh)))
    assert details(failed)["sent"] is True
    assert len(posts(hh, "/negotiations")) == 1 and len(applicant.applications()) == 1


def test_an_application_that_never_left_says_so(hh):
    with HhClient("http://127.0.0.1:1") as client:
        client.start()
        body = {"user_id": str(uuid.uuid4()), "access_token": "USERX", "vacancy_id": "1",
                "resume_id": "a"}
        failed = failure(client.call_async("hh.apply", body, ttl_ms=3000))
    assert failed.code in ("unavailable", "timeout") and details(failed)["sent"] is False


def test_users_take_turns(hh):
    with HhClient(hh, HH_MAX_RPS=4) as client:
        client.start()
        busy, other = Person(hh, client, resumes=1), Person(hh, client, resumes=1)
        calls = [busy.call("resumes.list") for _ in range(16)]
        wait_for(lambda: client.state()["queued_interactive"] >= 8, 10, "a queue")
        other.call("resumes.list").result()
        assert client.state()["queued_interactive"] >= 3  # and did not stand behind all of them
        for call in calls:
            call.result()


def test_no_token_is_logged(hh, applicant):
    hh.fault("token_revoked", path="/negotiations")
    failure(applicant.apply(vacancy(hh)))
    log = applicant.client.log
    assert "hh.failed" in log and applicant.token not in log and "Bearer" not in log
