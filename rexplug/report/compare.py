"""Results of several models side by side, and whether their differences are significant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from rexplug.components import Metric, Scores
from rexplug.errors import DataError
from rexplug.evaluation.statistics import ALPHA, Difference, bootstrap_metric, holm_correction, paired_test
from rexplug.report.costs import Cost, budget_notes, cost_notes, cost_of, mean_cost
from rexplug.report.results import ModelResults, headlines, is_detail

_SEED = 17


@dataclass(frozen=True)
class Cell:
    """A metric of one model, or the reason why it has none, and its difference to the reference model."""

    metric: Metric | None
    """The metric; None if the model has none."""
    reason: str = ""
    """Why it has none."""
    difference: Difference | None = None
    """Its difference to the reference: `value`, `low` and `high` (95 % interval), `p_holm` (corrected p-value), `num_items`,
    `training_runs` and `verdict` (`real`, `may be chance`, or `differs on these items; seeds were not varied`, which is what a
    single training run of a model can show); None if it was not tested."""

    @property
    def sign(self) -> str:
        """The sign of the difference (`Difference.sign`); empty if it was not tested."""
        return "" if self.difference is None else self.difference.sign


@dataclass(frozen=True)
class Row:
    """A metric of an evaluator for all models; they are compared with `reference`, the first model that has the metric."""

    evaluator: str
    metric: str
    main: bool
    cells: Sequence[Cell]
    reference: str
    lower_is_better: bool = False
    tags: Sequence[str] = ()

    def best(self) -> int | None:
        """The index of the model that is best by the tests, or None: the model with the best value, if it is really better than
        the reference, or if it is the reference and really better than all others."""
        sign = -1 if self.lower_is_better else 1
        values = {place: sign * cell.metric.value for place, cell in enumerate(self.cells) if cell.metric is not None}
        tested = {place: cell.difference for place, cell in enumerate(self.cells) if cell.difference is not None}
        if len(values) < 2:
            return None
        best = max(values, key=values.__getitem__)
        if best in tested:
            return best if tested[best].real else None
        others = [place for place in values if place != best]
        return best if all(place in tested and tested[place].real for place in others) else None


@dataclass(frozen=True)
class Comparison:
    """Results of several models, metric by metric."""

    models: Sequence[str]
    """The labels of the models; the first one is the reference."""
    rows: Sequence[Row]
    """One per metric: `evaluator`, `metric`, `main` (whether summaries show it), `cells` (a `Cell` per model, in the order of
    `models`), `reference` (the first model that has the metric), `lower_is_better` and `tags` (of the metric)."""
    notes: Sequence[str] = field(default=())
    """Which differences were not tested, and why; where and how models were measured."""
    costs: Mapping[str, Sequence[Cost | None]] = field(default_factory=dict)
    """Evaluator -> what it took on each model, in the order of `models`: `seconds`, `texts_per_second`, `device`, `precision`,
    `budget` and `stored`; None where it has no metrics."""
    results: Sequence[ModelResults] = field(default=(), repr=False)
    """What was compared, in the order of `models`."""

    @property
    def varied(self) -> str | None:
        """The option that all labels give a value of (`masking`, of `masking=random`); None for other labels."""
        options = {label.partition("=")[0] for label in self.models}
        one_option = len(self.models) > 1 and len(options) == 1 and all(label.count("=") == 1 for label in self.models)
        return options.pop() if one_option else None

    @property
    def heads(self) -> list[list[str]]:
        """Heads of a table's columns: the labels without the option `varied`, in parts between which a line may be broken."""
        labels = [label.partition("=")[2] if self.varied else label for label in self.models]
        return [re.split(r"(?<=\.)(?=[a-z])", label) for label in labels]

    @property
    def any_real(self) -> bool:
        """Whether a difference is called real."""
        return any(d.real for d in self._differences())

    @property
    def any_not_varied(self) -> bool:
        """Whether a difference would be called real if seeds had been varied."""
        return any(d.differs and not d.real for d in self._differences())

    def _differences(self) -> list[Difference]:
        return [cell.difference for row in self.rows for cell in row.cells if cell.difference is not None]

    @property
    def num_tests(self) -> int:
        """Number of differences that were tested, for Holm's correction."""
        return len(self._differences())

    def findings(self) -> list[str]:
        """A sentence per main metric and model: which differences are real, which hold for these items alone, and which may
        be chance."""
        sentences = []
        for row in self.rows:
            for label, cell in zip(self.models, row.cells, strict=True):
                if not row.main or cell.difference is None:
                    continue
                d = cell.difference
                interval = f"{d.value:+.3f} (95 %: {d.low:+.3f} to {d.high:+.3f}, p {d.shown_p} after Holm)"
                if d.real:
                    word = "above" if d.value > 0 else "below"
                    sentences.append(f"{row.evaluator} {row.metric}: {label} is {word} {row.reference} by {interval}.")
                else:
                    sentences.append(
                        f"{row.evaluator} {row.metric}: {label} against {row.reference} {interval}: {d.verdict}."
                    )
        return sentences

    def to_json(self) -> dict[str, Any]:
        """The comparison as a JSON object."""
        return {
            "models": list(self.models), "alpha": ALPHA, "tests": self.num_tests,
            "rows": [
                {
                    "evaluator": row.evaluator, "metric": row.metric, "main": row.main, "tags": list(row.tags),
                    "compared_with": row.reference,
                    "cells": [
                        {
                            "model": label, "metric": asdict(cell.metric) if cell.metric else None,
                            "reason": cell.reason or None,
                            "difference": _difference_to_json(cell.difference),
                        }
                        for label, cell in zip(self.models, row.cells, strict=True)
                    ],
                }
                for row in self.rows
            ],
            "costs": {
                name: [cost.to_json() if cost is not None else None for cost in of_models]
                for name, of_models in self.costs.items()
            },
            "findings": self.findings(), "notes": list(self.notes),
        }  # fmt: skip


