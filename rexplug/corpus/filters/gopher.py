"""The rules of Gopher (Rae et al. 2021, arXiv 2112.11446) with datatrove's decisions, vectorised."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from rexplug.components import CorpusFilter, Document, Verdict
from rexplug.corpus.text_statistics import LETTER, SHOWS, TextStatistics, text_statistics_of

_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_PARAGRAPHS = re.compile(r"\n{2,}")
_LINES = re.compile(r"\n+")
_TRUE = np.ones(1, np.bool_)


class GopherQuality(CorpusFilter):
    """Rae et al. 2021 (Gopher, appendix A.1.1): words, symbols, bullets and ellipses, stop words. A limit of 0 is off."""

    name: ClassVar[str] = "quality.gopher"

    min_words: int = Field(default=50, ge=0)
    """Fewest words that are no symbols."""
    max_words: int = Field(default=100_000, ge=0)
    """Most words that are no symbols."""
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
        analysis, text = text_statistics_of(document), document.text
        codes = analysis.codes
        shows = (codes & SHOWS) != 0
        num_shown, num_words = int(np.count_nonzero(shows)), len(codes)
        if self.min_words and num_shown < self.min_words:
            return Verdict(False, "gopher_short_doc")
        if self.max_words and num_shown > self.max_words:
            return Verdict(False, "gopher_long_doc")
        if not num_words:
            return Verdict(False, "empty")
        if num_shown:
            average = int(analysis.lengths[shows].sum()) / num_shown
            if self.min_average_word_length and average < self.min_average_word_length:
                return Verdict(False, "gopher_below_avg_threshold")
            if self.max_average_word_length and average > self.max_average_word_length:
                return Verdict(False, "gopher_above_avg_threshold")
        if self.max_symbol_ratio and text.count("#") / num_words > self.max_symbol_ratio:
            return Verdict(False, "gopher_too_many_hashes")
        if self.max_symbol_ratio and (text.count("...") + text.count("…")) / num_words > self.max_symbol_ratio:
            return Verdict(False, "gopher_too_many_ellipsis")
        if reason := self._lines(text.splitlines()):
            return Verdict(False, reason)
        letters = np.count_nonzero(codes & LETTER)
        if self.min_alphabetic_words and int(letters) / num_words < self.min_alphabetic_words:
            return Verdict(False, "gopher_below_alpha_threshold")
        if self.min_stop_words and len(set(self.stop_words).intersection(analysis.words)) < self.min_stop_words:
            return Verdict(False, "gopher_enough_stop_words")
        return Verdict(True)

    def _lines(self, lines: Sequence[str]) -> str:
        bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
        if self.max_bullet_lines and bullets / len(lines) > self.max_bullet_lines:
            return "gopher_too_many_bullets"
        ellipses = sum(line.rstrip().endswith(("...", "…")) for line in lines)
        if self.max_ellipsis_lines and ellipses / len(lines) > self.max_ellipsis_lines:
            return "gopher_too_many_end_ellipsis"
        return ""


class GopherRepetition(CorpusFilter):
    """Rae et al. 2021 (Gopher, table A1): repeated lines, paragraphs and n-grams. A limit of 0 is off."""

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
        analysis = text_statistics_of(document)
        for n, share in self.max_top_ngram.items():
            if share and _top(analysis, n) / len(text) > share:
                return Verdict(False, f"top_{n}_gram")
        for n, share in self.max_duplicate_ngrams.items():
            if share and _repeats_more(analysis, n, share, len(text)):
                return Verdict(False, f"duplicated_{n}_n_grams")
        return Verdict(True)


def duplicates(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts repeat an earlier one, and their characters."""
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


def _top(analysis: TextStatistics, n: int) -> int:
    """Characters, blanks between words included, of all occurrences of the most frequent n-gram (the first of equals)."""
    if len(analysis.words) < n:
        return 0
    hashes = analysis.ngrams(n, borders=True)
    ordered = np.sort(hashes)
    starts = np.flatnonzero(np.concatenate([_TRUE, ordered[1:] != ordered[:-1]]))
    counts = np.diff(starts, append=len(ordered))
    most = int(counts.max())
    place = 0 if most == 1 else int(np.isin(hashes, ordered[starts[counts == most]]).argmax())
    return int(analysis.ends[place + n] - analysis.ends[place] + n - 1) * most


def _repeats_more(analysis: TextStatistics, n: int, share: float, size: int) -> bool:
    """Whether n-grams that occurred before hold more than `share` of the `size` characters.

    A repeated n-gram is skipped whole, so where each begins depends on those before it, which takes a loop. Most texts
    need none: too few n-grams occur twice for any way of counting to reach the share.
    """
    if len(analysis.words) < n:
        return False
    hashes = analysis.ngrams(n, borders=False)
    ordered = np.sort(hashes)
    num_again = int(np.count_nonzero(ordered[1:] == ordered[:-1]))
    longest = int((analysis.ends[n:] - analysis.ends[:-n]).max())
    if num_again * longest / size <= share:
        return False
    order = np.argsort(hashes, kind="stable")
    again = order[1:][hashes[order[1:]] == hashes[order[:-1]]]
    covered = np.zeros(len(analysis.words) + 1, np.int64)
    covered[again] += 1
    covered[again + n] -= 1
    if int(analysis.lengths[np.cumsum(covered)[:-1] > 0].sum()) / size <= share:
        return False
    seen: set[int] = set()
    ends, values = analysis.ends.tolist(), hashes.tolist()
    repeated = place = 0
    while place < len(values):
        if values[place] in seen:
            repeated += ends[place + n] - ends[place]
            place += n
        else:
            seen.add(values[place])
            place += 1
    return bool(repeated / size > share)
