"""Statistics of a text that several filters need, computed once per document: words, their properties, hashes of n-grams.

Splitting into words and comparing n-grams is where quality filters spend their time. Here the words are split once, the
properties of a word are looked up in a table, and the hashes of n-grams come from one rolling hash, for any n.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from rexplug.components import Document
from rexplug.corpus.rolling_hash import Hashes, powers, prefix_sums, window_hashes
from rexplug.text.words import split_words_and_marks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HAS_NON_PUNCTUATION, HAS_LETTER = 1, 2
"""Bits of a word's code: whether it has a character that is not punctuation, and a letter. The length is above them."""

_MIX = 0xBF58476D1CE4E5B9
_BORDER = 0x94D049BB133111EB
_MOST_WORDS = 300_000
"""Words whose codes are kept."""
_LONGEST_WORD = 40
"""Characters of the longest word whose code is kept."""


class _Codes(dict[str, int]):
    """Word -> code, computed when a word is first looked up: the same few thousand words make up most of any text."""

    def __missing__(self, word: str) -> int:
        from datatrove.utils.text import PUNCTUATION_SET

        has_non_punctuation = any(character not in PUNCTUATION_SET for character in word)
        has_letter = any(character.isalpha() for character in word)
        code = len(word) << 2 | has_letter << 1 | has_non_punctuation
        if len(word) <= _LONGEST_WORD:
            if len(self) >= _MOST_WORDS:
                self.clear()
            self[word] = code
        return code


_codes = _Codes()


class TextStatistics:
    """The statistics of a text; each is computed when it is first read."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """Words and punctuation marks."""
        return split_words_and_marks(self.text)

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """`[num_words]` length of each word, times 4, plus the bits `HAS_NON_PUNCTUATION` and `HAS_LETTER`."""
        import numpy as np

        return np.fromiter(map(_codes.__getitem__, self.words), np.int64, len(self.words))

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """`[num_words]` length of each word in characters."""
        return self.codes >> 2

    @cached_property
    def num_non_symbols(self) -> int:
        """Number of words that are not punctuation alone."""
        import numpy as np

        return int(np.count_nonzero(self.codes & HAS_NON_PUNCTUATION))

    @cached_property
    def non_symbol_characters(self) -> int:
        """Characters of the words that are not punctuation alone."""
        return int(self.lengths[(self.codes & HAS_NON_PUNCTUATION) != 0].sum())

    @cached_property
    def num_with_letter(self) -> int:
        """Number of words with a letter."""
        import numpy as np

        return int(np.count_nonzero(self.codes & HAS_LETTER))

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """`[num_words + 1]` where each word ends in the words joined without white space; begins with 0."""
        import numpy as np

        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.lengths)])

    @cached_property
    def _sums(self) -> tuple[Hashes, Hashes, Hashes]:
        """Prefix sums of the characters and of the word borders at each end of a word, and the inverse weights there."""
        import numpy as np

        joined = "".join(self.words)
        values = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
        values = (values + np.uint64(1)) * np.uint64(_MIX)
        values ^= values >> np.uint64(29)
        values *= np.uint64(_BORDER)
        values ^= values >> np.uint64(32)
        weights, inverse = powers(len(values) + 1)
        characters = prefix_sums(values, weights[:-1])
        borders = prefix_sums(np.full(len(self.words), np.uint64(_BORDER)), weights[self.ends[:-1]])
        return characters[self.ends], borders, inverse[self.ends]

    def ngrams(self, n: int, *, borders: bool) -> Hashes:
        """`[num_words - n + 1]` a hash of each n-gram.

        With `borders` equal hashes mean equal words, without them equal characters ("ab c" and "a bc" are the same).
        """
        characters, marks, inverse = self._sums
        return window_hashes(characters + marks if borders else characters, inverse, n)

    def most_frequent_ngram_characters(self, n: int) -> int:
        """Characters, blanks between words included, of all occurrences of the most frequent n-gram (the first of equals)."""
        import numpy as np

        if len(self.words) < n:
            return 0
        hashes = self.ngrams(n, borders=True)
        ordered = np.sort(hashes)
        starts = np.flatnonzero(np.concatenate([np.ones(1, np.bool_), ordered[1:] != ordered[:-1]]))
        counts = np.diff(starts, append=len(ordered))
        most = int(counts.max())
        place = 0 if most == 1 else int(np.isin(hashes, ordered[starts[counts == most]]).argmax())
        return int(self.ends[place + n] - self.ends[place] + n - 1) * most

    def repeated_ngrams_exceed(self, n: int, share: float) -> bool:
        """Whether n-grams that occurred before hold more than `share` of the text's characters.

        A repeated n-gram is skipped whole, so where each begins depends on those before it, which takes a loop. Most texts
        need none: too few n-grams occur twice for any way of counting to reach the share.
        """
        import numpy as np

        size = len(self.text)
        if len(self.words) < n:
            return False
        hashes = self.ngrams(n, borders=False)
        ordered = np.sort(hashes)
        num_repeated = int(np.count_nonzero(ordered[1:] == ordered[:-1]))
        longest = int((self.ends[n:] - self.ends[:-n]).max())
        if num_repeated * longest / size <= share:
            return False
        order = np.argsort(hashes, kind="stable")
        repeated = order[1:][hashes[order[1:]] == hashes[order[:-1]]]
        covered = np.zeros(len(self.words) + 1, np.int64)
        covered[repeated] += 1
        covered[repeated + n] -= 1
        if int(self.lengths[np.cumsum(covered)[:-1] > 0].sum()) / size <= share:
            return False
        seen: set[int] = set()
        ends, values = self.ends.tolist(), hashes.tolist()
        characters = place = 0
        while place < len(values):
            if values[place] in seen:
                characters += ends[place + n] - ends[place]
                place += n
            else:
                seen.add(values[place])
                place += 1
        return bool(characters / size > share)


def text_statistics_of(document: Document) -> TextStatistics:
    """The statistics of the document's text; the same object for every filter that sees the document with this text."""
    return document.cached("text_statistics", TextStatistics)
