"""OAuth: the authorize redirect, the three grants and their rules, and what a bad token meets."""
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import APP_TOKEN
from oauth import redirect_allowed

CLIENT = {"client_id": "demo", "client_secret": "demo-secret"}
REDIRECT = "http://localhost:4000/auth/hh/callback"


def authorize(sim, **more):
    """The query that the browser carries back."""
    answer = sim.get("/oauth/authorize", {"response_type": "code", "client_id": "demo", "redirect_uri": REDIRECT, **more},
                     token=None)
    assert answer.status == 302, answer.body
    address = urlsplit(answer.headers["Location"])
    assert address._replace(query="").geturl() == REDIRECT
    return {name: values[0] for name, values in parse_qs(address.query).items()}


def exchange(sim, code, **more):
    return sim.form("/token", {"grant_type": "authorization_code", **CLIENT, "code": code, "redirect_uri": REDIRECT, **more})


def refresh(sim, refresh_token):
    return sim.form("/token", {"grant_type": "refresh_token", "refresh_token": refresh_token})


def login(sim, **more):
    return exchange(sim, authorize(sim, **more)["code"]).json()


def oauth_error(answer):
    content = answer.json()
    assert set(content) == {"error", "error_description"}
    return answer.status, content["error"], content["error_description"]


@pytest.fixture
def sim(start):
    return start("--max-rps", "0")


def test_a_code_becomes_a_pair_that_names_its_user(sim):
    back = authorize(sim, state="s t&1", sim_user="71000003")
    assert back["state"] == "s t&1"
    pair = exchange(sim, back["code"]).json()
    assert pair["token_type"] == "bearer" and pair["expires_in"] == 1_209_600
    me = sim.get("/me", token=pair["access_token"]).json()
    assert (me["auth_type"], me["is_applicant"], me["id"]) == ("applicant", True, "71000003")


def test_a_refusal_comes_back_with_the_state(sim):
    assert authorize(sim, state="x", sim_answer="refuse") == {"error": "access_denied", "state": "x"}


def test_force_login_shows_a_page_with_the_choice(sim):
    answer = sim.get("/oauth/authorize", {"response_type": "code", "client_id": "demo", "redirect_uri": REDIRECT,
                                          "force_login": "true"}, token=None)
    assert answer.status == 200 and b"sim_user=71000002" in answer.body and b"sim_answer=refuse" in answer.body


@pytest.mark.parametrize("query", [{"client_id": "other"}, {"response_type": "token"}, {"redirect_uri": "javascript:1"},
                                   {"redirect_uri": "http://a\r\nX: y/"}, {"redirect_uri": "http://[x"}])
def test_authorize_does_not_redirect_what_it_cannot_trust(sim, query):
    answer = sim.get("/oauth/authorize", {"response_type": "code", "client_id": "demo", "redirect_uri": REDIRECT, **query},
                     token=None)
    assert answer.status == 400 and "Location" not in answer.headers


@pytest.mark.parametrize("wanted, allowed", [
    ("http://h.test/oauth", True), ("http://www.h.test/oauth", True), ("http://h.test/oauth/sub/path", True),
    ("http://h.test/oauth?lang=RU", True), ("http://www.h.test/oauth/sub?x=1", True), ("https://h.test/oauth", False),
    ("http://wwwh.test/oauth", False), ("http://h.test/", False), ("http://h.test/oauths", False),
    ("http://h.test:8080/oauth", False)])
def test_redirect_uri_may_differ_only_as_hh_allows(wanted, allowed):
    assert redirect_allowed("http://h.test/oauth", wanted) is allowed


def test_a_registered_redirect_uri_is_enforced_and_is_the_default(start):
    sim = start("--redirect-uri", REDIRECT)
    query = {"response_type": "code", "client_id": "demo"}
    assert sim.get("/oauth/authorize", {**query, "redirect_uri": "http://evil.test/"}, token=None).status == 400
    answer = sim.get("/oauth/authorize", query, token=None)
    assert answer.headers["Location"].startswith(REDIRECT + "?code=")
    code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
    assert sim.form("/oauth/token", {"grant_type": "authorization_code", **CLIENT, "code": code}).status == 200


def test_a_code_works_once_and_not_for_long(sim):
    code = authorize(sim)["code"]
    assert exchange(sim, code).status == 200
    assert oauth_error(exchange(sim, code)) == (400, "invalid_grant", "code has already been used")
    late = authorize(sim)["code"]
    sim.control("clock", {"advance_s": 301})
    assert oauth_error(exchange(sim, late)) == (400, "invalid_grant", "code expired")
    assert oauth_error(exchange(sim, "nonsense")) == (400, "invalid_request", "code not found")


def test_a_code_needs_the_redirect_uri_it_was_asked_with(sim):
    assert oauth_error(exchange(sim, authorize(sim)["code"], redirect_uri="http://localhost:4000/other")) == (
        400, "invalid_request", "bad redirect url")


