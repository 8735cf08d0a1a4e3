"""The query language of the `text` parameter: words are AND-ed; "phrases", OR, NOT, (groups), prefix*, NAME:word.

parse() accepts anything a person may type: an unfinished quote or bracket is closed at the end, an operator
without operands is dropped. A node answers with a set of vacancy numbers from an Index (index.py).
"""
import re
from dataclasses import dataclass

from words import normalise, stem, stems_of

FIELD_PREFIXES = {"NAME": "name", "COMPANY_NAME": "company_name", "DESCRIPTION": "description"}
_LEXEME = re.compile(r'(NAME|COMPANY_NAME|DESCRIPTION):|("[^"]*"?)|([()])|([^\s()"]+)')


@dataclass(frozen=True)
class Prefix:
    prefix: str

    def find(self, index, fields):
        # The index holds stems, which may be shorter than what was typed.
        return set().union(*(index.starting_with(field, self.prefix) | index.having(field, stem(self.prefix))
                             for field in fields))

    def terms(self):
        return {self.prefix + "*"}


@dataclass(frozen=True)
class Phrase:
    """One word, or several that stand next to each other."""
    stems: tuple

    def find(self, index, fields):
        return set().union(*(self._find_in(index, field) for field in fields))

    def _find_in(self, index, field):
        found = set.intersection(*(index.having(field, word) for word in self.stems))
        if len(self.stems) == 1:
            return found
        return {number for number in found if any(self._stands_in(piece) for piece in index.pieces(number, field))}

    def _stands_in(self, piece):
        words, size = stems_of(piece), len(self.stems)
        return any(words[at:at + size] == self.stems for at in range(len(words) - size + 1))

    def terms(self):
        return set(self.stems)


@dataclass(frozen=True)
class All:
    parts: tuple

    def find(self, index, fields):
        return set.intersection(*(part.find(index, fields) for part in self.parts))

    def terms(self):
        return set().union(*(part.terms() for part in self.parts))


@dataclass(frozen=True)
class Any:
    parts: tuple

    def find(self, index, fields):
        return set().union(*(part.find(index, fields) for part in self.parts))

    def terms(self):
        return set().union(*(part.terms() for part in self.parts))


@dataclass(frozen=True)
class Not:
    part: object

    def find(self, index, fields):
        return index.live - self.part.find(index, fields)

    def terms(self):
        return set()


@dataclass(frozen=True)
class InField:
    field: str
    part: object

    def find(self, index, fields):
        return self.part.find(index, (self.field,))

    def terms(self):
        return self.part.terms()


def _lexemes(text):
    for field, quoted, bracket, word in _LEXEME.findall(text):
        if field:
            yield "field", FIELD_PREFIXES[field]
        elif quoted:
            yield "words", quoted
        elif bracket:
            yield bracket, bracket
        elif word in ("AND", "OR", "NOT"):
            yield word, word
        else:
            yield "words", word


def _words(text):
    if text.endswith("*") and len(text) > 1:
        return Prefix(normalise(text[:-1]))
    stems = stems_of(text)
    return Phrase(stems) if stems else None


class _Parser:
    """Recursive descent; a rule that finds nothing returns None, and its caller goes on without it."""

    # Deeper nesting than a person writes would only exhaust Python's stack.
    MAX_DEPTH = 50

    def __init__(self, text):
        self.lexemes = list(_lexemes(text))
        self.at = 0
        self.depth = 0

    def peek(self):
        return self.lexemes[self.at][0] if self.at < len(self.lexemes) else None

    def take(self):
        self.at += 1
        return self.lexemes[self.at - 1][1]

    def any_of(self):
        parts = [self.all_of()]
        while self.peek() == "OR":
            self.take()
            parts.append(self.all_of())
        return _combine(Any, parts)

    def all_of(self):
        parts = []
        while self.peek() not in (None, "OR", ")"):
            parts.append(self.one())
        return _combine(All, parts)

    def one(self):
        kind, value = self.peek(), self.take()
        if kind == "words":
            return _words(value)
        if kind == "AND" or self.peek() is None or self.depth >= self.MAX_DEPTH:
            return None
        self.depth += 1
        part = self.any_of() if kind == "(" else self.one() if self.peek() not in ("OR", ")") else None
        self.depth -= 1
        if kind == "(" and self.peek() == ")":
            self.take()
        if part is None or kind == "(":
            return part
        return Not(part) if kind == "NOT" else InField(value, part)

    def whole(self):
        parts = [self.any_of()]
        while self.peek() is not None:  # a closing bracket that nothing opened
            self.take()
            parts.append(self.any_of())
        return _combine(All, parts)


def _combine(kind, parts):
    parts = tuple(part for part in parts if part is not None)
    if len(parts) > 1:
        return kind(parts)
    return parts[0] if parts else None


def parse(text):
    """The node for the text, or None when it holds no word: that restricts nothing."""
    return _Parser(text).whole()
