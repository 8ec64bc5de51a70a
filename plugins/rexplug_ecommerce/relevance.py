"""Labels pages as about buying and selling, by rule; the rule's labels are weak, and the instruction is for a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from rexplug import Candidate, Labeller, LabellingContext
from rexplug_ecommerce.prompt import INSTRUCTION
from rexplug_ecommerce.signals import signals


class Retail(Labeller):
    """Relevance to retail by rule: weak labels where no language model can be asked, and the instruction for one.

    A page with several kinds of product signals in density (prices, calls to buy, attributes, model numbers, measures) is
    relevant, a page with next to none is not, and what lies between is left to the classifier. The rule and its thresholds are
    our choice; `{use: llm, follow: ecommerce.retail, ...}` asks a model instead.
    """

    name: ClassVar[str] = "ecommerce.retail"

    positive_density: Annotated[float, Field(gt=0)] = 4.0
    """Product signals per 100 words from which a page (with three kinds of them) is relevant."""
    negative_density: Annotated[float, Field(ge=0)] = 0.5
    """Product signals per 100 words up to which a page (with one kind at most) is not relevant."""

    def instruction(self) -> str:
        """What a language model is told."""
        return INSTRUCTION

    def label(self, candidates: Sequence[Candidate], context: LabellingContext) -> list[bool | None]:
        """By rule, from the text alone."""
        return [self.by_rule(each.document.text) for each in candidates]

    def by_rule(self, text: str) -> bool | None:
        """True is relevant, False is not, None cannot be told."""
        found = signals(text)
        if found.kinds >= 3 and found.density >= self.positive_density:
            return True
        if found.words >= 30 and found.kinds <= 1 and found.density <= self.negative_density:
            return False
        return None
