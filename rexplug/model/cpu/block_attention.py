"""Exact attention over a packed row by groups of documents: on a CPU with a gradient of its own, elsewhere with torch's.

The groups are those of `rexplug.model.document_groups`.

Shapes: T tokens of the row, h heads, d size of a head, n documents of a group, L slots of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from rexplug.model.cpu.short_attention import attend_short, short_gradients
from rexplug.model.document_groups import BLOCK, AttentionPlan, Group

_GROUP_SLOTS = 2048
"""Slots of a group in bf16 times heads: all scores of a group are held, and stay in the cache."""


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
    _, _, heads, size = qkv.shape
    index, slot_of = plan.slots(half_window)
    groups = plan.groups(half_window)
    # One gather before all groups and one after them: a write per group would copy the whole row every time.
    gathered = qkv.index_select(0, index).split([len(group.index) for group in groups])
    outputs = []
    for group, states in zip(groups, gathered, strict=True):
        query, key, value = _views(states, group)
        # A query of padding that saw no key would have gradients that are not numbers.
        mask = None if group.mask_of_all is None else group.mask_of_all.to(query.dtype)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
        outputs.append(out.transpose(1, 2).reshape(-1, heads, size))
    return torch.cat(outputs).index_select(0, slot_of)


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
        groups = plan.groups(half_window, max(1, _GROUP_SLOTS // heads) if in_bf16 else None)
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
            gathered = gathered.float() if in_bf16 else gathered
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
            grad_out = grad_out.float() if grad.dtype == torch.bfloat16 else grad_out
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
        target.index_copy_(0, group.query_target, values.flatten(0, 1))
    else:
        target.index_copy_(0, group.target, values.reshape(-1, *target.shape[1:]))
