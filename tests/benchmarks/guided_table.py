"""Turns the lines of gpu/guided.py into tables and a plot: each arm against random masks at 15 %, paired by seed and item."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from guided_ablation import ARMS, BASELINE, PRETRAINED
from guided_items import Packed
from numpy.typing import NDArray

from rexplug.components import Scores
from rexplug.errors import DataError
from rexplug.evaluation.annotated_values import AnnotatedText, Value
from rexplug.evaluation.masked_words import MaskedText
from rexplug.evaluation.recovery import Excerpt, word_scores
from rexplug.evaluation.statistics import Difference, holm_correction, paired_test, value
from rexplug.evaluation.value_recovery import MaskedValue, value_scores

GOLD, PLAIN = "titles.exact", "retail.plain"
"""The metrics of the plot: values that people annotated, and words of retail text that the scorer does not mark."""
COLUMNS = {
    "titles.exact": "values of titles, exact", "titles.tokens": "values of titles, tokens", "parts.exact": "values of parts, exact",
    "retail.salient": "retail, salient words", "retail.plain": "retail, plain words", "retail.words": "retail, words",
    "retail.acc@1": "retail, acc@1 published", "general.words": "general, words", "general.acc@1": "general, acc@1 published",
}  # fmt: skip
"""Metric -> its name in the table. Holm's correction is over these, for all arms of a size."""
ATTRIBUTES = 12
_SEED = 17
_COLOURS = {"nano": "#b5542b", "micro": "#2b6cb5"}


@dataclass(frozen=True)
class Run:
    """A trained model: its arm, seed and speed, and by set how many rows were predicted and what was right."""

    arm: str
    seed: int
    speed: float
    loss: float
    rows: Mapping[str, int]
    bits: Mapping[str, str]


def read_runs(files: Sequence[Path]) -> dict[str, list[Run]]:
    """Size -> the models in the files, the last line of each arm and seed.

    Raises:
        DataError: a file holds no result.
    """
    runs: dict[str, dict[tuple[str, int], Run]] = {}
    for file in files:
        for line in map(json.loads, file.read_text().splitlines()):
            if line.get("event") == "arm":
                run = Run(line["arm"], line["seed"], line["speed"], line["loss"], line["rows"], line["bits"])
                runs.setdefault(line["size"], {})[run.arm, run.seed] = run
    if not runs:
        raise DataError(f"{', '.join(map(str, files))}: no arm was finished")
    return {size: list(by_arm.values()) for size, by_arm in runs.items()}


def scores_of(packed: Packed, name: str, right: NDArray[np.bool_], num_rows: int) -> dict[str, Scores]:
    """The metrics of a set, as its evaluator computes them.

    Args:
        packed: the items.
        name: of the set.
        right: whether each masked token of the first rows is predicted, `[positions]`.
        num_rows: how many rows those are.
    """
    items, about = packed.items(name), packed.about["sets"][name]
    source = name.split(".")[0]
    rows = list(items.rows())[:num_rows]
    # Any other id counts as a wrong prediction.
    predictions = [
        np.where(hits, row.truth, row.truth + 1)
        for row, hits in zip(rows, np.split(right, np.cumsum(items.counts[:num_rows])[:-1]), strict=True)
    ]
    if about["kind"] == "words":
        excerpts = [
            Excerpt(document, "", [(0, 0)] * len(marks), [mark == "1" for mark in marks])
            for document, marks in zip(about["ids"][:num_rows], about["salient"][:num_rows], strict=True)
        ]
        restored = [row.restored(best, len(e.words)) for row, best, e in zip(rows, predictions, excerpts, strict=True)]
        return {f"{source}.{part}": scores for part, scores in word_scores(excerpts, restored).items()}
    if about["kind"] == "values":
        texts = {text: AnnotatedText(text) for text in about["texts"]}
        values = [
            MaskedValue(texts[text], Value(attribute, "", ()), row)
            for text, attribute, row in zip(
                about["texts"][:num_rows], about["attributes"][:num_rows], rows, strict=True
            )
        ]
        judged = [item.judge(best) for item, best in zip(values, predictions, strict=True)]
        return {f"{source}.{metric}": score for metric, score in value_scores(values, judged, ATTRIBUTES).items()}
    return {f"{source}.acc@1": _block_scores(rows, predictions)}


def _block_scores(rows: Sequence[MaskedText], predictions: Sequence[NDArray[np.int64]]) -> Scores:
    correct = [float((best == row.truth).sum()) for row, best in zip(rows, predictions, strict=True)]
    return Scores([str(n) for n in range(len(rows))], [correct], [[float(len(row.truth)) for row in rows]])


