"""Ablations: variants of a recipe that share every stage they do not change, and a comparison of their results."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.errors import DataError, RecipeError
from rexplug.io.atomic import write_json
from rexplug.pipeline.manifest import Manifest
from rexplug.pipeline.preflight.inputs import check_inputs
from rexplug.pipeline.run import run_recipe
from rexplug.plugins.registry import Registry
from rexplug.progress import Progress
from rexplug.recipe import Recipe, load_recipe
from rexplug.recipe.strict_yaml import parse
from rexplug.run_directory import RunDirectory

if TYPE_CHECKING:
    from rexplug.report.compare import Comparison


@dataclass(frozen=True)
class Axis:
    """A key of the recipe and the values that it takes; `labels` are short, distinct names of the values."""

    key: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Parse `phases.anneal.masking=[a, b]`.

        Raises:
            RecipeError: it is not of that form, or has fewer than two values.
        """
        key, equals, written = text.partition("=")
        blame = f"--vary {text}"
        if not equals or not key or not written.strip():
            raise RecipeError(f"{blame}: write KEY=[VALUE, VALUE, ...], e.g. phases.anneal.masking.rate=[0.15, 0.3]")
        values = parse(written, blame).value
        if not isinstance(values, list) or len(values) < 2:
            raise RecipeError(f"{blame}: write a list of at least two values, e.g. {key}=[0.15, 0.3]")
        if any(values.count(value) > 1 for value in values):
            raise RecipeError(f"{blame}: a value is written twice")
        shown = [_short(value) for value in values]
        if len(set(shown)) < len(shown):
            shown = [_long(value) for value in values]
        return cls(key, tuple(values), tuple(f"{key.rpartition('.')[2]}={label}" for label in shown))


@dataclass(frozen=True)
class Variant:
    """One combination of values, as its label and as overrides."""

    label: str
    overrides: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The label as a folder name."""
        return re.sub(r"[^A-Za-z0-9._=-]+", "-", self.label).strip("-")[:80]


def variants_of(axes: Sequence[Axis]) -> list[Variant]:
    """Every combination of the axes' values, starting with their first ones; without axes, the recipe as it is.

    Raises:
        RecipeError: two axes vary the same key.
    """
    keys = [axis.key for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise RecipeError(f"--vary {key}: the key is varied twice; put all its values into one list")
    variants = []
    for places in product(*(range(len(axis.values)) for axis in axes)):
        chosen = list(zip(axes, places, strict=True))
        label = ", ".join(axis.labels[place] for axis, place in chosen)
        variants.append(
            Variant(label or "recipe", tuple(f"{axis.key}={json.dumps(axis.values[place])}" for axis, place in chosen))
        )
    folders = [variant.folder for variant in variants]
    return [
        variant if folders.count(variant.folder) == 1 else Variant(f"{variant.label} ({number + 1})", variant.overrides)
        for number, variant in enumerate(variants)
    ]


@dataclass(frozen=True)
class Ablation:
    """The runs of an ablation; `recipes` maps (variant's label, seed) to a recipe."""

    variants: Sequence[Variant]
    seeds: Sequence[int]
    recipes: Mapping[tuple[str, int], Recipe]

    @classmethod
    def plan(
        cls, recipe: Path, overrides: Sequence[str], axes: Sequence[Axis], seeds: int, registry: Registry
    ) -> Ablation:
        """Load the recipes of all variants before anything runs.

        All variants get the salience scorers of all, so that variants of the masking policy share their token stores and are
        evaluated on the same salient words.

        Raises:
            RecipeError: a variant's recipe has problems.
        """
        variants = variants_of(axes)
        plain = [load_recipe(recipe, [*overrides, *variant.overrides], registry) for variant in variants]
        scorers: dict[str, Any] = {}
        for loaded in plain:
            if loaded.evaluation_scorer is not None:
                scorers.setdefault(loaded.evaluation_scorer.channel, loaded.evaluation_scorer.dump())
        for loaded in plain:
            scorers |= {s.channel: s.dump() for s in loaded.scorers if s.channel not in scorers}
        shared = [f"salience={json.dumps(list(scorers.values()))}"] if scorers else []
        first = plain[0].seed_of_training
        numbers = [first + number for number in range(seeds)]
        recipes = {
            (variant.label, seed): load_recipe(
                recipe, [*overrides, *variant.overrides, *shared, f"training_seed={seed}"], registry
            )
            for variant in variants
            for seed in numbers
        }
        return cls(variants, numbers, recipes)

    def folder(self, root: Path, variant: Variant, seed: int) -> RunDirectory:
        """The run directory of a variant and seed."""
        return RunDirectory(root / variant.folder / f"seed-{seed}")


def run_ablation(
    ablation: Ablation,
    root: Path,
    progress: Progress,
    *,
    plugins: Mapping[str, str],
    command: str,
    every_metric: bool = False,
    share_with: Sequence[RunDirectory] = (),
) -> Comparison:
    """Run what is not done, compare the variants with the first one and write `ablation.json` and `ablation.html`.

    Stages are reused from the variants before, and from the runs in `share_with`.

    Raises:
        RexplugError: something that the user can correct.
        RunInterrupted: training was asked to stop; the same command continues.
    """
    from rexplug.report.compare import compare_models, pooled
    from rexplug.report.comparison_page import write_comparison
    from rexplug.report.results import find_results

    if not next(iter(ablation.recipes.values())).evaluators:
        raise DataError("the recipe has no evaluators, so variants cannot be compared; add some under 'evaluators'")
    for recipe in ablation.recipes.values():
        check_inputs(recipe)
    siblings = list(share_with)
    order = [(variant, seed) for seed in ablation.seeds for variant in ablation.variants]
    for number, (variant, seed) in enumerate(order, 1):
        run = ablation.folder(root, variant, seed)
        progress.note(f"variant {number} of {len(order)}: {variant.label}, seed {seed} ({run.root})")
        run_recipe(
            ablation.recipes[variant.label, seed], run.root, progress, plugins=plugins, command=command,
            until=f"evaluate.{ablation.recipes[variant.label, seed].phases[-1].name}", siblings=siblings,
        )  # fmt: skip
        siblings.append(run)
    models = [
        pooled(
            variant.label,
            [find_results(f"x={ablation.folder(root, variant, seed).root}")[0] for seed in ablation.seeds],
        )
        for variant in ablation.variants
    ]
    comparison = compare_models(models, every_metric=every_metric)
    write_comparison(comparison, html=root / "ablation.html", title="Ablation")
    spent, shared = _seconds(siblings[len(share_with) :])
    write_json(
        root / "ablation.json",
        {
            "command": command, "seeds": list(ablation.seeds),
            "variants": [{"label": v.label, "overrides": list(v.overrides), "folder": v.folder} for v in ablation.variants],
            "seconds": spent, "seconds_saved": shared, **comparison.to_json(),
        },
    )  # fmt: skip
    return comparison


def _seconds(runs: Sequence[RunDirectory]) -> tuple[float, float]:
    """Seconds of the stages that ran, and of those that were reused."""
    stages = [stage for run in runs for stage in Manifest.open(run).values["stages"].values()]
    shared = sum(stage.get("seconds", 0.0) for stage in stages if "taken_over_from" in stage)
    return round(sum(stage.get("seconds", 0.0) for stage in stages) - shared, 1), round(shared, 1)


def _short(value: Any) -> str:
    if isinstance(value, dict) and isinstance(value.get("use"), str):
        return str(value["use"])
    return _long(value)


def _long(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}:{_long(item)}" if key != "use" else _long(item) for key, item in value.items())
    return json.dumps(value) if not isinstance(value, str) else value
