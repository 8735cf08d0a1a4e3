"""Runs a Search over the Index: which vacancies match, in which order.

Sets of numbers are intersected first, the cheapest way to be exact; what is not a set (dates, salary, place) is
tested on what remains. Nothing is kept from one search to the next.
"""

# A salary is "close" to the one asked for when the range, widened by a quarter both ways, holds it.
CLOSE = 1.25


def find(search, index):
    """The matching vacancies, all of them, in the order asked for."""
    numbers = matching(search, index)
    found = [vacancy for vacancy in index.timeline if vacancy.number in numbers]
    for test in _tests(search):
        found = list(filter(test, found))
    return _ordered(search, index, found)


def matching(search, index):
    numbers = set(index.live)
    for facet, values in search.facets.items():
        numbers &= set().union(*(index.with_facet(facet, value) for value in values))
    for label in search.labels:
        numbers &= index.with_facet("label", label)
    for employer in search.excluded_employers:
        numbers -= index.with_facet("employer_id", employer)
    if search.text is not None:
        numbers &= search.text.find(index, search.fields)
    for node in search.excluded_text:
        numbers -= node.find(index, search.fields)
    return numbers


def _tests(search):
    tests = []
    if search.published_from is not None:
        tests.append(lambda vacancy: vacancy.published >= search.published_from)
    if search.published_to is not None:
        tests.append(lambda vacancy: vacancy.published <= search.published_to)
    if search.salary_roubles is not None:
        tests.append(lambda vacancy: vacancy.roubles is None or _is_close(vacancy.roubles, search.salary_roubles))
    if search.box is not None:
        tests.append(lambda vacancy: vacancy.point is not None and _is_inside(vacancy.point, search.box))
    return tests


def _is_close(roubles, wanted):
    low, high = roubles
    return low / CLOSE <= wanted <= high * CLOSE


def _is_inside(point, box):
    top, bottom, left, right = box
    return bottom <= point[0] <= top and left <= point[1] <= right


def _ordered(search, index, found):
    """found comes newest first, and sorting is stable: equals stay newest first."""
    order = search.order_by or ("relevance" if search.text is not None else "publication_time")
    if order == "relevance" and search.text is not None:
        in_title = search.text.find(index, ("name",))
        return sorted(found, key=lambda vacancy: vacancy.number not in in_title)
    if order in ("salary_desc", "salary_asc"):
        return _by_salary(found, order == "salary_desc")
    if order == "distance":
        return sorted(found, key=lambda vacancy: _far_if_unknown(vacancy.distance_m(*search.sort_point)))
    return found


def _by_salary(found, descending):
    """Vacancies that name no salary come last in both directions."""
    paid = [vacancy for vacancy in found if vacancy.roubles is not None]
    unpaid = [vacancy for vacancy in found if vacancy.roubles is None]
    if descending:
        return sorted(paid, key=lambda vacancy: -vacancy.roubles[1]) + unpaid
    return sorted(paid, key=lambda vacancy: vacancy.roubles[0]) + unpaid


def _far_if_unknown(distance_m):
    return float("inf") if distance_m is None else distance_m
