"""Exact attention over a packed row: on a CPU with its own gradient, elsewhere by torch's.

Short documents of similar length go through one call together, padded to the longest of them; long documents in local
layers go in blocks of 64 queries that see three blocks of keys, so a local layer costs O(T x window). A call per
document would spend its time on calls, and padding is never seen: its keys weigh exactly 0.

Shapes: T tokens of the row, h heads, d size of a head, n documents of a group, L slots of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

BLOCK = 64
"""Queries of a block; with blocks the half window is at most this."""
_BAND_FROM = 192
"""Documents of at least this many tokens go in blocks in local layers: a block sees 192 keys."""
_ALIKE = 0.75
"""A group's shortest document has at least this share of its longest one's tokens."""
_GROUP_TOKENS = 4096
"""A group stays small enough for the cache."""


@dataclass(frozen=True, eq=False)
class Group:
    """Documents that go through one call.

    `index` `[n * L]` names the token of each slot; a slot past a document's end repeats the document's first token.
    `target` is the same with T (a row nobody reads) for such slots, which `spare` lists. `positions` `[L]` count
    within a document, or `[slots]` in the band.
    """

    num: int
    length: int
    index: Tensor
    target: Tensor
    spare: Tensor
    positions: Tensor
    mask: Tensor | None
    """Added to scores; broadcasts to `[n, h, L, L]` (in the band to `[blocks, h, 64, 192]`)."""
    band: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """How a row is cut into groups; made once per row from the lengths of its documents, which fill it."""

    lengths: Sequence[int]
    device: torch.device | None = None
    """Where the groups' tensors are wanted; None for the CPU, where they are made."""

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *torch.tensor(self.lengths).cumsum(0).tolist()]

    @cached_property
    def whole(self) -> list[Group]:
        """The groups of global layers."""
        return [self._group(numbers, None) for numbers in self._alike(range(len(self.lengths)))]

    def local(self, half: int) -> list[Group]:
        """The groups of layers that see `half` tokens to either side."""
        if half not in self._local:
            fits = half <= BLOCK
            long = [i for i, n in enumerate(self.lengths) if fits and n >= _BAND_FROM]
            short = [i for i, n in enumerate(self.lengths) if not (fits and n >= _BAND_FROM)]
            groups = [self._group(numbers, half) for numbers in self._alike(short)]
            self._local[half] = groups + ([self._band(long, half)] if long else [])
        return self._local[half]

    def num_scores(self, half: int | None) -> int:
        """Products of a query and a key per head, padding counted: what attention costs."""
        groups = self.whole if half is None else self.local(half)
        return sum(group.num * group.length * (3 * BLOCK if group.band else group.length) for group in groups)

    @cached_property
    def _local(self) -> dict[int, list[Group]]:
        return {}

    def _alike(self, numbers: Sequence[int]) -> list[list[int]]:
        """Documents sorted by length and cut where they grow unlike or many."""
        groups: list[list[int]] = []
        for number in sorted(numbers, key=lambda i: -self.lengths[i]):
            longest = self.lengths[groups[-1][0]] if groups else 0
            if groups and self.lengths[number] >= _ALIKE * longest and (len(groups[-1]) + 1) * longest <= _GROUP_TOKENS:
                groups[-1].append(number)
            else:
                groups.append([number])
        return groups

    def _group(self, numbers: Sequence[int], half: int | None) -> Group:
        width = sum(self.lengths)
        lengths = torch.tensor([self.lengths[i] for i in numbers])
        starts = torch.tensor([self._starts[i] for i in numbers])
        longest = int(lengths.max())
        places = torch.arange(longest)
        spare = places >= lengths[:, None]
        index = starts[:, None] + places.where(~spare, torch.zeros_like(places))
        mask = None
        if spare.any():
            mask = _additive(~spare)[:, None, None, :]
        if half is not None and longest > half + 1:
            band = _additive((places[:, None] - places).abs() <= half)
            mask = band if mask is None else mask + band
        target = index.masked_fill(spare, width)
        return self._there(
            Group(len(numbers), longest, index.flatten(), target.flatten(), spare.flatten().nonzero()[:, 0], places, mask)
        )  # fmt: skip

    def _band(self, numbers: Sequence[int], half: int) -> Group:
        """Long documents one behind the other, in whole blocks, with an empty block before and after."""
        width = sum(self.lengths)
        inside = torch.cat([torch.arange(self._starts[i], self._starts[i + 1]) for i in numbers])
        owner = torch.cat([torch.full((self.lengths[i],), i) for i in numbers])
        places = torch.cat([torch.arange(self.lengths[i]) for i in numbers])
        ends = (BLOCK, BLOCK + -len(inside) % BLOCK)
        owner = F.pad(owner, ends, value=-1)
        empty = owner < 0
        blocks = owner.view(-1, BLOCK)
        queries, keys = blocks[1:-1], torch.cat([blocks[:-2], blocks[1:-1], blocks[2:]], 1)
        distance = torch.arange(3 * BLOCK) - BLOCK - torch.arange(BLOCK)[:, None]
        mask = _additive((queries[:, :, None] == keys[:, None, :]) & (distance.abs() <= half))[:, None]
        index = F.pad(inside, ends)
        return self._there(
            Group(
                len(queries), BLOCK, index, index.masked_fill(empty, width), empty.nonzero()[:, 0], F.pad(places, ends), mask,
                band=True,
            )
        )  # fmt: skip

    def _there(self, group: Group) -> Group:
        if self.device is None:
            return group
        return replace(
            group, index=group.index.to(self.device), target=group.target.to(self.device),
            spare=group.spare.to(self.device), positions=group.positions.to(self.device),
            mask=None if group.mask is None else group.mask.to(self.device),
        )  # fmt: skip


