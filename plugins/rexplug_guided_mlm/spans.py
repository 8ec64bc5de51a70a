"""Chooses whole runs of tokens within an exact budget, vectorized.

Runs cover a row without gaps: `starts` `[num_runs]` is where they begin, the first at 0; `lengths` `[num_runs]` are their
tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def run_starts(places: NDArray[np.int64], values: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where runs of adjacent places with equal values start, as indices into `places`, `[num_runs]`.

    Args:
        places: ascending, `[n]`.
        values: the value at each place, `[n]`.
    """
    import numpy as np

    begins = np.ones(len(places), np.bool_)
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    begins[1:] |= np.diff(places) != 1
    return np.flatnonzero(begins)


def word_begins(word_start: NDArray[np.uint8], maskable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where words begin, `[num_tokens]`; a token that cannot be masked counts as a word by itself."""
    import numpy as np

    begins = ~maskable
    begins[1:] |= begins[:-1].copy()
    begins |= word_start.view(np.bool_) if word_start.dtype == np.bool_ else word_start != 0
    begins[:1] = True
    return begins


def first_in_order(lengths: NDArray[np.int64], order: NDArray[np.int64], budget: int) -> tuple[NDArray[np.int64], int]:
    """The first runs in `order` that have at least `budget` tokens together, and by how many tokens they exceed it."""
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
    """Allowed runs in random order that have at least `budget` tokens together, and by how many tokens they exceed it.

    Random keys are drawn for all runs, but only the keys near the one at which the budget is met are sorted.

    Args:
        lengths: tokens of each run, `[num_runs]`.
        allowed: the runs that may be chosen, `[num_runs]`.
        budget: tokens to choose.
        generator: the random generator.
    """
    import numpy as np

    keys = generator.integers(0, 2**32, len(lengths), dtype=np.uint32)
    np.putmask(keys, ~allowed, 2**32 - 1)
    total = int(lengths[allowed].sum()) if not allowed.all() else int(lengths.sum())
    # The key at which the budget is met lies between those for budget - margin and budget + margin, which is six standard
    # deviations of the sum of the lengths.
    margin = 6 * float(np.sqrt(np.square(lengths, dtype=np.float64).sum()))
    low = max(0.0, (budget - margin) / max(1, total)) * 2**32
    high = min(1.0, (budget + margin) / max(1, total)) * 2**32
    below = np.flatnonzero(keys < low)
    near = np.flatnonzero((keys >= low) & (keys <= high) & allowed)
    missing = budget - int(lengths[below].sum())
    if missing < 0 or missing > int(lengths[near].sum()):  # outside the margin: sort all keys
        below, near, missing = below[:0], np.flatnonzero(allowed), budget
    runs, surplus = first_in_order(lengths, near[argsort_keys(keys[near])], missing)
    return np.concatenate([below, runs]), surplus


def argsort_keys(keys: NDArray[np.uint32]) -> NDArray[np.int64]:
    """A stable argsort: key and index are sorted as one 64-bit number, which is several times as fast as np.argsort."""
    import numpy as np

    packed = (keys.astype(np.uint64) << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    order: NDArray[np.int64] = (packed & np.uint64(2**32 - 1)).view(np.int64)
    return order


def tokens_of_runs(
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    runs: NDArray[np.int64],
    surplus: int,
    run_of_token: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """The tokens of the chosen runs, without the last `surplus` tokens of the last run, `[num_tokens]`.

    Args:
        starts: where all runs start, `[num_runs]`.
        lengths: tokens of all runs, `[num_runs]`.
        runs: indices of the chosen runs.
        surplus: tokens of the last chosen run to leave out.
        run_of_token: the index of each token's run, `[num_tokens]`, if the caller has it: where runs are short, looking
            it up is several times as fast as repeating.
    """
    import numpy as np

    is_chosen = np.zeros(len(starts), np.bool_)
    is_chosen[runs] = True
    tokens: NDArray[np.bool_] = np.repeat(is_chosen, lengths) if run_of_token is None else is_chosen.take(run_of_token)
    if surplus:
        end = int(starts[runs[-1]] + lengths[runs[-1]])
        tokens[end - surplus : end] = False
    return tokens
