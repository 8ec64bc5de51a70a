"""Finds input files on disk: the rule by which a path, a folder or a glob becomes files.

- `~` is the home folder. A name that exists is taken as it is written, with any characters: brackets in the name of an
  existing folder are not a pattern. A path that does not exist is a glob (`*`, `?`, `[ab]`; `**` for any number of folders).
- Folders are searched to the bottom. Links to folders and files are followed; a link that leads back to a folder above it is
  not followed again, and a file that is reached by several paths is read once, by the path without links.
- In folders and behind wildcards, names that begin with `.` or `_` are left out, as Hadoop and Spark do (`_temporary`,
  `_SUCCESS`, `.crc`), unless the pattern itself begins with that sign.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path

from rexplug.errors import DataError

_FOLDERS = "**"
LEFT_OUT = (".", "_")
"""What the names begin with that are left out of folders."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file: the path that it was reached by, that path below `root`, and the path without links."""

    path: str
    root: str
    real: str
    size: int
    version: str

    @property
    def relative(self) -> str:
        """The path below the folder, or below the fixed part of the glob."""
        return self.path if self.root in ("", ".") else os.path.relpath(self.path, self.root)

    @property
    def linked(self) -> bool:
        """Whether a link below `root` leads to the file."""
        return os.path.join(os.path.realpath(self.root or "."), self.relative) != self.real


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder or file that a search has come to, with the real paths of the folders above it."""

    path: str
    real: str
    above: tuple[str, ...]


def expand(pattern: str) -> tuple[str, tuple[str, ...]]:
    """Divide a path or glob into the part that exists, or is not a pattern, and the parts of a glob after it.

    Raises:
        DataError: it names the home folder of a user who is not known.
    """
    expanded = os.path.expanduser(pattern)
    if expanded.startswith("~") and not os.path.lexists(expanded):
        raise DataError(f"'{pattern}' names the home folder of a user who is not known here")
    fixed = ""
    parts = Path(expanded).parts
    for number, part in enumerate(parts):
        path = os.path.join(fixed, part)
        if has_magic(part) and not os.path.lexists(path):
            return fixed, tuple(parts[number:])
        fixed = path
    return fixed, ()


def local_files(pattern: str, suffixes: tuple[str, ...]) -> Iterator[LocalFile]:
    """Yield the files that a path, a folder or a glob means, in no particular order.

    Args:
        pattern: what the recipe says.
        suffixes: in lower case; files of a folder that end otherwise are left out. A glob takes all that it matches.

    Raises:
        DataError: a link leads to a file that does not exist.
        OSError: a folder may not be read, or a name is too long.
    """
    fixed, glob = expand(pattern)
    is_folder = os.path.isdir(fixed or ".")
    if not glob and not is_folder:
        if os.path.isfile(fixed):
            yield _file(_Place(fixed, os.path.realpath(fixed), ()), os.path.dirname(fixed))
        elif os.path.islink(fixed):
            raise _dangling(fixed)
        return
    if not is_folder:
        return
    start = _Place(fixed, os.path.realpath(fixed or "."), ())
    for place in _search(start, glob or (_FOLDERS, "*")):
        if not glob and not place.path.lower().endswith(suffixes):
            continue
        if os.path.isfile(place.real):
            yield _file(place, fixed)
        elif not os.path.exists(place.real):  # for a link to itself, `real` is the link
            raise _dangling(place.path)


def matches_only_folders(pattern: str) -> bool:
    """Whether a glob matches folders and nothing else."""
    fixed, glob = expand(pattern)
    if not glob or not os.path.isdir(fixed or "."):
        return False
    places = list(_search(_Place(fixed, os.path.realpath(fixed or "."), ()), glob))
    return bool(places) and all(os.path.isdir(place.real) for place in places)


def printable(path: str) -> str:
    """A path as it can be printed and stored: bytes of a name that are not UTF-8 as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _search(place: _Place, parts: Sequence[str]) -> Iterator[_Place]:
    """Yield what the parts of a glob match below a folder; files and folders."""
    part, rest = parts[0], parts[1:]
    if part == _FOLDERS:
        if rest:
            yield from _search(place, rest)
        for inner in _entries(place):
            if _is_left_out(inner, ""):
                continue
            if not rest:
                yield inner
            if os.path.isdir(inner.real) and inner.real not in inner.above:
                yield from _search(inner, parts)
        return
    if has_magic(part):
        found = [
            inner
            for inner in _entries(place)
            if fnmatchcase(os.path.basename(inner.path), part) and not _is_left_out(inner, part)
        ]
    else:
        path = os.path.join(place.path, part)
        found = [_Place(path, os.path.realpath(path), (*place.above, place.real))] if os.path.lexists(path) else []
    for inner in found:
        if not rest:
            yield inner
        elif os.path.isdir(inner.real):
            yield from _search(inner, rest)


def _is_left_out(place: _Place, part: str) -> bool:
    name = os.path.basename(place.path)
    return name.startswith(LEFT_OUT) and not part.startswith(name[0])


def _entries(folder: _Place) -> Iterator[_Place]:
    above = (*folder.above, folder.real)
    with os.scandir(folder.path or ".") as entries:
        for entry in entries:
            path = os.path.join(folder.path, entry.name)
            real = os.path.realpath(path) if entry.is_symlink() else os.path.join(folder.real, entry.name)
            yield _Place(path, real, above)


def _file(place: _Place, root: str) -> LocalFile:
    stat = os.stat(place.real)
    return LocalFile(place.path, root, place.real, stat.st_size, str(stat.st_mtime_ns))


def _dangling(path: str) -> DataError:
    return DataError(
        f"{printable(path)} is a link to a file that does not exist ({printable(os.path.realpath(path))}); mend or remove it"
    )
