"""Sections that an evaluator adds to the report and the model card of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rexplug.errors import brief

_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
"""How a PNG file begins, and its last block."""
_SVG = "{http://www.w3.org/2000/svg}svg"


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
    """Rows (column -> value) as plain text; the first one names the columns. Floats are shown with three decimals."""
    figure: Any = None
    """A matplotlib figure, or the content of a PNG file (`bytes`) or of an SVG file with its namespace (`str`)."""

    def __post_init__(self) -> None:
        if not isinstance(self.title, str) or not self.title.strip():
            raise ValueError(f"a ReportSection has the title {self.title!r}; expected a text that is not empty")
        where = f"the ReportSection '{self.title}'"
        if not isinstance(self.text, str):
            raise ValueError(f"the text of {where} is {self.text!r}; expected a str")
        if isinstance(self.table, str) or not isinstance(self.table, Sequence):
            raise ValueError(f"the table of {where} is {brief(self.table)}; expected a sequence of rows")
        if not all(isinstance(row, Mapping) for row in self.table):
            raise ValueError(
                f"the table of {where} holds something else than rows; expected mappings of column -> value"
            )
        if not (self.text or self.table or self.figure is not None):
            raise ValueError(f"{where} is empty; give it a text, a table or a figure")
        if self.figure is not None and (problem := _figure_problem(self.figure)):
            raise ValueError(
                f"the figure of {where} {problem}; expected a matplotlib figure, the bytes of a PNG file or the text of an SVG file"
            )


def _figure_problem(figure: object) -> str:
    """The problem of a figure, as the end of a clause about it; empty if there is none."""
    if isinstance(figure, bytes):
        if not figure.startswith(_PNG):
            return f"begins with {brief(figure[: len(_PNG)])}, which no PNG file does"
        return "" if _PNG_END in figure[-16:] else "is a truncated PNG file"
    if isinstance(figure, str):
        return _svg_problem(figure)
    return "" if callable(getattr(figure, "savefig", None)) else f"is of the type {type(figure).__name__}"


def _svg_problem(text: str) -> str:
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(text.removeprefix("\ufeff").lstrip().encode())
    except UnicodeEncodeError:
        return "is a text that has a lone surrogate and is not valid Unicode"
    except ElementTree.ParseError as error:
        return f"is not valid SVG: {error}"
    if root.tag == "svg":
        return 'is an SVG without its namespace, which browsers do not draw: <svg xmlns="http://www.w3.org/2000/svg">'
    return "" if root.tag == _SVG else "is a text whose first element is not svg"
