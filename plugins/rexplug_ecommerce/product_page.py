"""Keeps pages that sell or describe products."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from rexplug import CorpusFilter, Document, Verdict
from rexplug_ecommerce.signals import signals


class ProductPage(CorpusFilter):
    """Keeps a page by what product pages have: prices, buying phrases, attribute labels, article numbers, measures.

    A rule, not a model: cheap, and every verdict can be explained. Our own choice of signals and thresholds.
    """

    name: ClassVar[str] = "ecommerce.product_page"

    min_kinds: Annotated[int, Field(ge=1, le=5)] = 2
    """How many of the five kinds of signals a page must have."""
    min_density: Annotated[float, Field(ge=0)] = 1.5
    """Fewest signals per 100 words; prices and buying phrases count twice."""
    characters: Annotated[int, Field(gt=0)] = 20_000
    """How much of a page is looked at, from its start."""

    def judge(self, document: Document) -> Verdict:
        """Reasons: `few product signals` (too few kinds), `thin product signals` (too few per 100 words)."""
        found = signals(document.text[: self.characters])
        if found.kinds < self.min_kinds:
            return Verdict(False, "few product signals", float(found.kinds))
        if found.density < self.min_density:
            return Verdict(False, "thin product signals", found.density)
        return Verdict(True, score=found.density)
