"""Reads the token store of a source: memory-mapped shards of tokens, document ends and channels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.checksums import checksum
from rexplug.errors import DataError
from rexplug.run_directory import read_json
from rexplug.tokens.index import DocumentIndex
from rexplug.tokens.shards import (
    FORMAT,
    WORD_START,
    close_store,
    description_problem,
    has_shard,
    hash_of,
    next_shard,
    size_problem,
    write_shard,
)

__all__ = ["WORD_START", "TokenStore", "close_store", "has_shard", "next_shard", "write_shard"]


@dataclass(frozen=True, eq=False)
class TokenStore:
    """Random access to the tokens of a source's documents. A shard is mapped into memory when it is first read."""

    folder: Path
    description: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> TokenStore:
        """Open a store and check the size of every file and the end of every shard; `verify` checks the contents.

        Raises:
            DataError: a file is missing, truncated, altered in size, or of another format.
        """
        description = read_json(folder / "store.json")
        if not isinstance(description, dict):
            raise DataError(f"{folder / 'store.json'} is damaged: it is not a JSON object; run again --from tokenize")
        if description.get("format") != FORMAT:
            raise DataError(
                f"{folder} is a token store of format {description.get('format')}, not {FORMAT}; run again --from tokenize"
            )
        problem = description_problem(description)
        if problem is not None:
            raise DataError(f"{folder / 'store.json'} is damaged: {problem}; run again --from tokenize")
        store = cls(folder, description)
        for number, entry in enumerate(description["shards"]):
            for name, file in entry["files"].items():
                problem = size_problem(folder / name, file["bytes"])
                if problem:
                    raise DataError(problem)
            store._check_tail(number, entry)
        return store

    def _check_tail(self, number: int, entry: Mapping[str, int]) -> None:
        if not entry["documents"]:
            return
        path = self.folder / f"ends-{number:05d}.npy"
        with path.open("rb") as file:
            file.seek(-8, 2)
            last = int.from_bytes(file.read(8), "little")
        if last != entry["tokens"]:
            raise DataError(f"{path} ends at token {last}, but store.json says {entry['tokens']}")

    def verify(self, *, content_up_to: int | None = None) -> Iterator[str]:
        """Read every file and yield a sentence about each one that differs from its checksum.

        Args:
            content_up_to: of files with more bytes only the size is compared; if left out, every file is read.
        """
        for entry in self.description["shards"]:
            for name, file in entry["files"].items():
                problem = size_problem(self.folder / name, file["bytes"])
                read_content = content_up_to is None or file["bytes"] <= content_up_to
                if problem is None and read_content and checksum(self.folder / name) != file["blake2b"]:
                    problem = f"{self.folder / name} was altered: its content does not meet its checksum in store.json"
                if problem:
                    yield problem

    @cached_property
    def identity(self) -> str:
        """A hash of the store's description, checksums included: any change of the store changes it."""
        text = json.dumps(dict(self.description), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @cached_property
    def index(self) -> DocumentIndex:
        """Lengths and offsets of all documents, memory-mapped if there are many."""
        shards = range(len(self.description["shards"]))
        return DocumentIndex.of(
            self.folder / "index", self.identity, self.num_documents, lambda: (self._map("ends", n) for n in shards)
        )

    @property
    def lengths(self) -> NDArray[np.uint32]:
        """Tokens of each document, `[num_documents]`."""
        return self.index.lengths.reshape(-1)[: self.num_documents]

    @cached_property
    def _mapped(self) -> dict[str, NDArray[Any]]:
        return {}

    def _map(self, kind: str, number: int) -> NDArray[Any]:
        name = f"{kind}-{number:05d}.npy"
        if name not in self._mapped:
            path = self.folder / name
            counts = self.description["shards"][number]
            length = counts["documents" if kind in ("ends", "ids") else "tokens"]
            try:
                values: NDArray[Any] = np.load(path, mmap_mode="r" if length else None)
            except (OSError, ValueError) as error:
                raise DataError(f"{path} is missing or truncated: {error}") from None
            if values.shape[-1] != length:
                raise DataError(f"{path} holds {values.shape[-1]} entries, but store.json says {length}")
            # A plain array: slicing a memmap costs several times as much.
            self._mapped[name] = values.view(np.ndarray)
        return self._mapped[name]

    def memory(self, shard: int, channel: str | None = None) -> memoryview:
        """All tokens of a shard, or all values of one of its channels, as memory whose slices are not copies."""
        values: Any = self._map("tokens" if channel is None else f"channel.{channel}", shard)
        return memoryview(values)

    @cached_property
    def first_documents(self) -> NDArray[np.int64]:
        """Documents before each shard, `[num_shards + 1]`; the last entry counts all."""
        return np.cumsum([0] + [shard["documents"] for shard in self.description["shards"]])

    @cached_property
    def first_tokens(self) -> NDArray[np.int64]:
        """Tokens before each shard, `[num_shards + 1]`; the last entry counts all."""
        return np.cumsum([0] + [shard["tokens"] for shard in self.description["shards"]])

    @property
    def num_documents(self) -> int:
        """Documents in the store."""
        return int(self.description["documents"])

    @property
    def num_tokens(self) -> int:
        """Tokens in the store; special tokens are not stored."""
        return int(self.description["tokens"])

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels, `word_start` among them."""
        return tuple(self.description["channels"])

    def _locate(self, document: int) -> tuple[int, int, int]:
        """A document's shard, and the first token of it and one past its last in the shard."""
        if not 0 <= document < self.num_documents:
            raise IndexError(f"{self.folder} has {self.num_documents} documents; there is no number {document}")
        number = int(np.searchsorted(self.first_documents, document, side="right")) - 1
        ends = self._map("ends", number)
        inside = document - int(self.first_documents[number])
        return number, int(ends[inside - 1]) if inside else 0, int(ends[inside])

    def document(self, document: int, start: int = 0, end: int | None = None) -> NDArray[Any]:
        """Tokens `start` to `end` (exclusive; the rest if None) of document number `document`, `[num_tokens]`.

        Raises:
            IndexError: there is no document with that number.
        """
        shard, first, last = self._locate(document)
        return self._map("tokens", shard)[first + start : last if end is None else min(last, first + end)]

    def channel(self, name: str, document: int, start: int = 0, end: int | None = None) -> NDArray[np.uint8]:
        """A channel's values for the tokens that `document()` returns, `[num_tokens]`."""
        shard, first, last = self._locate(document)
        return self._map(f"channel.{name}", shard)[first + start : last if end is None else min(last, first + end)]

    def ids(self, documents: Sequence[int]) -> list[str]:
        """The ids of the documents with these numbers, in the order asked for."""
        return [str(row["id"]) for row in self.rows(documents, ["id"])]

    def rows(self, documents: Sequence[int], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The rows of the documents with these numbers in the table of documents, in the order asked for.

        Only the row groups that hold them are read.

        Args:
            documents: numbers of documents.
            columns: names of columns; all (`id`, `url`, `hash`, `place`) if left out.
        """
        import pyarrow.parquet as pq

        numbers = np.asarray(documents, np.int64)
        shards = np.searchsorted(self.first_documents, numbers, side="right") - 1
        result: list[dict[str, Any]] = [{} for _ in documents]
        for shard in np.unique(shards).tolist():
            chosen = np.flatnonzero(shards == shard)
            inside = numbers[chosen] - self.first_documents[shard]
            with pq.ParquetFile(self.folder / f"documents-{shard:05d}.parquet", memory_map=True) as file:
                sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
                firsts = np.cumsum([0, *sizes])
                groups = np.searchsorted(firsts, inside, side="right") - 1
                for group in np.unique(groups).tolist():
                    in_group = groups == group
                    table = file.read_row_group(group, columns=None if columns is None else list(columns))
                    rows = table.take(inside[in_group] - firsts[group]).to_pylist()
                    for place, row in zip(chosen[in_group].tolist(), rows, strict=True):
                        result[place] = row
        return result

    def find(self, document: str) -> list[int]:
        """The numbers of the documents with this id; empty if there are none."""
        id_hash = np.uint64(hash_of(document))
        candidates = []
        for shard, first in enumerate(self.first_documents[:-1].tolist()):
            hashes, numbers = self._map("ids", shard)
            low = int(np.searchsorted(hashes, id_hash, side="left"))
            while low < len(hashes) and hashes[low] == id_hash:
                candidates.append(first + int(numbers[low]))
                low += 1
        return [number for number, name in zip(candidates, self.ids(candidates), strict=True) if name == document]
