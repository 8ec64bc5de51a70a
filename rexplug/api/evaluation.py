"""Measure any models on the same items, and compare results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.api.folders import HasFolder, RunLike, StrPath, folder_of
from rexplug.api.recipes import default_run_dir
from rexplug.errors import RecipeError
from rexplug.progress import Progress, Silent

if TYPE_CHECKING:
    from rexplug.recipe import Recipe
    from rexplug.report.compare import Comparison
    from rexplug.report.results import ModelResults


def evaluate(
    models: Sequence[RunLike],
    suite: Recipe | StrPath,
    *,
    data: StrPath | None = None,
    run_dir: StrPath | None = None,
    out: StrPath = "evaluation",
    only: Sequence[str] = (),
    seed: int | None = None,
    progress: Progress | None = None,
) -> list[ModelResults]:
    """Measure models on the same items. Results are kept in `out/MODEL/EVALUATOR.json` and not computed again.

    Args:
        models: runs, folders, hub names, `bm25`, `tfidf`, or `random:FOLDER` (the same architecture with random weights); a
            string may begin with `LABEL=`.
        suite: a plugin's suite (`"ecommerce"`), the path of a YAML file that lists evaluators, or a recipe: its evaluators, on
            the texts that its run held out.
        data: the folder that `$DATA` stands for in a suite.
        run_dir: the run of a recipe; `runs/NAME` if left out.
        out: where results go.
        only: names or labels of evaluators; all if empty.
        seed: seed of items and fine-tunes; the recipe's, or 17, if left out.
        progress: receives what happens, also which evaluators of a suite are left out because their data is missing.

    Returns:
        Per model its label, `results` (evaluator -> result) and `scores` (evaluator -> metric -> scores of single items).

    Raises:
        RecipeError: there is no such suite or evaluator, or the recipe has no evaluators.
        DataError: a model or data cannot be read, or a model is named twice.
    """
    from rexplug.evaluation import EvaluationData, ModelSpec, distinct
    from rexplug.pipeline.evaluate_models import evaluate_models, select_evaluators

    progress = progress or Silent()
    specs = distinct([ModelSpec.parse(_written(model)) for model in models])
    if isinstance(suite, str | os.PathLike):
        evaluators = _of_suite(suite, data, only, progress)
        measured_on = EvaluationData({}, 17 if seed is None else seed)
    else:
        from rexplug.pipeline.evaluate_models import evaluation_data_of
        from rexplug.run_directory import RunDirectory

        recipe = suite if seed is None else suite.model_copy(update={"seed": seed})
        if not recipe.evaluators:
            raise RecipeError(
                f"the recipe '{recipe.name}' has no evaluators; add some under `evaluators`, or name a suite"
            )
        evaluators = select_evaluators(recipe.evaluators, only)
        root = Path(run_dir) if run_dir is not None else default_run_dir(recipe)
        measured_on = evaluation_data_of(recipe, RunDirectory(root), progress)
        for evaluator in evaluators:
            evaluator.check()
    return evaluate_models(specs, evaluators, measured_on, Path(out), progress)


def _written(model: RunLike) -> str:
    return str(folder_of(model)) if isinstance(model, HasFolder) else os.fspath(model)


def _of_suite(suite: StrPath, data: StrPath | None, only: Sequence[str], progress: Progress) -> list[Any]:
    from rexplug.pipeline.evaluate_models import evaluators_with_data, select_evaluators
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import load_suite

    loaded = load_suite(os.fspath(suite), Path(data) if data is not None else None, load_plugins())
    return evaluators_with_data(select_evaluators(loaded.evaluators, only), progress)


def compare(models: Sequence[ModelResults | RunLike], *, all_metrics: bool = False) -> Comparison:
    """Say which differences between models are real; the first model is the reference.

    Differences are tested on the same items: paired permutation test, Holm's correction over all of them.

    Args:
        models: what `evaluate` returned, runs, or paths: `[LABEL=]PATH[@MOMENT]`, where PATH is a run (by default its last
            model) or a folder of results.
        all_metrics: compare every metric, not only the main ones.

    Returns:
        A table (`rows` of `cells`), and `findings()`: one sentence per main metric and model.

    Raises:
        DataError: there are no results at a path, or models were measured on different items.
    """
    from rexplug.report.compare import compare_models
    from rexplug.report.results import ModelResults, find_all

    if any(isinstance(model, ModelResults) for model in models):
        results = [
            result
            for model in models
            for result in ([model] if isinstance(model, ModelResults) else find_all([_written(model)]))
        ]
    else:  # labels of paths are made distinct among themselves
        results = find_all([_written(model) for model in models if not isinstance(model, ModelResults)])
    return compare_models(results, every_metric=all_metrics)


def write_comparison(
    comparison: Comparison, *, html: StrPath | None = None, json: StrPath | None = None, title: str = ""
) -> None:
    """Write a comparison as a self-contained page, as JSON, or both."""
    from rexplug.report.compare import write_comparison as write

    write(
        comparison, html=Path(html) if html is not None else None, json=Path(json) if json is not None else None,
        title=title,
    )  # fmt: skip
