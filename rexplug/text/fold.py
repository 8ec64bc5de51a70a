"""The form of a text that texts are compared by: what differs only in case, accents, width or encoding is equal.

Search for benchmark texts and for exact duplicates compares folded texts, so that a copy in capitals, without accents, with
decomposed accents (NFD), in full-width letters or with a soft hyphen is found. Only comparisons use it: what is written is the text
itself.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rexplug.text.words import lower_words, split_words

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_DIGIT = re.compile(r"[^\D0-9]")
# Marks that writers leave out or that keyboards compose: accents of Latin, Greek and Cyrillic letters, vowel points of Hebrew and
# Arabic, and the stroke that stretches Arabic words. Vowel signs of Indic and Thai letters and the voiced marks of Kana tell words
# apart and stay.
_ACCENTS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f"
)
_INVISIBLE = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
_LEFT_OUT = re.compile(f"[{_ACCENTS}{_INVISIBLE}]+")
_CLUSTER = re.compile(rf"[\x00-\x7f]|[^\x00-\x7f](?:[{_ACCENTS}{_INVISIBLE}\u1100-\u11ff\u3099\u309a\uff9e\uff9f]*)")
"""A character with what it may be composed with."""


def fold(text: str) -> str:
    """The text in the form for comparisons: case folded, compatibility forms replaced, without accents and invisible characters.

    Decimal digits of any script become ASCII digits. A text and its NFC, NFD, NFKC and NFKD forms have the same folded form.
    """
    if text.isascii():
        return text.lower()
    return _BEYOND_ASCII.sub(_fold_match, text.lower())


def folded_words(text: str) -> list[str]:
    """The words of the folded text, in order."""
    return lower_words(text) if text.isascii() else split_words(fold(text))


def fold_with_places(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its characters where in the text it comes from; at last `len(text)`."""
    if text.isascii():
        return text.lower(), list(range(len(text) + 1))
    folded, places = [], []
    for match in _CLUSTER.finditer(text):
        part = fold(match[0])
        folded.append(part)
        places += [match.start()] * len(part)
    whole = fold(text)
    if "".join(folded) != whole:  # rare compositions of several letters: proportions are near enough for an excerpt
        places = [place * len(text) // len(whole) for place in range(len(whole))]
    return whole, [*places, len(text)]


def _fold_match(match: re.Match[str]) -> str:
    characters = match.group()
    return _fold_few(characters) if len(characters) < 3 else _fold(characters)


@lru_cache(maxsize=10_000)
def _fold_few(characters: str) -> str:
    return _fold(characters)


def _fold(text: str) -> str:
    # Folding the case can bring characters that decompose, and decomposition capitals that fold.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = _LEFT_OUT.sub("", decomposed)
    return plain if plain.isascii() else unicodedata.normalize("NFC", _DIGIT.sub(_ascii_digit, plain))


def _ascii_digit(match: re.Match[str]) -> str:
    return str(unicodedata.decimal(match.group()))
