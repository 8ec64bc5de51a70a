"""Groups of a packed row's documents that go through one attention call.

Short documents of similar length go through one call together, padded to the longest of them; long documents in local
layers are cut into blocks of 64 queries that attend to three blocks of keys, so that a local layer costs O(T x window). One
call per document would spend its time on calls. Padding is masked: its keys weigh exactly 0.

Shapes: T tokens of the row, h heads, n documents of a group, L slots of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from rexplug.model.cpu.short_attention import LONGEST

BLOCK = 64
"""Queries of a block; a half window up to this fits into three blocks of keys."""
_BAND_FROM = 192
"""Documents of at least this many tokens are cut into blocks in local layers: a block attends to 192 keys."""
_MIN_FILL = 0.75
"""A group's shortest document has at least this share of its longest one's tokens."""
_GROUP_TOKENS, _GROUP_TOKENS_GPU = 4096, 2**17
"""A group stays small enough for a CPU's cache; on a GPU few large calls are faster."""
_GPU_MULTIPLE = 16
"""Slots of a masked group on a GPU are a multiple of this, else its attention kernel for fp32 copies the mask at every call."""


@dataclass(frozen=True, eq=False)
class Group:
    """Documents that go through one call.

    `index` `[n * L]` is the token of each slot; a slot after a document's end repeats the document's first token. `target` is
    the same with the row's width T, a row that nobody reads, for such slots. `positions` `[L]` count within a document, or
    `[slots]` in the band.
    """

    num: int
    length: int
    width: int
    index: Tensor
    target: Tensor
    positions: Tensor
    mask: Tensor | None
    """Added to scores; broadcasts to `[n, h, L, L]` (in the band to `[blocks, h, 64, 192]`)."""
    band: bool = False
    """Whether `num` counts blocks of long documents in a local layer, not documents."""

    @cached_property
    def padding(self) -> Tensor:
        """The slots after a document's end. On a GPU this waits for it: their number is read."""
        return (self.target == self.width).nonzero()[:, 0]

    @property
    def query_target(self) -> Tensor:
        """The token of each slot that has a query, `[n * L]`; the band's first and last block have keys alone."""
        return self.target[BLOCK:-BLOCK] if self.band else self.target

    @property
    def short(self) -> bool:
        """Whether `attend_short` takes it in bf16."""
        return not self.band and self.length <= LONGEST

    @cached_property
    def mask_of_all(self) -> Tensor | None:
        """The mask, except that a query without a visible key (a slot of padding in a local layer) sees all keys."""
        if self.mask is None or self.mask.shape[-2] == 1:
            return self.mask
        return self.mask.masked_fill((self.mask == float("-inf")).all(-1, keepdim=True), 0.0)


