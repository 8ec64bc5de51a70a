"""Filters with the rules of Gopher (Rae et al. 2021, arXiv 2112.11446), vectorised, with the decisions of datatrove's filters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from rexplug.components import Document, Verdict
from rexplug.corpus.filters.by_language import ByLanguage

_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_PARAGRAPHS = re.compile(r"\n{2,}")
_LINES = re.compile(r"\n+")
# English has those of datatrove's filter, for equal decisions.
_ENGLISH_BULLETS, _BULLETS = ("•", "-"), ("•", "-", *"*·・･ㆍ●○■□◆◇▪▫▶★※")
_ENGLISH_ELLIPSES, _ELLIPSES = ("...", "…"), ("...", "…", "⋯", "。。。", "・・・")


class GopherQuality(ByLanguage):
    """Rae et al. 2021 (Gopher, appendix A.1.1): words, symbols, bullets and ellipses, stop words. A limit of 0 is off.

    The defaults below are those for English; for another `language`, lengths of words, the share of words with a letter and
    stop words have the values of FineWeb-2 (Penedo et al. 2025, arXiv 2506.20920).
    """

    name: ClassVar[str] = "quality.gopher"

    min_words: int = Field(default=50, ge=0)
    """Fewest words that are not symbols."""
    max_words: int = Field(default=100_000, ge=0)
    """Most words that are not symbols."""
    min_average_word_length: float = 3
    """Mean length of words, at least."""
    max_average_word_length: float = 10
    """Mean length of words, at most."""
    max_symbol_ratio: float = 0.1
    """Share of # and of ellipses among the words, at most."""
    max_bullet_lines: float = 0.9
    """Share of lines that begin with a bullet, at most."""
    max_ellipsis_lines: float = 0.3
    """Share of lines that end in an ellipsis, at most."""
    min_alphabetic_words: float = 0.8
    """Share of words with a letter, at least."""
    min_stop_words: int = 2
    """How many of `stop_words` must occur."""
    stop_words: tuple[str, ...] = _STOP_WORDS
    """Words that running text has."""

    def judge(self, document: Document) -> Verdict:
        """Reasons as datatrove names them, e.g. `gopher_short_doc`; `empty` where no word is left to measure."""
        from rexplug.corpus.text_statistics import text_statistics_of

        statistics, text = text_statistics_of(document), document.text
        num_words, num_non_symbols = len(statistics.words), statistics.num_non_symbols
        if self.min_words and num_non_symbols < self.min_words:
            return Verdict(False, "gopher_short_doc")
        if self.max_words and num_non_symbols > self.max_words:
            return Verdict(False, "gopher_long_doc")
        if not num_words:
            return Verdict(False, "empty")
        if num_non_symbols:
            average = statistics.non_symbol_characters / num_non_symbols
            if self.min_average_word_length and average < self.min_average_word_length:
                return Verdict(False, "gopher_below_avg_threshold")
            if self.max_average_word_length and average > self.max_average_word_length:
                return Verdict(False, "gopher_above_avg_threshold")
        if self.max_symbol_ratio and text.count("#") / num_words > self.max_symbol_ratio:
            return Verdict(False, "gopher_too_many_hashes")
        if self.max_symbol_ratio and sum(map(text.count, self._ellipses)) / num_words > self.max_symbol_ratio:
            return Verdict(False, "gopher_too_many_ellipsis")
        if reason := self._lines(text.splitlines()):
            return Verdict(False, reason)
        if self.min_alphabetic_words and statistics.num_with_letter / num_words < self.min_alphabetic_words:
            return Verdict(False, "gopher_below_alpha_threshold")
        if self.min_stop_words and len(set(self.stop_words).intersection(statistics.words)) < self.min_stop_words:
            return Verdict(False, "gopher_enough_stop_words")
        return Verdict(True)

    @property
    def _ellipses(self) -> tuple[str, ...]:
        return _ENGLISH_ELLIPSES if self.language == "en" else _ELLIPSES

    def _lines(self, lines: Sequence[str]) -> str:
        marks = _ENGLISH_BULLETS if self.language == "en" else _BULLETS
        bullets = sum(line.lstrip().startswith(marks) for line in lines)
        if self.max_bullet_lines and bullets / len(lines) > self.max_bullet_lines:
            return "gopher_too_many_bullets"
        ellipses = sum(line.rstrip().endswith(self._ellipses) for line in lines)
        if self.max_ellipsis_lines and ellipses / len(lines) > self.max_ellipsis_lines:
            return "gopher_too_many_end_ellipsis"
        return ""


class GopherRepetition(ByLanguage):
    """Rae et al. 2021 (Gopher, table A1): repeated lines, paragraphs and n-grams. A limit of 0 is off.

    The defaults below are those for English; for another `language` they are those of FineWeb-2 (Penedo et al. 2025, arXiv
    2506.20920), which turns the limits for paragraphs and for characters in lines off.
    """

    name: ClassVar[str] = "quality.repetition"

    max_duplicate_lines: float = 0.3
    """Share of lines that repeat another, at most."""
    max_duplicate_paragraphs: float = 0.3
    """Share of paragraphs that repeat another, at most."""
    max_duplicate_line_characters: float = 0.2
    """Share of characters in repeated lines, at most."""
    max_duplicate_paragraph_characters: float = 0.2
    """Share of characters in repeated paragraphs, at most."""
    max_top_ngram: dict[int, float] = Field(default={2: 0.2, 3: 0.18, 4: 0.16})
    """For each n, the share of characters in the most frequent n-gram, at most."""
    max_duplicate_ngrams: dict[int, float] = Field(default={5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10})
    """For each n, the share of characters in n-grams that occurred before, at most."""

    def judge(self, document: Document) -> Verdict:
        """Reasons as datatrove names them, e.g. `dup_line_frac`, `top_2_gram`, `duplicated_5_n_grams`, `empty`."""
        from rexplug.corpus.text_statistics import text_statistics_of

        text = document.text
        if not text:
            return Verdict(False, "empty")
        paragraphs = _PARAGRAPHS.split(text.strip())
        number, characters = duplicates(paragraphs)
        if self.max_duplicate_paragraphs and number / len(paragraphs) > self.max_duplicate_paragraphs:
            return Verdict(False, "dup_para_frac")
        limit = self.max_duplicate_paragraph_characters
        if limit and characters / len(text) > limit:
            return Verdict(False, "dup_para_char_frac")
        lines = _LINES.split(text)
        number, characters = duplicates(lines)
        if self.max_duplicate_lines and number / len(lines) > self.max_duplicate_lines:
            return Verdict(False, "dup_line_frac")
        if self.max_duplicate_line_characters and characters / len(text) > self.max_duplicate_line_characters:
            return Verdict(False, "dup_line_char_frac")
        statistics = text_statistics_of(document)
        for n, share in self.max_top_ngram.items():
            if share and statistics.most_frequent_ngram_characters(n) / len(text) > share:
                return Verdict(False, f"top_{n}_gram")
        for n, share in self.max_duplicate_ngrams.items():
            if share and statistics.repeated_ngrams_exceed(n, share):
                return Verdict(False, f"duplicated_{n}_n_grams")
        return Verdict(True)


def duplicates(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts repeat an earlier part, and the characters in them."""
    if len(set(parts)) == len(parts):
        return 0, 0
    seen: set[str] = set()
    number = characters = 0
    for part in parts:
        if part in seen:
            number += 1
            characters += len(part)
        else:
            seen.add(part)
    return number, characters
