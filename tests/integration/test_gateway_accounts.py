"""The gateway alone: who is acting, logins at HH, resumes."""
import hashlib
import json
import time

import pytest
from support.gateway import SECRET, USER, answers, refused, settings
from support.harness import Refuse
from support.session_token import SESSION_BASE, read_token, token

OTHER = "11111111-5c1f-4c3e-8a2b-0123456789ab"
RESUMES = "/api/hh/resumes"
CALLBACK = "/auth/hh/callback"
TOKENS = {"access_token": "APPLa", "refresh_token": "APPLr", "expires_at": "2026-01-01T00:00:00.000Z"}


def asked_for(gateway, method="resumes.list", **headers):
    """What the request for a person's resumes says of who it is, or the refusal."""
    peer = gateway.peers["hh_client"]
    before = len(peer.log)
    answers(gateway, "hh_client", method, {"items": "[]"})
    answer = gateway.ask("GET", RESUMES, **headers)
    requests = peer.received()[before:]
    assert (answer[0] == 200) == bool(requests)
    return requests[0].body if requests else answer


# --- who is acting ---------------------------------------------------------------------------------

def test_a_token_of_ours_names_the_user(gateway):
    assert asked_for(gateway, Authorization=f"Bearer {token()}") == {"user_id": USER}
    assert asked_for(gateway, Authorization=f"bearer {token()}", X_Session_Id=OTHER) == {"user_id": USER}


def test_an_expired_token_of_ours_is_refused(gateway):
    answer = asked_for(gateway, Authorization=f"Bearer {token(issued=int(time.time()) - 4000)}")
    refused(answer, 401, "unauthorized")


@pytest.mark.parametrize("given", [token(base="another"), token(alg="none"), token(sub="me"),
                                   token()[:-4] + "AAAA", token(issued=2_000_000_000)], ids=range(5))
def test_one_that_only_says_it_is_ours_is_refused(gateway, given):
    answer = asked_for(gateway, Authorization=f"Bearer {given}", X_Session_Id=USER)
    assert "log in again" in refused(answer, 401, "unauthorized")["message"]


@pytest.mark.parametrize("given", ["APPL0123", "a.b.c", token(alg="none").rsplit(".", 1)[0],
                                   "x" * 4096], ids=range(4))
def test_any_other_bearer_is_a_token_of_hh(gateway, given):
    answer = asked_for(gateway, Authorization=f"Bearer {given}", X_Session_Id=USER)
    assert answer == {"access_token": given}


def test_a_bearer_has_its_limit(gateway):
    refused(asked_for(gateway, Authorization="Bearer " + "x" * 4097), 401, "unauthorized")


@pytest.mark.parametrize("header", ["Authorization", "X-Session-Id", "X-Core-Secret", "X-Signature",
                                    "Idempotency-Key"])
def test_who_is_asking_is_said_once(gateway, header):
    raw = (f"GET {RESUMES} HTTP/1.1\r\nHost: x\r\nX-Core-Secret: {SECRET}\r\n"
           f"{header}: {USER}\r\n{header.lower()}: {OTHER}\r\nConnection: close\r\n\r\n")
    assert b"400 Bad Request" in gateway.raw(raw.encode())
    assert gateway.peers["hh_client"].log == []


def test_a_session_id_names_the_user_next_to_the_secret(gateway):
    assert asked_for(gateway, X_Session_Id=USER.upper()) == {"user_id": USER}
    refused(asked_for(gateway, X_Session_Id=USER, secret=None), 401, "unauthorized")
    refused(asked_for(gateway, X_Session_Id=USER, secret="wrong"), 401, "unauthorized")
    refused(asked_for(gateway, X_Session_Id="me"), 401, "unauthorized")


def test_somebody_must_be_named(gateway):
    refused(asked_for(gateway), 401, "unauthorized")
    for header in ("Basic YTpi", "Bearer", "Bearer a b"):
        refused(asked_for(gateway, Authorization=header, X_Session_Id=USER), 401, "unauthorized")


def test_a_query_names_nobody(gateway):
    answers(gateway, "hh_client", "resumes.list", {"items": "[]"})
    query = f"?user_id={OTHER}&userId={OTHER}&access_token=x&accessToken=y"
    refused(gateway.ask("GET", RESUMES + query), 401, "unauthorized")
    assert gateway.ask("GET", RESUMES + query, X_Session_Id=USER)[0] == 200
    assert gateway.peers["hh_client"].log[0].body == {"user_id": USER}


