"""Finds the rows that are duplicates from the keys of documents.

The result is the same for any number of workers; memory is bounded by one part of the keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.minhash import config
from rexplug.executors import Job, run_jobs
from rexplug.executors.datatrove_logging import silence_datatrove
from rexplug.io.atomic import replacing, write_json
from rexplug.progress import Progress
from rexplug.recipe.schema import Curation, MinHash

_PART = 4_000_000
"""Documents whose hashes are compared at a time."""
SAME_URL, SAME_TEXT, NEAR = 0, 1, 2
"""Why a row is dropped; the files of dropped rows hold the number."""


def find_duplicates(
    shards: Sequence[tuple[Path, Path]],
    curation: Curation,
    seed: int,
    folder: Path,
    signatures: Path,
    *,
    progress: Progress,
    name: str,
) -> None:
    """Write for each shard which of its rows are duplicates, with the reasons.

    Addresses are compared first, then equal texts among what is left, then near-duplicates among what is left of that.

    Args:
        shards: per shard the file of its keys and the file to write: [num_drops, 2] row and reason.
        curation: what counts as a duplicate, which one stays, and where the work runs.
        seed: of the MinHash functions.
        folder: for what is written on the way.
        signatures: the folder of MinHash signatures, with the place in `shards` as the number of a file.
        progress: receives the notes and progress.
        name: of the sources, for messages.
    """
    keys = [path for path, _ in shards]
    reasons: dict[str, int] = {}
    if curation.deduplicate_urls:
        reasons["url"] = SAME_URL
    if curation.deduplicate != "none":
        reasons["text"] = SAME_TEXT
    dropped: NDArray[np.uint64] = np.zeros(0, np.uint64)
    reason_of: NDArray[np.uint8] = np.zeros(0, np.uint8)
    total = sum(len(np.load(path, mmap_mode="r")) for path in keys)
    for field, reason in reasons.items():
        count = max(1, -(-total // _PART))
        before = folder / f"before-{field}.npy"
        _save(before, dropped)
        jobs = [
            Job(
                f"{name}, equal {field}s", equal_part,
                (keys, field, part, count, curation.keep, before, folder / f"{field}-{part}.npy"),
                folder / f"{field}-{part}.json",
            )
            for part in range(count)
        ]  # fmt: skip
        run_jobs(jobs, curation.executor, logs=folder / "logs", progress=progress, task=f"deduplicate {name} ({field})")
        new = np.concatenate([np.load(folder / f"{field}-{part}.npy") for part in range(count)])
        dropped, reason_of = _merged(dropped, reason_of, new, reason)
    if curation.deduplicate == "minhash":
        pairs = folder / "pairs"
        jobs = [
            Job(
                f"{name}, bucket {bucket}", near_bucket, (signatures, pairs, curation.minhash, seed, bucket),
                folder / f"bucket-{bucket}.json",
            )
            for bucket in range(curation.minhash.buckets)
        ]  # fmt: skip
        run_jobs(jobs, curation.executor, logs=folder / "logs", progress=progress, task=f"deduplicate {name} (minhash)")
        dropped, reason_of = _merged(dropped, reason_of, _near(pairs, keys, dropped, curation.keep), NEAR)
    for number, (_, target) in enumerate(shards):
        low, high = np.searchsorted(dropped, np.array([number << 32, (number + 1) << 32], np.uint64))
        rows = (dropped[low:high] & np.uint64(2**32 - 1)).astype(np.uint32)
        _save(target, np.column_stack([rows, reason_of[low:high].astype(np.uint32)]))


def _save(path: Path, values: NDArray[np.generic]) -> None:
    with replacing(path) as temporary:
        np.save(temporary, values)


def _merged(
    dropped: NDArray[np.uint64], reason_of: NDArray[np.uint8], new: NDArray[np.uint64], reason: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """The dropped rows and the new ones, sorted, with their reasons."""
    places = np.concatenate([dropped, new])
    reasons = np.concatenate([reason_of, np.full(len(new), reason, np.uint8)])
    order = np.argsort(places)
    return places[order], reasons[order]


def _places(number: int, rows: NDArray[np.generic]) -> NDArray[np.uint64]:
    """Combine the number of a shard with rows into values that sort by shard and row."""
    return rows.astype(np.uint64) | np.uint64(number << 32)


def equal_part(keys: Sequence[Path], field: str, part: int, count: int, keep: str, before: Path, target: Path) -> int:
    """Write the places of documents whose hash also occurs in a better document, for one part of all hashes."""
    dropped = np.load(before)
    hashes: list[NDArray[np.uint64]] = [np.zeros((0, 2), np.uint64)]
    places: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    lengths: list[NDArray[np.uint32]] = [np.zeros(0, np.uint32)]
    for number, path in enumerate(keys):
        table = np.load(path, mmap_mode="r")
        values = table[field]
        rows = np.flatnonzero((values[:, 0] % np.uint64(count) == part) & values.any(axis=1))
        here = _places(number, rows)
        rows = rows[~np.isin(here, dropped)]
        hashes.append(values[rows])
        places.append(_places(number, rows))
        lengths.append(table["length"][rows])
    everything, where = np.concatenate(hashes), np.concatenate(places)
    best_first = _order(keep, np.concatenate(lengths), where)
    order = np.lexsort((*best_first, everything[:, 1], everything[:, 0]))
    sorted_ = everything[order]
    again = (sorted_[1:] == sorted_[:-1]).all(axis=1)
    _save(target, where[order[1:][again]])
    write_json(target.with_suffix(".json"), {"duplicates": int(again.sum())})
    return len(where)


def _order(keep: str, lengths: NDArray[np.uint32], places: NDArray[np.uint64]) -> tuple[NDArray[np.generic], ...]:
    """Keys for `lexsort` that put the document that is kept first."""
    return (places, -lengths.astype(np.int64)) if keep == "longest" else (places,)


def near_bucket(signatures: Path, pairs: Path, options: MinHash, seed: int, bucket: int) -> int:
    """Run datatrove's second stage for one bucket; it writes the pairs of documents that agree in it."""
    from datatrove.pipeline.dedup import MinhashDedupBuckets

    silence_datatrove()
    pairs.mkdir(parents=True, exist_ok=True)
    step = MinhashDedupBuckets(str(signatures), str(pairs), config=config(options, seed), lines_to_buffer=500)
    step.run(None, rank=bucket, world_size=options.buckets)
    write_json(pairs.parent / f"bucket-{bucket}.json", {"bucket": bucket})
    return 0


