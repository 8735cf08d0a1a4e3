"""Users' accounts at HH: logins, refreshes and keys; hh_client, a real store, PostgreSQL, and HH's simulator."""
import os
import re
import signal
import sys
import uuid
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.accounts import KEY, USER_TOKEN, Accounts  # noqa: E402
from support.hh import Hh, failure  # noqa: E402
from support.system import wait_for  # noqa: E402


@pytest.fixture(scope="module")
def the_hh():
    one = Hh()
    yield one
    one.stop()


@pytest.fixture
def hh(the_hh):
    the_hh.well()
    the_hh.control("reset_stats", {})
    return the_hh


@pytest.fixture
def node(hh, database):
    with Accounts(hh, database.url) as one:
        yield one


def new_id():
    return str(uuid.uuid4())


def agree(page, hh_user="1"):
    """The person logs in: the code and the state that HH sends the browser back with."""
    query = parse_qs(urlsplit(browse(f"{page['url']}&sim_user={hh_user}")).query)
    return query["code"][0], query["state"][0]


def browse(url):
    """Where the page redirects to."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    location = answer.getheader("Location")
    connection.close()
    return location


def code_for(node, session=None):
    page = node.call("accounts.redirect", **({"user_id": session} if session else {}))
    assert page["state"] in page["url"]
    return agree(page)


def connect(node, session):
    code, state = code_for(node, session)
    return node.call("accounts.connect", code=code, state=state, session_id=session)


def expire(hh, database):
    """Both clocks pass the tokens' end."""
    hh.control("tokens", {"action": "expire"})
    database.rows("update hh_tokens set expires_at = (now() - interval '1 s') at time zone 'UTC'")


def exchanges(hh):
    return hh.requests("/token")


def events(database, user):
    return [row[0] for row in database.rows(
        "select type from outbox where topic = %s order by seq", f"user:{user}")]


def in_clear(database):
    """Tokens that stand anywhere in the database."""
    found = []
    for (table,) in database.rows(
            "select format('%I', table_name) from information_schema.tables"
            " where table_schema = 'public' and table_type = 'BASE TABLE'"):
        for (row,) in database.rows(f"select t::text from {table} t"):
            found += USER_TOKEN.findall(row)
    return found


# --- logins ----------------------------------------------------------------------------------------

def test_a_login_for_a_session_is_kept_sealed(node, hh, database):
    session = new_id()
    before = connect(node, session)
    assert before["user_id"] == session and before.get("tokens") is None
    status = node.call("accounts.status", user_id=session)
    assert status["connected"] and status["expires_at"]
    [exchange] = exchanges(hh)
    assert exchange["form_fields"] == ["client_id", "client_secret", "code", "grant_type", "redirect_uri"]
    assert in_clear(database) == [] and not USER_TOKEN.search(node.logs)
    assert database.value("select count(*) from audit where act = 'connected' and user_id = %s", session) == 1


def test_a_login_without_a_session_gives_the_tokens(node, hh, database):
    code, state = code_for(node)
    tokens = node.call("accounts.connect", code=code, state=state)["tokens"]
    assert USER_TOKEN.fullmatch(tokens["access_token"]) and USER_TOKEN.fullmatch(tokens["refresh_token"])
    assert node.call("accounts.status", access_token=tokens["access_token"])["connected"]
    assert in_clear(database) == [] and not USER_TOKEN.search(node.logs)


def test_the_same_code_again_gets_the_first_answer(node, hh):
    code, state = code_for(node)
    calls = [node.ask("accounts.connect", code=code, state=state) for _ in range(20)]
    answers = [call.result(20) for call in calls]
    assert all(answer == answers[0] for answer in answers) and answers[0]["tokens"]
    assert node.call("accounts.connect", code=code, state=state) == answers[0]
    assert len(exchanges(hh)) == 1


def test_the_same_code_on_two_nodes(hh, database):
    with Accounts(hh, database.url) as one, Accounts(hh, database.url, "two") as two:
        code, state = code_for(one)
        hh.fault("latency_after", path="/token", ms=300)
        calls = [node.ask("accounts.connect", code=code, state=state) for node in (one, two) * 5]
        answers = [call.result(20) for call in calls]
        assert all(answer == answers[0] for answer in answers)
        assert len(exchanges(hh)) == 1


@pytest.mark.parametrize("how", ["none", "wrong", "used", "expired", "anothers", "unbound"])
def test_a_login_that_is_not_this_callers_is_refused(node, hh, database, how):
    session = new_id()
    code, state = code_for(node, None if how == "unbound" else session)
    body = {"code": code, "state": state, "session_id": session}
    if how == "none":
        del body["state"]
    elif how == "wrong":
        body["state"] = "x" * 43
    elif how == "used":
        node.call("accounts.connect", **body)
        body["code"] = code_for(node, session)[0]
    elif how == "expired":
        database.rows("update oauth_states set expires_at = now()")
    elif how == "anothers":
        body["session_id"] = new_id()
    hh.control("reset_stats", {})
    assert failure(node.ask("accounts.connect", **body)).code == "forbidden"
    assert exchanges(hh) == []


