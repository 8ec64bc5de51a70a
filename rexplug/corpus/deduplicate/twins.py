"""Writes for each shard which of its rows are dropped, why, and which document each of them repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.pairs import shard_bounds
from rexplug.io.atomic import replacing, write_json
from rexplug.io.tabular import open_parquet

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


def write_drops(shards: Sequence[ShardFiles], first: int, stop: int, drops: Path, record: Path) -> int:
    """Write the dropped rows of the shards `first` to `stop` with the ids of the documents that they repeat.

    Args:
        shards: all shards that were compared.
        first: number of the first shard to write.
        stop: number after the last.
        drops: file of all drops, sorted by place.
        record: written last.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = np.load(drops, mmap_mode="r")
    low, high = shard_bounds(known["place"], first, stop)
    here = np.array(known[low:high])
    ids = np.zeros(len(here), object)
    order = np.argsort(here["twin"], kind="stable")
    numbers = (here["twin"] >> np.uint64(32)).astype(np.int64)
    rows = (here["twin"] & np.uint64(2**32 - 1)).astype(np.int64)
    bounds = np.searchsorted(numbers[order], np.unique(numbers))
    for places in np.split(order, bounds[1:]):
        if len(places):
            ids[places] = ids_of(shards[numbers[places[0]]].documents, rows[places])
    for number in range(first, stop):
        low, high = shard_bounds(here["place"], number, number + 1)
        if high > low:
            part = here[low:high]
            table = pa.table(
                {
                    "row": (part["place"] & np.uint64(2**32 - 1)).astype(np.uint32),
                    "reason": part["reason"],
                    "twin": pa.array(ids[low:high].tolist(), pa.string()),
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
    """The ids of some rows, which are ascending and may repeat; groups of rows without any are not read."""
    first, ids = 0, []
    with open_parquet(documents) as reader:
        for group in range(reader.num_row_groups):
            count = reader.metadata.row_group(group).num_rows
            low, high = np.searchsorted(rows, (first, first + count))
            if high > low:
                column = reader.read_row_group(group, columns=["id"])["id"]
                ids += column.take(rows[low:high] - first).to_pylist()
            first += count
    return ids
