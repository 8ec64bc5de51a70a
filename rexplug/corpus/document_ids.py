"""Finds ids that several documents share, by hashes written beside each shard and compared in bounded memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.merge_rounds import merged_in_rounds
from rexplug.errors import DataError
from rexplug.executors import Job, run_jobs
from rexplug.io.atomic import replacing, write_json
from rexplug.io.tabular import BadRecord, open_parquet, parquet_records
from rexplug.progress import Progress
from rexplug.recipe.schema import Executor
from rexplug.run_directory import read_json

Hashes = NDArray[np.uint64]

_BLOCK = 2**16
_MOST_HASHES = 2**22
"""Hashes that are compared at a time: 32 MB."""


class IdHashWriter:
    """Writes a hash of 8 bytes per document id, sorted; the file takes its name when the block ends without error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hashes: list[bytes] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._temporary = self._stack.enter_context(replacing(self.path))
        self._file = self._temporary.open("wb")
        self._stack.push(self._close)
        return self

    def add(self, id: str) -> None:
        """Add a document's id."""
        self._hashes.append(_hash(id))
        if len(self._hashes) == _BLOCK:
            self._flush()

    def _flush(self) -> None:
        self._file.write(b"".join(self._hashes))
        self._hashes = []

    def _close(self, kind: type[BaseException] | None, *_: object) -> None:
        """Complete the temporary file, before it takes its name; what is raised here keeps it from doing so."""
        if kind is None:
            self._flush()
        self._file.close()
        if kind is None and self._temporary.stat().st_size:
            np.memmap(self._temporary, np.uint64, "r+").sort()

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


def _hash(id: str) -> bytes:
    return hashlib.blake2b(id.encode(), digest_size=8).digest()


@dataclass(frozen=True)
class RepeatedId:
    """How many `documents` of a source share their id with another one, and an example: `id`, which occurs at `places`."""

    documents: int
    id: str
    places: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The entry in `statistics.json`."""
        return {"documents": self.documents, "id": self.id, "places": list(self.places)}


def find_repeated_id(
    shards: Sequence[tuple[Path, Sequence[Path]]], folder: Path, executor: Executor, *, progress: Progress, name: str
) -> RepeatedId | None:
    """The repeated ids of a source; None if all ids differ.

    Args:
        shards: for each shard, the file that its `IdHashWriter` wrote and the files that hold its documents.
        folder: for intermediate files.
        executor: where the comparison runs.
        progress: receives the progress.
        name: of the source, for messages.
    """
    shards = [(ids, inside) for ids, inside in shards if ids.exists() and ids.stat().st_size]
    if not shards:
        return None
    files = merged_in_rounds(
        [ids for ids, _ in shards],
        lambda group, target: Job(f"'{name}', merge the ids {target.stem}", _merge, (group, target), target),
        folder, executor, progress=progress, task=f"merge the ids of {name}",
    )  # fmt: skip
    count = _num_ranges(files)
    records = [folder / "compared" / f"{part:05d}.json" for part in range(count)]
    jobs = [
        Job(f"'{name}', ids, part {part + 1} of {count}", _count_repeated, (files, part, count, record), record)
        for part, record in enumerate(records)
    ]
    run_jobs(jobs, executor, logs=folder / "logs", progress=progress, task=f"compare the ids of {name}")
    found = [record for record in map(read_json, records) if record["documents"]]
    if not found:
        return None
    documents, example = sum(record["documents"] for record in found), np.uint64(found[0]["example"])
    places: list[str] = []
    id = ""
    for ids, inside in shards:
        known = np.memmap(ids, np.uint64, "r")
        at = int(np.searchsorted(known, example))
        if at < len(known) and known[at] == example:
            for id, place in _with_hash(inside, example.tobytes()):
                places.append(place)
                if len(places) == 2:
                    return RepeatedId(documents, id, tuple(places))
    # Two ids with one hash of 64 bits: one chance in a billion for a billion documents.
    return RepeatedId(documents, id, tuple(places)) if documents > 2 else None


def _num_ranges(files: Sequence[Path]) -> int:
    """Into how many ranges the hashes of files are divided, so that those of one fit into memory."""
    return max(1, -(-sum(path.stat().st_size // 8 for path in files) // _MOST_HASHES))


def _range(files: Sequence[Path], part: int, count: int) -> Hashes:
    """The hashes of one of `count` ranges, not sorted; of sorted files."""
    pieces: list[Hashes] = [np.zeros(0, np.uint64)]
    for path in files:
        known = np.memmap(path, np.uint64, "r")
        start = int(np.searchsorted(known, np.uint64(2**64 * part // count))) if part else 0
        stop = int(np.searchsorted(known, np.uint64(2**64 * (part + 1) // count))) if part + 1 < count else len(known)
        pieces.append(np.array(known[start:stop]))
    return np.concatenate(pieces)


def _merge(sources: Sequence[Path], target: Path) -> int:
    """Merge sorted files of hashes into one, range by range."""
    count = _num_ranges(sources)
    with replacing(target) as temporary, temporary.open("wb") as out:
        for part in range(count):
            out.write(np.sort(_range(sources, part, count)).tobytes())
    return len(sources)


def _count_repeated(files: Sequence[Path], part: int, count: int, record: Path) -> int:
    """Write how many documents share a hash with another one, in one range of hashes, and an example."""
    hashes = _range(files, part, count)
    values, counts = np.unique(hashes, return_counts=True)
    repeated = values[counts > 1]
    example = int(repeated[0]) if len(repeated) else None
    write_json(record, {"documents": int(counts[counts > 1].sum()), "example": example})
    return len(hashes)


def _with_hash(files: Sequence[Path], hash_bytes: bytes) -> Iterator[tuple[str, str]]:
    """Id and place of the documents whose id has a hash."""
    for path in files:
        if not path.exists():
            continue
        with open_parquet(path) as reader:
            for row in parquet_records(reader, ("id", "metadata")):
                if isinstance(row, BadRecord):
                    raise DataError(f"{path} is damaged: {row.detail}")
                if _hash(row["id"]) == hash_bytes:
                    yield row["id"], str(json.loads(row["metadata"]).get("place", "an unknown place"))
