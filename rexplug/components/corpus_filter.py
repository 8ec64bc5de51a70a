"""Corpus filters: keep or drop documents."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from rexplug.components.base import Component
from rexplug.components.document import Document


@dataclass(frozen=True, slots=True)
class Verdict:
    """A filter's decision on a document.

    A filter makes one for every document that reaches it. Filters that come later do not see a document that is dropped; the run
    counts it by filter and reason, and stores it with its score for `rexplug corpus`.
    """

    keep: bool
    """Whether the document is kept."""
    reason: str = ""
    """Why it is dropped. Documents are counted by reason, 200 of them one by one and others together: a filter should have few."""
    score: float | None = None
    """The score that the decision is based on, a finite number, if there is one; kept with dropped documents."""
    text: str | None = None
    """A changed text of a kept document, which later filters and training see."""
    metadata: Mapping[str, Any] | None = None
    """Fields to set in the metadata of a kept document, as JSON can be written; a field that is None is removed."""

    def applied(self, document: Document) -> Document:
        """The document with the text and metadata of this verdict."""
        if self.text is not None and self.text != document.text:
            document = replace(document, text=self.text)
        if self.metadata:
            fields = {**document.metadata, **self.metadata}
            document = replace(document, metadata={key: value for key, value in fields.items() if value is not None})
        return document


@dataclass(frozen=True)
class CorpusSample:
    """Documents from which a component learns before it works.

    rexplug makes one for each call of `fit`, once in a run: for a filter before curation, with the unfiltered documents of the
    sources that use it; for a salience scorer before tokenization, with the kept documents of every source.
    """

    documents: Mapping[str, Iterable[Document]]
    """Source -> its documents, read while they are iterated over, which may be done more than once: take as many as needed
    (`itertools.islice`) and keep counts, not documents. Filters get them from eight places of the source in turn."""
    folder: Path
    """Where the component may write what it learnt."""
    seed: int
    """The recipe's seed, for all random choices."""


class CorpusFilter(Component):
    """Decides for each document whether it is kept.

    Curation calls it in worker processes, for documents in any order: a verdict depends on the document and the filter's options
    alone, not on earlier calls.
    """

    kind: ClassVar[str] = "corpus filter"

    @property
    def step_name(self) -> str:
        """The filter's name in statistics and files of dropped documents: `name`, unless one class implements several filters."""
        return self.name

    @abstractmethod
    def judge(self, document: Document) -> Verdict:
        """Keep the document, or drop it with a reason. The document itself is not changed; see `Verdict.text`."""

    def judge_batch(self, documents: Sequence[Document]) -> list[Verdict]:
        """The verdicts on several documents, in order. Override it where that is faster; verdicts must be those of `judge`."""
        return [self.judge(document) for document in documents]

    def check(self) -> None:
        """Check that what the filter needs (a model, a list, a package) is available; `rexplug check` and `run` call this first.

        Raises:
            DataError: it is not; the message says what to install or which path to correct.
        """

    def fit(self, corpus: CorpusSample) -> Self:
        """Learn from unfiltered documents of the sources that use this filter; returns the filter to use.

        Called once per distinct filter before curation. The filter is stored as its options and made from them in the worker
        processes: what it learns must be in options (`self.model_copy(update={...})`), where it is large as the path of a file in
        `corpus.folder`. The default learns nothing and returns the filter itself.
        """
        return self
