"""Jobs that confirm candidate pairs by the exact similarity of their shingles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.pairs import PAIR, Pairs, distinct, nodes_file, save, shard_bounds
from rexplug.corpus.deduplicate.shingle_store import (
    ShingleStore,
    each_has_others,
    shingle_file,
    similarity,
    write_shingles,
)
from rexplug.io.atomic import write_json
from rexplug.recipe.schema import MinHash

EDGE = np.dtype([("worse", "<u8"), ("better", "<u8"), ("length", "<u4"), ("alike", "<f4")])
"""A confirmed pair with its similarity."""


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
    candidates = np.unique(
        np.concatenate([_of_shards(np.load(nodes_file(path), mmap_mode="r"), first, len(documents)) for path in pairs])
    )
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
    found = [np.zeros(0, PAIR)]
    for path in pairs:
        known = np.load(path, mmap_mode="r")
        low, high = shard_bounds(known["worse"], first, first + size)
        found.append(np.array(known[low:high]))
    compared = distinct(np.concatenate(found))
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
    worse, better = pairs["worse"].tolist(), pairs["better"].tolist()
    # Pairs with the same better document follow each other, so files are opened in their order.
    for place in np.lexsort((pairs["worse"], pairs["better"])).tolist():
        (a, marks_a), (b, marks_b) = store.get(better[place]), store.get(worse[place])
        if options.differ != "none" and each_has_others(marks_a, marks_b):
            continue
        value = similarity(a, b)
        if value >= options.similarity:
            alike[place] = value
    return alike


def _of_shards(places: NDArray[np.uint64], first: int, count: int) -> NDArray[np.uint64]:
    """The part of sorted places that lies in `count` shards from `first` on."""
    low, high = shard_bounds(places, first, first + count)
    return np.array(places[low:high])
