"""The core's filters: length, and datatrove's quality filters with a fast word tokenizer."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field

from rexplug.components import CorpusFilter, Document, Verdict


class Length(CorpusFilter):
    """Keep documents of a reasonable length, in words between white space."""

    name: ClassVar[str] = "length"

    min_words: int = Field(default=1, ge=0)
    """Fewest words."""
    max_words: int | None = Field(default=None, ge=1)
    """Most words; no limit if left out."""

    def judge(self, document: Document) -> Verdict:
        """Count words."""
        words = len(document.text.split())
        if words < self.min_words:
            return Verdict(False, "too short", words)
        if self.max_words is not None and words > self.max_words:
            return Verdict(False, "too long", words)
        return Verdict(True, score=words)


class _Datatrove(CorpusFilter):
    """A datatrove filter; its reasons become ours."""

    @cached_property
    def _filter(self) -> Any:
        raise AssertionError

    def judge(self, document: Document) -> Verdict:
        """Ask datatrove."""
        from datatrove.data import Document as Theirs

        answer = self._filter.filter(Theirs(text=document.text, id=document.id))
        if answer is True:
            return Verdict(True)
        reason = answer[1] if isinstance(answer, tuple) else self.name
        return Verdict(False, str(reason))


class GopherQuality(_Datatrove):
    """Rae et al. 2021 (Gopher, appendix A.1.1): words, symbols, bullets and ellipses, stop words; on datatrove."""

    name: ClassVar[str] = "quality.gopher"

    min_words: int = Field(default=50, ge=0)
    """Fewest words that are no symbols."""
    max_words: int = Field(default=100_000, ge=1)
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
    """How many of the, be, to, of, and, that, have, with must occur."""

    @cached_property
    def _filter(self) -> Any:
        from datatrove.pipeline.filters import GopherQualityFilter

        from rexplug.corpus.words import RegexWordTokenizer

        return GopherQualityFilter(
            min_doc_words=self.min_words,
            max_doc_words=self.max_words,
            min_avg_word_length=self.min_average_word_length,
            max_avg_word_length=self.max_average_word_length,
            max_symbol_word_ratio=self.max_symbol_ratio,
            max_bullet_lines_ratio=self.max_bullet_lines,
            max_ellipsis_lines_ratio=self.max_ellipsis_lines,
            max_non_alpha_words_ratio=self.min_alphabetic_words,
            min_stop_words=self.min_stop_words,
            language=RegexWordTokenizer(),
        )


class GopherRepetition(_Datatrove):
    """Rae et al. 2021 (Gopher, table A1): repeated lines, paragraphs and n-grams; on datatrove."""

    name: ClassVar[str] = "quality.repetition"

    max_duplicate_lines: float = 0.3
    """Share of lines that repeat another, at most."""
    max_duplicate_paragraphs: float = 0.3
    """Share of paragraphs that repeat another, at most."""
    max_duplicate_line_characters: float = 0.2
    """Share of characters in repeated lines, at most."""

    @cached_property
    def _filter(self) -> Any:
        from datatrove.pipeline.filters import GopherRepetitionFilter

        from rexplug.corpus.words import RegexWordTokenizer

        return GopherRepetitionFilter(
            dup_line_frac=self.max_duplicate_lines,
            dup_para_frac=self.max_duplicate_paragraphs,
            dup_line_char_frac=self.max_duplicate_line_characters,
            language=RegexWordTokenizer(),
        )
