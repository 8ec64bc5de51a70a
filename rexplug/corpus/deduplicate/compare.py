"""Jobs that compare sorted keys: equal keys are duplicates; documents that agree in a MinHash bucket are candidates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.document_bits import DocumentBits
from rexplug.corpus.deduplicate.key_files import KeyFile, Keys, read_range
from rexplug.corpus.deduplicate.pairs import PAIR, Pairs, best_first, distinct, save
from rexplug.io.atomic import write_json


def equal_part(
    files: Sequence[Path],
    num_columns: int,
    column: int,
    part: int,
    count: int,
    keep: str,
    before: Path | None,
    target: Path,
) -> int:
    """Write pairs of each document whose key also occurs in a better one, and the best such, for one range of keys.

    Args:
        files: at most `MOST_FILES` files of keys.
        num_columns: their columns.
        column: the one to compare.
        part: number of the range.
        count: number of ranges.
        keep: which of several equal documents is the best: the `first` or the `longest`.
        before: the `DocumentBits` of documents that do not take part; None if all do.
        target: the file to write, sorted by the worse document; the record beside it is written last.
    """
    keys, first = _runs(files, num_columns, column, part, count, keep, before)
    worse = np.flatnonzero(first != np.arange(len(keys)))
    pairs = distinct(_pairs(keys, worse, first[worse]))
    save(target, pairs)
    write_json(target.with_suffix(".json"), {"keys": len(keys), "duplicates": len(pairs)})
    return len(keys)


def candidate_part(
    files: Sequence[Path],
    num_columns: int,
    column: int,
    part: int,
    count: int,
    keep: str,
    before: Path | None,
    target: Path,
) -> int:
    """Write the candidate pairs of one range of keys of a MinHash bucket, sorted, and the places that occur in them.

    Each document is paired with the best of its group and with the one just better than itself: enough to find its duplicates if
    the best one is dropped for another reason, and no more pairs than twice the documents. The arguments are those of
    `equal_part`.
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
    files: Sequence[Path], num_columns: int, column: int, part: int, count: int, keep: str, before: Path | None
) -> tuple[Keys, NDArray[np.int64]]:
    """The keys of a range, equal ones side by side with the best first, and for each the index of the first of its run."""
    keys = read_range([KeyFile(path, num_columns) for path in files], column, part, count)
    if before is not None:
        keys = keys[~DocumentBits.load(before).contains(keys["place"])]
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
