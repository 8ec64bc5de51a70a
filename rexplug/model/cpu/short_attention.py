"""Attention of short documents in bf16, all documents and heads of a group in one batched product.

Queries and keys are rotated and multiplied in fp32, and the softmax is fp32; the other products take bf16. torch's own
attention for CPUs is made for long documents: in groups of up to 128 tokens this takes half the time, and its gradient in
bf16 a tenth of it.

Shapes: n documents, L slots of each, h heads, d size of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

LONGEST = 256
"""Above so many tokens torch's attention is faster, which never holds all scores."""


def attend_short(
    qkv: Tensor, angles: tuple[Tensor, Tensor] | None, mask: Tensor | None, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Attention of every document to itself.

    Args:
        qkv: queries, keys and values, `[n, L, 3, h, d]` in bf16.
        angles: cosines and sines of the positions, each `[L, d / 2]`; None if already rotated.
        mask: added to scores, broadcasts to `[n, h, L, L]`; every query sees a key.
        scale: what scores are multiplied by.

    Returns:
        The result `[n, h, L, d]`, and what `short_gradients` needs: the three factors `[3, n h, L, d]`, queries and keys
        rotated and scaled, and the weights `[n h, L, L]`, all in bf16.
    """
    num, length, _, heads, size = qkv.shape
    parts = qkv.permute(2, 0, 3, 1, 4)
    pair = _rotated(parts[:2], angles, scale**0.5)
    factors = qkv.new_empty(3, num, heads, length, size)
    factors[:2].copy_(pair)
    factors[2].copy_(parts[2])
    factors = factors.flatten(1, 2)
    query, key = pair.flatten(1, 2)
    with torch.autocast("cpu", enabled=False):  # which would multiply these in bf16
        scores = torch.bmm(query, key.transpose(1, 2))
    if mask is not None:
        scores.view(num, heads, length, length).add_(mask)
    weights = scores.softmax(-1).to(qkv.dtype)
    out = torch.bmm(weights, factors[2])
    return out.view(num, heads, length, size), factors, weights


def short_gradients(
    grad: Tensor, factors: Tensor, weights: Tensor, angles: tuple[Tensor, Tensor] | None, scale: float
) -> Tensor:
    """Gradients of queries, keys and values, `[n, L, 3, h, d]`, from that of the result, `[n, L, h, d]`; both in bf16."""
    num, length, heads, size = grad.shape
    query, key, value = factors
    grad = grad.transpose(1, 2).reshape(num * heads, length, size)
    grad_weights = torch.bmm(grad, value.transpose(1, 2))
    grad_scores = torch.ops.aten._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
    pair = torch.stack([torch.bmm(grad_scores, key), torch.bmm(grad_scores.transpose(1, 2), query)])
    pair = pair.view(2, num, heads, length, size)
    result = grad.new_empty(num, length, 3, heads, size)
    parts = result.permute(2, 0, 3, 1, 4)
    inverse = None if angles is None else (angles[0], -angles[1])
    parts[:2].copy_(_rotated(pair, inverse, scale**0.5))
    parts[2].copy_(torch.bmm(weights.transpose(1, 2), grad).view(num, heads, length, size))
    return result


def _rotated(pair: Tensor, angles: tuple[Tensor, Tensor] | None, scale: float) -> Tensor:
    """Queries and keys `[2, n, h, L, d]` in fp32, rotated by the angles and multiplied by `scale`."""
    exact = pair.to(torch.float32, memory_format=torch.contiguous_format)
    if angles is None:
        return exact.mul_(scale)
    cosines, sines = (angle * scale for angle in angles)
    first, second = exact.chunk(2, -1)
    result = torch.empty_like(exact)
    new_first, new_second = result.chunk(2, -1)
    torch.mul(first, cosines, out=new_first).addcmul_(second, sines, value=-1)
    torch.mul(second, cosines, out=new_second).addcmul_(first, sines)
    return result
