"""A fetcher alone: lease, plan, pages, end; and what becomes of a run that something interrupts."""
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.harness import Actor, Refuse  # noqa: E402

USER = "0f8fad5b-d9cb-469f-a165-70867728950e"
NOW_MS = 1_700_000_000_000
SEARCH = {"text": "python", "area": ["1", "2"], "salary": 100000, "only_with_salary": True}
LEASE = {"user_id": USER, "token": 7, "revision": 1}
LATER = 3_600_000


def plan(due_in_ms=0, **more):
    return {"search": SEARCH, "interval_s": 1800, "due_in_ms": due_in_ms, "first": True,
            "now_ms": NOW_MS, "failures": 0, **more}


def page(number, pages, jobs=2):
    return {"jobs": [{"id": f"{number}{i}", "hh_vacancy_id": f"{number}{i}", "title": "t",
                      "skills": [], "description": "", "has_test": False, "test_required": False}
                     for i in range(jobs)], "found": 2 * pages, "page": number, "pages": pages}


class Fetcher(Actor):
    """The actor with its peers. A run asks HH for self.pages pages; the next is due much later."""

    def __init__(self, pages=3, **more):
        super().__init__("fetcher", name=f"fetcher:{USER}", **more)
        self.pages = pages
        self.scheduler = self.fake("scheduler", {"scheduler.lease": LEASE})
        self.store = self.fake("store", {
            "store.run_plan": plan(), "store.run_page": {"new_to_user": 2, "changed": 2},
            "store.run_end": plan(LATER)})
        self.hh = self.fake("hh_client", {
            "jobs.fetch_page": lambda r: page(r.body["page"], self.pages)})

    def fetched(self):
        return [r.body["page"] for r in self.hh.received("jobs.fetch_page")]

    def stored(self):
        return [r.body["jobs"][0]["id"][:-1] for r in self.store.received("store.run_page")]

    def wait_end(self, count=1):
        return self.store.wait_received("store.run_end", count)[count - 1].body

    def plan_only(self, due_in_ms):
        self.store.answers["store.run_plan"] = plan(due_in_ms)


@pytest.fixture
def fetcher():
    with Fetcher() as one:
        yield one


# --- a run ----------------------------------------------------------------------------------------

def test_run_goes_through_all_pages_and_ends_well(fetcher):
    fetcher.start()
    end = fetcher.wait_end()
    assert end == {"user_id": USER, "lease_token": 7, "ok": True, "started_ms": NOW_MS, "whole": True}
    assert fetcher.fetched() == [0, 1, 2] and fetcher.stored() == ["0", "1", "2"]
    assert [r.body for r in fetcher.scheduler.received()] == [{"user_id": USER}]
    assert all(r.body == {"user_id": USER, "lease_token": 7}
               for r in fetcher.store.received("store.run_plan"))
    asked = fetcher.hh.received()[2].body
    assert asked == {"search": SEARCH, "user_id": USER, "page": 2, "max_age_ms": 60000}
    stored = fetcher.store.received("store.run_page")[1].body
    assert stored == {"user_id": USER, "lease_token": 7, "jobs": page(1, 3)["jobs"]}


def test_run_asks_only_for_what_is_new_when_the_plan_says_so(fetcher):
    fetcher.store.answers["store.run_plan"] = plan(first=False, date_from_ms=123, interval_s=5)
    fetcher.start()
    assert fetcher.wait_end()["whole"] is False
    asked = fetcher.hh.received()[0].body
    assert asked["date_from_ms"] == 123 and asked["max_age_ms"] == 1250, "a quarter of the interval"


def test_run_that_finds_nothing_ends_well(fetcher):
    fetcher.hh.answers["jobs.fetch_page"] = page(0, 0, jobs=0)
    fetcher.start()
    assert fetcher.wait_end()["ok"] is True and fetcher.stored() == []


def test_run_reads_no_deeper_than_hh_allows(fetcher):
    fetcher.pages = 2000
    fetcher.start()
    assert fetcher.wait_end()["ok"] is True
    assert fetcher.fetched() == list(range(20))