@settings(SECRET_KEY_BASE="")
def test_without_a_key_no_token_is_ours(gateway):
    refused(asked_for(gateway, Authorization=f"Bearer {token()}"), 401, "unauthorized")
    assert asked_for(gateway, Authorization="Bearer APPLx") == {"access_token": "APPLx"}


# --- logins ----------------------------------------------------------------------------------------

def test_redirect(gateway):
    page = {"url": "https://hh.ru/oauth/authorize?state=s", "state": "s"}
    answers(gateway, "hh_client", "accounts.redirect", page)
    assert gateway.ask("GET", "/auth/hh/redirect")[::2] == (200, page)
    assert gateway.ask("GET", "/auth/hh/redirect", X_Session_Id=USER)[::2] == (200, page)
    stranger = gateway.ask("GET", f"/auth/hh/redirect?user_id={USER}", X_Session_Id=USER, secret=None)
    assert stranger[::2] == (200, page)
    assert [r.body for r in gateway.peers["hh_client"].log] == [{}, {"user_id": USER}, {}]


def test_who_comes_with_what_has_expired_may_log_in_again(gateway):
    answers(gateway, "hh_client", "accounts.redirect", {"url": "https://hh.ru/x", "state": "s"})
    old = f"Bearer {token(issued=int(time.time()) - 4000)}"
    for headers in ({"Authorization": old}, {"Authorization": old, "X_Session_Id": USER},
                    {"Authorization": "Basic x"}, {"X_Session_Id": "none"},
                    {"Authorization": f"Bearer {token()}", "secret": None}):
        assert gateway.ask("GET", "/auth/hh/redirect", **headers)[0] == 200
    assert [r.body for r in gateway.peers["hh_client"].log] == [{}, {"user_id": USER}, {}, {},
                                                                {"user_id": USER}]


def test_a_callback_with_a_session_gives_its_token(gateway):
    now = int(time.time())
    answers(gateway, "hh_client", "accounts.connect",
            {"user_id": USER, "connected_ms": now * 1000 + 7, "tokens": None})
    first = gateway.ask("GET", f"{CALLBACK}?code=C&session_id={USER}")
    assert first[0] == 200 and set(first[2]) == {"success", "jwt", "session_id"}
    assert (first[2]["success"], first[2]["session_id"]) == (True, USER)
    head, claims = read_token(first[2]["jwt"])
    assert head["alg"] == "HS256"
    assert claims == {"iss": "ugtj", "sub": USER, "iat": now, "exp": now + 30 * 86400}
    assert gateway.ask("GET", f"{CALLBACK}?code=C&session_id={USER}")[2] == first[2], "the same again"
    assert gateway.peers["hh_client"].log[0].body == {"code": "C", "session_id": USER, "trusted": True}
    assert asked_for(gateway, Authorization=f"Bearer {first[2]['jwt']}") == {"user_id": USER}


def test_a_callback_without_a_session_gives_the_tokens(gateway):
    answers(gateway, "hh_client", "accounts.connect", {"connected_ms": 1, "tokens": TOKENS})
    assert gateway.ask("GET", f"{CALLBACK}?code=C")[::2] == (
        200, {"success": True, "connected_ms": 1, "tokens": TOKENS})


def test_a_browser_that_knows_no_secret_is_not_trusted(gateway):
    answers(gateway, "hh_client", "accounts.connect", {"connected_ms": 1, "tokens": TOKENS})
    for secret in (None, "wrong"):
        assert gateway.ask("GET", f"{CALLBACK}?code=C&state=S&trusted=true", secret=secret)[0] == 200
    assert [r.body for r in gateway.peers["hh_client"].log] == [{"code": "C", "state": "S"}] * 2


@pytest.mark.parametrize("error, status", [("unauthorized", 401), ("forbidden", 403),
                                           ("hh_closed", 403), ("hh_refused", 401), ("hh_auth", 401),
                                           ("hh_captcha", 502), ("unavailable", 503)])
def test_a_callback_that_fails(gateway, error, status):
    answers(gateway, "hh_client", "accounts.connect", Refuse(error, "no"))
    refused(gateway.ask("GET", f"{CALLBACK}?code=C"), status, error)


