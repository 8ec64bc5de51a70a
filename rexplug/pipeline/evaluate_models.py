"""Evaluators on any models, outside a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rexplug.components import Evaluator
from rexplug.errors import DataError, RexplugError
from rexplug.pipeline.manifest import Manifest
from rexplug.pipeline.run import RecipeStages
from rexplug.progress import Progress
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory

if TYPE_CHECKING:
    from rexplug.evaluation import EvaluationData, ModelSpec
    from rexplug.report.results import ModelResults


def evaluate_models(
    names: Sequence[ModelSpec], evaluators: Sequence[Evaluator], data: EvaluationData, out: Path, progress: Progress
) -> list[ModelResults]:
    """Measure every model on the same items; results lie in `out/<model>/` and are taken from there where nothing changed.

    Raises:
        RexplugError: a model or data cannot be read.
    """
    from rexplug.evaluation import evaluate
    from rexplug.report.results import load_results

    for name in names:
        evaluate(evaluators, name.load, data, name=name.label, folder=out / name.label, progress=progress)
    labels = {evaluator.label for evaluator in evaluators}
    found = []
    for name in names:
        loaded = load_results(out / name.label, name.label)
        kept = {label: result for label, result in loaded.results.items() if label in labels}
        found.append(type(loaded)(name.label, kept, loaded.scores))
    return found


def evaluation_data_of(recipe: Recipe, run: RunDirectory, progress: Progress) -> EvaluationData:
    """What the run of a recipe held out; nothing if it has not curated yet."""
    from rexplug.evaluation import EvaluationData

    if run.manifest.is_file():
        done = {name for name, stage in Manifest.open(run).values["stages"].items() if stage.get("status") == "done"}
        for stage, folder in (("curate", run.corpus), ("tokenize", run.tokenizer)):
            if stage in done and not folder.is_dir():
                raise DataError(f"{folder} is missing, and {stage} is done; --from {stage} makes it again")
    if not run.tokenizer.is_dir() or not run.corpus.is_dir():
        return EvaluationData({}, recipe.seed)
    return RecipeStages(recipe, run, progress).evaluation_data()


def evaluators_with_data(evaluators: Sequence[Evaluator], progress: Progress) -> list[Evaluator]:
    """The evaluators whose data is there; a line for each that is left out.

    Raises:
        DataError: none is left.
    """
    kept = []
    for evaluator in evaluators:
        try:
            evaluator.check()
        except RexplugError as error:
            progress.note(f"{evaluator.label} is left out: {error}")
        else:
            kept.append(evaluator)
    if not kept:
        raise DataError("no evaluator has its data; is --data the right folder?")
    return kept


def select_evaluators(evaluators: Sequence[Evaluator], wanted: Sequence[str]) -> list[Evaluator]:
    """Those with one of the names (or labels); all if no name is given.

    Raises:
        DataError: a name fits none.
    """
    for name in wanted:
        if all(name not in (each.name, each.label) for each in evaluators):
            raise DataError(f"--only {name}: the evaluators are {', '.join(each.label for each in evaluators)}")
    return [each for each in evaluators if not wanted or each.name in wanted or each.label in wanted]
