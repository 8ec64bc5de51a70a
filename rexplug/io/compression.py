"""Reading files that may be compressed, within bounds: a small file cannot fill memory, nor take a time without relation to it."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from rexplug.errors import DataError

COMPRESSED = (".gz", ".bz2", ".zst")
"""Endings of names that say how a file is compressed."""
RATIO = 1000
"""How many times its size a file may decompress to: text is at 3 to 10, log files of one repeated line at some hundreds."""
FREE = 100_000_000
"""Bytes that any file may decompress to, whatever its size."""
_PIECE = 1 << 16
LONGEST_LINE = 64_000_000
"""Characters of a line of a file that is read line by line."""


class Bomb(OSError):
    """A file decompresses to far more than text does."""


def decompressed(raw: IO[bytes], name: str) -> IO[bytes]:
    """The bytes of an open file, decompressed by its name.

    They come as they are read, 64 KiB at a time. Reading raises OSError, EOFError or zlib.error where the file is damaged or
    breaks off, and `Bomb` where it grows beyond `RATIO`.
    """
    if name.endswith(".gz"):
        inner: Any = gzip.GzipFile(fileobj=raw)
    elif name.endswith(".bz2"):
        inner = bz2.BZ2File(raw)
    elif name.endswith(".zst"):
        import pyarrow as pa

        # zstandard's own reader takes a cut frame for the end of the file, and ends after the first of several frames.
        inner = pa.CompressedInputStream(raw, "zstd")
    else:
        return raw
    return cast("IO[bytes]", io.BufferedReader(_Bounded(inner, raw), 1 << 20))


class _Bounded(io.RawIOBase):
    """What a decompressor gives, as long as it stands in some relation to what it took."""

    def __init__(self, inner: Any, raw: IO[bytes]) -> None:
        self._inner, self._raw = inner, raw
        self._given = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the beginning of the buffer; where a file breaks off, what was asked for at once is lost, so it is little."""
        count = int(self._inner.readinto(memoryview(buffer)[:_PIECE]))
        self._given += count
        if self._given > FREE and self._given > RATIO * self._raw.tell():
            raise Bomb(f"it decompresses to more than {RATIO:,} times its size")
        return count

    def close(self) -> None:
        """Close the decompressor and the file."""
        if not self.closed:
            super().close()
            self._inner.close()
            self._raw.close()


@contextmanager
def open_text(path: Path, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """A text file, decompressed by its name, whose line ends are left as they are."""
    with decompressed(path.open("rb"), path.name) as file, io.TextIOWrapper(file, encoding, newline="") as text:
        yield text


def bounded_lines(file: IO[str], path: Path) -> Iterator[str]:
    """The lines of an open file, with their ends.

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
    """Yield (number, line without its end) of a text file in UTF-8; .gz, .bz2 and .zst are decompressed.

    Raises:
        DataError: the file cannot be read, is damaged or no text, or a line is too long.
    """
    try:
        with open_text(path, "utf-8-sig") as file:
            for number, line in enumerate(bounded_lines(file, path), 1):
                yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from None
