"""One bit for each document of many shards: the set of dropped documents takes an eighth of a byte for each document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rexplug.io.atomic import replacing

_ROW = np.uint64(2**32 - 1)


class DocumentBits:
    """A set of documents, which are given by their places (number of the shard times 2 ** 32, plus row).

    Args:
        starts: int64 `[num_shards + 1]`, how many documents the shards before each have, and all of them.
        bits: uint8, eight documents a byte.
    """

    def __init__(self, starts: NDArray[np.int64], bits: NDArray[np.uint8]) -> None:
        self.starts = starts
        self.bits = bits

    @classmethod
    def empty(cls, counts: Sequence[int] | NDArray[np.int64]) -> Self:
        """A set without documents, of shards with so many documents each."""
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(starts, np.zeros(-(-int(starts[-1]) // 8), np.uint8))

    def number(self, places: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The numbers of documents among all of all shards."""
        rows: NDArray[np.int64] = (places & _ROW).astype(np.int64)
        return self.starts[(places >> np.uint64(32)).astype(np.int64)] + rows

    def add(self, places: NDArray[np.uint64]) -> None:
        """Add documents to the set."""
        numbers = self.number(places)
        np.bitwise_or.at(self.bits, numbers >> 3, (1 << (numbers & 7)).astype(np.uint8))

    def contains(self, places: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which documents are in the set."""
        numbers = self.number(places)
        found: NDArray[np.bool_] = (self.bits[numbers >> 3] >> (numbers & 7).astype(np.uint8)) & 1 == 1
        return found

    def save(self, path: Path) -> None:
        """Write the set to a file, which is complete or does not exist."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(np.array([len(self.starts)], "<i8").tobytes())
            file.write(self.starts.astype("<i8").tobytes())
            file.write(self.bits.tobytes())

    @classmethod
    def load(cls, path: Path) -> Self:
        """The set that `save` wrote; its bits stay on disk and are read when they are looked up."""
        count = int(np.fromfile(path, "<i8", 1)[0])
        starts = np.fromfile(path, "<i8", count, offset=8)
        if not starts[-1]:
            return cls(starts, np.zeros(0, np.uint8))
        return cls(starts, np.asarray(np.memmap(path, np.uint8, "r", 8 * (count + 1))))
