"""Exact attention over a packed row by groups of documents: on a CPU with a gradient of its own, elsewhere with torch's.

Short documents of similar length go through one call together, padded to the longest of them; long documents in local
layers are cut into blocks of 64 queries that attend to three blocks of keys, so that a local layer costs O(T x window). One
call per document would spend its time on calls. Padding is masked: its keys weigh exactly 0.

Shapes: T tokens of the row, h heads, d size of a head, n documents of a group, L slots of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from rexplug.model.cpu.short_attention import LONGEST, attend_short, short_gradients

BLOCK = 64
"""Queries of a block; a half window up to this fits into three blocks of keys."""
_BAND_FROM = 192
"""Documents of at least this many tokens are cut into blocks in local layers: a block attends to 192 keys."""
_MIN_FILL = 0.75
"""A group's shortest document has at least this share of its longest one's tokens."""
_GROUP_TOKENS = 4096
"""A group stays small enough for the cache."""
_GROUP_TOKENS_BF16 = 2048
"""The same in bf16, divided by the number of heads: `attend_short` holds all scores of a group."""


@dataclass(frozen=True, eq=False)
class Group:
    """Documents that go through one call.

    `index` `[n * L]` is the token of each slot; a slot after a document's end repeats the document's first token. `target` is
    the same with T, a row that nobody reads, for such slots, which `padding` lists. `positions` `[L]` count within a
    document, or `[slots]` in the band.
    """

    num: int
    length: int
    index: Tensor
    target: Tensor
    padding: Tensor
    positions: Tensor
    mask: Tensor | None
    """Added to scores; broadcasts to `[n, h, L, L]` (in the band to `[blocks, h, 64, 192]`)."""
    band: bool = False
    """Whether `num` counts blocks of long documents in a local layer, not documents."""

    @property
    def short(self) -> bool:
        """Whether `attend_short` takes it in bf16."""
        return not self.band and self.length <= LONGEST

    @cached_property
    def mask_of_all(self) -> Tensor | None:
        """The mask without queries that see no key, which slots of padding may be in a local layer: they see all keys."""
        if self.mask is None or self.mask.shape[-2] == 1:
            return self.mask
        return self.mask.masked_fill((self.mask == float("-inf")).all(-1, keepdim=True), 0.0)


@dataclass(frozen=True, eq=False)
class AttentionPlan:
    """How the documents of a row are grouped; made once per row from their lengths, which fill the row."""

    lengths: Sequence[int]
    device: torch.device | None = None
    """Where the groups' tensors are needed; None for the CPU, where they are made."""

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *torch.tensor(self.lengths).cumsum(0).tolist()]

    def groups(self, half_window: int | None, tokens: int = _GROUP_TOKENS) -> list[Group]:
        """The groups, of so many tokens at most, of layers that attend to `half_window` tokens on either side; None for
        global layers."""
        key = half_window, tokens
        if key not in self._groups:
            self._groups[key] = self._make_groups(*key)
        return self._groups[key]

    def num_scores(self, half_window: int | None) -> int:
        """Products of a query and a key per head, padding counted: the cost of attention."""
        return sum(
            group.num * group.length * (3 * BLOCK if group.band else group.length) for group in self.groups(half_window)
        )

    @cached_property
    def _groups(self) -> dict[tuple[int | None, int], list[Group]]:
        return {}

    def _make_groups(self, half_window: int | None, tokens: int) -> list[Group]:
        in_band = half_window is not None and half_window <= BLOCK
        long = [i for i, length in enumerate(self.lengths) if in_band and length >= _BAND_FROM]
        short = [i for i, length in enumerate(self.lengths) if not (in_band and length >= _BAND_FROM)]
        groups = [self._group(documents, half_window) for documents in self._by_length(short, tokens)]
        if long:
            assert half_window is not None
            groups.append(self._band(long, half_window))
        return groups

    def _by_length(self, documents: Sequence[int], tokens: int) -> list[list[int]]:
        """Documents sorted by length, in groups of similar length and of so many tokens at most."""
        groups: list[list[int]] = []
        for document in sorted(documents, key=lambda i: -self.lengths[i]):
            longest = self.lengths[groups[-1][0]] if groups else 0
            similar = self.lengths[document] >= _MIN_FILL * longest
            if groups and similar and (len(groups[-1]) + 1) * longest <= tokens:
                groups[-1].append(document)
            else:
                groups.append([document])
        return groups

    def _group(self, documents: Sequence[int], half_window: int | None) -> Group:
        width = sum(self.lengths)
        lengths = torch.tensor([self.lengths[i] for i in documents])
        starts = torch.tensor([self._starts[i] for i in documents])
        longest = int(lengths.max())
        positions = torch.arange(longest)
        padding = positions >= lengths[:, None]
        index = starts[:, None] + positions.where(~padding, torch.zeros_like(positions))
        mask = None
        if padding.any():
            mask = _additive(~padding)[:, None, None, :]
        if half_window is not None and longest > half_window + 1:
            band = _additive((positions[:, None] - positions).abs() <= half_window)
            mask = band if mask is None else mask + band
        target = index.masked_fill(padding, width)
        return self._to_device(
            Group(
                len(documents), longest, index.flatten(), target.flatten(), padding.flatten().nonzero()[:, 0], positions, mask
            )
        )  # fmt: skip

    def _band(self, documents: Sequence[int], half_window: int) -> Group:
        """Long documents one after the other, in full blocks, with an empty block before and after."""
        width = sum(self.lengths)
        tokens = torch.cat([torch.arange(self._starts[i], self._starts[i + 1]) for i in documents])
        owner = torch.cat([torch.full((self.lengths[i],), i) for i in documents])
        positions = torch.cat([torch.arange(self.lengths[i]) for i in documents])
        margins = (BLOCK, BLOCK + -len(tokens) % BLOCK)
        owner = F.pad(owner, margins, value=-1)
        padding = owner < 0
        blocks = owner.view(-1, BLOCK)
        queries, keys = blocks[1:-1], torch.cat([blocks[:-2], blocks[1:-1], blocks[2:]], 1)
        distance = torch.arange(3 * BLOCK) - BLOCK - torch.arange(BLOCK)[:, None]
        mask = _additive((queries[:, :, None] == keys[:, None, :]) & (distance.abs() <= half_window))[:, None]
        index = F.pad(tokens, margins)
        return self._to_device(
            Group(
                len(queries), BLOCK, index, index.masked_fill(padding, width), padding.nonzero()[:, 0],
                F.pad(positions, margins), mask, band=True,
            )
        )  # fmt: skip

    def _to_device(self, group: Group) -> Group:
        if self.device is None:
            return group
        return replace(
            group, index=group.index.to(self.device), target=group.target.to(self.device),
            padding=group.padding.to(self.device), positions=group.positions.to(self.device),
            mask=None if group.mask is None else group.mask.to(self.device),
        )  # fmt: skip


