"""Sources of files whose records have named fields: JSON lines, Parquet, CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from rexplug.components import Document, Unreadable
from rexplug.corpus.sources.charsets import Charset, text_stream, utf8_stream
from rexplug.corpus.sources.fields import Fields, column_of
from rexplug.corpus.sources.file_io import opened
from rexplug.corpus.sources.files import FileSource, InputFile, Piece, broken
from rexplug.errors import DataError
from rexplug.io.compression import COMPRESSED, LONGEST_LINE, DamagedFile
from rexplug.io.json_values import has_a_record_per_line
from rexplug.io.tabular import BadQuotes, BadRecord, CsvReader, open_parquet, parquet_records


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
    """JSON records, plain or compressed (.gz, .bz2, .zst, .xz): a record a line, an array, or records over several lines.

    A record that cannot be read is counted and left out alone. Arrays of any size are read as a stream. UTF-8, or UTF-16
    with a byte-order mark.
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
            if utf8_stream(raw) is not raw or not has_a_record_per_line(raw, self.longest):
                return (Piece(file),)
        starts = range(0, file.size, self.split)
        return [Piece(file, start, start + self.split if start != starts[-1] else None) for start in starts]

    def read(self, piece: Piece) -> Iterator[Document]:
        """Yield a document per record; places are offsets in the decompressed file."""
        for place, record in self.json_records(piece):
            if isinstance(record, Unreadable):
                yield broken(piece.file, place, record.reason)
            else:
                yield self.document_of(record, piece.file, place)


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
                document = self.document_of(record, piece.file, number)
                if len(document.text) > self.longest:
                    document = broken(piece.file, number, f"longer than {self.longest} bytes")
                yield document


def _not_a_quote(sign: str) -> str:
    if sign in '"\r\n\0':
        raise ValueError("a quote, a line end or NUL cannot be this character")
    return sign


class Csv(Records):
    """CSV files with a header line, plain or compressed (.gz, .bz2, .zst, .xz)."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".{a}{b}" for a in ("csv", "tsv") for b in ("", *COMPRESSED))

    delimiter: Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_not_a_quote)] | None = None
    """What separates fields, one character; a tab for .tsv and a comma otherwise if left out."""
    quotes: bool = True
    """Whether `"` around a field has a meaning; false for tables (many .tsv) in which quotes are characters like others."""
    escape: Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_not_a_quote)] | None = None
    """A character that takes the meaning of the one after it; `\\` for tables that write a quote inside quotes as `\\"`, as Spark
    and MySQL do. If left out, a quote is written twice."""
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
            try:
                yield from self._rows(file, delimiter, piece.file)
            except BadQuotes as error:
                raise DamagedFile(
                    f"{error}; where quotes have no meaning write `quotes: false`, where \\ is before a quote inside of quotes "
                    'write `escape: "\\\\"`'
                ) from None

    def _rows(self, lines: Iterable[str], delimiter: str, file: InputFile) -> Iterator[Document]:
        # A field longer than `longest` is found below, and only its row is left out.
        reader = CsvReader(
            lines, delimiter, longest=max(self.longest, LONGEST_LINE), strict=self.strict, quotes=self.quotes, escape=self.escape
        )  # fmt: skip
        columns = reader.columns
        if columns is None:
            return
        if len(columns) == 1 and not self.has_text_column(columns):
            for sign in ";\t|,":
                if sign in columns[0]:
                    raise DataError(
                        f"{file.printed_path} has no column {' or '.join(self.text)}: its fields are not separated by "
                        f"{delimiter!r}; write `delimiter: {json.dumps(sign)}`"
                    )
        self._columns(columns, file)
        for number, row in enumerate(reader, 1):
            if row.num_fields > len(columns):
                yield broken(file, number, "a row with more fields than the header")
                continue
            document = self.document_of(row.record, file, number)
            too_long = len(document.text) > self.longest
            yield broken(file, number, f"longer than {self.longest} bytes") if too_long else document
