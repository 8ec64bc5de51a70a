"""Draws an exact number of tokens from each of many groups at once, vectorized, and rounds shares to whole numbers without bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEY_RANGE = 2**15
"""Random keys are integers below this. Their type has 16 bits, so that a token that must not be drawn can have a larger key."""


def random_keys(count: int, generator: np.random.Generator) -> NDArray[np.uint16]:
    """Independent uniform keys below `KEY_RANGE`, `[count]`.

    They come from a second bit generator, SFC64, with a seed drawn from `generator`: for as many numbers as a row has
    tokens it takes a third of the time of the counter-based one that rows have.
    """
    import numpy as np

    bits = np.random.SFC64(int(generator.integers(2**63)))
    keys: NDArray[np.uint16] = bits.random_raw(-(-count // 4)).view(np.uint16)[:count]
    keys >>= 1
    return keys


def weighted_keys(keys: NDArray[np.uint16], chances: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Keys whose smallest ones form a sample in which a token is included with (nearly) its chance, `[n]`.

    Pareto sampling (Rosen 1997, "On sampling with probability proportional to size"): the tokens with the smallest
    `odds(uniform) / odds(chance)` are taken; here as shares `x / (1 + x)` of the key range, so that tokens up to the middle of
    the range are taken on average.

    Args:
        keys: uniform keys, `[n]`.
        chances: the inclusion probability of each token, above 0 and below 1, `[n]`.
    """
    import numpy as np

    uniform = (keys + np.float32(0.5)) / np.float32(KEY_RANGE)
    both = uniform * chances
    rest = uniform - both
    weighted: NDArray[np.uint16] = (rest / (rest + chances - both) * np.float32(KEY_RANGE - 1)).astype(np.uint16)
    return weighted


def whole_numbers(ends: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Amounts, each rounded down or up at random: right on average, `[n]`.

    Systematic sampling: the cumulative amounts are rounded down after a common random offset was added. Like the
    largest-remainder method it keeps a whole total and rounds every amount down or up, but no amount is favoured.

    Args:
        ends: the cumulative amounts, `[n]`.
        generator: the random generator.
    """
    import numpy as np

    amounts = (ends + generator.random()).astype(np.int64)
    amounts[1:] -= amounts[:-1].copy()
    return amounts


def smallest_in_groups(
    keys: NDArray[np.uint16],
    bounds: NDArray[np.int64],
    counts: NDArray[np.int64],
    guesses: NDArray[np.float64],
    densities: NDArray[np.float64],
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """The `counts` smallest keys of each group, `[n]`; equal keys are taken in random order.

    Only the keys between a guess and the key at which the count is met are sorted: with keys that were drawn independently
    a guess misses the count by about its square root.

    Args:
        keys: random keys, `[n]`; those that are not below `KEY_RANGE` are never taken.
        bounds: group `i` is `keys[bounds[i]:bounds[i + 1]]` and not empty, `[num_groups + 1]`.
        counts: how many to take of each group, at most the keys below `KEY_RANGE` that it has, `[num_groups]`.
        guesses: the key below which a group is expected to have its count, `[num_groups]`.
        densities: keys that a group is expected to have per unit of the key there, `[num_groups]`.
        generator: the random generator.
    """
    import numpy as np

    lengths = np.diff(bounds)
    middle = np.clip(guesses, 0, KEY_RANGE).astype(np.uint16)
    below = keys < middle.repeat(lengths)
    found = np.add.reduceat(below.view(np.uint8), bounds[:-1], dtype=np.int32)
    missing = counts - found
    too_few, too_many = missing > 0, missing < 0
    distance = np.abs(missing)
    reach = np.minimum((distance + 3 * np.sqrt(distance) + 2) / np.maximum(densities, 1e-9), KEY_RANGE)
    low = np.where(too_many, np.maximum(middle - reach, 0), middle).astype(np.uint16)
    high = np.where(too_few, np.minimum(middle + reach, KEY_RANGE), middle).astype(np.uint16)
    while True:
        chosen = keys < low.repeat(lengths)
        near = np.flatnonzero(chosen ^ (keys < high.repeat(lengths)))
        edges = near.searchsorted(bounds)
        num_near = np.diff(edges)
        needed = np.where(too_many, missing + num_near, missing)
        missed = (needed < 0) | (needed > num_near)
        if not missed.any():
            break
        low[missed & too_many] = 0
        high[missed & too_few] = KEY_RANGE
    order = sorted_in_groups(keys[near], num_near, generator)
    ranks = np.arange(len(near)) - edges[:-1].repeat(num_near)
    chosen[near[order[ranks < needed.repeat(num_near)]]] = True
    return chosen


def sorted_in_groups(
    keys: NDArray[np.uint16], sizes: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """The order that sorts the keys within each group and leaves the groups in place, `[n]`; equal keys are in random order.

    Args:
        keys: keys below `KEY_RANGE`, group after group, `[n]`.
        sizes: keys of each group, `[num_groups]`.
        generator: the random generator.
    """
    import numpy as np

    # Group, key and index are sorted as one number, which is several times as fast as np.lexsort. Some bits of the index are
    # flipped: of any two equal keys each comes first with the same probability.
    index_bits = np.uint64(max(1, len(keys).bit_length()))
    index_mask = (np.uint64(1) << index_bits) - np.uint64(1)
    flip = generator.integers(2**32, dtype=np.uint64) & index_mask
    packed = np.arange(len(sizes), dtype=np.uint64).repeat(sizes) << (index_bits + np.uint64(15))
    packed |= keys.astype(np.uint64) << index_bits
    packed |= np.arange(len(keys), dtype=np.uint64) ^ flip
    packed.sort()
    packed &= index_mask
    packed ^= flip
    return packed.view(np.int64)
