"""The package of fastText, which is optional where it has no wheel."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from rexplug.errors import DataError


def require_fasttext() -> None:
    """Check that fastText is installed, without importing it.

    Raises:
        DataError: it is not installed.
    """
    if find_spec("fasttext") is None:
        raise DataError(
            "fastText is not installed; there is no wheel of it for Python 3.13: run `pip install 'rexplug[fasttext]'`, which "
            "compiles it (a C++ compiler is needed), or use Python 3.11 or 3.12"
        )


def fasttext() -> Any:
    """The module `fasttext`.

    Raises:
        DataError: it is not installed.
    """
    require_fasttext()
    import fasttext

    return fasttext
