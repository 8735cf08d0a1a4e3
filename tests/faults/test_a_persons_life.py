"""A person's whole life: connect, look at the resumes, search, and let the system apply to 30 vacancies.
Whoever dies meanwhile, HH has 30 applications at the end, each once, and the person was told in order."""
import pytest
from support.person import (CALLBACK, SOON, TOKEN_MS, WANTED, Killer, Listener, Person, apply_to_all, at_hh,
                            check, publish)
from support.system import System, wait_for

pytestmark = pytest.mark.simulator(*SOON)
ACTORS = ["store", "telemetry", "rate_limiter", "hh_client", "broadcaster", "scheduler", "submitter",
          "door", "gateway"]


@pytest.mark.settings(HH_REDIRECT_URI=CALLBACK)
def test_thirty_vacancies_of_which_the_21st_waits_for_its_token(system, simulator, person, listener):
    word, vacancies = publish(simulator)
    person.connect()
    resumes = person.request("/api/hh/resumes")
    assert resumes.status == 200 and resumes.json["success"], resumes.raw
    found = person.request("/api/jobs/search", "POST", {"text": word}).json["jobs"]
    assert sorted(job["id"] for job in found) == sorted(vacancies)

    workflow, started = person.auto_apply(vacancies)
    assert started["estimatedCompletion"] > "2026"
    wait_for(lambda: person.progress(workflow)["rate_limited"] == 1, 120, "the 21st waits")
    assert at_hh(simulator) == vacancies[:20], "in their order"
    assert not listener.of("rate_limit_update")[-1]["can_apply"]
    person.move_time(TOKEN_MS)
    wait_for(lambda: len(at_hh(simulator)) == 21, 30, "the 21st")
    wait_for(lambda: person.progress(workflow)["rate_limited"] == 1, 30, "the 22nd waits")
    person.move_time(9 * TOKEN_MS)
    wait_for(lambda: person.progress(workflow)["submitted"] == WANTED, 120, "all of them")
    check(simulator, person, listener, workflow, vacancies)
    assert at_hh(simulator) == vacancies
    # One more way, by hand: there is one already, and the answer is that of the first.
    again = person.request("/api/applications/submit", "POST", {"job_external_id": vacancies[0]})
    assert again.status == 200 and again.json["negotiation_id"], again.raw
    assert len(at_hh(simulator)) == WANTED


@pytest.mark.settings(HH_REDIRECT_URI=CALLBACK)
def test_every_actor_is_killed_at_random_all_the_time(system, simulator, person, listener):
    simulator.control("faults", {"kind": "latency", "ms": 200, "path": "/"})  # time to be killed in
    killer = Killer(system, ACTORS)
    try:
        workflow, vacancies = apply_to_all(simulator, person, 300)
    finally:
        killer.close()
    assert killer.kills > 20
    check(simulator, person, listener, workflow, vacancies)


def test_the_whole_tree_is_killed_in_the_middle(postgres, simulator):
    systems = [System(postgres, simulator, HH_REDIRECT_URI=CALLBACK) for _ in range(2)]
    first, second = systems
    running = [first]
    try:
        first.start()
        person = Person(lambda: running[0].url, postgres)
        listener = Listener(lambda: running[0].ws_url, person.user)
        _, vacancies = publish(simulator)
        person.connect()
        workflow, _ = person.auto_apply(vacancies)
        wait_for(lambda: len(at_hh(simulator)) >= 7, 120, "some are sent")
        first.process.kill()  # its children die with it
        first.process.wait(20)
        running[0] = second
        second.start()
        wait_for(lambda: person.progress(workflow)["rate_limited"] == 1, 120, "twenty are sent")
        person.move_time(10 * TOKEN_MS)
        wait_for(lambda: person.progress(workflow)["submitted"] == WANTED, 120, "all are sent")
        check(simulator, person, listener, workflow, vacancies)
        listener.close()
        person.close()
        second.stop()
    finally:
        for one in systems:
            one.close()


def test_of_two_servers_on_one_database_one_is_killed_half_way(postgres, simulator):
    systems = [System(postgres, simulator, HH_REDIRECT_URI=CALLBACK, NODE_NAME=name)
               for name in ("one", "two")]
    first, second = systems
    try:
        first.start()
        second.start()
        person = Person(lambda: second.url, postgres)
        listener = Listener(lambda: second.ws_url, person.user)
        _, vacancies = publish(simulator)
        person.connect()
        workflow, _ = person.auto_apply(vacancies)
        wait_for(lambda: len(at_hh(simulator)) >= 7, 120, "some are sent")
        first.process.kill()
        first.process.wait(20)
        before = len(at_hh(simulator))
        wait_for(lambda: len(at_hh(simulator)) > before, 10, "the other one has taken over")
        wait_for(lambda: person.progress(workflow)["rate_limited"] == 1, 120, "twenty are sent")
        person.move_time(10 * TOKEN_MS)
        wait_for(lambda: person.progress(workflow)["submitted"] == WANTED, 120, "all are sent")
        check(simulator, person, listener, workflow, vacancies)
        listener.close()
        person.close()
        second.stop()
    finally:
        for one in systems:
            one.close()
