"""Plots as SVG, drawn by matplotlib, small enough to be part of the page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any

COLOURS = (
    "#2563eb",
    "#d97706",
    "#059669",
    "#9333ea",
    "#dc2626",
    "#0891b2",
    "#be185d",
    "#65a30d",
    "#78716c",
    "#1e3a8a",
)
WIDTH = 9.0
"""Inches of a figure of a comparison; a page shows it at 1.4 times its size."""
FONT = 8
"""Points of labels."""
GREY = "#6b7280"
"""The style sheet of the pages makes it lighter on dark pages."""
_POINTS = 400
"""Points of a curve, about."""
Steps = Sequence[Mapping[str, Any]]


def loss(steps: Steps) -> str:
    """Loss over all tokens, smoothed, and per source."""
    figure, axes = _figure("loss (nats per masked token)")
    sources = list(dict.fromkeys(name for step in steps for name in step["source_loss"]))
    for colour, source in zip(COLOURS, sources, strict=False):
        line = _smooth(steps, [step["source_loss"].get(source) for step in steps])
        axes.plot(*line, color=colour, linewidth=1, label=source)
    axes.plot(*_smooth(steps, [step["loss"] for step in steps]), color="#111827", linewidth=1.6, label="all")
    return _finish(figure, axes, steps)


def learning_rate(steps: Steps) -> str:
    """The learning rate of every step."""
    figure, axes = _figure("learning rate")
    axes.plot(*_thin([(s["total_tokens"], s["learning_rate"]) for s in steps]), color=COLOURS[0])
    axes.set_ylim(bottom=0)
    return _finish(figure, axes, steps, legend=False)


def mixture(steps: Steps) -> str:
    """Planned shares as thin steps, realised ones as thick lines: moving averages over tokens, phase by phase."""
    figure, axes = _figure("share of tokens")
    sources = list(dict.fromkeys(name for step in steps for name in step["planned"]))
    for colour, source in zip(COLOURS * 9, sources, strict=False):
        planned = [(s["total_tokens"], s["planned"].get(source, 0.0)) for s in steps]
        # The plan of a step holds from the step before up to it: steps-pre draws a jump as a jump.
        axes.plot(
            *_thin(planned), color=colour, linewidth=0.9, linestyle="--", drawstyle="steps-pre",
            label=f"{source}, planned",
        )  # fmt: skip
        axes.plot(*realised(steps, source), color=colour, linewidth=2.2, alpha=0.55, label=f"{source}, realised")
    axes.set_ylim(-0.03, 1.03)
    return _finish(figure, axes, steps)


def realised(steps: Steps, source: str) -> tuple[list[float], list[float]]:
    """The share of tokens that a source had, averaged around each step over a twenty-fifth of its phase, or twenty steps.

    Weighted by tokens; the window is cut where the phase begins and ends. Phases are separated by a gap (NaN).
    """
    xs: list[float] = []
    ys: list[float] = []
    for _, group in groupby(steps, key=lambda step: step["phase"]):
        phase = list(group)
        half = max(10, len(phase) // 50)
        tokens = [0.0, *accumulate(step["batch_tokens"] for step in phase)]
        own = [0.0, *accumulate(step["shares"].get(source, 0.0) * step["batch_tokens"] for step in phase)]
        every = max(1, len(phase) // _POINTS)
        for place in range(0, len(phase), every):
            first, last = max(0, place - half), min(len(phase), place + half + 1)
            xs.append(phase[place]["total_tokens"])
            ys.append((own[last] - own[first]) / (tokens[last] - tokens[first]))
        xs.append(math.nan)
        ys.append(math.nan)
    return xs, ys


def evaluation(moments: Sequence[str], metrics: Mapping[str, Sequence[Mapping[str, Any] | None]]) -> str:
    """One line per metric over the moments, with 95 % intervals; None where a metric was not measured."""
    figure, axes = _figure("score")
    for colour, (name, values) in zip(COLOURS * 3, metrics.items(), strict=False):
        measured = [(i, v) for i, v in enumerate(values) if v is not None]
        heights = [v["value"] for _, v in measured]
        low = [v["value"] - (v["low"] if v["low"] is not None else v["value"]) for _, v in measured]
        high = [(v["high"] if v["high"] is not None else v["value"]) - v["value"] for _, v in measured]
        bars = [[max(0.0, x) for x in low], [max(0.0, x) for x in high]]
        axes.errorbar(
            [i for i, _ in measured], heights, yerr=bars, color=colour, marker="o", markersize=4, capsize=3, label=name
        )
    axes.set_xticks(range(len(moments)), moments)
    axes.set_ylim(bottom=0)
    _legend(axes, columns=2)
    return svg(figure)


def relevance(curve: Sequence[Mapping[str, float | None]], threshold: float) -> str:
    """Precision, recall and F1 over the threshold."""
    figure, axes = _figure("score on the dev split")
    for colour, name in zip(COLOURS, ("precision", "recall", "f1"), strict=False):
        points = [(row["threshold"], row[name]) for row in curve if row[name] is not None]
        axes.plot([x for x, _ in points], [y for _, y in points], color=colour, linewidth=1.4, label=name)
    axes.axvline(threshold, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_xlabel("threshold")
    axes.set_ylim(-0.03, 1.03)
    _legend(axes)
    return svg(figure)


def new_figure(width: float, height: float) -> Any:
    """An empty figure; sizes in inches."""
    # matplotlib's Figure instead of pyplot: no display, no global state.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plain_axes(axes: Any) -> None:
    """Give axes a light grid and no frame above and to the right."""
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def cut_label(text: str, limit: int) -> str:
    """A text of at most `limit` characters with its middle left out; dollar signs are escaped, or they would begin a formula."""
    if len(text) > limit:
        half = (limit - 1) // 2
        text = f"{text[: limit - 1 - half]}…{text[-half:]}"
    return text.replace("$", r"\$")


def _figure(label: str) -> tuple[Any, Any]:
    figure = new_figure(7.2, 3.0)
    axes = figure.subplots()
    axes.set_ylabel(label)
    plain_axes(axes)
    return figure, axes


def _finish(figure: Any, axes: Any, steps: Steps, legend: bool = True) -> str:
    axes.set_xlabel("tokens, all phases")
    axes.xaxis.set_major_formatter(lambda value, _: _amount(value))
    for before, after in pairwise(steps):
        if before["phase"] != after["phase"]:
            axes.axvline(before["total_tokens"], color=GREY, linewidth=0.8, linestyle="--")
    _name_phases(axes, steps)
    if legend:
        _legend(axes)
    return svg(figure)


def _name_phases(axes: Any, steps: Steps) -> None:
    """Write each phase's name where it begins, above the curves; lower where the name before would reach into it."""
    starts: dict[str, float] = {}
    for step in steps:
        starts.setdefault(step["phase"], step["total_tokens"])
    left, right = axes.get_xlim()
    # Where each line ends so far. Letters are about 0.065 inches wide, the axes about 6.3.
    lines: list[float] = []
    placed = []
    for name, start in starts.items():
        width = (0.065 * len(name) + 0.1) / 6.3 * (right - left)
        # A name that would leave the plot ends at its right border.
        x = min(start, right - width)
        line = next((number for number, end in enumerate(lines) if end <= x), len(lines))
        lines[line:] = [x + width, *lines[line + 1 :]]
        placed.append((name, x, line))
    bottom, top = axes.get_ylim()
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top + (0.02 + 0.08 * len(lines)) * (top - bottom))
    for name, x, line in placed:
        axes.annotate(
            name, (x, axes.get_ylim()[1]), xytext=(4, -2 - 11 * line), textcoords="offset points", fontsize=FONT,
            color=GREY, va="top",
        )  # fmt: skip