def test_run_waits_until_it_is_due(fetcher):
    fetcher.plan_only(400)
    fetcher.start()
    asked = fetcher.store.wait_received("store.run_plan", 1)[0].at
    fetcher.plan_only(0)
    first = fetcher.hh.wait_received("jobs.fetch_page", 1)[0].at
    assert 0.35 < first - asked < 2


def test_runs_follow_each_other(fetcher):
    fetcher.store.answers["store.run_end"] = plan(20)
    fetcher.start()
    fetcher.wait_end(3)
    assert fetcher.fetched()[:9] == [0, 1, 2] * 3
    assert len(fetcher.scheduler.received()) == 1, "the lease is asked for once"


def test_run_that_was_moved_when_its_time_came_waits_on(fetcher):
    fetcher.store.answers["store.run_plan"] = lambda r: plan(
        30 if len(fetcher.store.received("store.run_plan")) == 1 else LATER)
    fetcher.start()
    fetcher.store.wait_received("store.run_plan", 2)
    fetcher.cast("fetcher.replan")
    fetcher.store.wait_received("store.run_plan", 3)
    assert fetcher.fetched() == []


# --- failures -------------------------------------------------------------------------------------

@pytest.mark.parametrize("failures, least, most", [(0, 2500, 5000), (3, 20000, 40000),
                                                   (60, 900000, 1800000)])
def test_page_that_hh_fails_ends_the_run_which_is_tried_again_soon(fetcher, failures, least, most):
    fetcher.store.answers["store.run_plan"] = plan(failures=failures)
    fetcher.hh.answers["jobs.fetch_page"] = lambda r: (
        page(0, 3) if r.body["page"] == 0 else Refuse("unavailable", "HH is down"))
    fetcher.start()
    end = fetcher.wait_end()
    assert end["ok"] is False and end["error"] == "HH is down"
    assert least <= end["retry_in_ms"] <= most
    assert fetcher.stored() == ["0"], "what came before is kept"


def test_error_without_words_is_told_by_its_code(fetcher):
    fetcher.hh.answers["jobs.fetch_page"] = Refuse("hh_captcha")
    fetcher.start()
    assert fetcher.wait_end()["error"] == "hh_captcha"


def test_page_that_the_store_fails_ends_the_run(fetcher):
    fetcher.store.answers["store.run_page"] = Refuse("unavailable", "no database")
    fetcher.start()
    assert fetcher.wait_end()["error"] == "no database"
    assert fetcher.fetched() == [0]


@pytest.mark.parametrize("where", ["store.run_page", "store.run_plan", "store.run_end"])
def test_lost_lease_is_asked_for_again(fetcher, where):
    good = fetcher.store.answers[where]
    fetcher.store.answers[where] = lambda r: (
        Refuse("conflict") if r.body["lease_token"] == 7 else good)
    fetcher.start()
    fetcher.store.wait_received(where)
    fetcher.scheduler.answers["scheduler.lease"] = {**LEASE, "token": 8}
    fetcher.scheduler.wait_received("scheduler.lease", 2)
    fetcher.wait_for(lambda: any(r.body["ok"] and r.body["lease_token"] == 8
                                 for r in fetcher.store.received("store.run_end")))
    ends = [r.body for r in fetcher.store.received("store.run_end")]
    assert all(e["ok"] for e in ends), "a lost lease is no failure of the schedule's"


def test_lease_that_is_not_there_yet_is_asked_for_again(fetcher):
    fetcher.scheduler.answers["scheduler.lease"] = Refuse("not_found", retry_after_ms=3000)
    fetcher.start()
    fetcher.scheduler.wait_received("scheduler.lease", 2)
    fetcher.scheduler.answers["scheduler.lease"] = LEASE
    fetcher.wait_end()
    times = [r.at for r in fetcher.scheduler.received()]
    assert all(b - a > 0.9 for a, b in zip(times, times[1:])), "not in a hurry"


