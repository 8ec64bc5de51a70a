"""Says which documents belong to the vertical; the relevance classifier learns from these labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rexplug.components.base import Component
from rexplug.components.document import Document
from rexplug.progress import Progress


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document that may be labelled, and the source in the recipe that it comes from."""

    source: str
    document: Document


@dataclass(frozen=True, slots=True)
class LabellingContext:
    """What a labeller gets besides the candidates.

    `folder` outlives the stage: answers that cost money or time are kept there; `seed` is the recipe's.
    """

    folder: Path
    seed: int
    progress: Progress


class Labeller(Component):
    """Labels a sample of candidates as relevant to the vertical, not relevant, or neither."""

    kind: ClassVar[str] = "labeller"

    @abstractmethod
    def label(self, candidates: Sequence[Candidate], context: LabellingContext) -> list[bool | None]:
        """One label per candidate: True is relevant, False is not, None cannot be told and teaches nothing."""

    def instruction(self) -> str | None:
        """What to tell a language model, so that it answers `yes` or `no` for a document; None if there is no such text."""
        return None

    def own_documents(self) -> Iterator[Document] | None:
        """Documents that the labeller brings itself (a file of labelled texts); None: they are drawn from the sources."""
        return None

    def labelled_ids(self) -> frozenset[str] | None:
        """Ids of the documents that can be labelled; None: any. The sample is drawn from these alone."""
        return None

    def inputs(self) -> Sequence[Path]:
        """The files that the labeller reads, so that a change in them is noticed."""
        return ()

    def check(self) -> None:
        """Look whether labelling can start; `rexplug check` and `run` call this first.

        Raises:
            DataError: a file, a key or a package is missing.
        """
