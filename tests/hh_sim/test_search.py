"""The search and the vacancies: every filter against what the details say, paging, order, and the rare cases in stock."""
import datetime
import json
import re
import time
from html import unescape

import pytest

PAGE_KEYS = {"items", "found", "pages", "page", "per_page", "clusters", "arguments", "fixes", "suggests", "alternate_url"}
ITEM_KEYS = {"id", "name", "url", "alternate_url", "apply_alternate_url", "area", "employer", "salary", "salary_range",
             "snippet", "type", "has_test", "response_letter_required", "accept_incomplete_resumes", "published_at",
             "relations", "professional_roles", "department"}
DETAIL_KEYS = {"description", "key_skills", "experience", "schedule", "type", "archived", "premium", "has_test",
               "response_letter_required", "allow_messages", "accept_handicapped", "accept_kids", "approved",
               "initial_created_at", "created_at", "published_at", "driver_license_types"}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0300")


def moment(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


def text_of(vacancy):
    words = re.sub(r"<[^>]*>", " ", vacancy["description"]) + " " + vacancy["name"]
    return unescape(words).lower() + " " + " ".join(skill["name"] for skill in vacancy["key_skills"]).lower()


@pytest.fixture(scope="session")
def stock(shared_sim):
    """Every item, read page by page; all at once would not fit the depth limit."""
    items = []
    for experience in ("noExperience", "between1And3", "between3And6", "moreThan6"):
        pages = shared_sim.page(experience=experience, per_page=100)["pages"]
        for page in range(pages):
            items += shared_sim.page(experience=experience, page=page, per_page=100)["items"]
    assert len(items) == shared_sim.page()["found"]
    return items


# The page

def test_a_page_and_its_items_have_hhs_keys(sim):
    page = sim.page(per_page=100)
    assert set(page) == PAGE_KEYS
    assert (page["page"], page["per_page"], len(page["items"])) == (0, 100, 100)
    for item in page["items"]:
        assert ITEM_KEYS <= set(item)
        assert isinstance(item["id"], str) and TIMESTAMP.fullmatch(item["published_at"])
        assert item["area"]["id"].isdigit() and item["professional_roles"][0]["id"].isdigit()


def test_pages_hold_every_match_once_in_the_order_of_the_search(sim):
    ids = sim.get("/_sim/search_ids", {"text": "linux"}).json()["ids"]
    first = sim.page(text="linux", per_page=7)
    assert first["found"] == len(ids) and first["pages"] == -(-len(ids) // 7)
    walked = [item["id"] for page in range(first["pages"]) for item in sim.page(text="linux", per_page=7, page=page)["items"]]
    assert walked == ids and len(set(ids)) == len(ids)
    assert sim.page(text="linux", per_page=7, page=first["pages"])["items"] == []


def test_nothing_found_has_no_pages(sim):
    page = sim.page(text="нетакогослова")
    assert (page["found"], page["pages"], page["items"]) == (0, 0, [])


def test_a_page_beyond_2000_items_is_refused_in_hhs_words(sim):
    assert len(sim.page(page=19, per_page=100)["items"]) == 100
    answer = sim.get("/vacancies", {"page": 20, "per_page": 100})
    assert (answer.status, answer.errors()) == (400, [("bad_argument", "page"), ("bad_argument", "per_page")])
    assert answer.json()["bad_argument"] == "page, per_page"


def test_pages_stop_at_the_depth_limit_unless_told_otherwise(sim, start):
    page = sim.page(per_page=100)
    assert page["found"] > 2000 and page["pages"] == 20
    page = start("--uncapped-pages", "--vacancies", "2500").page(per_page=100)
    assert page["pages"] == -(-page["found"] // 100) > 20


def test_per_page_0_asks_for_the_count_alone(sim):
    page = sim.page(per_page=0)
    assert page["items"] == [] and page["found"] > 2000


def test_unknown_parameters_are_ignored(sim):
    assert sim.page(wat="1", employer="x", host="hh.kz", locale="EN")["found"] == sim.page()["found"]


@pytest.mark.parametrize("query, name", [
    ({"per_page": 101}, "per_page"), ({"per_page": "x"}, "per_page"), ({"page": -1}, "page"),
    ({"employer_id": "acme"}, "employer_id"), ({"area": "moscow"}, "area"), ({"experience": "lots"}, "experience"),
    ({"schedule": ["remote", "never"]}, "schedule"), ({"order_by": "luck"}, "order_by"), ({"label": "nice"}, "label"),
    ({"search_field": "title"}, "search_field"), ({"salary": "many"}, "salary"), ({"salary": 1, "currency": "RUB"}, "currency"),
    ({"only_with_salary": "yes"}, "only_with_salary"), ({"period": 31}, "period"), ({"period": 0}, "period"),
    ({"period": 3, "date_from": "2026-01-01"}, "period"), ({"date_to": "2026-01-01"}, "date_from"),
    ({"date_from": "01.02.2026"}, "date_from"), ({"date_from": "2026-01-01T00:00:00 0300"}, "date_from"),
    ({"top_lat": 1, "bottom_lat": 0, "left_lng": 0}, "right_lng"), ({"order_by": "distance"}, "sort_point_lat")])
def test_a_value_hh_does_not_take_is_a_400_that_names_it(sim, query, name):
    answer = sim.get("/vacancies", query)
    assert (answer.status, answer.errors()) == (400, [("bad_argument", name)])
    assert answer.json()["bad_arguments"] == [{"name": name, "description": "Bad Request"}]


# Text

def test_words_are_anded_and_russian_endings_do_not_matter(sim):
    found = sim.found(text="Разработчика PYTHON", search_field="name")
    assert found
    for vacancy in found:
        assert re.search("разработчик", vacancy["name"].lower()) and "python" in vacancy["name"].lower()


def test_or_not_groups_and_fields(sim):
    def ids(text):
        return set(sim.get("/_sim/search_ids", {"text": text}).json()["ids"])
    assert ids("python OR java") == ids("python") | ids("java")
    assert ids("python NOT django") == ids("python") - ids("django")
    assert ids("(python OR java) AND sql") == (ids("python") | ids("java")) & ids("sql")
    assert ids("python OR java sql") == ids("python") | (ids("java") & ids("sql"))
    assert ids("NAME:python") < ids("python")
    assert ids("NAME:(python OR java)") == ids("NAME:python") | ids("NAME:java")
    assert ids("NAME:python DESCRIPTION:kafka") == ids("NAME:python") & ids("DESCRIPTION:kafka")
    assert ids("devops*") >= ids("devops")


def test_a_phrase_stands_together(sim):
    found = sim.found(text='"менеджер по продажам"')
    assert found and all(re.search(r"менеджер\w* по продаж\w*", text_of(vacancy)) for vacancy in found)
    assert len(found) < len(sim.found(text="менеджер по продажам"))


def test_search_field_says_where_to_look(sim):
    firm = sim.page(text="Полюс", search_field="company_name")
    assert firm["found"] and all("Полюс" in item["employer"]["name"] for item in firm["items"])
    assert sim.page(text="Полюс", search_field="name")["found"] == 0
    both = sim.page(text="Полюс", search_field=["name", "company_name"])
    assert both["found"] == firm["found"]


def test_c_is_not_cpp_and_emoji_are_words(sim):
    only_cpp = sim.page(text="NAME:C++", per_page=100)["items"]
    assert only_cpp and all("C++" in item["name"] for item in only_cpp)
    assert all("🚀" in item["name"] for item in sim.page(text="NAME:🚀")["items"])


def test_excluded_text_takes_its_words_out(sim):
    def ids(**query):
        return set(sim.get("/_sim/search_ids", query).json()["ids"])
    assert ids(text="python", excluded_text="django, fastapi") == ids(text="python NOT django NOT fastapi")


@pytest.mark.parametrize("text", ["", " ", '"', "((", "))", "NOT", "OR", "AND AND", "NAME:", "NAME:NOT", "*", "a*" * 50, "\\", "%00",
                                  "(" * 500, "NOT " * 500, "💥", "\u202e", "a OR OR b", '"a" "b', "NOT NOT NOT python", "\n\t"])
def test_no_text_breaks_the_search(sim, text):
    assert sim.get("/vacancies", {"text": text}).status == 200


def test_found_words_are_highlighted_in_the_snippet(sim):
    items = sim.page(text="тестирование OR kafka", per_page=100)["items"]
    snippets = [part for item in items for part in item["snippet"].values() if part]
    marked = set(re.findall("<highlighttext>(.*?)</highlighttext>", " ".join(snippets)))
    assert marked == {"тестирования", "Kafka"}
    assert "highlighttext" not in json.dumps(sim.page(text="NOT kafka", per_page=100))


# Filters

@pytest.mark.parametrize("name, values, read", [
    ("experience", ["noExperience", "moreThan6"], lambda item: [item["experience"]["id"]]),
    ("employment", ["part"], lambda item: [(item.get("employment") or {}).get("id")]),
    ("schedule", ["remote", "shift"], lambda item: [(item.get("schedule") or {}).get("id")]),
    ("employment_form", ["PROJECT"], lambda item: [(item.get("employment_form") or {}).get("id")]),
    ("work_format", ["HYBRID"], lambda item: [entry["id"] for entry in item.get("work_format", [])]),
    ("working_hours", ["HOURS_4"], lambda item: [entry["id"] for entry in item.get("working_hours", [])]),
    ("work_schedule_by_days", ["WEEKEND"], lambda item: [entry["id"] for entry in item.get("work_schedule_by_days", [])]),
    ("professional_role", ["160", "18"], lambda item: [entry["id"] for entry in item["professional_roles"]]),
    ("area", ["2", "88"], lambda item: [item["area"]["id"]]),
    ("employer_id", ["9000001", "9000002"], lambda item: [item["employer"].get("id")])])
def test_filter_selects_exactly_the_vacancies_with_one_of_its_values(sim, stock, name, values, read):
    found = set(sim.get("/_sim/search_ids", {name: values}).json()["ids"])
    # Items that leave the optional key out may be found all the same: the key is hidden, not the fact.
    shown = {item["id"] for item in stock if set(read(item)) & set(values)}
    hidden = {item["id"] for item in stock if name not in item}
    assert shown and shown <= found <= shown | hidden
    if name in ITEM_KEYS:
        assert found == shown


def test_an_area_holds_the_areas_inside_it(sim, stock):
    russia = sim.page(area="113")["found"]
    abroad = {"160", "159", "1002", "2759", "2760", "2758", "2492"}
    assert russia == sum(item["area"]["id"] not in abroad for item in stock)
    assert sim.page(area=["113", "1"])["found"] == russia
    assert sim.page(area="1624")["found"] == sim.page(area=["88", "1642"])["found"] > 0
    assert sim.page(area="123456")["found"] == 0


def test_salary_finds_what_is_close_and_what_names_none(sim):
    page = sim.page(salary=100_000, per_page=100, order_by="salary_asc")
    for item in page["items"]:
        salary = item["salary"]
        if salary and salary["currency"] == "RUR":
            low, high = salary["from"] or salary["to"], salary["to"] or salary["from"]
            assert low / 1.25 <= 100_000 <= high * 1.25
    assert sim.page(salary=100_000, only_with_salary="true")["found"] < page["found"]
    dollars = sim.page(salary=1250, currency="USD")
    assert dollars["found"] == page["found"]


def test_labels_must_all_hold(sim):
    with_salary = sim.page(label="with_salary", per_page=100)
    assert with_salary["found"] == sim.page(only_with_salary="true")["found"]
    assert all(item["salary"] for item in with_salary["items"])
    both = sim.page(label=["with_salary", "with_address"])["found"]
    assert 0 < both < min(with_salary["found"], sim.page(label="with_address")["found"])


def test_period_and_dates_bound_the_publication(sim, stock):
    now = datetime.datetime.now(datetime.timezone.utc)
    recent = sim.page(period=5, per_page=100, order_by="publication_time")
    assert recent["found"] == sum(now - moment(item["published_at"]) <= datetime.timedelta(days=5) for item in stock)
    item = recent["items"][50]
    published = moment(item["published_at"])
    start, end = (published - datetime.timedelta(days=1)), (published + datetime.timedelta(minutes=5))
    between = sim.found(date_from=start.strftime("%Y-%m-%dT%H:%M:%S%z"), date_to=end.strftime("%Y-%m-%dT%H:%M:%S%z"))
    assert item["id"] in [vacancy["id"] for vacancy in between]
    slack = datetime.timedelta(minutes=5)
    assert all(start - slack <= moment(vacancy["published_at"]) <= end + slack for vacancy in between)


def test_date_from_is_rounded_down_to_five_minutes(start):
    sim = start("--max-rps", "0")
    vacancy_id = sim.control("vacancies", {"name": "маркер", "published_at": "2026-11-20T10:05:00+0300"})["ids"][0]

    def found(date_from):
        return vacancy_id in sim.get("/_sim/search_ids", {"text": "маркер", "date_from": date_from}).json()["ids"]
    assert found("2026-11-20T10:05:00+0300") and found("2026-11-20T10:09:59+0300")
    assert found("2026-11-20T07:05:00+0000") and found("2026-11-20")
    assert not found("2026-11-20T10:10:00+0300")


def test_date_to_as_a_day_takes_the_whole_day(start):
    sim = start()
    sim.control("vacancies", {"name": "маркер", "published_at": "2026-11-20T23:30:00+0300"})
    assert sim.page(text="маркер", date_from="2026-11-19", date_to="2026-11-20")["found"] == 1
    assert sim.page(text="маркер", date_from="2026-11-18", date_to="2026-11-19")["found"] == 0


def test_a_box_and_the_distance_use_the_address(sim):
    box = {"top_lat": 56, "bottom_lat": 55.5, "left_lng": 37, "right_lng": 38}
    page = sim.page(**box, order_by="distance", sort_point_lat=55.75, sort_point_lng=37.61, per_page=100)
    assert page["found"]
    distances = [item["sort_point_distance"] for item in page["items"]]
    assert distances == sorted(distances) and distances[-1] < 50_000
    assert all(item["sort_point_distance"] is None for item in sim.page()["items"])


def test_metro_finds_by_line_and_by_station(sim):
    station = sim.page(metro="6.8", per_page=100)
    assert all("6.8" in [near["station_id"] for near in item["address"]["metro_stations"]]
               for item in station["items"] if "address" in item)
    assert 0 < station["found"] <= sim.page(metro="6")["found"]


# Order

def test_order_by_publication_time_is_newest_first(sim):
    times = [moment(item["published_at"]) for item in sim.page(order_by="publication_time", per_page=100)["items"]]
    assert times == sorted(times, reverse=True)


def test_order_by_salary_puts_those_without_last(sim):
    ids = sim.get("/_sim/search_ids", {"order_by": "salary_desc", "text": "водитель"}).json()["ids"]
    salaries = [sim.vacancy(vacancy_id).get("salary", "hidden") for vacancy_id in ids]
    paid = [place for place, salary in enumerate(salaries) if isinstance(salary, dict)]
    unpaid = [place for place, salary in enumerate(salaries) if salary is None]
    assert paid and unpaid and max(paid) < min(unpaid)
    roubles = [salaries[place] for place in paid if salaries[place]["currency"] == "RUR"]
    tops = [salary["to"] or salary["from"] for salary in roubles]
    assert tops == sorted(tops, reverse=True)


def test_a_text_ranks_matching_titles_first_by_default(sim):
    names = ["python" in item["name"].lower() for item in sim.page(text="python", per_page=100, page=0)["items"]]
    assert names == sorted(names, reverse=True) and any(names)


def test_counters_clusters_and_arguments_come_on_request(sim):
    page = sim.page(area="1", responses_count_enabled="true", clusters="true", describe_arguments="true")
    assert all(item["counters"]["responses"] >= 0 for item in page["items"])
    experience = next(cluster for cluster in page["clusters"] if cluster["id"] == "experience")
    assert sum(item["count"] for item in experience["items"]) == page["found"]
    assert ("area", "1") in [(argument["argument"], argument["value"]) for argument in page["arguments"]]
    assert "counters" not in sim.page()["items"][0]


def test_contacts_are_for_callers_with_a_token(start):
    sim = start("--anonymous", "open", "--max-rps", "0")
    assert any(item["contacts"] for item in sim.page(per_page=100)["items"])
    assert not any(item["contacts"] for item in sim.get("/vacancies", {"per_page": 100}, token=None).json()["items"])


# The vacancies

@pytest.fixture(scope="session")
def all_details(shared_sim, stock):
    return {item["id"]: shared_sim.vacancy(item["id"]) for item in stock[:600]}


def test_details_have_hhs_keys_and_a_description_worth_reading(all_details):
    for vacancy in all_details.values():
        assert DETAIL_KEYS <= set(vacancy) and "snippet" not in vacancy
        assert len(vacancy["description"]) >= 200 and "<" in vacancy["description"]
        assert len(vacancy["key_skills"]) <= 30
        assert TIMESTAMP.fullmatch(vacancy["initial_created_at"])


def test_archived_vacancies_are_not_found_and_still_answer(start):
    sim = start("--max-rps", "0")
    found = set(sim.get("/_sim/search_ids").json()["ids"])
    others = [number for number in range(128_000_001, 128_000_201) if str(number) not in found]
    assert len(others) == 6
    assert all(sim.vacancy(number)["archived"] is True for number in others)


def test_publication_is_spread_over_the_last_month(stock):
    ages = [(time.time() - moment(item["published_at"]).timestamp()) / 86_400 for item in stock]
    assert 0 < min(ages) < 1 and 29 < max(ages) < 30


@pytest.mark.parametrize("what, holds", [
    ("anonymous without id", lambda item: item["type"]["id"] == "anonymous" and "id" not in item["employer"]),
    ("direct with response_url", lambda item: item["type"]["id"] == "direct" and item.get("response_url")),
    ("test", lambda item: item["has_test"]), ("letter", lambda item: item["response_letter_required"]),
    ("no salary", lambda item: item["salary"] is None), ("only from", lambda item: item["salary"] and not item["salary"]["to"]),
    ("only to", lambda item: item["salary"] and not item["salary"]["from"]),
    ("gross unknown", lambda item: item["salary"] and item["salary"]["gross"] is None),
    ("title over 255", lambda item: len(item["name"]) > 255), ("emoji", lambda item: "🚀" in item["name"]),
    ("beyond the BMP", lambda item: max(item["name"]) > "\U00010000"),
    ("right to left", lambda item: re.search("[\u0590-\u06ff]", item["name"])),
    ("combining", lambda item: re.search("[\u0300-\u036f]", item["name"])),
    ("quotes and backslashes", lambda item: '"' in item["name"] and "\\" in item["name"] and "'" in item["name"]),
    ("markup in the title", lambda item: "<script>" in item["name"]),
    ("null snippet part", lambda item: item["snippet"]["requirement"] is None),
    ("null schedule", lambda item: item.get("schedule", 0) is None), ("absent address", lambda item: "address" not in item),
    ("unknown keys", lambda item: "brand_snippet_v2" in item), ("archived as text", lambda item: item.get("archived") == "false"),
    ("null among relations", lambda item: None in item["relations"])])
def test_stock_holds(stock, what, holds):
    assert any(holds(item) for item in stock), what


@pytest.mark.parametrize("what, holds", [
    ("script in branded_description", lambda vacancy: "<script>" in (vacancy["branded_description"] or "")),
    ("no salary key", lambda vacancy: "salary" not in vacancy), ("no employer key", lambda vacancy: "employer" not in vacancy),
    ("null employer", lambda vacancy: vacancy.get("employer", 0) is None), ("no skills", lambda vacancy: vacancy["key_skills"] == []),
    ("entities", lambda vacancy: "&nbsp;" in vacancy["description"]),
    ("nested lists", lambda vacancy: re.search("<ol><li>.*<ul>", vacancy["description"])),
    ("required test", lambda vacancy: (vacancy["test"] or {}).get("required"))])
def test_details_hold(all_details, what, holds):
    assert any(holds(vacancy) for vacancy in all_details.values()), what


def test_several_currencies_are_paid(stock):
    assert {item["salary"]["currency"] for item in stock if item["salary"]} >= {"RUR", "USD", "EUR", "KZT", "BYR", "UZS"}
