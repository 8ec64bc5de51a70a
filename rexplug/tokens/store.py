"""The token store of a source: memory-mapped shards of tokens, document ends and channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.errors import DataError
from rexplug.run_directory import read_json, replacing, write_json

FORMAT = 1
WORD_START = "word_start"


def write_shard(
    folder: Path,
    number: int,
    *,
    tokens: Sequence[NDArray[np.uint32]],
    channels: Mapping[str, Sequence[NDArray[np.uint8]]],
    documents: Mapping[str, Sequence[Any]],
    vocabulary_size: int,
) -> None:
    """Write shard `number`: one array of tokens per document, channels of the same lengths, columns per document.

    The documents' table is written last; a shard without it is not there.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = np.uint16 if vocabulary_size <= 2**16 else np.uint32
    flat = np.concatenate([np.zeros(0, kind), *(each.astype(kind) for each in tokens)])
    ends = np.cumsum([len(each) for each in tokens], dtype=np.uint64)
    _save(folder / f"tokens-{number:05d}.npy", flat)
    _save(folder / f"ends-{number:05d}.npy", ends)
    for name, values in channels.items():
        _save(folder / f"channel.{name}-{number:05d}.npy", np.concatenate([np.zeros(0, np.uint8), *values]))
    with replacing(folder / f"documents-{number:05d}.parquet") as temporary:
        pq.write_table(pa.table(dict(documents)), temporary, compression="zstd")


def _save(path: Path, values: NDArray[Any]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, values)


def has_shard(folder: Path, number: int) -> bool:
    """Whether shard `number` was written to its end."""
    return (folder / f"documents-{number:05d}.parquet").exists()


def close_store(
    folder: Path, shards: int, channels: Sequence[str], tokenizer: str, vocabulary_size: int
) -> dict[str, int]:
    """Write `store.json` once all shards are there; returns the counts."""
    counts = []
    for number in range(shards):
        ends = np.load(folder / f"ends-{number:05d}.npy", mmap_mode="r")
        counts.append({"documents": len(ends), "tokens": int(ends[-1]) if len(ends) else 0})
    totals = {key: sum(count[key] for count in counts) for key in ("documents", "tokens")}
    write_json(
        folder / "store.json",
        {
            "format": FORMAT, "tokenizer": tokenizer, "vocabulary_size": vocabulary_size, "channels": list(channels),
            "shards": counts, **totals,
        },
    )  # fmt: skip
    return totals


@dataclass(frozen=True)
class _Shard:
    tokens: NDArray[Any]
    starts: NDArray[np.int64]
    channels: Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class TokenStore:
    """Random access to the documents of a source."""

    folder: Path
    description: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> TokenStore:
        """Open a store and check that its shards are whole.

        Raises:
            DataError: something is missing, truncated or of another format.
        """
        store = cls(folder, read_json(folder / "store.json"))
        if store.description.get("format") != FORMAT:
            raise DataError(f"{folder} is a token store of format {store.description.get('format')}, not {FORMAT}")
        assert store._shards is not None
        return store

    @cached_property
    def _shards(self) -> list[_Shard]:
        found = []
        for number, counts in enumerate(self.description["shards"]):
            tokens = self._load(f"tokens-{number:05d}.npy", counts["tokens"])
            ends = self._load(f"ends-{number:05d}.npy", counts["documents"])
            last = int(ends[-1]) if len(ends) else 0
            if last != counts["tokens"]:
                raise DataError(
                    f"{self.folder / f'ends-{number:05d}.npy'} ends at token {last}, but store.json says {counts['tokens']}"
                )
            channels = {
                name: self._load(f"channel.{name}-{number:05d}.npy", counts["tokens"])
                for name in self.description["channels"]
            }
            found.append(_Shard(tokens, np.concatenate([[0], ends]).astype(np.int64), channels))
        return found

    def _load(self, name: str, length: int) -> NDArray[Any]:
        path = self.folder / name
        try:
            values: NDArray[Any] = np.load(path, mmap_mode="r") if length else np.load(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is missing or truncated: {error}") from None
        if len(values) != length:
            raise DataError(f"{path} holds {len(values)} entries, but store.json says {length}")
        return values

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document, `[num_documents]`."""
        parts = [np.diff(shard.starts) for shard in self._shards]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        return np.cumsum([0] + [count["documents"] for count in self.description["shards"]])

    @property
    def num_documents(self) -> int:
        """How many documents there are."""
        return int(self.description["documents"])

    @property
    def num_tokens(self) -> int:
        """How many tokens there are, special tokens not counted (they are not stored)."""
        return int(self.description["tokens"])

    def _where(self, document: int) -> tuple[_Shard, int, int]:
        number = int(np.searchsorted(self._first, document, side="right")) - 1
        shard = self._shards[number]
        inside = document - int(self._first[number])
        return shard, int(shard.starts[inside]), int(shard.starts[inside + 1])

    def document(self, document: int, start: int = 0, end: int | None = None) -> NDArray[Any]:
        """Tokens `start` to `end` of a document."""
        shard, first, last = self._where(document)
        return shard.tokens[first + start : last if end is None else min(last, first + end)]

    def channel(self, name: str, document: int, start: int = 0, end: int | None = None) -> NDArray[np.uint8]:
        """A channel's values for the same tokens as `document()`."""
        shard, first, last = self._where(document)
        return shard.channels[name][first + start : last if end is None else min(last, first + end)]

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels."""
        return tuple(self.description["channels"])

    def ids(self, documents: Sequence[int]) -> list[str]:
        """The ids of some documents."""
        import pyarrow.parquet as pq

        found = []
        for document in documents:
            number = int(np.searchsorted(self._first, document, side="right")) - 1
            table = pq.read_table(self.folder / f"documents-{number:05d}.parquet", columns=["id"])
            found.append(str(table["id"][document - int(self._first[number])].as_py()))
        return found
