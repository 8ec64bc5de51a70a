"""Masking whole spans within an exact budget, vectorised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def take_spans(
    starts: NDArray[np.int64], lengths: NDArray[np.int64], order: NDArray[np.int64], budget: int, size: int
) -> NDArray[np.bool_]:
    """Spans in `order` until the budget is met exactly; the last one is cut where it is used up. `[size]`."""
    chosen = np.zeros(size, np.bool_)
    if budget <= 0 or not len(order):
        return chosen
    taken = lengths[order]
    before = np.cumsum(taken) - taken
    keep = before < budget
    first, taken, before = starts[order][keep], taken[keep], before[keep]
    taken = np.minimum(taken, budget - before)
    places = np.repeat(first - (np.cumsum(taken) - taken), taken) + np.arange(int(taken.sum()))
    chosen[places] = True
    return chosen


def runs(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of runs of equal values of at least 0; negative values belong to no run."""
    change = np.flatnonzero(np.diff(labels, prepend=labels[:1] - 1 if len(labels) else 0))
    lengths = np.diff(change, append=len(labels))
    inside = labels[change] >= 0
    return change[inside], lengths[inside]


def words(word_start: NDArray[np.uint8], maskable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number of the word that each token belongs to; -1 where nothing may be masked."""
    begins = word_start.astype(bool)
    begins[1:] |= ~maskable[:-1]
    return np.where(maskable, np.cumsum(begins), -1)


def fill_up(
    chosen: NDArray[np.bool_], maskable: NDArray[np.bool_], budget: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Add random tokens until `budget` tokens are chosen."""
    missing = budget - int(chosen.sum())
    if missing > 0:
        rest = np.flatnonzero(maskable & ~chosen)
        chosen[generator.choice(rest, missing, replace=False, shuffle=False)] = True
    return chosen
