"""Guided, span and whole-word masking."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

import rexplug
from rexplug_guided_mlm.spans import fill_up, runs, take_spans, words


class Guided(rexplug.MaskingPolicy):
    """Spend a share of the mask budget on salient spans, masked whole, and the rest on random tokens.

    Spans are chosen at random, the more salient the likelier (weighted sampling without replacement by exponential
    keys, Efraimidis and Spirakis 2006). Where the salience of all tokens is the same, no token is guided and the
    choice is that of `random`.
    """

    name: ClassVar[str] = "guided_mlm.guided"
    channels: ClassVar[tuple[str, ...]] = ("word_start", "salience")

    scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()]
    """What says how much each token matters."""
    guidance: rexplug.Ramp = rexplug.Ramp(start=0.3, end=0.6)
    """Share of the budget for salient spans; a number, or `{start, end}` to move over the phase."""

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Salient spans first, random tokens for what is left of the budget."""
        chosen = self.guided(batch, progress, generator)
        return fill_up(chosen, batch.maskable, self.budget(batch, progress), generator)

    def guided(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """The tokens of salient spans among those of `choose`."""
        budget = self.budget(batch, progress)
        salience = batch.channels["salience"].astype(np.int64)
        inside = salience[batch.maskable]
        size = len(batch.token_ids)
        if not len(inside) or inside.min() == inside.max():
            return np.zeros(size, np.bool_)
        starts, lengths = runs(np.where(batch.maskable & (salience > 0), salience, -1))
        keys = generator.exponential(size=len(starts)) / salience[starts]
        guided = min(round(self.guidance.at(progress) * budget), int((inside > 0).sum()))
        return take_spans(starts, lengths, np.argsort(keys, kind="stable"), guided, size)


class WholeWord(rexplug.MaskingPolicy):
    """Choose words evenly at random and mask all their tokens; the last word is cut where the budget ends."""

    name: ClassVar[str] = "guided_mlm.whole_word"
    channels: ClassVar[tuple[str, ...]] = ("word_start",)

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Whole words in random order until the budget is met."""
        starts, lengths = runs(words(batch.channels["word_start"], batch.maskable))
        order = generator.permutation(len(starts))
        return take_spans(starts, lengths, order, self.budget(batch, progress), len(batch.token_ids))


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
        number = words(batch.channels["word_start"], batch.maskable)
        starts, lengths = runs(number)
        num_words = len(starts)
        spans = np.minimum(generator.geometric(self.p, size=num_words), self.longest)
        ends = np.cumsum(spans)
        span_of_word = np.searchsorted(ends, np.arange(num_words), side="right")
        # A span stays inside its sample: special tokens lie between samples and end it.
        apart = np.concatenate([[True], starts[1:] != starts[:-1] + lengths[:-1]]) if num_words else np.zeros(0, bool)
        labels = (
            np.cumsum(np.concatenate([[True], span_of_word[1:] != span_of_word[:-1]]) | apart) if num_words else apart
        )
        per_token = np.full(len(batch.token_ids), -1, np.int64)
        per_token[np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))] = (
            np.repeat(labels, lengths)
        )
        firsts, sizes = runs(per_token)
        return take_spans(
            firsts, sizes, generator.permutation(len(firsts)), self.budget(batch, progress), len(batch.token_ids)
        )