def test_who_is_trusted_needs_no_state(node):
    session = new_id()
    code, _ = code_for(node)
    assert node.call("accounts.connect", code=code, session_id=session, trusted=True)["user_id"] == session


def test_the_state_itself_is_not_kept(node, database):
    state = node.call("accounts.redirect")["state"]
    [(kept,)] = database.rows("select hash from oauth_states")
    assert kept != state and re.fullmatch("[0-9a-f]{64}", kept)


def test_a_code_that_hh_refuses(node, hh):
    body = {"code": "F" * 64, "trusted": True}
    for _ in range(2):
        failed = failure(node.ask("accounts.connect", **body))
        assert failed.code == "hh_refused" and "code not found" in failed.message
    assert len(exchanges(hh)) == 1


def test_a_login_while_hh_fails_may_be_ended_later(node, hh):
    code, state = code_for(node)
    hh.fault("503", path="/token", count=3)
    assert failure(node.ask("accounts.connect", code=code, state=state)).code == "unavailable"
    assert node.call("accounts.connect", code=code, state=state)["tokens"]


# --- refreshes -------------------------------------------------------------------------------------

def test_a_callers_pair_is_refreshed_once_and_not_early(node, hh):
    code, state = code_for(node)
    tokens = node.call("accounts.connect", code=code, state=state)["tokens"]
    early = failure(node.ask("accounts.refresh", refresh_token=tokens["refresh_token"]))
    assert early.code == "hh_refused" and "not expired" in early.message
    hh.control("tokens", {"action": "expire"})
    calls = [node.ask("accounts.refresh", refresh_token=tokens["refresh_token"]) for _ in range(10)]
    answers = [call.result(20) for call in calls]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["tokens"]["access_token"] != tokens["access_token"]
    assert len(exchanges(hh)) == 3


def test_an_expired_pair_is_refreshed_and_one_that_has_not_is_not(node, hh, database):
    session = new_id()
    refused = hh.stats()["refused_refreshes"]
    connect(node, session)
    assert node.call("resumes.list", user_id=session) and len(exchanges(hh)) == 1
    expire(hh, database)
    assert "items" in node.call("resumes.list", user_id=session)
    assert len(exchanges(hh)) == 2 and hh.stats()["refused_refreshes"] == refused
    assert exchanges(hh)[1]["form_fields"] == ["grant_type", "refresh_token"]
    assert in_clear(database) == []


def test_hh_says_that_it_has_expired_before_we_know(node, hh):
    session = new_id()
    connect(node, session)
    hh.control("tokens", {"action": "expire"})
    assert "items" in node.call("resumes.list", user_id=session)
    assert len(exchanges(hh)) == 2


def test_200_callers_with_one_expired_token_are_one_refresh(node, hh, database):
    session = new_id()
    connect(node, session)
    expire(hh, database)
    calls = [node.ask("resumes.list", user_id=session) for _ in range(200)]
    assert all("items" in call.result(60) for call in calls)
    assert len(exchanges(hh)) == 2


def test_200_callers_on_two_nodes_are_one_refresh(hh, database):
    with Accounts(hh, database.url) as one, Accounts(hh, database.url, "two") as two:
        session = new_id()
        connect(one, session)
        hh.control("tokens", {"action": "expire"})
        hh.fault("latency_after", path="/token", ms=300)
        calls = [node.ask("resumes.list", user_id=session) for node in (one, two) * 100]
        assert all("items" in call.result(60) for call in calls)
        assert len(exchanges(hh)) == 2 and events(database, session) == []


def test_a_pair_is_committed_before_it_is_used(node, hh, database):
    session = new_id()
    connect(node, session)
    expire(hh, database)
    node.hold.add("store.account_put")
    call = node.ask("accounts.status", user_id=session)
    wait_for(lambda: node.held, what="the new pair is on its way to the store")
    assert not call.done()
    node.hold.clear()
    node.forward(node.held.pop())
    assert call.result(20)["connected"]


def test_a_pair_that_is_lost_with_the_process_is_told_once(node, hh, database):
    session = new_id()
    connect(node, session)
    expire(hh, database)
    node.hold.add("store.account_put")
    node.ask("accounts.status", user_id=session)
    wait_for(lambda: node.held, what="HH has answered, and the store has not the pair")
    os.kill(node.client.pid, signal.SIGKILL)
    node.hold.clear()
    node.restart()
    calls = [node.ask("accounts.status", user_id=session) for _ in range(5)]
    for call in calls:
        failed = failure(call)
        assert failed.code == "hh_login_required" and "already been refreshed" in failed.message
    assert events(database, session) == ["hh_login_required"]
    connect(node, session)
    assert node.call("accounts.status", user_id=session)["connected"]


