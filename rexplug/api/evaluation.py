"""Measure any models on the same items, and compare results."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from rexplug.api.arguments import (
    list_of,
    one_of,
    optional_path_of,
    path_of,
    progress_of,
    recipe_of,
    strings_of,
    whole_number,
)
from rexplug.api.explained import explained
from rexplug.api.folders import HasFolder, RunLike, StrPath, folder_of, shown
from rexplug.api.recipes import default_run_dir
from rexplug.api.results import open_run
from rexplug.errors import RecipeError, RexplugError
from rexplug.progress import Progress

if TYPE_CHECKING:
    from rexplug.components import Budget
    from rexplug.evaluation import ModelSpec
    from rexplug.recipe import Recipe
    from rexplug.recipe.evaluation import ModelOptions, ModelPrecision
    from rexplug.report.compare import Comparison
    from rexplug.report.results import ModelResults

SectionT = TypeVar("SectionT", bound="ModelOptions")


@explained
def evaluate(
    models: RunLike | Mapping[str, Any] | Sequence[RunLike | Mapping[str, Any]],
    suite: Recipe | StrPath,
    *,
    data: StrPath | None = None,
    run_dir: RunLike | None = None,
    out: StrPath = "evaluation",
    only: str | Sequence[str] = (),
    seed: int | None = None,
    precision: str | Sequence[str] | None = None,
    dimensions: int | Sequence[int] | None = None,
    budget: str | None = None,
    options: Mapping[str, Any] | None = None,
    save_embeddings: StrPath | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> list[ModelResults]:
    """Measure models on the same items.

    Results are kept in `out/MODEL/EVALUATOR.json` and not computed again until something that decides them changes: files and
    options of the model, options, code and data of the evaluator, held-out texts, rexplug's code of evaluations, a library.

    Args:
        models: runs, folders, hub names, `bm25`, `tfidf`, `random:FOLDER` (the same architecture with random weights),
            `onnx:FOLDER` (its ONNX graph, or the path of one) or `embeddings:FOLDER` (computed elsewhere); a string may begin
            with `LABEL=`. A mapping, or its YAML, sets how one of them is used, as under
            `baselines` of a recipe:
            `{"model": "intfloat/e5-base", "query_prompt": "query: "}`. One, or a list of them.
        suite: a plugin's suite (`"ecommerce"`), the path of a YAML file that lists evaluators, or a recipe: its evaluators, on
            the texts that its run held out.
        data: the folder that `$DATA` stands for in a suite.
        run_dir: the run of a recipe; `runs/NAME` if left out.
        out: where results go.
        only: names or labels of evaluators; all if empty.
        seed: seed of items and fine-tunes; the recipe's, or 17, if left out.
        precision: number format of the encoders' matrix products, `fp32`, `bf16` or `int8`; the recipe's, or `fp32`, if left
            out. With several every model is measured in each, so that `compare` says what a format changes; labels in another
            than fp32 end with it (`-bf16`).
        dimensions: embeddings are cut after so many dimensions. With several every model is measured with each, and labels end
            with the number (`minilm@256`).
        budget: `quick`, `standard` or `full`: how much evaluators may take (steps and seeds of fine-tunes, items, resamples); that
            of the recipe or suite, or `standard`, if left out. Results of two budgets are not comparable.
        options: how all encoders are used, where a mapping among `models` does not say otherwise: `prompt`, `query_prompt`,
            `document_prompt`, `max_tokens`, `similarity`, `batch_tokens`, `trust_remote_code`. What is left out is as the model's
            own files say.
        save_embeddings: a folder; the embeddings of each model are written there, as `LABEL.parquet` with the columns `text`,
            `role` and `embedding`. All results are computed again, since stored ones embed nothing.
        fresh: compute every result again, also one that is stored and still valid.
        progress: receives what happens, also which evaluators of a suite are left out because their data is missing.

    Returns:
        Per model its label, `results` (evaluator -> result) and `scores` (evaluator -> metric -> scores of single items).

    Raises:
        RecipeError: there is no such suite or evaluator, the recipe has no evaluators, or an option does not exist.
        DataError: a model or data cannot be read, or a model is named twice.
    """
    from rexplug.evaluation import EvaluationData, distinct, in_dimensions, in_precisions
    from rexplug.pipeline.evaluate_models import evaluate_models, evaluation_data_of, select_evaluators
    from rexplug.recipe.evaluation import ModelOptions
    from rexplug.run_directory import RunDirectory

    reporter = progress_of(progress)
    for_all = _options("options", ModelOptions, {} if options is None else options)
    written = [models] if isinstance(models, Mapping) else list_of("models", models, "models")
    specs = distinct([_spec(number, model).with_options(for_all) for number, model in enumerate(written)])
    precisions = _precisions(precision)
    specs = in_dimensions(specs, _dimensions(dimensions))
    saved_in = optional_path_of("save_embeddings", save_embeddings)
    level = _budget(budget)
    chosen, folder = strings_of("only", only), path_of("out", out)
    seed = whole_number("seed", seed, at_least=0) if seed is not None else None
    if isinstance(suite, str | os.PathLike):
        evaluators, of_suite = _of_suite(suite, data, chosen, reporter)
        level = level or of_suite
        measured_on = EvaluationData({}, 17 if seed is None else seed)
        precisions = precisions or ["fp32"]
    else:
        from rexplug.plugins.calls import check_component

        suite = recipe_of(suite)
        recipe = suite if seed is None else suite.model_copy(update={"seed": seed})
        if not recipe.evaluators:
            raise RecipeError(
                f"the recipe '{recipe.name}' has no evaluators; add some under `evaluators`, or name a suite"
            )
        evaluators = select_evaluators(recipe.evaluators, chosen)
        precisions = precisions or [recipe.evaluation.precision]
        level = level or recipe.evaluation.budget
        root = open_run(run_dir).folder if run_dir is not None else default_run_dir(recipe)
        measured_on = evaluation_data_of(recipe, RunDirectory(root), reporter)
        for evaluator in evaluators:
            check_component(evaluator)
    return evaluate_models(
        distinct(in_precisions(specs, precisions)), evaluators, measured_on, folder, reporter, budget=level, fresh=fresh,
        save_embeddings=saved_in,
    )  # fmt: skip


def _dimensions(value: int | Sequence[int] | None) -> list[int]:
    """Numbers of dimensions without repetitions, in the given order; none if left out."""
    written = [] if value is None else [value] if isinstance(value, int) else list_of("dimensions", value, "numbers")
    return list(dict.fromkeys(whole_number("dimensions", number, at_least=1) for number in written))


def _precisions(value: str | Sequence[str] | None) -> list[ModelPrecision]:
    """Number formats without repetitions; none if left out."""
    from rexplug.recipe.evaluation import ModelPrecision

    known: tuple[ModelPrecision, ...] = get_args(ModelPrecision)
    names = [] if value is None else strings_of("precision", value)
    written = {one_of("precision", name, known) for name in names}
    return [name for name in known if name in written]


def _budget(value: str | None) -> Budget | None:
    from rexplug.components import Budget

    known: tuple[Budget, ...] = get_args(Budget)
    return None if value is None else one_of("budget", value, known)


def _spec(number: int, model: RunLike | Mapping[str, Any]) -> ModelSpec:
    from rexplug.evaluation import ModelSpec
    from rexplug.recipe.evaluation import Baseline
    from rexplug.recipe.strict_yaml import parse_mapping

    if isinstance(model, str) and model.lstrip().startswith("{"):  # as the command line has it
        model = parse_mapping(model, f"models.{number}").value
    if isinstance(model, Mapping):
        return ModelSpec.of(_options(f"models.{number}", Baseline, model))
    return ModelSpec.parse(_written(model))


def _options(name: str, section: type[SectionT], values: Mapping[str, Any]) -> SectionT:
    """Options after the checks of a recipe."""
    from rexplug.recipe.load import validate_section

    if not isinstance(values, Mapping):
        raise RexplugError(f"{name} is a mapping, not {shown(values)}")
    return validate_section(name, section, dict(values))


def _written(model: RunLike) -> str:
    if not isinstance(model, HasFolder | str | os.PathLike):
        raise RexplugError(f"a model is a run, a path, a name on the hub or a baseline, not {shown(model)}")
    return str(folder_of(model)) if isinstance(model, HasFolder) else str(os.fspath(model))


def _of_suite(
    suite: StrPath, data: StrPath | None, only: Sequence[str], progress: Progress
) -> tuple[list[Any], Budget]:
    from rexplug.pipeline.evaluate_models import evaluators_with_data, select_evaluators
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import load_suite

    loaded = load_suite(os.fspath(suite), optional_path_of("data", data), load_plugins())
    return evaluators_with_data(select_evaluators(loaded.evaluators, only), progress), loaded.budget


@explained
def compare(models: RunLike | Sequence[ModelResults | RunLike], *, all_metrics: bool = False) -> Comparison:
    """Test the differences between models; the first model is the reference.

    Differences are tested on the same items: paired permutation test, Holm's correction over all of them. None is called real
    where there is one training run of a model that was trained here: another seed may reverse it (`ablate` varies seeds).

    Args:
        models: what `evaluate` returned, runs, or paths: `[LABEL=]PATH[@MOMENT]`, where PATH is a run (by default its last
            model) or a folder of results. Runs of the same LABEL are training runs of one model with other seeds, as are those in
            the folder of an ablation's variant: their scores are pooled.
        all_metrics: compare every metric, not only the main ones.

    Returns:
        A table (`rows` of `cells`), and `findings()`: one sentence per main metric and model.

    Raises:
        DataError: there are no results at a path, or models were measured on different items.
    """
    from rexplug.report.compare import compare_models
    from rexplug.report.results import ModelResults
    from rexplug.report.seeds import find_models

    models = [models] if isinstance(models, ModelResults) else list_of("models", models, "results and runs")
    if any(isinstance(model, ModelResults) for model in models):
        results = [
            result
            for model in models
            for result in ([model] if isinstance(model, ModelResults) else find_models([_written(model)]))
        ]
    else:  # labels of paths are made distinct among themselves
        results = find_models([_written(model) for model in models if not isinstance(model, ModelResults)])
    return compare_models(results, every_metric=all_metrics)


@explained
def write_comparison(
    comparison: Comparison,
    *,
    html: StrPath | None = None,
    json: StrPath | None = None,
    csv: StrPath | None = None,
    markdown: StrPath | None = None,
    latex: StrPath | None = None,
    title: str = "",
) -> None:
    """Write a comparison as a self-contained page, as JSON, as CSV, or as a table in Markdown or LaTeX.

    The CSV has a line per model and metric. The tables have a row per metric and a column per model; the best value of a row is
    bold where the test confirms it: where it is really better than the first model's, or the first model's is really better than
    all others.

    Beside the page: the models' answers on single items (`items.html` beside `comparison.html`, else `PAGE-items.html`), and the
    plots as SVG and PNG in `PAGE-plots`.

    Raises:
        DataError: one of the paths cannot be written.
    """
    from rexplug.report.comparison_page import write_comparison as write
    from rexplug.report.tables import write_tables

    page, file = optional_path_of("html", html), optional_path_of("json", json)
    tables = {
        name: optional_path_of(name, path) for name, path in (("csv", csv), ("markdown", markdown), ("latex", latex))
    }
    write(comparison, html=page, json=file, title=title)
    write_tables(comparison, **tables)
