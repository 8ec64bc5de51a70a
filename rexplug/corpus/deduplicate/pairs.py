"""Jobs that compare sorted keys: equal keys are duplicates; documents that agree in a MinHash bucket are candidates."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.key_files import KeyFile, Keys, read_range
from rexplug.io.atomic import replacing, write_json

PAIR = np.dtype([("worse", "<u8"), ("better", "<u8"), ("length", "<u4")])
"""Two places of which `better` is the one to keep, and the length of the other in characters."""
Pairs = NDArray[np.void]


def save(path: Path, values: NDArray[np.generic]) -> None:
    """Write an array in one step."""
    with replacing(path) as temporary:
        np.save(temporary, values)


def equal_part(
    files: Sequence[Path], num_columns: int, column: int, part: int, count: int, keep: str, before: Path, target: Path
) -> int:
    """Write pairs of each document whose key also occurs in a better one, and the best such, for one range of keys.

    Args:
        files: at most `MOST_FILES` files of keys.
        num_columns: their columns.
        column: the one to compare.
        part: number of the range.
        count: number of ranges.
        keep: which of several equal documents is the best: the `first` or the `longest`.
        before: file of sorted places that do not take part.
        target: the file to write; the record beside it is written last.
    """
    keys, first = _runs(files, num_columns, column, part, count, keep, before)
    worse = np.flatnonzero(first != np.arange(len(keys)))
    pairs = _pairs(keys, worse, first[worse])
    save(target, pairs)
    write_json(target.with_suffix(".json"), {"keys": len(keys), "duplicates": len(pairs)})
    return len(keys)


def candidate_part(
    files: Sequence[Path], num_columns: int, column: int, part: int, count: int, keep: str, before: Path, target: Path
) -> int:
    """Write the candidate pairs of one range of keys of a MinHash bucket, sorted, and the places that occur in them.

    Each document is paired with the best of its group and with the one just better than itself: enough to find what repeats it
    if the best one goes for another reason, and no more pairs than twice the documents. The arguments are those of `equal_part`.
    """
    keys, first = _runs(files, num_columns, column, part, count, keep, before)
    worse = np.flatnonzero(first != np.arange(len(keys)))
    pairs = distinct(np.concatenate([_pairs(keys, worse, first[worse]), _pairs(keys, worse, worse - 1)]))
    save(nodes_file(target), np.unique(np.concatenate([pairs["worse"], pairs["better"]])))
    save(target, pairs)
    write_json(target.with_suffix(".json"), {"keys": len(keys), "pairs": len(pairs)})
    return len(keys)


def nodes_file(pairs: Path) -> Path:
    """The file of all places that occur in a file of pairs, sorted."""
    return pairs.with_name(f"{pairs.stem}-places.npy")


def _runs(
    files: Sequence[Path], num_columns: int, column: int, part: int, count: int, keep: str, before: Path
) -> tuple[Keys, NDArray[np.int64]]:
    """The keys of a range, equal ones side by side with the best first, and for each the index of the first of its run."""
    keys = read_range([KeyFile(path, num_columns) for path in files], column, part, count)
    keys = keys[~is_in(keys["place"], np.load(before, mmap_mode="r"))]
    order = np.lexsort((*best_first(keep, keys["length"], keys["place"]), keys["low"], keys["high"]))
    keys = keys[order]
    again = (keys["high"][1:] == keys["high"][:-1]) & (keys["low"][1:] == keys["low"][:-1])
    starts = np.arange(len(keys))
    starts[1:][again] = 0
    return keys, np.maximum.accumulate(starts) if len(starts) else starts


def _pairs(keys: Keys, worse: NDArray[np.int64], better: NDArray[np.int64]) -> Pairs:
    pairs = np.zeros(len(worse), PAIR)
    pairs["worse"], pairs["better"] = keys["place"][worse], keys["place"][better]
    pairs["length"] = keys["length"][worse]
    return pairs


def distinct(pairs: Pairs) -> Pairs:
    """The pairs without repetitions, by the worse place and then the better one."""
    ordered: Pairs = pairs[np.lexsort((pairs["better"], pairs["worse"]))]
    if not len(ordered):
        return ordered
    new = (ordered["worse"][1:] != ordered["worse"][:-1]) | (ordered["better"][1:] != ordered["better"][:-1])
    kept: Pairs = ordered[np.concatenate([[True], new])]
    return kept


def shard_bounds(places: NDArray[np.uint64], first: int, stop: int) -> tuple[int, int]:
    """Where the shards `first` to `stop` are in sorted places; an array on disk, or a field of one, is not read as a whole."""
    low, high = (bisect_left(places, np.uint64(number << 32)) for number in (first, stop))
    return low, high


def is_in(values: NDArray[np.uint64], ordered: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values occur in a sorted array; an array on disk is not read as a whole."""
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[at] == values
    return found


def best_first(keep: str, lengths: NDArray[np.uint32], places: NDArray[np.uint64]) -> tuple[NDArray[np.generic], ...]:
    """Keys for `lexsort` that put the document that is kept first."""
    return (places, -lengths.astype(np.int64)) if keep == "longest" else (places,)
