"""The filter of spam: stuffed keywords, repeated lines, terms of casino, pharmacy, adult and loan spam."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from rexplug import CorpusFilter, Document, Verdict, lower_words
from rexplug_ecommerce.language_files import LanguageCodes, built_in, chosen
from rexplug_ecommerce.phrases import finder_for, text_language

Share = Annotated[float, Field(ge=0, le=1)]


class Spam(CorpusFilter):
    """Drops pages with repeated lines, stuffed keywords or terms of casino, pharmacy, adult and loan spam, in 25 languages.

    In a text in English only English terms count. Words that do not count as keywords are the common words of English and of the
    language with most common words in the text, or of all `languages` if the text has too few of them to tell. Terms, common
    words and thresholds are our choice.
    """

    name: ClassVar[str] = "ecommerce.spam"

    max_repeated_lines: Share = 0.4
    """Largest share of the lines that repeat an earlier line; checked from 8 lines on."""
    max_top_word: Share = 0.12
    """Largest share of the words that one word may have, apart from common words and numbers; checked from 40 words on."""
    min_distinct: Share = 0.12
    """Smallest share of different words among the first 500; checked from 40 words on."""
    max_terms: Annotated[float, Field(ge=0)] = 1.0
    """Most spam terms per 100 words."""
    languages: LanguageCodes = ()
    """Languages whose spam terms and common words count, as codes of ISO 639-1; all that have a file if empty."""
    phrases: tuple[Path, ...] = ()
    """Further files of phrases, of your own, as those in `rexplug_ecommerce/languages`."""

    def judge(self, document: Document) -> Verdict:
        """Reasons: `repeated lines`, `spam terms`, `few distinct words`, `stuffed keywords`."""
        text = document.text
        lines = [line for line in (line.strip() for line in text.splitlines()) if line]
        if len(lines) >= 8 and (share := 1 - len(set(lines)) / len(lines)) > self.max_repeated_lines:
            return Verdict(False, "repeated lines", share)
        words = lower_words(text.replace("_", " "))
        if not words:
            return Verdict(True)
        matches = [term.text for term in finder_for(text, self.languages, self.phrases, ("spam",)).find(text)]
        terms = 100 * len(matches) / len(words)
        # A page that is not about spam may still quote a term or two.
        if terms > self.max_terms and len(set(matches)) > 1:
            return Verdict(False, "spam terms", terms)
        if len(words) < 40:
            return Verdict(True)
        first = words[:500]
        if (distinct := len(set(first)) / len(first)) < self.min_distinct:
            return Verdict(False, "few distinct words", distinct)
        if (share := _top_word(first, built_in("en").common_words)) > self.max_top_word:
            share = _top_word(first, self._common_words(first))
        if share > self.max_top_word:
            return Verdict(False, "stuffed keywords", share)
        return Verdict(True)

    def check(self) -> None:
        """Raises: DataError: a file of `phrases` cannot be read."""
        chosen(self.languages, self.phrases)

    def _common_words(self, words: Sequence[str]) -> frozenset[str]:
        """The common words of the language of a text with `words`, and those of the user's files."""
        named = self.languages or ("en",)
        language = text_language(words)
        codes = named if language is None else (language,)
        own = chosen(named, self.phrases)[len(named) :]
        return frozenset().union(*(each.common_words for each in (*map(built_in, codes), *own)))


def _top_word(words: Sequence[str], common: frozenset[str]) -> float:
    """The share of the most frequent word that is neither a number nor one of the common words."""
    counts = Counter(word for word in words if word not in common and not word[0].isdigit())
    return counts.most_common(1)[0][1] / len(words) if counts else 0.0
