"""Documents cut into samples that fit a context, in shuffled order, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.order import invert, key_of, permute
from rexplug.tokens.index import BLOCK, samples_of
from rexplug.tokens.store import TokenStore

CHUNK = 2048
"""Draws computed at a time."""
Item = tuple[int, int, int, int, int, int, int]
"""The fields of a `Sample`; a plain tuple is made several times as fast as one with names."""


class Sample(NamedTuple):
    """A sample as it was drawn: tokens `start` to `start + length - 2` of document `document`, which lie in shard `shard`
    from token `begin` on. `length` counts [CLS] and [SEP] too; `draw` counts the draws of its source from 0."""

    length: int
    source: int
    draw: int
    document: int
    start: int
    shard: int
    begin: int

    @property
    def end(self) -> int:
        """The token of the document at which the sample ends."""
        return self.start + self.length - 2


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of one source: a document of n tokens is ceil(n / (context - 2)) of them.

    `source` is the number of the source in the stream; `name` with the seed keys the order.
    """

    store: TokenStore
    context: int
    min_tokens: int
    seed: int
    name: str
    source: int = 0

    @cached_property
    def _counts(self) -> tuple[NDArray[np.int64], int]:
        return self.store.index.sample_counts(self.context - 2, self.min_tokens)

    @cached_property
    def size(self) -> int:
        """Samples in an epoch."""
        return int(self._counts[0][-1])

    def __len__(self) -> int:
        return self.size

    @cached_property
    def num_tokens(self) -> int:
        """Tokens in an epoch, [CLS] and [SEP] of every sample counted."""
        return self._counts[1] + 2 * self.size

    def _key(self, epoch: int) -> int:
        return key_of(self.seed, self.name, self.context, self.min_tokens, epoch)

    def _locate(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Length, document, start, shard and begin of samples given by their number in the order of the store."""
        index, room = self.store.index, self.context - 2
        before = self._counts[0]
        block = np.searchsorted(before, numbers, side="right") - 1
        lengths = np.asarray(index.lengths[block])
        counts = samples_of(lengths, room, self.min_tokens)
        cumulative = np.cumsum(counts, axis=1, dtype=np.int64)
        rest = numbers - before[block]
        inside = (cumulative <= rest[:, None]).sum(1)
        line = np.arange(len(numbers))
        start = (rest - (cumulative[line, inside] - counts[line, inside])) * room
        size = lengths[line, inside].astype(np.int64)
        tokens = np.cumsum(lengths, axis=1, dtype=np.int64)
        place = index.token_starts[block] + tokens[line, inside] - size + start
        shard = np.searchsorted(self.store.first_tokens, place, side="right") - 1
        return (
            np.minimum(size - start, room) + 2, block * BLOCK + inside, start, shard, place - self.store.first_tokens[shard]
        )  # fmt: skip

    @cached_property
    def _chunk(self) -> Callable[[int], list[Item]]:
        @lru_cache(maxsize=6)
        def chunk(number: int) -> list[Item]:
            first, size = number * CHUNK, self.size
            numbers = np.concatenate(
                [
                    permute(
                        np.arange(max(first, epoch * size), min(first + CHUNK, (epoch + 1) * size)) - epoch * size,
                        size,
                        self._key(epoch),
                    )
                    for epoch in range(first // size, (first + CHUNK - 1) // size + 1)
                ]
            )
            length, document, start, shard, begin = (each.tolist() for each in self._locate(numbers))
            draws, source = range(first, first + CHUNK), (self.source,) * CHUNK
            return list(zip(length, source, draws, document, start, shard, begin, strict=True))

        return chunk

    def drawn(self, draw: int) -> Sample:
        """The sample of draw `draw` (0, 1, ...): epochs follow each other, each in its own shuffled order."""
        return Sample(*self._chunk(draw // CHUNK)[draw % CHUNK])

    def chunk_from(self, draw: int) -> list[Item]:
        """The samples of `draw` and those after it, as many as are computed together."""
        return self._chunk(draw // CHUNK)[draw % CHUNK :]

    def at(self, number: int) -> Sample:
        """Sample `number` in the order of the store; its draw is that in the first epoch."""
        length, document, start, shard, begin = (int(each[0]) for each in self._locate(np.array([number])))
        return Sample(length, self.source, self.draw_of(number, 0), document, start, shard, begin)

    def numbers_of(self, document: int) -> range:
        """The numbers of a document's samples in the order of the store; none if it is too short."""
        block, inside = divmod(document, BLOCK)
        counts = samples_of(np.asarray(self.store.index.lengths[block]), self.context - 2, self.min_tokens)
        first = int(self._counts[0][block]) + int(counts[:inside].sum())
        return range(first, first + int(counts[inside]))

    def draw_of(self, number: int, epoch: int) -> int:
        """The draw that is sample `number` of the store's order in an epoch (0, 1, ...)."""
        inside = invert(np.array([number]), self.size, self._key(epoch))
        return epoch * self.size + int(inside[0])
