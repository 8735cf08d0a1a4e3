"""The store's runs: a page is one transaction with its event, and a repeat has no second effect."""
import random
import threading

from support.store import Store, job, refused, user_id, wall_ms

MINUTE_MS = 60_000


def jobs_of(database, *columns):
    return database.rows(f"select {', '.join(columns)} from jobs order by external_id")


# --- pages ---------------------------------------------------------------------------------------

def test_a_page_of_a_hundred_is_stored_in_one_transaction_with_its_event(store, database):
    user, token = store.leased()
    page = [job(n, title="Т" * 255, skills=["c", "sql"]) for n in range(1000, 1100)]
    random.Random(1).shuffle(page)
    assert store.page(user, token, page) == (100, 100)
    transactions = database.rows(
        "select distinct xmin::text from jobs union select xmin::text from user_jobs"
        " union select xmin::text from outbox union select xmin::text from topics"
        " union select xmin::text from schedules")
    assert len(transactions) == 1
    event, = store.events(f"user:{user}")["events"]
    assert (event["seq"], event["type"]) == (1, "new_jobs")
    payload = database.value("select payload from outbox")
    assert payload["jobs"] == page, "in the order given, as given"
    assert payload["stats"]["new"] == 100 and payload["stats"]["user_id"] == user
    assert payload["stats"]["fetched_at"].endswith("Z")
    assert store.get(user)["jobs_seen"] == 100
    store.bell(f"user:{user}", 1)
    rows = jobs_of(database, "external_id", "hh_vacancy_id", "title", "company", "salary", "area",
                   "url", "skills", "description", "has_test", "employer_id", "source",
                   "search_query", "published_at at time zone 'UTC'")
    assert rows[0][:13] == (
        "1000", "1000", "Т" * 255, "Company", "from 100000 RUR", "Moscow",
        "https://hh.example/vacancy/1000", ["c", "sql"], "what 1000 takes", False, "77", "hh.ru",
        "python")
    assert rows[0][13].isoformat() == "2026-11-24T10:00:00"


def test_a_repeated_page_changes_nothing(store, database):
    user, token = store.leased()
    page = [job(n) for n in range(100)]
    store.page(user, token, page)
    before = database.rows("select xmin::text, ctid::text from jobs union all"
                           " select xmin::text, ctid::text from outbox union all"
                           " select xmin::text, ctid::text from user_jobs union all"
                           " select xmin::text, ctid::text from topics")
    for _ in range(3):
        assert store.page(user, token, page) == (0, 0)
    assert before == database.rows("select xmin::text, ctid::text from jobs union all"
                                   " select xmin::text, ctid::text from outbox union all"
                                   " select xmin::text, ctid::text from user_jobs union all"
                                   " select xmin::text, ctid::text from topics")
    assert store.get(user)["jobs_seen"] == 100


def test_only_what_is_new_to_the_user_is_told(store, database):
    user, token = store.leased()
    store.page(user, token, [job(n) for n in range(10)])
    assert store.page(user, token, [job(n) for n in range(5, 15)]) == (5, 5)
    second = database.value("select payload from outbox where seq = 2")
    assert [j["id"] for j in second["jobs"]] == [str(n) for n in range(10, 15)]
    other, its_token = store.leased()
    assert store.page(other, its_token, [job(n) for n in range(10)]) == (10, 0), "new to this one"


def test_two_of_the_same_within_a_page_are_one(store, database):
    user, token = store.leased()
    assert store.page(user, token, [job(1), job(2), job(1), job(1, title="Later")]) == (2, 2)
    assert jobs_of(database, "title") == [("Vacancy 1",), ("Vacancy 2",)]
    assert len(database.value("select payload from outbox")["jobs"]) == 2


def test_an_empty_page_is_no_event(store, database):
    user, token = store.leased()
    assert store.page(user, token, []) == (0, 0)
    assert database.value("select count(*) from outbox") == 0


def test_what_is_absent_is_null_in_the_row_and_in_the_event(store, database):
    user, token = store.leased()
    bare = {k: v for k, v in job(1).items()
            if k not in ("company", "salary", "area", "url", "employer_id", "published_at")}
    store.page(user, token, [bare])
    assert jobs_of(database, "company", "salary", "area", "url", "employer_id", "published_at") == [
        (None,) * 6]
    told = database.value("select payload from outbox")["jobs"][0]
    assert told["company"] is None and "employer_id" not in told
    assert store.page(user, token, [bare]) == (0, 0)


