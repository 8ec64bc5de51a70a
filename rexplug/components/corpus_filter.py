"""Keep or drop documents."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from rexplug.components.base import Component
from rexplug.components.document import Document


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a filter decided: `keep`, and the `reason` when it does not. Reasons become statistics: keep them few.

    A filter that also mends documents returns the new text of a kept one as `text`: what comes after sees it.
    """

    keep: bool
    reason: str = ""
    score: float | None = None
    text: str | None = None


@dataclass(frozen=True)
class CorpusSample:
    """Documents for components that learn from the corpus before they work.

    `documents` maps each source to its documents and can be iterated more than once; `folder` is where what was
    learnt may be written; `seed` is the recipe's.
    """

    documents: Mapping[str, Iterable[Document]]
    folder: Path
    seed: int


class CorpusFilter(Component):
    """Judges documents one by one."""

    kind: ClassVar[str] = "corpus filter"

    @property
    def step_name(self) -> str:
        """What statistics and files of dropped documents call the filter: `name`, unless one class stands for several filters."""
        return self.name

    @abstractmethod
    def judge(self, document: Document) -> Verdict:
        """Keep the document, or drop it with a reason; a changed text is returned, never written into the document."""

    def judge_batch(self, documents: Sequence[Document]) -> list[Verdict]:
        """Judge several at once; override where that is faster. Same verdicts as one by one."""
        return [self.judge(document) for document in documents]

    def check(self) -> None:
        """Look whether what the filter needs (a model, a list, a package) is there; `check` and `run` call this first.

        Raises:
            DataError: it is not; the message says what to install or where to point.
        """

    def fit(self, corpus: CorpusSample) -> Self:
        """Learn from unfiltered documents of the sources that use this filter; returns the filter that judges.

        Called once per distinct filter before curation. The default learns nothing.
        """
        return self
