"""What plots of a comparison read of it, and what they share: sizes and the length of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rexplug.components import Metric
from rexplug.evaluation.statistics import Difference
from rexplug.report.results import ModelResults

WIDTH = 9.0
"""Inches of a figure; a page shows them at 1.4 times their size."""
FONT = 8
"""Points of labels."""


class PlottedCell(Protocol):
    """What the plots read of a `Cell`."""

    @property
    def metric(self) -> Metric | None:
        """The metric; None if the model has none."""
        ...

    @property
    def difference(self) -> Difference | None:
        """Its difference to the reference; None if it was not tested."""
        ...


class PlottedRow(Protocol):
    """What the plots read of a `Row`."""

    @property
    def evaluator(self) -> str:
        """The label of the evaluator."""
        ...

    @property
    def metric(self) -> str:
        """The name of the metric; empty if no model has one."""
        ...

    @property
    def main(self) -> bool:
        """Whether it is the evaluator's main metric."""
        ...

    @property
    def cells(self) -> Sequence[PlottedCell]:
        """One per model."""
        ...

    @property
    def reference(self) -> str:
        """The model that the others are compared with."""
        ...


class Plotted(Protocol):
    """What the plots read of a `Comparison`, whose module draws them and so cannot be imported here."""

    @property
    def models(self) -> Sequence[str]:
        """The labels of the models."""
        ...

    @property
    def rows(self) -> Sequence[PlottedRow]:
        """One per metric."""
        ...

    @property
    def results(self) -> Sequence[ModelResults]:
        """The results of the models."""
        ...


def cut_label(text: str, limit: int) -> str:
    """A text of at most `limit` characters, its middle left out; dollar signs are not mathematics."""
    if len(text) > limit:
        half = (limit - 1) // 2
        text = f"{text[: limit - 1 - half]}…{text[-half:]}"
    return text.replace("$", r"\$")