def test_a_revoked_token_takes_the_person_and_is_told_once(node, hh, database):
    session = new_id()
    connect(node, session)
    hh.control("tokens", {"action": "revoke"})
    calls = [node.ask("resumes.list", user_id=session) for _ in range(10)]
    assert {failure(call).code for call in calls} == {"hh_login_required"}
    assert events(database, session) == ["hh_login_required"]
    assert len(exchanges(hh)) == 1, "no use in a refresh"


@pytest.mark.parametrize("kind", ["503", "reset", "429"])
def test_a_refresh_that_fails_is_tried_again(node, hh, database, kind):
    session = new_id()
    connect(node, session)
    expire(hh, database)
    hh.fault(kind, path="/token", count=1)
    assert "items" in node.call("resumes.list", user_id=session)
    assert events(database, session) == []


def test_a_401_that_names_no_reason_loses_no_account(node, hh, database):
    session = new_id()
    connect(node, session)
    hh.fault("refuse", path="/resumes", status=401, type="proxy", value="busy", count=2)
    assert "items" in node.call("resumes.list", user_id=session), "asked again"
    hh.fault("refuse", path="/resumes", status=401, type="proxy", value="busy")
    assert failure(node.ask("resumes.list", user_id=session)).code == "unavailable"
    assert database.value("select login_required or stale from hh_tokens") is False
    assert events(database, session) == []


def test_a_pair_of_which_hh_does_not_say_how_long_it_lives_is_good_for_now(node, hh, database):
    hh.fault("without", path="/token", value="expires_in")
    session = new_id()
    connect(node, session)
    for _ in range(2):
        assert database.value("select expires_at from hh_tokens") is None
        assert node.call("accounts.status", user_id=session) == {"connected": True}
        hh.control("tokens", {"action": "expire"})
        assert "items" in node.call("resumes.list", user_id=session), "refreshed, as HH said that it must"
    code, state = code_for(node)
    tokens = node.call("accounts.connect", code=code, state=state)["tokens"]
    assert "access_token" in tokens and "expires_at" not in tokens


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_a_token_that_is_too_long_is_no_token(node, hh, database, which):
    hh.fault("lengthened", path="/token", value=which, count=1)
    code, state = code_for(node, session := new_id())
    failed = failure(node.ask("accounts.connect", code=code, state=state, session_id=session))
    assert failed.code == "unavailable" and failed.message
    connect(node, session)
    expire(hh, database)
    hh.fault("lengthened", path="/token", value=which, count=1)
    assert failure(node.ask("accounts.status", user_id=session)).code == "unavailable"
    assert failure(node.ask("accounts.status", user_id=session)).code == "hh_login_required"


def test_hhs_words_are_cut_between_characters(node, hh, database):
    hh.fault("oauth_error", path="/token", value="invalid_grant", description="Ж" * 5000, count=1)
    code, state = code_for(node, session := new_id())
    given = {"code": code, "state": state, "session_id": session}
    assert failure(node.ask("accounts.connect", **given)).message == "Ж" * 200
    assert failure(node.ask("accounts.connect", **given)).message == "Ж" * 200, "as it was kept"
    connect(node, session)
    expire(hh, database)
    hh.fault("oauth_error", path="/token", value="invalid_grant", description="Я" * 5000, count=1)
    assert failure(node.ask("resumes.list", user_id=session)).code == "hh_login_required"
    assert database.value("select problem from hh_tokens") == "Я" * 200


def test_who_asks_while_the_one_before_is_answered_is_answered_too(node):
    user = new_id()
    calls = [node.ask("resumes.ensure", user_id=user, customized_cv='{"hh_resume_id": "abc"}') for _ in range(3)]
    assert {failure(call).code for call in calls} == {"hh_login_required"}, "a user's come one after the other"


def test_an_account_that_is_not_there(node):
    assert failure(node.ask("accounts.status", user_id=new_id())).code == "hh_login_required"


def test_a_token_is_kept_unless_there_is_one_that_works(node, hh, database):
    user = new_id()
    made = hh.control("tokens", {"action": "create", "user_id": "77"})
    node.call("accounts.keep", user_id=user, access_token=made["access_token"])
    assert "items" in node.call("resumes.list", user_id=user)
    node.call("accounts.keep", user_id=user, access_token="nonsense")
    assert "items" in node.call("resumes.list", user_id=user)
    assert in_clear(database) == []


