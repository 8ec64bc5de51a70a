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

from rexplug.errors import DataError
from rexplug.io.atomic import replacing
from rexplug.io.tabular import BadRecord, open_parquet, parquet_records

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


def find_repeated_id(shards: Sequence[tuple[Path, Sequence[Path]]]) -> RepeatedId | None:
    """The repeated ids of a source; None if all ids differ.

    Args:
        shards: for each shard, the file that its `IdHashWriter` wrote and the files that hold its documents.
    """
    shards = [(ids, files) for ids, files in shards if ids.exists() and ids.stat().st_size]
    documents, example = 0, None
    for hashes in _hashes_by_range([ids for ids, _ in shards]):
        values, counts = np.unique(hashes, return_counts=True)
        documents += int(counts[counts > 1].sum())
        if example is None and (counts > 1).any():
            example = values[counts > 1][0]
    if example is None:
        return None
    places: list[str] = []
    id = ""
    for ids, files in shards:
        known = np.memmap(ids, np.uint64, "r")
        at = int(np.searchsorted(known, example))
        if at < len(known) and known[at] == example:
            for id, place in _with_hash(files, example.tobytes()):
                places.append(place)
                if len(places) == 2:
                    return RepeatedId(documents, id, tuple(places))
    # Two ids with one hash of 64 bits: one chance in a billion for a billion documents.
    return RepeatedId(documents, id, tuple(places)) if documents > 2 else None


def _hashes_by_range(files: Sequence[Path]) -> Iterator[NDArray[np.uint64]]:
    """All hashes, range by range, as many at a time as fit into memory."""
    total = sum(path.stat().st_size // 8 for path in files)
    number = -(-total // _MOST_HASHES)
    edges = [np.uint64(2**64 * part // number) for part in range(1, number)]
    starts = [0] * len(files)
    for part in range(number):
        parts = []
        for index, path in enumerate(files):
            known = np.memmap(path, np.uint64, "r")
            stop = int(np.searchsorted(known, edges[part])) if part < len(edges) else len(known)
            parts.append(np.array(known[starts[index] : stop]))
            starts[index] = stop
        yield np.concatenate(parts)


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
