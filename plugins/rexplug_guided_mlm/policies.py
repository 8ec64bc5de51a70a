"""Span and whole-word masking."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

import rexplug
from rexplug_guided_mlm.spans import random_runs, tokens_of_runs, word_begins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class WholeWord(rexplug.MaskingPolicy):
    """Choose words uniformly at random and mask all their tokens; the last word is cut where the budget ends."""

    name: ClassVar[str] = "guided_mlm.whole_word"
    channels: ClassVar[tuple[str, ...]] = ("word_start",)

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Whole words in random order until the budget is met."""
        return _mask_runs(
            word_begins(batch.channels["word_start"], batch.maskable), batch, self.budget(batch, progress), generator
        )


class Span(rexplug.MaskingPolicy):
    """Mask runs of words of geometrically distributed length, as in SpanBERT (Joshi et al., TACL 2020)."""

    name: ClassVar[str] = "guided_mlm.span"
    channels: ClassVar[tuple[str, ...]] = ("word_start",)

    p: float = Field(default=0.2, gt=0, lt=1)
    """Probability that a span ends after a word; the mean length before `longest` applies is 1 / p words."""
    longest: int = Field(default=10, ge=1)
    """Longest span in words."""

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Split the row into spans of geometric length and choose spans in random order until the budget is met."""
        import numpy as np

        maskable = batch.maskable
        begins = word_begins(batch.channels["word_start"], maskable)
        words = np.flatnonzero(begins)
        # An exponential variable rounded up is geometrically distributed.
        draws = generator.standard_exponential(len(words), dtype=np.float32) / np.float32(-math.log1p(-self.p))
        firsts = np.cumsum(np.ceil(draws).clip(1, self.longest).astype(np.int64))
        spans = ~maskable
        spans[words[firsts[: np.searchsorted(firsts, len(words))]]] = True
        # A span stays within its sample: it ends at the special tokens between samples.
        spans[1:] |= ~maskable[:-1]
        spans[:1] = True
        return _mask_runs(spans, batch, self.budget(batch, progress), generator)


def _mask_runs(
    begins: NDArray[np.bool_], batch: rexplug.TokenBatch, budget: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose runs of tokens in random order until the budget is met; the last one is cut. `begins` and result `[num_tokens]`."""
    import numpy as np

    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=len(begins))
    runs, surplus = random_runs(lengths, batch.maskable[starts], budget, generator)
    return tokens_of_runs(starts, lengths, runs, surplus, np.cumsum(begins) - 1)
