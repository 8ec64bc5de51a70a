"""Sections of reports as results store them: figures as data URIs, so that a result is one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

from rexplug.components import Evaluator, ReportSection
from rexplug.errors import PluginError, brief
from rexplug.plugins.calls import owner

_ENDINGS = {"data:image/png;base64,": "png", "data:image/svg+xml;base64,": "svg"}
"""Beginning of a stored figure -> ending of a file with its content."""
_DPI = 150


def stored_section(section: ReportSection, evaluator: Evaluator) -> dict[str, Any]:
    """A section with its figure as a data URI.

    Raises:
        PluginError: matplotlib cannot draw the figure.
    """
    return {
        "title": section.title,
        "text": section.text,
        "table": [dict(row) for row in section.table],
        "figure": None if section.figure is None else _data_uri(section, evaluator),
    }


def figure_file(stored: Mapping[str, Any]) -> tuple[str, bytes] | None:
    """Ending and content of the file of a stored section's figure; None if it has none, or anything but an image."""
    figure = stored.get("figure")
    for beginning, ending in _ENDINGS.items():
        if isinstance(figure, str) and figure.startswith(beginning):
            return ending, base64.b64decode(figure.removeprefix(beginning))
    return None


def _data_uri(section: ReportSection, evaluator: Evaluator) -> str:
    figure = section.figure
    png, svg = _ENDINGS
    if isinstance(figure, str):
        return svg + base64.b64encode(figure.encode()).decode()
    if not isinstance(figure, bytes):
        content = io.BytesIO()
        try:
            # Without the version of matplotlib, so that the same results give the same file.
            figure.savefig(content, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
        except Exception as error:
            raise PluginError(
                f"{owner(evaluator)}{evaluator.name}: the figure of the section '{section.title}' cannot be drawn: "
                f"{type(error).__name__}: {brief(str(error))}"
            ) from error
        figure = content.getvalue()
    return png + base64.b64encode(figure).decode()
