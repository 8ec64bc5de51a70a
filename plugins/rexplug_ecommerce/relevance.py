"""Labels pages as about buying and selling, by rule; the rule's labels are weak, and the instruction is for a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from rexplug import Candidate, Labeller, LabellingContext
from rexplug_ecommerce.prompt import INSTRUCTION
from rexplug_ecommerce.shop_language import shop_language


class Retail(Labeller):
    """Relevance to retail by rule: weak labels where no language model can be asked, and the instruction for one.

    What speaks for it (pitches, customers' talk, merchandise, prices and the like) is weighed against what speaks against it
    (narrative, reports, code, textbooks), per 100 words; clear cases are labelled, and what lies between is left to the
    classifier. Words, weights and thresholds are our choice, set on the dev half of the sets in docs/benchmarks/relevance.md.
    `{use: llm, follow: ecommerce.retail, ...}` asks a model instead.
    """

    name: ClassVar[str] = "ecommerce.retail"

    relevant_from: float = 3.5
    """Balance per 100 words from which a page is relevant."""
    other_up_to: float = -0.5
    """Balance per 100 words up to which a page is not relevant."""
    min_words: Annotated[int, Field(ge=1)] = 12
    """Shorter pages are not labelled."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.other_up_to >= self.relevant_from:
            raise ValueError(
                f"`other_up_to` ({self.other_up_to}) must be less than `relevant_from` ({self.relevant_from})"
            )
        return self

    def instruction(self) -> str:
        """What a language model is told."""
        return INSTRUCTION

    def label(self, candidates: Sequence[Candidate], context: LabellingContext) -> list[bool | None]:
        """By rule, from the text alone."""
        return [self.by_rule(each.document.text) for each in candidates]

    def by_rule(self, text: str) -> bool | None:
        """True is relevant, False is not, None cannot be told."""
        found = shop_language(text)
        if found.words < self.min_words:
            return None
        if found.balance >= self.relevant_from:
            return True
        return False if found.balance <= self.other_up_to else None
