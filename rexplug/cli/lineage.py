"""`rexplug lineage`: from a step to its documents, from a document to its steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rexplug.cli.terminal import echo, echo_json, one_line

if TYPE_CHECKING:
    from rexplug.batches import Lineage


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--step", type=click.IntRange(min=1), help="List the documents in the batch of this step (1, 2, ...).")
@click.option("--document", metavar="ID", help="List the steps that saw this document, and those that will.")
@click.option("--phase", metavar="NAME", help="The phase; needed with --step where several have been trained.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=40, show_default=True, help="Lines to print; 0 prints all."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def lineage(run: Path, step: int | None, document: str | None, phase: str | None, limit: int, as_json: bool) -> None:
    """Say which documents a step of RUN trained on, or when a document was trained on.

    RUN is the run's folder, runs/NAME. Nothing is trained or read anew: the position after each step is kept with the
    checkpoints, and the batch at a position is a function of it.
    """
    from rexplug.errors import RecipeError
    from rexplug.pipeline.lineage import finished_phases, run_lineages

    if (step is None) == (document is None):
        raise RecipeError("rexplug lineage takes either --step N or --document ID")
    chosen = run_lineages(run, phase)
    if step is not None:
        rows, total = _of_step(chosen, step, limit)
    else:
        rows = list(_of_document(chosen, str(document), finished_phases(run)))
        rows, total = rows[: limit or None], len(rows)
    if as_json:
        for row in rows:
            echo_json(row)
        return
    _print(rows)
    if total > len(rows):
        echo(f"... and {total - len(rows):,} more; --limit 0 prints all")


def _of_step(phases: Mapping[str, Lineage], step: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    from rexplug.errors import RecipeError

    trained = {name: each for name, each in phases.items() if each.history.num_steps}
    if len(trained) > 1:
        raise RecipeError(f"--step {step} is of which phase? Add --phase and one of {', '.join(trained)}")
    name, found = next(iter((trained or phases).items()))
    stream = found.history.stream
    plan = found.batch(step)
    echo(
        f"{name}, step {step:,}: {plan.num_tokens:,} tokens in {len(plan.rows)} rows, progress {plan.progress:.4f}; "
        + ", ".join(f"{source} {count:,}" for source, count in plan.tokens_of.items()),
        err=True,
    )
    samples = list(found.samples(plan))
    shown = samples[: limit or None]
    entries: dict[tuple[int, int], dict[str, Any]] = {}
    for source in {sample.source for _, sample in shown}:
        documents = sorted({sample.document for _, sample in shown if sample.source == source})
        rows = stream.samples[source].store.rows(documents)
        entries |= {(source, document): row for document, row in zip(documents, rows, strict=True)}
    room = stream.context - 2
    listed = []
    for row, sample in shown:
        entry = entries[sample.source, sample.document]
        size = len(stream.samples[sample.source].numbers_of(sample.document))
        listed.append(
            {
                "row": row, "source": stream.sources[sample.source], "id": entry["id"], "url": entry.get("url"),
                "part": f"{sample.start // room + 1}/{size}", "tokens": sample.length,
                "epoch": sample.sample_index // stream.samples[sample.source].size, "place": entry.get("place"),
            }
        )  # fmt: skip
    return listed, len(samples)


def _of_document(phases: Mapping[str, Lineage], document: str, finished: Collection[str]) -> Sequence[dict[str, Any]]:
    from rexplug.errors import DataError

    found: list[dict[str, Any]] = []
    known: dict[str, list[int]] = {}
    for name, each in phases.items():
        stream = each.history.stream
        for source, samples in enumerate(stream.samples):
            label = stream.sources[source]
            if label not in known:
                known[label] = samples.store.find(document)
            for number in known[label]:
                for visit in each.visits(source, number):
                    if not visit.seen and name in finished:
                        continue  # the phase ended before
                    found.append(
                        {
                            "phase": name, "source": label, "step": visit.step, "seen": visit.seen, "row": visit.row,
                            "part": f"{visit.part + 1}/{visit.num_parts}", "epoch": visit.epoch,
                        }
                    )  # fmt: skip
    if not any(known.values()):
        raise DataError(f"no document of {', '.join(known)} has the id '{document}'")
    order = list(phases)
    found.sort(key=lambda row: (order.index(row["phase"]), row["step"], row["part"]))
    if not found:
        echo("no phase has seen it or will:", err=True)
        for name, each in phases.items():
            echo(f"  {name}: {_why_not(each, known, over=name in finished)}", err=True)
    return found


def _why_not(phase: Lineage, known: Mapping[str, Sequence[int]], *, over: bool) -> str:
    """Why a phase does not see the documents that `known` numbers by source."""
    stream = phase.history.stream
    holding = [label for label, numbers in known.items() if numbers]
    mixed = [(label, stream.samples[stream.sources.index(label)]) for label in holding if label in stream.sources]
    if not mixed:
        return f"it takes nothing from {' or '.join(holding)}"
    if all(not samples.numbers_of(number) for label, samples in mixed for number in known[label]):
        least = f", which takes documents of at least {stream.min_tokens:,} tokens" if stream.min_tokens else ""
        return f"the document is too short for it{least}"
    last = phase.history.last
    label, samples = mixed[0]
    taken = last.next_indices[stream.sources.index(label)]
    if over or stream.done(last):
        return f"it was over before the document's turn came ({taken:,} of the {samples.size:,} samples of '{label}' were drawn)"
    return f"its turn does not come before the end ({taken:,} of the {samples.size:,} samples of '{label}' were drawn so far)"


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
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
