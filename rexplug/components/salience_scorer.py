"""Salience scorers: how much each token matters to the vertical."""

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

    rexplug makes one for every kept document, in the worker processes of tokenization, and for the texts that previews and
    evaluators score.
    """

    id: str
    """The document's id."""
    text: str
    """The document's text, whose characters `offsets` counts."""
    token_ids: NDArray[np.uint32]
    """`[num_tokens]`, the ids of the tokens."""
    offsets: NDArray[np.uint32]
    """`[num_tokens, 2]`, the characters of `text` that each token covers, ends exclusive."""
    word_starts: NDArray[np.bool_]
    """`[num_tokens]`, true where a token begins a word."""

    def word_bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Starts and ends (exclusive) in characters of the words of `text`, both `[num_words]`."""
        return word_bounds(self.text)

    def spans_to_tokens(self, starts: ArrayLike, ends: ArrayLike, values: ArrayLike) -> NDArray[np.uint8]:
        """Values of tokens from values of spans of characters, `[num_tokens]`; 0 for tokens that are in no span.

        A token is in a span if its last character is: byte-level BPE keeps the white space before a word in the word's first
        token.

        Args:
            starts: first characters of the spans, `[num_spans]`; the spans are sorted and do not overlap.
            ends: ends of the spans, exclusive, `[num_spans]`.
            values: 0 to 255, `[num_spans]`, or one number for all spans.
        """
        import numpy as np

        # There are fewer spans than tokens: look up the tokens of each span, not the span of each token.
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
    """Why a span of a text is salient.

    A scorer makes them in `explain`, which only previews and reports call.
    """

    start: int
    """The first character of the span."""
    end: int
    """One past its last character."""
    label: str
    """The reason in a few words: the name of an attribute, the log-odds of a word."""


class SalienceScorer(Component):
    """Scores tokens once, when documents are tokenized; masking policies read the scores from the token store.

    It is called in worker processes, for documents in any order and with any tokenizer: scores depend on the document and the
    scorer's options alone.
    """

    kind: ClassVar[str] = "salience scorer"

    @abstractmethod
    def score(self, document: TokenizedDocument) -> NDArray[np.uint8]:
        """The salience of each token, `[num_tokens]`, from 0 (not salient) to 255.

        The higher, the more often guided masking masks a token. Adjacent tokens with the same value are one span (a brand of
        two words, `500 ml`), which it can mask as a whole.
        """

    def explain(self, document: TokenizedDocument) -> Sequence[Reason]:
        """Why spans of `document` are salient, in order; `rexplug peek` and the report show it.

        The default gives the score of each run of tokens with equal scores; override it to say more.
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
        """The sources that `fit` needs; `rexplug check` names those that the recipe lacks."""
        return ()

    def fit(self, corpus: CorpusSample) -> Self:
        """Learn from the kept documents of every source; returns the scorer to use.

        Called once, before tokenization. The scorer is stored as its options and made from them in the worker processes: what it
        learns must be in options (`self.model_copy(update={...})`), where it is large as the path of a file in `corpus.folder`.
        The default learns nothing.
        """
        return self

    @property
    def channel(self) -> str:
        """The name of the token store's channel that holds the scores."""
        return f"salience-{self.name.replace('.', '-')}-{self.fingerprint()}"
