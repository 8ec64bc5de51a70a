"""Quality of models against their speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rexplug.report import plots
from rexplug.report.costs import Cost, cost_of
from rexplug.report.plotted import FONT, WIDTH, Plotted, cut_label

_SPAN = 1.96 * 2
"""Standard errors in a 95 % interval of a normal distribution."""


def draw_speed(comparison: Plotted) -> Any:
    """Mean of the main metrics against speed, on the evaluators that all models have."""
    if len(comparison.results) < 2:
        return None
    rows = [row for row in comparison.rows if row.main and row.metric and all(cell.metric for cell in row.cells)]
    rows = list({row.evaluator: row for row in reversed(rows)}.values())[::-1]
    costs = [[cost_of(model, row.evaluator) for row in rows] for model in comparison.results]
    speeds, what, fast_is_high = _speeds(costs)
    if not rows or not speeds:
        return None
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
        # The intervals of the evaluators are independent: their data are others.
        error = 1.96 * math.sqrt(sum((span / _SPAN) ** 2 for span in spans)) / len(values) if spans else 0.0
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


def _speeds(costs: Sequence[Sequence[Cost | None]]) -> tuple[list[float], str, bool]:
    """Per model its speed, what that is, and whether faster is higher; empty where results do not tell."""
    known = [[cost for cost in of_model if cost is not None] for of_model in costs]
    if not known or not known[0] or any(len(of_model) < len(costs[0]) for of_model in known):
        return [], "", True
    rates = [[cost.texts_per_second for cost in of_model] for of_model in known]
    rated = [[of_model[place] for of_model in rates] for place in range(len(rates[0]))]
    complete = [[rate for rate in of_place if rate] for of_place in rated]
    complete = [of_place for of_place in complete if len(of_place) == len(known)]
    if complete:
        means = [
            math.exp(sum(math.log(of_place[number]) for of_place in complete) / len(complete))
            for number in range(len(known))
        ]
        return means, "texts a second" + (" (geometric mean)" if len(complete) > 1 else ""), True
    totals = [max(0.01, sum(cost.seconds for cost in of_model)) for of_model in known]
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
