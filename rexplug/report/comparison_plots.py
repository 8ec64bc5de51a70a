"""Plots of a comparison: differences with intervals, scores by metric, quality against speed; drawn by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rexplug.components import Metric
from rexplug.evaluation.statistics import Difference
from rexplug.io.atomic import remove, replacing
from rexplug.report import plots
from rexplug.report.results import ModelResults

_WIDTH = 9.0
"""Inches; a page shows them at 1.4 times their size."""
_FONT = 8
_PANELS = 3
"""Panels beside each other."""
_ROW = 0.2
"""Inches for a line of a panel."""
_TITLES = {1: 70, 2: 34, 3: 21}
"""Characters of a panel's title, by the number of panels beside each other."""
_SPAN = 1.96 * 2
"""Standard errors in a 95 % interval of a normal distribution."""
_GREY = "#6b7280"
_VERDICTS = {
    "real, above": ("#059669", "^", True),
    "real, below": ("#dc2626", "v", True),
    "differs on these items": ("#2563eb", "o", True),
    "may be chance": ("#78716c", "o", False),
}
"""Verdict -> colour, marker, and whether it is filled: colour is not the only sign."""


class _Cell(Protocol):
    """What the plots read of a `Cell`."""

    @property
    def metric(self) -> Metric | None: ...

    @property
    def difference(self) -> Difference | None: ...


class _Row(Protocol):
    """What the plots read of a `Row`."""

    @property
    def evaluator(self) -> str: ...

    @property
    def metric(self) -> str: ...

    @property
    def main(self) -> bool: ...

    @property
    def cells(self) -> Sequence[_Cell]: ...

    @property
    def reference(self) -> str: ...


class Plotted(Protocol):
    """What the plots read of a `Comparison`, whose module draws them and so cannot be imported here."""

    @property
    def models(self) -> Sequence[str]:
        """The labels of the models."""
        ...

    @property
    def rows(self) -> Sequence[_Row]:
        """One per metric."""
        ...

    @property
    def results(self) -> Sequence[ModelResults]:
        """The results of the models."""
        ...


def draw_comparison(comparison: Plotted) -> dict[str, Any]:
    """Name -> figure of each plot that there are results for; none for a single model.

    `differences`: a forest plot, a panel for each model. `scores`: a panel for each metric, a bar for each model. `speed`:
    quality against documents a second, or seconds where results do not tell.
    """
    if len(comparison.models) < 2:
        return {}
    drawn = {
        "differences": _differences(comparison),
        "scores": _scores(comparison),
        "speed": _speed(comparison),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def write_comparison_plots(comparison: Plotted, page: Path) -> dict[str, str]:
    """Write each plot as SVG and PNG to the folder `<page>-plots` beside a page.

    Returns:
        Name -> SVG, to be part of the page.
    """
    folder = page.with_name(f"{page.stem}-plots")
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


_STANDALONE = '<svg style="background: white; color: black" '


def _verdict(difference: Difference) -> str:
    if difference.real:
        return "real, above" if difference.value > 0 else "real, below"
    return "differs on these items" if difference.differs else "may be chance"


def _differences(comparison: Plotted) -> Any:
    """A panel for each model with a difference; a line for each metric."""
    of_model: list[tuple[str, list[tuple[_Row, Difference]]]] = []
    for number, label in enumerate(comparison.models):
        tested = [(row, d) for row in comparison.rows if (d := row.cells[number].difference) is not None]
        if tested:
            of_model.append((label, tested))
    if not of_model:
        return None
    rows = [row for row in comparison.rows if any(row is r for _, tested in of_model for r, _ in tested)]
    # Rows with another reference get a star.
    starred = [row.reference != comparison.models[0] for row in rows]
    names = [
        _cut(f"{row.evaluator} {row.metric}", 44) + (" *" if star else "")
        for row, star in zip(rows, starred, strict=True)
    ]
    ends = [end for _, tested in of_model for _, d in tested for end in (d.low, d.high, d.value)]
    low, high = min(0.0, *ends), max(0.0, *ends)
    margin = 0.06 * (high - low or 1.0)
    figure, panels = _grid(len(of_model), len(rows), head=0.32, foot=0.3, more=0.45)
    for number, (panel, (label, tested)) in enumerate(zip(panels, of_model, strict=True)):
        panel.axvline(0, color="#000000", linewidth=0.8)
        for row, difference in tested:
            place = next(i for i, other in enumerate(rows) if other is row)
            colour, marker, filled = _VERDICTS[_verdict(difference)]
            panel.errorbar(
                difference.value, place,
                xerr=[[max(0.0, difference.value - difference.low)], [max(0.0, difference.high - difference.value)]],
                color=colour, marker=marker, markersize=5, markerfacecolor=colour if filled else "none",
                capsize=2.5, linewidth=1.4,
            )  # fmt: skip
        panel.set_xlim(low - margin, high + margin)
        _lines(panel, names if number % _PANELS == 0 else None, len(rows))
        limit = _TITLES[min(len(of_model), _PANELS)]
        panel.set_title(_cut(label, limit), fontsize=_FONT + 1, loc="left", fontweight="bold")
    found = {_verdict(difference) for _, tested in of_model for _, difference in tested}
    _verdict_legend(figure, [name for name in _VERDICTS if name in found])
    star = "; * to the first model that has the metric" if any(starred) else ""
    figure.supxlabel(f"Differences to {_cut(comparison.models[0], 60)}{star}", fontsize=_FONT, x=0.01, ha="left")
    return figure


def _scores(comparison: Plotted) -> Any:
    """A panel for each metric that two models have; a bar for each model."""
    rows = [row for row in comparison.rows if sum(cell.metric is not None for cell in row.cells) > 1]
    if not rows:
        return None
    labels = [_cut(label, 26) for label in comparison.models]
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
            f"{_cut(row.evaluator, 34)}\n{_cut(row.metric, 34)}" if row.metric else _cut(row.evaluator, 34),
            fontsize=_FONT, loc="left",
        )  # fmt: skip
    return figure


