"""The store's schedules and leases."""
import threading

import pytest
from support.store import Store, job, refused, user_id, wall_ms

SEARCH = {"text": "python \"снаружи\" \\ '", "area": ["1", "2"], "salary": 100000,
          "only_with_salary": True, "period": 7}


def test_a_schedule_is_stored_as_given_and_due_at_once(store):
    user = user_id()
    before = wall_ms()
    put = store.call("store.schedule_put", {"user_id": user, "search": SEARCH, "interval_s": 60})
    assert put["search"] == SEARCH and put["interval_s"] == 60 and not put["paused"]
    assert before - 1000 <= put["next_run_ms"] <= wall_ms() + 1000
    assert "last_status" not in put and put["runs"] == 0
    got = store.get(user)
    assert {**got, "lag_ms": 0} == {**put, "lag_ms": 0}


def test_the_interval_is_half_an_hour_unless_said(store):
    assert store.put(user_id())["interval_s"] == 1800


def test_a_user_without_a_schedule_is_not_found(store):
    for method in "schedules.get", "store.schedule_due":
        assert refused(store.call, method, {"user_id": user_id()}).code == "not_found"


@pytest.mark.parametrize("method", ["schedules.get", "store.schedule_delete", "store.schedule_due"])
def test_a_user_id_that_is_no_uuid_is_refused_by_name(store, method):
    error = refused(store.call, method, {"user_id": "g" * 36})
    assert (error.code, error.field) == ("bad_request", "user_id")


def test_deleting_twice_is_deleting_once(store, database):
    user, token = store.leased()
    store.run(user, token, [job(1)])
    for _ in range(2):
        assert store.call("store.schedule_delete", {"user_id": user}) == {}
    assert refused(store.get, user).code == "not_found"
    assert database.value("select count(*) from user_jobs") == 1, "what was found stays"
    assert refused(store.plan, user, token).code == "conflict"


def test_each_change_rings_the_schedulers_of_all_nodes(store, database):
    user = user_id()
    with Store(database.url) as other:
        for change in (lambda: store.put(user),
                       lambda: store.call("store.schedule_due", {"user_id": user}),
                       lambda: store.call("store.release", {"node": "one"}),
                       lambda: store.call("store.schedule_delete", {"user_id": user})):
            change()
            for one in store, other:
                assert one.scheduler.next().method == "schedules.changed"


def test_schedules_are_listed_in_parts_with_totals_of_all(store):
    users = sorted(user_id() for _ in range(7))
    for user in users:
        store.put(user)
    store.put(users[0], paused=True)
    first = store.call("schedules.list", {"limit": 3})
    assert [s["user_id"] for s in first["schedules"]] == users[:3]
    rest = store.call("schedules.list", {"after": users[2], "limit": 1000})
    assert [s["user_id"] for s in rest["schedules"]] == users[3:]
    assert first["total"] == 7 and first["overdue"] == 6
    assert max(s["lag_ms"] for s in rest["schedules"]) <= rest["max_lag_ms"] < 20000
    assert first["schedules"][0]["lag_ms"] == 0, "a paused one is never late"


def test_another_search_is_fetched_from_the_beginning(store):
    user, token = store.leased(text="python")
    assert not store.run(user, token, whole=True)["first"]
    store.put(user, text="python")
    assert not store.plan(user, token)["first"], "the same search"
    store.put(user, text="rust")
    assert store.plan(user, token)["first"]


# --- leases --------------------------------------------------------------------------------------

def test_a_claim_gives_free_schedules_up_to_the_capacity(store):
    users = {user_id() for _ in range(5)}
    for user in users:
        store.put(user)
    assert len(store.claim("one", capacity=3)) == 3
    assert len(store.claim("one", capacity=3)) == 3, "they are held, not added"
    assert set(store.claim("one")) == users
    assert len(store.claim("one", capacity=2)) == 2, "the rest is given back"
    assert len(store.claim("two")) == 3


def test_the_longest_overdue_is_claimed_first(store, database):
    users = [user_id() for _ in range(3)]
    for user, minutes in zip(users, (1, 3, 2)):
        store.put(user)
        database.rows("update schedules set next_run_at = now() - %s * interval '1 minute'"
                      " where user_id = %s", minutes, user)
    assert list(store.claim(capacity=1)) == [users[1]]


