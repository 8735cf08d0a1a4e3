#!/usr/bin/python3
"""How fast do the vacancies of a run get into the database?

    bench/store_pages.py [--vacancies 2000] [--runs 5]

The store alone, on a PostgreSQL of its own: a run's pages of 100 vacancies, each written to `jobs`,
compared with what the user has seen, and told of in an event, in one transaction. Beside it, in turn and
with the same rows, the bare limit: one COPY into a table like `jobs`, which does none of the rest; and
what one would write first, an INSERT for each vacancy. Then the same pages again, when nothing is new.
"""
import argparse
import io
import statistics
import sys
import time
import uuid
from pathlib import Path

import psycopg2

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.harness import Actor  # noqa: E402
from support.pg import Postgres, apply_migrations  # noqa: E402

PAGE = 100
COLUMNS = ("external_id", "title", "company", "salary", "area", "url", "description", "hh_vacancy_id")


def vacancy(number):
    return {"id": str(number), "hh_vacancy_id": str(number), "title": f"Разработчик {number}",
            "company": "ООО Пример", "salary": "100000-150000 RUR", "area": "Москва",
            "url": f"https://hh.ru/vacancy/{number}", "skills": [],
            "description": "Уверенное знание C, Linux, опыт работы с сетью. " * 6,
            "has_test": False, "test_required": False, "employer_id": "1",
            "published_at": "2026-11-20T06:15:30Z"}


def values(job):
    return [job["id"], *(job[c] for c in COLUMNS[1:-1]), job["id"]]


def copy_rows(connection, jobs):
    rows = io.StringIO("".join("\t".join(values(job)) + "\n" for job in jobs))
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.copy_expert(f"copy jobs_copied ({', '.join(COLUMNS)}) from stdin", rows)
    connection.commit()
    return time.monotonic() - began


def insert_rows(connection, jobs):
    marks = ", ".join(["%s"] * len(COLUMNS))
    began = time.monotonic()
    with connection.cursor() as cursor:
        for job in jobs:
            cursor.execute(f"insert into jobs_inserted ({', '.join(COLUMNS)}) values ({marks})",
                           values(job))
            connection.commit()
    return time.monotonic() - began


def store_pages(store, user, token, jobs):
    """Gives (seconds, vacancies new to the user)."""
    new, began = 0, time.monotonic()
    for start in range(0, len(jobs), PAGE):
        new += store.call("store.run_page", {"user_id": user, "lease_token": token,
                                             "jobs": jobs[start:start + PAGE]})["new_to_user"]
    return time.monotonic() - began, new


def lease(store):
    user = str(uuid.uuid4())
    store.call("store.schedule_put", {"user_id": user, "search": {"text": "c"}})
    held = store.call("store.claim", {"node": "bench", "capacity": 1000, "ttl_ms": 600000})
    return user, next(h["token"] for h in held["leases"] if h["user_id"] == user)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vacancies", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    durable = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    with Postgres(**durable) as postgres:
        apply_migrations(postgres.url)
        connection = psycopg2.connect(postgres.url)
        with connection.cursor() as cursor:
            cursor.execute("create table jobs_copied (like jobs including all);"
                           "create table jobs_inserted (like jobs including all)")
        connection.commit()
        with Actor("store", settings={"DATABASE_URL": postgres.url}) as store:
            store.start()
            measure(store, connection, options)
        connection.close()


def measure(store, connection, options):
    times = {"store": [], "again": [], "copy": [], "insert": []}
    for run in range(options.runs):
        jobs = [vacancy(1000000 * (run + 1) + n) for n in range(options.vacancies)]
        user, token = lease(store)
        times["copy"].append(copy_rows(connection, jobs))
        took, new = store_pages(store, user, token, jobs)
        assert new == options.vacancies, new
        times["store"].append(took)
        took, new = store_pages(store, user, token, jobs)
        assert new == 0, new
        times["again"].append(took)
        times["insert"].append(insert_rows(connection, jobs))
    copy = statistics.median(times["copy"])
    for name, what in [("copy", "COPY, bare rows"), ("store", "the store: jobs, seen, events"),
                       ("again", "the store, nothing new"),
                       ("insert", "an INSERT and COMMIT for each")]:
        median = statistics.median(times[name])
        print(f"{what:<32} median {1000 * median:8.1f} ms of {options.runs} runs "
              f"(min {1000 * min(times[name]):.1f}, max {1000 * max(times[name]):.1f}), "
              f"{options.vacancies / median:8.0f} vacancies/s, {median / copy:5.2f} x COPY")


if __name__ == "__main__":
    main()
