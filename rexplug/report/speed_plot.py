"""Quality of models against their speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import geometric_mean
from typing import Any

from rexplug.report import plots
from rexplug.report.compare import Comparison
from rexplug.report.costs import Cost
from rexplug.report.plots import FONT, WIDTH, cut_label


def draw_speed(comparison: Comparison) -> Any:
    """Mean of the main metrics against speed, on the evaluators that all models have."""
    rows = [row for row in comparison.rows if row.main and row.metric and all(cell.metric for cell in row.cells)]
    rows = list({row.evaluator: row for row in reversed(rows)}.values())[::-1]
    costs = [[cost for cost in comparison.costs.get(row.evaluator, ()) if cost is not None] for row in rows]
    if not rows or any(len(of_models) < len(comparison.models) for of_models in costs):
        return None
    speeds, what, fast_is_high = _speeds(costs)
    figure = plots.new_figure(WIDTH, 3.9)
    axes = figure.subplots()
    plots.plain_axes(axes)
    axes.set_xscale("log")
    points = []
    for number, (label, speed) in enumerate(zip(comparison.models, speeds, strict=True)):
        metrics = [row.cells[number].metric for row in rows]
        values = [metric.value for metric in metrics if metric is not None]
        spans = [m.high - m.low for m in metrics if m is not None and m.low is not None and m.high is not None]
        quality = sum(values) / len(values)
        # The evaluators have different data, so that their errors are independent and the squares of the intervals add up.
        error = math.hypot(*spans) / 2 / len(values)
        colour = plots.COLOURS[number % len(plots.COLOURS)]
        axes.errorbar(speed, quality, yerr=error, color=colour, marker="o", markersize=7, capsize=3, linewidth=1.2)
        points.append((speed, quality, error, cut_label(label, 40)))
    if not fast_is_high:
        axes.invert_xaxis()
    axes.set_xlabel(what, fontsize=FONT + 1)
    mean = f"mean of {len(rows)} main metrics" if len(rows) > 1 else f"{rows[0].evaluator} {rows[0].metric}"
    axes.set_ylabel(cut_label(mean, 60), fontsize=FONT + 1)
    axes.tick_params(labelsize=FONT)
    _room(axes, [speed for speed, *_ in points])
    _label_points(figure, axes, points)
    return figure


def _speeds(costs: Sequence[Sequence[Cost]]) -> tuple[list[float], str, bool]:
    """The speed of each model, the label of its axis, and whether a larger value is faster.

    Args:
        costs: `[evaluators][models]`.
    """
    rated = [[cost.texts_per_second for cost in of_models if cost.texts_per_second] for of_models in costs]
    complete = [rates for rates, of_models in zip(rated, costs, strict=True) if len(rates) == len(of_models)]
    if complete:
        means = [geometric_mean(of_model) for of_model in zip(*complete, strict=True)]
        return means, "texts a second" + (" (geometric mean)" if len(complete) > 1 else ""), True
    totals = [max(0.01, sum(cost.seconds for cost in of_model)) for of_model in zip(*costs, strict=True)]
    return totals, "seconds of the evaluation, fine-tunes included (right is faster)", False


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
                label, (x, y), xytext=(dx, dy), textcoords="offset points", fontsize=FONT, ha=align, va="center"
            )
            box = shown.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if (inside and not any(box.overlaps(other) for other in taken)) or (dx, dy, align) == places[-1]:
                taken.append(box)
                break
            shown.remove()