def _legend(axes: Any, columns: int = 4) -> None:
    # Above the axes, where no curve runs.
    axes.legend(frameon=False, fontsize=FONT, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def svg(figure: Any) -> str:
    """A figure as the SVG element of a page, in which black is the colour of the text around it."""
    import matplotlib as mpl

    buffer = io.StringIO()
    # With a fixed salt and no date, the same run gives the same file.
    with mpl.rc_context({"svg.hashsalt": "rexplug", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace("#000000", "currentColor").replace("#111827", "currentColor")
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'role="img"', text, count=1)


def _thin(pairs: Sequence[tuple[float, float]], span: float = 0.0) -> tuple[list[float], list[float]]:
    """(x, y) pairs as two lists of a few hundred points, after an exponential mean over about `span` tokens.

    The mean is over tokens and not over points, or a source that occurs in fewer steps would lag behind the others.
    """
    xs: list[float] = []
    ys: list[float] = []
    total = weight = 0.0
    for x, y in pairs:
        keep = math.exp((xs[-1] - x) / span) if xs and span else 0.0
        total, weight = keep * total + y, keep * weight + 1
        xs.append(x)
        ys.append(total / weight)
    every = max(1, len(xs) // _POINTS)
    return xs[::every], ys[::every]


def _smooth(steps: Steps, values: Sequence[float | None]) -> tuple[list[float], list[float]]:
    """A value per step, smoothed within each phase; a gap (NaN) between phases, whose levels are not comparable."""
    span = steps[-1]["total_tokens"] / 50
    xs: list[float] = []
    ys: list[float] = []
    for _, group in groupby(zip(steps, values, strict=True), key=lambda pair: pair[0]["phase"]):
        phase_xs, phase_ys = _thin([(step["total_tokens"], value) for step, value in group if value is not None], span)
        xs += [*phase_xs, math.nan]
        ys += [*phase_ys, math.nan]
    return xs, ys


def _amount(value: float) -> str:
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"
