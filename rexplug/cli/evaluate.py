"""`rexplug evaluate`: the same evaluators on any models."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli import terminal


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--recipe", type=click.Path(path_type=Path), help="Run the evaluators of this recipe on its held-out texts."
)
@click.option("--suite", help="Run a plugin's suite (`ecommerce`), or a YAML file that lists evaluators.")
@click.option("--data", type=click.Path(path_type=Path), help="The folder that a suite's $DATA stands for.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run of the recipe; runs/NAME if left out.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("evaluation"), show_default=True,
    help="Where results go; what lies there and still holds is not computed again.",
)  # fmt: skip
@click.option(
    "--only", multiple=True, metavar="EVALUATOR", help="Run this evaluator alone; may be given several times."
)
@click.option("--seed", type=click.IntRange(min=0), help="Of items and fine-tunes; the recipe's, or 17.")
@click.option("--all-metrics", is_flag=True, help="Show and compare every metric, not the main ones alone.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors and the table.")
def evaluate(
    models: tuple[str, ...],
    recipe: Path | None,
    suite: str | None,
    data: Path | None,
    run_dir: Path | None,
    out: Path,
    only: tuple[str, ...],
    seed: int | None,
    all_metrics: bool,
    quiet: bool,
) -> None:
    """Measure MODELs on the same items: with intervals, and which differences to the first one are real.

    A MODEL is a folder, a hub name, a run, bm25, tfidf, or random:FOLDER (the same architecture with random weights);
    LABEL= may precede it.
    """

    from rexplug.cli.comparison import print_comparison
    from rexplug.cli.progress import TerminalProgress
    from rexplug.errors import RecipeError
    from rexplug.evaluation import EvaluationData, ModelSpec, distinct
    from rexplug.pipeline.evaluate_models import (
        evaluate_models,
        evaluation_data_of,
        evaluators_with_data,
        select_evaluators,
    )
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import load_recipe, load_suite
    from rexplug.report.compare import compare_models, write_comparison
    from rexplug.run_directory import RunDirectory

    if (recipe is None) == (suite is None):
        raise RecipeError("write either --recipe R (its evaluators and held-out texts) or --suite NAME")
    names = distinct([ModelSpec.parse(each) for each in models])
    registry = load_plugins()
    with TerminalProgress(quiet=quiet) as progress:
        if recipe is not None:
            resolved = load_recipe(recipe, [] if seed is None else [f"seed={seed}"], registry)
            if not resolved.evaluators:
                raise RecipeError(
                    f"{recipe} has no evaluators; add `evaluators:`, or write --suite NAME in place of --recipe"
                )
            evaluators = select_evaluators(resolved.evaluators, only)
            material = evaluation_data_of(resolved, RunDirectory(run_dir or Path("runs") / resolved.name), progress)
            for evaluator in evaluators:
                evaluator.check()
        else:
            assert suite is not None
            evaluators = evaluators_with_data(
                select_evaluators(load_suite(suite, data, registry).evaluators, only), progress
            )
            material = EvaluationData({}, 17 if seed is None else seed)
        results = evaluate_models(names, evaluators, material, out, progress)
    comparison = compare_models(results, every_metric=all_metrics)
    page, file = out / "comparison.html", out / "comparison.json"
    write_comparison(comparison, html=page, json=file, title="Evaluation")
    console = terminal.console()
    print_comparison(comparison, console)
    console.print(f"  page:       {page}\n  results:    {out}/MODEL/EVALUATOR.json", soft_wrap=True)
