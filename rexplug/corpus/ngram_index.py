"""The word n-grams of evaluators' texts on disk, and what a document shares with them: exact copies, and edited ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.rolling_hash import Hashes, powers, prefix_sums, window_hashes
from rexplug.io.atomic import replacing, write_json
from rexplug.run_directory import read_json
from rexplug.text.words import lower_words, word_spans

_TABLE_BITS = (22, 26)
"""The fewest and the most bits of a hash that a table of look-ups tells apart: 4 to 64 MB."""
_MOST_WORDS = 1_000_000
"""Words whose hashes are kept."""
_EDITED = "edited"
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
    """A hash per word of the lower-cased text, `[num_words]`; punctuation is left out."""
    words = lower_words(text)
    return np.fromiter(map(_WORDS.__getitem__, words), np.uint64, len(words))


def ngram_hashes(words: Hashes, length: int) -> Hashes:
    """A hash of every `length` words in a row, `[len(words) - length + 1]`; empty if there are fewer words."""
    if len(words) < length:
        return np.empty(0, np.uint64)
    inverse, weights = powers(len(words) + 1)  # exchanged, so that an index of an earlier version stays valid
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
    """Share of the document's n-grams that they are."""
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
        path = folder / f"starts-{name}.npy"  # an index of an earlier version names one text for each n-gram
        starts = np.load(path, mmap_mode="r") if path.exists() else np.arange(len(hashes) + 1)
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
    """The n-grams of the evaluators' texts, in the folder that `write_index` wrote."""

    def __init__(self, folder: Path) -> None:
        about = read_json(folder / "about.json")
        self.words: int = about["words"]
        self.texts: list[list[str]] = about["texts"]
        self._evaluators = np.array([evaluator for evaluator, _ in self.texts], object)
        self._tables = [_Table.load(folder, str(n), n, len(self.texts)) for n in about["lengths"]]
        length = about.get("edited")
        self._edited = None if length is None else _Table.load(folder, _EDITED, length, len(self.texts))

    def matches(self, texts: Sequence[str], thresholds: Thresholds) -> list[list[Match]]:
        """For each text, its matches by `thresholds`; exact ones before edited ones, most hits first."""
        batch = _Batch.of(texts)
        exact: list[list[tuple[_Table, Numbers, Numbers]]] = [[] for _ in texts]
        for table in self._tables:
            for document, (places, numbers) in batch.find(table).items():
                exact[document].append((table, places, numbers))
        found = [self._exact(text, hits, thresholds) if hits else [] for text, hits in zip(texts, exact, strict=True)]
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

    def _exact(self, text: str, hits: Sequence[tuple[_Table, Numbers, Numbers]], thresholds: Thresholds) -> list[Match]:
        spans = word_spans(text.lower())
        grams = max(1, len(spans) - self.words + 1)
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
        matches = []
        for evaluator, own_places in places.items():
            _, text_share, number, first, length = best[evaluator]
            share = min(1.0, len(own_places) / grams)
            whole = any(length < self.words for _, length in own_places)
            if not whole and (len(own_places) < thresholds.hits or max(share, text_share) < thresholds.share):
                continue
            excerpt = text[spans[first][0] : spans[first + length - 1][1]]
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
        spans = word_spans(text.lower()) if best else []
        matches = [
            Match(
                evaluator, self.texts[-number][1], hits, round(min(1.0, hits / grams), 4), round(text_share, 4), True,
                text[spans[start][0] : spans[end + table.length - 1][1]],
            )
            for evaluator, (hits, text_share, number, start, end) in best.items()
        ]  # fmt: skip
        return sorted(matches, key=lambda match: (-match.num_hits, match.evaluator))


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


class IndexWriter:
    """Collects the n-grams of texts and writes them to a folder.

    Args:
        words: length of the n-grams; shorter texts are taken as a whole.
        shortest: texts of fewer words are left out.
        edited: length of the n-grams for edited copies and the fewest words of a text that is compared so; None for none.
    """

    def __init__(self, words: int, shortest: int, edited: tuple[int, int] | None) -> None:
        self._words, self._shortest, self._edited = words, shortest, edited
        self._texts: list[list[str]] = []
        self._grams: dict[str, tuple[int, list[Hashes], list[int]]] = {str(words): (words, [], [])}
        if edited is not None:
            self._grams[_EDITED] = (edited[0], [], [])
        self._counts: dict[str, dict[str, int]] = {}

    def add(self, evaluator: str, texts: Iterable[tuple[str, str]]) -> None:
        """Add an evaluator's texts, each with its name."""
        count = self._counts[evaluator] = {"texts": 0, "whole": 0, "too_short": 0}
        for key, text in texts:
            words = word_hashes(text)
            count["texts"] += 1
            if len(words) < self._shortest:
                count["too_short"] += 1
                continue
            length = min(self._words, len(words))
            count["whole"] += length < self._words
            self._add(str(length), length, words)
            if self._edited is not None and len(words) >= self._edited[1]:
                self._add(_EDITED, self._edited[0], words)
            self._texts.append([evaluator, key])

    def _add(self, name: str, length: int, words: Hashes) -> None:
        _, hashes, owners = self._grams.setdefault(name, (length, [], []))
        hashes.append(np.unique(ngram_hashes(words, length)))
        owners.append(len(self._texts))

    def write(self, folder: Path) -> None:
        """Write the folder that `Index` reads."""
        with replacing(folder) as temporary:
            temporary.mkdir(parents=True)
            for name, (_, parts, numbers) in self._grams.items():
                every = np.concatenate([np.empty(0, np.uint64), *parts])
                owners = np.repeat(np.array(numbers, np.uint32), [len(part) for part in parts])
                order = np.argsort(every, kind="stable")
                hashes, starts = np.unique(every[order], return_index=True)
                np.save(temporary / f"hashes-{name}.npy", hashes)
                np.save(temporary / f"starts-{name}.npy", np.append(starts, len(every)).astype(np.int64))
                np.save(temporary / f"owners-{name}.npy", owners[order])
            about: dict[str, Any] = {
                "words": self._words,
                "lengths": sorted(
                    (length for name, (length, _, _) in self._grams.items() if name != _EDITED), reverse=True
                ),
                "edited": None if self._edited is None else self._edited[0],
                "texts": self._texts,
                "evaluators": self._counts,
            }
            write_json(temporary / "about.json", about)