def test_a_changed_vacancy_is_updated_and_not_told_again(store, database):
    user, token = store.leased()
    store.page(user, token, [job(1), job(2)])
    assert store.page(user, token, [job(1), job(2, salary="to 1 RUR", archived=True)]) == (0, 1)
    assert jobs_of(database, "salary", "archived") == [("from 100000 RUR", False),
                                                       ("to 1 RUR", True)]
    assert store.page(user, token, [job(2, salary=None)])[1] == 1
    assert database.value("select count(*) from outbox") == 1


def test_a_snippet_does_not_overwrite_a_full_description(store, database):
    user, token = store.leased()
    full = job(1, description="all of it", skills=["c", "sql"], full_description_loaded=True)
    store.page(user, token, [job(1)])
    assert store.page(user, token, [full]) == (0, 1)
    assert store.page(user, token, [job(1, title="New title")]) == (0, 1)
    assert store.page(user, token, [job(1, title="New title")]) == (0, 0)
    wanted = [("New title", "all of it", ["c", "sql"], True)]
    assert jobs_of(database, "title", "description", "skills", "full_description") == wanted
    store.page(user, token, [{**full, "description": "shorter now"}])
    assert jobs_of(database, "description") == [("shorter now",)]


def test_a_value_that_the_database_does_not_take_is_a_bad_request_and_not_logged(store):
    user, token = store.leased()
    error = refused(store.page, user, token, [job(1, published_at="secret-nonsense")])
    assert error.code == "bad_request"
    assert "db.error" in store.log and "secret-nonsense" not in store.log
    assert store.page(user, token, [job(1)]) == (1, 1), "the connection is good as before"


def test_huge_descriptions_still_make_an_event_that_can_be_read(store, database):
    user, token = store.leased()
    page = [job(n, description="ы" * 32000) for n in range(99)]
    page.append(job(99, description="ы" * 65536))
    assert store.page(user, token, page) == (100, 100)
    events = store.events(f"user:{user}")
    assert len(events["events"]) == 1 and len(events["events"][0]["payload"]) > 3_000_000
    assert database.value("select octet_length(payload->'jobs'->99->>'description') from outbox") == 0
    assert database.value("select length(description) from jobs where external_id = '99'") == 65536


