"""Sources drawn by error diffusion, so that realised shares of tokens follow the schedule within one sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rexplug.batches.samples import Item
from rexplug.components import MixingSchedule
from rexplug.errors import PluginError

_UNIT = 2**32
"""Shares are whole multiples of 1 / _UNIT, so that credits are integers and the same on every machine."""


def shares(mixing: MixingSchedule, progress: float, sources: Sequence[str]) -> tuple[int, ...]:
    """The schedule's weights at `progress` as integers that add up to about 2^32, in the order of `sources`.

    Raises:
        PluginError: weights are negative, not finite, all zero, or name a source that does not exist.
    """
    weights = mixing.weights(progress)
    unknown = set(weights) - set(sources)
    if unknown:
        raise PluginError(
            f"{mixing.name}.weights({progress:g}) names '{min(unknown)}'; the sources are {', '.join(sources)}"
        )
    values = [float(weights.get(source, 0.0)) for source in sources]
    if not all(math.isfinite(value) and value >= 0 for value in values) or sum(values) <= 0:
        raise PluginError(
            f"{mixing.name}.weights({progress:g}) returned {dict(weights)}; weights are finite, at least 0 and not all 0"
        )
    total = math.fsum(values)
    return tuple(round(value / total * _UNIT) for value in values)


def choose(credits: Sequence[int], weights: Sequence[int], longest: int) -> int:
    """The source that the next sample comes from.

    Worst-case fair weighted fair queueing (Bennett and Zhang, INFOCOM 1996): among the sources that are not ahead of
    their share, the one whose next sample would be through first if it were as long as any can be. Source and length are
    thus chosen apart, and no source is ahead or behind by more than the longest sample at any moment, however many there
    are.

    Args:
        credits: tokens that each source is owed, times the sum of the weights.
        weights: the shares; a source without one is never chosen.
        longest: tokens of the longest sample.
    """
    total = sum(weights)
    best, soonest = -1, math.inf
    for source, weight in enumerate(weights):
        if weight and credits[source] >= 0:
            finish = (longest * total - credits[source]) / weight
            if finish < soonest:
                best, soonest = source, finish
    if best < 0:  # what is owed is owed to sources that have lost their share
        best = max((i for i, weight in enumerate(weights) if weight), key=lambda i: credits[i])
    return best


def settle(credits: list[int], weights: Sequence[int], source: int, tokens: int) -> None:
    """Book `tokens` to `source`: everybody earns their share of them, the source pays them."""
    for i, weight in enumerate(weights):
        credits[i] += weight * tokens
    credits[source] -= sum(weights) * tokens


def settle_all(credits: list[int], weights: Sequence[int], samples: Sequence[Item]) -> None:
    """Book the tokens of samples to their sources."""
    spent = [0] * len(weights)
    for sample in samples:
        spent[sample[1]] += sample[0]
    tokens, total = sum(spent), sum(weights)
    for i, weight in enumerate(weights):
        credits[i] += weight * tokens - total * spent[i]
