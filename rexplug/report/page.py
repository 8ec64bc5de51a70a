"""`report.html`: one self-contained page on a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rexplug.io.atomic import write_text
from rexplug.recipe import Recipe, dump_recipe
from rexplug.report import plots
from rexplug.report.contents import Contents
from rexplug.report.preview import PhasePreview, previews
from rexplug.report.sections import PARTS
from rexplug.run_directory import RunDirectory


def write_report(run: RunDirectory, recipe: Recipe) -> Path:
    """Write the page from what lies in the run's folder; returns its path."""
    contents = Contents(run, recipe)
    page = template("report.html.j2").render(
        run=contents,
        recipe=recipe,
        recipe_text=dump_recipe(recipe),
        plots=_plots(contents),
        parts=[part for make in PARTS if (part := make(contents)) is not None],
        stages=contents.manifest["stages"],
        previews=_previews(contents),
    )
    write_text(run.report, page)
    return run.report


def template(name: str) -> Any:
    """A page's template with our filters; what it writes is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rexplug.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"amount": amount, "figure": figure, "duration": duration}
    return environment.get_template(name)


def _previews(contents: Contents) -> list[PhasePreview]:
    """Packed rows with their masks; none where the run has no token stores."""
    if any(not (contents.run.tokens / name / "store.json").exists() for name in contents.recipe.sources):
        return []
    return list(previews(contents.recipe, contents.run))


def _plots(contents: Contents) -> dict[str, str]:
    drawn: dict[str, str] = {}
    if contents.steps:
        drawn["loss"] = plots.loss(contents.steps)
        drawn["mixture"] = plots.mixture(contents.steps)
        drawn["learning_rate"] = plots.learning_rate(contents.steps)
    if contents.relevance:
        drawn["relevance"] = plots.relevance(contents.relevance["curve"], contents.relevance["threshold"])
    mains: dict[str, Any] = {}
    for evaluator, results in contents.evaluations.items():
        main = next(iter(results.values()))["main"]
        rows = dict(contents.metric_rows(evaluator))
        for name, values in rows.items():
            if name == main or name.endswith((".words", ".salient", ".plain")):
                mains[f"{evaluator}: {name}"] = values
    if mains and len(contents.moments) > 1:
        drawn["evaluation"] = plots.evaluation(contents.moments, mains)
    return drawn


def amount(value: float) -> str:
    """A count with separators."""
    return f"{value:,.0f}"


def figure(value: Any) -> str:
    """A number with three decimals, a text as it is."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """A time span as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
