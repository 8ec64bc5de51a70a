"""Prints a comparison of models."""

from __future__ import annotations

import os
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rexplug.api import Cell, Comparison

_WIDEST = 1_000
"""Columns of a table that is written to a file or a pipe, at most."""


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the table, its legend, notes and findings."""
    first = f"metric, by {comparison.varied}" if comparison.varied else "metric"
    table = Table(first, *("\n".join(parts) for parts in comparison.heads), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    table.columns[0].min_width = max(len(row.evaluator) for row in comparison.rows)
    reasons: dict[str, None] = {}
    for evaluator, rows in groupby(comparison.rows, lambda row: row.evaluator):
        table.add_row(Text(evaluator, "bold"))
        for row in rows:
            table.add_row(f"  {row.metric}", *(cell_text(cell) for cell in row.cells))
            reasons |= {f"{row.evaluator}: {cell.reason}": None for cell in row.cells if cell.reason}
        costs = comparison.costs.get(evaluator, ())
        if any(costs):
            shown = (cost.shown.replace(", ", "\n") if cost is not None else "" for cost in costs)
            table.add_row("  time", *shown, style="dim")
    if not console.is_terminal and "COLUMNS" not in os.environ:
        # A file or a pipe has no width, and rich would break figures to fit 80 columns.
        wide = console.options.update(max_width=_WIDEST)
        console.width = max(console.width, Measurement.get(console, wide, table).maximum)
    console.print(table)
    if comparison.num_tests:
        signs = [
            *(["+ and -: really"] if comparison.any_real else []),
            *(["(+) and (-): on these items"] if comparison.any_not_varied else []),
        ]
        tested = f"paired, {comparison.num_tests} tests, Holm"
        above = f"{', '.join(signs)} above or below the first model with the metric ({tested})" if signs else tested
        seeds = "; seeds were not varied" if comparison.any_not_varied else ""
        console.print(
            f"\n{above}{seeds}; ~: may be chance; brackets: 95 % interval; ±: over fine-tunes or runs",
            style="dim", soft_wrap=True,
        )  # fmt: skip
    for line in [*reasons, *comparison.notes]:
        console.print(Text(line, "dim"), soft_wrap=True)
    for finding in comparison.findings():
        console.print(Text(finding), soft_wrap=True)


def cell_text(cell: Cell) -> Text:
    """The value with a sign for its difference, interval and spread below it; a dash where there is no value."""
    if cell.metric is None:
        return Text("–", "dim")
    metric = cell.metric
    text = f"{metric.value:.3f} {cell.sign}".rstrip()
    if metric.low is not None and metric.high is not None:
        text += f"\n[{metric.low:.2f}-{metric.high:.2f}]"
    if metric.spread is not None:
        text += f" ±{metric.spread:.2f}"
    return Text(text, {"+": "green", "-": "red"}.get(cell.sign, ""))
