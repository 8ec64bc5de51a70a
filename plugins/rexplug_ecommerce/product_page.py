"""The filter that keeps pages that sell or describe products."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from rexplug import CorpusFilter, Document, Verdict
from rexplug_ecommerce.language_files import LanguageCodes, chosen
from rexplug_ecommerce.signals import signals

# Remains of bad extraction (tags, entities, unfilled templates) and of text decoded with the wrong encoding.
_REMAINS = re.compile(r"</?\w+[^<>]{0,80}>|&(?:nbsp|amp|quot|lt|gt);|\{\{|Ã[\x80-\xbf]|â€")


class ProductPage(CorpusFilter):
    """Keeps a page with the signals of product pages: prices, buying phrases, attribute labels, article numbers, measures.

    A rule, not a model: cheap, and every verdict can be explained. Our own choice of signals and thresholds. Phrases of 25
    languages count at once (`rexplug_ecommerce/languages`, a file for each), in a text in English those of English alone; case,
    accents, full-width letters and digits of other scripts make no difference. Chinese, Japanese and Thai words are those of ICU.
    """

    name: ClassVar[str] = "ecommerce.product_page"

    min_kinds: Annotated[int, Field(ge=1, le=5)] = 2
    """How many of the five kinds of signals a page must have."""
    min_density: Annotated[float, Field(ge=0)] = 1.5
    """Fewest signals per 100 words; prices and buying phrases count twice."""
    max_remains: Annotated[float, Field(ge=0)] = 4.0
    """Most remains of markup or wrong decoding per 100 words."""
    characters: Annotated[int, Field(gt=0)] = 20_000
    """Characters of a page that are examined, from its start."""
    languages: LanguageCodes = ()
    """Languages whose phrases count, as codes of ISO 639-1; all that have a file if empty."""
    phrases: tuple[Path, ...] = ()
    """Further files of phrases, of your own, as those in `rexplug_ecommerce/languages`."""

    def judge(self, document: Document) -> Verdict:
        """Reasons: `few product signals` (kinds), `thin product signals` (per 100 words), `broken text` (remains)."""
        text = document.text[: self.characters]
        counts = signals(text, self.languages, self.phrases)
        remains = 100 * len(_REMAINS.findall(text)) / max(1, counts.words)
        if remains > self.max_remains:
            return Verdict(False, "broken text", remains)
        if counts.kinds < self.min_kinds:
            return Verdict(False, "few product signals", float(counts.kinds))
        if counts.density < self.min_density:
            return Verdict(False, "thin product signals", counts.density)
        return Verdict(True, score=counts.density)

    def check(self) -> None:
        """Raises: DataError: a file of `phrases` cannot be read."""
        chosen(self.languages, self.phrases)
