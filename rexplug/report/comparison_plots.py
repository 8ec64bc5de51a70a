"""Plots of a comparison: differences with intervals, scores by metric, quality against speed; drawn by matplotlib."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rexplug.evaluation.statistics import Difference
from rexplug.io.atomic import remove, replacing
from rexplug.report import plots
from rexplug.report.compare import Cell, Comparison
from rexplug.report.plots import FONT, GREY, WIDTH, cut_label
from rexplug.report.speed_plot import draw_speed

_PANELS = 3
"""Panels beside each other."""
_ROW = 0.2
"""Inches for a line of a panel."""
_TITLES = {1: 70, 2: 34, 3: 21}
"""Characters of a panel's title, by the number of panels beside each other."""
_STANDALONE = '<svg style="background: white; color: black" '
"""The beginning of an SVG that is not part of a page, which may be dark."""
_VERDICTS = {
    "real, above": ("#059669", "^", True),
    "real, below": ("#dc2626", "v", True),
    "differs on these items": ("#2563eb", "o", True),
    "may be chance": ("#78716c", "o", False),
}
"""Verdict -> colour, marker, and whether it is filled: colour is not the only sign."""


def draw_comparison(comparison: Comparison) -> dict[str, Any]:
    """Name -> figure of each plot that there are results for; none for a single model.

    `differences`: a forest plot, a panel for each model. `scores`: a panel for each metric, a bar for each model. `speed`:
    quality against texts a second, or seconds where results do not tell.
    """
    if len(comparison.models) < 2:
        return {}
    drawn = {
        "differences": _differences(comparison),
        "scores": _scores(comparison),
        "speed": draw_speed(comparison),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def write_comparison_plots(comparison: Comparison, page: Path) -> dict[str, str]:
    """Write each plot as SVG and PNG to the folder `<page>-plots` beside a page.

    Returns:
        Name -> SVG, to be part of the page.
    """
    folder = page.with_name(f"{page.stem}-plots")
    # A label in letters that matplotlib's font lacks has boxes in the PNG; the SVG leaves the font to the browser.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figures = draw_comparison(comparison)
        if not figures:
            remove(folder)
            return {}
        svgs = {name: plots.svg(figure) for name, figure in figures.items()}
        with replacing(folder) as temporary:
            temporary.mkdir()
            for name, figure in figures.items():
                (temporary / f"{name}.svg").write_text(svgs[name].replace("<svg ", _STANDALONE, 1), encoding="utf-8")
                figure.savefig(temporary / f"{name}.png", dpi=150, facecolor="white", metadata={"Software": None})
    return svgs


def _verdict(difference: Difference) -> str:
    if difference.real:
        return "real, above" if difference.value > 0 else "real, below"
    return "differs on these items" if difference.differs else "may be chance"


def _differences(comparison: Comparison) -> Any:
    """A panel for each model with a difference; a line for each metric."""
    rows = [row for row in comparison.rows if any(cell.difference is not None for cell in row.cells)]
    if not rows:
        return None
    of_model: list[tuple[str, list[tuple[int, Difference]]]] = []
    for number, label in enumerate(comparison.models):
        tested = [(place, d) for place, row in enumerate(rows) if (d := row.cells[number].difference) is not None]
        if tested:
            of_model.append((label, tested))
    # Rows with another reference get a star.
    starred = [row.reference != comparison.models[0] for row in rows]
    names = [
        cut_label(f"{row.evaluator} {row.metric}", 44) + (" *" if star else "")
        for row, star in zip(rows, starred, strict=True)
    ]
    ends = [end for _, tested in of_model for _, d in tested for end in (d.low, d.high, d.value)]
    low, high = min(0.0, *ends), max(0.0, *ends)
    margin = 0.06 * (high - low or 1.0)
    figure, panels = _grid(len(of_model), len(rows), head=0.32, foot=0.3, more=0.45)
    for number, (panel, (label, tested)) in enumerate(zip(panels, of_model, strict=True)):
        panel.axvline(0, color="#000000", linewidth=0.8)
        for place, difference in tested:
            colour, marker, filled = _VERDICTS[_verdict(difference)]
            panel.errorbar(
                difference.value, place,
                xerr=_errors(difference.value, difference.low, difference.high),
                color=colour, marker=marker, markersize=5, markerfacecolor=colour if filled else "none",
                capsize=2.5, linewidth=1.4,
            )  # fmt: skip
        panel.set_xlim(low - margin, high + margin)
        _lines(panel, names if number % _PANELS == 0 else None, len(rows))
        limit = _TITLES[min(len(of_model), _PANELS)]
        panel.set_title(cut_label(label, limit), fontsize=FONT + 1, loc="left", fontweight="bold")
    found = {_verdict(difference) for _, tested in of_model for _, difference in tested}
    _verdict_legend(figure, [name for name in _VERDICTS if name in found])
    star = "; * to the first model that has the metric" if any(starred) else ""
    figure.supxlabel(f"Differences to {cut_label(comparison.models[0], 60)}{star}", fontsize=FONT, x=0.01, ha="left")
    return figure


def _scores(comparison: Comparison) -> Any:
    """A panel for each metric that two models have; a bar for each model."""
    rows = [row for row in comparison.rows if sum(cell.metric is not None for cell in row.cells) > 1]
    if not rows:
        return None
    labels = [cut_label(label, 26) for label in comparison.models]
    figure, panels = _grid(len(rows), len(labels), head=0.62, foot=0.25)
    for number, (panel, row) in enumerate(zip(panels, rows, strict=True)):
        ends = [0.0]
        for place, cell in enumerate(row.cells):
            _bar(panel, place, cell)
            if cell.metric is not None:
                ends += [cell.metric.value, *(end for end in (cell.metric.low, cell.metric.high) if end is not None)]
        span = max(ends) - min(ends) or 1.0
        # Room for the values behind the bars.
        panel.set_xlim(min(ends) - (0.04 * span if min(ends) < 0 else 0.0), max(ends) + 0.24 * span)
        _lines(panel, labels if number % _PANELS == 0 else None, len(labels))
        panel.set_title(
            f"{cut_label(row.evaluator, 34)}\n{cut_label(row.metric, 34)}" if row.metric else cut_label(row.evaluator, 34),
            fontsize=FONT, loc="left",
        )  # fmt: skip
    return figure


def _bar(panel: Any, place: int, cell: Cell) -> None:
    metric = cell.metric
    if metric is None:
        panel.annotate(
            "–", (0, place), xytext=(3, 0), textcoords="offset points", fontsize=FONT, color=GREY, va="center"
        )
        return
    colour = plots.COLOURS[place % len(plots.COLOURS)]
    panel.barh(place, metric.value, color=colour, alpha=0.75, height=0.66)
    end = max(metric.value, 0.0)
    if metric.low is not None and metric.high is not None:
        errors = _errors(metric.value, metric.low, metric.high)
        panel.errorbar(metric.value, place, xerr=errors, color="#000000", linewidth=1, capsize=2)
        end = max(end, metric.high)
    panel.annotate(
        f"{metric.value:.3f}", (end, place), xytext=(3, 0), textcoords="offset points", fontsize=FONT - 1, va="center"
    )


def _errors(value: float, low: float, high: float) -> list[list[float]]:
    """The lengths of an interval's two sides as matplotlib takes them; a value outside of its interval has one side."""
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _grid(num_panels: int, num_lines: int, *, head: float, foot: float, more: float = 0.1) -> tuple[Any, list[Any]]:
    """A figure with panels of `num_lines` lines, as many beside each other as fit.

    Inches for the `head` and `foot` of each panel, and for `more` around all of them.
    """
    columns = min(_PANELS, num_panels)
    of_rows = math.ceil(num_panels / columns)
    figure = plots.new_figure(WIDTH, of_rows * (_ROW * num_lines + head + foot) + more)
    grid = figure.subplots(of_rows, columns, squeeze=False)
    panels = list(grid.flat)
    for panel in panels[num_panels:]:
        panel.set_axis_off()
    for panel in panels[:num_panels]:
        plots.plain_axes(panel)
        panel.tick_params(labelsize=FONT - 1)
    return figure, panels[:num_panels]


def _lines(panel: Any, names: Sequence[str] | None, num_lines: int) -> None:
    """Lines of a panel from top to bottom, with names where it is the first of its row."""
    panel.set_ylim(num_lines - 0.4, -0.6)
    panel.set_yticks(range(num_lines), names if names is not None else [""] * num_lines)
    panel.tick_params(axis="y", length=0, labelsize=FONT)
    panel.grid(visible=False, axis="y")
    panel.spines["left"].set_visible(False)
    panel.locator_params(axis="x", nbins=5)


def _verdict_legend(figure: Any, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [], [], color=_VERDICTS[name][0], marker=_VERDICTS[name][1], markersize=5, linewidth=1.4,
            markerfacecolor=_VERDICTS[name][0] if _VERDICTS[name][2] else "none", label=name,
        )
        for name in names
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper left", ncols=4, frameon=False, fontsize=FONT)
