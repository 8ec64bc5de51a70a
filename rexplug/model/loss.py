"""The masked-LM head and its loss, in pieces: the logits of all masked tokens are never held at once."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available
from torch.autograd import Function

from rexplug.model.products import has_onednn, linear, pad_rows, product, weight_gradient

LOGITS_CPU = 2**22
"""Logits held at a time on a CPU (16 MiB): they stay in the cache from product to gradient."""
LOGITS_GPU = 2**27
"""Logits held at a time on a GPU (512 MiB in fp32)."""


def masked_lm_loss(
    model: Any, hidden: Tensor, labels: Tensor, max_logits: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the losses, each token's loss, and whether the likeliest token is the right one.

    Args:
        model: a `ModernBertForMaskedLM`.
        hidden: hidden states of masked tokens, `[num_masked, hidden]`.
        labels: their true ids, `[num_masked]`.
        max_logits: logits held at a time; a fitting number for the device if left out.

    Returns:
        A number with a gradient, and `[num_masked]` fp32 and bool without one.
    """
    head, decoder = model.head, model.decoder
    features = head.norm(head.act(linear(hidden, head.dense.weight, head.dense.bias)))
    if max_logits is None:
        max_logits = LOGITS_GPU if hidden.is_cuda else LOGITS_CPU
    size = max(64, max_logits // decoder.weight.shape[0] // 64 * 64)
    total, losses, hits = _Loss.apply(features, decoder.weight, decoder.bias, labels, size)  # type: ignore[no-untyped-call]
    return total, losses, hits


class _Loss(Function):
    """Cross entropy summed over tokens; the gradient is made beside the loss, piece by piece.

    So logits are computed once and thrown away, and the backward pass only multiplies by the gradient of the sum
    (after the idea of Liger kernels' fused linear cross entropy, arXiv 2410.10989).
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, size: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, w, b = features.detach(), weight, bias
        device = features.device.type
        # "meta", on which shapes are worked out, has no autocast to ask for.
        if is_autocast_available(device) and torch.is_autocast_enabled(device):
            kind = torch.get_autocast_dtype(device)
            x, w, b = x.to(kind), w.to(kind), None if b is None else b.to(kind)
        wanted = any(ctx.needs_input_grad)
        num = len(labels)
        losses = torch.empty(num, dtype=torch.float32, device=features.device)
        hits = torch.empty(num, dtype=torch.bool, device=features.device)
        of_features = torch.empty_like(x) if wanted else None
        of_weight, of_bias = _Sum(), _Sum()
        fast = has_onednn(x)
        for first in range(0, num, size):
            part = slice(first, first + size)
            piece = pad_rows(x[part]) if fast else x[part]
            count = len(labels[part])
            logits = (product(piece, w, b) if fast else F.linear(piece, w, b)).float()
            places = (torch.arange(count, device=logits.device), labels[part])
            log_probabilities = torch.log_softmax(logits, -1)
            of_labels = log_probabilities[places]
            losses[part] = -of_labels
            hits[part] = of_labels >= log_probabilities[:count].amax(-1)
            if not wanted:
                continue
            assert of_features is not None
            grad = log_probabilities.exp_()
            grad[places] -= 1
            grad[count:] = 0
            if b is not None:
                of_bias.add(grad.sum(0))
            grad = grad.to(x.dtype)
            if fast:
                of_features[part] = product(grad, w.t())[:count]
                of_weight.add(weight_gradient(piece, grad))
            else:
                of_features[part] = grad @ w
                of_weight.add((piece.t() @ grad).float())
        if wanted and not num:  # ranks that hold parts of the weights exchange a gradient of each
            of_weight.add(torch.zeros_like(w).t())
            if b is not None:
                of_bias.add(torch.zeros_like(b))
        ctx.save_for_backward(of_features, of_weight.value, of_bias.value)
        ctx.kinds = features.dtype, weight.dtype, None if bias is None else bias.dtype
        ctx.mark_non_differentiable(losses, hits)
        return losses.sum(), losses, hits

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        of_features, of_weight, of_bias = ctx.saved_tensors
        scaled_bias = None if of_bias is None else (of_bias * grad).to(ctx.kinds[2])
        return (
            (of_features * grad).to(ctx.kinds[0]),
            (of_weight * grad).to(ctx.kinds[1]).t(),
            scaled_bias,
            None,
            None,
        )


class _Sum:
    """A sum whose first term is taken over instead of added to zeros."""

    value: Tensor | None = None

    def add(self, term: Tensor) -> None:
        self.value = term if self.value is None else self.value.add_(term)
