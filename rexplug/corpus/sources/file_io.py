"""Opens input files on disk or in an object store, and lists those in an object store."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import IO, Any, cast

from rexplug.corpus.sources.local_files import LEFT_OUT, printable
from rexplug.errors import DataError, RexplugError, one_line
from rexplug.io.compression import COMPRESSED, READ_ERRORS, DamagedFile, StorageError, decompressed, detected_format

_READ_SIZE = 1 << 20
"""Bytes that are asked of the disk or the store at once."""
_PASSWORD = re.compile(r"(://[^/@:]*:)[^/@]*(?=@)")


def is_remote(path: str) -> bool:
    """Whether a path is an address that fsspec opens, such as `s3://bucket/file`."""
    return "://" in path


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in an object store: its address, the folder that the listing began at, size in bytes, version."""

    path: str
    root: str
    size: int
    version: str

    @property
    def relative(self) -> str:
        """The path below the folder."""
        return self.path.removeprefix(self.root).lstrip("/")


def remote_files(pattern: str, is_wanted: Callable[[str], bool]) -> Iterator[RemoteFile]:
    """Yield the files that an address or a glob means; of a folder those whose path below it `is_wanted`.

    Raises:
        DataError: the package for this kind of store is missing, or the store does not answer.
    """
    if "::" in pattern:
        raise DataError(
            f"'{pattern}' is a chain of file systems (::), which are not read; write the address of the files"
        )
    filesystem, path = _filesystem(pattern)
    address = _addresses(pattern, path)
    try:
        if any(sign in path for sign in "*?["):
            root = path[: min(path.index(sign) for sign in "*?[" if sign in path)].rpartition("/")[0]
            parts = path.removeprefix(root).strip("/").split("/")
            files = {
                place: details
                for place, details in filesystem.glob(path, detail=True).items()
                if not _is_left_out(place.removeprefix(root).strip("/").split("/"), parts)
            }
        elif filesystem.isdir(path):
            root = path
            files = {
                place: details
                for place, details in filesystem.find(path, detail=True).items()
                if is_wanted(place.removeprefix(root).lstrip("/"))
            }
        else:
            files = {path: filesystem.info(path)} if filesystem.exists(path) else {}
            root = path.rpartition("/")[0]
        for place, details in sorted(files.items()):
            if details["type"] == "file":
                if details["size"] is None:  # a listing of a web server names files only
                    details = filesystem.info(place)
                if details["size"] is None:
                    raise DataError(f"the server does not say how many bytes {shown(address(place))} has; download it")
                version = _version(filesystem, place, details)
                yield RemoteFile(address(place), address(root), int(details["size"]), version)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"'{pattern}' cannot be listed: {type(error).__name__}: {error}") from None


