"""The filter of spam: stuffed keywords, repeated lines, terms of casino, pharmacy, adult and loan spam."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, ClassVar

from pydantic import Field

from rexplug import CorpusFilter, Document, Verdict
from rexplug_ecommerce.pages.word_lists import words as word_list

_TERMS = re.compile(
    r"\b(?:casinos?|jackpot|roulette|free spins|slot machines?|sports betting|viagra|cialis|tramadol|no prescription|"
    r"buy pills|xxx|porn\w*|adult webcam|hot singles|escorts?|payday loans?|make money fast|get rich|"
    r"guaranteed income|click here now|replica (?:watches|bags)|crypto giveaway)\b"
)
# Every term contains one of these; searching for them first is faster than matching everywhere.
_PARTS = (
    "casino", "jackpot", "roulette", "free spins", "slot machine", "betting", "viagra", "cialis", "tramadol",
    "prescription", "pills", "xxx", "porn", "webcam", "singles", "escort", "payday", "money fast", "get rich", "income",
    "click here", "replica", "giveaway",
)  # fmt: skip
_WORD = re.compile(r"[^\W_]+")
_FIRST = 5_000
"""Characters in which the first 500 words of most texts are."""
# Words that ordinary pages repeat.
_COMMON = frozenset(
    word_list(
        """
        the of and a to in is it for with on that this as are was be by at from or an not you your we our have has but
        can will its their they he she his her i my all if which more one no so up out do does yes q
        """
    )
)

Share = Annotated[float, Field(ge=0, le=1)]


class Spam(CorpusFilter):
    """Drops pages with repeated lines, stuffed keywords or terms of casino, pharmacy, adult and loan spam."""

    name: ClassVar[str] = "ecommerce.spam"

    max_repeated_lines: Share = 0.4
    """Largest share of the lines that repeat an earlier line; checked from 8 lines on."""
    max_top_word: Share = 0.12
    """Largest share of the words that one word may have, apart from common words and numbers; checked from 40 words on."""
    min_distinct: Share = 0.12
    """Smallest share of different words among the first 500; checked from 40 words on."""
    max_terms: Annotated[float, Field(ge=0)] = 1.0
    """Most spam terms per 100 words."""

    def judge(self, document: Document) -> Verdict:
        """Reasons: `repeated lines`, `spam terms`, `few distinct words`, `stuffed keywords`."""
        text = document.text
        lines = [line for line in (line.strip() for line in text.splitlines()) if line]
        if len(lines) >= 8 and (share := 1 - len(set(lines)) / len(lines)) > self.max_repeated_lines:
            return Verdict(False, "repeated lines", share)
        lower = text.lower()
        matches = _TERMS.findall(lower) if any(part in lower for part in _PARTS) else []
        # A page that is not about spam may still quote a term or two.
        if len(set(matches)) > 1 and (terms := 100 * len(matches) / len(_WORD.findall(text))) > self.max_terms:
            return Verdict(False, "spam terms", terms)
        words = _WORD.findall(text, 0, _FIRST)
        if len(words) <= 500 and len(text) > _FIRST:  # the last of them may be cut
            words = _WORD.findall(text)
        first = [word.lower() for word in words[:500]]
        if len(first) < 40:
            return Verdict(True)
        if (distinct := len(set(first)) / len(first)) < self.min_distinct:
            return Verdict(False, "few distinct words", distinct)
        counts = Counter(word for word in first if word not in _COMMON and not word[0].isdigit())
        if counts and (share := counts.most_common(1)[0][1] / len(first)) > self.max_top_word:
            return Verdict(False, "stuffed keywords", share)
        return Verdict(True)