def scores_of_runs(packed: Packed, part: str, runs: Sequence[Run]) -> dict[str, dict[int, dict[str, Scores]]]:
    """Arm -> seed -> metric -> scores on a part."""
    scores: dict[str, dict[int, dict[str, Scores]]] = {}
    for run in runs:
        of_run = scores.setdefault(run.arm, {}).setdefault(run.seed, {})
        for name in packed.about["sets"]:
            if name.endswith(f".{part}"):
                bits = np.frombuffer(base64.b64decode(run.bits[name]), np.uint8)
                num_rows = run.rows[name]
                count = int(packed.items(name).counts[:num_rows].sum(dtype=np.int64))
                right = np.unpackbits(bits)[:count].astype(np.bool_)
                of_run |= scores_of(packed, name, right, num_rows)
    return scores


def together(scores: Mapping[int, Mapping[str, Scores]], metric: str, seeds: Sequence[int]) -> Scores:
    """The scores of a metric with a run for each seed."""
    of_seeds = [scores[seed][metric] for seed in seeds]
    weights = [score.weights[0] for score in of_seeds if score.weights is not None]
    return Scores(of_seeds[0].ids, [score.values[0] for score in of_seeds], weights)


def differences(
    scores: Mapping[str, Mapping[int, Mapping[str, Scores]]], metrics: Sequence[str], baseline: str = BASELINE
) -> dict[tuple[str, str], Difference]:
    """(arm, metric) -> the difference to the baseline over the seeds of both, corrected by Holm over all of them."""
    found: dict[tuple[str, str], Difference] = {}
    for arm, of_arm in scores.items():
        seeds = sorted(set(of_arm) & set(scores[baseline]))
        if arm != baseline and seeds:
            for metric in metrics:
                one, other = (together(scores[name], metric, seeds) for name in (arm, baseline))
                found[arm, metric] = paired_test(one, other, _SEED, training_runs=len(seeds))
    return dict(zip(found, holm_correction(list(found.values())), strict=True))


def print_tables(files: Sequence[Path], folder: Path, part: str, plot: Path | None) -> None:
    """Print a table in Markdown for each size, and draw the plot.

    Raises:
        DataError: there is no result, or none of the baseline.
    """
    packed = Packed.read(folder, lambda name: name.count(".") == 3)
    points: list[tuple[str, str, Difference, Difference]] = []
    for size, runs in read_runs(files).items():
        scores = scores_of_runs(packed, part, runs)
        if BASELINE not in scores:
            raise DataError(f"{size}: no result of the baseline, {BASELINE}")
        metrics = [metric for metric in COLUMNS if metric in scores[BASELINE][min(scores[BASELINE])]]
        corrected = differences(scores, metrics)
        order = [arm for arm in (PRETRAINED, *ARMS) if arm in scores]
        print(f"\n### {size}, {part}, seeds {', '.join(str(seed) for seed in sorted(scores[BASELINE]))}\n")
        print("| | " + " | ".join(order) + " |")
        print("| --- |" + " ---: |" * len(order))
        for metric in metrics:
            base = together(scores[BASELINE], metric, sorted(scores[BASELINE]))
            cells = [
                f"{100 * value(base):.1f}" if arm == BASELINE else _cell(corrected[arm, metric]) for arm in order
            ]  # fmt: skip
            print(f"| {COLUMNS[metric]} ({_count(base)}) | " + " | ".join(cells) + " |")
        for title, values in (
            ("seeds", {arm: str(len(scores[arm])) for arm in order}),
            ("tokens/s", {arm: f"{np.median([r.speed for r in runs if r.arm == arm]):,.0f}" for arm in order}),
            ("training loss", {arm: f"{np.mean([r.loss for r in runs if r.arm == arm]):.3f}" for arm in order}),
        ):
            print(f"| {title} | " + " | ".join(values[arm] for arm in order) + " |")
        print("\nBy seed, in points:", _by_seed(scores, order))
        _print_attributes(scores, order)
        points += [
            (size, arm, corrected[arm, PLAIN], corrected[arm, GOLD])
            for arm in order if arm not in (BASELINE, PRETRAINED)
        ]  # fmt: skip
    if plot is not None:
        plot.write_text(draw(points))


def _cell(difference: Difference) -> str:
    shown = f"{100 * difference.value:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
    return f"**{shown}**" if difference.real else shown


def _count(scores: Scores) -> str:
    return f"{sum(scores.weights[0]):,.0f}" if scores.weights else f"{len(scores.ids):,}"