def _additive(visible: Tensor) -> Tensor:
    """A mask to add to scores: 0 where a query attends to a key, else minus infinity."""
    return torch.zeros(visible.shape).masked_fill_(~visible, float("-inf"))


def attend_blocks(
    qkv: Tensor, rotation: tuple[Tensor, Tensor] | None, plan: AttentionPlan, scale: float, half_window: int | None
) -> Tensor:
    """Attention of every document to itself; in bf16 with rotation, scores and softmax in fp32.

    Args:
        qkv: queries, keys and values, `[T, 3, h, d]`.
        rotation: cosines and sines of the positions, each `[longest document, d / 2]`; None if already rotated.
        plan: the documents of the row.
        scale: what scores are multiplied by.
        half_window: tokens that a token attends to on either side; None for all.

    Returns:
        `[T, h, d]`.
    """
    cosines, sines = (None, None) if rotation is None else rotation
    apply: Callable[..., Tensor] = _Attention.apply
    return apply(qkv, cosines, sines, plan, scale, half_window)


def attend_groups(qkv: Tensor, plan: AttentionPlan, scale: float, half_window: int | None) -> Tensor:
    """`attend_blocks` of queries and keys that are already rotated, by torch's `scaled_dot_product_attention`.

    Runs on any device and in any number format, with a few copies more.
    """
    tokens, _, heads, size = qkv.shape
    output = qkv.new_zeros(tokens + 1, heads, size)
    for group in plan.groups(half_window):
        gathered = qkv.index_select(0, group.index)
        if group.band:
            gathered = gathered.index_fill(0, group.padding, 0)
        query, key, value = _views(gathered, group)
        mask = None if group.mask is None else group.mask.to(query.dtype)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale).transpose(1, 2)
        target = group.target[BLOCK:-BLOCK] if group.band else group.target
        output = output.index_copy(0, target, out.reshape(-1, heads, size))
    return output[:tokens]


