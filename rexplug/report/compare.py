"""Results of several models side by side, with what may be said of their differences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.components import Metric, Scores
from rexplug.errors import DataError
from rexplug.evaluation.statistics import ALPHA, Difference, compare, holm, metric
from rexplug.io.atomic import write_json, write_text
from rexplug.report.results import ModelResults

_SEED = 17


@dataclass(frozen=True)
class Cell:
    """A figure of one model: its metric, or why there is none; against the first model, the difference."""

    metric: Metric | None
    reason: str = ""
    difference: Difference | None = None


@dataclass(frozen=True)
class Row:
    """A metric of an evaluator over all models; `reference` is the first of them that has it, the others' yardstick."""

    evaluator: str
    metric: str
    main: bool
    cells: Sequence[Cell]
    reference: str


@dataclass(frozen=True)
class Comparison:
    """Models and rows; each model is compared with the first one that has the metric."""

    models: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str] = field(default=())

    @property
    def varied(self) -> str | None:
        """What all labels give a value of (`masking`, of `masking=random`); None if they are not of that kind."""
        keys = {label.partition("=")[0] for label in self.models}
        alike = len(self.models) > 1 and len(keys) == 1 and all(label.count("=") == 1 for label in self.models)
        return keys.pop() if alike else None

    @property
    def heads(self) -> list[list[str]]:
        """The labels as they head a table, without what `varied` says of all of them; in parts between which a line may end."""
        labels = [label.partition("=")[2] if self.varied else label for label in self.models]
        return [re.split(r"(?<=\.)(?=[a-z])", label) for label in labels]

    @property
    def num_tests(self) -> int:
        """Differences that were tested, which Holm's correction counts."""
        return sum(cell.difference is not None for row in self.rows for cell in row.cells)

    def findings(self) -> list[str]:
        """A sentence per main metric and model: which differences are real, and which may be chance."""
        found = []
        for row in self.rows:
            for label, cell in zip(self.models, row.cells, strict=True):
                if not row.main or cell.difference is None:
                    continue
                d = cell.difference
                interval = f"{d.value:+.3f} (95 %: {d.low:+.3f} to {d.high:+.3f}, p {d.shown_p} after Holm)"
                if d.real:
                    word = "above" if d.value > 0 else "below"
                    found.append(f"{row.evaluator} {row.metric}: {label} is {word} {row.reference} by {interval}.")
                else:
                    found.append(
                        f"{row.evaluator} {row.metric}: {label} against {row.reference} {interval}: may be chance."
                    )
        return found

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "models": list(self.models), "alpha": ALPHA, "tests": self.num_tests,
            "rows": [
                {
                    "evaluator": row.evaluator, "metric": row.metric, "main": row.main, "compared_with": row.reference,
                    "cells": [
                        {
                            "model": label, "metric": asdict(cell.metric) if cell.metric else None,
                            "reason": cell.reason or None,
                            "difference": {**asdict(cell.difference), "real": cell.difference.real} if cell.difference else None,
                        }
                        for label, cell in zip(self.models, row.cells, strict=True)
                    ],
                }
                for row in self.rows
            ],
            "findings": self.findings(), "notes": list(self.notes),
        }  # fmt: skip


def pooled(label: str, runs: Sequence[ModelResults]) -> ModelResults:
    """Runs that differ in their seed as one model: the rows of their scores together, metrics made anew.

    Raises:
        DataError: they were measured on different items.
    """
    if len(runs) == 1:
        return ModelResults(label, runs[0].results, runs[0].scores)
    results: dict[str, Mapping[str, Any]] = {}
    scores: dict[str, dict[str, Scores]] = {}
    for name, first in runs[0].results.items():
        each = [run.results[name] for run in runs if "metrics" in run.results.get(name, {})]
        if len(each) < len(runs):
            results[name] = first
            continue
        scores[name] = {
            key: _joined([run.scores[name][key] for run in runs], f"{label}: {name} {key}")
            for key in runs[0].scores.get(name, {})
            if all(key in run.scores[name] for run in runs)
        }
        metrics = {}
        for key in first["metrics"]:
            values = [one["metrics"][key]["value"] for one in each if key in one["metrics"]]
            if key in scores[name]:
                metrics[key] = asdict(metric(scores[name][key], _SEED))
            else:
                metrics[key] = asdict(Metric(float(np.mean(values)), num_items=first["metrics"][key]["num_items"]))
            metrics[key] |= {"spread": float(np.std(values, ddof=1)), "num_seeds": len(values)}
        results[name] = {**first, "metrics": metrics}
    return ModelResults(label, results, scores)


