"""Guided, span and whole-word masking."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

import rexplug
from rexplug_guided_mlm.spans import first_in_order, random_runs, runs_of, sorted_by, spread_over, words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Guided(rexplug.MaskingPolicy):
    """Spend a share of the mask budget on salient spans, masked whole, and the rest on random tokens.

    Spans are chosen at random, the more salient the likelier (weighted sampling without replacement by exponential
    keys, Efraimidis and Spirakis 2006). Where the salience of all tokens is the same, no token is guided and the
    choice is that of `random`.
    """

    name: ClassVar[str] = "guided_mlm.guided"
    channels: ClassVar[tuple[str, ...]] = ("salience",)

    scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()]
    """What says how much each token matters."""
    guidance: rexplug.Ramp = rexplug.Ramp(start=0.3, end=0.6)
    """Share of the budget for salient spans; a number, or `{start, end}` to move over the phase."""

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Salient spans first, random tokens for what is left of the budget."""
        import numpy as np

        taken = self.salient_subset(batch, progress, generator)
        missing = self.budget(batch, progress) - int(np.count_nonzero(taken))
        return taken | rexplug.random_tokens(batch.maskable > taken, missing, generator)

    def salient_subset(
        self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        """The tokens of salient spans among those of `choose`."""
        import numpy as np

        salient: NDArray[np.bool_] = (batch.channels["salience"] != 0) & batch.maskable
        num_salient = int(np.count_nonzero(salient))
        guided = round(self.guidance.at(progress) * self.budget(batch, progress))
        everywhere = num_salient == np.count_nonzero(batch.maskable)
        if guided >= num_salient and not everywhere:
            return salient
        places = np.flatnonzero(salient)
        levels = batch.channels["salience"][places]
        taken = np.zeros(len(salient), np.bool_)
        if guided == 0 or (everywhere and levels.min(initial=255) == levels.max(initial=0)):
            return taken
        # Few tokens are salient: what follows counts in salient tokens, not in tokens of the row.
        starts = runs_of(places, levels)
        lengths = np.diff(starts, append=len(places))
        # Positive floats sort as the integers that their bits are.
        keys = (generator.standard_exponential(len(starts), dtype=np.float32) / levels[starts]).view(np.uint32)
        chosen, over = first_in_order(lengths, sorted_by(keys), guided)
        taken[places[spread_over(starts, lengths, chosen, over)]] = True
        return taken


class WholeWord(rexplug.MaskingPolicy):
    """Choose words evenly at random and mask all their tokens; the last word is cut where the budget ends."""

    name: ClassVar[str] = "guided_mlm.whole_word"
    channels: ClassVar[tuple[str, ...]] = ("word_start",)

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Whole words in random order until the budget is met."""
        return _whole(
            words_of(batch.channels["word_start"], batch.maskable), batch, self.budget(batch, progress), generator
        )


class Span(rexplug.MaskingPolicy):
    """Mask runs of words whose length is geometric, as in SpanBERT (Joshi et al., TACL 2020)."""

    name: ClassVar[str] = "guided_mlm.span"
    channels: ClassVar[tuple[str, ...]] = ("word_start",)

    p: float = Field(default=0.2, gt=0, lt=1)
    """Chance that a span ends after each word; the mean length before the cut is 1 / p words."""
    longest: int = Field(default=10, ge=1)
    """Longest span in words."""

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Cut the row into spans of geometric length and take them in random order until the budget is met."""
        import numpy as np

        maskable = batch.maskable
        begins = words_of(batch.channels["word_start"], maskable)
        words = np.flatnonzero(begins)
        # The geometric distribution is that of an exponential one, rounded up.
        draws = generator.standard_exponential(len(words), dtype=np.float32) / np.float32(-math.log1p(-self.p))
        firsts = np.cumsum(np.ceil(draws).clip(1, self.longest).astype(np.int64))
        spans = ~maskable
        spans[words[firsts[: np.searchsorted(firsts, len(words))]]] = True
        # A span stays inside its sample: special tokens lie between samples and end it.
        spans[1:] |= ~maskable[:-1]
        spans[:1] = True
        return _whole(spans, batch, self.budget(batch, progress), generator)


def _whole(
    begins: NDArray[np.bool_], batch: rexplug.TokenBatch, budget: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Mask runs of tokens in random order until the budget is met, the last one as far as it reaches."""
    import numpy as np

    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=len(begins))
    chosen, over = random_runs(lengths, batch.maskable[starts], budget, generator)
    return spread_over(starts, lengths, chosen, over, np.cumsum(begins) - 1)
