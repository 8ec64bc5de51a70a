"""One reader each for JSON lines, CSV and Parquet, for files of any size, and `read_records` for small files on top of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from rexplug.errors import DataError, one_line
from rexplug.io.compression import COMPRESSED, LONGEST_LINE, READ_ERRORS, DamagedFile, bounded_lines, open_text

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

KINDS = (".jsonl", ".csv", ".tsv")
"""Endings of the files that `read_records` reads; an ending of `COMPRESSED` may follow."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A line that holds no record: the `reason` in a few words that can be counted, and `detail` to show to the user."""

    reason: str
    detail: str


def byte_lines(
    file: IO[bytes], longest: int, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, bytes | BadRecord]]:
    """Yield (byte offset, line with its end) of the lines that begin from `start` up to `stop`.

    Args:
        file: the bytes; must be seekable if `start` is given.
        longest: bytes of the longest line that is held in memory; a longer one becomes a `BadRecord`.
        start: offset in bytes. A line that begins before it is left out: it belongs to the part of the file before.
        stop: offset in bytes, the end of the file if None. A line that begins before it is read to its end.
    """
    offset = start
    if start:
        file.seek(start - 1)
        offset = start - 1 + _skip_line(file)
    while stop is None or offset < stop:
        line = file.readline(longest + 1)
        if not line:
            return
        begin = offset
        offset += len(line)
        if len(line) > longest and not line.endswith(b"\n"):
            offset += _skip_line(file)
            reason = f"longer than {longest} bytes"
            yield begin, BadRecord(reason, reason)
        else:
            yield begin, line


def _skip_line(file: IO[bytes]) -> int:
    """Read to the end of the line; returns how many bytes that were."""
    skipped = 0
    while piece := file.readline(1 << 20):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped


def json_records(
    lines: Iterable[tuple[int, str | bytes | BadRecord]],
) -> Iterator[tuple[int, dict[str, Any] | BadRecord]]:
    """Parse JSON lines; yields (position, record), blank lines left out.

    Args:
        lines: (position, line). The position is handed on, be it a line number or an offset in bytes; so is a `BadRecord`.
    """
    for position, line in lines:
        if isinstance(line, BadRecord):
            yield position, line
            continue
        if line.isspace() or not line:
            continue
        record = parse_json(line)
        if isinstance(record, BadRecord) and (rest := line.rstrip())[-1:] in (",", b","):  # the elements of an array
            value = parse_json(rest[:-1])
            record = value if isinstance(value, dict) else record
        if not isinstance(record, dict | BadRecord):
            record = BadRecord("a line that is not a JSON object", 'expected an object like {"text": ...}')
        yield position, record


def parse_json(line: str | bytes) -> Any:
    """The value of a JSON text, or a `BadRecord`; also what others write: NaN, huge numbers, a byte-order mark, lone surrogates."""
    import orjson

    with suppress(ValueError):
        return orjson.loads(line)
    try:
        return json.loads(line.decode("utf-8-sig") if isinstance(line, bytes) else line)
    except UnicodeDecodeError as error:
        return BadRecord("invalid UTF-8", f"not UTF-8: {error}")
    except ValueError as error:
        return BadRecord("invalid JSON", f"not valid JSON: {error}")
    except RecursionError:
        return BadRecord("invalid JSON", "not valid JSON: it is nested too deep")


@dataclass(frozen=True, slots=True)
class CsvRow:
    """A row: the `line` on which it ends, from 1, its `record`, and how many fields it has.

    A missing field is None in the record; fields beyond the columns are left out.
    """

    line: int
    record: dict[str, str | None]
    num_fields: int


class BadQuotes(DamagedFile):
    """A quote in a table is not closed, or closes before the end of its field."""


class CsvReader:
    """Iterates over the rows of a table, blank lines left out; empty fields beyond the columns are none.

    Args:
        lines: the text, line by line, with line ends as they are in the file.
        delimiter: what separates fields.
        columns: names of the columns of a table without a header line, in which quotes have no meaning. Otherwise the first
            line that is not blank holds the names.
        longest: characters of the longest field; Python's own limit of 128 KiB is below the length of real documents.
        strict: whether a quote that is not closed, or text behind a closing quote, is damage.
        quotes: whether quotes have a meaning.
        escape: the character that takes the meaning of the one after it.

    Iterating raises `DamagedFile` where the table cannot be parsed; so does the constructor for the header line.
    """

    def __init__(
        self,
        lines: Iterable[str],
        delimiter: str,
        columns: Sequence[str] | None = None,
        longest: int = LONGEST_LINE,
        strict: bool = True,
        quotes: bool = True,
        escape: str | None = None,
    ) -> None:
        csv.field_size_limit(longest)  # of the process: the csv module has no limit per reader
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes and columns is None else csv.QUOTE_NONE
        strict = strict and columns is None
        self._rows = csv.reader(lines, delimiter=delimiter, strict=strict, quoting=quoting, escapechar=escape)
        self._num_read = 0
        self.columns = list(columns) if columns is not None else self._header()
        """Names of the columns; None if the file is empty."""

    def __iter__(self) -> Iterator[CsvRow]:
        columns = self.columns or []
        missing = dict.fromkeys(columns)
        while (fields := self._next()) is not None:
            if fields:
                while len(fields) > len(columns) and not fields[-1]:
                    fields.pop()
                self._num_read += 1
                record: dict[str, str | None] = dict(zip(columns, fields, strict=False))
                if len(fields) < len(columns):
                    record = missing | record
                yield CsvRow(self._rows.line_num, record, len(fields))

    def _header(self) -> list[str] | None:
        """The first line that is not blank."""
        while (names := self._next()) is not None and not names:
            pass
        return names

    def _next(self) -> list[str] | None:
        first_line = self._rows.line_num + 1
        try:
            return next(self._rows, None)
        except csv.Error as error:
            problem = str(error)
            kind: type[DamagedFile] = BadQuotes
            if problem == "unexpected end of data":
                problem = "a quote is not closed"
            elif problem.endswith("expected after '\"'"):
                problem = "text behind a closing quote, or a quote before it that is not closed"
            else:
                kind = DamagedFile
            raise kind(f"the row that begins at line {first_line}: {problem}") from None


