"""Jobs that confirm candidate pairs by the exact similarity of their shingles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.compare import nodes_file
from rexplug.corpus.deduplicate.pairs import EDGE, MOST_WAITING, Pairs, distinct_of_shards, save, shard_bounds
from rexplug.corpus.deduplicate.shingle_store import (
    ShingleStore,
    each_has_others,
    shingle_file,
    similarity,
    write_shingles,
)
from rexplug.io.atomic import write_json
from rexplug.recipe.schema import MinHash

_BLOCK = 2**16
"""Pairs whose places are converted to Python numbers at a time."""


def write_candidates(
    documents: Sequence[Path], first: int, pairs: Sequence[Path], options: MinHash, folder: Path, record: Path
) -> int:
    """Write the shingles of the documents of some shards that occur in candidate pairs.

    Args:
        documents: the files of the documents of the shards, which have consecutive numbers.
        first: number of the first of them.
        pairs: files of candidate pairs.
        options: how texts are normalised and divided.
        folder: where the shingles go, one file for these shards.
        record: written last.
    """
    candidates = _candidates([nodes_file(path) for path in pairs], first, len(documents))
    write_shingles(documents, first, candidates, options, shingle_file(folder, first))
    write_json(record, {"candidates": len(candidates)})
    return len(candidates)


def confirm_pairs(pairs: Sequence[Path], first: int, size: int, options: MinHash, folder: Path, target: Path) -> int:
    """Write the pairs that are similar enough, of those whose worse document is in one of `size` shards from `first` on.

    Args:
        pairs: files of candidate pairs.
        first: number of the first shard.
        size: number of shards of a job, and of a file of shingles.
        options: what is similar enough.
        folder: that of the shingles.
        target: the file to write; the record beside it is written last.
    """
    compared = distinct_of_shards(pairs, first, first + size)
    alike = _confirmed(compared, options, ShingleStore(folder, size))
    kept = ~np.isnan(alike)
    edges = np.zeros(int(kept.sum()), EDGE)
    for field in ("worse", "better", "length"):
        edges[field] = compared[field][kept]
    edges["alike"] = alike[kept]
    save(target, edges)
    write_json(target.with_suffix(".json"), {"pairs": len(compared), "confirmed": len(edges)})
    return len(compared)


def _confirmed(pairs: Pairs, options: MinHash, store: ShingleStore) -> NDArray[np.float32]:
    """The similarity of each pair, NaN where it is too low or the documents differ in what `differ` names."""
    alike = np.full(len(pairs), np.nan, np.float32)
    # Pairs with the same better document follow each other, so files are opened in their order.
    order = np.lexsort((pairs["worse"], pairs["better"]))
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        worse, better = pairs["worse"][rows].tolist(), pairs["better"][rows].tolist()
        for row, a_place, b_place in zip(rows.tolist(), better, worse, strict=True):
            (a, marks_a), (b, marks_b) = store.get(a_place), store.get(b_place)
            if options.differ != "none" and each_has_others(marks_a, marks_b):
                continue
            value = similarity(a, b)
            if value >= options.similarity:
                alike[row] = value
    return alike


def _candidates(files: Sequence[Path], first: int, count: int) -> NDArray[np.uint64]:
    """The distinct places, from sorted files of places, that are in the `count` shards beginning with `first`."""
    found: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    waiting = 0
    for path in files:
        places = np.load(path, mmap_mode="r")
        low, high = shard_bounds(places, first, first + count)
        found.append(np.array(places[low:high]))
        waiting += high - low
        if waiting > MOST_WAITING:
            found, waiting = [np.unique(np.concatenate(found))], 0
    return np.unique(np.concatenate(found))