def _bar(panel: Any, place: int, cell: _Cell) -> None:
    metric = cell.metric
    if metric is None:
        panel.annotate(
            "–", (0, place), xytext=(3, 0), textcoords="offset points", fontsize=_FONT, color=_GREY, va="center"
        )
        return
    colour = plots.COLOURS[place % len(plots.COLOURS)]
    panel.barh(place, metric.value, color=colour, alpha=0.75, height=0.66)
    end = max(metric.value, 0.0)
    if metric.low is not None and metric.high is not None:
        error = [[max(0.0, metric.value - metric.low)], [max(0.0, metric.high - metric.value)]]
        panel.errorbar(metric.value, place, xerr=error, color="#000000", linewidth=1, capsize=2)
        end = max(end, metric.high)
    panel.annotate(
        f"{metric.value:.3f}", (end, place), xytext=(3, 0), textcoords="offset points", fontsize=_FONT - 1, va="center"
    )


def _speed(comparison: Plotted) -> Any:
    """Mean of the main metrics against speed, on the evaluators that all models have."""
    if len(comparison.results) < 2:
        return None
    rows = [row for row in comparison.rows if row.main and row.metric and all(cell.metric for cell in row.cells)]
    rows = list({row.evaluator: row for row in reversed(rows)}.values())[::-1]
    results = [[model.results[row.evaluator] for row in rows] for model in comparison.results]
    speeds, what, fast_is_high = _speeds(results)
    if not rows or not speeds:
        return None
    figure = plots.new_figure(_WIDTH, 3.9)
    axes = figure.subplots()
    plots.plain_axes(axes)
    axes.set_xscale("log")
    points = []
    for number, (label, speed) in enumerate(zip(comparison.models, speeds, strict=True)):
        metrics = [row.cells[number].metric for row in rows]
        values = [metric.value for metric in metrics if metric is not None]
        spans = [m.high - m.low for m in metrics if m is not None and m.low is not None and m.high is not None]
        quality = sum(values) / len(values)
        # The intervals of the evaluators are independent: their data are others.
        error = 1.96 * math.sqrt(sum((span / _SPAN) ** 2 for span in spans)) / len(values) if spans else 0.0
        colour = plots.COLOURS[number % len(plots.COLOURS)]
        axes.errorbar(speed, quality, yerr=error, color=colour, marker="o", markersize=7, capsize=3, linewidth=1.2)
        points.append((speed, quality, error, _cut(label, 40)))
    if not fast_is_high:
        axes.invert_xaxis()
    axes.set_xlabel(what, fontsize=_FONT + 1)
    mean = f"mean of {len(rows)} main metrics" if len(rows) > 1 else f"{rows[0].evaluator} {rows[0].metric}"
    axes.set_ylabel(_cut(mean, 60), fontsize=_FONT + 1)
    axes.tick_params(labelsize=_FONT)
    _room(axes, [speed for speed, *_ in points])
    _label_points(figure, axes, points)
    return figure


