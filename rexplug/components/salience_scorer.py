"""How much each token matters to the vertical."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rexplug.components.base import Component
from rexplug.components.corpus_filter import CorpusSample


@dataclass(frozen=True, slots=True)
class TokenizedDocument:
    """A document and its tokens, without special tokens.

    `token_ids` and `word_starts` are `[num_tokens]`; `offsets` is `[num_tokens, 2]`, the characters of `text` that
    each token covers (end exclusive). `word_starts` is true where a token begins a word.
    """

    id: str
    text: str
    token_ids: NDArray[np.uint32]
    offsets: NDArray[np.uint32]
    word_starts: NDArray[np.bool_]


class SalienceScorer(Component):
    """Scores tokens once, when documents are tokenized; guided masking reads the scores at no cost later."""

    kind: ClassVar[str] = "salience scorer"

    @abstractmethod
    def score(self, document: TokenizedDocument) -> NDArray[np.uint8]:
        """Salience of each token, `[num_tokens]`; 0 = plain, 255 = most salient.

        Tokens that belong together (a brand of two words, `500 ml`) carry the same value without a gap and are
        masked as one span.
        """

    def fit(self, corpus: CorpusSample) -> Self:
        """Learn from the kept documents of every source; returns the scorer that scores. The default learns nothing."""
        return self

    @property
    def channel(self) -> str:
        """The name under which the token store keeps the scores."""
        return f"salience-{self.name.replace('.', '-')}-{self.fingerprint()}"
