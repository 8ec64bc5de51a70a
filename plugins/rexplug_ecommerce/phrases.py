"""Finds the phrases of all languages in a text in one pass.

An Aho-Corasick automaton reads the folded text; each match is then checked with the text around it. Thousands of phrases take
hardly longer than one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rexplug import fold
from rexplug_ecommerce.language_files import CODES, Language, built_in, chosen, versions_of

Kind = Literal["buy", "label", "price", "measure", "spam", "pitch", "customer", "merchandise", "other"]
_Place = Literal["words", "bare label", "label", "before number", "after number"]
_ANYWHERE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005\u3041-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff]"
)
"""Letters of scripts without spaces between words, and of Korean, whose particles are at the end of words."""
_PREFIXED = ((re.compile("[\u0621-\u064a]"), "والبلكف"), (re.compile("[\u05d0-\u05ea]"), "והבלמשכ"))
"""Letters that Arabic and Hebrew write together with the word after them (and, the, in, for, from)."""
_BEFORE_LABELS = ";|,\u3001\u060c\u061b\u2022\u00b7\u30fb\u25a0\u25cf\u25aa\u25c6-*(\u3010\u300c["
_AFTER_LABELS = ":=|\t\n\u3011\u300d\uff1a"


_LETTERS = re.compile(r"\w+")
_BEGINNING = 4000
"""Characters at the beginning of a text that decide whether it is in English."""
_FEWEST_COMMON = 5
"""Least number of different common words of a language in a text that counts as written in it."""


class _Entry(NamedTuple):
    length: int
    kind: Kind
    place: _Place
    prefix: bool


class Found(NamedTuple):
    """A phrase that was found: its kind, and the folded text that matched it."""

    kind: Kind
    text: str


class PhraseFinder:
    """Finds phrases of some kinds."""

    def __init__(self, languages: Iterable[Language], kinds: Sequence[Kind]) -> None:
        import ahocorasick

        entries: dict[str, list[_Entry]] = {}
        for kind, place, phrase in _all(languages):
            key = fold(phrase.removesuffix("*"))
            entry = _Entry(len(key), kind, place, phrase.endswith("*"))
            others = entries.setdefault(key, [])
            # A phrase of several languages counts once, a label by the rule of the first; a currency may be on either side.
            if kind in kinds and all(
                other.kind != kind or (kind == "price" and other.place != place) for other in others
            ):
                others.append(entry)
        self._automaton: Any = ahocorasick.Automaton()
        for key, several in entries.items():
            if several:
                self._automaton.add_word(key, several)
        self._empty = not len(self._automaton)
        if not self._empty:
            self._automaton.make_automaton()

    def find(self, text: str) -> Iterator[Found]:
        """Yield the phrases in `text`, in order; those of one kind do not overlap, and of overlapping ones the first, then the
        longest counts."""
        if self._empty:
            return
        text = fold(text)
        candidates = []
        for last, entries in self._automaton.iter(text):
            for entry in entries:
                start, end = last + 1 - entry.length, last + 1
                if entry.prefix:
                    end = _word_end(text, end)
                if _stands_alone(text, start, end, entry):
                    candidates.append((start, -end, entry))
        candidates.sort()
        ends: dict[Kind, int] = {}
        for start, minus_end, entry in candidates:
            done = ends.get(entry.kind, 0)
            if start < done:
                continue
            end = -minus_end
            if entry.kind == "label":
                if not _is_label(text, start, end, done, bare=entry.place == "bare label"):
                    continue
                ends["label"] = _after_label(text, end)
            else:
                ends[entry.kind] = end
            yield Found(entry.kind, text[start:end])


def phrase_finder(codes: tuple[str, ...], files: tuple[Path, ...], kinds: tuple[Kind, ...]) -> PhraseFinder:
    """The finder of the phrases of some kinds in the languages with `codes` (all if empty) and those of the user's `files`.

    Raises:
        DataError: a file cannot be read.
    """
    return _phrase_finder(codes, files, kinds, versions_of(files))


@cache
def _phrase_finder(
    codes: tuple[str, ...],
    files: tuple[Path, ...],
    kinds: tuple[Kind, ...],
    versions: tuple[tuple[int, int] | None, ...],
) -> PhraseFinder:
    return PhraseFinder(chosen(codes, files), kinds)


def finder_for(text: str, codes: tuple[str, ...], files: tuple[Path, ...], kinds: tuple[Kind, ...]) -> PhraseFinder:
    """The finder for a text: of a text in English, phrases of other languages are words that happen to look the same.

    Raises:
        DataError: a file cannot be read.
    """
    if not codes or "en" in codes:
        codes = ("en",) if _is_english(text[:_BEGINNING]) else codes
    return phrase_finder(codes, files, kinds)


@lru_cache(maxsize=512)
def _is_english(beginning: str) -> bool:
    """Whether a text with this beginning is in English; cached, since each filter asks it for the same few hundred documents."""
    # Words of scripts without spaces stay together here: dividing them takes longer than all else, and none is English.
    return text_language(_LETTERS.findall(beginning.lower())) == "en"


def text_language(words: Iterable[str]) -> str | None:
    """The language of which most common words are among `words`, in lower case; None if there are too few.

    Cheap, not a full language identification: it tells sentences of one language from those of others, names and numbers.
    """
    counts: Counter[str] = Counter()
    languages = _languages_of_words()
    for word in languages.keys() & set(words):
        counts.update(languages[word])
    (first, number), *others = [*counts.most_common(2), ("", 0)]
    return first if number >= _FEWEST_COMMON and number > others[0][1] else None


@cache
def _languages_of_words() -> dict[str, list[str]]:
    """Common word -> the languages that have it."""
    words: dict[str, list[str]] = {}
    for code in CODES:
        for word in built_in(code).common_words:
            words.setdefault(word, []).append(code)
    return words


def _all(languages: Iterable[Language]) -> Iterator[tuple[Kind, _Place, str]]:
    languages = list(languages)
    for language in languages:
        yield from (("label", "bare label", phrase) for phrase in language.bare_labels)
    for language in languages:
        yield from (("label", "label", phrase) for phrase in language.all_labels())
        yield from (("price", "before number", phrase) for phrase in language.price_before)
        yield from (("price", "after number", phrase) for phrase in language.price_after)
        yield from (("measure", "after number", phrase) for phrase in language.measures)
        yield from (("buy", "words", phrase) for phrase in language.buy)
        yield from (("spam", "words", phrase) for phrase in language.spam)
        yield from (("pitch", "words", phrase) for phrase in language.pitch)
        yield from (("customer", "words", phrase) for phrase in language.customer)
        yield from (("merchandise", "words", phrase) for phrase in language.merchandise)
        yield from (("other", "words", phrase) for phrase in language.other)


def _stands_alone(text: str, start: int, end: int, entry: _Entry) -> bool:
    """Whether a phrase is whole words, and beside a number if it must be."""
    if entry.place == "after number":
        before = start - 1 if start and text[start - 1] == " " else start
        return (
            before > 0
            and (text[before - 1].isdigit() or text[before - 2 : before] in (",-", ".-"))
            and _ends(text, end)
        )
    if entry.place == "before number":
        after = end
        while after < end + 2 and text[after : after + 1] in (".", " "):
            after += 1
        return text[after : after + 1].isdigit() and _begins(text, start)
    if not _ends(text, end):
        return False
    if _begins(text, start):
        return True
    if entry.place != "words":
        return False
    for script, prefixes in _PREFIXED:
        if script.match(text[start]):
            before = start
            while before > max(0, start - 3) and text[before - 1] in prefixes:
                before -= 1
            return before < start and _begins(text, before)
    return False


def _begins(text: str, start: int) -> bool:
    return start == 0 or not _in_word(text[start - 1]) or _ANYWHERE.match(text[start]) is not None


def _ends(text: str, end: int) -> bool:
    return end >= len(text) or not _in_word(text[end]) or _ANYWHERE.match(text[end - 1]) is not None


def _in_word(character: str) -> bool:
    if character.isalnum() or character == "_":
        return True
    return character > "\u02ff" and unicodedata.category(character)[0] == "M"


def _word_end(text: str, end: int) -> int:
    while end < len(text) and _in_word(text[end]):
        end += 1
    return end


def _is_label(text: str, start: int, end: int, done: int, *, bare: bool) -> bool:
    """Whether a label begins a line or an entry of a list, after the label that ended at `done`, and has a value."""
    before = start
    new_line = start == 0
    while before > done and text[before - 1].isspace():
        before -= 1
        new_line = new_line or text[before] == "\n"
    if not new_line and before == 0:
        new_line = True
    if bare:
        return new_line or (before > done and text[before - 1] in ";|,")
    if not new_line and not (before > 0 and text[before - 1] in _BEFORE_LABELS):
        return False
    while end < len(text) and text[end] in " \u200b.":
        end += 1
    return end >= len(text) or text[end] in _AFTER_LABELS


def _after_label(text: str, end: int) -> int:
    """Where a label with its sign ends; a label that is alone on its line ends where the next line begins."""
    after = end
    while after < len(text) and text[after].isspace():
        after += 1
    if after < len(text) and text[after] in ":|=":
        return after + 1
    return after if after > end and after < len(text) and _in_word(text[after]) else end
