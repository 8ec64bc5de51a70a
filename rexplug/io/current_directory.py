"""The current directory, which code of plugins may change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def same_directory() -> Iterator[None]:
    """Restore the current directory, from which relative paths of recipes and runs are found."""
    folder: Path | None = None
    with suppress(FileNotFoundError):  # it was removed
        folder = Path.cwd()
    try:
        yield
    finally:
        if folder is not None:
            with suppress(FileNotFoundError):
                os.chdir(folder)
