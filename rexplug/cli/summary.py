"""The short summary at the end of a run: the numbers that matter and where things are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rexplug.cli.progress import amount, duration
from rexplug.pipeline import Manifest
from rexplug.recipe import Recipe


def print_summary(manifest: Manifest, recipe: Recipe, console: Console) -> None:
    """Print what came out of a run that is complete or was stopped after a stage."""
    known: Mapping[str, Mapping[str, Any]] = manifest.values["stages"]
    # What was measured on weights or a recipe that are gone says nothing of those that are there.
    stages = {name: stage for name, stage in known.items() if not stage.get("stale")}
    console.print()
    _print_corpus(stages, console)
    _print_phases(stages, recipe, console)
    _print_evaluation(stages, recipe, console)
    run = manifest.run
    synthetic = [name for name, source in recipe.sources.items() if source.synthetic]
    if synthetic:
        console.print(
            Text(
                f"The text of {' and '.join(synthetic)} is synthetic: figures show that the recipe works, not how good a model is.",
                "yellow",
            )
        )
    old = sorted(name for name, stage in known.items() if stage.get("stale") and stage.get("status") == "done")
    if old:
        console.print(
            Text(f"Left out, since what they depend on has changed: {', '.join(old)}", "yellow"), soft_wrap=True
        )
    spent = sum(float(stage.get("seconds", 0.0)) for stage in known.values())
    console.print(f"{duration(spent)} of work, {manifest.values.get('peak_memory_gib', 0)} GiB peak memory")
    places = [("model", run.model), ("report", run.report), ("everything", run.root)]
    stale = {"model": "export", "report": "report"}
    places = [(name, path) for name, path in places if not known.get(stale.get(name, ""), {}).get("stale")]
    for name, path in places:
        if path.exists():
            console.print(Text(f"  {name + ':':<12}{path}"), soft_wrap=True)
    if ("model", run.model) in places and run.model.exists():
        console.print(
            Text(
                f'  {"load it:":<12}AutoModelForMaskedLM.from_pretrained("{run.model}") or SentenceTransformer("{run.model}")'
            ),
            soft_wrap=True,
        )


def _print_corpus(stages: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    result = (stages.get("curate") or {}).get("result")
    if not result:
        return
    tokens = (stages.get("tokenize") or {}).get("result") or {}
    table = Table("source", "read", "kept", "held out", "tokens", title="Corpus", title_justify="left", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, source in result["sources"].items():
        stored = tokens.get(name) or {}
        table.add_row(
            name, amount(source["read"]["documents"]), amount(source["kept"]["documents"]),
            amount(source["held_out"]["documents"]), amount(stored["tokens"]) if "tokens" in stored else "",
        )  # fmt: skip
    console.print(table)
    console.print()


def _print_phases(stages: Mapping[str, Mapping[str, Any]], recipe: Recipe, console: Console) -> None:
    table = Table(
        "phase", "tokens", "context", "steps", "tokens/s", "loss", title="Training", title_justify="left", box=None
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for phase in recipe.phases:
        result = (stages.get(f"train.{phase.name}") or {}).get("result")
        if result:
            table.add_row(
                phase.name, amount(result["tokens"]), str(phase.context), str(result["steps"]),
                amount(result["tokens_per_second"]), f"{result['loss']:.3f}",
            )  # fmt: skip
    if table.row_count:
        console.print(table)
        console.print()


def _print_evaluation(stages: Mapping[str, Mapping[str, Any]], recipe: Recipe, console: Console) -> None:
    moments = ["initial", *(phase.name for phase in recipe.phases)]
    found = {moment: (stages.get(f"evaluate.{moment}") or {}).get("result") or {} for moment in moments}
    baselines = (stages.get("evaluate.baselines") or {}).get("result") or {}
    names = list(dict.fromkeys(name for result in found.values() for name in result))
    if not names:
        return
    table = Table(
        "evaluation", *moments, *baselines, title="Evaluation (95 % interval of the last model measured)", title_justify="left",
        box=None,
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    for name in names:
        cells, last, place = [], None, 0
        for number, moment in enumerate(moments):
            metric = found[moment].get(name)
            cells.append(f"{metric['value']:.3f}" if metric else "")
            if metric:
                last, place = metric, number
        if last and last.get("low") is not None:
            cells[place] += f" ({last['low']:.3f}-{last['high']:.3f})"
        main = last["main"] if last else ""
        cells += [f"{each[name]['value']:.3f}" if name in each else "–" for each in baselines.values()]
        table.add_row(f"{name} {main}", *cells)
    console.print(table)
    console.print()
