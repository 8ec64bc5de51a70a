"""Documents from files: JSON lines, Parquet, CSV and plain text. Light at import; readers load what they need."""

from __future__ import annotations

import bz2
import csv
import glob
import gzip
import io
import json
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar, cast

from pydantic import BeforeValidator, Field

from rexplug.components import Document, DocumentSource, Shard
from rexplug.errors import DataError

ERROR = "rexplug_error"
"""Metadata key of a record that could not be read; curation drops it with this reason."""


_LONGEST_FIELD = 2**31 - 1
"""Of a CSV file, in characters; Python's own limit of 128 KiB is below the length of real documents."""


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[
    tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | list[str]), Field(min_length=1)
]


class FileSource(DocumentSource):
    """Files named by paths, folders or globs; one file is one shard."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Which files of a folder are read."""

    paths: Names
    """Files, folders (read whole, hidden files left out) or globs, relative to the current directory."""

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files, sorted by path."""
        found: set[Path] = set()
        for pattern in self.paths:
            path = Path(pattern)
            if path.is_dir():
                found |= {
                    p for p in path.rglob("*") if p.is_file() and p.name.endswith(self.suffixes) and p.name[0] != "."
                }
            elif path.is_file():
                found.add(path)
            else:
                found |= {Path(p) for p in glob.glob(pattern, recursive=True) if Path(p).is_file()}
        return tuple(sorted(found))

    def inputs(self) -> Sequence[Path]:
        """The files."""
        return self.files

    def num_shards(self) -> int:
        """One per file."""
        return max(1, len(self.files))

    def check(self) -> None:
        """Every pattern must match a file."""
        for pattern in self.paths:
            if not type(self)(paths=(pattern,)).files:
                what = (
                    f"holds no file that ends in {', '.join(self.suffixes)}"
                    if Path(pattern).is_dir()
                    else "matches no file"
                )
                raise DataError(f"{self.name}: paths: '{pattern}' {what} (looked from {Path.cwd()})")

    def documents(self, shard: Shard) -> Iterator[Document]:
        """The documents of every `count`-th file."""
        for path in self.files[shard.index :: shard.count]:
            yield from self.read(path)

    @abstractmethod
    def read(self, path: Path) -> Iterator[Document]:
        """The documents of one file."""


class _Records(FileSource):
    """Files of records with named fields."""

    text: Names = ("text",)
    """Field or fields that hold the text; several are joined by a blank line, missing ones left out."""
    id: str | None = None
    """Field that holds the id; file and line if left out."""
    url: str | None = "url"
    """Field that holds the address, if there is one."""

    def document(self, record: Mapping[str, Any], path: Path, number: int) -> Document:
        """A record as a document; lists of text count as lines."""
        parts = []
        for name in self.text:
            value = record.get(name)
            if isinstance(value, list):
                value = "\n".join(str(item) for item in value if item)
            if isinstance(value, str) and value.strip():
                parts.append(value.strip())
        own = record.get(self.id) if self.id else None
        place = f"{path}:{number}"
        url = record.get(self.url) if self.url else None
        metadata: dict[str, Any] = {"place": place}
        if not parts:
            metadata[ERROR] = f"no text in {' or '.join(self.text)}"
        return Document(str(own) if own is not None else place, "\n\n".join(parts), str(url) if url else None, metadata)


def _broken(path: Path, number: int, reason: str) -> Document:
    return Document(f"{path}:{number}", "", None, {"place": f"{path}:{number}", ERROR: reason})


class Jsonl(_Records):
    """JSON lines, plain or compressed (.gz, .bz2, .zst). A line that cannot be read is counted and left out alone."""

    name: ClassVar[str] = "jsonl"
    suffixes: ClassVar[tuple[str, ...]] = tuple(
        f".{a}{b}" for a in ("jsonl", "ndjson", "json") for b in ("", ".gz", ".bz2", ".zst")
    )

    def read(self, path: Path) -> Iterator[Document]:
        """One document per line that is not blank."""
        with _reading(path), open_bytes(path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield self._line(line, path, number)

    def _line(self, line: bytes, path: Path, number: int) -> Document:
        try:
            record = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError:
            return _broken(path, number, "invalid UTF-8")
        except (ValueError, RecursionError):
            return _broken(path, number, "invalid JSON")
        if not isinstance(record, dict):
            return _broken(path, number, "a line that is no JSON object")
        return self.document(record, path, number)


class Parquet(_Records):
    """Parquet files."""

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    def read(self, path: Path) -> Iterator[Document]:
        """One document per row."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path) as file:
                known = set(file.schema_arrow.names)
                if not known & set(self.text):
                    raise DataError(
                        f"{path} has no column {' or '.join(self.text)}; its columns are {', '.join(sorted(known))}"
                    )
                wanted = [name for name in (*self.text, self.id, self.url) if name in known]
                number = 0
                for batch in file.iter_batches(batch_size=512, columns=wanted):
                    for row in batch.to_pylist():
                        number += 1
                        yield self.document(row, path, number)
        except pa.ArrowException as error:
            raise DataError(f"{path} is damaged: {error}") from None


class Csv(_Records):
    """CSV files with a header line, plain or compressed (.gz, .bz2, .zst)."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".{a}{b}" for a in ("csv", "tsv") for b in ("", ".gz", ".bz2", ".zst"))

    delimiter: str | None = None
    """What separates fields; a tab for .tsv and a comma otherwise if left out."""

    def read(self, path: Path) -> Iterator[Document]:
        """One document per row."""
        delimiter = self.delimiter or ("\t" if ".tsv" in path.name else ",")
        csv.field_size_limit(_LONGEST_FIELD)
        with (
            _reading(path),
            open_bytes(path) as raw,
            io.TextIOWrapper(raw, "utf-8-sig", errors="replace", newline="") as file,
        ):
            for number, row in enumerate(csv.DictReader(file, delimiter=delimiter), 1):
                if None in row:
                    yield _broken(path, number, "a row with more fields than the header")
                else:
                    yield self.document(row, path, number)


class TextFiles(FileSource):
    """Plain text files, each one document."""

    name: ClassVar[str] = "text"
    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".md", ".txt.gz", ".txt.zst")

    def read(self, path: Path) -> Iterator[Document]:
        """The file; bytes that are no UTF-8 are replaced."""
        with _reading(path), open_bytes(path) as file:
            text = file.read().decode("utf-8-sig", errors="replace").strip()
        metadata = {"place": str(path)} | ({} if text else {ERROR: "empty file"})
        yield Document(str(path), text, None, metadata)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say which file is damaged; decompressors and parsers raise errors of their own that do not."""
    try:
        yield
    except (EOFError, OSError, zlib.error, csv.Error) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # zstandard is imported only where a file needs it
            raise
        raise DataError(f"{path} is damaged: {error}") from None


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file that may be compressed, by its name."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix == ".bz2":
        return bz2.open(path, "rb")
    if path.suffix == ".zst":
        import zstandard

        return io.BufferedReader(zstandard.open(path, "rb"))
    return path.open("rb")
