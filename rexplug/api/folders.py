"""The ways to name a run, and its run directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, runtime_checkable

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
    """The run directory."""
    return run.folder if isinstance(run, HasFolder) else Path(run)
