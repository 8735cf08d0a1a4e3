"""Words of a text, as the search sees them: split, lower-cased, and cut to a crude stem.

HH knows Russian morphology; cutting the usual endings is enough here for "разработчика" to find "Разработчик".
Everything in this file is a pure function, so remembering results cannot hide a new vacancy.
"""
import functools
import re
import unicodedata

# Letters and digits with what "C++" and "C#" need; a symbol (an emoji) is a word of its own.
WORD = re.compile(r"[^\W_]+[+#]*|[\u2190-\u2bff\U0001f000-\U0001faff]")
_COMBINING = re.compile(r"[\u0300-\u036f]")
_RUSSIAN_ENDING = re.compile(
    r"(?:иями|ями|ами|ией|иям|ием|иях|ого|его|ому|ему|ыми|ими|ая|яя|ое|ее|ые|ие|ой|ей|ий|ый|ых|их|ую|юю|"
    r"ам|ям|ах|ях|ов|ев|ом|ем|ью|ия|ию|ии|а|я|о|е|ы|и|у|ю|ь|й)$")
_MIN_STEM = 4


def normalise(text):
    return _COMBINING.sub("", unicodedata.normalize("NFC", text)).lower().replace("ё", "е")


@functools.lru_cache(maxsize=100_000)
def stem(word):
    word = normalise(word)
    if len(word) <= _MIN_STEM:
        return word
    if word.isascii():
        return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
    cut = _RUSSIAN_ENDING.sub("", word)
    return cut if len(cut) >= _MIN_STEM else word


@functools.lru_cache(maxsize=50_000)
def stems_of(text):
    return tuple(stem(word) for word in WORD.findall(normalise(text)))


@functools.lru_cache(maxsize=20_000)
def highlight(text, terms):
    """Marks the words of text whose stem is in terms (a frozenset; "разраб*" stands for a prefix)."""
    if text is None or not terms:
        return text
    prefixes = tuple(term[:-1] for term in terms if term.endswith("*"))

    def mark(match):
        word = match.group()
        if stem(word) in terms or (prefixes and normalise(word).startswith(prefixes)):
            return f"<highlighttext>{word}</highlighttext>"
        return word
    return WORD.sub(mark, text)
