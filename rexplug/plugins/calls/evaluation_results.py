"""Checks of what an evaluator returns: metrics, tables, scores of single items and the items themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from numbers import Integral
from typing import TYPE_CHECKING, Any, get_args

from rexplug.components import (
    EvaluatedItem,
    EvaluationResult,
    Evaluator,
    MaskedWord,
    Metric,
    RankedDocument,
    ReportSection,
    Scores,
)
from rexplug.components.evaluation_tasks import Measure
from rexplug.errors import PluginError, brief
from rexplug.plugins.calls.call import is_bool, is_finite, owner, unexpected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MEASURES = get_args(Measure)


def require_result(evaluator: Evaluator, result: object) -> EvaluationResult:
    """The result, after checking it.

    Raises:
        PluginError: it is not an `EvaluationResult`, a value has another type than it should or is not finite, the main metric is
            missing, or scores have other lengths than their ids.
    """
    if not isinstance(result, EvaluationResult):
        raise unexpected(evaluator, "evaluate", result, "an EvaluationResult")
    problem = next(_problems(result), None)
    if problem is not None:
        raise PluginError(f"{owner(evaluator)}{evaluator.name}: {problem}")
    return result


def _problems(result: EvaluationResult) -> Iterator[str]:
    yield from _metric_problems(result)
    yield from _table_problems(result)
    if not isinstance(result.scores, Mapping):
        yield f"the scores are {brief(result.scores)}; expected name of a metric -> Scores"
        return
    for name, scores in result.scores.items():
        if (problem := scores_problem(scores)) is not None:
            yield f"the scores of '{name}': {problem}"
    if not _is_sequence(result.items):
        yield f"the items are {brief(result.items)}; expected a sequence of EvaluatedItem"
        return
    for item in result.items:
        if not isinstance(item, EvaluatedItem):
            yield f"one of the items is {brief(item)}; expected an EvaluatedItem"
        elif not isinstance(item.id, str) or not isinstance(item.text, str):
            yield f"an item has the id {brief(item.id)} and the text {brief(item.text)}; expected texts"
        elif not is_finite(item.score):
            yield f"the score of the item '{item.id}' is {brief(item.score)}; expected a finite number"
        else:
            for field, value, expected in _item_problems(item):
                yield f"'{field}' of the item '{item.id}' is {brief(value)}; expected {expected}"


def _item_problems(item: EvaluatedItem) -> Iterator[tuple[str, object, str]]:
    """Field, value and what would be right, of each optional field of an item that is wrong."""
    if item.correct is not None and not is_bool(item.correct):
        yield "correct", item.correct, "True, False or None"
    for field in ("second", "part"):
        value = getattr(item, field)
        if value is not None and not isinstance(value, str):
            yield field, value, "a text"
    for field in ("expected", "predicted"):
        value = getattr(item, field)
        if value is not None and not (isinstance(value, str) or is_bool(value) or is_finite(value)):
            yield field, value, "a text or a finite number"
    for field, kind, is_right in (
        ("ranking", "RankedDocument with texts and numbers", _is_ranked),
        ("missed", "RankedDocument with texts and numbers", _is_ranked),
        ("words", "MaskedWord with places in the text and a text", _is_masked_word),
        ("expected_spans", "(first character, one past the last, label)", _is_span),
        ("predicted_spans", "(first character, one past the last, label)", _is_span),
    ):
        values = getattr(item, field)
        if values is not None and not (_is_sequence(values) and all(map(is_right, values))):
            yield field, values, f"a sequence of {kind}"


def _is_ranked(value: object) -> bool:
    return (
        isinstance(value, RankedDocument)
        and isinstance(value.id, str)
        and isinstance(value.text, str)
        and all(number is None or is_finite(number) for number in (value.grade, value.score, value.rank))
    )


def _is_masked_word(value: object) -> bool:
    return isinstance(value, MaskedWord) and _is_span((value.start, value.end, value.predicted))


def _is_span(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(place, Integral) for place in value[:2])
        and isinstance(value[2], str)
    )


def _metric_problems(result: EvaluationResult) -> Iterator[str]:
    metrics: Any = result.metrics
    if not isinstance(metrics, Mapping) or not all(isinstance(name, str) for name in metrics):
        yield f"the metrics are {brief(metrics)}; expected name -> Metric"
        return
    for name, metric in metrics.items():
        value = getattr(metric, "value", metric)
        if not isinstance(metric, Metric) or not is_finite(value):
            yield f"the metric '{name}' is {brief(value)}; expected a Metric with a finite value"
            continue
        for field in ("low", "high", "spread"):
            bound = getattr(metric, field)
            if bound is not None and not is_finite(bound):
                yield f"'{field}' of the metric '{name}' is {brief(bound)}; expected a finite number or None"
        for field in ("num_items", "num_seeds"):
            count = getattr(metric, field)
            if count is not None and (not isinstance(count, Integral) or count < 0):
                yield f"'{field}' of the metric '{name}' is {brief(count)}; expected a whole number or None"
    if not isinstance(result.main, str) or result.main not in metrics:
        yield f"the main metric '{result.main}' is not among {', '.join(metrics) or 'its metrics (none)'}"
    for field in ("headlines", "lower_is_better"):
        names = getattr(result, field)
        if not _is_sequence(names):
            yield f"'{field}' is {brief(names)}; expected a sequence of names of metrics"
            continue
        for name in names:
            if not isinstance(name, str) or name not in metrics:
                yield f"'{name}' of its {field} is not among its metrics: {', '.join(metrics)}"


def _table_problems(result: EvaluationResult) -> Iterator[str]:
    tables: Any = result.tables
    if not isinstance(tables, Mapping):
        yield f"the tables are {brief(tables)}; expected title -> rows"
    else:
        for title, rows in tables.items():
            if not _is_sequence(rows) or not all(isinstance(row, Mapping) for row in rows):
                yield f"the table '{title}' is {brief(rows)}; expected a sequence of rows, each column -> value"
    if not _is_sequence(result.examples) or not all(isinstance(example, Mapping) for example in result.examples):
        yield f"the examples are {brief(result.examples)}; expected a sequence of mappings"
    if not _is_sequence(result.notes) or not all(isinstance(note, str) for note in result.notes):
        yield f"the notes are {brief(result.notes)}; expected a sequence of texts"
    if not _is_sequence(result.sections):
        yield f"the sections are {brief(result.sections)}; expected a sequence of ReportSection"
        return
    for section in result.sections:
        if not isinstance(section, ReportSection):
            yield f"one of the sections is {brief(section)}; expected a ReportSection"


def scores_problem(scores: object) -> str | None:
    """What is wrong with the scores of items that a metric is computed from; None if nothing is."""
    if not isinstance(scores, Scores):
        return f"they are {brief(scores)}; expected Scores"
    if scores.measure is not None and scores.measure not in _MEASURES:
        return f"the measure is {brief(scores.measure)}; expected one of {', '.join(_MEASURES)}"
    if scores.parts is not None:
        if not isinstance(scores.parts, Mapping):
            return f"the parts are {brief(scores.parts)}; expected name -> Scores"
        problems = ((name, scores_problem(part)) for name, part in scores.parts.items())
        return next((f"part '{name}': {problem}" for name, problem in problems if problem is not None), None)
    for field in ("ids", "groups", "training_runs"):
        given = getattr(scores, field)
        optional = field != "ids" and given is None
        if not optional and (isinstance(given, str) or not isinstance(given, Sized)):
            return f"'{field}' is {brief(given)}; expected a sequence{'' if field == 'ids' else ' or None'}"
    values = _rows("values", scores.values, dimensions=2)
    if isinstance(values, str):
        return values
    num_seeds, num_items = values.shape
    lengths = {"ids": len(scores.ids), "groups": num_items if scores.groups is None else len(scores.groups)}
    if scores.targets is not None:
        targets = _rows("targets", scores.targets, dimensions=1)
        if isinstance(targets, str):
            return targets
        lengths["targets"] = len(targets)
    rows = {"training_runs": num_seeds if scores.training_runs is None else len(scores.training_runs)}
    if scores.weights is not None:
        weights = _rows("weights", scores.weights, dimensions=2)
        if isinstance(weights, str):
            return weights
        rows["rows of weights"], lengths["weights in a row"] = weights.shape
    for name, length in lengths.items():
        if length != num_items:
            return f"there are {num_items:,} values in a row, but {length:,} {name}"
    for name, length in rows.items():
        if length != num_seeds:
            return f"there are {num_seeds:,} rows of values, but {length:,} {name}"
    return None


def _rows(name: str, given: object, *, dimensions: int) -> NDArray[np.float64] | str:
    """Finite numbers as an array of so many dimensions, or what is wrong with them."""
    import numpy as np

    try:
        array = np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last one: a tensor of torch with gradients
        return f"'{name}' is {brief(given)}; expected numbers{', in rows of one length' if dimensions == 2 else ''}"
    if array.ndim != dimensions:
        expected = "rows of numbers, a row for each seed" if dimensions == 2 else "a number for each item"
        return f"'{name}' has the shape {list(array.shape)}; expected {expected}"
    return array if np.isfinite(array).all() else f"'{name}' holds a number that is not finite"


def _is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