def test_peers_that_come_later_are_waited_for(fetcher):
    for peer in (fetcher.scheduler, fetcher.store, fetcher.hh):
        peer.down()
    fetcher.start()
    fetcher.scheduler.up()
    fetcher.scheduler.wait_received("scheduler.lease")
    fetcher.store.up()
    fetcher.store.wait_received("store.run_plan", 2)
    fetcher.hh.up()
    assert fetcher.wait_end()["ok"] is True


@pytest.mark.parametrize("peer, method", [("hh", "jobs.fetch_page"), ("store", "store.run_page"),
                                          ("store", "store.run_end")])
def test_peers_death_in_the_middle_of_a_run_is_not_noticed(fetcher, peer, method):
    fake = getattr(fetcher, peer)
    answer = fake.answers.pop(method)
    fetcher.start()
    fake.next(method)
    fake.answers[method] = answer
    fake.restart()
    assert fetcher.wait_end()["ok"] is True
    fetcher.wait_for(lambda: set(fetcher.fetched()) == {0, 1, 2})
    assert len(fetcher.scheduler.received()) == 1


# --- changes --------------------------------------------------------------------------------------

def test_change_while_it_waits_is_planned_anew_at_once(fetcher):
    fetcher.plan_only(LATER)
    fetcher.start()
    fetcher.store.wait_received("store.run_plan")
    fetcher.store.answers["store.run_plan"] = plan(first=False)
    start = time.monotonic()
    fetcher.cast("fetcher.replan")
    fetcher.hh.wait_received("jobs.fetch_page")
    assert time.monotonic() - start < 1, "somebody waits for it: no jitter"


def test_change_during_a_run_waits_for_its_end(fetcher):
    del fetcher.hh.answers["jobs.fetch_page"]
    fetcher.start()
    asked = fetcher.hh.next()
    fetcher.cast("fetcher.replan")
    fetcher.cast("fetcher.replan")
    fetcher.plan_only(LATER)
    asked.reply(page(0, 2))
    fetcher.hh.next().reply(page(1, 2))
    assert fetcher.wait_end()["ok"] is True
    fetcher.scheduler.wait_received("scheduler.lease", 2)
    fetcher.store.wait_received("store.run_plan", 3)
    assert fetcher.fetched() == [0, 1] and len(fetcher.scheduler.received()) == 2


def test_many_changes_at_once_are_survived(fetcher):
    fetcher.plan_only(LATER)
    fetcher.start()
    for _ in range(500):
        fetcher.cast("fetcher.replan")
    fetcher.store.wait_received("store.run_plan")
    fetcher.plan_only(0)
    fetcher.cast("fetcher.replan")
    assert fetcher.wait_end()["ok"] is True


# --- its own death --------------------------------------------------------------------------------

def test_run_that_was_cut_short_by_death_is_run_again_from_the_first_page(fetcher):
    del fetcher.store.answers["store.run_page"]
    fetcher.start()
    fetcher.store.next("store.run_page").reply({"new_to_user": 2, "changed": 2})
    fetcher.store.next("store.run_page")
    fetcher.kill()
    assert fetcher.stored() == ["0", "1"] and fetcher.store.received("store.run_end") == []
    with Fetcher(generation=2) as second:
        second.start()
        assert second.wait_end()["ok"] is True
        assert second.stored() == ["0", "1", "2"]


def test_stop_in_the_middle_of_a_run_is_at_once(fetcher):
    del fetcher.hh.answers["jobs.fetch_page"]
    fetcher.start()
    fetcher.hh.next()
    start = time.monotonic()
    fetcher.stop()
    assert time.monotonic() - start < 1.5
    assert fetcher.store.received("store.run_end") == []


def test_fetcher_of_nobody_does_not_start():
    with Actor("fetcher", name="fetcher") as nobody:
        nobody.start(wait_ready=False)
        assert nobody.wait_exit() == 71 and not nobody.ready
