"""Writes a token store: shards one by one, each atomically, and `store.json` last."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from rexplug.checksums import checksum
from rexplug.errors import DataError
from rexplug.io.atomic import replacing, write_json
from rexplug.run_directory import read_json

FORMAT = 2
WORD_START = "word_start"
ROWS = 1024
"""Rows of a group in the table of documents; reading one row reads its group."""


def write_shard(
    folder: Path,
    number: int,
    *,
    tokens: Sequence[NDArray[np.uint32]],
    channels: Mapping[str, Sequence[NDArray[np.uint8]]],
    documents: Mapping[str, Sequence[Any]],
    vocabulary_size: int,
) -> None:
    """Write shard `number` of a store.

    Its record with sizes and checksums, `shard-NNNNN.json`, is written last; without it the shard does not count as written.

    Args:
        folder: the store's folder.
        number: shards are numbered from 0 without a gap.
        tokens: the tokens of each document, without special tokens.
        channels: channel name -> values of each document, one per token.
        documents: column name -> value of each document; `id` is required, others (`url`, `hash`, `place`) are kept.
        vocabulary_size: decides between two and four bytes a token.

    Raises:
        DataError: there is no column `id`, or a column or channel has another length than the documents.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    lengths = np.array([len(ids) for ids in tokens], np.int64)
    _check(folder, number, lengths, channels, documents)
    table = {
        column: values if isinstance(values, pa.Array) else pa.array(values) for column, values in documents.items()
    }
    kind = np.uint16 if vocabulary_size <= 2**16 else np.uint32
    name = f"{number:05d}"
    files = {
        f"tokens-{name}.npy": np.concatenate([np.zeros(0, kind), *(ids.astype(kind) for ids in tokens)]),
        f"ends-{name}.npy": np.cumsum(lengths, dtype=np.uint64),
        f"ids-{name}.npy": sorted_hashes(table["id"].to_pylist()),
    }
    for channel, values in channels.items():
        files[f"channel.{channel}-{name}.npy"] = np.concatenate([np.zeros(0, np.uint8), *values])
    written = {file: _save(folder / file, values) for file, values in files.items()}
    table_file = f"documents-{name}.parquet"
    with replacing(folder / table_file) as temporary:
        pq.write_table(pa.table(table), temporary, compression="zstd", row_group_size=ROWS)
        written[table_file] = {"bytes": temporary.stat().st_size, "blake2b": checksum(temporary)}
    counts = {"documents": len(lengths), "tokens": int(lengths.sum())}
    write_json(shard_record(folder, number), {**counts, "channels": list(channels), "files": written})


def _check(
    folder: Path,
    number: int,
    lengths: NDArray[np.int64],
    channels: Mapping[str, Sequence[NDArray[np.uint8]]],
    documents: Mapping[str, Sequence[Any]],
) -> None:
    if "id" not in documents:
        raise DataError(f"{folder}, shard {number}: the documents have no column 'id'")
    for column, entries in documents.items():
        if len(entries) != len(lengths):
            raise DataError(
                f"{folder}, shard {number}: column '{column}' has {len(entries)} entries for {len(lengths)} documents"
            )
    for name, values in channels.items():
        if not np.array_equal([len(document_values) for document_values in values], lengths):
            raise DataError(f"{folder}, shard {number}: channel '{name}' does not have one value per token")