def _speeds(results: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[list[float], str, bool]:
    """Per model its speed, what that is, and whether faster is higher; empty where results do not tell."""
    if not results or not results[0]:
        return [], "", True
    rated = [
        place
        for place in range(len(results[0]))
        if all(of_model[place].get("documents_per_second") for of_model in results)
    ]
    if rated:
        means = [
            math.exp(sum(math.log(of_model[place]["documents_per_second"]) for place in rated) / len(rated))
            for of_model in results
        ]
        return means, "documents a second" + (" (geometric mean)" if len(rated) > 1 else ""), True
    seconds = [[of_model.get("seconds") for of_model in of_results] for of_results in results]
    if any(value is None for row in seconds for value in row):
        return [], "", True
    return (
        [max(0.01, sum(row)) for row in seconds],
        "seconds of the evaluation, fine-tunes included (right is faster)",
        False,
    )


def _room(axes: Any, speeds: Sequence[float]) -> None:
    """Limits of the logarithmic axis with space for labels, and plain numbers on it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = math.log10(min(speeds)), math.log10(max(speeds))
    margin = max(0.25, 0.18 * (high - low))
    ends = 10 ** (low - margin), 10 ** (high + margin)
    axes.set_xlim(*(ends[::-1] if axes.xaxis_inverted() else ends))
    wide = high - low + 2 * margin > 2.5
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _label_points(figure: Any, axes: Any, points: Sequence[tuple[float, float, float, str]]) -> None:
    """A label beside each point, at the first place where it covers no other label, point or interval."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import Bbox

    FigureCanvasAgg(figure).draw()
    taken = []
    for x, y, error, _ in points:
        (left, bottom), (right, top) = (axes.transData.transform((x, end)) for end in (y - error, y + error))
        taken.append(Bbox([[left - 6, bottom - 6], [right + 6, top + 6]]))
    frame = axes.get_window_extent()
    places = [
        (dx * reach, dy * reach, align)
        for reach in (1, 2, 3, 4)
        for dx, dy, align in (
            (9, 0, "left"),
            (-9, 0, "right"),
            (9, 9, "left"),
            (9, -9, "left"),
            (-9, 9, "right"),
            (-9, -9, "right"),
        )
    ]
    for x, y, _, label in points:
        for dx, dy, align in places:
            shown = axes.annotate(
                label, (x, y), xytext=(dx, dy), textcoords="offset points", fontsize=_FONT, ha=align, va="center"
            )
            box = shown.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if (inside and not any(box.overlaps(other) for other in taken)) or (dx, dy, align) == places[-1]:
                taken.append(box)
                break
            shown.remove()


def _grid(num_panels: int, num_lines: int, *, head: float, foot: float, more: float = 0.1) -> tuple[Any, list[Any]]:
    """A figure with panels of `num_lines` lines, as many beside each other as fit.

    Inches for the `head` and `foot` of each panel, and for `more` around all of them.
    """
    columns = min(_PANELS, num_panels)
    of_rows = math.ceil(num_panels / columns)
    figure = plots.new_figure(_WIDTH, of_rows * (_ROW * num_lines + head + foot) + more)
    grid = figure.subplots(of_rows, columns, squeeze=False)
    panels = list(grid.flat)
    for panel in panels[num_panels:]:
        panel.set_axis_off()
    for panel in panels[:num_panels]:
        plots.plain_axes(panel)
        panel.tick_params(labelsize=_FONT - 1)
    return figure, panels[:num_panels]


def _lines(panel: Any, names: Sequence[str] | None, num_lines: int) -> None:
    """Lines of a panel from top to bottom, with names where it is the first of its row."""
    panel.set_ylim(num_lines - 0.4, -0.6)
    panel.set_yticks(range(num_lines), names if names is not None else [""] * num_lines)
    panel.tick_params(axis="y", length=0, labelsize=_FONT)
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
    figure.legend(handles=handles, loc="outside upper left", ncols=4, frameon=False, fontsize=_FONT)


def _cut(text: str, limit: int) -> str:
    """A text of at most `limit` characters, its middle left out; dollar signs are not mathematics."""
    if len(text) > limit:
        half = (limit - 1) // 2
        text = f"{text[: limit - 1 - half]}…{text[-half:]}"
    return text.replace("$", r"\$")
