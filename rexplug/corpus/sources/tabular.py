"""Sources of files whose records have named fields: JSON lines, Parquet, CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import ClassVar

from pydantic import Field

from rexplug.components import Document
from rexplug.corpus.sources.charsets import Charset, text_stream
from rexplug.corpus.sources.fields import Fields, column_of
from rexplug.corpus.sources.file_io import opened
from rexplug.corpus.sources.files import FileSource, InputFile, Piece, broken
from rexplug.errors import DataError
from rexplug.io.compression import COMPRESSED, DamagedFile
from rexplug.io.json_values import has_a_record_per_line, json_texts
from rexplug.io.tabular import BadRecord, CsvReader, byte_lines, json_records, open_parquet, parquet_records


class Records(Fields, FileSource):
    """Base class of sources of files whose records have named fields."""

    def _columns(self, columns: Sequence[str], file: InputFile) -> list[str]:
        """The columns of a table that the options name.

        Raises:
            DataError: none of the text columns is among them.
        """
        if not self.has_text_column(columns):
            raise DataError(
                f"{file.printed_path} has no column {' or '.join(self.text)}; its columns are {', '.join(sorted(columns))}"
            )
        needed = {column_of(name, columns) for name in self.fields()}
        return [name for name in columns if name in needed]


class Jsonl(Records):
    """JSON records, plain or compressed (.gz, .bz2, .zst): a record a line, an array of records, or records over several lines.

    A record that cannot be read is counted and left out alone. Arrays are read as a stream, whatever their size.
    """

    name: ClassVar[str] = "jsonl"
    suffixes: ClassVar[tuple[str, ...]] = tuple(
        f".{a}{b}" for a in ("jsonl", "ndjson", "json") for b in ("", *COMPRESSED)
    )

    def pieces(self, file: InputFile) -> Sequence[Piece]:
        """Divide a plain file of lines at the first line after every `split` bytes; no other file can be divided."""
        if file.path.lower().endswith(COMPRESSED) or file.size <= self.split:
            return (Piece(file),)
        with opened(file.path) as raw:
            if not has_a_record_per_line(raw, self.longest):
                return (Piece(file),)
        starts = range(0, file.size, self.split)
        return [Piece(file, start, start + self.split if start != starts[-1] else None) for start in starts]

    def read(self, piece: Piece) -> Iterator[Document]:
        """Yield a document per record; places are offsets in the decompressed file."""
        with opened(piece.file.path) as file:
            if piece.start or piece.stop is not None:
                texts = byte_lines(file, self.longest, piece.start, piece.stop)
            else:
                texts = json_texts(file, self.longest)
            for place, record in json_records(texts):
                if isinstance(record, BadRecord):
                    yield broken(piece.file, place, record.reason)
                else:
                    yield self.document(record, piece.file, place)


class Parquet(Records):
    """Parquet files, whose columns hold the text and further fields; binary columns are read as UTF-8."""

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    def pieces(self, file: InputFile) -> Sequence[Piece]:
        """Divide a file at its row groups, put together up to `split` bytes."""
        if file.size <= self.split:
            return (Piece(file),)
        try:
            with opened(file.path, decompress=False) as raw, open_parquet(raw) as reader:
                groups = [reader.metadata.row_group(index) for index in range(reader.metadata.num_row_groups)]
                sizes = [(group.num_rows, group.total_byte_size) for group in groups]
        except DamagedFile:
            return (Piece(file),)  # `read` says what is wrong
        pieces, start, first, rows, size = [], 0, 0, 0, 0
        for index, (num_rows, num_bytes) in enumerate(sizes):
            if size and size + num_bytes > self.split:
                pieces.append(Piece(file, start, index, first))
                start, first, size = index, rows, 0
            rows += num_rows
            size += num_bytes
        return [*pieces, Piece(file, start, len(sizes), first)]

    def read(self, piece: Piece) -> Iterator[Document]:
        """Yield a document per row; places are numbers of rows, from 1."""
        with opened(piece.file.path, decompress=False) as raw, open_parquet(raw) as reader:
            columns = self._columns(reader.schema_arrow.names, piece.file)
            stop = reader.metadata.num_row_groups if piece.stop is None else piece.stop
            records = parquet_records(reader, columns, range(piece.start, stop))
            for number, record in enumerate(records, piece.first + 1):
                if isinstance(record, BadRecord):
                    yield broken(piece.file, number, record.reason)
                    continue
                document = self.document(record, piece.file, number)
                if len(document.text) > self.longest:
                    document = broken(piece.file, number, f"longer than {self.longest} bytes")
                yield document


class Csv(Records):
    """CSV files with a header line, plain or compressed (.gz, .bz2, .zst)."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".{a}{b}" for a in ("csv", "tsv") for b in ("", *COMPRESSED))

    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """What separates fields, one character; a tab for .tsv and a comma otherwise if left out."""
    strict: bool = True
    """Whether a quote that is not closed, or text behind a closing quote, is damage (see `damaged`). False takes quotes as
    they come: one that is not closed takes all that follows into its field."""
    encoding: Charset = "utf-8"
    """The charset: a label that browsers know (`iso-8859-1` is windows-1252, as there) or a codec of Python such as `cp850`.
    A byte-order mark has precedence. Bytes that it does not know become U+FFFD, which the statistics count."""

    def read(self, piece: Piece) -> Iterator[Document]:
        """Yield a document per row; places are numbers of rows, from 1."""
        path = piece.file.path
        is_tsv = ".tsv" in PurePosixPath(path.lower()).suffixes
        delimiter = self.delimiter or ("\t" if is_tsv else ",")
        with opened(path) as raw, text_stream(raw, self.encoding) as file:
            reader = CsvReader(file, delimiter, longest=self.longest, strict=self.strict)
            if reader.columns is None:
                return
            self._columns(reader.columns, piece.file)
            for number, row in enumerate(reader, 1):
                if row.num_fields > len(reader.columns):
                    yield broken(piece.file, number, "a row with more fields than the header")
                else:
                    yield self.document(row.record, piece.file, number)
