"""Sources drawn by error diffusion, so that realised shares of tokens follow the schedule within one sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def choose(credits: Sequence[int], weights: Sequence[int]) -> int:
    """The source that is most behind its share, among those with a share; the first of equals."""
    return max((i for i in range(len(weights)) if weights[i]), key=lambda i: (credits[i], -i))


def settle(credits: list[int], weights: Sequence[int], source: int, tokens: int) -> None:
    """Book `tokens` to `source`: everybody earns their share of them, the source pays them."""
    for i, weight in enumerate(weights):
        credits[i] += weight * tokens
    credits[source] -= sum(weights) * tokens
