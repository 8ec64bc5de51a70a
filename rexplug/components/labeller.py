"""Labellers: say which documents belong to the vertical; the relevance classifier is trained on their labels."""

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
    """A document to label.

    rexplug makes them before curation: of each source under `relevance.sources` it samples `relevance.documents` documents that
    pass the filters before `relevance`, cuts their texts at `relevance.characters`, and leaves out repetitions. If the labeller has
    documents of its own (`own_documents`), all of these are the candidates.
    """

    source: str
    """The recipe's source that the document comes from; `labels` if it is the labeller's own."""
    document: Document
    """The document to label."""


@dataclass(frozen=True, slots=True)
class LabellingContext:
    """The data that a labeller gets besides the candidates.

    rexplug makes one for each training of the relevance classifier; the labeller and the one that audits it get the same.
    """

    folder: Path
    """Outlives the stage: the place for answers that cost money or time."""
    seed: int
    """The recipe's seed, for all random choices."""
    progress: Progress
    """Reports progress to the user (`rexplug.api.Progress`): `progress.start("ask the model")` names what begins now."""


class Labeller(Component):
    """Labels candidates as relevant to the vertical, not relevant, or undecided.

    It is called once in a run, before curation, with all candidates. A classifier learns from the labels, and the filter
    `relevance` applies it to every document.
    """

    kind: ClassVar[str] = "labeller"

    @abstractmethod
    def label(self, candidates: Sequence[Candidate], context: LabellingContext) -> list[bool | None]:
        """One label per candidate, in order: True for relevant, False for not relevant, None for undecided (not trained on)."""

    def instruction(self) -> str | None:
        """A prompt for a language model to answer `yes` or `no` for a document; None if the labeller has none."""
        return None

    def own_documents(self) -> Iterator[Document] | None:
        """Documents of the labeller's own (a file of labelled texts); None to sample candidates from the recipe's sources."""
        return None

    def labelled_ids(self) -> frozenset[str] | None:
        """Ids of the documents that can be labelled, from which alone candidates are sampled; None for any document."""
        return None

    def inputs(self) -> Sequence[Path]:
        """The files that the labeller reads; a change in them makes a run label again."""
        return ()

    def check(self) -> None:
        """Check that labelling can start; `rexplug check` and `run` call this first.

        Raises:
            DataError: a file, a key or a package is missing.
        """
