"""Reads files that may be compressed, within bounds on memory and time: a small file cannot grow without end."""

from __future__ import annotations

import io
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from rexplug.errors import DataError

COMPRESSED = (".gz", ".bz2", ".zst", ".xz")
"""Endings of names that say how a file is compressed."""
READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What is raised where a file cannot be read, breaks off or cannot be decompressed."""
MAX_RATIO = 1000
"""How many times its size a file may decompress to: text is at 3 to 10, log files of one repeated line at some hundreds."""
ALWAYS_ALLOWED = 100_000_000
"""Bytes that a file of any size may decompress to."""
LONGEST_LINE = 64_000_000
"""Characters of a line of a file that is read line by line."""
_READ_SIZE = 1 << 16
_SIGNATURES = {
    rb"\x1f\x8b\x08": "compressed by gzip (.gz)", rb"BZh[1-9]1A": "compressed by bzip2 (.bz2)",
    rb"\x28\xb5\x2f\xfd": "compressed by zstd (.zst)", rb"\xfd7zXZ\0": "compressed by xz (.xz)",
    rb"PK\x03\x04": "a zip archive", rb"PAR1\x15": "Parquet", rb"ARROW1": "Arrow",
}  # fmt: skip


class DecompressionBomb(OSError):
    """A file decompresses to far more than text does."""


class StorageError(OSError):
    """The disk or the store did not give the bytes of a file; says which file and why. Another attempt may succeed."""


class DamagedFile(Exception):
    """A file breaks off, cannot be decompressed, or is not what its name says."""


def decompressed(raw: IO[bytes], name: str) -> IO[bytes]:
    """Return a stream of the decompressed bytes of an open file; the ending of `name` says how it is compressed.

    Reading raises one of `READ_ERRORS` where the file is damaged or breaks off, and `DecompressionBomb` where it grows beyond
    `MAX_RATIO`.
    """
    name = name.lower()
    if name.endswith(".gz"):
        import gzip

        inner: Any = gzip.GzipFile(fileobj=raw)
    elif name.endswith(".bz2"):
        import bz2

        inner = bz2.BZ2File(raw)
    elif name.endswith(".xz"):
        inner = lzma.LZMAFile(raw)  # noqa: SIM115 (closed by `_BoundedStream`)
    elif name.endswith(".zst"):
        import pyarrow as pa

        # zstandard's own reader takes a cut frame for the end of the file, and ends after the first of several frames.
        inner = pa.CompressedInputStream(raw, "zstd")
    else:
        return raw
    return cast("IO[bytes]", io.BufferedReader(_BoundedStream(inner, raw), 1 << 20))


def detected_format(head: bytes) -> str | None:
    """The kind of a file by its first 6 bytes, if it is compressed or columnar; None for a text."""
    return next((name for pattern, name in _SIGNATURES.items() if re.match(pattern, head)), None)


class _BoundedStream(io.RawIOBase):
    """The output of a decompressor, refused once it is out of proportion to the input."""

    def __init__(self, inner: Any, raw: IO[bytes]) -> None:
        self._inner, self._raw = inner, raw
        self._num_bytes = 0

    def readable(self) -> bool:
        """The stream can only be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the beginning of the buffer by one read of at most 64 KiB, so that the data before a truncation is returned."""
        data = self._inner.read1(min(len(buffer), _READ_SIZE))
        count = len(data)
        buffer[:count] = data
        self._num_bytes += count
        if self._num_bytes > ALWAYS_ALLOWED and self._num_bytes > MAX_RATIO * self._raw.tell():
            raise DecompressionBomb(f"it decompresses to more than {MAX_RATIO:,} times its size")
        return count

    def close(self) -> None:
        """Close the decompressor and the file."""
        if not self.closed:
            super().close()
            self._inner.close()
            self._raw.close()


@contextmanager
def open_text(path: Path, encoding: str = "utf-8-sig") -> Iterator[IO[str]]:
    """Open a text file, decompressed by its name, whose line ends are left as they are."""
    with decompressed(path.open("rb"), path.name) as file, io.TextIOWrapper(file, encoding, newline="") as text:
        yield text


def bounded_lines(file: IO[str], path: Path) -> Iterator[str]:
    """Yield the lines of an open file, with their ends.

    Raises:
        DataError: one is longer than `LONGEST_LINE`.
    """
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise DataError(f"{path}:{number}: a line of more than {LONGEST_LINE:,} characters")
        yield line


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, line without its end) of a text file in UTF-8; .gz, .bz2, .zst and .xz are decompressed.

    Raises:
        DataError: the file cannot be read, is damaged or not text, or a line is too long.
    """
    try:
        with open_text(path) as file:
            for number, line in enumerate(bounded_lines(file, path), 1):
                yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}") from None
    except READ_ERRORS as error:
        raise DataError(f"cannot read {path}: {error}") from None