@dataclass(frozen=True, eq=False)
class AttentionPlan:
    """How the documents of a row are grouped; made once per row from their lengths, which fill the row.

    The groups' tensors are computed where `cu_seqlens` is, and nothing is copied from the host or read back.
    """

    lengths: Sequence[int]
    cu_seqlens: Tensor | None = None
    """Cumulative lengths, `[n + 1]`, on the device of the row; computed on the CPU if left out."""

    @cached_property
    def _documents(self) -> tuple[Tensor, Tensor]:
        """First token and length of each document, the longest first, each `[n]`."""
        cu_seqlens = torch.tensor([0, *accumulate(self.lengths)]) if self.cu_seqlens is None else self.cu_seqlens.long()
        lengths, order = torch.sort(cu_seqlens.diff(), descending=True, stable=True)
        return cu_seqlens[:-1].index_select(0, order), lengths

    @cached_property
    def _sorted_lengths(self) -> list[int]:
        return sorted(self.lengths, reverse=True)

    def groups(self, half_window: int | None, tokens: int | None = None) -> list[Group]:
        """The groups of layers that attend to `half_window` tokens on either side; None for global layers.

        Groups of more than one short document have at most `tokens` slots; if left out, as many as suit the device.
        """
        key = half_window, tokens or (_GROUP_TOKENS if self._on_cpu else _GROUP_TOKENS_GPU)
        if key not in self._groups:
            self._groups[key] = self._make_groups(*key)
        return self._groups[key]

    def num_scores(self, half_window: int | None) -> int:
        """Products of a query and a key per head, padding counted: the cost of attention."""
        return sum(
            group.num * group.length * (3 * BLOCK if group.band else group.length) for group in self.groups(half_window)
        )

    def slots(self, half_window: int | None) -> tuple[Tensor, Tensor]:
        """The token of each slot of all groups, one group after the other, and the slot of each token's query, `[T]`."""
        if half_window not in self._slots:
            groups = self.groups(half_window)
            index = torch.cat([group.index for group in groups])
            target = torch.cat([group.query_target for group in groups])
            slots = torch.arange(len(target), device=target.device)
            slot_of = slots.new_empty(groups[0].width + 1).index_copy_(0, target, slots)
            self._slots[half_window] = index, slot_of[:-1]
        return self._slots[half_window]

    @cached_property
    def _groups(self) -> dict[tuple[int | None, int], list[Group]]:
        return {}

    @cached_property
    def _slots(self) -> dict[int | None, tuple[Tensor, Tensor]]:
        return {}

    @property
    def _on_cpu(self) -> bool:
        return self.cu_seqlens is None or self.cu_seqlens.device.type == "cpu"

    def _make_groups(self, half_window: int | None, tokens: int) -> list[Group]:
        in_band = half_window is not None and half_window <= BLOCK
        num_long = sum(length >= _BAND_FROM for length in self.lengths) if in_band else 0
        groups = [self._group(first, num, half_window) for first, num in self._by_length(num_long, tokens)]
        if num_long:
            assert half_window is not None
            groups.append(self._band(num_long, half_window))
        return groups

    def _by_length(self, first: int, tokens: int) -> list[tuple[int, int]]:
        """Groups of similar length and limited size, of the documents from `first` on: the first one and their number."""
        lengths = self._sorted_lengths
        groups: list[tuple[int, int]] = []
        for document in range(first, len(lengths)):
            start, num = groups[-1] if groups else (document, 0)
            similar = lengths[document] >= _MIN_FILL * lengths[start]
            if groups and similar and (num + 1) * lengths[start] <= tokens:
                groups[-1] = start, num + 1
            else:
                groups.append((document, 1))
        return groups

    def _group(self, first: int, num: int, half_window: int | None) -> Group:
        """The group of the documents from `first` on, in the order of their lengths."""
        width = sum(self.lengths)
        longest, shortest = self._sorted_lengths[first], self._sorted_lengths[first + num - 1]
        masked = shortest < longest or (half_window is not None and longest > half_window + 1)
        if masked and not self._on_cpu:
            longest += -longest % _GPU_MULTIPLE
        starts, lengths = (values[first : first + num, None] for values in self._documents)
        positions = torch.arange(longest, device=starts.device)
        padding = positions >= lengths
        index = starts + positions.where(~padding, torch.zeros_like(positions))
        mask = _additive(~padding)[:, None, None, :] if shortest < longest else None
        if half_window is not None and longest > half_window + 1:
            band = _additive((positions[:, None] - positions).abs() <= half_window)
            mask = band if mask is None else mask + band
        target = index.masked_fill(padding, width)
        return Group(num, longest, width, index.flatten(), target.flatten(), positions, mask)

    def _band(self, num: int, half_window: int) -> Group:
        """The `num` longest documents one after the other, in full blocks, with an empty block before and after."""
        width, total = sum(self.lengths), sum(self._sorted_lengths[:num])
        # In the order of the row, which the order of their first tokens is.
        starts, order = torch.sort(self._documents[0][:num])
        lengths = self._documents[1][:num].index_select(0, order)
        owner = torch.repeat_interleave(torch.arange(num, device=starts.device), lengths, output_size=total)
        before = lengths.cumsum(0) - lengths
        positions = torch.arange(total, device=starts.device) - before.index_select(0, owner)
        tokens = positions + starts.index_select(0, owner)
        margins = (BLOCK, BLOCK + -total % BLOCK)
        owner = F.pad(owner, margins, value=-1)
        blocks = owner.view(-1, BLOCK)
        queries, keys = blocks[1:-1], torch.cat([blocks[:-2], blocks[1:-1], blocks[2:]], 1)
        places = torch.arange(3 * BLOCK, device=starts.device)
        distance = places - BLOCK - places[:BLOCK, None]
        mask = _additive((queries[:, :, None] == keys[:, None, :]) & (distance.abs() <= half_window))[:, None]
        index = F.pad(tokens, margins)
        target = index.masked_fill(owner < 0, width)
        return Group(len(queries), BLOCK, width, index, target, F.pad(positions, margins), mask, band=True)


def _additive(visible: Tensor) -> Tensor:
    """A mask to add to scores: 0 where a query attends to a key, else minus infinity."""
    return torch.zeros(visible.shape, device=visible.device).masked_fill_(~visible, float("-inf"))
