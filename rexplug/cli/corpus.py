"""`rexplug corpus`: what curation kept and dropped, and what became of a document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rexplug.cli import terminal
from rexplug.cli.progress import amount
from rexplug.cli.terminal import echo, echo_unchanged, one_line, safe_json

if TYPE_CHECKING:
    from rich.console import Console

    from rexplug.api import DocumentOutcome

_WIDTH = 20
"""Columns of the longest bar of a histogram."""


@click.group()
def corpus() -> None:
    """Show what is in the corpus of a run."""


@corpus.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--examples", is_flag=True, help="Also print a few documents that were dropped for each reason.")
@click.option("--json", "as_json", is_flag=True, help="Print statistics.json unchanged.")
def show(run: Path, examples: bool, as_json: bool) -> None:
    """Print what each step of curation of the run in directory RUN kept and dropped, and why."""
    from rexplug import api

    report = api.corpus_report(run)
    if as_json:
        echo_unchanged(safe_json(report.path.read_text(encoding="utf-8")))
        return
    console = terminal.console()
    for name, source in report.statistics["sources"].items():
        _print_source(name, source, examples, report.tokens_per_byte.get(name), console)
    _print_decontamination(report.statistics.get("decontamination"), console)
    if report.relevance is not None:
        _print_relevance(report.relevance, console)


def _print_source(name: str, source: Mapping[str, Any], examples: bool, rate: float | None, console: Console) -> None:
    from rich.table import Table

    columns = ["step", "in", "kept", "bytes kept", *(["tokens in", "kept"] if rate else []), "dropped, by reason"]
    table = Table(*columns, title=name, title_justify="left", box=None)
    for column in table.columns[1:-1]:
        column.justify = "right"
    table.columns[-1].overflow = "fold"  # a reason is never cut short

    def tokens(*sizes: float) -> list[str]:
        return [f"~{amount(rate * size)}" for size in sizes] if rate else []

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
        replaced = step.get("replaced") or {}
        if replaced.get("documents"):
            console.print(
                f"  {replaced['documents']:,} documents hold {replaced['characters']:,} replacement characters (U+FFFD): "
                "bytes that their charset does not know",
                soft_wrap=True,
            )
        if step.get("scores"):
            console.print(f"  scores of {step['step']} (# kept, - dropped)")
            for line in _bars(step["scores"]):
                console.print(f"    {line}")
        for reason, documents in step["examples"].items() if examples else ():
            for document in documents:
                text = " ".join(document["text"].split())
                console.print(one_line(f"  {step['step']}: {reason}: {document['id']}: {text}"), soft_wrap=True)
    domains = source.get("duplicates_by_domain") or {}
    if domains:
        worst = ", ".join(f"{host} {count:,}" for host, count in list(domains.items())[:5])
        console.print(one_line(f"  duplicates by domain: {worst}"), soft_wrap=True)
    console.print()


def _bars(bins: list[Mapping[str, Any]]) -> list[str]:
    most = max(score["kept"] + score["dropped"] for score in bins)
    lines = []
    for score in bins:
        kept, dropped = (round(_WIDTH * score[name] / most) for name in ("kept", "dropped"))
        count = f"{score['kept'] + score['dropped']:,}"
        lines.append(f"{score['from']:>8g} to {score['to']:<8g} {'#' * kept}{'-' * dropped} {count}")
    return lines


def _print_decontamination(report: Mapping[str, Any] | None, console: Console) -> None:
    if report is None:
        return
    console.print("Decontamination" + (f" ({report['words']} words in a row)" if report["words"] else ""))
    fewer = f" (fewer than {report['shortest']} words)" if report.get("shortest") else ""
    for name, counts in report["evaluators"].items():
        console.print(
            f"  {name}: {counts['texts']:,} texts, {counts['too_short']:,} of them too short to search for{fewer}",
            soft_wrap=True,
        )
    for name, why in report.get("not_compared", {}).items():
        console.print(f"  {name}: not compared, {why}", soft_wrap=True)
    for name, source in report["sources"].items():
        edited = source.get("edited")
        console.print(
            f"  {name}: {source['documents']:,} documents dropped"
            + (f", {edited:,} of them edited copies" if edited else "")
        )
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
        console.print(f"  audit: kappa {_metric(audit['kappa'])} on {audit['documents']:,} documents")
    metrics = ", ".join(f"{name} {_metric(report['test'][name])}" for name in ("precision", "recall", "f1"))
    console.print(f"  test, {report['test']['documents']:,} documents against the labels: {metrics}", soft_wrap=True)


def _metric(metric: Mapping[str, float | None]) -> str:
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
    """Print what became of the document ID in the run in directory RUN: kept, held out or dropped, by which filter and why."""
    from rexplug import api

    for number, outcome in enumerate(api.document_outcomes(run, id)):
        if number:
            echo()
        _print_outcome(outcome)


def _print_outcome(outcome: DocumentOutcome) -> None:
    decision = {"kept": "kept", "held_out": "kept, held out from training", "dropped": "dropped"}[outcome.part]
    if outcome.part == "dropped":
        decision += f" by {outcome.step}: {outcome.reason}" + (
            f" (score {outcome.score:.4g})" if outcome.score is not None else ""
        )
    _print_line(f"{outcome.source}: {decision}")
    if outcome.twin is not None:
        other = "" if outcome.twin["source"] == outcome.source else f" of {outcome.twin['source']}"
        part = outcome.twin["part"].replace("_", " ")
        _print_line(f"  repeats   {outcome.twin['id']}{other} ({part}, {outcome.twin['alike']:.0%} alike)")
    for hit in outcome.matches:
        _print_line(
            f"  shares    {hit['num_hits']} n-grams with {hit['text']} of {hit['evaluator']} ({hit['share']:.1%} of its own):"
        )
        _print_line(f"            {' '.join(hit['excerpt'].split())}")
    for name, verdict, score in outcome.verdicts:
        _print_line(f"  {name:<26}{verdict}" + (f" (score {score:.4g})" if score is not None else ""))
    if outcome.place is not None:
        _print_line(f"  read from {outcome.place}")
    _print_line(f"  kept in   {outcome.file}, row {outcome.row}")
    if outcome.document.url:
        _print_line(f"  address   {outcome.document.url}")
    text = " ".join(outcome.document.text.split())
    _print_line(f"  text      {text[:300]}{'...' if len(text) > 300 else ''}")


def _print_line(line: str) -> None:
    """Print one line: ids, addresses and texts of documents cannot begin another."""
    echo(one_line(line))
