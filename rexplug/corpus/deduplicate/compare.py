"""Jobs that compare sorted keys: equal keys are duplicates; documents that agree in a MinHash bucket are candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.document_bits import DocumentBits
from rexplug.corpus.deduplicate.key_files import KeyFile, Keys, read_range
from rexplug.corpus.deduplicate.pairs import PAIR, Pairs, best_first, distinct, save
from rexplug.io.atomic import write_json


@dataclass(frozen=True)
class KeyRange:
    """One of `count` ranges of the keys in a column of some files.

    `files` are at most `MOST_FILES` of `merge_rounds`, each with `num_columns` columns; `part` is the number of the range. `keep`
    says which of several equal documents is the best, the `first` or the `longest`; documents in the `DocumentBits` at `before`,
    if there are any, do not take part.
    """

    files: Sequence[Path]
    num_columns: int
    column: int
    part: int
    count: int
    keep: str
    before: Path | None

    def runs(self) -> tuple[Keys, NDArray[np.int64]]:
        """The keys, equal ones side by side with the best first, and for each the index of the first of its run."""
        files = [KeyFile(path, self.num_columns) for path in self.files]
        keys = read_range(files, self.column, self.part, self.count)
        if self.before is not None:
            keys = keys[~DocumentBits.load(self.before).contains(keys["place"])]
        order = np.lexsort((*best_first(self.keep, keys["length"], keys["place"]), keys["low"], keys["high"]))
        keys = keys[order]
        again = (keys["high"][1:] == keys["high"][:-1]) & (keys["low"][1:] == keys["low"][:-1])
        starts = np.arange(len(keys))
        starts[1:][again] = 0
        return keys, np.maximum.accumulate(starts) if len(starts) else starts


def equal_part(key_range: KeyRange, target: Path) -> int:
    """Write pairs of each document whose key also occurs in a better one, and the best such, sorted by the worse document.

    The record beside `target` is written last.
    """
    keys, first = key_range.runs()
    worse = np.flatnonzero(first != np.arange(len(keys)))
    pairs = distinct(_pairs(keys, worse, first[worse]))
    save(target, pairs)
    write_json(target.with_suffix(".json"), {"keys": len(keys), "duplicates": len(pairs)})
    return len(keys)


def candidate_part(key_range: KeyRange, target: Path) -> int:
    """Write the candidate pairs of a range of keys of a MinHash bucket, sorted, and the places that occur in them.

    Each document is paired with the best of its group and with the one just better than itself: enough to find its duplicates if
    the best one is dropped for another reason, and no more pairs than twice the documents. The record beside `target` is written
    last.
    """
    keys, first = key_range.runs()
    worse = np.flatnonzero(first != np.arange(len(keys)))
    pairs = distinct(np.concatenate([_pairs(keys, worse, first[worse]), _pairs(keys, worse, worse - 1)]))
    save(nodes_file(target), np.unique(np.concatenate([pairs["worse"], pairs["better"]])))
    save(target, pairs)
    write_json(target.with_suffix(".json"), {"keys": len(keys), "pairs": len(pairs)})
    return len(keys)


def nodes_file(pairs: Path) -> Path:
    """The file of all places that occur in a file of pairs, sorted."""
    return pairs.with_name(f"{pairs.stem}-places.npy")


def _pairs(keys: Keys, worse: NDArray[np.int64], better: NDArray[np.int64]) -> Pairs:
    pairs = np.zeros(len(worse), PAIR)
    pairs["worse"], pairs["better"] = keys["place"][worse], keys["place"][better]
    pairs["length"] = keys["length"][worse]
    return pairs