def _difference_to_json(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    return {**asdict(difference), "real": difference.real, "verdict": difference.verdict}


def pooled(label: str, runs: Sequence[ModelResults]) -> ModelResults:
    """Join runs that differ in their seed into one model: scores of all runs, and metrics computed from them.

    Raises:
        DataError: they were measured on different items.
    """
    if len(runs) == 1:
        return replace(runs[0], label=label)
    results: dict[str, Mapping[str, Any]] = {}
    scores: dict[str, dict[str, Scores]] = {}
    for name, first in runs[0].results.items():
        of_runs = [run.results[name] for run in runs if "metrics" in run.results.get(name, {})]
        if len(of_runs) < len(runs):
            if not of_runs:
                results[name] = first
            continue  # what was not measured on all runs says nothing about the others
        scores[name] = {
            key: _joined([run.scores[name][key] for run in runs], f"{label}: {name} {key}")
            for key in runs[0].scores.get(name, {})
            if all(key in run.scores.get(name, {}) for run in runs)
        }
        metrics = {}
        for key in first["metrics"]:
            values = [result["metrics"][key]["value"] for result in of_runs if key in result["metrics"]]
            if key in scores[name]:
                metrics[key] = asdict(bootstrap_metric(scores[name][key], _SEED))
            else:
                metrics[key] = asdict(Metric(float(np.mean(values)), num_items=first["metrics"][key]["num_items"]))
            metrics[key] |= {"spread": float(np.std(values, ddof=1)), "num_seeds": len(values)}
            metrics[key]["tags"] = first["metrics"][key].get("tags", ())
        results[name] = {**first, "metrics": metrics, **mean_cost(of_runs)}
    return ModelResults(label, results, scores, len(runs), folder=runs[0].folder)


def compare_models(models: Sequence[ModelResults], *, every_metric: bool = False) -> Comparison:
    """Compare each model with the first one that has the metric, on the items that both have; p-values are Holm's.

    Args:
        models: with distinct labels.
        every_metric: all metrics, not only the main ones, those beside them and those with the tag `detail`.

    Raises:
        DataError: there is nothing to compare.
    """
    labels = [model.label for model in models]
    if len(set(labels)) < len(labels):
        raise DataError(f"two models are called '{_repeated(labels)}'; put LABEL= before one of them")
    names = list(dict.fromkeys(name for model in models for name in model.results))
    if not names:
        raise DataError("there are no results to compare")
    rows: list[Row] = []
    costs = {name: [cost_of(model, name) for model in models] for name in names}
    notes: list[str] = [
        *_number_formats(models),
        *budget_notes(models, costs),
        *(note for model in models for note in model.notes),
    ]
    for name in names:
        mains = [key for model in models for key in headlines(model.results.get(name, {}))]
        metrics = [model.results.get(name, {}).get("metrics", {}) for model in models]
        keys = list(dict.fromkeys(key for of_model in metrics for key in of_model))
        if not every_metric:
            parts = {part for model in models for key in mains for part in _parts(model.scores.get(name, {}).get(key))}
            details = {key for of_model in metrics for key, value in of_model.items() if is_detail(value)}
            keys = [key for key in keys if key in mains or key in parts or key in details]
        for key in keys:
            reference = next(model for model in models if key in model.results.get(name, {}).get("metrics", {}))
            cells = [_cell(model, reference, name, key, notes) for model in models]
            result = reference.results[name]
            lower_is_better = key in result.get("lower_is_better", ())
            tags = tuple(result["metrics"][key].get("tags", ()))
            rows.append(Row(name, key, key in mains, cells, reference.label, lower_is_better, tags))
        if not keys:
            cells = [_cell(model, models[0], name, "", notes) for model in models]
            rows.append(Row(name, "", True, cells, labels[0]))
    tested = [cell.difference for row in rows for cell in row.cells if cell.difference is not None]
    corrected = iter(holm_correction(tested))
    rows = [
        replace(
            row,
            cells=[
                replace(cell, difference=next(corrected)) if cell.difference is not None else cell for cell in row.cells
            ],
        )
        for row in rows
    ]
    notes += [*_taken_as_they_are(models, rows), *cost_notes(models, costs)]
    return Comparison(labels, rows, list(dict.fromkeys(notes)), costs, models)


def _number_formats(models: Sequence[ModelResults]) -> list[str]:
    """A note on the models that were evaluated in bf16 or int8, if there are any."""
    labels: dict[str, list[str]] = {}
    for model in models:
        formats = {str(result.get("precision")) for result in model.results.values()} & {"bf16", "int8"}
        for name in formats:
            labels.setdefault(name, []).append(model.label)
    if not labels:
        return []
    others = " The others are in fp32." if sum(map(len, labels.values())) < len(models) else ""
    named = "; ".join(f"in {name}: {', '.join(labels[name])}" for name in sorted(labels))
    return [f"Evaluated with matrix products {named}.{others}"]


def _taken_as_they_are(models: Sequence[ModelResults], rows: Sequence[Row]) -> list[str]:
    """A note on models that were not trained here, if a difference with one of them is called real."""
    fixed = {model.label for model in models if not model.trained_here}
    named: set[str] = set()
    for row in rows:
        for model, cell in zip(models, row.cells, strict=True):
            if cell.difference is not None and cell.difference.real:
                named |= {model.label, row.reference} & fixed
    if not named:
        return []
    labels = ", ".join(model.label for model in models if model.label in named)
    return [
        f"Not trained here and taken as they are, without seeds to vary: {labels}. What is said about them is about these models, "
        "not about how they were trained."
    ]


def _parts(scores: Scores | None) -> Sequence[str]:
    """The names of the parts of which a metric is the mean; metrics of these names are shown with it."""
    return () if scores is None or scores.parts is None else tuple(scores.parts)


def _cell(model: ModelResults, reference: ModelResults, name: str, key: str, notes: list[str]) -> Cell:
    result = model.results.get(name)
    if result is None:
        return Cell(None, "not measured")
    if "metrics" not in result:
        return Cell(None, str(result.get("not_applicable", "")))
    if key not in result["metrics"]:
        return Cell(None)
    cell = Cell(Metric(**result["metrics"][key]))
    if model is reference:
        return cell
    scores, reference_scores = (measured.scores.get(name, {}).get(key) for measured in (model, reference))
    if scores is None or reference_scores is None:
        notes.append(f"{name} {key} has no scores of single items, so that differences in it were not tested.")
        return cell
    reference_result = reference.results[name]
    same_budget = reference_result.get("budget") == result.get("budget")
    if same_budget and reference_result.get("options") != result.get("options"):
        notes.append(
            f"{name} ran with other options on {model.label} than on {reference.label}; compared on common items."
        )
    if reference_result.get("computed_by") != result.get("computed_by"):
        notes.append(
            f"{name} was computed by other code, or with other versions of libraries, on {model.label} than on "
            f"{reference.label}; evaluate both again."
        )
    try:
        trained = [measured.training_runs for measured in (model, reference) if measured.trained_here]
        training_runs = min(trained, default=None)
        return replace(cell, difference=paired_test(scores, reference_scores, _SEED, training_runs=training_runs))
    except (DataError, ValueError) as error:
        notes.append(f"{name} {key}, {model.label}: {error}.")
        return cell


def _joined(scores: Sequence[Scores], what: str) -> Scores:
    """The scores of several training runs as those of one model."""
    first = scores[0]
    if first.parts is not None:
        if any(of_run.parts is None or list(of_run.parts) != list(first.parts) for of_run in scores):
            raise DataError(f"{what}: the runs were measured on different tasks and cannot be pooled")
        parts = {
            name: _joined([of_run.parts[name] for of_run in scores if of_run.parts is not None], what)
            for name in first.parts
        }
        return replace(first, parts=parts)
    if any(list(of_run.ids) != list(first.ids) for of_run in scores):
        raise DataError(f"{what}: the runs were measured on different items and cannot be pooled")
    weights = None
    if first.weights is not None:
        weights = [row for of_run in scores for row in of_run.weights or ()]
    values = [row for of_run in scores for row in of_run.values]
    numbers = [number for number, of_run in enumerate(scores) for _ in of_run.values]
    return replace(first, values=values, weights=weights, training_runs=numbers)


def _repeated(labels: Sequence[str]) -> str:
    return next(label for label in labels if labels.count(label) > 1)
