"""Bytes of files that may be compressed and may lie in an object store."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from rexplug.errors import DataError
from rexplug.io.compression import decompressed


class Damaged(Exception):
    """A file breaks off or is not what its name says; `FileSource` makes it a message or a dropped record."""


def is_remote(path: str) -> bool:
    """Whether fsspec opens it."""
    return "://" in path


def remote_files(pattern: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str, int, str]]:
    """(address, folder that it was asked under, size, version) of the files that an address or a glob of them means.

    Raises:
        DataError: the package for this kind of store is missing, or the store does not answer.
    """
    filesystem, path = _filesystem(pattern)
    scheme = pattern.split("://", 1)[0]
    try:
        if any(sign in path for sign in "*?["):
            found = filesystem.glob(path, detail=True)
            root = path[: min(path.index(sign) for sign in "*?[" if sign in path)].rpartition("/")[0]
        elif filesystem.isdir(path):
            found = {k: v for k, v in filesystem.find(path, detail=True).items() if wanted(k.rpartition("/")[2])}
            root = path
        else:
            found = {path: filesystem.info(path)} if filesystem.exists(path) else {}
            root = path.rpartition("/")[0]
        for place, details in sorted(found.items()):
            if details["type"] == "file":
                version = next(
                    (details[key] for key in ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created") if details.get(key)),
                    filesystem.ukey(place),
                )  # fmt: skip
                yield _address(scheme, place), _address(scheme, root), int(details["size"]), str(version)
    except Exception as error:
        raise DataError(f"'{pattern}' cannot be listed: {type(error).__name__}: {error}") from None


def _address(scheme: str, place: str) -> str:
    return f"{scheme}://{place if scheme in ('file', 'local') else place.lstrip('/')}"


def _filesystem(address: str) -> tuple[Any, str]:
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise DataError(f"'{address}' cannot be opened: {error}") from None
    return filesystem, str(path)


@contextmanager
def opened(path: str, *, decompress: bool = True) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed by its name; whatever says that they are damaged is raised as `Damaged`."""
    with _translated(), open_raw(path) as raw, decompressed(raw, path if decompress else "") as file:
        yield file


def open_raw(path: str) -> IO[bytes]:
    """The bytes as they are stored."""
    if is_remote(path):
        filesystem, place = _filesystem(path)
        return cast("IO[bytes]", filesystem.open(place, "rb"))
    return Path(path).open("rb")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a local file that may be compressed, by its name."""
    return decompressed(open_raw(str(path)), str(path))


@contextmanager
def _translated() -> Iterator[None]:
    """Decompressors and parsers raise errors of their own that do not name the file."""
    try:
        yield
    except (EOFError, OSError, zlib.error) as error:
        raise Damaged(str(error)) from None


def lines(file: IO[bytes], longest: int, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes | None]]:
    """(offset, line) of the lines that begin from `start` up to `stop`; None for a line of more than `longest` bytes."""
    place = start
    if start:
        # The line that crosses the border belongs to the piece before.
        file.seek(start - 1)
        place = start - 1 + _skip_line(file)
    while stop is None or place < stop:
        line = file.readline(longest + 1)
        if not line:
            return
        begin = place
        place += len(line)
        if len(line) > longest and not line.endswith(b"\n"):
            place += _skip_line(file)
            yield begin, None
        else:
            yield begin, line


def _skip_line(file: IO[bytes]) -> int:
    skipped = 0
    while piece := file.readline(1 << 20):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped
