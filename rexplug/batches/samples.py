"""The samples of a source in shuffled order, epoch after epoch.

A sample is a part of a document that fits the context: its tokens between [CLS] and [SEP]. It has two numbers:
its *number* is its place in the order of the store (0 to size - 1); its *sample index* is its place in the endless
shuffled sequence that training reads, where epoch e holds the indices e * size to (e + 1) * size - 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.order import invert, key_of, permute
from rexplug.tokens.index import BLOCK, num_samples
from rexplug.tokens.store import TokenStore

CHUNK = 2048
"""Sample indices that are computed together; numpy calls cost too much for one at a time."""


class SampleRecord(NamedTuple):
    """One sample: where its tokens are, and its place in the shuffled sequence.

    A named tuple, because a global batch holds thousands: a dataclass takes several times as long to make.
    """

    length: int
    """Tokens, [CLS] and [SEP] included."""
    source: int
    """The index of its source in the stream."""
    sample_index: int
    """Its place in the shuffled sequence of its source, from 0."""
    document: int
    """The number of its document in the source's token store."""
    start: int
    """The token of the document at which it starts."""
    shard: int
    """The shard of the store that holds the document."""
    shard_start: int
    """The token of the shard at which it starts."""

    @property
    def end(self) -> int:
        """One past its last token in the document."""
        return self.start + self.length - 2


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of one source: a document of n tokens is ceil(n / (context - 2)) samples.

    Args:
        store: the source's token store.
        context: tokens of the longest sample, [CLS] and [SEP] included.
        min_tokens: documents with fewer tokens have no sample.
        seed: with `name`, keys the order.
        name: names the order: phase and source.
        source: the index of the source in the stream.
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
        """Tokens in an epoch, [CLS] and [SEP] of every sample included."""
        return self._counts[1] + 2 * self.size

    def _key(self, epoch: int) -> int:
        return key_of(self.seed, self.name, self.context, self.min_tokens, epoch)

    def _locate(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """`length`, `document`, `start`, `shard` and `shard_start` of samples `numbers`, each `[len(numbers)]`."""
        index, room = self.store.index, self.context - 2
        samples_before = self._counts[0]
        block = np.searchsorted(samples_before, numbers, side="right") - 1
        lengths = np.asarray(index.lengths[block])
        counts = num_samples(lengths, room, self.min_tokens)
        cumulative = np.cumsum(counts, axis=1, dtype=np.int64)
        rest = numbers - samples_before[block]
        inside = (cumulative <= rest[:, None]).sum(1)
        line = np.arange(len(numbers))
        start = (rest - (cumulative[line, inside] - counts[line, inside])) * room
        document_length = lengths[line, inside].astype(np.int64)
        tokens = np.cumsum(lengths, axis=1, dtype=np.int64)
        store_start = index.token_starts[block] + tokens[line, inside] - document_length + start
        shard = np.searchsorted(self.store.first_tokens, store_start, side="right") - 1
        return (
            np.minimum(document_length - start, room) + 2, block * BLOCK + inside, start, shard,
            store_start - self.store.first_tokens[shard],
        )  # fmt: skip

    @cached_property
    def _chunk(self) -> Callable[[int], list[SampleRecord]]:
        @lru_cache(maxsize=6)
        def chunk(chunk_number: int) -> list[SampleRecord]:
            first, size = chunk_number * CHUNK, self.size
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
            length, document, start, shard, shard_start = (column.tolist() for column in self._locate(numbers))
            sample_index, source = range(first, first + CHUNK), (self.source,) * CHUNK
            rows = zip(length, source, sample_index, document, start, shard, shard_start, strict=True)
            # What `SampleRecord._make` does, without a call of a Python function for each sample.
            return list(map(tuple.__new__, repeat(SampleRecord), rows))

        return chunk

    def at_index(self, sample_index: int) -> SampleRecord:
        """The sample at a place (0, 1, ...) in the shuffled sequence: epochs follow each other, each in its own order."""
        return self._chunk(sample_index // CHUNK)[sample_index % CHUNK]

    def from_index(self, sample_index: int) -> list[SampleRecord]:
        """The samples from `sample_index` on, as many as are computed together (1 to `CHUNK`)."""
        return self._chunk(sample_index // CHUNK)[sample_index % CHUNK :]

    def in_store_order(self, number: int) -> SampleRecord:
        """Sample `number` in the order of the store, with its sample index in the first epoch."""
        length, document, start, shard, shard_start = (int(column[0]) for column in self._locate(np.array([number])))
        return SampleRecord(length, self.source, self.index_of(number, 0), document, start, shard, shard_start)

    def numbers_of(self, document: int) -> range:
        """The numbers of a document's samples in the order of the store; empty if the document is too short."""
        block, inside = divmod(document, BLOCK)
        counts = num_samples(np.asarray(self.store.index.lengths[block]), self.context - 2, self.min_tokens)
        first = int(self._counts[0][block]) + int(counts[:inside].sum())
        return range(first, first + int(counts[inside]))

    def index_of(self, number: int, epoch: int) -> int:
        """The sample index in epoch `epoch` (0, 1, ...) of the sample that is `number` in the order of the store."""
        place = invert(np.array([number]), self.size, self._key(epoch))
        return epoch * self.size + int(place[0])