class _Attention(Function):
    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        cosines: Tensor | None,
        sines: Tensor | None,
        plan: AttentionPlan,
        scale: float,
        half_window: int | None,
    ) -> Tensor:
        tokens, _, heads, size = qkv.shape
        in_bf16 = qkv.dtype == torch.bfloat16
        groups = plan.groups(half_window, _GROUP_TOKENS_BF16 // heads) if in_bf16 else plan.groups(half_window)
        output = qkv.new_empty(tokens + 1, heads, size)
        saved = []
        for group in groups:
            gathered = qkv.index_select(0, group.index)
            if group.short and in_bf16:
                out, factors, weights = attend_short(
                    gathered.view(group.num, group.length, 3, heads, size), _angles(group, cosines, sines),
                    group.mask_of_all, scale,
                )  # fmt: skip
                _scatter(output, group, out.transpose(1, 2))
                saved += [factors, weights, None]
                continue
            gathered = gathered.float()
            if group.band:
                gathered.index_fill_(0, group.padding, 0)
            if cosines is not None and sines is not None:
                _rotate(gathered, cosines[group.positions], sines[group.positions], group)
            query, key, value = _views(gathered, group)
            mask = group.mask
            if mask is not None:
                mask = mask.to(query.dtype).expand(query.shape[0], heads, query.shape[2], key.shape[2])
            out, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query, key, value, 0.0, False, attn_mask=mask, scale=scale
            )
            _scatter(output, group, out.transpose(1, 2).to(output.dtype))
            saved += [gathered, out, sums]
        ctx.save_for_backward(cosines, sines, *saved)
        ctx.groups, ctx.scale, ctx.tokens = groups, scale, tokens
        return output[:tokens]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        cosines, sines, *saved = ctx.saved_tensors
        _, heads, size = grad.shape
        result = grad.new_empty(ctx.tokens + 1, 3, heads, size)
        for number, group in enumerate(ctx.groups):
            gathered, out, sums = saved[3 * number : 3 * number + 3]
            grad_out = grad.index_select(0, group.index)
            if len(group.padding):
                grad_out.index_fill_(0, group.padding, 0)
            if group.short and grad.dtype == torch.bfloat16:
                grad_out = grad_out.view(group.num, group.length, heads, size)
                grad_qkv = short_gradients(grad_out, gathered, out, _angles(group, cosines, sines), ctx.scale)
                _scatter(result, group, grad_qkv)
                continue
            grad_out = grad_out.float()
            if group.band:
                grad_out = grad_out[BLOCK:-BLOCK]
            grad_out = grad_out.view(group.num, group.length, heads, size).transpose(1, 2)
            query, key, value = _views(gathered, group)
            mask = group.mask
            if mask is not None:
                mask = mask.to(query.dtype).expand(query.shape[0], heads, query.shape[2], key.shape[2])
            grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                grad_out, query, key, value, out, sums, 0.0, False, attn_mask=mask, scale=ctx.scale
            )
            grad_qkv = _join_gradients(grads, gathered, group)
            if cosines is not None:
                _rotate(grad_qkv, cosines[group.positions], -sines[group.positions], group)
            _scatter(result, group, grad_qkv.to(result.dtype))
        return result[: ctx.tokens], None, None, None, None, None


def _angles(group: Group, cosines: Tensor | None, sines: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Cosines and sines of a group's positions, each `[L, d / 2]`."""
    return None if cosines is None or sines is None else (cosines[group.positions], sines[group.positions])


def _rotate(gathered: Tensor, cosines: Tensor, sines: Tensor, group: Group) -> None:
    """Rotary embedding of queries and keys, in place; with negative sines the inverse."""
    num = 1 if group.band else group.num
    pair = gathered.view(num, -1, *gathered.shape[1:])[:, :, :2]
    cosines, sines = cosines[:, None, None], sines[:, None, None]
    first, second = pair.chunk(2, dim=-1)
    rotated_second = first * sines
    first.mul_(cosines).addcmul_(second, sines, value=-1)
    second.mul_(cosines).add_(rotated_second)


def _views(gathered: Tensor, group: Group) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as `[n, h, L, d]`; in the band keys and values are overlapping windows."""
    _, _, heads, size = gathered.shape
    if not group.band:
        shaped = gathered.view(group.num, group.length, 3, heads, size)
        query, key, value = (states.transpose(1, 2) for states in shaped.unbind(2))
        return query, key, value
    query = gathered[BLOCK:-BLOCK, 0].unflatten(0, (group.num, BLOCK)).transpose(1, 2)
    step = gathered.stride(0)
    shape, steps = (group.num, heads, 3 * BLOCK, size), (BLOCK * step, size, step, 1)
    key, value = (gathered.as_strided(shape, steps, gathered.storage_offset() + i * heads * size) for i in (1, 2))
    return query, key, value


def _join_gradients(grads: Sequence[Tensor], gathered: Tensor, group: Group) -> Tensor:
    """Gradients of queries, keys and values as one tensor of the shape of `gathered`."""
    result = torch.empty_like(gathered)
    if not group.band:
        shaped = result.view(group.num, group.length, *gathered.shape[1:])
        for i, grad in enumerate(grads):
            shaped[:, :, i] = grad.transpose(1, 2)
        return result
    result.zero_()
    result[BLOCK:-BLOCK, 0] = grads[0].transpose(1, 2).flatten(0, 1)
    blocks = result.unflatten(0, (-1, BLOCK))
    for i, grad in enumerate(grads[1:], start=1):
        for offset, part in enumerate(grad.transpose(1, 2).split(BLOCK, 1)):
            blocks[offset : offset + group.num, :, i] += part
    return result


def _scatter(target: Tensor, group: Group, values: Tensor) -> None:
    """Write slots to their tokens; those of padding go to the last row, which is cut off."""
    if group.band and values.shape[0] == group.num:
        target.index_copy_(0, group.target[BLOCK:-BLOCK], values.flatten(0, 1))
    else:
        target.index_copy_(0, group.target, values.reshape(-1, *target.shape[1:]))
