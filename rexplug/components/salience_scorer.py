"""How much each token matters to the vertical."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from rexplug.components.base import Component
from rexplug.components.corpus_filter import CorpusSample
from rexplug.text.words import word_bounds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


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

    def word_bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Starts and ends (exclusive) in characters of the words of `text`, both `[num_words]`."""
        return word_bounds(self.text)

    def spans_to_tokens(self, starts: ArrayLike, ends: ArrayLike, values: ArrayLike) -> NDArray[np.uint8]:
        """Values of spans of characters as values of tokens: `[num_tokens]`, 0 on tokens that lie in no span.

        `starts`, `ends` (exclusive) and `values` are `[num_spans]`; the spans are in order and do not overlap. The last
        character of a token decides: byte-level BPE keeps the white space before a word in the word's first token.
        """
        import numpy as np

        # A token lies in a span if its last character does. There are fewer spans than tokens, so those are looked up.
        last = np.ascontiguousarray(self.offsets[:, 1])
        first_tokens = last.searchsorted(np.asarray(starts, np.uint32), side="right")
        edges = np.zeros(2 * len(first_tokens) + 2, np.int64)
        edges[1:-1:2] = first_tokens
        edges[2:-1:2] = last.searchsorted(np.asarray(ends, np.uint32), side="right")
        edges[-1] = len(last)
        levels = np.zeros(len(edges) - 1, np.uint8)
        levels[1::2] = values
        return np.repeat(levels, np.diff(edges))


class Reason(NamedTuple):
    """Why characters `[start, end)` of a text are salient, in a word or two: an attribute's name, a word's log-odds."""

    start: int
    end: int
    label: str


class SalienceScorer(Component):
    """Scores tokens once, when documents are tokenized; guided masking reads the scores at no cost later."""

    kind: ClassVar[str] = "salience scorer"

    @abstractmethod
    def score(self, document: TokenizedDocument) -> NDArray[np.uint8]:
        """Salience of each token, `[num_tokens]`; 0 = plain, 255 = most salient.

        Tokens that belong together (a brand of two words, `500 ml`) carry the same value without a gap and are
        masked as one span.
        """

    def explain(self, document: TokenizedDocument) -> Sequence[Reason]:
        """Why tokens of `document` are salient, in order; `rexplug peek` and the report show it.

        The default names the score of each run of tokens that score alike; override it where more can be said.
        """
        import numpy as np

        scores = self.score(document)
        edges = np.flatnonzero(np.diff(scores, prepend=0, append=0))
        return [
            Reason(int(document.offsets[first, 0]), int(document.offsets[last - 1, 1]), f"salience {scores[first]}")
            for first, last in pairwise(edges.tolist())
            if scores[first]
        ]

    def needed_sources(self) -> Sequence[str]:
        """The recipe's sources without which `fit` cannot work; `rexplug check` says which are not there."""
        return ()

    def fit(self, corpus: CorpusSample) -> Self:
        """Learn from the kept documents of every source; returns the scorer that scores. The default learns nothing."""
        return self

    @property
    def channel(self) -> str:
        """The name under which the token store keeps the scores."""
        return f"salience-{self.name.replace('.', '-')}-{self.fingerprint()}"
