"""Embeddings of earlier calls, so that evaluators which need the same ones compute them once; in bounded memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rexplug.evaluation.text_rows import Row

_MAX_BYTES = 2**28
T = TypeVar("T")


class Kept:
    """Values by the key of what they were computed from; the least recently used are dropped.

    Whole results are kept and not single rows: the last bits of an embedding depend on the texts beside it in a batch, and a
    result must not depend on what was evaluated before. Values must not be changed.

    Args:
        max_bytes: size of all arrays in them, at most.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._values: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: str, compute: Callable[[], T], arrays: Callable[[T], Iterable[NDArray[Any]]]) -> T:
        """The value under a key, computed if it is not kept; `arrays` gives those in a value."""
        if key in self._values:
            self._values.move_to_end(key)
            kept: T = self._values[key][0]
            return kept
        value = compute()
        size = sum(array.nbytes for array in arrays(value))
        self._values[key] = value, size
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._bytes -= self._values.popitem(last=False)[1][1]
        return value


def rows_key(rows: Sequence[NDArray[np.int64]]) -> str:
    """Hash of everything in some rows that affects their embeddings."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(np.array([len(row) for row in rows], np.int64).tobytes())
    for row in rows:
        for part in _parts(row):
            digest.update(part)
    return digest.hexdigest()


def distinct_rows(rows: Sequence[NDArray[np.int64]]) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """The distinct rows, and for each row its index among them, `[n]`."""
    places: dict[tuple[bytes, ...], int] = {}
    distinct: list[NDArray[np.int64]] = []
    place_of = np.zeros(len(rows), np.int64)
    for number, row in enumerate(rows):
        key = _parts(row)
        if key not in places:
            places[key] = len(distinct)
            distinct.append(row)
        place_of[number] = places[key]
    return distinct, place_of


def _parts(row: NDArray[np.int64]) -> tuple[bytes, ...]:
    """Everything in a row that affects its embedding."""
    if not isinstance(row, Row):
        return (row.tobytes(),)
    segments = b"" if row.segments is None else row.segments.tobytes()
    return row.tobytes(), repr((row.prompt_length, row.source)).encode(), segments