def test_a_wrong_client_is_refused(sim):
    code = authorize(sim)["code"]
    assert oauth_error(exchange(sim, code, client_id="who")) == (
        400, "invalid_client", "client_id or client_secret not found")
    assert oauth_error(exchange(sim, code, client_secret="bad")) == (400, "invalid_request", "account not found")
    assert exchange(sim, code).status == 200


def test_only_a_form_is_read(sim):
    answer = sim.send("POST", "/token", token=None, headers={"Content-Type": "application/json"},
                      body=b'{"grant_type":"client_credentials"}')
    assert oauth_error(answer) == (400, "unsupported_grant_type", "unsupported grant_type")


def test_a_pair_is_refreshed_only_after_it_expired_and_only_once(sim):
    pair = login(sim)
    assert oauth_error(refresh(sim, pair["refresh_token"])) == (400, "invalid_grant", "token not expired")
    sim.control("clock", {"advance_s": pair["expires_in"]})
    expired = sim.get("/me", token=pair["access_token"])
    assert (expired.status, expired.errors()) == (403, [("oauth", "token_expired")])
    assert expired.json()["oauth_error"] == "token-expired"
    fresh = refresh(sim, pair["refresh_token"]).json()
    assert sim.get("/me", token=fresh["access_token"]).status == 200
    assert fresh["refresh_token"] != pair["refresh_token"]
    assert oauth_error(refresh(sim, pair["refresh_token"])) == (
        400, "invalid_grant", "token has already been refreshed")


def test_of_two_refreshes_at_once_one_loses(sim):
    pair = login(sim)
    sim.control("tokens", {"action": "expire", "access_token": pair["access_token"]})
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: refresh(sim, pair["refresh_token"]).status, range(8)))
    assert sorted(statuses) == [200] + [400] * 7


def test_unknown_and_empty_refresh_tokens_are_named(sim):
    assert oauth_error(refresh(sim, "nonsense")) == (400, "invalid_request", "token not found")
    assert oauth_error(refresh(sim, "")) == (400, "invalid_request", "token is empty")


@pytest.mark.parametrize("action, said", [("revoke", "token was revoked"), ("deactivate", "token deactivated")])
def test_a_revoked_pair_is_dead_both_ways(sim, action, said):
    pair = sim.control("tokens", {"user_id": "500"})
    sim.control("tokens", {"action": action, "user_id": "500"})
    answer = sim.get("/me", token=pair["access_token"])
    assert (answer.status, answer.errors()) == (403, [("oauth", "token_revoked")])
    assert oauth_error(refresh(sim, pair["refresh_token"])) == (400, "invalid_grant", said)


def test_token_lifetime_can_be_short(start):
    assert login(start("--token-ttl", "3"))["expires_in"] == 3


def test_the_application_gets_a_token_without_expiry_and_not_again_at_once(sim):
    ask = {"grant_type": "client_credentials", **CLIENT}
    first = sim.form("/token", ask).json()
    assert set(first) == {"access_token", "token_type"}
    assert oauth_error(sim.form("/token", ask)) == (403, "forbidden", "app token refresh too early")
    assert sim.get("/vacancies", token=first["access_token"]).status == 200
    sim.control("clock", {"advance_s": 301})
    second = sim.form("/oauth/token", ask).json()
    assert sim.get("/vacancies", token=first["access_token"]).errors() == [("oauth", "token_revoked")]
    assert sim.get("/me", token=second["access_token"]).json()["auth_type"] == "application"


def test_invalidating_kills_the_whole_pair(sim):
    pair = login(sim)
    assert sim.send("DELETE", "/oauth/token", token=pair["access_token"]).status == 204
    assert sim.get("/me", token=pair["access_token"]).errors() == [("oauth", "token_revoked")]
    assert oauth_error(refresh(sim, pair["refresh_token"]))[2] == "token was revoked"
    assert sim.send("DELETE", "/oauth/token", token=APP_TOKEN).status == 403
    assert sim.send("DELETE", "/oauth/token", token=None).status == 403


@pytest.mark.parametrize("header", ["Bearer unknown", "Basic abc", "Bearer", "nonsense"])
def test_a_token_nobody_issued_is_a_403_everywhere(sim, header):
    for path in ("/me", "/vacancies", "/areas"):
        answer = sim.get(path, token=None, headers={"Authorization": header})
        assert (answer.status, answer.errors()) == (403, [("oauth", "bad_authorization")])


def test_me_without_token_is_forbidden(sim):
    answer = sim.get("/me", token=None)
    assert (answer.status, answer.errors()) == (403, [("forbidden", None)])


def test_the_log_names_the_fields_of_a_token_request_without_their_values(sim):
    refresh(sim, "SECRETVALUE")
    answer = sim.get("/_sim/requests", {"last": 1})
    assert answer.json()["requests"][0]["form_fields"] == ["grant_type", "refresh_token"]
    assert b"SECRETVALUE" not in answer.body