def _additive(seen: Tensor) -> Tensor:
    return torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))


def attend_blocks(
    qkv: Tensor, rotation: tuple[Tensor, Tensor] | None, plan: Plan, scale: float, half: int | None
) -> Tensor:
    """Attention of every document to itself.

    Args:
        qkv: queries, keys and values, `[T, 3, h, d]`.
        rotation: cosines and sines of the positions, each `[longest document, d / 2]`; None if already rotated.
        plan: the documents.
        scale: what scores are multiplied by.
        half: tokens seen to either side; None for all.

    Returns:
        `[T, h, d]`.
    """
    cosines, sines = (None, None) if rotation is None else rotation
    return _Attention.apply(qkv, cosines, sines, plan, scale, half)  # type: ignore[no-any-return,no-untyped-call]


def attend_groups(qkv: Tensor, plan: Plan, scale: float, half: int | None) -> Tensor:
    """`attend_blocks` of queries and keys that are already rotated, by torch's `scaled_dot_product_attention`: on any device
    and in any number format, with a few copies more."""
    tokens, _, heads, size = qkv.shape
    output = qkv.new_zeros(tokens + 1, heads, size)
    for group in plan.whole if half is None else plan.local(half):
        made = qkv.index_select(0, group.index)
        if group.band:
            made = made.index_fill(0, group.spare, 0)
        query, key, value = _views(made, group)
        mask = None if group.mask is None else group.mask.to(query.dtype)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale).transpose(1, 2)
        target = group.target[BLOCK:-BLOCK] if group.band else group.target
        output = output.index_copy(0, target, out.reshape(-1, heads, size))
    return output[:tokens]


