"""Runs that differ in their seed, as one model of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from rexplug.errors import DataError
from rexplug.report.compare import pooled
from rexplug.report.results import ModelResults, find_each, split_argument

_SEEDS = "seed-*"
"""Names of the runs of an ablation's variant."""
_OF_A_RUN = ("name", "training_seed")
"""Keys of a recipe in which runs of one method may differ."""


@dataclass(frozen=True)
class _Named:
    """Results and the argument that they were found by."""

    argument: str
    results: ModelResults


def find_models(arguments: Sequence[str]) -> list[ModelResults]:
    """The results that arguments name, `[LABEL=]PATH[@MOMENT]`, as models to compare.

    Runs that are given the same label, and the runs below the folder of an ablation's variant (`seed-17`, `seed-18`), are training
    runs of one model with other seeds: their scores are pooled.

    Raises:
        DataError: there are no results at a path, or results of one label are not runs that differ in their seed.
    """
    expanded = [(argument, _runs_of_variant(argument)) for argument in arguments]
    found = iter(find_each([place for argument, runs in expanded for place in (runs or [argument])]))
    groups: dict[object, tuple[str, list[_Named]]] = {}
    for number, (argument, runs) in enumerate(expanded):
        label, name, _ = split_argument(argument)
        if runs:
            named = [_Named(run, model) for run in runs for model in next(found)]
            shown = label or Path(name).resolve().name
            groups.setdefault(("label", shown) if label else number, (shown, []))[1].extend(named)
            continue
        for place, model in enumerate(next(found)):
            key = ("label", label) if label else (number, place)
            groups.setdefault(key, (model.label, []))[1].append(_Named(argument, model))
    return [_one_model(label, named) for label, named in groups.values()]


def _runs_of_variant(argument: str) -> list[str]:
    """The runs below the folder of an ablation's variant, each with the moment that is asked for; none for other folders."""
    _, name, moment = split_argument(argument)
    folder = Path(name)
    if not folder.is_dir() or (folder / "run.json").exists():
        return []
    runs = sorted(path for path in folder.glob(_SEEDS) if (path / "run.json").exists())
    return [f"{path}@{moment}" if moment else str(path) for path in runs]


def _one_model(label: str, named: Sequence[_Named]) -> ModelResults:
    if len(named) == 1:
        return replace(named[0].results, label=label)
    first = named[0]
    for other in named[1:]:
        for one in (first, other):
            if not one.results.trained_here:
                raise DataError(
                    f"'{label}' is given to {first.argument} and {other.argument}: only runs that differ in their seed can be "
                    f"pooled, and {one.argument} is not the result of a run; give it a label of its own"
                )
    for number, one in enumerate(named):
        for other in named[:number]:
            if _weights(one.results) & _weights(other.results):
                raise DataError(
                    f"'{label}' is given to {other.argument} and {one.argument}, which have the same weights; pool runs with "
                    "different seeds (training_seed)"
                )
    recipes = [_recipe(one.argument) for one in named]
    moments = [_moment(one) for one in named]
    if len({moment for moment in moments if moment is not None}) > 1:
        shown = ", ".join(f"{one.argument} after {moment}" for one, moment in zip(named, moments, strict=True))
        raise DataError(f"'{label}' is given to models of different moments: {shown}")
    notes = []
    for one, recipe in zip(named[1:], recipes[1:], strict=True):
        keys = [] if recipe is None or recipes[0] is None else _differing(recipes[0], recipe)
        if keys:
            notes.append(
                f"{label}: the recipes of {first.argument} and {one.argument} differ in more than the seed: {', '.join(keys)}."
            )
    return replace(pooled(label, [one.results for one in named]), notes=notes)


def _weights(results: ModelResults) -> set[str]:
    return {str(result["revision"]) for result in results.results.values() if result.get("revision")}


def _moment(named: _Named) -> str | None:
    """The moment that a run was measured at; None for results of `rexplug evaluate`."""
    if _run(named.argument) is None:
        return None
    return next((str(result["moment"]) for result in named.results.results.values() if "moment" in result), None)


def _run(argument: str) -> Path | None:
    folder = Path(split_argument(argument)[1])
    return folder if (folder / "run.json").exists() else None


def _recipe(argument: str) -> dict[str, Any] | None:
    """The values of a run's recipe by dotted key; None if it is not a run."""
    run = _run(argument)
    path = None if run is None else run / "recipe.yaml"
    if path is None or not path.exists():
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return dict(_flat(content)) if isinstance(content, Mapping) else None


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat += _flat(value, f"{name}.") if isinstance(value, Mapping) else [(name, value)]
    return flat


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    keys = dict.fromkeys([*one, *other])
    return [key for key in keys if key not in _OF_A_RUN and one.get(key) != other.get(key)]
