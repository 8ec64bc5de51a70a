"""Results of evaluators in files: `<evaluator>.json`, and beside it `<evaluator>.scores` and `<evaluator>.items`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.components import EvaluationResult, Evaluator, Scores
from rexplug.components.evaluator import DETAIL
from rexplug.errors import DataError, PluginError, brief
from rexplug.evaluation.item_files import items_path, write_items
from rexplug.evaluation.stored_sections import stored_section
from rexplug.io.atomic import remove, write_json, write_text
from rexplug.plugins.calls import evaluator_label, owner
from rexplug.run_directory import read_json

_MOST_BITS = 1024
"""Bits of the largest whole number that is stored: no float can hold larger ones."""


def result_path(folder: Path, label: str) -> Path:
    """The file with an evaluator's result."""
    return folder / f"{label}.json"


def scores_path(folder: Path, label: str) -> Path:
    """The file with an evaluator's scores of single items."""
    return folder / f"{label}.scores"


def valid_results(folder: Path, keys: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The contents of the stored results whose key is still the same, by the evaluator's label.

    Args:
        folder: the results of a model.
        keys: label -> key (`rexplug.evaluation.identity.result_key`).
    """
    paths = {label: result_path(folder, label) for label in keys}
    contents = {label: read_json(path) for label, path in paths.items() if path.exists()}
    return {
        label: content
        for label, content in contents.items()
        if content.get("key") == keys[label] and (not content.get("items") or items_path(folder, label).exists())
    }


def write_result(
    folder: Path, evaluator: Evaluator, conditions: Mapping[str, Any], result: EvaluationResult | None
) -> dict[str, Any]:
    """Write a result with its scores and items; returns the content of the result's file.

    Args:
        folder: the results of the model.
        evaluator: the evaluator that returned the result.
        conditions: how the result was computed, with its `key`; stored with it.
        result: the result; None if the evaluator does not apply to the model.

    Raises:
        PluginError: the result contains something that JSON cannot store.
    """
    label, key = evaluator_label(evaluator), conditions["key"]
    content = dict(conditions)
    if result is not None:
        content |= _as_json(
            {
                "main": result.main,
                "headlines": list(result.headlines),
                "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
                "tables": {title: [dict(row) for row in rows] for title, rows in result.tables.items()},
                "examples": [dict(example) for example in result.examples],
                "notes": list(result.notes),
                **({"lower_is_better": list(result.lower_is_better)} if result.lower_is_better else {}),
                **({"sections": [stored_section(of, evaluator) for of in result.sections]} if result.sections else {}),
            },
            evaluator,
        )
    # Scores and items are long, hence compact and in files of their own; these are written first, so that a result is never
    # without them.
    scores, items = (result.scores, result.items) if result is not None else ({}, ())
    scores_content = {
        name: {field: _as_json(value, evaluator) for field, value in asdict(of_metric).items() if value is not None}
        for name, of_metric in scores.items()
    }
    write_text(scores_path(folder, label), json.dumps({"key": key, "scores": scores_content}))
    content["items"] = write_items(folder, label, key, items) if items else 0
    if not items:
        remove(items_path(folder, label))
    write_json(result_path(folder, label), content)
    return content


def read_result(path: Path) -> Any:
    """The content of a result's file. Metrics of masked recovery get their tags where they were stored without any.

    Raises:
        DataError: the file is damaged.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("evaluator") != "masked_recovery":
        return content
    metrics = content.get("metrics")
    for name, metric in metrics.items() if isinstance(metrics, dict) else ():
        part = name.rpartition(".")[2]
        if isinstance(metric, dict) and "tags" not in metric and part in ("words", "salient", "plain"):
            metric["tags"] = [DETAIL, part]
    return content


def read_scores(folder: Path, label: str) -> dict[str, Scores]:
    """The scores of single items by metric; empty if the evaluator stored none.

    Raises:
        DataError: the file is damaged.
    """
    path = scores_path(folder, label)
    if not path.exists():
        return {}
    try:
        return {name: Scores.from_json(fields) for name, fields in read_json(path)["scores"].items()}
    except (AttributeError, KeyError, TypeError):
        raise DataError(f"{path} holds no scores; remove it and evaluate again") from None


def _as_json(value: Any, evaluator: Evaluator) -> Any:
    """A value as JSON stores it; numpy's numbers and arrays, which evaluators compute with, become numbers and lists.

    JSON has no numbers that are not finite: those of tables become texts such as `nan`.

    Raises:
        PluginError: JSON cannot store the value.
    """
    try:
        return _plain(value)
    except _NotPlain as error:
        problem = str(error)
    except RecursionError:
        problem = "a mapping or list that contains itself; expected texts, numbers, lists and mappings"
    raise PluginError(f"{owner(evaluator)}{evaluator.name}.evaluate() returned a result that holds {problem}")


class _NotPlain(Exception):
    """JSON cannot store a value; the text says which and what would be right."""


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise _NotPlain(f"{brief(value)}, which has a lone surrogate and is not valid Unicode")
        return str(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() <= _MOST_BITS:
        return value
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise _NotPlain(f"{brief(value)}; expected texts, numbers, lists and mappings")
