"""A shuffled order without a shuffled list: the i-th sample is computed, for any i, in O(1)."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 6


def key_of(*parts: str | int) -> int:
    """A 64-bit key of anything that names a stream of draws."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little")


def permute(indices: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """Where a keyed pseudo-random permutation of `range(size)` sends `indices`.

    A Feistel network over the next power of four, with cycle walking: values that fall outside are sent on until they
    fall inside (fewer than four times on average).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    keys = [np.uint64(key_of(key, number)) for number in range(_ROUNDS)]
    values = indices.astype(np.uint64)
    outside: NDArray[np.bool_] = np.ones(len(values), np.bool_)
    while outside.any():
        values[outside] = _network(values[outside], half, mask, keys)
        outside = values >= np.uint64(size)
    return values.astype(np.int64)


def _network(values: NDArray[np.uint64], half: int, mask: np.uint64, keys: list[np.uint64]) -> NDArray[np.uint64]:
    shift = np.uint64(half)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << shift) | right


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele et al., OOPSLA 2014); arithmetic is modulo 2^64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
