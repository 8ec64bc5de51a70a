"""Searches for short texts in scripts without spaces letter by letter, since their division into words depends on the context.

A dictionary divides a run of letters as a whole, so the first and the last word of a short Japanese or Thai title can be others
in the sentence that quotes it. Letters do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.rolling_hash import Hashes, powers, prefix_sums, window_hashes
from rexplug.text.characters import IN_WORD, MARK, OTHER, SPACE, character_classes
from rexplug.text.words import has_unspaced

_BEGIN = 8
"""Letters at the beginning of a text that are looked up before all of it is compared; shorter texts are not searched for."""
_TEXT = np.dtype([("begin", "<u8"), ("whole", "<u8"), ("length", "<u4"), ("owner", "<u4")])
_FILE = "whole-texts.npy"
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Found(NamedTuple):
    """A text that occurs in a document."""

    owner: int
    """The number of the text."""
    start: int
    """Its first character in the folded document."""
    end: int
    """One past its last character there."""
    share: float
    """Its letters as a share of the document's."""


class _Letters:
    """The letters, digits and marks of a folded text, without white space and punctuation.

    Attributes:
        places: their places in the text, `[n]`.
        inside: whether a letter continues a word of letters with spaces, or is a mark, `[n + 1]`; false at the end.
    """

    def __init__(self, folded: str) -> None:
        classes = character_classes(folded)
        self.places = np.flatnonzero((classes != SPACE) & (classes != OTHER))
        kinds = classes[self.places]
        self.inside = np.zeros(len(kinds) + 1, np.bool_)
        if len(kinds):
            in_word = (kinds == IN_WORD) | (kinds == MARK)
            self.inside[1:-1] = (np.diff(self.places) == 1) & (
                (kinds == MARK) | (kinds == IN_WORD) & _shifted(in_word)
            )[1:]
        codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), "<u4")[self.places].astype(np.uint64)
        values = (codes + np.uint64(1)) * _MIX
        values ^= values >> np.uint64(31)
        weights, self._inverse = powers(len(values) + 1)
        self._sums = prefix_sums(values * _MIX, weights[:-1])

    def __len__(self) -> int:
        return len(self.places)

    def hashes(self, length: int) -> Hashes:
        """The hash of every `length` letters in a row."""
        return window_hashes(self._sums, self._inverse, length)

    def hash_at(self, start: int, length: int) -> int:
        """The hash of `length` letters from `start` on."""
        total = int(self._sums[start + length]) - int(self._sums[start])
        return total * int(self._inverse[start]) % 2**64


def _shifted(values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The values shifted by one place: each is that of the place before, false at the first."""
    before = np.zeros_like(values)
    before[1:] = values[:-1]
    return before


class WholeTexts:
    """The texts of an index that are looked for letter by letter."""

    def __init__(self, texts: NDArray[np.void]) -> None:
        self._texts = texts[np.argsort(texts["begin"], kind="stable")]

    def __len__(self) -> int:
        return len(self._texts)

    @classmethod
    def of(cls, folded: Iterable[tuple[int, str]]) -> WholeTexts:
        """The texts with their numbers; those of too few letters are left out."""
        rows = []
        for owner, text in folded:
            letters = _Letters(text)
            if len(letters) >= _BEGIN:
                rows.append((letters.hash_at(0, _BEGIN), letters.hash_at(0, len(letters)), len(letters), owner))
        return cls(np.array(rows, _TEXT))

    @classmethod
    def load(cls, folder: Path) -> WholeTexts:
        """Load the texts that `save` wrote."""
        return cls(np.load(folder / _FILE))

    def save(self, folder: Path) -> None:
        """Write the texts' hashes."""
        np.save(folder / _FILE, self._texts)

    def find(self, folded: str) -> Iterator[Found]:
        """Yield each occurrence in a folded text that neither begins nor ends inside a word of a script with spaces."""
        if not len(self._texts) or not has_unspaced(folded):
            return
        letters = _Letters(folded)
        if len(letters) < _BEGIN:
            return
        hashes = letters.hashes(_BEGIN)
        first = np.searchsorted(self._texts["begin"], hashes, side="left")
        last = np.searchsorted(self._texts["begin"], hashes, side="right")
        for start in np.flatnonzero(last > first).tolist():
            for _, whole, length, owner in self._texts[first[start] : last[start]].tolist():
                end = start + length
                if end > len(letters) or letters.inside[start] or letters.inside[end]:
                    continue
                if letters.hash_at(start, length) == whole:
                    yield Found(
                        owner, int(letters.places[start]), int(letters.places[end - 1]) + 1, length / len(letters)
                    )
