"""The filter by length."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from rexplug.components import CorpusFilter, Document, Quantity, Verdict
from rexplug.text.words import count_words


class Length(CorpusFilter):
    """Keep documents of a reasonable length, in words and in characters.

    Words are those of `rexplug.text.words`, which divides all scripts, those without spaces between words included.
    """

    name: ClassVar[str] = "length"

    min_words: int = Field(default=1, ge=0)
    """Smallest number of words."""
    max_words: Annotated[Quantity, Field(gt=0)] | None = None
    """Largest number of words; no limit if left out."""
    min_characters: Quantity = 0
    """Smallest number of characters."""
    max_characters: Quantity | None = None
    """Largest number of characters; no limit if left out."""

    def judge(self, document: Document) -> Verdict:
        """Reasons: `too short`, `too long`; the score is the number of words."""
        words = count_words(document.text)
        characters = len(document.text)
        if words < self.min_words or characters < self.min_characters:
            return Verdict(False, "too short", words)
        if self.max_words is not None and words > self.max_words:
            return Verdict(False, "too long", words)
        if self.max_characters is not None and characters > self.max_characters:
            return Verdict(False, "too long", words)
        return Verdict(True, score=words)
