"""Which source the next sample comes from: error diffusion keeps realised token shares within one sample of the schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rexplug.components import MixingSchedule
from rexplug.plugins.calls import mixing_weights

_UNIT = 2**32
"""Shares are whole multiples of 1 / _UNIT, so that credits are integers and the same on every machine."""


def integer_weights(mixing: MixingSchedule, progress: float, sources: Sequence[str]) -> tuple[int, ...]:
    """The schedule's weights at `progress` as integers that add up to about 2^32, in the order of `sources`.

    Raises:
        PluginError: the schedule raised, or weights are negative, not finite, all zero, or name an unknown source.
    """
    weights = mixing_weights(mixing, progress, sources)
    values = [weights.get(source, 0.0) for source in sources]
    total = math.fsum(values)
    return tuple(round(value / total * _UNIT) for value in values)


def next_source(credits: Sequence[int], weights: Sequence[int], max_length: int) -> int:
    """The index of the source that gives the next sample.

    Worst-case fair weighted fair queueing (Bennett and Zhang, INFOCOM 1996): among the sources that are not ahead of
    their share, the one whose next sample would be through first if it were as long as any can be. The choice of the
    source does not look at lengths, so no source is ahead or behind by more than the longest sample at any moment,
    however many sources there are.

    Args:
        credits: tokens that each source is owed, times the sum of the weights.
        weights: the shares; a source with weight 0 is never chosen.
        max_length: tokens of the longest sample that there can be.
    """
    total = sum(weights)
    best, soonest = -1, math.inf
    for source, weight in enumerate(weights):
        if weight and credits[source] >= 0:
            finish = (max_length * total - credits[source]) / weight
            if finish < soonest:
                best, soonest = source, finish
    if best < 0:  # only sources that have lost their share are owed tokens
        best = max((i for i, weight in enumerate(weights) if weight), key=lambda i: credits[i])
    return best


def charge(credits: list[int], weights: Sequence[int], source: int, tokens: int) -> None:
    """Charge `tokens` to `source`: every source earns its share of them, and `source` pays for them."""
    for i, weight in enumerate(weights):
        credits[i] += weight * tokens
    credits[source] -= sum(weights) * tokens
