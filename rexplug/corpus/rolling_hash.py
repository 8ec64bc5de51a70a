"""Hashes of all windows of a sequence by prefix sums of one polynomial modulo 2 ** 64, for any length of window.

With weights B ** i the sum over a window that begins at i is B ** i times the hash of the window; multiplying by the inverse
power takes its place out again. B is odd, so it has an inverse modulo 2 ** 64.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_CACHED = 1 << 20
"""Powers that are kept: 16 MB serve any text of up to a million characters."""


def powers(count: int) -> tuple[Hashes, Hashes]:
    """The first `count` powers of the base and of its inverse, `[count]` each."""
    if count > _CACHED:
        return _compute_powers(count)
    base, inverse = _cached_powers()
    return base[:count], inverse[:count]


@lru_cache(maxsize=1)
def _cached_powers() -> tuple[Hashes, Hashes]:
    return _compute_powers(_CACHED)


def _compute_powers(count: int) -> tuple[Hashes, Hashes]:
    tables = []
    for base in (_BASE, _INVERSE):
        factors = np.full(count, base, np.uint64)
        factors[0] = 1
        tables.append(np.cumprod(factors, dtype=np.uint64))
    return tables[0], tables[1]


def prefix_sums(values: Hashes, weights: Hashes) -> Hashes:
    """`[n + 1]` sums of the first values times their weights, both `[n]`; begins with 0."""
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * weights, out=sums[1:])
    return sums


def window_hashes(sums: Hashes, inverse: Hashes, length: int) -> Hashes:
    """`[n - length + 1]` hashes of the windows of `length` values.

    Args:
        sums: what `prefix_sums` gave, `[n + 1]`.
        inverse: what undoes the weight of each place, at least `[n + 1]`.
        length: at most n.
    """
    hashes: Hashes = (sums[length:] - sums[:-length]) * inverse[: len(sums) - length]
    return hashes