def test_a_repeated_claim_keeps_the_tokens(store):
    user, token = store.leased()
    assert store.claim()[user]["token"] == token


def test_a_lease_belongs_to_one_node_until_it_expires_and_its_token_then_is_worth_nothing(store,
                                                                                         database):
    user, old = store.leased("one")
    assert store.claim("two") == {}
    assert store.get(user)["node"] == "one"
    database.rows("update schedules set lease_expires_at = now() - interval '1 s'")
    assert "node" not in store.get(user)
    new = store.claim("two")[user]["token"]
    assert new > old
    plan = store.plan(user, new)
    for call in (lambda: store.plan(user, old), lambda: store.page(user, old, [job(1)]),
                 lambda: store.end(user, old, plan["now_ms"])):
        error = refused(call)
        assert (error.code, error.message) == ("conflict", "lease lost")
    assert database.value("select count(*) from jobs") == 0
    assert store.claim("one") == {}


def test_an_expired_lease_that_nobody_took_is_still_good(store, database):
    user, token = store.leased()
    database.rows("update schedules set lease_expires_at = now() - interval '1 s'")
    assert store.page(user, token, [job(1)]) == (1, 1)
    assert store.claim()[user]["token"] == token


def test_a_row_that_somebody_holds_keeps_no_other_lease_from_being_renewed(store, database):
    held, free = store.leased()[0], store.leased()[0]
    database.rows("update schedules set lease_expires_at = now() + interval '1 s'")
    other = database.server.connect(database.name)
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute("select from schedules where user_id = %s for update", (held,))
        assert set(store.claim()) == {held, free}
        left = dict(database.rows("select user_id::text, lease_expires_at - now() > interval '30 s'"
                                  " from schedules"))
        assert left == {held: False, free: True}
    other.rollback()
    other.close()
    store.claim()
    assert database.value("select min(lease_expires_at) - now() > interval '30 s' from schedules")


def test_a_paused_schedule_is_run_by_nobody(store):
    user, token = store.leased()
    store.put(user, paused=True)
    assert store.claim("one") == {} and store.claim("two") == {}
    assert refused(store.plan, user, token).code == "conflict"
    store.put(user)
    assert store.claim("two")[user]["token"] > token


def test_released_leases_are_free_at_once(store):
    users = {store.leased()[0] for _ in range(3)}
    for _ in range(2):
        assert store.call("store.release", {"node": "one"}) == {}
    assert set(store.claim("two")) == users


def test_a_claim_shows_that_a_schedule_was_changed(store):
    user, _ = store.leased()
    first = store.claim()[user]["revision"]
    store.put(user)
    second = store.claim()[user]["revision"]
    store.call("store.schedule_due", {"user_id": user})
    assert first < second < store.claim()[user]["revision"]


def test_nodes_that_claim_at_the_same_time_never_share_a_schedule(store, database):
    for _ in range(200):
        database.rows("insert into schedules (user_id, search) values (gen_random_uuid(), '{}')")
    nodes = [f"node{i}" for i in range(8)]
    barrier = threading.Barrier(len(nodes))
    held = {}

    def claims(node):
        barrier.wait()
        for capacity in range(0, 50, 5):
            held[node] = store.claim(node, capacity)

    threads = [threading.Thread(target=claims, args=(node,)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [user for node in nodes for user in held[node]]
    assert len(everything) == len(set(everything)) == 200
    tokens = [lease["token"] for node in nodes for lease in held[node].values()]
    assert len(set(tokens)) == 200


def test_two_stores_are_two_nodes_on_one_database(store, database):
    users = {user_id() for _ in range(40)}
    for user in users:
        store.put(user)
    with Store(database.url) as other:
        mine, theirs = set(), set()
        for capacity in range(2, 22, 2):
            a = store.call_async("store.claim", {"node": "a", "capacity": capacity, "ttl_ms": 9000})
            b = other.call_async("store.claim", {"node": "b", "capacity": capacity, "ttl_ms": 9000})
            mine = {lease["user_id"] for lease in a.result()["leases"]}
            theirs = {lease["user_id"] for lease in b.result()["leases"]}
    assert mine | theirs == users and not mine & theirs
