"""The word n-grams of evaluators' texts on disk, and what a document shares with them: exact copies, and edited ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.rolling_hash import Hashes, powers, prefix_sums, window_hashes
from rexplug.corpus.whole_texts import Found, WholeTexts
from rexplug.errors import DataError
from rexplug.run_directory import read_json
from rexplug.text.fold import fold_with_places, folded_words
from rexplug.text.words import has_unspaced, word_spans

VERSION = 3
"""Version of an index's files; raised when texts are folded, divided or hashed in another way."""

_TABLE_BITS = (22, 26)
"""The fewest and the most bits of a hash that a table of look-ups tells apart: 4 to 64 MB."""
_MOST_WORDS = 1_000_000
"""Words whose hashes are kept."""
EDITED = "edited"
"""Name of the files with the n-grams for edited copies."""
_STRETCH = 2
"""An edited copy of a text of n words is looked for in stretches of this many times n words of a document."""
Numbers = NDArray[np.int64]


class _Words(dict[str, int]):
    """Word -> 64-bit hash, computed when a word is first looked up."""

    def __missing__(self, word: str) -> int:
        from xxhash import xxh3_64_intdigest

        if len(self) > _MOST_WORDS:
            self.clear()
        value = self[word] = xxh3_64_intdigest(word.encode("utf-8", "replace"))
        return value


_WORDS = _Words()


def word_hashes(text: str) -> Hashes:
    """A hash per word of the folded text, `[num_words]`; punctuation is left out."""
    words = folded_words(text)
    return np.fromiter(map(_WORDS.__getitem__, words), np.uint64, len(words))


def ngram_hashes(words: Hashes, length: int) -> Hashes:
    """A hash of every `length` words in a row, `[len(words) - length + 1]`; empty if there are fewer words."""
    if len(words) < length:
        return np.empty(0, np.uint64)
    weights, inverse = powers(len(words) + 1)
    return window_hashes(prefix_sums(words, weights[:-1]), inverse, length)


@dataclass(frozen=True)
class Thresholds:
    """How much a document must share with an evaluator."""

    hits: int = 1
    """Least number of n-grams of one evaluator; the whole of a short text is always enough."""
    share: float = 0.0
    """Least share of the n-grams of the document, or of one text of the evaluator, whichever is greater."""
    edited: float = 0.4
    """Least share of the shorter n-grams of the document or of one text, whichever has fewer, for an edited copy."""
    edited_words: int = 20
    """Texts and documents of fewer words are not searched for edited copies."""


@dataclass(frozen=True)
class Match:
    """What a document shares with an evaluator, and the evaluator's text with most of it."""

    evaluator: str
    text: str
    num_hits: int
    """N-grams in common; distinct ones for an edited copy."""
    share: float
    """The matched n-grams as a share of the document's; for a text that was found letter by letter, the share of its letters."""
    text_share: float
    """Share of the n-grams of the evaluator's text."""
    edited: bool
    """Whether only the second pass found it, by shorter n-grams."""
    excerpt: str


