"""The store while its database is down, slow, silent, empty or wrong: it waits, says so, and mends."""
import os
import select
import signal
import socket
import threading
import time

import pytest
from support.pg import apply_migrations
from support.store import Database, Failed, Store, job, refused, user_id, within

OUTAGE_S = 5


class Proxy(threading.Thread):
    """A TCP door to the database's socket, that can fall silent as a broken network does."""

    def __init__(self, postgres):
        super().__init__(daemon=True)
        self.target = os.path.join(postgres.root, ".s.PGSQL.5432")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = {}
        self.silent = set()     # sockets on which nothing passes any more
        self.ending = False
        self.start()

    def run(self):
        while not self.ending:
            readable = [self.listener, *(s for s in self.pairs if s not in self.silent)]
            for one in select.select(readable, [], [], 0.05)[0]:
                if one is self.listener:
                    self._accept()
                elif one in self.pairs:
                    self._pass(one)

    def _accept(self):
        client, _ = self.listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        self.pairs[client], self.pairs[server] = server, client

    def _pass(self, one):
        try:
            data = one.recv(65536)
            if data:
                self.pairs[one].sendall(data)
                return
        except OSError:
            pass
        other = self.pairs.pop(one)
        self.pairs.pop(other)
        one.close()
        other.close()

    def fall_silent(self):
        """On the connections that there are; new ones work."""
        self.silent |= set(self.pairs)

    def close(self):
        self.ending = True
        self.join()
        for one in [self.listener, *self.pairs]:
            one.close()


@pytest.fixture
def tables(postgres):
    """Looks into the database of a server that goes up and down."""
    def look(sql, *values):
        database = Database(postgres)
        try:
            return database.rows(sql, *values)
        finally:
            database.close()
    return look


def store_backends(tables, purpose="store"):
    return [pid for pid, in tables("select pid from pg_stat_activity where application_name like %s",
                                   f"ugtj {purpose}%")]


# --- down ----------------------------------------------------------------------------------------

def test_calls_made_during_an_outage_are_answered_after_it_and_once(postgres, tables):
    with Store(postgres.url) as store:
        user, token = store.leased()
        postgres.stop("immediate")
        why = store.wait_degraded(5)
        assert why.startswith("database: ")
        began = time.monotonic()
        ping = store.call("store.ping")
        assert ping["db"] == "down" and ping["problem"] and time.monotonic() - began < 0.5
        calls = []
        for n in range(100):
            calls.append(store.call_async("store.schedule_put", {
                "user_id": user_id(), "search": {"text": str(n)}}, **within(30)))
            calls.append(store.call_async("store.run_page", {
                "user_id": user, "lease_token": token,
                "jobs": [job(i) for i in range(10 * n, 10 * n + 10)]}, **within(30)))
        time.sleep(max(0, began + OUTAGE_S - time.monotonic()))  # the outage that is tested
        assert not any(call.done() for call in calls) and store.running()
        postgres.start()
        for call in calls:
            call.result(20)
        store.wait_well(5)
        assert store.call("store.ping")["db"] == "up"
        assert store.get(user)["jobs_seen"] == 1000
        store.broadcaster.wait_received("events.changed", 2)
    assert tables("select count(*) from schedules") == [(101,)]
    seqs = [seq for seq, in tables("select seq from outbox order by seq")]
    assert seqs == list(range(1, 101))


def test_who_cannot_wait_is_told_shortly_before_its_deadline(postgres):
    with Store(postgres.url) as store:
        postgres.stop("immediate")
        store.wait_degraded(5)
        began = time.monotonic()
        error = refused(store.call, "schedules.get", {"user_id": user_id()}, **within(2))
        took = time.monotonic() - began
        assert error.code == "unavailable" and error.retry_after_ms > 0
        assert 1.5 < took < 2, took


def test_it_starts_without_a_database_and_works_once_there_is_one(postgres):
    postgres.stop()
    store = Store(postgres.url)
    try:
        store.start()
        assert "Connection refused" in store.wait_degraded() or "No such file" in store.degraded
        call = store.call_async("store.schedule_put", {"user_id": user_id(),
                                                       "search": {"text": "x"}}, **within(20))
        postgres.start()
        assert call.result(20)["search"] == {"text": "x"}
        store.wait_well()
        store.stop()
    finally:
        store.close()


def test_a_stop_during_an_outage_is_quick_and_answers_who_waits(postgres):
    with Store(postgres.url) as store:
        postgres.stop("immediate")
        store.wait_degraded(5)
        calls = [store.call_async("schedules.get", {"user_id": user_id()}, **within(30))
                 for _ in range(20)]
        assert store.call("store.ping")["db"] == "down"  # so they have been taken in
        began = time.monotonic()
        store.stop()
        assert time.monotonic() - began < 3
        for call in calls:
            assert refused(call.result).code == "unavailable"