def hash_of(document: str) -> int:
    """The 64-bit hash of a document's id, by which a store finds the document."""
    return int.from_bytes(hashlib.blake2b(document.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def sorted_hashes(ids: Sequence[Any]) -> NDArray[np.uint64]:
    """Ascending hashes of ids, and the numbers of their documents in the shard, stacked: `[2, num_documents]`."""
    hashes = np.fromiter((hash_of(str(document)) for document in ids), np.uint64, len(ids))
    order = np.argsort(hashes, kind="stable")
    return np.stack([hashes[order], order.astype(np.uint64)])


class _HashingFile:
    """Hashes and counts the bytes that are written to a file."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.hash = hashlib.blake2b(digest_size=16)
        self.size = 0

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        self.size += len(data)
        return self.file.write(data)


def _save(path: Path, values: NDArray[Any]) -> dict[str, Any]:
    with replacing(path) as temporary, temporary.open("wb") as file:
        hashing = _HashingFile(file)
        np.save(cast("BinaryIO", hashing), values)
    return {"bytes": hashing.size, "blake2b": hashing.hash.hexdigest()}


def shard_record(folder: Path, number: int) -> Path:
    """The file of a shard that is written last: without it the shard does not count as written."""
    return folder / f"shard-{number:05d}.json"


def counts_path(folder: Path, number: int) -> Path:
    """The file with further counts of a shard (words, characters, salient tokens), written by what tokenized it."""
    return folder / f"counts-{number:05d}.json"


def has_shard(folder: Path, number: int) -> bool:
    """Whether shard `number` was completely written and its files still exist in their full size."""
    record = shard_record(folder, number)
    if not record.exists():
        return False
    return not any(size_problem(folder / name, entry["bytes"]) for name, entry in read_json(record)["files"].items())


def size_problem(path: Path, size: int) -> str | None:
    """What is wrong with a file that should have `size` bytes, as a sentence; None if nothing is."""
    try:
        actual = path.stat().st_size
    except OSError:
        return f"{path} is missing or truncated: there is no such file"
    if actual < size:
        return f"{path} is missing or truncated: it has {actual:,} bytes, and its store says {size:,}"
    if actual > size:
        return f"{path} was altered: it has {actual:,} bytes, and its store says {size:,}"
    return None


def description_problem(description: Mapping[str, Any]) -> str | None:
    """How `store.json` differs from what `close_store` writes, as a clause; None if it does not."""
    for key, kind in (
        ("tokenizer", str),
        ("vocabulary_size", int),
        ("channels", list),
        ("documents", int),
        ("tokens", int),
    ):
        if not isinstance(description.get(key), kind):
            return f"'{key}' is {str(description.get(key))[:60]}"
    shards = description.get("shards")
    if not isinstance(shards, list):
        return f"'shards' is {str(shards)[:60]}, not a list"
    for number, shard in enumerate(shards):
        files = shard.get("files") if isinstance(shard, dict) else None
        has_counts = isinstance(files, dict) and all(isinstance(shard.get(key), int) for key in ("documents", "tokens"))
        if not has_counts or not isinstance(files, dict):
            return f"'shards.{number}' holds no counts and files"
        for name, entry in files.items():
            if not isinstance(entry, dict) or not isinstance(entry.get("bytes"), int) or "blake2b" not in entry:
                return f"'shards.{number}.files.{name}' holds no size and checksum"
    return None


def next_shard(folder: Path) -> int:
    """The number of the next shard to write: the first one that is not written yet."""
    number = len(read_json(folder / "store.json")["shards"]) if (folder / "store.json").exists() else 0
    while has_shard(folder, number):
        number += 1
    return number


def close_store(
    folder: Path, shards: int, channels: Iterable[str], tokenizer: str, vocabulary_size: int
) -> dict[str, int]:
    """Write `store.json` once all shards are written; returns the numbers of `documents` and `tokens`.

    A store grows by writing further shards and closing it again: shards that exist are neither read nor written, and
    until `store.json` is replaced readers see the store as it was.

    Args:
        folder: the store's folder.
        shards: the number of shards.
        channels: the channels that readers may use; every shard must have them.
        tokenizer: the hash of the tokenizer.
        vocabulary_size: the size of its vocabulary.

    Raises:
        DataError: a shard or a channel is missing, or the store was made with another tokenizer.
    """
    channels = list(channels)
    path = folder / "store.json"
    if path.exists():
        before = read_json(path)
        if before.get("format") == FORMAT and len(before["shards"]) <= shards and before["tokenizer"] != tokenizer:
            raise DataError(f"{folder} was made with another tokenizer; write the shards into a new folder")
    entries = []
    for number in range(shards):
        record = shard_record(folder, number)
        if not record.exists():
            raise DataError(f"{folder} has no shard {number}, and {shards} were to be closed; write it first")
        entry = read_json(record)
        missing = set(channels) - set(entry.pop("channels"))
        if missing:
            raise DataError(f"{folder}, shard {number}: there is no channel '{min(missing)}'; write the shard again")
        entries.append(entry)
    totals = {key: sum(entry[key] for entry in entries) for key in ("documents", "tokens")}
    write_json(
        path,
        {
            "format": FORMAT, "tokenizer": tokenizer, "vocabulary_size": vocabulary_size, "channels": channels,
            **totals, "shards": entries,
        },
    )  # fmt: skip
    return totals
