"""`report.html`: one self-contained page about a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rexplug.io.atomic import write_text
from rexplug.recipe import dump_recipe
from rexplug.report import plots
from rexplug.report.comparison_plots import write_comparison_plots
from rexplug.report.contents import Contents
from rexplug.report.items import item_links, write_items_page
from rexplug.report.preview import PhasePreview, previews
from rexplug.report.results import headlines, is_detail
from rexplug.report.templates import template


def write_report(contents: Contents) -> Path:
    """Write the page about a run, and the plots and single items beside it; returns its path."""
    run, recipe, models = contents.run, contents.recipe, contents.compared_models
    items = write_items_page(run.report, models, f"{recipe.name}: items")
    page = template("report.html.j2").render(
        run=contents,
        recipe=recipe,
        recipe_text=dump_recipe(recipe),
        plots=_plots(contents),
        comparison_plots=write_comparison_plots(contents.comparison, run.report) if contents.comparison else {},
        items=item_links(items, models),
        stages=contents.manifest["stages"],
        previews=_previews(contents),
    )
    write_text(run.report, page)
    return run.report


def _previews(contents: Contents) -> list[PhasePreview]:
    """Packed rows with their masks; empty where the run has no token stores."""
    if contents.run.missing_stores(contents.recipe.sources):
        return []
    return list(previews(contents.recipe, contents.run))


def _plots(contents: Contents) -> dict[str, str]:
    """SVG of each plot that the run has data for."""
    svgs: dict[str, str] = {}
    if contents.steps:
        svgs["loss"] = plots.loss(contents.steps)
        svgs["mixture"] = plots.mixture(contents.steps)
        svgs["learning_rate"] = plots.learning_rate(contents.steps)
    if contents.relevance:
        svgs["relevance"] = plots.relevance(contents.relevance["curve"], contents.relevance["threshold"])
    main_metrics: dict[str, Sequence[Mapping[str, Any] | None]] = {}
    for evaluator, results in contents.evaluations.items():
        shown = headlines(next(iter(results.values())))
        for name, values in contents.metric_rows(evaluator):
            if name in shown or any(value is not None and is_detail(value) for value in values):
                main_metrics[f"{evaluator}: {name}"] = values
    if main_metrics and len(contents.moments) > 1:
        svgs["evaluation"] = plots.evaluation(contents.moments, main_metrics)
    return svgs
