"""Filters with the rules of C4 (Raffel et al. 2020, arXiv 1910.10683) and FineWeb (Penedo et al. 2024, arXiv 2406.17557)."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from rexplug.components import CorpusFilter, Document, Verdict
from rexplug.corpus.filters.by_language import ByLanguage
from rexplug.corpus.filters.gopher import duplicates
from rexplug.text.characters import UNSPACED_CHARACTER
from rexplug.text.sentences import TERMINATORS, count_sentences
from rexplug.text.words import split_words

_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
# Without the double marks of Latin script (‼ ⁇ ‽), which C4 and datatrove do not count as terminators.
_ENDS = frozenset(end for end in TERMINATORS if not "\u2000" <= end <= "\u2eff").union("\"'」』")
_ELLIPSES = ("...", "。。。")
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


class C4Quality(CorpusFilter):
    """C4's rules for lines and pages, with the decisions of datatrove's filter: bad lines are removed, bad pages are dropped.

    Sentences and lines may end in the terminators of any script. Words are separated by white space; in scripts without
    spaces they are those of `rexplug.text.words`. Phrases of policies are English; FineWeb-2 does not use C4's
    rules for other languages.
    """

    name: ClassVar[str] = "quality.c4"

    min_sentences: int = Field(default=5, ge=-1)
    """Fewest sentences that must be left; -1 for any number, which suits product pages."""
    min_words_per_line: int = Field(default=3, ge=0)
    """Lines with fewer words are removed."""
    max_word_length: int = Field(default=1000, ge=1)
    """Lines with a longer word are removed."""
    terminal_punctuation: bool = True
    """Remove lines that do not end in . ? ! (or their equivalents such as 。 । ؟) or in a quotation mark; not for pages of short
    lines."""
    remove_citations: bool = True
    """Remove [1], [edit] and [citation needed] from lines."""
    drop_lorem_ipsum: bool = True
    """Drop pages with "lorem ipsum"."""
    drop_curly_brackets: bool = True
    """Drop pages with a curly bracket."""
    remove_javascript: bool = True
    """Remove lines that mention javascript."""
    remove_policy: bool = True
    """Remove lines about cookies, terms of use and privacy policies."""

    def judge(self, document: Document) -> Verdict:
        """Reasons: `lorem_ipsum`, `curly_bracket`, `too_few_sentences`, `empty`."""
        kept = []
        sentences = 0
        for raw_line in document.text.splitlines():
            line = whole_line = raw_line.strip()
            if len(line) > self.max_word_length and self._has_long_word(line):
                continue
            if self.remove_citations and "[" in line:
                line = _CITATION.sub("", line)
            if self.terminal_punctuation and (line[-1:] not in _ENDS or line.endswith(_ELLIPSES)):
                continue
            least = self.min_words_per_line
            if len(whole_line.split(maxsplit=least)) < least and len(_unspaced_words(line)) < least:
                continue
            lower = line.lower()
            if self.drop_lorem_ipsum and "lorem ipsum" in lower:
                return Verdict(False, "lorem_ipsum")
            if self.remove_javascript and "javascript" in lower:
                continue
            if self.drop_curly_brackets and "{" in line:
                return Verdict(False, "curly_bracket")
            if self.remove_policy and any(phrase in lower for phrase in _POLICY):
                continue
            if self.min_sentences != -1:
                sentences += max(1, count_sentences(line))
            kept.append(line)
        if sentences < self.min_sentences:
            return Verdict(False, "too_few_sentences")
        text = "\n".join(kept).strip()
        if not text:
            return Verdict(False, "empty")
        return Verdict(True, text=text)

    def _has_long_word(self, line: str) -> bool:
        longest = self.max_word_length
        return max(map(len, line.split()), default=0) > longest and (
            any(len(word) > longest for word in _unspaced_words(line)) or not UNSPACED_CHARACTER.search(line)
        )


def _unspaced_words(line: str) -> list[str]:
    """The words of a line with characters of a script without spaces; none of others."""
    return split_words(line) if not line.isascii() and UNSPACED_CHARACTER.search(line) else []


class FineWebQuality(ByLanguage):
    """FineWeb's rules for lines, with the decisions of datatrove's filter: punctuation, short and repeated lines, lists.

    The defaults below are those for English; for another `language` they are those of FineWeb-2 (Penedo et al. 2025, arXiv
    2506.20920), which turns the limit for short lines off.
    """

    name: ClassVar[str] = "quality.fineweb"

    min_punctuated_lines: float = 0.12
    """Share of lines that end in terminal punctuation, at least."""
    max_short_lines: float = 0.67
    """Share of short lines, at most."""
    short_line: int = Field(default=30, ge=0)
    """Characters up to which a line is short."""
    max_duplicate_characters: float = 0.01
    """Share of characters in repeated lines, at most."""
    max_newlines: float = 0.3
    """Line breaks per word, at most."""

    def judge(self, document: Document) -> Verdict:
        """Reasons: `empty`, `line_punct_ratio`, `short_line_ratio`, `char_dup_ratio`, `list_ratio`."""
        from rexplug.corpus.text_statistics import text_statistics_of

        text = document.text
        lines = [line for line in text.split("\n") if line.strip()]
        if not lines:
            return Verdict(False, "empty")
        if sum(line[-1] in TERMINATORS for line in lines) / len(lines) < self.min_punctuated_lines:
            return Verdict(False, "line_punct_ratio")
        if sum(len(line) <= self.short_line for line in lines) / len(lines) > self.max_short_lines:
            return Verdict(False, "short_line_ratio")
        breaks = text.count("\n")
        if duplicates(lines)[1] / (len(text) - breaks) > self.max_duplicate_characters:
            return Verdict(False, "char_dup_ratio")
        if breaks / len(text_statistics_of(document).words) > self.max_newlines:
            return Verdict(False, "list_ratio")
        return Verdict(True)
