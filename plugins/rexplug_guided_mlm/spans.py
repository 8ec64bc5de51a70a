"""Masking whole runs of tokens within an exact budget, vectorised.

A row is cut into runs that cover it without a gap; `starts` is where they begin, `[num_runs]`, the first at 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def runs_of(places: NDArray[np.int64], values: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where runs of neighbours with equal values start; `places` are ascending and `values` stand at them."""
    import numpy as np

    begins = np.ones(len(places), np.bool_)
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    begins[1:] |= np.diff(places) != 1
    return np.flatnonzero(begins)


def words_of(word_start: NDArray[np.uint8], maskable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where words begin, `[num_tokens]`; a token that cannot be masked is a word of its own."""
    import numpy as np

    begins = ~maskable
    begins[1:] |= begins[:-1].copy()
    begins |= word_start.view(np.bool_) if word_start.dtype == np.bool_ else word_start != 0
    begins[:1] = True
    return begins


def first_in_order(lengths: NDArray[np.int64], order: NDArray[np.int64], budget: int) -> tuple[NDArray[np.int64], int]:
    """The runs in `order` that meet `budget` tokens, and how many tokens of the last one are too many."""
    import numpy as np

    total = np.cumsum(lengths[order])
    last = int(np.searchsorted(total, budget))
    if budget <= 0 or not len(order):
        return order[:0], 0
    if last >= len(order):
        return order, 0
    return order[: last + 1], int(total[last]) - budget


def random_runs(
    lengths: NDArray[np.int64], allowed: NDArray[np.bool_], budget: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], int]:
    """Allowed runs in random order until `budget` tokens are met, and how many tokens of the last one are too many.

    Keys are drawn for all runs; only those near the one at which the budget is met are sorted.
    """
    import numpy as np

    keys = generator.integers(0, 2**32, len(lengths), dtype=np.uint32)
    np.putmask(keys, ~allowed, 2**32 - 1)
    total = int(lengths[allowed].sum()) if not allowed.all() else int(lengths.sum())
    # Where the budget would be met if lengths were spread evenly, less six standard deviations of what they may differ.
    spread = 6 * float(np.sqrt(np.square(lengths, dtype=np.float64).sum()))
    low = max(0.0, (budget - spread) / max(1, total)) * 2**32
    high = min(1.0, (budget + spread) / max(1, total)) * 2**32
    sure = np.flatnonzero(keys < low)
    near = np.flatnonzero((keys >= low) & (keys <= high) & allowed)
    left = budget - int(lengths[sure].sum())
    if left < 0 or left > int(lengths[near].sum()):
        sure, near, left = sure[:0], np.flatnonzero(allowed), budget
    chosen, over = first_in_order(lengths, near[sorted_by(keys[near])], left)
    return np.concatenate([sure, chosen]), over


def sorted_by(keys: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The order of ascending keys; keys and places are sorted as one number, several times as fast as an argsort."""
    import numpy as np

    packed = (keys.astype(np.uint64) << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    found: NDArray[np.int64] = (packed & np.uint64(2**32 - 1)).view(np.int64)
    return found


def spread_over(
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    chosen: NDArray[np.int64],
    over: int,
    number: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """The tokens of the chosen runs, the last `over` of the last run left out, `[num_tokens]`.

    `number` is the run of each token; where runs are short, looking it up is several times as fast as repeating.
    """
    import numpy as np

    flags = np.zeros(len(starts), np.bool_)
    flags[chosen] = True
    tokens: NDArray[np.bool_] = np.repeat(flags, lengths) if number is None else flags.take(number)
    if over:
        end = int(starts[chosen[-1]] + lengths[chosen[-1]])
        tokens[end - over : end] = False
    return tokens
