"""Files of records with named fields: JSON lines, Parquet, CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from rexplug.components import Document
from rexplug.corpus.sources.fields import Fields
from rexplug.corpus.sources.file_io import Damaged, lines, opened
from rexplug.corpus.sources.files import FileSource, InputFile, Piece, broken
from rexplug.errors import DataError
from rexplug.io.compression import COMPRESSED


class Records(Fields, FileSource):
    """Files whose records have named fields."""

    def _columns(self, known: Sequence[str], file: InputFile) -> list[str]:
        """The columns that are needed, of those that a table has."""
        if not {name.split(".")[0] for name in self.text} & set(known):
            raise DataError(
                f"{file.path} has no column {' or '.join(self.text)}; its columns are {', '.join(sorted(known))}"
            )
        wanted = {name.split(".")[0] for name in (*self.text, *self.metadata.values(), self.id or "", self.url or "")}
        return [name for name in known if name in wanted]


class Jsonl(Records):
    """JSON lines, plain or compressed (.gz, .bz2, .zst). A line that cannot be read is counted and left out alone."""

    name: ClassVar[str] = "jsonl"
    suffixes: ClassVar[tuple[str, ...]] = tuple(
        f".{a}{b}" for a in ("jsonl", "ndjson", "json") for b in ("", *COMPRESSED)
    )

    def pieces(self, file: InputFile) -> Sequence[Piece]:
        """Plain files are divided at the line after every `split` bytes; compressed ones cannot be."""
        if file.path.endswith(COMPRESSED) or file.size <= self.split:
            return (Piece(file),)
        starts = range(0, file.size, self.split)
        return [Piece(file, start, start + self.split if start != starts[-1] else None) for start in starts]

    def read(self, piece: Piece) -> Iterator[Document]:
        """One document per line that is not blank; places are offsets in the decompressed file."""
        with opened(piece.file.path) as file:
            for place, line in lines(file, self.longest, piece.start, piece.stop):
                if line is None:
                    yield broken(piece.file, place, f"longer than {self.longest} bytes")
                elif not line.isspace():
                    yield self._line(line, piece.file, place)

    def _line(self, line: bytes, file: InputFile, place: int) -> Document:
        import orjson

        try:
            record = orjson.loads(line)
        except ValueError:
            # Slower, but it takes what orjson refuses and others write: NaN, huge numbers, a byte-order mark, half pairs.
            try:
                record = json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError:
                return broken(file, place, "invalid UTF-8")
            except (ValueError, RecursionError):
                return broken(file, place, "invalid JSON")
        if not isinstance(record, dict):
            return broken(file, place, "a line that is no JSON object")
        return self.document(record, file, place)


class Parquet(Records):
    """Parquet files."""

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    def pieces(self, file: InputFile) -> Sequence[Piece]:
        """Groups of rows, put together up to `split` bytes."""
        if file.size <= self.split:
            return (Piece(file),)
        try:
            with self._parquet(file) as reader:
                groups = [reader.metadata.row_group(index) for index in range(reader.metadata.num_row_groups)]
                sizes = [(group.num_rows, group.total_byte_size) for group in groups]
        except Damaged:
            return (Piece(file),)  # reading will say what is wrong
        made, start, first, rows, size = [], 0, 0, 0, 0
        for index, (num_rows, num_bytes) in enumerate(sizes):
            if size and size + num_bytes > self.split:
                made.append(Piece(file, start, index, first))
                start, first, size = index, rows, 0
            rows += num_rows
            size += num_bytes
        return [*made, Piece(file, start, len(sizes), first)]

    def _parquet(self, file: InputFile) -> Any:
        import contextlib

        import pyarrow as pa
        import pyarrow.parquet as pq

        @contextlib.contextmanager
        def reading() -> Iterator[Any]:
            try:
                with opened(file.path, decompress=False) as raw, pq.ParquetFile(raw) as reader:
                    yield reader
            except pa.ArrowException as error:
                raise Damaged(str(error)) from None

        return reading()

    def read(self, piece: Piece) -> Iterator[Document]:
        """One document per row; places are numbers of rows, from 1."""
        with self._parquet(piece.file) as reader:
            wanted = self._columns(reader.schema_arrow.names, piece.file)
            stop = reader.metadata.num_row_groups if piece.stop is None else piece.stop
            number = piece.first
            for batch in reader.iter_batches(batch_size=256, columns=wanted, row_groups=list(range(piece.start, stop))):
                for row in batch.to_pylist():
                    number += 1
                    made = self.document(row, piece.file, number)
                    long = len(made.text) > self.longest
                    yield broken(piece.file, number, f"longer than {self.longest} bytes") if long else made


class Csv(Records):
    """CSV files with a header line, plain or compressed (.gz, .bz2, .zst)."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".{a}{b}" for a in ("csv", "tsv") for b in ("", *COMPRESSED))

    delimiter: str | None = None
    """What separates fields; a tab for .tsv and a comma otherwise if left out."""

    def read(self, piece: Piece) -> Iterator[Document]:
        """One document per row; places are numbers of rows, from 1. Bytes that are no UTF-8 are replaced."""
        path = piece.file.path
        delimiter = self.delimiter or ("\t" if ".tsv" in path else ",")
        csv.field_size_limit(self.longest)  # Python's own limit of 128 KiB is below the length of real documents
        with opened(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", errors="replace", newline="") as file:
            rows = csv.DictReader(file, delimiter=delimiter)
            number = 0
            try:
                if rows.fieldnames is not None:
                    self._columns(rows.fieldnames, piece.file)
                for number, row in enumerate(rows, 1):
                    if None in row:
                        yield broken(piece.file, number, "a row with more fields than the header")
                    else:
                        yield self.document(row, piece.file, number)
            except csv.Error as error:
                raise Damaged(f"row {number + 1}: {error}") from None
