"""The ways to name a run, and its run directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, runtime_checkable

from rexplug.errors import RexplugError, brief

StrPath = str | os.PathLike[str]


@runtime_checkable
class HasFolder(Protocol):
    """Anything that knows its folder; `Run` does."""

    @property
    def folder(self) -> Path:
        """Where its files are."""


RunLike = HasFolder | StrPath
"""A `Run`, or the path of its folder."""


def folder_of(run: RunLike) -> Path:
    """The run directory.

    Raises:
        RexplugError: it is neither a run nor a path.
    """
    folder = path_or_none(run)
    if folder is None:
        raise RexplugError(
            f"a run is the path of its folder or what rexplug.run and rexplug.open_run return, not {shown(run)}"
        )
    return folder


def path_or_none(value: object) -> Path | None:
    """A path, or the folder of a `Run`; None for anything else, an empty path included."""
    if isinstance(value, HasFolder):
        return value.folder
    if isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str) and str(value):
        return Path(value)
    return None


def shown(value: object) -> str:
    """A value of the wrong type for a message: what was written, or its class (`a Recipe`)."""
    if value is None or isinstance(value, str | bytes | int | float | list | tuple | dict):
        return brief(value)
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
