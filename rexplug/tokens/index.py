"""Where documents lie in a store of any size: lengths in one memory-mapped array, sums per block of documents.

A store of a hundred million documents is planned without holding a number per document in memory. What takes a pass
over the store is kept in its `index/` folder under the store's identity, and made again when the store has changed.
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
"""Documents of a block; finding a sample reads the lengths of one block."""
_CACHED_FROM = 2**20
"""Stores with fewer documents are counted anew each time, which takes milliseconds."""
_STEP = BLOCK * 2**15
"""Documents taken at a time while counting."""


@dataclass(frozen=True)
class DocumentIndex:
    """Lengths of the documents of a store, and how many tokens lie before each block.

    `lengths` is `[num_blocks, BLOCK]` uint32, filled up with zeros; `token_starts` `[num_blocks + 1]` int64.
    """

    folder: Path
    identity: str
    num_documents: int
    lengths: NDArray[np.uint32]
    token_starts: NDArray[np.int64]

    @classmethod
    def of(cls, folder: Path, identity: str, num_documents: int, ends: Callable[[], Iterable[Any]]) -> DocumentIndex:
        """Read the index from `folder`, or make it from the arrays of cumulative ends, one per shard."""
        num_blocks = -(-num_documents // BLOCK)

        def lengths(out: NDArray[np.uint32]) -> None:
            flat, done = out.reshape(-1), 0
            for part in ends():
                for first in range(0, len(part), _STEP):
                    piece = part[max(0, first - 1) : first + _STEP].astype(np.int64)
                    found = np.diff(piece, prepend=0) if first == 0 else np.diff(piece)
                    if len(found) and (found.min() < 0 or found.max() >= 2**32):
                        raise DataError(
                            f"{getattr(part, 'filename', folder)}: the ends of its documents do not increase"
                        )
                    flat[done : done + len(found)] = found
                    done += len(found)

        table = kept(folder, f"lengths-{identity}", (num_blocks, BLOCK), np.uint32, lengths, num_documents)

        def starts(out: NDArray[np.int64]) -> None:
            for first in range(0, num_blocks, _STEP // BLOCK):
                sums = table[first : first + _STEP // BLOCK].sum(1, dtype=np.int64)
                out[first + 1 : first + 1 + len(sums)] = out[first] + np.cumsum(sums)

        token_starts = kept(folder, f"starts-{identity}", (num_blocks + 1,), np.int64, starts, num_documents)
        return cls(folder, identity, num_documents, table, token_starts)

    def sample_counts(self, room: int, min_tokens: int) -> tuple[NDArray[np.int64], int]:
        """Samples before each block, `[num_blocks + 1]`, and the tokens that all of them hold.

        Args:
            room: tokens of a document that a sample holds; a document of n tokens is ceil(n / room) samples.
            min_tokens: shorter documents have no sample.
        """
        num_blocks = len(self.lengths)

        def count(out: NDArray[np.int64]) -> None:
            for first in range(0, num_blocks, _STEP // BLOCK):
                lengths = np.asarray(self.lengths[first : first + _STEP // BLOCK])
                counts = samples_of(lengths, room, min_tokens)
                sums = counts.sum(1, dtype=np.int64)
                out[first + 1 : first + 1 + len(sums)] = out[first] + np.cumsum(sums)
                out[-1] += int(lengths[counts > 0].sum(dtype=np.int64))

        name = f"samples-{room}-{min_tokens}-{self.identity}"
        found = kept(self.folder, name, (num_blocks + 2,), np.int64, count, self.num_documents)
        return np.asarray(found[:-1]), int(found[-1])


def samples_of(lengths: NDArray[np.uint32], room: int, min_tokens: int) -> NDArray[np.uint32]:
    """How many samples documents of these lengths are."""
    counts = (lengths + np.uint32(room - 1)) // np.uint32(room)
    if min_tokens > 1:
        counts[lengths < min_tokens] = 0
    return counts


def kept(
    folder: Path,
    name: str,
    shape: tuple[int, ...],
    kind: type[Any],
    fill: Callable[[NDArray[Any]], None],
    num_documents: int,
) -> NDArray[Any]:
    """An array that is read from `folder`, or filled and kept there if the store is large and the folder writable."""
    path = folder / f"{name}.npy"
    if num_documents >= _CACHED_FROM:
        if path.exists():
            found: NDArray[Any] = np.load(path, mmap_mode="r")
            if found.shape == shape and found.dtype == kind:
                return found
        try:
            with replacing(path) as temporary:
                made = np.lib.format.open_memmap(temporary, "w+", kind, shape)  # type: ignore[no-untyped-call]
                fill(made)
                made.flush()
                del made
            kept: NDArray[Any] = np.load(path, mmap_mode="r")
            return kept
        except PermissionError:
            pass  # a store that may only be read is counted in memory
    values = np.zeros(shape, kind)
    fill(values)
    return values