@contextmanager
def open_parquet(file: Path | IO[bytes]) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file.

    Raises:
        DamagedFile: it is not Parquet or cannot be read, now or while it is open.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as reader:
            yield reader
    except pa.ArrowException as error:
        raise DamagedFile(one_line(error)) from None


def parquet_records(
    reader: pq.ParquetFile, columns: Sequence[str], row_groups: Sequence[int] | None = None
) -> Iterator[dict[str, Any] | BadRecord]:
    """Yield the rows of a Parquet file, in order, a few hundred in memory at a time.

    A row with a value that Python cannot hold (text that is not UTF-8, which other writers do not check, a date beyond the year
    9999, a time zone that is not known) is a `BadRecord`. Numbers of single precision become the shortest decimals that mean them:
    12.3 is not 12.300000190734863.

    Args:
        reader: the result of `open_parquet`.
        columns: the columns to read.
        row_groups: numbers of the row groups to read; all if left out.
    """
    for batch in reader.iter_batches(batch_size=256, columns=list(columns), row_groups=row_groups):
        batch = _with_short_floats(batch)
        try:
            records: Iterable[dict[str, Any] | BadRecord] = batch.to_pylist()
        except (ValueError, OverflowError, LookupError):
            records = [_parquet_record(batch.slice(row, 1)) for row in range(len(batch))]
        yield from records


def parquet_chunks(reader: pq.ParquetFile, column: str, rows: NDArray[np.int64]) -> Iterator[pa.Array]:
    """Yield the values of a column at some rows, in chunks; groups of rows without any are not read.

    Args:
        reader: the result of `open_parquet`.
        column: the column to read.
        rows: `[n]` numbers of rows, ascending; they may repeat.
    """
    first = 0
    for group in range(reader.num_row_groups):
        count = reader.metadata.row_group(group).num_rows
        low, high = rows.searchsorted((first, first + count))
        if high > low:
            values = reader.read_row_group(group, columns=[column])[column]
            yield from values.take(rows[low:high] - first).chunks
        first += count


def _parquet_record(row: pa.RecordBatch) -> dict[str, Any] | BadRecord:
    try:
        record: dict[str, Any] = row.to_pylist()[0]
    except UnicodeDecodeError as error:
        return BadRecord("invalid UTF-8", f"not UTF-8: {error}")
    except (ValueError, OverflowError, LookupError) as error:
        return BadRecord("a value that cannot be read", one_line(error))
    return record


def _with_short_floats(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with columns of single precision as the double precision numbers of the same shortest decimals."""
    import pyarrow as pa

    for index, column_type in enumerate(batch.schema.types):
        if column_type == pa.float32():
            column = batch.column(index).cast(pa.string()).cast(pa.float64())
            batch = batch.set_column(index, batch.schema.names[index], column)
    return batch


def read_records(
    path: Path, columns: Sequence[str] | None = None, *, kind: str | None = None, short_rows: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, record) of a .jsonl, .csv or .tsv file; .gz, .bz2, .zst and .xz may follow.

    Args:
        path: the file. A .csv whose first line has tabs and no comma is read as tab-separated.
        columns: names of the columns of a table without a header line (quotes have no meaning in it); fields beyond
            them are left out.
        kind: one of `KINDS`, how to read the file; its name says so if left out.
        short_rows: whether rows of a table may have too few fields; the missing ones are None.

    Raises:
        DataError: the file is missing or of another kind, or a line does not hold what it should.
    """
    kind = kind or kind_of(path)
    if kind not in KINDS:
        raise DataError(f"{path} is not .jsonl, .csv or .tsv (.gz, .bz2, .zst and .xz may follow)")
    try:
        with open_text(path) as file:
            lines = bounded_lines(file, path)
            if kind == ".jsonl":
                yield from _json_file(path, lines)
            else:
                yield from _table_file(path, lines, kind, columns, short_rows)
    except (UnicodeDecodeError, DamagedFile, *READ_ERRORS) as error:
        raise DataError(f"cannot read {path}: {error}") from None


def kind_of(path: Path) -> str:
    """The ending of a file's name, that of its compression left out."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSED]
    return suffixes[-1] if suffixes else ""


def column(row: dict[str, Any], names: Sequence[str], place: str) -> Any:
    """The value of the first of `names` that the row has.

    Raises:
        DataError: it has none of them.
    """
    for name in names:
        if name in row:
            return row[name]
    raise DataError(f"{place}: there is no column {' or '.join(names)}; it has {', '.join(map(str, row))}")


def _json_file(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, record in json_records(enumerate(lines, 1)):
        if isinstance(record, BadRecord):
            raise DataError(f"{path}:{number}: {record.detail}")
        yield number, record


def _table_file(
    path: Path, lines: Iterator[str], kind: str, columns: Sequence[str] | None, short_rows: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    first = next(lines, "")
    tabs = kind == ".tsv" or ("\t" in first and "," not in first) or (columns is not None and "\t" in first)
    reader = CsvReader(chain([first] if first else [], lines), "\t" if tabs else ",", columns)
    names = reader.columns or []
    for row in reader:
        if row.num_fields < len(names) and not short_rows:
            raise DataError(
                f"{path}:{row.line}: {row.num_fields} fields where {len(names)} are expected ({', '.join(names)})"
            )
        yield row.line, row.record
