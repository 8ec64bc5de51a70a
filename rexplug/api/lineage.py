"""Lineage: from a training step to its documents, and from a document to its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rexplug.api.arguments import whole_number
from rexplug.api.explained import explained
from rexplug.api.folders import RunLike, folder_of, shown
from rexplug.errors import DataError, RecipeError, RexplugError

if TYPE_CHECKING:
    from rexplug.batches import Lineage


@dataclass(frozen=True)
class StepDocuments:
    """The batch of a step: its totals and, in `rows`, its samples.

    Each row has `row` (of the batch), `source`, `id`, `url`, `part` (`2/3`: the second of three samples of the document),
    `tokens`, `epoch` of the source from 0, and `place` (file and line, where the source tells). `num_samples` counts the
    whole batch, of which `rows` may be the first part.
    """

    phase: str
    step: int
    num_tokens: int
    num_rows: int
    progress: float
    tokens_of: Mapping[str, int]
    rows: Sequence[Mapping[str, Any]]
    num_samples: int


@dataclass(frozen=True)
class DocumentSteps:
    """When a document was trained on.

    Each row has `phase`, `source`, `step`, `seen` (exact if True, else an estimate of when it will be), `row`, `part` and
    `epoch`. Without rows, `reasons` maps each phase to why it never sees the document.
    """

    document: str
    rows: Sequence[Mapping[str, Any]]
    reasons: Mapping[str, str]


@explained
def documents_of_step(run: RunLike, step: int, phase: str | None = None, *, limit: int = 0) -> StepDocuments:
    """The documents in the batch of a step.

    The position after each step is kept with the checkpoints and the batch at a position is a function of it, so nothing
    is trained.

    Args:
        run: the run.
        step: the step of the phase: 1, 2, ...
        phase: its name; may be left out where only one phase has been trained.
        limit: how many samples to list; 0 lists all.

    Raises:
        DataError: the folder is not a run, nothing was tokenized, or the step was not recorded.
        RecipeError: there is no such phase, or several are meant.
    """
    from rexplug.pipeline.lineage import run_lineages

    step, limit = whole_number("step", step), whole_number("limit", limit, at_least=0)
    phases = run_lineages(folder_of(run), phase)
    trained = {name: lineage for name, lineage in phases.items() if lineage.history.num_steps}
    if len(trained) > 1:
        raise RecipeError(
            f"several phases have been trained; name the one of step {step} with --phase: {', '.join(trained)}"
        )
    name, lineage = next(iter((trained or phases).items()))
    stream = lineage.history.stream
    plan = lineage.batch(step)
    samples = list(lineage.samples(plan))
    shown = samples[: limit or None]
    entries: dict[tuple[int, int], dict[str, Any]] = {}
    for source in {sample.source for _, sample in shown}:
        documents = sorted({sample.document for _, sample in shown if sample.source == source})
        table = stream.samples[source].store.rows(documents)
        entries |= {(source, document): entry for document, entry in zip(documents, table, strict=True)}
    room = stream.context - 2
    rows = []
    for row, sample in shown:
        entry = entries[sample.source, sample.document]
        num_parts = len(stream.samples[sample.source].numbers_of(sample.document))
        rows.append(
            {
                "row": row, "source": stream.sources[sample.source], "id": entry["id"], "url": entry.get("url"),
                "part": f"{sample.start // room + 1}/{num_parts}", "tokens": sample.length,
                "epoch": sample.sample_index // stream.samples[sample.source].size, "place": entry.get("place"),
            }
        )  # fmt: skip
    return StepDocuments(name, step, plan.num_tokens, len(plan.rows), plan.progress, plan.tokens_of, rows, len(samples))


@explained
def steps_of_document(run: RunLike, document: str, phase: str | None = None) -> DocumentSteps:
    """The steps that saw a document, and an estimate of those that will.

    Args:
        run: the run.
        document: the document's id; documents of several sources may share one.
        phase: only this phase.

    Raises:
        DataError: the folder is not a run, nothing was tokenized, or no source has such a document.
        RecipeError: there is no such phase.
    """
    from rexplug.pipeline.lineage import run_lineages
    from rexplug.pipeline.manifest import Manifest
    from rexplug.run_directory import RunDirectory

    if not isinstance(document, str):
        raise RexplugError(f"document is the id of a document, not {shown(document)}")
    root = folder_of(run)
    phases, finished = run_lineages(root, phase), Manifest.open(RunDirectory(root)).finished_phases()
    rows: list[dict[str, Any]] = []
    numbers_of: dict[str, list[int]] = {}
    for name, lineage in phases.items():
        stream = lineage.history.stream
        for index, samples in enumerate(stream.samples):
            source = stream.sources[index]
            if source not in numbers_of:
                numbers_of[source] = samples.store.find(document)
            for number in numbers_of[source]:
                for visit in lineage.visits(index, number):
                    if not visit.seen and name in finished:
                        continue  # the phase ended before
                    rows.append(
                        {
                            "phase": name, "source": source, "step": visit.step, "seen": visit.seen, "row": visit.row,
                            "part": f"{visit.part + 1}/{visit.num_parts}", "epoch": visit.epoch,
                        }
                    )  # fmt: skip
    if not any(numbers_of.values()):
        raise DataError(f"no document of {', '.join(numbers_of)} has the id '{document}'")
    order = list(phases)
    rows.sort(key=lambda row: (order.index(row["phase"]), row["step"], row["part"]))
    reasons = {} if rows else {
        name: _reason(lineage, numbers_of, over=name in finished) for name, lineage in phases.items()
    }  # fmt: skip
    return DocumentSteps(document, rows, reasons)


def _reason(lineage: Lineage, numbers_of: Mapping[str, Sequence[int]], *, over: bool) -> str:
    """Why a phase never sees the documents whose numbers are given by source."""
    stream = lineage.history.stream
    holding = [source for source, numbers in numbers_of.items() if numbers]
    mixed = [(source, stream.samples[stream.sources.index(source)]) for source in holding if source in stream.sources]
    if not mixed:
        return f"it takes nothing from {' or '.join(holding)}"
    if all(not samples.numbers_of(number) for source, samples in mixed for number in numbers_of[source]):
        least = f", which takes documents of at least {stream.min_tokens:,} tokens" if stream.min_tokens else ""
        return f"the document is too short for it{least}"
    last = lineage.history.last
    source, samples = mixed[0]
    drawn = last.next_indices[stream.sources.index(source)]
    counts = f"{drawn:,} of the {samples.size:,} samples of '{source}' were drawn"
    if over or stream.done(last):
        return f"it ended before the document's turn came ({counts})"
    return f"the document's turn does not come before it ends ({counts} so far)"
