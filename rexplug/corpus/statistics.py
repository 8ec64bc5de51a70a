"""Statistics of the steps of curation: documents and bytes in and out, reasons with examples, scores, changed texts, seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rexplug.components import Document
from rexplug.corpus.histogram import Histogram

_EXAMPLES = 3
_EXCERPT = 200
_MOST_REASONS = 200
"""Reasons of a step that are counted one by one. A filter may well put a number of each document into its reasons."""
OTHER = "other reasons"
"""What documents with further ones are counted under; the files of the dropped documents have each one's own."""


@dataclass
class StepStatistics:
    """The statistics of one step over one shard, or over all shards once merged."""

    name: str
    seen: int = 0
    kept: int = 0
    bytes_seen: int = 0
    bytes_kept: int = 0
    changed: int = 0
    replaced: dict[str, int] = field(default_factory=lambda: {"documents": 0, "characters": 0})
    """Documents that hold U+FFFD, which stands for bytes that their charset does not know, and how often they do."""
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    scores: Histogram = field(default_factory=Histogram)

    def keep(self, document: Document, after: Document | None = None) -> None:
        """Count a kept document; `after` is the document as the step changed it."""
        size = len(document.text.encode())
        self.seen += 1
        self.kept += 1
        self.bytes_seen += size
        if after is None or after is document:
            self.bytes_kept += size
        else:
            self.changed += 1
            self.bytes_kept += len(after.text.encode())

    def count_replaced(self, document: Document) -> None:
        """Count the replacement characters in the text of a document."""
        if count := document.text.count("\ufffd"):
            self.replaced["documents"] += 1
            self.replaced["characters"] += count

    def keep_many(self, num_documents: int, num_bytes: int) -> None:
        """Count kept documents that the step did not change."""
        self.seen += num_documents
        self.kept += num_documents
        self.bytes_seen += num_bytes
        self.bytes_kept += num_bytes

    def drop(self, document: Document, reason: str) -> None:
        """Count a dropped document."""
        self.seen += 1
        self.bytes_seen += len(document.text.encode())
        reason = self._counted_under(reason)
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append({"id": document.id, "text": document.text[:_EXCERPT]})

    def add_reason(self, reason: str, count: int, examples: Sequence[dict[str, str]]) -> None:
        """Count dropped documents of another part of the corpus."""
        reason = self._counted_under(reason)
        self.reasons[reason] = self.reasons.get(reason, 0) + count
        known = self.examples.setdefault(reason, [])
        known += examples[: _EXAMPLES - len(known)]

    def _counted_under(self, reason: str) -> str:
        return reason if reason in self.reasons or len(self.reasons) < _MOST_REASONS else OTHER

    def to_json(self) -> dict[str, Any]:
        """The step's entry in `statistics.json`."""
        return {
            "step": self.name,
            "in": self.seen,
            "kept": self.kept,
            "bytes": {"in": self.bytes_seen, "kept": self.bytes_kept},
            "changed": self.changed,
            "replaced": self.replaced,
            "seconds": round(self.seconds, 3),
            "reasons": self.reasons,
            "examples": self.examples,
            "scores": self.scores.to_json(),
        }


class MergedSteps:
    """Adds up the entries of the steps of many shards, one shard at a time: memory does not grow with their number."""

    def __init__(self) -> None:
        self._totals: list[StepStatistics] = []

    def add(self, entries: Sequence[dict[str, Any]]) -> None:
        """Add the steps of a shard, which are the same for all shards.

        Steps are matched by position, not by name: a source may use one filter twice.
        """
        if not self._totals:
            self._totals = [StepStatistics(entry["step"]) for entry in entries]
        for total, part in zip(self._totals, entries, strict=True):
            _add(total, part)

    def to_json(self) -> list[dict[str, Any]]:
        """The entries in `statistics.json`."""
        return [total.to_json() for total in self._totals]


def _add(total: StepStatistics, part: dict[str, Any]) -> None:
    total.seen += part["in"]
    total.kept += part["kept"]
    total.bytes_seen += part["bytes"]["in"]
    total.bytes_kept += part["bytes"]["kept"]
    total.changed += part["changed"]
    for name in total.replaced:
        total.replaced[name] += part["replaced"][name]
    total.seconds += part["seconds"]
    for reason, count in part["reasons"].items():
        total.add_reason(reason, count, part["examples"].get(reason, []))
    total.scores.merge(part["scores"])
