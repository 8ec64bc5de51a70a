"""A keyed pseudo-random permutation of range(n): any element and its inverse are computed in O(1), without a shuffled list."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 6
"""Of the Feistel network; even, so that the halves have their own widths again at the end."""
_SMALL = 4096
"""Up to this size the permutation sorts by hash, which is exactly uniform; a Feistel network has too few bits to mix."""


def key_of(*parts: str | int) -> int:
    """A 64-bit key from the names and numbers that identify a use of random numbers."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little")


def permute(indices: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """The images of `indices` `[n]` under the permutation of `range(size)` that `key` selects, `[n]`.

    A Feistel network over the next power of two, with cycle walking (Black and Rogaway 2002): a value outside the range
    goes through the network again until it is inside, fewer than twice on average.
    """
    if size <= _SMALL:
        return _sorted_by_hash(size, key)[indices]
    return _walk(indices, size, key, _forward)


def invert(values: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """The inverse of `permute`: the indices whose images are `values` `[n]`, `[n]`."""
    if size <= _SMALL:
        return np.argsort(_sorted_by_hash(size, key))[values]
    return _walk(values, size, key, _backward)


@lru_cache(maxsize=64)
def _sorted_by_hash(size: int, key: int) -> NDArray[np.int64]:
    first, second = (np.uint64(key_of(key, number)) for number in range(2))
    hashes = _mix(_mix(np.arange(size, dtype=np.uint64) ^ first) ^ second)
    order = np.argsort(hashes, kind="stable")
    order.flags.writeable = False
    return order


_Network = Callable[[NDArray[np.uint64], int, tuple[np.uint64, ...]], NDArray[np.uint64]]


def _walk(indices: NDArray[np.int64], size: int, key: int, network: _Network) -> NDArray[np.int64]:
    bits = (size - 1).bit_length()
    keys = _round_keys(key)
    values = network(indices.astype(np.uint64), bits, keys)
    outside = np.flatnonzero(values >= np.uint64(size))
    while len(outside):
        images = network(values[outside], bits, keys)
        values[outside] = images
        outside = outside[images >= np.uint64(size)]
    signed: NDArray[np.int64] = values.view(np.int64)
    return signed


@lru_cache(maxsize=256)
def _round_keys(key: int) -> tuple[np.uint64, ...]:
    return tuple(np.uint64(key_of(key, number)) for number in range(_ROUNDS))


# The left half has `bits - bits // 2` bits and the right one `bits // 2`; they change places every round.


def _forward(values: NDArray[np.uint64], bits: int, keys: tuple[np.uint64, ...]) -> NDArray[np.uint64]:
    low, high = bits // 2, bits - bits // 2
    left, right = values >> np.uint64(low), values & np.uint64((1 << low) - 1)
    for number, key in enumerate(keys):
        width = high if number % 2 == 0 else low
        left, right = right, left ^ (_mix(right ^ key) & np.uint64((1 << width) - 1))
    return (left << np.uint64(low)) | right


def _backward(values: NDArray[np.uint64], bits: int, keys: tuple[np.uint64, ...]) -> NDArray[np.uint64]:
    low, high = bits // 2, bits - bits // 2
    left, right = values >> np.uint64(low), values & np.uint64((1 << low) - 1)
    for number in reversed(range(len(keys))):
        width = high if number % 2 == 0 else low
        left, right = right ^ (_mix(left ^ keys[number]) & np.uint64((1 << width) - 1)), left
    return (left << np.uint64(low)) | right


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele et al., OOPSLA 2014); arithmetic is modulo 2^64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
