"""`rexplug lineage`: from a training step to its documents, from a document to its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rexplug.cli.terminal import echo, echo_json, one_line


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--step", type=click.IntRange(min=1), help="List the documents in the batch of this step (1, 2, ...).")
@click.option("--document", metavar="ID", help="List the steps that saw this document, and those that will.")
@click.option("--phase", metavar="NAME", help="The phase; needed with --step if several have been trained.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=40, show_default=True, help="Lines to print; 0 prints all."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def lineage(run: Path, step: int | None, document: str | None, phase: str | None, limit: int, as_json: bool) -> None:
    """List the documents that a step of the run in directory RUN trained on, or the steps that trained on a document.

    Nothing is trained again: the position after each step is kept with the checkpoints, and the batch at a position is a
    function of it.
    """
    from rexplug import api
    from rexplug.errors import RecipeError

    if (step is None) == (document is None):
        raise RecipeError("rexplug lineage takes either --step N or --document ID")
    if step is not None:
        batch = api.documents_of_step(run, step, phase, limit=limit)
        echo(
            f"{batch.phase}, step {step:,}: {batch.num_tokens:,} tokens in {batch.num_rows} rows, progress "
            f"{batch.progress:.4f}; " + ", ".join(f"{source} {count:,}" for source, count in batch.tokens_of.items()),
            err=True,
        )
        rows, total = batch.rows, batch.num_samples
    else:
        steps = api.steps_of_document(run, str(document), phase)
        if steps.reasons:
            echo("no phase has seen it or will:", err=True)
        for name, reason in steps.reasons.items():
            echo(f"  {name}: {reason}", err=True)
        rows, total = steps.rows[: limit or None], len(steps.rows)
    if as_json:
        for row in rows:
            echo_json(row)
        return
    _print_table(rows)
    if total > len(rows):
        echo(f"... and {total - len(rows):,} more; --limit 0 prints all")


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows in columns; a column without values is left out."""
    if not rows:
        return
    cells = [
        {name: _cell(name, value) for name, value in row.items() if any(r[name] is not None for r in rows)}
        for row in rows
    ]
    names = list(cells[0])
    widths = {name: max(len(name), *(len(cell[name]) for cell in cells)) for name in names}
    for line in ({name: name for name in names}, *cells):
        echo("  ".join(line[name].ljust(widths[name]) for name in names).rstrip())


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "seen":
        return "seen" if value else "to come, about"
    return f"{value:,}" if isinstance(value, int) else one_line(str(value))
