"""What the search looks up: every vacancy by number, sets of numbers by word and by facet, and the order of publication.

Written at the moment a vacancy is added, so that a search sees it at once.
"""
import bisect
from collections import defaultdict

from words import stems_of

TEXT_FIELDS = ("name", "company_name", "description")
_NOBODY = set()  # the sets handed out are looked at, never changed


def _newest_first(vacancy):
    return (-vacancy.published, -vacancy.number)


class Index:
    def __init__(self):
        self.vacancies = {}                # by number, archived ones too
        self.by_id = {}
        self.live = set()                  # numbers that a search may return
        self.timeline = []                 # live and archived, newest first
        self._words = {field: defaultdict(set) for field in TEXT_FIELDS}
        self._facets = defaultdict(set)    # (facet, value) -> numbers

    def add_all(self, vacancies):
        for vacancy in vacancies:
            self._file(vacancy)
        self.timeline.extend(vacancies)
        self.timeline.sort(key=_newest_first)

    def add(self, vacancy):
        self._file(vacancy)
        bisect.insort(self.timeline, vacancy, key=_newest_first)

    def _file(self, vacancy):
        number = vacancy.number
        self.vacancies[number] = vacancy
        self.by_id[vacancy.id] = vacancy
        if not vacancy.archived:
            self.live.add(number)
        for field in TEXT_FIELDS:
            words = self._words[field]
            for piece in vacancy.pieces[field]:
                for word in stems_of(piece):
                    words[word].add(number)
        for facet in vacancy.facets:
            self._facets[facet].add(number)

    def archive(self, vacancy):
        vacancy.archive()
        self.live.discard(vacancy.number)

    def pieces(self, number, field):
        return self.vacancies[number].pieces[field]

    def having(self, field, word):
        return self._words[field].get(word, _NOBODY)

    def starting_with(self, field, prefix):
        words = self._words[field]
        return set().union(*(words[word] for word in words if word.startswith(prefix)))

    def with_facet(self, facet, value):
        return self._facets.get((facet, value), _NOBODY)
