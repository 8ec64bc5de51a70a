"""Options for the files that a comparison is written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_FILES = {
    "html": "Also write the comparison as a web page.",
    "json": "Also write the comparison as JSON.",
}
_TABLES = {
    "csv": "Also write the comparison as CSV, a line per model and metric.",
    "markdown": "Also write the comparison as a table for a README.",
    "latex": "Also write the comparison as a table for a paper (booktabs).",
}


def comparison_files(command: Command) -> Command:
    """Options --html, --json, --csv, --markdown and --latex; the command gets them as `html`, `json` and so on."""
    return _options({**_FILES, **_TABLES}, command)


def comparison_tables(command: Command) -> Command:
    """Options --csv, --markdown and --latex; the command gets them as `csv`, `markdown` and `latex`."""
    return _options(_TABLES, command)


def _options(files: dict[str, str], command: Command) -> Command:
    for name, text in reversed(files.items()):
        option = click.option(f"--{name}", type=click.Path(path_type=Path), metavar="FILE", help=text)
        command = option(command)
    return command