def test_a_stop_finishes_what_was_accepted(postgres, tables):
    blocker = postgres.connect()
    blocker.autocommit = False
    with Store(postgres.url) as store:
        user = user_id()
        store.put(user)
        blocker.cursor().execute("lock table schedules in access exclusive mode")
        call = store.call_async("store.schedule_due", {"user_id": user}, **within(20))
        store.wait_for(lambda: tables("select 1 from pg_locks where not granted"), what="it waits")
        store.terminate()
        store.wait_for(lambda: "actor.stopping" in store.log, what="it stops")
        assert store.running()
        blocker.rollback()
        assert call.result()["user_id"] == user
        assert store.wait_exit() == 0
    blocker.close()


# --- lost connections ----------------------------------------------------------------------------

def test_connections_lost_under_way_are_nobodys_error(postgres, tables):
    """A backend is terminated after every fifth answer; every page is stored, told and counted once."""
    terminate = ("select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity"
                 " where application_name like 'ugtj store%' order by state = 'active' desc, random()"
                 " limit 1) busiest")
    with Store(postgres.url) as store:
        user, token = store.leased()
        for turn in range(10):
            calls = [store.call_async("store.run_page", {
                "user_id": user, "lease_token": token,
                "jobs": [job(1000 * turn + 10 * n + i) for i in range(10)]}, **within(30))
                for n in range(20)]
            for number, call in enumerate(calls):
                if number % 5 == 0:
                    tables(terminate)
                call.result(30)
        assert store.get(user)["jobs_seen"] == 2000
        assert "db.lost" in store.log
    assert tables("select count(*), max(seq) from outbox") == [(200, 200)]
    assert tables("select sum(jsonb_array_length(payload->'jobs')) from outbox") == [(2000,)]


def test_a_crashed_backend_takes_all_down_and_all_come_back(postgres, tables):
    with Store(postgres.url) as store:
        user = user_id()
        store.put(user)
        os.kill(store_backends(tables)[0], signal.SIGKILL)
        assert store.call("schedules.get", {"user_id": user}, timeout=20, **within(20))
        assert store.put(user_id())


def test_a_listener_that_lost_its_connection_rings_for_everything(postgres, tables):
    with Store(postgres.url) as store:
        rung = len(store.broadcaster.received())
        os.kill(store_backends(tables, "listen")[0], signal.SIGTERM)
        store.broadcaster.wait_received("events.changed", rung + 1)
        assert store.broadcaster.received()[-1].body == {"topic": "*", "seq": 0}
        assert store.scheduler.next().method == "schedules.changed"
        tables("select pg_notify('ugtj_events', 'user:a 7')")
        store.bell("user:a", 7)


# --- slow and silent -----------------------------------------------------------------------------

def test_a_statement_that_takes_too_long_is_given_up_and_the_next_one_works(postgres, tables):
    blocker = postgres.connect()
    blocker.autocommit = False
    with Store(postgres.url, DB_POOL_SIZE=1) as store:
        user = user_id()
        store.put(user)
        blocker.cursor().execute("lock table schedules in access exclusive mode")
        error = refused(store.call, "schedules.get", {"user_id": user}, **within(1.5))
        assert error.code == "unavailable" and error.retry_after_ms > 0
        assert "db.too_slow" in store.log
        assert store.call("store.ping")["db"] == "up", "on a new connection"
        store.wait_for(lambda: not tables("select 1 from pg_locks where not granted"), 10,
                       "the server ends what nobody waits for")
        blocker.rollback()
        assert store.get(user)["user_id"] == user
    blocker.close()


def test_a_busy_database_is_said_and_pings_go_first(postgres):
    blocker = postgres.connect()
    blocker.autocommit = False
    with Store(postgres.url, DB_POOL_SIZE=1) as store:
        user = user_id()
        store.put(user)
        blocker.cursor().execute("lock table schedules in access exclusive mode")
        calls = [store.call_async("schedules.get", {"user_id": user}, **within(2.5)) for _ in range(3)]
        ping = store.call("store.ping", **within(3), timeout=3)
        assert ping["db"] == "down" and "too busy" in ping["problem"]
        for call in calls:
            assert refused(call.result).code == "unavailable"
        blocker.rollback()
    blocker.close()


