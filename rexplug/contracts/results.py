"""Checks of an evaluator's result beyond those of every run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from rexplug.components import EvaluatedItem, EvaluationResult, Evaluator, Metric, Scores
from rexplug.errors import DataError
from rexplug.evaluation.result_files import write_result
from rexplug.evaluation.statistics import value

_TOLERANCE = 1e-4
"""Largest difference that counts as rounding: metrics are shown with three decimals."""


def result_breaches(evaluator: Evaluator, result: EvaluationResult) -> Iterator[str]:
    """What is wrong with a result, a sentence each, without the evaluator's name.

    Raises:
        PluginError: the result holds something that JSON cannot store.
    """
    yield from _number_breaches(result)
    seen: set[str] = set()
    for item in result.items:
        yield from _item_breaches(item, seen)
    for title, rows in result.tables.items():
        for row in rows:
            if set(row) != set(rows[0]):
                yield f"the rows of the table '{title}' have different columns: {', '.join(rows[0])}; and {', '.join(row)}"
                break
    with tempfile.TemporaryDirectory() as folder:
        write_result(Path(folder), evaluator, {"key": ""}, result)


def _number_breaches(result: EvaluationResult) -> Iterator[str]:
    """Breaches of metrics and scores."""
    for name, metric in result.metrics.items():
        yield from _interval_breaches(name, metric, result.scores.get(name))
    for name, scores in result.scores.items():
        yield from _score_breaches(name, scores, result.metrics)
    main = result.metrics[result.main]
    if main.low is not None or main.num_items == 0:
        return
    if result.main in result.scores:
        yield (
            f"the main metric '{result.main}' has no confidence interval; rexplug.bootstrap_metric computes one from the scores of "
            "its items"
        )
    else:
        yield (
            f"the main metric '{result.main}' has neither a confidence interval nor scores of its items; without one of them it "
            "cannot be tested whether two models differ"
        )


def _interval_breaches(name: str, metric: Metric, scores: Scores | None) -> Iterator[str]:
    low, high = metric.low, metric.high
    if low is None and high is None:
        return
    if low is None or high is None:
        yield f"the confidence interval of the metric '{name}' has one end only; give `low` and `high`, or neither"
    elif low > high:
        yield f"the confidence interval of the metric '{name}' is {low:g} to {high:g}; the lower end is the first one"
    # Resamples of other measures than means are biased: the interval of a few items need not hold the value.
    elif (scores is None or scores.measured_by == "mean") and not low - _TOLERANCE <= metric.value <= high + _TOLERANCE:
        yield f"the metric '{name}' is {metric.value:g}, outside its confidence interval, {low:g} to {high:g}"


def _score_breaches(name: str, scores: Scores, metrics: Mapping[str, Metric]) -> Iterator[str]:
    if name not in metrics:
        yield f"there are scores of '{name}', which is not among its metrics: {', '.join(metrics)}"
        return
    if len(set(scores.ids)) < len(scores.ids):
        yield f"the scores of '{name}' have the same id twice; models are compared by the ids of items"
        return
    try:
        computed = value(scores)
    except (DataError, ValueError, IndexError, ZeroDivisionError) as error:
        yield f"the scores of '{name}' give no metric: {error}"
        return
    if abs(computed - metrics[name].value) > _TOLERANCE:
        yield f"the metric '{name}' is {metrics[name].value:g}, but the scores of its items give {computed:g}"


def _item_breaches(item: EvaluatedItem, seen: set[str]) -> Iterator[str]:
    if item.id in seen:
        yield f"two items have the id '{item.id}'; only the first is stored"
    seen.add(item.id)
    spans = [*(item.expected_spans or ()), *(item.predicted_spans or ())]
    for start, end in [*((first, last) for first, last, _ in spans), *((w.start, w.end) for w in item.words or ())]:
        if not 0 <= start < end <= len(item.text):
            yield f"the item '{item.id}' marks the characters {start} to {end} of a text of {len(item.text):,}"
            return
