"""The filter by relevance: keep or drop by the probability that the classifier gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rexplug.components import CorpusFilter, Document, DocumentSource, Verdict
from rexplug.corpus.fasttext_package import require_fasttext
from rexplug.errors import DataError

Bound = Annotated[float, Field(ge=0, le=1)] | Literal["chosen"]


class RelevanceFilter(CorpusFilter):
    """Keeps or drops documents by how probably they are relevant to the vertical.

    The classifier is the one that the recipe's `relevance` block trains, or a fastText `model` of yours. Give `at_least` for
    the vertical's own source and `below` for the general one. `chosen` is the threshold that the block chose on its dev split.
    """

    name: ClassVar[str] = "relevance"

    at_least: Bound | None = None
    """Keep documents with at least this probability of being relevant: a number or `chosen`."""
    below: Bound | None = None
    """Keep documents with a smaller probability than this: a number or `chosen`."""
    model: Path | None = None
    """A trained fastText model (.bin or .ftz) instead of the `relevance` block; the same text preparation is applied."""
    label: str = "relevant"
    """The label in the model that means relevant."""
    characters: Annotated[int, Field(gt=0)] = 4000
    """Characters of a document that are classified, from its start; with a trained block, the block's option decides."""

    @model_validator(mode="after")
    def _has_threshold(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("write `at_least` or `below`, or both; without a threshold nothing would be dropped")
        bounds = (self.at_least, self.below)
        if self.at_least == self.below == "chosen" or (
            isinstance(bounds[0], float) and isinstance(bounds[1], float) and bounds[0] >= bounds[1]
        ):
            raise ValueError(f"`at_least` ({self.at_least}) must be smaller than `below` ({self.below}): nothing fits")
        if self.model is not None and "chosen" in bounds:
            raise ValueError("`chosen` is the threshold of the `relevance` block; with a `model` write a number")
        return self

    def inputs(self) -> Sequence[Path]:
        """The model, if it is given."""
        return () if self.model is None else (self.model,)

    def check(self) -> None:
        """fastText must be installed; a given model must exist and have the label.

        Raises:
            DataError: fastText is missing, or the model does not exist, is not a fastText model or lacks the label.
        """
        require_fasttext()
        if self.model is not None:
            from rexplug.corpus.relevance.fasttext import probability

            probability(self.model, "x", self.label)

    def trained(self, model: Path, threshold: float, characters: int) -> Self:
        """The filter with the classifier of the `relevance` block."""
        bounds = {name: threshold for name in ("at_least", "below") if getattr(self, name) == "chosen"}
        return self.model_copy(update={**bounds, "model": model, "label": "relevant", "characters": characters})

    def probability(self, text: str) -> float:
        """The probability that `text` is relevant.

        Raises:
            DataError: there is neither a trained block nor a `model`.
        """
        from rexplug.corpus.relevance.fasttext import normalised, probability

        if self.model is None:
            raise DataError(
                "relevance: there is no classifier; write a `relevance` block, or give the filter a `model`"
            )
        return probability(self.model, normalised(text[: self.characters]), self.label)

    def judge(self, document: Document) -> Verdict:
        """Reasons: `relevance too low` (less than `at_least`), `relevance too high` (not `below`); the score is the probability."""
        score = self.probability(document.text)
        if self.at_least is not None and score < float(self.at_least):
            return Verdict(False, "relevance too low", score)
        if self.below is not None and score >= float(self.below):
            return Verdict(False, "relevance too high", score)
        return Verdict(True, score=score)


def sources_to_classify(sources: Mapping[str, DocumentSource]) -> tuple[str, ...]:
    """The sources that use the filter `relevance` without a model of its own."""
    return tuple(
        name
        for name, source in sources.items()
        if any(
            corpus_filter.name == "relevance" and getattr(corpus_filter, "model", None) is None
            for corpus_filter in source.filters
        )
    )