class _Attention(Function):
    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, cosines: Tensor | None, sines: Tensor | None, plan: Plan, scale: float, half: int | None
    ) -> Tensor:
        groups = plan.whole if half is None else plan.local(half)
        tokens, _, heads, size = qkv.shape
        output = qkv.new_empty(tokens + 1, heads, size)
        saved = []
        for group in groups:
            made = qkv.index_select(0, group.index)
            if group.band:
                made.index_fill_(0, group.spare, 0)
            if cosines is not None and sines is not None:
                _rotate(made, cosines[group.positions], sines[group.positions], group)
            query, key, value = _views(made, group)
            mask = group.mask
            if mask is not None:
                mask = mask.to(query.dtype).expand(query.shape[0], heads, query.shape[2], key.shape[2])
            out, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query, key, value, 0.0, False, attn_mask=mask, scale=scale
            )
            _scatter(output, group, out.transpose(1, 2))
            saved += [made, out, sums]
        ctx.save_for_backward(cosines, sines, *saved)
        ctx.groups, ctx.scale, ctx.tokens = groups, scale, tokens
        return output[:tokens]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        cosines, sines, *saved = ctx.saved_tensors
        _, heads, size = grad.shape
        result = grad.new_empty(ctx.tokens + 1, 3, heads, size)
        for number, group in enumerate(ctx.groups):
            made, out, sums = saved[3 * number : 3 * number + 3]
            of_out = grad.index_select(0, group.index)
            if len(group.spare):
                of_out.index_fill_(0, group.spare, 0)
            if group.band:
                of_out = of_out[BLOCK:-BLOCK]
            of_out = of_out.view(group.num, group.length, heads, size).transpose(1, 2)
            query, key, value = _views(made, group)
            mask = group.mask
            if mask is not None:
                mask = mask.to(query.dtype).expand(query.shape[0], heads, query.shape[2], key.shape[2])
            grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                of_out, query, key, value, out, sums, 0.0, False, attn_mask=mask, scale=ctx.scale
            )
            of_made = _joined(grads, made, group)
            if cosines is not None:
                _rotate(of_made, cosines[group.positions], -sines[group.positions], group)
            _scatter(result, group, of_made)
        return result[: ctx.tokens], None, None, None, None, None


def _rotate(made: Tensor, cosines: Tensor, sines: Tensor, group: Group) -> None:
    """Rotary embedding of queries and keys, in place; with negative sines it undoes itself."""
    num = 1 if group.band else group.num
    pair = made.view(num, -1, *made.shape[1:])[:, :, :2]
    cosines, sines = cosines[:, None, None], sines[:, None, None]
    first, second = pair.chunk(2, dim=-1)
    moved = first * sines
    first.mul_(cosines).addcmul_(second, sines, value=-1)
    second.mul_(cosines).add_(moved)


def _views(made: Tensor, group: Group) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as `[n, h, L, d]`; in the band keys and values are windows that overlap."""
    _, _, heads, size = made.shape
    if not group.band:
        shaped = made.view(group.num, group.length, 3, heads, size)
        query, key, value = (each.transpose(1, 2) for each in shaped.unbind(2))
        return query, key, value
    query = made[BLOCK:-BLOCK, 0].unflatten(0, (group.num, BLOCK)).transpose(1, 2)
    step = made.stride(0)
    shape, steps = (group.num, heads, 3 * BLOCK, size), (BLOCK * step, size, step, 1)
    key, value = (made.as_strided(shape, steps, made.storage_offset() + i * heads * size) for i in (1, 2))
    return query, key, value


def _joined(grads: Sequence[Tensor], made: Tensor, group: Group) -> Tensor:
    """Gradients of queries, keys and values as one tensor like `made`."""
    result = torch.empty_like(made)
    if not group.band:
        shaped = result.view(group.num, group.length, *made.shape[1:])
        for i, each in enumerate(grads):
            shaped[:, :, i] = each.transpose(1, 2)
        return result
    result.zero_()
    result[BLOCK:-BLOCK, 0] = grads[0].transpose(1, 2).flatten(0, 1)
    blocks = result.unflatten(0, (-1, BLOCK))
    for i, each in enumerate(grads[1:], start=1):
        for offset, part in enumerate(each.transpose(1, 2).split(BLOCK, 1)):
            blocks[offset : offset + group.num, :, i] += part
    return result


def _scatter(target: Tensor, group: Group, values: Tensor) -> None:
    """Write slots to their tokens; spare ones end in the last row, which is cut off."""
    if group.band and values.shape[0] == group.num:
        target.index_copy_(0, group.target[BLOCK:-BLOCK], values.flatten(0, 1))
    else:
        target.index_copy_(0, group.target, values.reshape(-1, *target.shape[1:]))
