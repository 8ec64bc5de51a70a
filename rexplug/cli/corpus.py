"""`rexplug corpus`: what curation did, and why a document is in or out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rexplug.cli import terminal
from rexplug.cli.progress import amount
from rexplug.cli.terminal import echo, one_line, safe_json

if TYPE_CHECKING:
    from rich.console import Console

    from rexplug.corpus.provenance import DocumentOutcome

_WIDTH = 20


@click.group()
def corpus() -> None:
    """Look at the corpus of a run."""


@corpus.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--examples", is_flag=True, help="Print a few dropped documents of each reason too.")
@click.option("--json", "as_json", is_flag=True, help="Print statistics.json as it is.")
def show(run: Path, examples: bool, as_json: bool) -> None:
    """Print what each step of curation in the folder RUN (runs/NAME) kept and dropped, and why."""

    from rexplug.errors import DataError
    from rexplug.run_directory import RunDirectory, read_json

    where = RunDirectory(run)
    path = where.corpus / "statistics.json"
    if not path.exists():
        raise DataError(f"{run} holds no finished corpus; rexplug run RECIPE --until curate makes one")
    if as_json:
        echo(safe_json(path.read_text(encoding="utf-8")), nl=False)
        return
    statistics = read_json(path)
    console = terminal.console()
    for name, source in statistics["sources"].items():
        _print_source(name, source, examples, _rate(where.tokens / name / "store.json", source), console)
    _print_decontamination(statistics.get("decontamination"), console)
    report = where.relevance / "relevance.json"
    if report.exists():
        _print_relevance(read_json(report), console)


def _rate(store: Path, source: Mapping[str, Any]) -> float | None:
    """Tokens per byte of what was kept, once it is tokenized."""
    from rexplug.run_directory import read_json

    size = source["kept"]["bytes"]
    return read_json(store)["tokens"] / size if size and store.exists() else None


def _print_source(name: str, source: Mapping[str, Any], examples: bool, rate: float | None, console: Console) -> None:
    from rich.table import Table

    columns = ["step", "in", "kept", "bytes kept", *(["tokens in", "kept"] if rate else []), "dropped, by reason"]
    table = Table(*columns, title=name, title_justify="left", box=None)
    for column in table.columns[1:-1]:
        column.justify = "right"
    table.columns[-1].overflow = "fold"  # a reason is never cut short

    def tokens(*sizes: float) -> list[str]:
        return [f"~{amount(rate * each)}" for each in sizes] if rate else []

    for step in source["steps"]:
        reasons = sorted(step["reasons"].items(), key=lambda item: -item[1])
        size = step["bytes"]["kept"] if step.get("bytes", {}).get("in") else None
        table.add_row(
            step["step"], amount(step["in"]), _part(step["kept"], step["in"]), _size(size) if size is not None else "",
            *tokens(step["bytes"]["in"], step["bytes"]["kept"]),
            ", ".join(f"{one_line(reason)} {count:,}" for reason, count in reasons),
        )  # fmt: skip
    for part in ("kept", "held_out"):
        row = [
            "",
            f"{source[part]['documents']:,}",
            _size(source[part]["bytes"]),
            *tokens(0, source[part]["bytes"])[1:],
        ]
        table.add_row(part.replace("_", " "), *row[:3], *([""] if rate else []), *row[3:], "")
    console.print(table)
    if rate:
        console.print(f"  ~ bytes times {rate:.3f}, the tokens per byte of what was kept and tokenized", soft_wrap=True)
    for step in source["steps"]:
        if step.get("scores"):
            console.print(f"  scores of {step['step']} (# kept, - dropped)")
            for line in _bars(step["scores"]):
                console.print(f"    {line}")
        for reason, shown in step["examples"].items() if examples else ():
            for each in shown:
                text = " ".join(each["text"].split())
                console.print(one_line(f"  {step['step']}: {reason}: {each['id']}: {text}"), soft_wrap=True)
    domains = source.get("duplicates_by_domain") or {}
    if domains:
        worst = ", ".join(f"{host} {count:,}" for host, count in list(domains.items())[:5])
        console.print(one_line(f"  duplicates by domain: {worst}"), soft_wrap=True)
    console.print()


def _bars(bins: list[Mapping[str, Any]]) -> list[str]:
    most = max(each["kept"] + each["dropped"] for each in bins)
    lines = []
    for each in bins:
        kept, dropped = (round(_WIDTH * each[name] / most) for name in ("kept", "dropped"))
        counts = f"{each['kept'] + each['dropped']:,}"
        lines.append(f"{each['from']:>8g} to {each['to']:<8g} {'#' * kept}{'-' * dropped} {counts}")
    return lines


def _print_decontamination(found: Mapping[str, Any] | None, console: Console) -> None:

    if found is None:
        return
    console.print("Decontamination" + (f" ({found['words']} words in a row)" if found["words"] else ""))
    for name, counts in found["evaluators"].items():
        console.print(
            f"  {name}: {counts['texts']:,} texts, {counts['too_short']:,} of them too short to look for",
            soft_wrap=True,
        )
    for name, why in found.get("not_compared", {}).items():
        console.print(f"  {name}: not compared, {why}", soft_wrap=True)
    for name, source in found["sources"].items():
        console.print(f"  {name}: {source['documents']:,} documents dropped")
        for hit in source["hits"][:3]:
            excerpt = " ".join(hit["excerpt"].split())
            console.print(
                one_line(f"    {hit['id']} holds {hit['num_hits']} n-grams of {hit['text']}: {excerpt}"), soft_wrap=True
            )
    console.print()


def _print_relevance(report: Mapping[str, Any], console: Console) -> None:
    labels = report["labels"]
    console.print(
        f"Relevance: {labels['relevant']:,} documents labelled relevant, {labels['other']:,} not, by "
        f"{report['labeller']['use']}; threshold {report['threshold']:g}"
    )
    audit = report["audit"]
    if audit:
        console.print(f"  audit: kappa {_figure(audit['kappa'])} on {audit['documents']:,} documents")
    figures = ", ".join(f"{name} {_figure(report['test'][name])}" for name in ("precision", "recall", "f1"))
    console.print(f"  test, {report['test']['documents']:,} documents against the labels: {figures}", soft_wrap=True)


def _figure(metric: Mapping[str, float | None]) -> str:
    if metric["value"] is None:
        return "not defined"
    interval = f" ({metric['low']:.3f}-{metric['high']:.3f})" if metric["low"] is not None else ""
    return f"{metric['value']:.3f}{interval}"


def _part(kept: int, seen: int) -> str:
    return f"{kept:,} ({kept / seen:.0%})" if seen else "0"


def _size(number: int) -> str:
    return f"{amount(number)}B"


@corpus.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("id")
def why(run: Path, id: str) -> None:
    """Say what became of the document ID in the folder RUN: kept, held out or dropped, by which filter and why."""
    from rexplug.corpus.provenance import document_outcomes
    from rexplug.errors import DataError
    from rexplug.recipe import load_recipe
    from rexplug.run_directory import RunDirectory

    where = RunDirectory(run)
    if not where.recipe.exists():
        raise DataError(f"{run} is no run: {where.recipe} is missing")
    for number, fate in enumerate(document_outcomes(load_recipe(where.recipe), where, id)):
        if number:
            echo()
        _print_fate(fate)


def _print_fate(fate: DocumentOutcome) -> None:
    decision = {"kept": "kept", "held_out": "kept, held out from training", "dropped": "dropped"}[fate.part]
    if fate.part == "dropped":
        decision += f" by {fate.step}: {fate.reason}" + (f" (score {fate.score:.4g})" if fate.score is not None else "")
    _say(f"{fate.source}: {decision}")
    if fate.twin is not None:
        other = "" if fate.twin["source"] == fate.source else f" of {fate.twin['source']}"
        part = fate.twin["part"].replace("_", " ")
        _say(f"  repeats   {fate.twin['id']}{other} ({part}, {fate.twin['alike']:.0%} alike)")
    for hit in fate.matches:
        _say(
            f"  shares    {hit['num_hits']} n-grams with {hit['text']} of {hit['evaluator']} ({hit['share']:.1%} of its own):"
        )
        _say(f"            {' '.join(hit['excerpt'].split())}")
    for name, verdict, score in fate.asked:
        _say(f"  {name:<26}{verdict}" + (f" (score {score:.4g})" if score is not None else ""))
    if fate.place is not None:
        _say(f"  read from {fate.place}")
    _say(f"  lies in   {fate.file}, row {fate.row}")
    if fate.document.url:
        _say(f"  address   {fate.document.url}")
    text = " ".join(fate.document.text.split())
    _say(f"  text      {text[:300]}{'...' if len(text) > 300 else ''}")


def _say(line: str) -> None:
    """Print one line; ids, addresses and texts of documents begin none of their own."""
    echo(one_line(line))
