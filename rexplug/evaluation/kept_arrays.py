"""Arrays of earlier calls, so that evaluators which need the same embeddings compute them once; in bounded memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.evaluation.text_rows import Row

_MAX_BYTES = 2**28
Arrays = tuple[NDArray[np.float32], ...]


class KeptArrays:
    """Arrays by the key of what they were computed from; those not used for longest are dropped.

    Whole results are kept and not single rows: the last bits of an embedding depend on the texts beside it in a batch, and a
    result must not depend on what was evaluated before.

    Args:
        max_bytes: size of all arrays, at most.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._arrays: OrderedDict[str, Arrays] = OrderedDict()
        self._bytes = 0

    def get(self, key: str, compute: Callable[[], Arrays]) -> Arrays:
        """Copies of the arrays under a key, computed if they are not kept."""
        kept = self._arrays.pop(key, None)
        if kept is None:
            kept = compute()
            self._bytes += _size(kept)
        self._arrays[key] = kept
        while self._bytes > self._max_bytes:
            self._bytes -= _size(self._arrays.popitem(last=False)[1])
        return tuple(array.copy() for array in kept)


def rows_key(rows: Sequence[NDArray[np.int64]]) -> str:
    """Hash of everything in some rows that affects their embeddings."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(np.array([len(row) for row in rows], np.int64).tobytes())
    for row in rows:
        digest.update(row.tobytes())
        if isinstance(row, Row):
            others: list[Any] = [row.prompt_length, row.source]
            digest.update(repr(others).encode())
            digest.update(b"" if row.segments is None else row.segments.tobytes())
    return digest.hexdigest()


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays)
