"""Documents cut into samples that fit a context, in shuffled order, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.order import key_of, permute
from rexplug.tokens import TokenStore

_CHUNK = 1024
"""Draws computed at a time."""


class Sample(NamedTuple):
    """Part `part` of document `document`: tokens `start` to `end`; `length` counts [CLS] and [SEP] too."""

    document: int
    part: int
    start: int
    end: int

    @property
    def length(self) -> int:
        """Tokens with [CLS] and [SEP]."""
        return self.end - self.start + 2


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of one source: a document of n tokens is ceil(n / (context - 2)) of them."""

    store: TokenStore
    context: int
    min_tokens: int
    seed: int
    name: str

    @cached_property
    def _documents(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.store.lengths >= max(1, self.min_tokens))

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum(-(-self.store.lengths[self._documents] // (self.context - 2)))

    def __len__(self) -> int:
        """Samples in an epoch."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @cached_property
    def num_tokens(self) -> int:
        """Tokens in an epoch, [CLS] and [SEP] of every sample counted."""
        return int(self.store.lengths[self._documents].sum()) + 2 * len(self)

    def at(self, number: int) -> Sample:
        """Sample `number` in order of the store."""
        index = int(np.searchsorted(self._ends, number, side="right"))
        document = int(self._documents[index])
        part = number - (int(self._ends[index - 1]) if index else 0)
        start = part * (self.context - 2)
        return Sample(document, part, start, min(int(self.store.lengths[document]), start + self.context - 2))

    def drawn(self, draw: int) -> Sample:
        """The sample of draw `draw` (0, 1, ...): epochs follow each other, each in its own shuffled order."""
        epoch, inside = divmod(draw, len(self))
        return self.at(int(self._chunk(epoch, inside // _CHUNK)[inside % _CHUNK]))

    @cached_property
    def _chunk(self) -> Callable[[int, int], NDArray[np.int64]]:
        @lru_cache(maxsize=4)
        def chunk(epoch: int, number: int) -> NDArray[np.int64]:
            first = number * _CHUNK
            indices = np.arange(first, min(len(self), first + _CHUNK), dtype=np.int64)
            return permute(indices, len(self), key_of(self.seed, self.name, self.context, self.min_tokens, epoch))

        return chunk
