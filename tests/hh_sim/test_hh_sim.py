"""The simulator as a program: start and stop, the envelope, pacing, captcha, faults, and the control API."""
import http.client
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from conftest import APP_TOKEN, PROGRAM, USER_TOKEN, Sim


def wait_until(holds, seconds=5):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# Start and stop

def test_says_where_it_listens_when_it_accepts_connections(start):
    sim = start()
    assert sim.line == f"hh_sim listening on http://127.0.0.1:{sim.port}\n"
    assert sim.get("/areas").status == 200


def test_says_it_on_the_ready_descriptor_too():
    reader, writer = os.pipe()
    process = subprocess.Popen([PROGRAM, "--port", "0", "--vacancies", "1", "--ready-fd", str(writer)],
                               pass_fds=[writer], stdout=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as ready:
        assert ready.read().startswith("hh_sim listening on http://127.0.0.1:")
    process.terminate()
    assert process.wait(5) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_once_with_code_0_even_with_a_request_under_way(start, number):
    sim = start("--fault", "hang")
    waiting = socket.create_connection(("127.0.0.1", sim.port))
    waiting.sendall(b"GET /areas HTTP/1.1\r\nHost: sim\r\nUser-Agent: a/1 (b@c.d)\r\n\r\n")
    asked = time.monotonic()
    sim.process.send_signal(number)
    assert sim.process.wait(5) == 0
    assert time.monotonic() - asked < 1
    waiting.close()


def test_dies_with_its_parent_when_told_to():
    code = ("import subprocess, sys, time; "
            f"p = subprocess.Popen([{str(PROGRAM)!r}, '--port', '0', '--vacancies', '10', '--die-with-parent'], "
            "stdout=subprocess.PIPE, text=True); print(p.pid, p.stdout.readline(), flush=True); time.sleep(60)")
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline().split()[0])
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not is_running(pid))


def test_says_why_it_cannot_start(start):
    port = start().port
    second = subprocess.run([PROGRAM, "--port", str(port), "--vacancies", "1"], capture_output=True, text=True, timeout=10)
    assert second.returncode == 1
    assert second.stderr.startswith("hh_sim: ") and "in use" in second.stderr


# The envelope

def test_refuses_a_request_without_user_agent(sim):
    answer = sim.get("/vacancies", headers={"User-Agent": ""})
    assert (answer.status, answer.errors()) == (400, [("bad_user_agent", "unset")])


def test_hh_user_agent_goes_before_user_agent(sim):
    mine, sample = "Mine/1.0 (me@mail.test)", "MyApp/1.0 (my-app-feedback@example.com)"
    assert sim.get("/areas", headers={"User-Agent": "", "HH-User-Agent": mine}).status == 200
    assert sim.get("/areas", headers={"User-Agent": mine, "HH-User-Agent": sample}).errors() == [
        ("bad_user_agent", "blacklisted")]


def test_every_answer_has_a_request_id_and_errors_repeat_it(sim):
    answer = sim.get("/vacancies/1")
    assert (answer.status, answer.errors()) == (404, [("not_found", None)])
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert sim.get("/vacancies").headers["X-Request-ID"] != sim.get("/vacancies").headers["X-Request-ID"]


def test_unknown_paths_are_404_and_wrong_verbs_405(sim):
    assert sim.get("/nothing/here").errors() == [("not_found", None)]
    answer = sim.send("POST", "/vacancies")
    assert (answer.status, answer.errors()) == (405, [("method_not_allowed", None)])