def _by_seed(scores: Mapping[str, Mapping[int, Mapping[str, Scores]]], order: Sequence[str]) -> str:
    shown = []
    for arm in order:
        seeds = sorted(set(scores[arm]) & set(scores[BASELINE]))
        if arm in (BASELINE, PRETRAINED):
            continue
        by_metric = [
            "/".join(
                f"{100 * (value(scores[arm][s][metric]) - value(scores[BASELINE][s][metric])):+.1f}" for s in seeds
            )
            for metric in (GOLD, PLAIN)
        ]
        shown.append(f"{arm}: values {by_metric[0]}, plain {by_metric[1]}")
    return "; ".join(shown)


def _print_attributes(scores: Mapping[str, Mapping[int, Mapping[str, Scores]]], order: Sequence[str]) -> None:
    """Exact values of titles by attribute: the baseline, and the differences of the arms, all seeds of both together."""
    base = scores[BASELINE]
    metrics = [metric for metric in base[min(base)] if metric.startswith("titles.exact.")]
    arms = [arm for arm in order if arm not in (BASELINE, PRETRAINED)]
    print("\n| titles, exact by attribute | " + " | ".join([BASELINE, *arms]) + " |")
    print("| --- |" + " ---: |" * (len(arms) + 1))
    for metric in metrics:
        total = together(base, metric, sorted(base))
        cells = [f"{100 * value(total):.1f}"]
        for arm in arms:
            seeds = sorted(set(scores[arm]) & set(base))
            change = value(together(scores[arm], metric, seeds)) - value(together(base, metric, seeds))
            cells.append(f"{100 * change:+.1f}")
        print(f"| {metric.removeprefix('titles.exact.')} ({_count(total)}) | " + " | ".join(cells) + " |")


def draw(points: Sequence[tuple[str, str, Difference, Difference]]) -> str:
    """An SVG plot: the gain on annotated values against the change on plain words, in points, with 95 % intervals.

    Args:
        points: size, arm, difference on plain words and on values.
    """
    width, height, left, top = 720, 460, 70, 30
    xs = [100 * end for _, _, x, _ in points for end in (x.low, x.high)] + [-0.5, 0.5]
    ys = [100 * end for _, _, _, y in points for end in (y.low, y.high)] + [-0.5, 2.5]
    low_x, high_x, low_y, high_y = min(xs) - 0.2, max(xs) + 0.8, min(ys) - 0.2, max(ys) + 0.2

    def across(x: float) -> float:
        return left + (x - low_x) / (high_x - low_x) * (width - left - 20)

    def down(y: float) -> float:
        return top + (high_y - y) / (high_y - low_y) * (height - top - 50)

    def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dash: str = "") -> str:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"{dashes}/>'

    def text(x: float, y: float, content: str, anchor: str = "start", colour: str = "#333") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{content}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        # The aim: two points of values at no more than 0.3 on plain words.
        f'<rect x="{across(-0.3):.1f}" y="{top}" width="{across(high_x) - across(-0.3):.1f}" '
        f'height="{max(0.0, down(2) - top):.1f}" fill="#e9f5e9"/>',
        line(across(0), top, across(0), height - 50, "#999"), line(left, down(0), width - 20, down(0), "#999"),
    ]  # fmt: skip
    for x in np.arange(np.ceil(low_x), high_x):
        parts.append(text(across(x), height - 32, f"{x:+.0f}" if x else "0", "middle"))
    for y in np.arange(np.ceil(low_y), high_y):
        parts += [
            line(left - 4, down(y), left, down(y), "#999"),
            text(left - 8, down(y) + 4, f"{y:+.0f}" if y else "0", "end"),
        ]
    for size, arm, x, y in points:
        colour = _COLOURS.get(size, "#555")
        at_x, at_y = across(100 * x.value), down(100 * y.value)
        parts += [
            line(across(100 * x.low), at_y, across(100 * x.high), at_y, colour, 1, "2 2"),
            line(at_x, down(100 * y.low), at_x, down(100 * y.high), colour, 1, "2 2"),
            f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="4" fill="{colour}"/>',
            text(at_x + 7, at_y - 5, f"{size}: {arm}", colour=colour),
        ]
    parts += [
        text((left + width) / 2, height - 10, "plain words of retail text, difference to random masks at 15 % (points)", "middle"),
        f'<text transform="translate(18 {height / 2 - 10:.0f}) rotate(-90)" text-anchor="middle" fill="#333">'
        "annotated values, exact, difference (points)</text>",
        "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"
