"""Samples to a row: tokens and channels copied from the memory-mapped stores, masked, padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.masking import IGNORED, Masker, row_generator
from rexplug.batches.position import PackedRow
from rexplug.batches.samples import Item
from rexplug.components import TokenBatch
from rexplug.tokens import TokenStore


@dataclass(frozen=True, eq=False)
class RowMaker:
    """Makes rows of a phase.

    `channels` maps a channel as the policy knows it to the channel of the store; `width` is T.
    """

    stores: Sequence[TokenStore]
    masker: Masker
    channels: Mapping[str, str]
    width: int
    context: int
    seed: int
    phase: str

    def make(self, samples: Sequence[Item], progress: float, batch: int, number: int) -> PackedRow:
        """Row `number` of batch `batch`."""
        length, sources, _, documents, _, shards, begins = zip(*samples, strict=True)
        lengths = np.array(length, np.int64)
        cu_seqlens = np.zeros(len(samples) + 1, np.int64)
        np.cumsum(lengths, out=cu_seqlens[1:])
        size = int(cu_seqlens[-1])
        width = max(self.width, size)
        places = [
            ((source, shard), slice(begin, begin + n - 2))
            for source, shard, begin, n in zip(sources, shards, begins, length, strict=True)
        ]
        stored = self._joined(None, places)
        special = self.masker.special
        tokens = np.empty(width, np.int64)
        tokens[:size], tokens[size:] = stored, special.pad
        # Special tokens that stand in the text itself are not masked either.
        maskable = ~self.masker.is_special(stored)
        channels = {name: self._joined(channel, places) for name, channel in self.channels.items()}
        for each in (tokens, cu_seqlens, maskable):
            each.flags.writeable = False
        view = TokenBatch(tokens[:size], cu_seqlens, maskable, channels)
        chosen = self.masker.choose(view, progress, generator := row_generator(self.seed, self.phase, batch, number))
        tokens.flags.writeable = True
        labels = np.full(width, IGNORED, np.int64)
        masked = np.flatnonzero(chosen)
        shown = labels[masked] = tokens[masked]
        tokens[masked] = self.masker.replace(shown, generator)
        return PackedRow(
            number, tokens, labels, self._position_ids(length, size, width), cu_seqlens.astype(np.int32), max(length), size,
            len(masked), np.array(sources, np.int64), np.array(documents, np.int64), samples,
        )  # fmt: skip

    def _joined(self, channel: str | None, places: Sequence[tuple[tuple[int, int], slice]]) -> NDArray[Any]:
        """The samples one after the other, each between [CLS] and [SEP] (tokens) or zeros (a channel).

        Joining slices of memory copies at the speed of memory and costs a tenth of a microsecond a sample.
        """
        kept = self._memory.setdefault(channel, {})
        for source, shard in {key for key, _ in places} - kept.keys():
            kept[source, shard] = self.stores[source].memory(shard, channel)
        pieces = [kept[key][tokens] for key, tokens in places]
        kind = np.dtype(pieces[0].format)
        between = np.array([self.masker.special.sep, self.masker.special.cls] if channel is None else [0, 0], kind)
        joined = between.tobytes().join([b"", *pieces, b""])
        return np.frombuffer(joined, kind)[1:-1]

    @cached_property
    def _memory(self) -> dict[str | None, dict[tuple[int, int], memoryview]]:
        return {}

    def _position_ids(self, lengths: Sequence[int], size: int, width: int) -> NDArray[np.int64]:
        counting = self._counting
        joined = b"".join([*(counting[:n] for n in lengths), bytes(8 * (width - size))])
        return np.frombuffer(bytearray(joined), np.int64)

    @cached_property
    def _counting(self) -> memoryview:
        counting: Any = np.arange(self.context, dtype=np.int64)
        return memoryview(counting)