@dataclass(frozen=True)
class _Table:
    """N-grams of one length with the texts that they occur in."""

    length: int
    hashes: Hashes
    """Sorted, `[n]`."""
    starts: Numbers
    """`[n + 1]`: the texts of n-gram i are `owners[starts[i] : starts[i + 1]]`."""
    owners: NDArray[np.uint32]
    """Numbers of texts."""
    sizes: Numbers
    """N-grams of each text, `[num_texts]`."""
    common: NDArray[np.bool_]
    """Whether any n-gram begins with these bits: most n-grams of a document occur in no evaluator, which this tells at once."""
    shift: np.uint64

    @classmethod
    def load(cls, folder: Path, name: str, length: int, num_texts: int) -> _Table:
        hashes = np.load(folder / f"hashes-{name}.npy", mmap_mode="r")
        owners = np.load(folder / f"owners-{name}.npy", mmap_mode="r")
        starts = np.load(folder / f"starts-{name}.npy", mmap_mode="r")
        least, most = _TABLE_BITS
        bits = min(most, max(least, (8 * len(hashes)).bit_length()))
        common, shift = np.zeros(1 << bits, np.bool_), np.uint64(64 - bits)
        common[hashes >> shift] = True
        sizes = np.bincount(owners, minlength=num_texts).astype(np.int64)
        return cls(length, hashes, starts, owners, sizes, common, shift)

    def find(self, grams: Hashes, inside: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
        """The places of known n-grams and their numbers in this table, in order.

        Args:
            grams: `[n]`.
            inside: whether an n-gram counts, `[n]`.
        """
        maybe = np.flatnonzero(self.common[grams >> self.shift] & inside)
        if not len(maybe) or not len(self.hashes):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        number = np.minimum(np.searchsorted(self.hashes, grams[maybe]), len(self.hashes) - 1)
        known = self.hashes[number] == grams[maybe]
        return maybe[known], number[known]

    def texts_of(self, numbers: Numbers) -> tuple[NDArray[np.uint32], Numbers]:
        """All texts of some n-grams, and for each the position of its n-gram in `numbers`."""
        first, counts = self.starts[numbers], self.starts[numbers + 1] - self.starts[numbers]
        position = np.repeat(np.arange(len(numbers)), counts)
        within = np.arange(len(position)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.owners[np.repeat(first, counts) + within], position


@dataclass(frozen=True)
class _Batch:
    """The words of some documents in a row."""

    words: Hashes
    owner: Numbers
    """The document of each word."""
    starts: Numbers
    """The first word of each document, and the number of words."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Batch:
        parts = [word_hashes(text) for text in texts]
        lengths = [len(part) for part in parts]
        return cls(
            np.concatenate([np.empty(0, np.uint64), *parts]),
            np.repeat(np.arange(len(parts)), lengths),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        )

    def find(self, table: _Table) -> dict[int, tuple[Numbers, Numbers]]:
        """Document -> the places of its known n-grams, counted from its first word, and their numbers in the table."""
        length = table.length
        grams = ngram_hashes(self.words, length)
        inside = self.owner[: len(grams)] == self.owner[length - 1 :] if len(grams) else np.empty(0, np.bool_)
        places, numbers = table.find(grams, inside)
        if not len(places):
            return {}
        documents = self.owner[places]
        first = np.flatnonzero(np.diff(documents, prepend=-1))
        ends = np.append(first[1:], len(documents))
        return {
            int(documents[start]): (places[start:end] - self.starts[documents[start]], numbers[start:end])
            for start, end in zip(first.tolist(), ends.tolist(), strict=True)
        }

    def num_words(self, document: int) -> int:
        return int(self.starts[document + 1] - self.starts[document])


class Index:
    """The n-grams of the evaluators' texts, in the folder that `IndexWriter` of `index_writer` wrote.

    Raises:
        DataError: another version of rexplug wrote it.
    """

    def __init__(self, folder: Path) -> None:
        about = read_json(folder / "about.json")
        if about.get("version") != VERSION:
            raise DataError(f"{folder} is of another version of rexplug; run the curation again")
        self.words: int = about["words"]
        self.texts: list[list[str]] = about["texts"]
        self._evaluators = np.array([evaluator for evaluator, _ in self.texts], object)
        self._tables = [_Table.load(folder, str(n), n, len(self.texts)) for n in about["lengths"]]
        length = about["edited"]
        self._edited = None if length is None else _Table.load(folder, EDITED, length, len(self.texts))
        self._whole = WholeTexts.load(folder)

    def matches(self, texts: Sequence[str], thresholds: Thresholds) -> list[list[Match]]:
        """For each text, its matches by `thresholds`; exact ones before edited ones, most hits first."""
        batch = _Batch.of(texts)
        exact: list[list[tuple[_Table, Numbers, Numbers]]] = [[] for _ in texts]
        for table in self._tables:
            for document, (places, numbers) in batch.find(table).items():
                exact[document].append((table, places, numbers))
        found = [
            self._exact(text, batch.num_words(number), hits, thresholds) if hits else []
            for number, (text, hits) in enumerate(zip(texts, exact, strict=True))
        ]
        for text, matches in zip(texts, found, strict=True):
            if len(self._whole) and has_unspaced(text):
                known = {match.evaluator for match in matches}
                matches += [match for match in self._copies(text) if match.evaluator not in known]
        if self._edited is not None:
            for document, (places, numbers) in batch.find(self._edited).items():
                known = {match.evaluator for match in found[document]}
                found[document] += [
                    match
                    for match in self._edits(
                        texts[document], batch.num_words(document), places, numbers, self._edited, thresholds
                    )
                    if match.evaluator not in known
                ]
        return found

    def _copies(self, text: str) -> list[Match]:
        """Short texts in scripts without spaces, of each evaluator the longest that the document holds."""
        best: dict[str, Found] = {}
        folded, places = fold_with_places(text)
        for found in self._whole.find(folded):
            evaluator = self.texts[found.owner][0]
            best[evaluator] = max(best.get(evaluator, found), found, key=lambda one: (one.share, -one.owner))
        return [
            Match(
                evaluator, self.texts[one.owner][1], 1, round(one.share, 4), 1.0, False,
                text[places[one.start] : places[one.end]],
            )
            for evaluator, one in sorted(best.items())
        ]  # fmt: skip

    def _exact(
        self, text: str, num_words: int, hits: Sequence[tuple[_Table, Numbers, Numbers]], thresholds: Thresholds
    ) -> list[Match]:
        grams = max(1, num_words - self.words + 1)
        places: dict[str, set[tuple[int, int]]] = {}
        best: dict[str, tuple[int, float, int, int, int]] = {}
        """Of the text with most hits: number and share of its n-grams, its number (negative), first place and length of one."""
        for table, at, numbers in hits:
            owners, position = table.texts_of(numbers)
            for evaluator in np.unique(self._evaluators[owners]):
                own = np.unique(position[self._evaluators[owners] == evaluator])
                places.setdefault(evaluator, set()).update((place, table.length) for place in at[own].tolist())
            for owner in np.unique(owners).tolist():
                own = position[owners == owner]
                share = len(np.unique(numbers[own])) / int(table.sizes[owner])
                candidate = (len(own), share, -owner, int(at[own[0]]), table.length)
                evaluator = self.texts[owner][0]
                best[evaluator] = max(best.get(evaluator, candidate), candidate)
        matches: list[Match] = []
        excerpt_of = None
        for evaluator, own_places in places.items():
            _, text_share, number, first, length = best[evaluator]
            share = min(1.0, len(own_places) / grams)
            whole = any(length < self.words for _, length in own_places)
            if not whole and (len(own_places) < thresholds.hits or max(share, text_share) < thresholds.share):
                continue
            excerpt_of = excerpt_of or _Excerpts(text)
            excerpt = excerpt_of(first, first + length)
            matches.append(
                Match(
                    evaluator,
                    self.texts[-number][1],
                    len(own_places),
                    round(share, 4),
                    round(text_share, 4),
                    False,
                    excerpt,
                )
            )
        return sorted(matches, key=lambda match: (-match.num_hits, match.evaluator))

    def _edits(
        self, text: str, num_words: int, places: Numbers, numbers: Numbers, table: _Table, thresholds: Thresholds
    ) -> list[Match]:
        """Evaluators' texts of which enough n-grams occur near each other in the document."""
        if num_words < thresholds.edited_words:
            return []
        grams = num_words - table.length + 1
        distinct = np.unique(numbers)
        least = table.sizes[table.sizes > 0].min()
        if len(distinct) < math.ceil(thresholds.edited * min(grams, int(least))):
            return []
        owners, position = table.texts_of(distinct)
        candidates, counts = np.unique(owners, return_counts=True)
        needed = np.ceil(thresholds.edited * np.minimum(table.sizes[candidates], grams))
        best: dict[str, tuple[int, float, int, int, int]] = {}
        for owner, least_hits in zip(
            candidates[counts >= needed].tolist(), needed[counts >= needed].tolist(), strict=True
        ):
            of_text = np.isin(numbers, distinct[position[owners == owner]])
            own_places, own_numbers = places[of_text], numbers[of_text]
            size = int(table.sizes[owner])
            hits, start, end = _densest(own_places, own_numbers, _STRETCH * (size + table.length - 1))
            if hits >= least_hits:
                evaluator = self.texts[owner][0]
                candidate = (hits, hits / size, -owner, start, end)
                best[evaluator] = max(best.get(evaluator, candidate), candidate)
        if not best:
            return []
        excerpt_of = _Excerpts(text)
        matches = [
            Match(
                evaluator, self.texts[-number][1], hits, round(min(1.0, hits / grams), 4), round(text_share, 4), True,
                excerpt_of(start, end + table.length),
            )
            for evaluator, (hits, text_share, number, start, end) in best.items()
        ]  # fmt: skip
        return sorted(matches, key=lambda match: (-match.num_hits, match.evaluator))


class _Excerpts:
    """Parts of a text by the numbers of the words of its folded form."""

    def __init__(self, text: str) -> None:
        self._text = text
        folded, self._places = fold_with_places(text)
        self._spans = word_spans(folded)

    def __call__(self, first: int, stop: int) -> str:
        return self._text[self._places[self._spans[first][0]] : self._places[self._spans[stop - 1][1]]]


def _densest(places: Numbers, numbers: Numbers, stretch: int) -> tuple[int, int, int]:
    """The most distinct n-grams in a stretch of so many words: how many, and the first and last place."""
    if places[-1] - places[0] < stretch:
        return len(np.unique(numbers)), int(places[0]), int(places[-1])
    counts: dict[int, int] = {}
    best, begin = (0, 0, 0), 0
    for end, number in enumerate(numbers.tolist()):
        counts[number] = counts.get(number, 0) + 1
        while places[end] - places[begin] >= stretch:
            old = int(numbers[begin])
            counts[old] -= 1
            if not counts[old]:
                del counts[old]
            begin += 1
        best = max(best, (len(counts), int(places[begin]), int(places[end])), key=lambda found: found[0])
    return best
