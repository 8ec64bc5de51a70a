"""A word tokenizer for datatrove's classes: one compiled pattern instead of a language model."""

from __future__ import annotations

from datatrove.utils.word_tokenizers import WordTokenizer

from rexplug.text.sentences import sentence_spans
from rexplug.text.words import split_words_and_marks


class RegexWordTokenizer(WordTokenizer):
    """Words, punctuation marks one by one, and sentences, in any script. Equal instances share datatrove's cache of splits."""

    def __init__(self) -> None:
        super().__init__("en")

    def __hash__(self) -> int:
        return hash(type(self).__name__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegexWordTokenizer)

    def word_tokenize(self, text: str) -> list[str]:
        """The words and punctuation marks."""
        return split_words_and_marks(text)

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """(start, end) of each sentence."""
        return sentence_spans(text)

    def sent_tokenize(self, text: str) -> list[str]:
        """The sentences of a text."""
        return [stripped for start, end in self.span_tokenize(text) if (stripped := text[start:end].strip())]