def _is_left_out(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a name below the root of a glob begins with a character of `LEFT_OUT`, while no part of the glob does."""
    return any(name[:1] == sign for name in names for sign in LEFT_OUT if not any(part[:1] == sign for part in parts))


def _version(filesystem: Any, place: str, details: dict[str, Any]) -> str:
    keys = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created")
    return str(next((details[key] for key in keys if details.get(key)), None) or filesystem.ukey(place))


def _addresses(pattern: str, path: str) -> Callable[[str], str]:
    """How the paths that a store lists become addresses, given a pattern and the path that fsspec makes of it.

    Many stores leave the host out of their paths (`hdfs://host:8020/data` becomes `/data`), Azure leaves out the account in the
    middle, and web servers list whole addresses. The part in which pattern and path agree at their ends shows what the
    beginnings of the listed paths have to be replaced by.
    """
    scheme = pattern.split("://", 1)[0]
    if scheme in ("file", "local"):
        return lambda place: f"{scheme}://{place}"
    pattern, path = pattern.rstrip("/"), path.rstrip("/")
    pairs = zip(reversed(pattern), reversed(path), strict=False)
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    head, replaced = pattern[: len(pattern) - same], path[: len(path) - same]

    def address(place: str) -> str:
        if not place.startswith(replaced):
            return f"{scheme}://{place.lstrip('/')}"
        rest = place.removeprefix(replaced)
        is_joined = not head or head.endswith("/") or not rest or rest.startswith("/")
        return head + ("" if is_joined else "/") + rest

    return address


def shown(path: str) -> str:
    """A path or address for messages and metadata, without a password; bytes of a local name that are not UTF-8 as `\\xff`."""
    return _PASSWORD.sub(r"\1***", path) if is_remote(path) else printable(path)


def _filesystem(address: str) -> tuple[Any, str]:
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise DataError(f"'{address}' cannot be opened: {error}") from None
    except Exception as error:  # each kind of store has errors of its own
        raise DataError(f"'{address}' cannot be opened: {type(error).__name__}: {one_line(error)}") from None
    return filesystem, str(path)


def refuse_changed(path: str, size: int, version: str) -> None:
    """Refuse a file that is not what it was when the files were listed.

    Raises:
        DataError: it is gone, or has another size or version.
        StorageError: it cannot be asked for at present.
    """
    try:
        if is_remote(path):
            filesystem, place = _filesystem(path)
            filesystem.invalidate_cache(place)
            details = filesystem.info(place)
            now = int(details["size"]), _version(filesystem, place, details)
        else:
            stat = Path(path).stat()
            now = stat.st_size, str(stat.st_mtime_ns)
    except FileNotFoundError:
        raise _vanished(path) from None
    except Exception as error:  # each kind of store has errors of its own
        raise StorageError(f"{shown(path)} could not be read: {type(error).__name__}: {one_line(error)}") from error
    if now != (size, version):
        grown = f"it had {size:,} bytes and has {now[0]:,}" if now[0] != size else "it was written again"
        raise DataError(
            f"{shown(path)} changed while it was read: {grown}. Run the same command again once nothing writes to it"
        )


def _vanished(path: str) -> DataError:
    return DataError(
        f"{shown(path)} was there when the run began and is gone; put it back, or run the same command again"
    )


@contextmanager
def opened(path: str, *, decompress: bool = True) -> Iterator[IO[bytes]]:
    """Open the bytes of a file, decompressed by its name.

    Raises:
        DamagedFile: the file breaks off or cannot be decompressed, now or while it is open, or it is compressed or Parquet and
            its name does not say so. (Decompressors and parsers raise errors of their own that do not name the file.)
        StorageError: the disk or the store did not give the bytes: no damage of the file, so it may be tried again.
        DataError: the file is gone.
    """
    try:
        stored = io.BufferedReader(_Storage(path), _READ_SIZE)
        if decompress and not path.lower().endswith(COMPRESSED) and (found := detected_format(stored.peek(6))):
            stored.close()
            raise DamagedFile(f"its content is {found}, which its name does not say")
        with cast("IO[bytes]", stored) as raw, decompressed(raw, path if decompress else "") as file:
            yield file
    except StorageError:
        raise
    except READ_ERRORS as error:
        raise DamagedFile(one_line(error)) from None


class _Storage(io.RawIOBase):
    """The bytes of a file as they are stored. What goes wrong in reading them is a `StorageError`, never taken for damage."""

    def __init__(self, path: str) -> None:
        self._path = path
        with self._named():
            self._file = open_raw(path)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise _vanished(self._path) from None
        except RexplugError:
            raise
        except Exception as error:  # each kind of store has errors of its own
            raise StorageError(
                f"{shown(self._path)} could not be read: {type(error).__name__}: {one_line(error)}"
            ) from error

    def readable(self) -> bool:
        """The stream can only be read."""
        return True

    def seekable(self) -> bool:
        """Files on disk and in stores that fsspec opens can be read from any place."""
        return self._file.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        with self._named():
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        """How many bytes are before the place that is read next."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """Fill the beginning of the buffer."""
        with self._named():
            return cast("io.BufferedIOBase", self._file).readinto(buffer)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            super().close()
            self._file.close()


def open_raw(path: str) -> IO[bytes]:
    """Open the bytes as they are stored."""
    if is_remote(path):
        filesystem, place = _filesystem(path)
        return cast("IO[bytes]", filesystem.open(place, "rb"))
    return Path(path).open("rb")
