"""The summary at the end of a run: its main numbers, and where its files are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rexplug.cli.progress import amount, duration

if TYPE_CHECKING:
    from rexplug.api import Recipe, Run


def print_summary(run: Run, recipe: Recipe, console: Console) -> None:
    """Print the results of a run that is complete or was stopped after a stage."""
    # Results of weights or of a recipe that have changed since are not those of this run.
    results = {name: stage.result or {} for name, stage in run.stages.items() if not stage.stale}
    console.print()
    _print_corpus(results, console)
    _print_phases(results, recipe, console)
    _print_evaluation(results, recipe, console)
    if synthetic := recipe.synthetic_sources:
        console.print(
            Text(
                f"The text of {' and '.join(synthetic)} is synthetic: results show that the recipe works, not how good a model is.",
                "yellow",
            )
        )
    outdated = sorted(stage.name for stage in run.stages.values() if stage.stale and stage.status == "done")
    if outdated:
        console.print(
            Text(f"Left out, since what they depend on has changed: {', '.join(outdated)}", "yellow"), soft_wrap=True
        )
    console.print(f"{duration(run.seconds)} of work, {run.manifest.get('peak_memory_gib', 0)} GiB peak memory")
    where = run.directory
    for name, path, stage in (("model", where.model, "export"), ("report", where.report, "report")):
        if path.exists() and _holds(run, stage):
            console.print(Text(f"  {name + ':':<12}{path}"), soft_wrap=True)
    console.print(Text(f"  {'everything:':<12}{where.root}"), soft_wrap=True)
    if where.model.exists() and _holds(run, "export"):
        call = f'AutoModelForMaskedLM.from_pretrained("{where.model}") or SentenceTransformer("{where.model}")'
        console.print(Text(f"  {'load it:':<12}{call}"), soft_wrap=True)


def _holds(run: Run, stage: str) -> bool:
    """Whether what a stage wrote is still that of this run."""
    return stage not in run.stages or not run.stages[stage].stale


def _table(title: str, *columns: str) -> Table:
    """A table without lines whose columns, but for the first, are aligned to the right."""
    table = Table(*columns, title=title, title_justify="left", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _print_corpus(results: Mapping[str, Any], console: Console) -> None:
    curated, tokens = results.get("curate"), results.get("tokenize", {})
    if not curated:
        return
    table = _table("Corpus", "source", "read", "kept", "held out", "tokens")
    for name, source in curated["sources"].items():
        stored = tokens.get(name) or {}
        table.add_row(
            name, amount(source["read"]["documents"]), amount(source["kept"]["documents"]),
            amount(source["held_out"]["documents"]), amount(stored["tokens"]) if "tokens" in stored else "",
        )  # fmt: skip
    console.print(table)
    console.print()


def _print_phases(results: Mapping[str, Any], recipe: Recipe, console: Console) -> None:
    table = _table("Training", "phase", "tokens", "context", "steps", "tokens/s", "loss")
    for phase in recipe.phases:
        if result := results.get(f"train.{phase.name}"):
            table.add_row(
                phase.name, amount(result["tokens"]), str(phase.context), str(result["steps"]),
                amount(result["tokens_per_second"]), f"{result['loss']:.3f}",
            )  # fmt: skip
    if table.row_count:
        console.print(table)
        console.print()


def _print_evaluation(results: Mapping[str, Any], recipe: Recipe, console: Console) -> None:
    moments = ["initial", *(phase.name for phase in recipe.phases)]
    evaluated = [results.get(f"evaluate.{moment}", {}) for moment in moments]
    baselines = results.get("evaluate.baselines", {})
    evaluators = list(dict.fromkeys(name for result in evaluated for name in result))
    if not evaluators:
        return
    table = _table("Evaluation (95 % interval of the last model measured)", "evaluation", *moments, *baselines)
    for name in evaluators:
        measured = {index: result[name] for index, result in enumerate(evaluated) if name in result}
        cells = [f"{measured[index]['value']:.3f}" if index in measured else "" for index in range(len(evaluated))]
        last = max(measured)
        metric = measured[last]
        if metric.get("low") is not None:
            cells[last] += f" ({metric['low']:.3f}-{metric['high']:.3f})"
        cells += [f"{baseline[name]['value']:.3f}" if name in baseline else "–" for baseline in baselines.values()]
        table.add_row(f"{name} {metric['main']}", *cells)
    console.print(table)
    console.print()