def _near(pairs: Path, keys: Sequence[Path], dropped: NDArray[np.uint64], keep: str) -> NDArray[np.uint64]:
    """The places of near-duplicates: all but the best document of each group that pairs connect.

    datatrove's third stage keeps whichever document its union makes the root; here `keep` decides.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pair_arrays = [np.fromfile(path, "<u4").reshape(-1, 4) for path in sorted(pairs.glob("*.dups"))]
    edges = np.unique(np.concatenate([np.zeros((0, 4), np.uint32), *pair_arrays]), axis=0).astype(np.uint64)
    if not len(edges):
        return np.zeros(0, np.uint64)
    left, right = edges[:, 0] << np.uint64(32) | edges[:, 1], edges[:, 2] << np.uint64(32) | edges[:, 3]
    nodes, numbers = np.unique(np.concatenate([left, right]), return_inverse=True)
    a, b = numbers[: len(left)], numbers[len(left) :]
    graph = coo_array((np.ones(len(a), np.bool_), (a, b)), shape=(len(nodes), len(nodes)))
    _, group = connected_components(graph, directed=False)
    stays = ~np.isin(nodes, dropped)
    nodes, group = nodes[stays], group[stays]
    lengths = np.zeros(len(nodes), np.uint32)
    if keep == "longest":
        for place, rows, path in _by_shard(nodes, keys):
            lengths[place] = np.load(path, mmap_mode="r")["length"][rows]
    order = np.lexsort((*_order(keep, lengths, nodes), group))
    again = group[order[1:]] == group[order[:-1]]
    found_again: NDArray[np.uint64] = nodes[order[1:][again]]
    return found_again


def _by_shard(nodes: NDArray[np.uint64], keys: Sequence[Path]) -> Iterator[tuple[slice, NDArray[np.uint64], Path]]:
    """Yield, per shard, where its places are in the sorted `nodes`, their rows, and the shard's file of keys."""
    for number, path in enumerate(keys):
        low, high = np.searchsorted(nodes, np.array([number << 32, (number + 1) << 32], np.uint64))
        if high > low:
            yield slice(low, high), nodes[low:high] & np.uint64(2**32 - 1), path