def test_a_server_that_falls_silent_is_left_for_a_new_connection(postgres):
    """Nothing comes any more, not even the end of the connection, as after a failover."""
    proxy = Proxy(postgres)
    url = f"postgresql://ugtj:password-of-the-test@localhost:{proxy.port}/{postgres.database}"
    try:
        with Store(url, DB_POOL_SIZE=1) as store:
            user = user_id()
            store.put(user)
            rung = len(store.broadcaster.received())
            proxy.fall_silent()
            assert store.call("store.ping")["db"] == "down"
            assert store.get(user)["user_id"] == user, "a new connection"
            store.broadcaster.wait_received("events.changed", rung + 1, timeout=20)
            store.put(user_id())
            store.scheduler.wait_received("schedules.changed", 3, timeout=5)
            assert "no sign of life" in store.log and "password-of-the-test" not in store.log
    finally:
        proxy.close()


# --- empty and wrong -----------------------------------------------------------------------------

def test_a_missing_schema_is_said_until_it_is_there(server):
    name = "unmigrated"
    url = server.create_database(name)
    with Store(url) as store:
        error = refused(store.put, user_id())
        assert (error.code, error.message) == (
            "unavailable", "the schema is missing: run ugtj migrate")
        state = store.call("store.ping")
        assert (state["db"], state["problem"]) == ("down", error.message)
        apply_migrations(url)
        assert store.put(user_id())["runs"] == 0
        assert store.call("store.ping")["db"] == "up"
    server.drop_database(name)


def test_transactions_that_the_server_undid_are_done_again(database, store):
    database.rows("""
        create sequence tries;
        create function collide() returns trigger language plpgsql as $$
        begin
            if nextval('tries') % 3 <> 0 then
                raise exception 'undone' using errcode = case nextval('tries') % 2
                    when 0 then '40001' else '40P01' end;
            end if;
            return new;
        end $$;
        create trigger collide before insert on user_jobs for each row execute function collide()""")
    user, token = store.leased()
    for n in range(5):
        assert store.page(user, token, [job(n)]) == (1, 1)
    assert database.value("select last_value from tries") > 5
    assert database.value("select max(seq) from outbox") == 5


def test_what_never_works_is_given_up(database, store):
    database.rows("""
        create function collide() returns trigger language plpgsql as $$
        begin raise exception 'undone' using errcode = '40001'; end $$;
        create trigger collide before insert on user_jobs for each row execute function collide()""")
    user, token = store.leased()
    assert refused(store.page, user, token, [job(1)]).code == "unavailable"
    assert "db.gave_up" in store.log


@pytest.mark.parametrize("url, why", [
    ("postgresql://ugtj:secret-password@127.0.0.1:1/ugtj", "refused"),
    ("postgresql://ugtj:secret-password@nowhere.invalid/ugtj", "nowhere.invalid"),
    ("postgresql://secret-password:%zz@/x", "cannot be understood"),
    ("host=secret-password nonsense", "cannot be understood"),
])
def test_a_wrong_url_is_said_without_its_password(url, why):
    store = Store(url)
    try:
        store.start()
        assert why in store.wait_degraded()
        assert why in store.call("store.ping")["problem"]
        assert "secret-password" not in store.log and "secret-password" not in store.degraded
        store.stop()
    finally:
        store.close()


def test_a_standby_is_not_taken_for_the_database(server, database):
    """After a failover the old server may come back read-only."""
    with Store(database.url) as store:
        user = user_id()
        store.put(user)
        database.rows(f"alter database {database.name} set default_transaction_read_only = on")
        database.rows("select pg_terminate_backend(pid) from pg_stat_activity"
                      " where application_name like 'ugtj %' and datname = current_database()")
        store.wait_degraded()
        with pytest.raises(Failed):
            store.call("schedules.get", {"user_id": user}, **within(1))
        database.rows("set transaction_read_only = off; "
                      f"alter database {database.name} set default_transaction_read_only = off")
        store.wait_well(15)
        assert store.put(user)["user_id"] == user


def test_more_than_the_mailbox_holds_is_overloaded_at_once(postgres):
    with Store(postgres.url) as store:
        postgres.stop("immediate")
        store.wait_degraded(5)
        calls = [store.call_async("schedules.get", {"user_id": user_id()}, **within(4))
                 for _ in range(1100)]
        codes = [refused(call.result, 20).code for call in calls]
        assert codes.count("overloaded") == 100 and codes.count("unavailable") == 1000


def test_a_schema_that_is_behind_is_no_health(postgres, tables):
    with Store(postgres.url) as store:
        assert store.call("store.ping")["db"] == "up"
        last, = tables("delete from schema_migrations where version ="
                       " (select max(version) from schema_migrations) returning version")[0]
        try:
            state = store.call("store.ping")
            assert state["db"] == "down" and "run ugtj migrate" in state["problem"]
        finally:
            tables("insert into schema_migrations (version) values (%s)", last)
        assert store.call("store.ping")["db"] == "up"
