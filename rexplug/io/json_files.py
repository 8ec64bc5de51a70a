"""Reads JSON files that other programs wrote, such as those of a model's folder; a problem becomes one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rexplug.errors import DataError, first_line


def require_file(path: Path) -> None:
    """Refuse everything but regular files: a pipe, for example, would keep the process waiting.

    Raises:
        DataError: it is missing or not a regular file.
    """
    if path.is_file():
        return
    if path.is_symlink() and not path.exists():
        raise DataError(f"{path} is a link that leads nowhere")
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a file")
    raise DataError(f"{path} is not a regular file" if path.exists() else f"{path} is missing")


def read_json_file(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        DataError: it is not a file, cannot be read, or is not JSON.
    """
    require_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {first_line(error)}") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        DataError: as `read_json_file`, or it holds another value.
    """
    value = read_json_file(path)
    if not isinstance(value, dict):
        raise DataError(f"{path} is not a JSON object")
    return value
