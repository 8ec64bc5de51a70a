"""One shard through a source's filters; runs in a worker process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rexplug.components import CorpusFilter, Document, DocumentSource, Shard, Verdict
from rexplug.corpus.files import write_documents
from rexplug.corpus.histogram import Histogram
from rexplug.corpus.sources import ERROR
from rexplug.run_directory import write_json

_BATCH = 256
_EXAMPLES = 3
_EXCERPT = 200


@dataclass
class Step:
    """What one filter did: documents in and kept, drops by reason, a few dropped ones of each reason."""

    name: str
    seen: int = 0
    kept: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    bytes_in: int = 0
    bytes_kept: int = 0
    scores: Histogram = field(default_factory=Histogram)

    def count(self, documents: Sequence[Document], verdicts: Sequence[Verdict]) -> None:
        """Count what a filter saw and said of it."""
        for document, verdict in zip(documents, verdicts, strict=True):
            size = len(document.text.encode("utf-8", "replace"))
            self.seen += 1
            self.kept += verdict.keep
            self.bytes_in += size
            self.bytes_kept += size * verdict.keep
            self.scores.add(verdict.score, verdict.keep)

    def drop(self, document: Document, reason: str) -> None:
        """Count a dropped document."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < _EXAMPLES:
            shown.append({"id": document.id, "text": document.text[:_EXCERPT]})

    def to_json(self) -> dict[str, Any]:
        """As statistics.json holds it."""
        return {
            "step": self.name,
            "in": self.seen,
            "kept": self.kept,
            "reasons": self.reasons,
            "examples": self.examples,
            "bytes": {"in": self.bytes_in, "kept": self.bytes_kept},
            "scores": self.scores.to_json(),
        }


def merge(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same step of several shards as one."""
    total = Step(parts[0]["step"])
    for part in parts:
        total.seen += part["in"]
        total.kept += part["kept"]
        total.bytes_in += part["bytes"]["in"]
        total.bytes_kept += part["bytes"]["kept"]
        total.scores.merge(part["scores"])
        for reason, count in part["reasons"].items():
            total.reasons[reason] = total.reasons.get(reason, 0) + count
            shown = total.examples.setdefault(reason, [])
            shown += part["examples"].get(reason, [])[: _EXAMPLES - len(shown)]
    return total.to_json()


def _sound(document: Document) -> Document:
    """The document, or, where a lone surrogate keeps it from being written as UTF-8, a record of that.

    JSON can spell such characters (`\\ud800`), so files that are valid UTF-8 bring them.
    """
    try:
        f"{document.id}{document.text}{document.url or ''}".encode()
    except UnicodeEncodeError:
        name = document.id.encode("utf-8", "backslashreplace").decode()
        return Document(name, "", None, {**document.metadata, ERROR: "a lone surrogate, which is no valid Unicode"})
    return document


def shard_documents(source: DocumentSource, index: int, count: int) -> Iterator[Document]:
    """The documents of a shard, within its part of the source's limit."""
    documents = map(_sound, source.documents(Shard(index, count)))
    if source.limit is None:
        return documents
    share = source.limit // count + (index < source.limit % count)
    return islice(documents, share)


def filter_shard(
    source: DocumentSource,
    filters: Sequence[CorpusFilter],
    index: int,
    count: int,
    kept: Path,
    dropped: Path,
    record: Path,
) -> int:
    """Read a shard, judge its documents, and write kept ones, dropped ones and, last, the record of what was done.

    The record's first step is the reading; the others are the filters in their order.

    Returns:
        How many documents were read.
    """
    reading = Step("read")
    steps = [Step(each.name) for each in filters]
    passed: list[Document] = []
    out: list[Document] = []
    why: dict[str, list[Any]] = {"step": [], "reason": [], "score": []}
    size = 0

    def drop(document: Document, step: Step, reason: str, score: float | None) -> None:
        step.drop(document, reason)
        out.append(document)
        for key, value in (("step", step.name), ("reason", reason), ("score", score)):
            why[key].append(value)

    documents = shard_documents(source, index, count)
    while batch := list(islice(documents, _BATCH)):
        reading.seen += len(batch)
        alive = []
        for document in batch:
            size += len(document.text.encode("utf-8", "replace"))
            if ERROR in document.metadata:
                drop(document, reading, str(document.metadata[ERROR]), None)
            else:
                alive.append(document)
        reading.kept += len(alive)
        reading.bytes_in = size
        reading.bytes_kept += sum(len(document.text.encode("utf-8", "replace")) for document in alive)
        for each, step in zip(filters, steps, strict=True):
            verdicts = each.judge_batch(alive)
            step.count(alive, verdicts)
            for document, verdict in zip(alive, verdicts, strict=True):
                if not verdict.keep:
                    drop(document, step, verdict.reason or "dropped", verdict.score)
            alive = [document for document, verdict in zip(alive, verdicts, strict=True) if verdict.keep]
        passed += alive
    write_documents(kept, passed)
    import pyarrow as pa

    write_documents(
        dropped, out,
        step=pa.array(why["step"], pa.string()), reason=pa.array(why["reason"], pa.string()),
        score=pa.array(why["score"], pa.float64()),
    )  # fmt: skip
    write_json(
        record,
        {"read": {"documents": reading.seen, "bytes": size}, "steps": [step.to_json() for step in (reading, *steps)]},
    )
    return reading.seen
