"""What several filters want to know of a text, worked out once per document: words, lines, hashes of n-grams.

Splitting into words and comparing n-grams is where quality filters spend their time. Here the words are split once,
what a word consists of is looked up in a table, and n-grams are differences of one running hash, for any n.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Document

WORD = re.compile(r"\w+(?:['’\-]\w+)*|[^\w\s]")
"""Words, with inner apostrophes and hyphens, and punctuation marks one by one."""
SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")

SHOWS, LETTER = 1, 2
"""Bits of a word's code: it has a character that is no punctuation; it has a letter. The length is above them."""

# Of the running hash, modulo 2 ** 64: an odd base and its inverse.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_BORDER = np.uint64(0x94D049BB133111EB)
_REMEMBERED = 1 << 20


class _Codes(dict[str, int]):
    """Word -> code, for words that were met before; the same few thousand make up most of any text."""

    def __missing__(self, word: str) -> int:
        from datatrove.utils.text import PUNCTUATION_SET

        shows = any(character not in PUNCTUATION_SET for character in word)
        letter = any(character.isalpha() for character in word)
        code = len(word) << 2 | letter << 1 | shows
        if len(word) <= 40:
            if len(self) >= 300_000:
                self.clear()
            self[word] = code
        return code


_codes = _Codes()


class TextStatistics:
    """A text, and what was worked out about it so far."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """Words and punctuation marks."""
        return WORD.findall(self.text)

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """[num_words] length of each word, times 4, and the bits `SHOWS` and `LETTER`."""
        return np.fromiter(map(_codes.__getitem__, self.words), np.int64, len(self.words))

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """[num_words] characters."""
        return self.codes >> 2

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """[num_words + 1] where words end in the text of all words without white space; begins with 0."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.lengths)])

    @cached_property
    def _hashes(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
        """Running hash of the characters and of the borders at each end of a word, and what undoes the position."""
        joined = "".join(self.words)
        values = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
        values = (values + np.uint64(1)) * _MIX
        values ^= values >> np.uint64(29)
        values *= _BORDER
        values ^= values >> np.uint64(32)
        powers, inverse = _powers(len(values) + 1)
        running = np.zeros(len(values) + 1, np.uint64)
        np.cumsum(values * powers[: len(values)], out=running[1:])
        borders = np.zeros(len(self.ends), np.uint64)
        np.cumsum(powers[self.ends[:-1]] * _BORDER, out=borders[1:])
        return running[self.ends], borders, inverse[self.ends]

    def ngrams(self, n: int, *, borders: bool) -> NDArray[np.uint64]:
        """[num_words - n + 1] a hash of each n-gram.

        With `borders` equal hashes mean equal words, without them equal characters ("ab c" and "a bc" are the same).
        """
        characters, marks, undo = self._hashes
        sums = characters + marks if borders else characters
        return (sums[n:] - sums[:-n]) * undo[:-n]


def text_statistics_of(document: Document) -> TextStatistics:
    """The document's analysis; the same object for every filter that sees the document with this text."""
    return document.cached("analysis", TextStatistics)


@lru_cache(maxsize=1)
def _remembered() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    return _computed(_REMEMBERED)


def _powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The first powers of the base and of its inverse."""
    if count > _REMEMBERED:
        return _computed(count)
    powers, inverse = _remembered()
    return powers[:count], inverse[:count]


def _computed(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    made = []
    for base in (_BASE, _INVERSE):
        factors = np.full(count, base, np.uint64)
        factors[0] = 1
        made.append(np.cumprod(factors, dtype=np.uint64))
    return made[0], made[1]