def test_a_callback_without_a_code(gateway):
    refused(gateway.ask("GET", f"{CALLBACK}?session_id={USER}"), 400, "bad_request", "code")


@settings(SECRET_KEY_BASE="")
def test_without_a_key_a_code_is_not_spent(gateway):
    refused(gateway.ask("GET", f"{CALLBACK}?code=C&session_id={USER}"), 500, "internal")
    assert not gateway.peers["hh_client"].log


def test_refresh(gateway):
    answers(gateway, "hh_client", "accounts.refresh", {"tokens": TOKENS})
    assert gateway.ask("POST", "/auth/hh/refresh", {"refreshToken": "APPLr"})[::2] == (
        200, {"success": True, "tokens": TOKENS})
    assert gateway.peers["hh_client"].log[0].body == {"refresh_token": "APPLr"}


@pytest.mark.parametrize("error", ["hh_login_required", "hh_auth", "hh_refused", "bad_request",
                                   "forbidden"])
def test_a_refresh_that_hh_refuses_is_400(gateway, error):
    answers(gateway, "hh_client", "accounts.refresh", Refuse(error, "token not found"))
    refused(gateway.ask("POST", "/auth/hh/refresh", {"refresh_token": "x"}), 400, error)


def test_a_refresh_while_hh_is_down_is_503(gateway):
    answers(gateway, "hh_client", "accounts.refresh", Refuse("unavailable", "down", retry_after_ms=4500))
    answer = gateway.ask("POST", "/auth/hh/refresh", {"refresh_token": "x"})
    refused(answer, 503, "unavailable")
    assert answer[1]["Retry-After"] == "5"


def test_status(gateway):
    answers(gateway, "hh_client", "accounts.status", {"connected": True})
    assert gateway.ask("GET", "/api/hh/status", X_Session_Id=USER)[::2] == (
        200, {"connected": True, "expires_at": None})
    answers(gateway, "hh_client", "accounts.status", Refuse("hh_login_required", "the pair was lost"))
    body = refused(gateway.ask("GET", "/api/hh/status", X_Session_Id=USER), 401, "hh_login_required")
    assert body["details"] == {"description": "the pair was lost"}
    assert body["message_ru"] == "войдите в HH заново"


# --- resumes ---------------------------------------------------------------------------------------

def test_resumes(gateway):
    hh_gave = [{"id": "r1", "title": "C", "nested": {"x": [1, None]}}]
    answers(gateway, "hh_client", "resumes.list", {"items": json.dumps(hh_gave)})
    assert gateway.ask("GET", RESUMES, X_Session_Id=USER)[::2] == (
        200, {"success": True, "items": hh_gave})


def test_a_resume(gateway):
    hh_gave = {"id": "r1", "title": "Разработчик"}
    answers(gateway, "hh_client", "resumes.get", {"resume": json.dumps(hh_gave)})
    assert gateway.ask("GET", f"{RESUMES}/r1", X_Session_Id=USER)[::2] == (
        200, {"success": True, "resume": hh_gave})
    assert gateway.peers["hh_client"].log[0].body == {"user_id": USER, "id": "r1"}
    answers(gateway, "hh_client", "resumes.get", Refuse("not_found", "no such resume"))
    refused(gateway.ask("GET", f"{RESUMES}/r2", X_Session_Id=USER), 404, "not_found")


@pytest.mark.parametrize("error, status", [("hh_login_required", 401), ("hh_closed", 403),
                                           ("unavailable", 503), ("hh_captcha", 502)])
def test_an_outage_is_no_401(gateway, error, status):
    answers(gateway, "hh_client", "resumes.list", Refuse(error, "no"))
    refused(gateway.ask("GET", RESUMES, X_Session_Id=USER), status, error)


def test_no_token_reaches_the_log(gateway):
    answers(gateway, "hh_client", "accounts.connect", {"connected_ms": 1, "tokens": TOKENS})
    mine = token()
    asked_for(gateway, Authorization=f"Bearer {mine}")
    asked_for(gateway, Authorization="Bearer APPLraw")
    gateway.ask("GET", f"{CALLBACK}?code=THECODE&state=THESTATE")
    gateway.terminate()
    gateway.wait_exit()
    for secret in (mine, "APPL", "THECODE", "THESTATE", SESSION_BASE, SECRET,
                   hashlib.sha256(SECRET.encode()).hexdigest()):
        assert secret not in gateway.log
