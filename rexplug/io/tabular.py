"""Rows of small data files, compressed or not, with the place of what is wrong."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

from rexplug.errors import DataError
from rexplug.io.compression import COMPRESSED, LONGEST_LINE, bounded_lines, open_text

KINDS = (".jsonl", ".csv", ".tsv")


def read_records(path: Path, columns: Sequence[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, record) of a .jsonl, .csv or .tsv file; .gz, .bz2 and .zst may follow.

    Args:
        path: the file. A .csv whose first line has tabs and no comma is read as tab-separated.
        columns: names of the columns of a table without a header line (quotes have no meaning in it); fields beyond
            them are left out.

    Raises:
        DataError: the file is missing or of another kind, or a line does not hold what it should.
    """
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSED]
    kind = suffixes[-1] if suffixes else ""
    if kind not in KINDS:
        raise DataError(f"{path} is neither .jsonl, .csv nor .tsv (.gz, .bz2 and .zst may follow)")
    try:
        with open_text(path) as file:
            yield from _json_lines(path, file) if kind == ".jsonl" else _table(path, file, kind, columns)
    except (OSError, UnicodeDecodeError, EOFError, zlib.error, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from None


def column(row: dict[str, Any], names: Sequence[str], place: str) -> Any:
    """The value of the first of `names` that the row has.

    Raises:
        DataError: it has none of them.
    """
    for name in names:
        if name in row:
            return row[name]
    raise DataError(f"{place}: there is no column {' or '.join(names)}; it has {', '.join(map(str, row))}")


def _json_lines(path: Path, file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(bounded_lines(file, path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number}: no JSON: {error}") from None
        except RecursionError:
            raise DataError(f"{path}:{number}: no JSON that can be read: it is nested too deep") from None
        if not isinstance(row, dict):
            raise DataError(f'{path}:{number}: expected an object like {{"text": ...}}')
        yield number, row


def _table(path: Path, file: IO[str], kind: str, columns: Sequence[str] | None) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(LONGEST_LINE)
    plain = bounded_lines(file, path)
    first = next(plain, "")
    tab = kind == ".tsv" or ("\t" in first and "," not in first) or (columns is not None and "\t" in first)
    lines = chain([first] if first else [], plain)
    delimiter = "\t" if tab else ","
    if columns is None:
        reader = csv.reader(lines, delimiter=delimiter)
    else:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    names = list(columns) if columns is not None else None
    for fields in reader:
        if names is None:
            names = fields
        elif fields:
            if len(fields) < len(names):
                raise DataError(
                    f"{path}:{reader.line_num}: {len(fields)} fields where {len(names)} are due ({', '.join(names)})"
                )
            yield reader.line_num, dict(zip(names, fields, strict=False))
