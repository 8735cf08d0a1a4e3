"""The main job: a search is scheduled, and its vacancies arrive, each once, the later ones too."""
from support.system import wait_for


def schedule(system, user, search, interval_s=5):
    answer = system.request(f"/api/schedules/{user}", "PUT",
                            {"search": search, "interval_s": interval_s})
    assert answer.status == 200, answer.raw


def test_scheduled_vacancies_arrive_once_and_later_ones_too(system, simulator, user, subscriber):
    before = simulator.ids("text=python")
    assert 10 < len(before) < 2000, "a search that HH's depth does not cut"
    schedule(system, user, {"text": "python"})
    wait_for(lambda: set(subscriber.job_ids()) >= set(before), 15, "what was there")
    later = [simulator.publish(1, name=f"Python developer, number {n}")[0] for n in range(5)]
    wait_for(lambda: set(subscriber.job_ids()) >= set(map(str, later)), 20, "what was published")
    ids = subscriber.job_ids()
    assert len(ids) == len(set(ids)), "a repeat"
    assert set(ids) == set(simulator.ids("text=python"))
    assert subscriber.problems == []


def test_schedule_survives_a_restart_of_everything(system, simulator, user, subscriber):
    schedule(system, user, {"text": "python"})
    wait_for(lambda: system.request(f"/api/schedules/{user}").json["schedule"]["runs"] > 0, 20)
    system.stop()
    system.start()
    published = str(simulator.publish(1, name="Python developer after the restart")[0])
    wait_for(lambda: published in subscriber.job_ids(), 25, "the schedule goes on")
    ids = subscriber.job_ids()
    assert len(ids) == len(set(ids)), "a repeat"


def test_search_schedule_and_list_over_http_and_the_door(system, simulator, user):
    page = system.request("/api/jobs/search", "POST", {"text": "python", "per_page": 10}).json
    assert [job["id"] for job in page["jobs"]], page
    job = page["jobs"][0]["id"]
    details = system.request(f"/api/jobs/{job}").json["job"]
    assert details["full_description_loaded"] is True and details["id"] == job
    schedule(system, user, {"text": "python"})
    door = system.door()
    kind, listed = door.call("schedules.list")
    door.close()
    assert kind == "reply" and [s["user_id"] for s in listed["schedules"]] == [user]
    assert system.request(f"/api/schedules/{user}", "DELETE").status == 200
    assert system.request(f"/api/schedules/{user}").status == 404
    wait_for(lambda: f"fetcher:{user}" not in system.tree(), 15, "its fetcher is gone")
