"""The labeller of relevance to retail: weak labels by rule, and the instruction for a language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from rexplug import Candidate, Labeller, LabellingContext
from rexplug_ecommerce.language_files import LanguageCodes, chosen
from rexplug_ecommerce.prompt import INSTRUCTION
from rexplug_ecommerce.shop_language import shop_language


class Retail(Labeller):
    """Labels relevance to retail by rule, for use without a language model; also holds the instruction for one.

    Signs of retail (pitches, phrases of customers, merchandise, prices and the like) are weighed against signs of other text
    (narrative, reports, code, textbooks), per 100 words; clear cases are labelled, the others are left to the classifier. Words,
    weights and thresholds are our choice, set on the dev half of the sets in docs/benchmarks/relevance.md, which are English; for
    the other languages (`rexplug_ecommerce/languages`) they have been tried on a few pages each, so measure them on your own.
    `{use: llm, follow: ecommerce.retail, ...}` asks a model instead.
    """

    name: ClassVar[str] = "ecommerce.retail"

    relevant_from: float = 3.5
    """Balance per 100 words from which a page is relevant."""
    other_up_to: float = -0.5
    """Balance per 100 words up to which a page is not relevant."""
    min_words: Annotated[int, Field(ge=1)] = 12
    """Shorter pages are not labelled."""
    languages: LanguageCodes = ()
    """Languages whose phrases count, as codes of ISO 639-1; all that have a file if empty."""
    phrases: tuple[Path, ...] = ()
    """Further files of phrases, of your own, as those in `rexplug_ecommerce/languages`."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.other_up_to >= self.relevant_from:
            raise ValueError(
                f"`other_up_to` ({self.other_up_to}) must be less than `relevant_from` ({self.relevant_from})"
            )
        return self

    def instruction(self) -> str:
        """The instruction for a language model."""
        return INSTRUCTION

    def check(self) -> None:
        """Raises: DataError: a file of `phrases` cannot be read."""
        chosen(self.languages, self.phrases)

    def label(self, candidates: Sequence[Candidate], context: LabellingContext) -> list[bool | None]:
        """The labels by the rule, from the texts alone."""
        return [self.by_rule(candidate.document.text) for candidate in candidates]

    def by_rule(self, text: str) -> bool | None:
        """True if relevant, False if not, None if the rule cannot decide."""
        counts = shop_language(text, self.languages, self.phrases)
        if counts.words < self.min_words:
            return None
        if counts.balance >= self.relevant_from:
            return True
        return False if counts.balance <= self.other_up_to else None