def test_long_answers_are_gzipped_for_those_who_take_it(sim):
    plain = sim.get("/vacancies", {"per_page": 20})
    packed = sim.get("/vacancies", {"per_page": 20}, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert "Content-Encoding" not in sim.get("/areas/1", headers={"Accept-Encoding": "gzip"}).headers


def test_reference_data_is_not_sent_twice_to_those_who_have_it(sim):
    for path in ("/dictionaries", "/areas", "/areas/113", "/professional_roles"):
        first = sim.get(path)
        assert first.status == 200 and first.json()
        again = sim.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")
    assert sim.get("/areas/999999").status == 404


# Callers without a token

def test_a_caller_without_token_meets_the_captcha_at_the_second_search(start):
    sim = start("--max-rps", "0")
    assert sim.get("/vacancies", token=None).status == 200
    refused = sim.get("/vacancies", token=None)
    assert (refused.status, refused.errors()) == (403, [("captcha_required", "captcha_required")])
    assert sim.get("/vacancies").status == 200


def test_solving_the_captcha_lets_the_same_request_through(start):
    sim = start("--max-rps", "0")
    sim.get("/vacancies", token=None)
    address = sim.get("/vacancies", token=None).json()["errors"][0]["captcha_url"]
    path = address.split(str(sim.port))[1]
    assert sim.get(path, token=None).status == 400
    solved = sim.get(path + "&backurl=http://client.test/back", token=None)
    assert (solved.status, solved.headers["Location"]) == (302, "http://client.test/back")
    assert sim.get("/vacancies", token=None).status == 200


def test_can_be_told_to_forbid_or_to_welcome_callers_without_token(start):
    assert start("--anonymous", "forbidden").get("/vacancies", token=None).errors() == [("forbidden", None)]
    open_sim = start("--anonymous", "open")
    assert [open_sim.get("/vacancies", token=None).status for _ in range(3)] == [200] * 3


# Pacing

def test_answers_429_above_the_rate_and_recovers_a_second_later(start):
    sim = start("--max-rps", "5")
    statuses = [sim.get("/areas/1").status for _ in range(8)]
    assert statuses[:5] == [200] * 5 and statuses[5:] == [429] * 3
    assert sim.get("/areas/1").errors() == [("too_many_requests", None)]
    assert sim.control("stats", method="GET")["too_many_requests"] == 4
    wait_until(lambda: sim.get("/areas/1").status == 200, 3)


# Faults

def test_latency_delays_the_right_answer(sim):
    sim.fault("latency", ms=150, path="/areas")
    asked = time.monotonic()
    assert sim.get("/areas/1").status == 200
    assert time.monotonic() - asked >= 0.15


@pytest.mark.parametrize("kind, status, error", [
    ("429", 429, ("too_many_requests", None)), ("500", 500, ("internal_error", None)),
    ("502", 502, ("bad_gateway", None)), ("503", 503, ("service_unavailable", None)),
    ("captcha", 403, ("captcha_required", "captcha_required")), ("token_expired", 403, ("oauth", "token_expired")),
    ("token_revoked", 403, ("oauth", "token_revoked")), ("bad_authorization", 403, ("oauth", "bad_authorization"))])
def test_fault_answers_with_hhs_error(sim, kind, status, error):
    sim.fault(kind)
    answer = sim.get("/vacancies")
    assert (answer.status, answer.errors()) == (status, [error])


def test_429_may_say_when_to_come_back_or_nothing_at_all(sim):
    sim.fault(429, retry_after=7, body="empty", count=1)
    answer = sim.get("/vacancies")
    assert (answer.status, answer.headers["Retry-After"], answer.body) == (429, "7", b"")
    sim.fault("429", count=1)
    assert "Retry-After" not in sim.get("/vacancies").headers


@pytest.mark.parametrize("kind, rule, status", [("502", {"body": "html"}, 502), ("ddos_guard", {}, 403)])
def test_some_errors_are_not_json(sim, kind, rule, status):
    sim.fault(kind, **rule)
    answer = sim.get("/vacancies")
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("text/html") and b"<html" in answer.body


def test_malformed_is_a_200_that_no_parser_takes(sim):
    sim.fault("malformed")
    answer = sim.get("/vacancies")
    assert answer.status == 200
    with pytest.raises(ValueError):
        answer.json()


def test_empty_is_a_200_without_body(sim):
    sim.fault("empty")
    answer = sim.get("/vacancies")
    assert (answer.status, answer.body) == (200, b"")


def test_truncated_announces_more_than_it_sends(sim):
    sim.fault("truncated")
    with pytest.raises(http.client.IncompleteRead):
        sim.get("/vacancies")


def test_reset_ends_the_connection_without_an_answer(sim):
    sim.fault("reset")
    with pytest.raises(ConnectionResetError):
        sim.get("/vacancies")


def test_hang_never_answers(sim):
    sim.fault("hang")
    with pytest.raises(TimeoutError):
        sim.get("/vacancies", timeout=0.4)


def test_dribble_sends_the_right_answer_slowly(sim):
    whole = sim.get("/areas/1").body
    sim.fault("dribble", chunk_bytes=10, ms=20)
    asked = time.monotonic()
    assert sim.get("/areas/1").body == whole
    assert time.monotonic() - asked >= 0.02 * (len(whole) // 10)


def test_chunked_sends_the_right_answer_without_its_length(sim):
    whole = sim.get("/areas").body
    sim.fault("chunked", chunk_bytes=500)
    answer = sim.get("/areas")
    assert answer.body == whole and "Content-Length" not in answer.headers


def test_huge_body_is_as_large_as_asked(sim):
    sim.fault("huge", mb=3)
    assert len(sim.get("/vacancies").body) > 3 << 20


def test_a_rule_strikes_only_what_it_names(sim):
    sim.fault("500", path="/vacancies", exact=True, method="GET", query="page=1")
    assert sim.get("/vacancies", {"page": 0}).status == 200
    assert sim.get("/vacancies", {"page": 1}).status == 500
    assert sim.get("/vacancies/1", {"page": 1}).status == 404


def test_a_rule_skips_and_ends_as_counted(sim):
    sim.fault("503", skip=1, count=2)
    assert [sim.get("/areas/1").status for _ in range(5)] == [200, 503, 503, 200, 200]
    assert sim.control("faults", method="GET")["faults"][0]["fired"] == 2


def test_probability_is_drawn_from_the_seed(start):
    def statuses(seed):
        sim = start("--seed", seed, "--max-rps", "0", "--fault", '{"kind": "500", "probability": 0.5}')
        return [sim.get("/areas/1").status for _ in range(40)]
    first = statuses("5")
    assert first == statuses("5") != statuses("6")
    assert {200, 500} == set(first)


@pytest.mark.parametrize("rule", [{"kind": "meteor"}, {}, {"kind": "500", "wat": 1}, {"kind": "latency", "ms": "long"}])
def test_a_rule_that_makes_no_sense_is_refused(sim, rule):
    with pytest.raises(AssertionError, match="error"):
        sim.control("faults", rule)


# The control API

def test_stats_count_by_path_by_status_and_distinct_searches(sim):
    for text in ("python", "python", "java"):
        sim.get("/vacancies", {"text": text, "page": 0})
    sim.get("/vacancies", {"text": "java", "page": 1})
    sim.get("/vacancies/1")
    stats = sim.control("stats", method="GET")
    assert stats["requests"] == 5
    assert stats["by_path"] == {"GET /vacancies": 4, "GET /vacancies/{vacancy_id}": 1}
    assert stats["by_status"] == {"200": 4, "404": 1}
    assert (stats["searches"], stats["distinct_searches"]) == (4, 2)
    assert 1 <= stats["peak_per_second"] <= 5


def test_the_control_api_asks_for_no_token_no_agent_and_no_patience(start):
    sim = start("--max-rps", "1", "--fault", "500")
    bad = {"User-Agent": "", "Authorization": "Bearer unknown"}
    assert [sim.get("/_sim/stats", headers=bad).status for _ in range(5)] == [200] * 5


def test_the_request_log_shows_everything_but_the_token(sim):
    sim.get("/vacancies", {"area": ["1", "2"]})
    answer = sim.get("/_sim/requests", {"last": 1})
    entry = answer.json()["requests"][0]
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/vacancies", 200)
    assert entry["query"] == [["area", "1"], ["area", "2"]]
    assert (entry["token"], entry["user_id"]) == ("user", "71000001")
    assert USER_TOKEN not in answer.body.decode()


def test_a_published_vacancy_is_found_at_once(start):
    sim = start()
    ids = sim.control("vacancies", {"count": 2, "name": "Смотритель маяка", "area": "88", "salary": None})["ids"]
    page = sim.page(text="смотрителя маяка", order_by="publication_time")
    assert sorted(item["id"] for item in page["items"]) == sorted(ids)
    assert all(item["area"]["id"] == "88" and item["salary"] is None for item in page["items"])


def test_a_published_vacancy_carries_the_fields_asked_for(start):
    sim = start()
    decided = {"published_at": "2026-01-02T03:04:05+0300", "experience": "moreThan6", "schedule": "remote",
               "employer": {"name": "Тайный орден"}, "description": "<p>Ловить &laquo;зюйд-вест&raquo;</p>",
               "response_letter_required": True, "salary": {"from": 5, "currency": "USD"}}
    vacancy_id = sim.control("vacancies", decided)["ids"][0]
    assert sim.page(text="зюйд")["items"][0]["id"] == vacancy_id
    vacancy = sim.vacancy(vacancy_id)
    assert vacancy["published_at"] == decided["published_at"]
    assert vacancy["salary"] == {"from": 5, "to": None, "currency": "USD", "gross": None}
    assert vacancy["description"] == decided["description"] and vacancy["response_letter_required"] is True
    assert "id" not in vacancy["employer"]


@pytest.mark.parametrize("body", [{"count": -1}, {"nam": "x"}, {"name": 5}, {"area": "zz"}, {"schedule": "never"},
                                  {"published_at": "yesterday"}, {"salary": {"currency": "RUB"}}])
def test_a_vacancy_that_makes_no_sense_is_not_published(sim, body):
    with pytest.raises(AssertionError, match="error"):
        sim.control("vacancies", body)


def test_an_archived_vacancy_leaves_the_search_and_keeps_its_page(start):
    sim = start()
    vacancy_id = sim.page()["items"][0]["id"]
    sim.control("archive", {"ids": [vacancy_id]})
    assert vacancy_id not in sim.get("/_sim/search_ids").json()["ids"]
    assert sim.vacancy(vacancy_id)["archived"] is True


def test_vacancies_appear_by_themselves(start):
    sim = start("--appear-every", "0.05", "--max-rps", "0")
    before = sim.page()["found"]
    wait_until(lambda: sim.page()["found"] >= before + 2)
    sim.control("appear", {"every": 0.02, "name": "Новинка"})
    wait_until(lambda: sim.page(text="NAME:новинка")["found"] >= 2)
    sim.control("appear", {"every": 0})
    rest = sim.page()["found"]
    time.sleep(0.1)
    assert sim.page()["found"] == rest


def test_two_simulators_with_one_seed_hold_the_same_vacancies(start):
    def names(seed):
        ids = [128_000_001 + place for place in range(200)]
        sim = start("--seed", seed, "--max-rps", "0")
        return [(sim.vacancy(number)["name"], sim.vacancy(number)["description"]) for number in ids]
    assert names("3") == names("3")


def test_an_app_token_searches_without_captcha(sim):
    assert [sim.get("/vacancies", token=APP_TOKEN).status for _ in range(3)] == [200] * 3


def test_starts_quickly_with_the_whole_stock():
    begun = time.monotonic()
    sim = Sim()
    took = time.monotonic() - begun
    assert sim.stop() == 0
    assert took < 3  # half of that on an idle machine
