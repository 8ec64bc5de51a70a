"""Evaluates any models with the evaluators of a recipe or suite, outside a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rexplug.components import Budget, Evaluator
from rexplug.errors import DataError, RexplugError
from rexplug.pipeline.evaluation_forecast import EvaluationForecast
from rexplug.pipeline.manifest import Manifest
from rexplug.pipeline.stage_work import StageWork
from rexplug.planning.hardware import processor_name
from rexplug.plugins.calls import check_component, evaluator_label
from rexplug.progress import Progress
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory

if TYPE_CHECKING:
    from rexplug.evaluation import EvaluationData, ModelSpec
    from rexplug.report.results import ModelResults


def evaluate_models(
    names: Sequence[ModelSpec],
    evaluators: Sequence[Evaluator],
    data: EvaluationData,
    out: Path,
    progress: Progress,
    *,
    budget: Budget = "standard",
    fresh: bool = False,
    save_embeddings: Path | None = None,
) -> list[ModelResults]:
    """Evaluate every model on the same items, at a budget.

    Results are written to `out/<model>/`, and read from there if nothing that decides them changed (unless `fresh`).

    With `save_embeddings` everything is computed, and the embeddings of each model are written to
    `save_embeddings/<model>.parquet`.

    Raises:
        RexplugError: a model or data cannot be read.
    """
    from rexplug.evaluation import evaluate
    from rexplug.evaluation.shared_encoders import SharedEncoders
    from rexplug.report.results import load_results

    encoders = SharedEncoders(names, save_embeddings)
    computed: dict[str, set[str]] = {}
    processor = processor_name()
    for name in names:
        observer = EvaluationForecast(name.label, progress)
        evaluate(
            evaluators, name, data, name=name.label, folder=out / name.label, progress=progress,
            observer=observer, budget=budget, processor=processor, fresh=fresh or save_embeddings is not None,
            load=encoders.load,
        )  # fmt: skip
        computed[name.label] = observer.finished
        if (saved := encoders.save(name)) is not None:
            progress.note(f"{name.label}: embeddings are in {saved}")
    labels = {evaluator_label(evaluator) for evaluator in evaluators}
    models = []
    for name in names:
        loaded = load_results(out / name.label, name.label)
        kept = {label: result for label, result in loaded.results.items() if label in labels}
        stored = frozenset(kept) - computed[name.label]
        models.append(replace(loaded, results=kept, stored=stored))
    return models


def evaluation_data_of(recipe: Recipe, run: RunDirectory, progress: Progress) -> EvaluationData:
    """The held-out documents and fitted scorer of a recipe's run; empty if it has not been curated and tokenized.

    Raises:
        DataError: the folder of a finished stage is missing.
    """
    from rexplug.evaluation import EvaluationData

    if run.manifest.is_file():
        done = Manifest.open(run).finished_stages()
        for stage, folder in (("curate", run.corpus), ("tokenize", run.tokenizer)):
            if stage in done and not folder.is_dir():
                raise DataError(f"{folder} is missing, and {stage} is done; --from {stage} makes it again")
    if not run.tokenizer.is_dir() or not run.corpus.is_dir():
        return EvaluationData({}, recipe.seed)
    return StageWork(recipe, run, progress).evaluation_data()


def evaluators_with_data(evaluators: Sequence[Evaluator], progress: Progress) -> list[Evaluator]:
    """The evaluators whose data exists; `progress` receives a note on those left out, and why.

    Raises:
        DataError: no evaluator has its data.
    """
    kept = []
    for evaluator in evaluators:
        try:
            check_component(evaluator)
        except RexplugError as error:
            progress.note(f"{evaluator_label(evaluator)} is left out: {error}")
        else:
            kept.append(evaluator)
    if not kept:
        raise DataError("no evaluator has its data; is --data the right folder?")
    return kept


def select_evaluators(evaluators: Sequence[Evaluator], names: Sequence[str]) -> list[Evaluator]:
    """The evaluators whose name or label is among `names`; all of them if it is empty.

    Raises:
        DataError: no evaluator has one of the names.
    """
    for name in names:
        if all(name not in (evaluator.name, evaluator_label(evaluator)) for evaluator in evaluators):
            known = ", ".join(evaluator_label(evaluator) for evaluator in evaluators)
            raise DataError(f"--only {name}: unknown evaluator; the evaluators are {known}")
    return [
        evaluator for evaluator in evaluators if not names or {evaluator.name, evaluator_label(evaluator)} & set(names)
    ]
