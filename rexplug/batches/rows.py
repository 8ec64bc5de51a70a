"""Makes packed rows: copies tokens and channels of samples from the memory-mapped stores, masks and pads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.masking import Masker, row_generator
from rexplug.batches.position import PackedRow
from rexplug.batches.samples import SampleRecord
from rexplug.components import TokenBatch
from rexplug.tokens.store import TokenStore


class _ShardMemory(dict[int, memoryview]):
    """Shard -> its tokens, or its values of a channel, as memory; a shard is mapped when it is first asked for."""

    def __init__(self, store: TokenStore, channel: str | None) -> None:
        super().__init__()
        self._store, self._channel = store, channel

    def __missing__(self, shard: int) -> memoryview:
        memory = self[shard] = self._store.memory(shard, self._channel)
        return memory


@dataclass(frozen=True, eq=False)
class RowMaker:
    """Makes the packed rows of a phase.

    Args:
        stores: the token store of each source.
        masker: applies the phase's masking policy.
        channels: channel as the policy knows it -> channel of the store.
        row_tokens: T, to which rows are padded; a row with a longer sample is as long as the sample.
        context: tokens of the longest sample.
        seed: the recipe's seed.
        phase: the phase's name; with the seed it keys the masks.
    """

    stores: Sequence[TokenStore]
    masker: Masker
    channels: Mapping[str, str]
    row_tokens: int
    context: int
    seed: int
    phase: str

    def make(self, samples: Sequence[SampleRecord], progress: float, batch: int, number: int) -> PackedRow:
        """Row `number` of global batch `batch`, which holds `samples`.

        Raises:
            PluginError: the masking policy chose a special token, or not exactly its budget.
        """
        token_ids, view = self.unmasked(samples)
        size = len(view.token_ids)
        lengths = [sample.length for sample in samples]
        masked = self.masker.mask(view, progress, row_generator(self.seed, self.phase, batch, number), out=token_ids)
        return PackedRow(
            number, masked.token_ids, masked.labels, self._position_ids(lengths, len(token_ids) - size),
            view.cu_seqlens.astype(np.int32), max(lengths), size, masked.num_masked,
            np.array([sample.source for sample in samples], np.int64),
            np.array([sample.document for sample in samples], np.int64), samples,
        )  # fmt: skip

    def unmasked(self, samples: Sequence[SampleRecord]) -> tuple[NDArray[np.int64], TokenBatch]:
        """The ids of a row with padding, `[T]`, and the row as the policy sees it: read-only, over the same memory."""
        cu_seqlens = np.zeros(len(samples) + 1, np.int64)
        np.cumsum([sample.length for sample in samples], out=cu_seqlens[1:])
        size = int(cu_seqlens[-1])
        stored = self._gather(None, samples)
        # Special tokens that occur in the text itself are not masked either.
        maskable = ~self.masker.is_special(stored)
        token_ids = np.empty(max(self.row_tokens, size), np.int64)
        token_ids[:size], token_ids[size:] = stored, self.masker.special.pad
        channels = {name: self._gather(channel, samples) for name, channel in self.channels.items()}
        view = TokenBatch(token_ids[:size], cu_seqlens, maskable, channels)
        for array in (view.token_ids, cu_seqlens, maskable):
            array.flags.writeable = False  # to the policy; `token_ids` itself is masked in place
        return token_ids, view

    def _gather(self, channel: str | None, samples: Sequence[SampleRecord]) -> NDArray[Any]:
        """The samples one after the other, `[num_tokens]`, each between [CLS] and [SEP] (tokens) or zeros (a channel).

        Joining slices of memory copies at the speed of memory.
        """
        if channel not in self._memory:
            self._memory[channel] = [_ShardMemory(store, channel) for store in self.stores]
        memory = self._memory[channel]
        slices = [
            memory[sample.source][sample.shard][sample.shard_start : sample.shard_start + sample.length - 2]
            for sample in samples
        ]
        kind = np.dtype(slices[0].format)
        between = np.array([self.masker.special.sep, self.masker.special.cls] if channel is None else [0, 0], kind)
        joined = between.tobytes().join([b"", *slices, b""])
        return np.frombuffer(joined, kind)[1:-1]

    @cached_property
    def _memory(self) -> dict[str | None, list[_ShardMemory]]:
        """Channel (None for the tokens) -> the memory of each source's shards."""
        return {}

    def _position_ids(self, lengths: Sequence[int], padding: int) -> NDArray[np.int64]:
        count = self._count_from_zero
        joined = b"".join([*(count[:length] for length in lengths), bytes(8 * padding)])
        return np.frombuffer(bytearray(joined), np.int64)  # a bytearray can be written to

    @cached_property
    def _count_from_zero(self) -> memoryview:
        numbers: Any = np.arange(self.context, dtype=np.int64)
        return memoryview(numbers)
