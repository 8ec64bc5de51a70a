"""Sections that an evaluator adds to the report and the model card of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_PNG = b"\x89PNG\r\n\x1a\n"
_SVG = ("<svg", "<?xml")


@dataclass(frozen=True)
class ReportSection:
    """A titled section below an evaluator's metrics, in `report.html` and in the model card: text, a table, a figure.

    Raises:
        ValueError: there is no title, nothing below it, or the figure is of another kind.
    """

    title: str
    """The heading."""
    text: str = ""
    """A paragraph, as plain text."""
    table: Sequence[Mapping[str, Any]] = ()
    """Rows (column -> value); the first one names the columns. Floats are shown with three decimals."""
    figure: Any = None
    """A matplotlib figure, or the content of a PNG file (`bytes`) or of an SVG file (`str`)."""

    def __post_init__(self) -> None:
        if not isinstance(self.title, str) or not self.title.strip():
            raise ValueError(f"a ReportSection has the title {self.title!r}; expected a text that is not empty")
        where = f"the ReportSection '{self.title}'"
        if not isinstance(self.text, str):
            raise ValueError(f"the text of {where} is {self.text!r}; expected a str")
        if isinstance(self.table, str) or not all(isinstance(row, Mapping) for row in self.table):
            raise ValueError(
                f"the table of {where} holds something else than rows; expected mappings of column -> value"
            )
        if not (self.text or len(self.table) or self.figure is not None):
            raise ValueError(f"{where} is empty; give it a text, a table or a figure")
        match self.figure:
            case None:
                return
            case bytes():
                known = self.figure.startswith(_PNG)
            case str():
                known = self.figure.lstrip().startswith(_SVG)
            case _:
                known = callable(getattr(self.figure, "savefig", None))
        if not known:
            raise ValueError(
                f"the figure of {where} is of the type {type(self.figure).__name__}; expected a matplotlib figure, the bytes of a "
                "PNG file or the text of an SVG file"
            )