def test_pages_of_many_users_at_once_neither_deadlock_nor_leave_gaps(store, database):
    """Overlapping pages in different orders, from two stores, several a user."""
    runners = [store.leased() for _ in range(6)]
    failures, sent = [], 12

    def pages(one, number):
        user, token = runners[number % len(runners)]
        choose = random.Random(number)
        try:
            for n in range(sent):
                page = [job(i, salary=f"{choose.random()}")
                        for i in choose.sample(range(150), 40)]
                page.append(job(10_000 * number + n))
                assert one.page(user, token, page)[0] >= 1
        except Exception as error:  # told by the test's thread
            failures.append(error)

    with Store(database.url) as other:
        threads = [threading.Thread(target=pages, args=(one, 1 + 2 * i + (one is other)))
                   for i in range(6) for one in (store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    for user, _ in runners:
        topic = f"user:{user}"
        seqs = [seq for seq, in database.rows("select seq from outbox where topic = %s order by seq",
                                              topic)]
        assert seqs == list(range(1, len(seqs) + 1))
        assert store.call("store.events_tail", {"topic": topic}) == {"topic": topic, "seq": len(seqs)}
        told = database.rows("select j->>'id' from outbox, jsonb_array_elements(payload->'jobs') j"
                             " where topic = %s", topic)
        seen = database.rows("select job_external_id from user_jobs where user_id = %s", user)
        assert sorted(told) == sorted(seen) and len(told) == store.get(user)["jobs_seen"]
    assert sum(len(database.rows("select seq from outbox where topic = %s", f"user:{u}"))
               for u, _ in runners) == 12 * sent


# --- plans and ends ------------------------------------------------------------------------------

def test_the_first_plan_asks_for_everything_at_once(store):
    user, token = store.leased()
    plan = store.plan(user, token)
    assert plan["first"] and plan["due_in_ms"] == 0 and "date_from_ms" not in plan
    assert abs(plan["now_ms"] - wall_ms()) < 5000 and plan["failures"] == 0


def test_the_next_plan_asks_from_ten_minutes_before_and_a_round_time(store):
    user, token = store.leased(interval_s=60)
    started = store.plan(user, token)["now_ms"]
    plan = store.end(user, token, started, whole=True)
    assert not plan["first"] and 55_000 < plan["due_in_ms"] <= 60_000
    assert plan["date_from_ms"] % (5 * MINUTE_MS) == 0
    assert started - 15 * MINUTE_MS < plan["date_from_ms"] <= started - 10 * MINUTE_MS
    again = store.plan(user, token)
    assert again["date_from_ms"] == plan["date_from_ms"]


def test_once_a_day_everything_is_asked_for(store, database):
    user, token = store.leased()
    assert "date_from_ms" in store.run(user, token, whole=True)
    database.rows("update schedules set full_at = now() - interval '25 hours'")
    plan = store.plan(user, token)
    assert not plan["first"] and "date_from_ms" not in plan
    assert "date_from_ms" in store.run(user, token, whole=True)


def test_what_a_clock_wrote_that_was_set_back_since_does_not_stop_the_schedule(store, database):
    user, token = store.leased(interval_s=60)
    store.run(user, token, whole=True)
    database.rows("update schedules set next_run_at = next_run_at + interval '3 days',"
                  " fetched_from = fetched_from + interval '3 days',"
                  " full_at = full_at + interval '3 days'")
    plan = store.plan(user, token)
    assert plan["due_in_ms"] == 0 and "date_from_ms" not in plan
    after = store.run(user, token, whole=True)
    assert 50_000 < after["due_in_ms"] <= 60_000
    assert after["date_from_ms"] < wall_ms()


def test_a_run_that_ends_well_is_noted(store, database):
    user, token = store.leased(interval_s=60)
    database.rows("update schedules set next_run_at = now() - interval '7 s',"
                  " failures = 3, last_error = 'x'")
    assert store.get(user)["lag_ms"] >= 7000
    store.run(user, token)
    row = store.get(user)
    assert row["last_status"] == "ok" and row["runs"] == 1 and "last_error" not in row
    assert 7000 <= row["lag_ms"] < 10000 and abs(row["last_run_ms"] - wall_ms()) < 5000
    assert 50_000 < row["next_run_ms"] - wall_ms() < 54_000, "an interval after it was due"
    assert store.plan(user, token)["failures"] == 0


def test_a_run_that_is_more_than_an_interval_late_is_run_again_at_once(store, database):
    user, token = store.leased(interval_s=60)
    database.rows("update schedules set next_run_at = now() - interval '1 hour'")
    assert store.run(user, token)["due_in_ms"] == 0


def test_a_failed_run_is_tried_again_when_it_was_said(store):
    user, token = store.leased(interval_s=600)
    plan = store.run(user, token, ok=False, error="HH is down", retry_in_ms=5000)
    assert plan["failures"] == 1 and 4000 < plan["due_in_ms"] <= 5000 and plan["first"]
    row = store.get(user)
    assert (row["last_status"], row["last_error"], row["runs"]) == ("failed", "HH is down", 0)
    assert store.run(user, token, ok=False, retry_in_ms=1)["failures"] == 2
    store.put(user)
    assert store.plan(user, token)["failures"] == 0, "a new start"


def test_a_repeated_end_is_counted_once(store):
    user, token = store.leased(interval_s=60)
    started = store.plan(user, token)["now_ms"]
    first = store.end(user, token, started)
    for _ in range(2):
        plan = store.end(user, token, started)
        assert plan["due_in_ms"] <= first["due_in_ms"]
    assert store.get(user)["runs"] == 1
    failed = store.plan(user, token)["now_ms"]
    for _ in range(2):
        assert store.end(user, token, failed, ok=False, retry_in_ms=10_000)["failures"] == 1


def test_a_run_demanded_during_a_run_follows_it(store):
    user, token = store.leased(interval_s=600)
    store.run(user, token)
    started = store.plan(user, token)["now_ms"]
    store.call("store.schedule_due", {"user_id": user})
    assert store.end(user, token, started)["due_in_ms"] == 0
    assert store.run(user, token)["due_in_ms"] > 500_000


def test_a_run_of_the_old_search_leaves_no_mark_on_the_new_one(store):
    user, token = store.leased(text="python")
    started = store.plan(user, token)["now_ms"]
    store.put(user, text="rust")
    plan = store.end(user, token, started, whole=True)
    assert plan["search"] == {"text": "rust"} and plan["due_in_ms"] == 0
    assert plan["first"] and "date_from_ms" not in plan
    assert not store.run(user, token, whole=True)["first"]


def test_a_plan_for_nobody_is_a_conflict(store):
    assert refused(store.plan, user_id(), 1).code == "conflict"
