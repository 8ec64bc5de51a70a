"""Guided, span and whole-word masking."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

import rexplug
from rexplug_guided_mlm.spans import argsort_keys, first_in_order, random_runs, run_starts, tokens_of_runs, word_begins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Guided(rexplug.MaskingPolicy):
    """Spend a share of the mask budget on salient spans, masked as a whole, and the rest on random tokens.

    Spans are chosen at random with their salience as weight (weighted sampling without replacement by exponential keys,
    Efraimidis and Spirakis 2006). Where all tokens have the same salience, the choice is that of `random`.
    """

    name: ClassVar[str] = "guided_mlm.guided"
    channels: ClassVar[tuple[str, ...]] = ("salience",)

    scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()]
    """The scorer of the tokens' salience."""
    guidance: rexplug.Ramp = rexplug.Ramp(start=0.3, end=0.6)
    """Share of the budget for salient spans: a number, or `{start, end}` to change linearly over the phase."""

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Salient spans first, then random tokens for the rest of the budget."""
        import numpy as np

        chosen = self.salient_subset(batch, progress, generator)
        missing = self.budget(batch, progress) - int(np.count_nonzero(chosen))
        return chosen | rexplug.random_tokens(batch.maskable > chosen, missing, generator)

    def salient_subset(
        self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        """The tokens of salient spans in the mask of `choose`, `[num_tokens]`."""
        import numpy as np

        salient: NDArray[np.bool_] = (batch.channels["salience"] != 0) & batch.maskable
        num_salient = int(np.count_nonzero(salient))
        salient_budget = round(self.guidance.at(progress) * self.budget(batch, progress))
        all_salient = num_salient == np.count_nonzero(batch.maskable)
        if salient_budget >= num_salient and not all_salient:
            return salient
        places = np.flatnonzero(salient)
        levels = batch.channels["salience"][places]
        chosen = np.zeros(len(salient), np.bool_)
        if salient_budget == 0 or (all_salient and levels.min(initial=255) == levels.max(initial=0)):
            return chosen
        # Few tokens are salient: from here on, indices count salient tokens, not tokens of the row.
        starts = run_starts(places, levels)
        lengths = np.diff(starts, append=len(places))
        # Positive floats sort like the integers that their bits make up.
        keys = (generator.standard_exponential(len(starts), dtype=np.float32) / levels[starts]).view(np.uint32)
        runs, surplus = first_in_order(lengths, argsort_keys(keys), salient_budget)
        chosen[places[tokens_of_runs(starts, lengths, runs, surplus)]] = True
        return chosen


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
