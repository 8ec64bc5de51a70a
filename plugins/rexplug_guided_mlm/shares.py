"""Divides the budget of a row among its samples, and that of a sample between its salient and its plain tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rexplug_guided_mlm.sampling import whole_numbers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    import rexplug


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """How many tokens of each sample of a row are to be masked; arrays are `[num_samples]` unless stated otherwise."""

    counts: NDArray[np.int64]
    """Tokens to mask: the sample's part of the row's budget, rounded down or up."""
    plain: NDArray[np.int64]
    """Tokens that can be masked and are not salient."""
    salient: NDArray[np.int64]
    """Salient tokens that can be masked."""
    edges: NDArray[np.int64]
    """Where each sample's salient tokens begin among those of the row, and at the end their number, `[num_samples + 1]`."""
    weights: NDArray[np.float64]
    """Sum of the weights of the salient tokens: how many times as likely as a plain token each is masked."""
    wanted: NDArray[np.float64]
    """Salient tokens to mask on average."""
    most: NDArray[np.float64]
    """Salient tokens to mask at most: the cap, but one token may always be masked."""


def divide(
    batch: rexplug.TokenBatch,
    places: NDArray[np.int64],
    levels: NDArray[np.uint8],
    boost: float,
    budget: int,
    cap: float,
    generator: np.random.Generator,
) -> Shares:
    """The shares of a row's samples.

    Args:
        batch: the row.
        places: its salient tokens, ascending, `[num_salient]`.
        levels: their salience, `[num_salient]`.
        boost: how many times as likely as a plain token one of salience 255 is masked.
        budget: tokens to mask in the row.
        cap: largest share of a sample's salient tokens to mask.
        generator: the random generator.
    """
    import numpy as np

    maskable = np.add.reduceat(batch.maskable.view(np.uint8), batch.cu_seqlens[:-1], dtype=np.int32)
    ends = np.cumsum(maskable, dtype=np.int64)
    counts = whole_numbers(budget * ends / ends[-1], generator)
    edges = places.searchsorted(batch.cu_seqlens)
    salient = np.diff(edges)
    plain = maskable - salient
    # Whole numbers are summed, so that the shares are the same on every machine.
    total = salient.astype(np.float64)
    some = np.flatnonzero(salient)
    total[some] += np.add.reduceat(levels, edges[some], dtype=np.int64) * ((boost - 1) / 255)
    limit = cap * salient
    most = np.maximum(np.floor(limit + 1e-9), np.minimum(limit, 1))
    wanted = np.minimum(counts * total / np.maximum(total + plain, 1), most)
    # The budget is exact: where the plain tokens are too few, salient ones are masked beyond the cap.
    wanted = np.maximum(wanted, counts - plain)
    return Shares(counts, plain, salient, edges, total, wanted, np.maximum(most, wanted))
