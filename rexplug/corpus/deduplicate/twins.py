"""Writes for each shard which of its rows are dropped, why, and which document each of them repeats."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.pairs import EDGE, PAIR, of_shards, save_sorted, shard_bounds
from rexplug.io.atomic import replacing, write_json
from rexplug.io.file_cache import cached_until_changed
from rexplug.io.tabular import open_parquet, parquet_chunks

if TYPE_CHECKING:
    import pyarrow as pa

SAME_URL, SAME_TEXT, NEAR = 0, 1, 2
"""Why a row is dropped; the files of dropped rows hold the number."""
DROP = np.dtype([("place", "<u8"), ("reason", "u1"), ("twin", "<u8"), ("alike", "<f4")])
"""A dropped document, the one it repeats, and their similarity (NaN where only their URLs were compared)."""
Drops = NDArray[np.void]
LARGE_GROUP = 100
"""Near-duplicates of one document from which the group is reported."""


@dataclass(frozen=True)
class ShardFiles:
    """The files of a shard: `keys` of its documents, the `documents` themselves, the `drops` to write; `source` is its name."""

    source: str
    keys: Path
    documents: Path
    drops: Path


def save_shards(shards: Sequence[ShardFiles], path: Path) -> None:
    """Write the list of all shards once for all jobs, instead of sending it with each."""
    with replacing(path) as temporary:
        temporary.write_bytes(pickle.dumps(list(shards)))


@cached_until_changed(maxsize=4)
def _load_shards(path: Path) -> list[ShardFiles]:
    shards: list[ShardFiles] = pickle.loads(path.read_bytes())
    return shards


def write_twins(
    found: Sequence[tuple[int, Sequence[Path]]], first: int, stop: int, by_place: Path, by_twin: Path
) -> int:
    """Write the drops of the shards `first` to `stop` sorted by their places, and sorted by the places of their twins.

    Args:
        found: a reason, and files of pairs that were found for it, sorted by the worse document.
        first: number of the first shard.
        stop: number after the last.
        by_place: a file to write.
        by_twin: the other; the record beside it is written last.
    """
    parts = [np.zeros(0, DROP)]
    for reason, files in found:
        pairs = of_shards(files, "worse", first, stop, EDGE if reason == NEAR else PAIR)
        part = np.zeros(len(pairs), DROP)
        part["place"], part["twin"], part["reason"] = pairs["worse"], pairs["better"], reason
        part["alike"] = pairs["alike"] if reason == NEAR else 1 if reason == SAME_TEXT else np.nan
        parts.append(part)
    drops = np.concatenate(parts)
    save_sorted(by_place, drops, "place")
    save_sorted(by_twin, drops, "twin")
    write_json(by_twin.with_suffix(".json"), {"dropped": len(drops)})
    return len(drops)


def write_twin_ids(shards_file: Path, first: int, stop: int, by_twin: Sequence[Path], target: Path) -> int:
    """Write the ids of the documents in the shards `first` to `stop` that others repeat, with the place of each of the others.

    Each file of documents is opened once, however many shards repeat something in it.

    Args:
        shards_file: all shards that were compared, as `save_shards` wrote them.
        first: number of the first shard.
        stop: number after the last.
        by_twin: files of drops, sorted by the place of the twin.
        target: the file to write, sorted by place; the record beside it is written last. It says how many documents are
            repeated by `LARGE_GROUP` near-duplicates or more.
    """
    import pyarrow as pa

    shards = _load_shards(shards_file)
    here = of_shards(by_twin, "twin", first, stop, DROP)
    here = here[np.lexsort((here["place"], here["twin"]))]
    ids: list[pa.Array] = []
    for number in range(first, stop):
        low, high = shard_bounds(here["twin"], number, number + 1)
        if high > low:
            ids.append(_ids_of(shards[number].documents, _rows(here["twin"][low:high])))
    order = np.argsort(here["place"], kind="stable")
    column = pa.chunked_array(ids, pa.string()).combine_chunks() if ids else pa.array([], pa.string())
    table = pa.table({"place": here["place"][order], "id": column.take(pa.array(order))})
    with replacing(target) as temporary, pa.ipc.new_file(temporary, table.schema) as writer:
        writer.write_table(table)
    write_json(target.with_suffix(".json"), {"twins": len(here), "large": _large_groups(here, shards)})
    return len(here)


def _large_groups(drops: Drops, shards: Sequence[ShardFiles]) -> dict[str, Any]:
    """How many documents have many near-duplicates, how many these are in all, and the documents with the most."""
    twins, counts = np.unique(drops["twin"][drops["reason"] == NEAR], return_counts=True)
    large = np.flatnonzero(counts >= LARGE_GROUP)
    most = [
        [int(counts[each]), _ids_of(shards[int(twins[each]) >> 32].documents, _rows(twins[each : each + 1]))[0].as_py()]
        for each in large[np.lexsort((twins[large], -counts[large]))][:3].tolist()
    ]
    return {"documents": len(large), "near_duplicates": int(counts[large].sum()), "most": most}


def _rows(places: NDArray[np.uint64]) -> NDArray[np.int64]:
    rows: NDArray[np.int64] = (places & np.uint64(2**32 - 1)).astype(np.int64)
    return rows


def _ids_by_place(files: Sequence[Path], first: int, stop: int) -> pa.Array:
    """The ids that the drops in the shards `first` to `stop` repeat, in the order of their places."""
    import pyarrow as pa

    places, ids = [np.zeros(0, np.uint64)], [pa.array([], pa.string())]
    for path in files:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
            low, high = shard_bounds(table["place"].to_numpy(), first, stop)
            if high > low:
                part = table.take(pa.array(np.arange(low, high)))  # a copy: a slice would keep the file mapped
                places.append(part["place"].to_numpy())
                ids += part["id"].chunks
    return pa.concat_arrays(ids).take(pa.array(np.argsort(np.concatenate(places))))


def write_drops(shards_file: Path, first: int, stop: int, drops: Path, ids: Sequence[Path], record: Path) -> int:
    """Write the dropped rows of the shards `first` to `stop` with the ids of the documents that they repeat.

    Args:
        shards_file: all shards that were compared, as `save_shards` wrote them.
        first: number of the first shard to write.
        stop: number after the last.
        drops: file of their drops, sorted by place.
        ids: the files that `write_twin_ids` wrote.
        record: written last.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shards = _load_shards(shards_file)
    here = np.load(drops)
    names = _ids_by_place(ids, first, stop)
    numbers = (here["twin"] >> np.uint64(32)).astype(np.int64)
    for number in range(first, stop):
        low, high = shard_bounds(here["place"], number, number + 1)
        if high > low:
            part = here[low:high]
            table = pa.table(
                {
                    "row": _rows(part["place"]).astype(np.uint32),
                    "reason": part["reason"],
                    "twin": names.slice(low, high - low),
                    "twin_source": pa.array([shards[n].source for n in numbers[low:high]], pa.string()),
                    "alike": pa.array(part["alike"], from_pandas=True),
                }
            )
            with replacing(shards[number].drops) as temporary:
                pq.write_table(table, temporary)
    write_json(record, {"dropped": len(here)})
    return len(here)


def read_drops(path: Path) -> list[dict[str, Any]]:
    """The dropped rows of a shard in their order; none if the file does not exist."""
    if not path.exists():
        return []
    with open_parquet(path) as reader:
        rows: list[dict[str, Any]] = reader.read().to_pylist()
    return rows


def _ids_of(documents: Path, rows: NDArray[np.int64]) -> pa.Array:
    """The ids of some rows, which are ascending and may repeat."""
    import pyarrow as pa

    with open_parquet(documents) as reader:
        return pa.concat_arrays(list(parquet_chunks(reader, "id", rows)))
