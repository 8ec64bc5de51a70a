"""Bootstrap intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Metric

_DRAWS = 1000


def ratio(hits: NDArray[np.float64], counts: NDArray[np.float64], seed: int) -> Metric:
    """Sum of `hits` over sum of `counts`, with a 95 % interval from resampling the units (documents, queries).

    Args:
        hits: per unit, `[n]`.
        counts: per unit, `[n]`; units of 0 are left out.
        seed: of the resampling.
    """
    inside = counts > 0
    hits, counts = hits[inside], counts[inside]
    total = float(counts.sum())
    if not total:
        return Metric(0.0, None, None, 0)
    generator = np.random.default_rng(seed)
    picks = generator.integers(len(hits), size=(_DRAWS, len(hits)))
    values = hits[picks].sum(1) / counts[picks].sum(1)
    low, high = np.quantile(values, [0.025, 0.975])
    return Metric(float(hits.sum() / total), float(low), float(high), int(total))


def mean(values: NDArray[np.float64], seed: int) -> Metric:
    """The mean of `values` `[n]` with a 95 % bootstrap interval."""
    return ratio(values, np.ones(len(values)), seed)
