"""Pairs of documents in files, sorted by one of the two: those of some shards are one piece of each file."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.io.atomic import replacing

PAIR = np.dtype([("worse", "<u8"), ("better", "<u8"), ("length", "<u4")])
"""Two places of which `better` is the one to keep, and the length of the other in characters."""
Pairs = NDArray[np.void]
EDGE = np.dtype([*PAIR.descr, ("alike", "<f4")])
"""A confirmed pair with its similarity."""
Edges = NDArray[np.void]

MOST_WAITING = 2_000_000
"""Pairs or places, with repetitions, that are held before these are removed."""


def save(path: Path, values: NDArray[np.generic]) -> None:
    """Write an array in one step."""
    with replacing(path) as temporary:
        np.save(temporary, values)


def save_sorted(path: Path, records: NDArray[np.void], field: str) -> Path:
    """Write records sorted by a field, so that `of_shards` finds those of some shards."""
    save(path, records[np.argsort(records[field], kind="stable")])
    return path


def of_shards(files: Sequence[Path], field: str, first: int, stop: int, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """The records of which a field, by which the files are sorted, is a place in the shards `first` to `stop`; not sorted.

    One file is open at a time, and of each only these records are read.
    """
    return np.concatenate([np.zeros(0, dtype), *(_piece(path, field, first, stop) for path in files)])


class SortedFiles:
    """Files of records sorted by the same field, for questions about many groups of shards: each is opened once and mapped."""

    def __init__(self, files: Sequence[Path], field: str, dtype: np.dtype[np.void]) -> None:
        self._known = [_mapped(path) for path in files]
        self._field = field
        self._none = np.zeros(0, dtype)

    def of_shards(self, first: int, stop: int) -> NDArray[np.void]:
        """The records of which the field is a place in the shards `first` to `stop`; not sorted."""
        pieces: list[NDArray[np.void]] = [self._none]
        for known in self._known:
            low, high = shard_bounds(known[self._field], first, stop)
            if high > low:
                pieces.append(np.array(known[low:high]))
        return np.concatenate(pieces)


def distinct_of_shards(files: Sequence[Path], first: int, stop: int) -> Pairs:
    """The pairs whose worse document is in the shards `first` to `stop`, without repetitions; the files are sorted by it."""
    found: list[Pairs] = [np.zeros(0, PAIR)]
    waiting = 0
    for path in files:
        found.append(_piece(path, "worse", first, stop))
        waiting += len(found[-1])
        if waiting > MOST_WAITING:
            found, waiting = [distinct(np.concatenate(found))], 0
    return distinct(np.concatenate(found))


def _piece(path: Path, field: str, first: int, stop: int) -> NDArray[np.void]:
    known = _mapped(path)
    low, high = shard_bounds(known[field], first, stop)
    return np.array(known[low:high])


def _mapped(path: Path) -> NDArray[np.void]:
    """The records of a file, which stay on disk; a plain array, of which single values are read faster than of a `memmap`."""
    return np.asarray(np.load(path, mmap_mode="r"))


def shard_bounds(places: NDArray[np.uint64], first: int, stop: int) -> tuple[int, int]:
    """Where the shards `first` to `stop` are in sorted places; an array on disk, or a field of one, is not read as a whole."""
    low, high = (bisect_left(places, np.uint64(number << 32)) for number in (first, stop))
    return low, high


def distinct(pairs: Pairs) -> Pairs:
    """The pairs without repetitions, by the worse place and then the better one."""
    return without(pairs, pairs[:0])


def without(pairs: Pairs, known: Pairs) -> Pairs:
    """The pairs that are not among the known ones, without repetitions, by the worse place and then the better one."""
    both = np.concatenate([known, pairs])
    order = np.lexsort((both["better"], both["worse"]))  # stable, so the known one of equal pairs goes first
    ordered: Pairs = both[order]
    new = order >= len(known)
    new[1:] &= (ordered["worse"][1:] != ordered["worse"][:-1]) | (ordered["better"][1:] != ordered["better"][:-1])
    kept: Pairs = ordered[new]
    return kept


def best_first(keep: str, lengths: NDArray[np.uint32], places: NDArray[np.uint64]) -> tuple[NDArray[np.generic], ...]:
    """Keys for `lexsort` that put the document that is kept first."""
    return (places, -lengths.astype(np.int64)) if keep == "longest" else (places,)