def compare_models(models: Sequence[ModelResults], *, every_metric: bool = False) -> Comparison:
    """Each model against the first, metric by metric, on the items that both have; p-values are Holm's.

    Raises:
        DataError: there is nothing to compare.
    """
    labels = [model.label for model in models]
    if len(set(labels)) < len(labels):
        raise DataError(f"two models are called '{_twice(labels)}'; put LABEL= before one of them")
    names = list(dict.fromkeys(name for model in models for name in model.results))
    if not names:
        raise DataError("there are no results to compare")
    found: list[tuple[str, str, bool, list[tuple[Metric | None, str, Difference | None]], str]] = []
    notes: list[str] = []
    for name in names:
        mains = [model.results[name]["main"] for model in models if "main" in model.results.get(name, {})]
        keys = list(dict.fromkeys(k for m in models for k in m.results.get(name, {}).get("metrics", {})))
        if not every_metric:
            keys = [key for key in keys if key in mains or key.endswith((".words", ".salient", ".plain"))]
        for key in keys:
            first = next(model for model in models if key in model.results.get(name, {}).get("metrics", {}))
            cells = [_cell(model, first, name, key, notes) for model in models]
            found.append((name, key, key in mains, cells, first.label))
        if not keys:
            found.append((name, "", True, [_cell(model, models[0], name, "", notes) for model in models], labels[0]))
    tested = [cell[2] for row in found for cell in row[3] if cell[2] is not None]
    corrected = iter(holm(tested))
    rows = [
        Row(
            name,
            key,
            main,
            [Cell(m, why, next(corrected) if d is not None else None) for m, why, d in cells],
            reference,
        )
        for name, key, main, cells, reference in found
    ]
    return Comparison(labels, rows, list(dict.fromkeys(notes)))


def write_comparison(
    comparison: Comparison, *, html: Path | None = None, json: Path | None = None, title: str = ""
) -> None:
    """Write the page and the file for machines."""
    if json is not None:
        write_json(json, comparison.to_json())
    if html is not None:
        from rexplug.report.page import template

        page = template("compare.html.j2").render(
            comparison=comparison, title=title or " and ".join(comparison.models), alpha=ALPHA
        )
        write_text(html, page)


def _cell(
    model: ModelResults, first: ModelResults, name: str, key: str, notes: list[str]
) -> tuple[Metric | None, str, Difference | None]:
    result = model.results.get(name)
    if result is None:
        return None, "not measured", None
    if "metrics" not in result:
        return None, str(result.get("not_applicable", "")), None
    if key not in result["metrics"]:
        return None, "", None
    figure = Metric(**result["metrics"][key])
    other = first.results.get(name, {})
    if model is first:
        return figure, "", None
    one, two = model.scores.get(name, {}).get(key), first.scores.get(name, {}).get(key)
    if one is None or two is None:
        notes.append(f"{name} {key} has no scores of single items, so that differences in it were not tested.")
        return figure, "", None
    if other.get("options") != result.get("options"):
        notes.append(f"{name} ran with other options on {model.label} than on {first.label}; compared on common items.")
    try:
        return figure, "", compare(one, two, _SEED)
    except DataError as error:
        notes.append(f"{name} {key}, {model.label}: {error}.")
        return figure, "", None


def _joined(scores: Sequence[Scores], what: str) -> Scores:
    first = scores[0]
    if any(list(each.ids) != list(first.ids) for each in scores):
        raise DataError(f"{what}: the runs were measured on different items and cannot be pooled")
    weights = None
    if first.weights is not None:
        weights = [row for each in scores for row in each.weights or ()]
    return Scores(first.ids, [row for each in scores for row in each.values], weights, first.targets, first.groups)


def _twice(labels: Sequence[str]) -> str:
    return next(label for label in labels if labels.count(label) > 1)
