"""A cache of the content of files for as long as they do not change."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def cached_until_changed(maxsize: int) -> Callable[[Callable[[Path], T]], Callable[[Path], T]]:
    """Cache the last `maxsize` results of a function that reads a file, each until the file changes.

    A file has changed if its inode, size or modification time has. The function that is returned raises `OSError` if there is no
    such file.
    """

    def decorate(read: Callable[[Path], T]) -> Callable[[Path], T]:
        @lru_cache(maxsize=maxsize)
        def read_version(path: Path, inode: int, size: int, modified: int) -> T:
            return read(path)

        @wraps(read)
        def cached(path: Path) -> T:
            stat = path.stat()
            return read_version(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)

        return cached

    return decorate
