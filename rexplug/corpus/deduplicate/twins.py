"""Writes for each shard which of its rows are dropped, why, and which document each of them repeats."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.pairs import shard_bounds
from rexplug.io.atomic import replacing, write_json
from rexplug.io.tabular import open_parquet, parquet_values

SAME_URL, SAME_TEXT, NEAR = 0, 1, 2
"""Why a row is dropped; the files of dropped rows hold the number."""
DROP = np.dtype([("place", "<u8"), ("reason", "u1"), ("twin", "<u8"), ("alike", "<f4")])
"""A dropped document, the one it repeats, and their similarity (NaN where only their URLs were compared)."""
Drops = NDArray[np.void]


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


def _load_shards(path: Path) -> list[ShardFiles]:
    stat = path.stat()
    return _load_cached(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _load_cached(path: str, modified: int, size: int) -> list[ShardFiles]:
    shards: list[ShardFiles] = pickle.loads(Path(path).read_bytes())
    return shards


def write_twin_ids(shards_file: Path, first: int, stop: int, by_twin: Path, target: Path) -> int:
    """Write the ids of the documents in the shards `first` to `stop` that others repeat, with the place of each of the others.

    Each file of documents is opened once, however many shards repeat something in it.

    Args:
        shards_file: all shards that were compared, as `save_shards` wrote them.
        first: number of the first shard.
        stop: number after the last.
        by_twin: file of all drops, sorted by the place of the twin.
        target: the file to write, sorted by place; the record beside it is written last.
    """
    import pyarrow as pa

    shards = _load_shards(shards_file)
    known = np.load(by_twin, mmap_mode="r")
    low, high = shard_bounds(known["twin"], first, stop)
    here = np.array(known[low:high])
    ids: list[str] = []
    for number in range(first, stop):
        low, high = shard_bounds(here["twin"], number, number + 1)
        if high > low:
            rows = (here["twin"][low:high] & np.uint64(2**32 - 1)).astype(np.int64)
            ids += ids_of(shards[number].documents, rows)
    order = np.argsort(here["place"], kind="stable")
    table = pa.table({"place": here["place"][order], "id": pa.array(ids, pa.string()).take(order)})
    with replacing(target) as temporary, pa.ipc.new_file(temporary, table.schema) as writer:
        writer.write_table(table)
    write_json(target.with_suffix(".json"), {"twins": len(here)})
    return len(here)


def _ids_by_place(files: Sequence[Path], first: int, stop: int) -> list[str]:
    """The ids that the drops in the shards `first` to `stop` repeat, in the order of their places."""
    import pyarrow as pa

    parts = []
    for path in files:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
            low, high = shard_bounds(table["place"].to_numpy(), first, stop)
            part = table.slice(low, high - low)
            parts.append((part["place"].to_numpy(), part["id"].to_pylist()))
    places = np.concatenate([place for place, _ in parts])
    ids = [id for _, part in parts for id in part]
    return [ids[each] for each in np.argsort(places).tolist()]


def write_drops(shards_file: Path, first: int, stop: int, drops: Path, ids: Sequence[Path], record: Path) -> int:
    """Write the dropped rows of the shards `first` to `stop` with the ids of the documents that they repeat.

    Args:
        shards_file: all shards that were compared, as `save_shards` wrote them.
        first: number of the first shard to write.
        stop: number after the last.
        drops: file of all drops, sorted by place.
        ids: the files that `write_twin_ids` wrote.
        record: written last.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shards = _load_shards(shards_file)
    known = np.load(drops, mmap_mode="r")
    low, high = shard_bounds(known["place"], first, stop)
    here = np.array(known[low:high])
    names = _ids_by_place(ids, first, stop)
    numbers = (here["twin"] >> np.uint64(32)).astype(np.int64)
    for number in range(first, stop):
        low, high = shard_bounds(here["place"], number, number + 1)
        if high > low:
            part = here[low:high]
            table = pa.table(
                {
                    "row": (part["place"] & np.uint64(2**32 - 1)).astype(np.uint32),
                    "reason": part["reason"],
                    "twin": pa.array(names[low:high], pa.string()),
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


def ids_of(documents: Path, rows: NDArray[np.int64]) -> list[str]:
    """The ids of some rows, which are ascending and may repeat."""
    with open_parquet(documents) as reader:
        return list(parquet_values(reader, "id", rows))
