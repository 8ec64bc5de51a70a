"""A model's answers on single items of an evaluator, to be read by people: `EvaluationResult.items`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document in the ranking of a query.

    An evaluator makes them for `EvaluatedItem.ranking`; those of `EvaluationContext.retrieval` are made already.
    """

    id: str
    """The document's id."""
    text: str
    """Its text."""
    grade: int | None = None
    """Its relevance for the query; None if it was not judged."""
    score: float | None = None
    """The model's score; None if the model did not rank it."""
    rank: int | None = None
    """Its place in the whole ranking, from 1; None if the model did not rank it."""


@dataclass(frozen=True, slots=True)
class MaskedWord:
    """A masked word of a text and what the model predicted in its place.

    An evaluator makes them for `EvaluatedItem.words`.
    """

    start: int
    """First character of the word in the text."""
    end: int
    """One past its last character."""
    predicted: str
    """The text that the model predicted."""
    correct: bool
    """Whether the prediction counts as right: it does if all its tokens are."""


@dataclass(frozen=True, slots=True)
class EvaluatedItem:
    """A model's answer on one item (a query, a text, a pair of texts).

    An evaluator makes one per item. The page `items.html` shows the items of several models side by side. Fields that are the same
    for every model (`text`, `second`, `part`, `expected`, `expected_spans`) are taken from the first model that has the item.
    """

    id: str
    """The item's id, the same for every model; an item whose id occurs a second time is not stored."""
    text: str
    """The query, the text, or the first text of a pair."""
    score: float
    """How good the model's answer is, the higher the better; a mean over fine-tunes where there are several. Differences
    between models are differences of it."""
    correct: bool | None = None
    """Whether the answer is right; None where answers are only better or worse."""
    second: str | None = None
    """The second text of a pair."""
    part: str = ""
    """The part of the data that the item belongs to, such as a source."""
    expected: str | float | None = None
    """The true class or degree."""
    predicted: str | float | None = None
    """The predicted class or degree."""
    ranking: Sequence[RankedDocument] | None = None
    """The first documents of a query, best first."""
    missed: Sequence[RankedDocument] = ()
    """Relevant documents that are not in `ranking`."""
    expected_spans: Sequence[tuple[int, int, str]] | None = None
    """True spans of the text: first character, one past the last, label."""
    predicted_spans: Sequence[tuple[int, int, str]] | None = None
    """Predicted spans of the text."""
    words: Sequence[MaskedWord] | None = None
    """Masked words of the text, in their order."""
