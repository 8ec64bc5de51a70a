"""Hashes of files' content, which do not depend on where a file is or when it was written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from rexplug.io.file_cache import cached_until_changed

_KEPT_FROM = 1 << 24
"""Bytes of a file from which its hash is kept for as long as its size and modification time stay the same."""


def content_hash(path: Path) -> str:
    """BLAKE2b (16 bytes, hexadecimal) of a file's content.

    Raises:
        OSError: the file cannot be read.
    """
    if path.stat().st_size < _KEPT_FROM:
        return _read(path)
    return _kept(path.resolve())


def content_hashes(paths: Iterable[Path], root: Path | None = None) -> list[tuple[str, str]]:
    """The name of each file (below `root` if it is given, else its own) and the hash of its content, in order of both."""
    return sorted(
        (path.name if root is None else path.relative_to(root).as_posix(), content_hash(path)) for path in paths
    )


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and the folders in it, except hidden ones, in order."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


_kept = cached_until_changed(maxsize=4096)(_read)
