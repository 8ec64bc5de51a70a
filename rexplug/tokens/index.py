"""Where the documents of a store are: their lengths in one memory-mapped array, and sums per block of documents.

A store of a hundred million documents is used without holding a number per document in memory. Arrays that take a pass
over the store are cached in its `index/` folder under the store's identity, and computed again when the store has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.errors import DataError
from rexplug.io.atomic import replacing

BLOCK = 32
"""Documents in a block; finding a sample reads the lengths of one block."""
_CACHED_FROM = 2**20
"""Stores with fewer documents are not cached: counting them takes milliseconds."""
_STEP = BLOCK * 2**15
"""Documents that are counted at a time."""


@dataclass(frozen=True)
class DocumentIndex:
    """Lengths of the documents of a store, and how many tokens come before each block."""

    folder: Path
    """Where arrays are cached."""
    identity: str
    """The store's identity: arrays cached for another one are not used."""
    num_documents: int
    """Documents in the store."""
    lengths: NDArray[np.uint32]
    """`[num_blocks, BLOCK]`, tokens of each document; the last block is filled up with zeros."""
    token_starts: NDArray[np.int64]
    """`[num_blocks + 1]`, tokens before each block."""

    @classmethod
    def of(cls, folder: Path, identity: str, num_documents: int, ends: Callable[[], Iterable[Any]]) -> DocumentIndex:
        """The index of a store, from the cache or computed.

        Args:
            folder: where arrays are cached.
            identity: the store's identity.
            num_documents: documents in the store.
            ends: gives for each shard the cumulative ends of its documents, in tokens.

        Raises:
            DataError: the ends of a shard do not increase.
        """
        num_blocks = -(-num_documents // BLOCK)

        def lengths(out: NDArray[np.uint32]) -> None:
            flat, done = out.reshape(-1), 0
            for shard_ends in ends():
                for first in range(0, len(shard_ends), _STEP):
                    some_ends = shard_ends[max(0, first - 1) : first + _STEP].astype(np.int64)
                    some_lengths = np.diff(some_ends, prepend=0) if first == 0 else np.diff(some_ends)
                    if len(some_lengths) and (some_lengths.min() < 0 or some_lengths.max() >= 2**32):
                        raise DataError(
                            f"{getattr(shard_ends, 'filename', folder)}: the ends of its documents do not increase"
                        )
                    flat[done : done + len(some_lengths)] = some_lengths
                    done += len(some_lengths)

        table = _cached(folder, f"lengths-{identity}", (num_blocks, BLOCK), np.uint32, lengths, num_documents)

        def starts(out: NDArray[np.int64]) -> None:
            for first in range(0, num_blocks, _STEP // BLOCK):
                sums = table[first : first + _STEP // BLOCK].sum(1, dtype=np.int64)
                out[first + 1 : first + 1 + len(sums)] = out[first] + np.cumsum(sums)

        token_starts = _cached(folder, f"starts-{identity}", (num_blocks + 1,), np.int64, starts, num_documents)
        return cls(folder, identity, num_documents, table, token_starts)

    def sample_counts(self, room: int, min_tokens: int) -> tuple[NDArray[np.int64], int]:
        """(samples before each block `[num_blocks + 1]`, document tokens in all samples).

        Args:
            room: document tokens in a full sample; a document of n tokens is ceil(n / room) samples.
            min_tokens: documents with fewer tokens have no sample.
        """
        num_blocks = len(self.lengths)

        def count(out: NDArray[np.int64]) -> None:
            for first in range(0, num_blocks, _STEP // BLOCK):
                lengths = np.asarray(self.lengths[first : first + _STEP // BLOCK])
                counts = num_samples(lengths, room, min_tokens)
                sums = counts.sum(1, dtype=np.int64)
                out[first + 1 : first + 1 + len(sums)] = out[first] + np.cumsum(sums)
                out[-1] += int(lengths[counts > 0].sum(dtype=np.int64))

        name = f"samples-{room}-{min_tokens}-{self.identity}"
        counts_and_total = _cached(self.folder, name, (num_blocks + 2,), np.int64, count, self.num_documents)
        return np.asarray(counts_and_total[:-1]), int(counts_and_total[-1])


def num_samples(lengths: NDArray[np.uint32], room: int, min_tokens: int) -> NDArray[np.uint32]:
    """How many samples each document has, in the shape of `lengths`; see `DocumentIndex.sample_counts`."""
    counts = (lengths + np.uint32(room - 1)) // np.uint32(room)
    if min_tokens > 1:
        counts[lengths < min_tokens] = 0
    return counts


def _cached(
    folder: Path,
    name: str,
    shape: tuple[int, ...],
    kind: type[Any],
    fill: Callable[[NDArray[Any]], None],
    num_documents: int,
) -> NDArray[Any]:
    """An array from the cache, or filled, and cached if the store is large and the folder can be written to.

    Args:
        folder: where arrays are cached.
        name: the name of the file, without its ending.
        shape: the shape of the array.
        kind: the type of its elements.
        fill: writes the values into an array of zeros.
        num_documents: documents in the store, which decide whether caching is worth a file.
    """
    path = folder / f"{name}.npy"
    if num_documents >= _CACHED_FROM:
        if path.exists():
            cached: NDArray[Any] = np.load(path, mmap_mode="r")
            if cached.shape == shape and cached.dtype == kind:
                return cached
        try:
            with replacing(path) as temporary:
                mapped = np.lib.format.open_memmap(temporary, "w+", kind, shape)  # type: ignore[no-untyped-call]
                fill(mapped)
                mapped.flush()
                del mapped
            written: NDArray[Any] = np.load(path, mmap_mode="r")
            return written
        except PermissionError:
            pass  # a store that is read-only is counted in memory
    values = np.zeros(shape, kind)
    fill(values)
    return values
