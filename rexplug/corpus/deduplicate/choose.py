"""Chooses which of near-duplicate documents are dropped, so that each repeats a document that stays.

Memory: one bit for each document of the corpus, and the edges of one block. All else is in files.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.document_bits import DocumentBits
from rexplug.corpus.deduplicate.pairs import (
    EDGE,
    PAIR,
    Edges,
    SortedFiles,
    best_first,
    distinct,
    save,
    save_sorted,
    without,
)

MOST_EDGES = 1_000_000
"""Edges that are in memory at a time where the longest document is kept."""


def choose(blocks: Iterable[Edges], counts: Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[Edges, Edges]]:
    """For each block the edges by which documents are dropped, one for each, and the edges of documents that stay for now.

    Documents are taken best first. One with an edge to a document that stays is dropped, in favour of the most similar of
    those. So a chain of documents, each a little unlike the last, does not vanish into its first. A document all of whose
    better ones are dropped stays for now: it has to be compared with the documents that stay in their place.

    Args:
        blocks: confirmed pairs, each once, the better worse document first; all edges of a worse document in one block.
        counts: documents of each shard.
    """
    dropped = DocumentBits.empty(counts)
    bits = dropped.bits.data  # plain numbers: reading one from an array takes longer
    for edges in blocks:
        worse = dropped.number(edges["worse"]).tolist()
        better = dropped.number(edges["better"]).tolist()
        alike = edges["alike"].tolist()
        chosen: list[int] = []
        open_: list[int] = []
        for start, stop in _runs(worse):
            staying = [edge for edge in range(start, stop) if not bits[better[edge] >> 3] >> (better[edge] & 7) & 1]
            if staying:
                chosen.append(max(staying, key=lambda edge: (alike[edge], -better[edge])))
                bits[worse[start] >> 3] |= 1 << (worse[start] & 7)
            else:
                open_ += range(start, stop)
        yield edges[chosen], edges[open_]


def _runs(values: list[int]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of equal values."""
    start = 0
    for place in range(1, len(values) + 1):
        if place == len(values) or values[place] != values[start]:
            yield start, place
            start = place


@dataclass(frozen=True)
class Chooser:
    """Chooses among edges that are in files.

    `counts` are the documents of each shard, `groups` the first and last (exclusive) shards that the edges of one file are in,
    by their worse document; `keep` says which document is better, the `first` or the `longest`.
    """

    counts: NDArray[np.int64]
    groups: Sequence[tuple[int, int]]
    keep: str

    def choose(self, edges: Sequence[Sequence[Path]], folder: Path) -> tuple[list[Path], list[Path]]:
        """The edges by which documents are dropped, and the pairs that are worth comparing as well.

        Args:
            edges: for each group the files of confirmed pairs, each pair once.
            folder: where the files go.

        Returns:
            Files of edges, sorted by the worse document; files of pairs in the same order.
        """
        chosen, waiting = [], []
        for number, (best, open_) in enumerate(choose(self._blocks(edges, folder), self.counts)):
            if len(best):
                chosen.append(save_sorted(folder / f"chosen-{number:05d}.npy", best, "worse"))
            if len(open_):
                waiting.append(save_sorted(folder / f"waiting-{number:05d}.npy", open_, "better"))
        return chosen, self._instead(waiting, chosen, folder) if waiting else []

    def _blocks(self, edges: Sequence[Sequence[Path]], folder: Path) -> Iterator[Edges]:
        """All edges, the better worse document first, in blocks that fit into memory."""
        if self.keep == "first":
            for files in edges:
                yield _sorted(_load(files), self.keep)
            return
        # By length: each file is sorted by it, so that the edges between two lengths are one piece of each file.
        ordered: list[Path] = []
        sizes: NDArray[np.void] = np.zeros(0, np.dtype([("length", "<u4"), ("edges", "<i8")]))
        for number, files in enumerate(edges):
            found = _load(files)
            if len(found):
                ordered.append(save_sorted(folder / f"by-length-{number:05d}.npy", found, "length"))
                sizes = _counted(sizes, found["length"])
        for low, high in _ranges(sizes):
            pieces = (_between(path, low, high) for path in ordered)
            if low == high:  # the files, in the order of their shards, are in the order of documents of one length
                yield from (_sorted(piece, self.keep) for piece in pieces)
            else:
                yield _sorted(np.concatenate([*pieces]), self.keep)

    def _instead(self, waiting: Sequence[Path], chosen: Sequence[Path], folder: Path) -> list[Path]:
        """Pairs of the documents that stay for now and of those that stay in place of their better ones."""
        further = []
        of_better, of_worse = SortedFiles(waiting, "better", EDGE), SortedFiles(chosen, "worse", EDGE)
        for number, (first, stop) in enumerate(self.groups):
            edges = of_better.of_shards(first, stop)
            if not len(edges):
                continue
            drops = of_worse.of_shards(first, stop)
            order = np.argsort(drops["worse"])
            pairs = np.zeros(len(edges), PAIR)
            pairs["worse"], pairs["length"] = edges["worse"], edges["length"]
            pairs["better"] = drops["better"][order[np.searchsorted(drops["worse"], edges["better"], sorter=order)]]
            path = folder / f"instead-{number:05d}.npy"
            save(path, distinct(pairs))
            further.append(path)
        return further

    def not_asked(self, pairs: Sequence[Path], asked: Sequence[Path], folder: Path) -> list[tuple[int, Path]]:
        """The pairs that are not among those that were asked for before: for each group that has some, its number and a file."""
        new = []
        found_files, asked_files = SortedFiles(pairs, "worse", PAIR), SortedFiles(asked, "worse", PAIR)
        for number, (first, stop) in enumerate(self.groups):
            found = found_files.of_shards(first, stop)
            if len(found):
                found = without(found, asked_files.of_shards(first, stop))
            if len(found):
                path = folder / f"further-{number:05d}.npy"
                save(path, found)
                new.append((number, path))
        return new


def _load(files: Sequence[Path]) -> Edges:
    return np.concatenate([np.zeros(0, EDGE), *(np.load(path) for path in files)])


def _sorted(edges: Edges, keep: str) -> Edges:
    ordered: Edges = edges[np.lexsort(best_first(keep, edges["length"], edges["worse"]))]
    return ordered


def _counted(sizes: NDArray[np.void], lengths: NDArray[np.uint32]) -> NDArray[np.void]:
    """How many edges there are of each length, the given lengths added."""
    values, numbers = np.unique(np.concatenate([sizes["length"], lengths]), return_inverse=True)
    counted = np.zeros(len(values), sizes.dtype)
    weights = np.concatenate([sizes["edges"], np.ones(len(lengths), np.int64)])
    counted["length"] = values
    np.add.at(counted["edges"], numbers, weights)
    return counted


def _ranges(sizes: NDArray[np.void]) -> Iterator[tuple[int, int]]:
    """Lengths from which and up to which there are about `MOST_EDGES` edges, the longest first; a length is not divided."""
    high, total = 0, 0
    for length, count in reversed(sizes.tolist()):
        high = high if total else length
        total += count
        if total >= MOST_EDGES:
            yield length, high
            total = 0
    if total:
        yield int(sizes["length"][0]), high


def _between(path: Path, low: int, high: int) -> Edges:
    known = np.load(path, mmap_mode="r")
    lengths = known["length"]  # searched step by step: numpy would read the whole file for it
    start, stop = bisect_left(lengths, np.uint32(low)), bisect_right(lengths, np.uint32(high))
    return np.array(known[start:stop])
