"""Opens input files on disk or in an object store, and lists those in an object store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from rexplug.errors import DataError, one_line
from rexplug.io.compression import READ_ERRORS, DamagedFile, decompressed


def is_remote(path: str) -> bool:
    """Whether a path is an address that fsspec opens, such as `s3://bucket/file`."""
    return "://" in path


def remote_files(pattern: str, name_matches: Callable[[str], bool]) -> Iterator[tuple[str, str, int, str]]:
    """Yield (address, folder that the listing began at, size in bytes, version) of the files that an address or a glob means.

    Raises:
        DataError: the package for this kind of store is missing, or the store does not answer.
    """
    filesystem, path = _filesystem(pattern)
    scheme = pattern.split("://", 1)[0]
    try:
        if any(sign in path for sign in "*?["):
            files = filesystem.glob(path, detail=True)
            root = path[: min(path.index(sign) for sign in "*?[" if sign in path)].rpartition("/")[0]
        elif filesystem.isdir(path):
            files = {k: v for k, v in filesystem.find(path, detail=True).items() if name_matches(k.rpartition("/")[2])}
            root = path
        else:
            files = {path: filesystem.info(path)} if filesystem.exists(path) else {}
            root = path.rpartition("/")[0]
        for place, details in sorted(files.items()):
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
    """Open the bytes of a file, decompressed by its name.

    Raises:
        DamagedFile: the file breaks off or cannot be decompressed, now or while it is open. (Decompressors and parsers raise errors
            of their own that do not name the file.)
    """
    try:
        with open_raw(path) as raw, decompressed(raw, path if decompress else "") as file:
            yield file
    except READ_ERRORS as error:
        raise DamagedFile(one_line(error)) from None


def open_raw(path: str) -> IO[bytes]:
    """Open the bytes as they are stored."""
    if is_remote(path):
        filesystem, place = _filesystem(path)
        return cast("IO[bytes]", filesystem.open(place, "rb"))
    return Path(path).open("rb")