def test_a_token_that_hh_does_not_take_is_not_kept_and_tells_nobody_anything(node, database):
    user = new_id()
    error = failure(node.ask("accounts.keep", user_id=user, access_token="nonsense"))
    assert error.code == "hh_login_required"
    assert database.value("select count(*) from hh_tokens") == 0 and events(database, user) == []


def test_a_token_that_is_no_applicants_is_not_kept(node, hh, database):
    user, of_app = new_id(), hh.control("tokens", {"kind": "app"})["access_token"]
    assert failure(node.ask("accounts.status", access_token=of_app)).code == "hh_login_required"
    error = failure(node.ask("accounts.keep", user_id=user, access_token=of_app))
    assert error.code == "hh_login_required" and "applicant" in error.message
    assert database.value("select count(*) from hh_tokens") == 0 and events(database, user) == []


@pytest.mark.parametrize("whose", ["user", "session"])
def test_a_token_that_came_along_displaces_no_account_that_can_be_refreshed(node, hh, database, whose):
    user, session = new_id(), new_id()
    database.rows("insert into users (id, email, password_hash) values (%s, %s, '')", user, f"{user}@mail.test")
    database.rows("insert into sessions (session_id, user_id, token, expires_at)"
                  " values (%s, %s, 't', now() + interval '1 day')", session, user)
    connect(node, session if whose == "session" else user)
    version = database.value("select version from hh_tokens")
    expire(hh, database)
    stranger = hh.control("tokens", {"action": "create", "user_id": "77"})["access_token"]
    for token in stranger, "nonsense":
        node.call("accounts.keep", user_id=user, access_token=token)
    kept, = database.rows("select user_id, refresh_token is not null, login_required, version >= %s"
                          " from hh_tokens", version)
    assert kept == (session if whose == "session" else user, True, False, True)
    assert events(database, user) == events(database, session) == []


def test_a_token_that_came_along_takes_the_place_of_a_lost_account(node, hh, database):
    user = new_id()
    connect(node, user)
    database.rows("update hh_tokens set login_required = true, problem = 'lost'")
    made = hh.control("tokens", {"action": "create", "user_id": "77"})
    node.call("accounts.keep", user_id=user, access_token=made["access_token"])
    assert node.call("accounts.status", user_id=user)["connected"]


def test_a_session_and_its_user_are_one_account(node, database):
    user, session = new_id(), new_id()
    database.rows("insert into users (id, email, password_hash) values (%s, %s, '')", user, f"{user}@mail.test")
    database.rows("insert into sessions (session_id, user_id, token, expires_at)"
                  " values (%s, %s, 't', now() + interval '1 day')", session, user)
    connect(node, session)
    assert node.call("accounts.status", user_id=user)["connected"]


# --- keys ------------------------------------------------------------------------------------------

NEW_KEY = "another encryption key of the tests".replace(" ", "-")
OLD_KEY = KEY.replace(" ", "-")


def test_keys_are_rotated_while_callers_run(hh, database):
    users = [new_id() for _ in range(130)]
    with Accounts(hh, database.url, ENCRYPTION_KEY=OLD_KEY) as node:
        for user in users:
            made = hh.control("tokens", {"action": "create", "user_id": "78"})
            node.call("accounts.keep", user_id=user, access_token=made["access_token"])
        session = new_id()
        connect(node, session)
        node.client.stop()
        node.restart(ENCRYPTION_KEY=NEW_KEY, ENCRYPTION_KEYS_OLD=OLD_KEY)
        calls = [node.ask("accounts.status", user_id=user) for user in users]
        rotated = node.call("keys.rotate")
        calls += [node.ask("accounts.status", user_id=user) for user in users]
        assert rotated["unreadable"] == 0 and rotated["sealed"] >= 132
        assert all(call.result(20)["connected"] for call in calls)
        assert node.call("keys.rotate") == {"sealed": 0, "unreadable": 0}
        node.client.stop()
        node.restart(ENCRYPTION_KEYS_OLD="")
        expire(hh, database)
        assert "items" in node.call("resumes.list", user_id=session)
        assert database.value("select count(distinct key_id) from hh_tokens") == 1


def test_a_key_that_is_gone_is_no_login(hh, database):
    with Accounts(hh, database.url, ENCRYPTION_KEY=OLD_KEY) as node:
        session = new_id()
        connect(node, session)
        node.client.stop()
        node.restart(ENCRYPTION_KEY=NEW_KEY)
        assert failure(node.ask("accounts.status", user_id=session)).code == "unavailable"
        assert node.call("keys.rotate")["unreadable"] >= 1
        node.client.stop()
        node.restart(ENCRYPTION_KEYS_OLD=f"{OLD_KEY} and-a-third-one-besides")
        assert node.call("accounts.status", user_id=session)["connected"]
