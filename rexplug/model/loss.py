"""The masked-LM head and its loss, chunk by chunk: the logits of all masked tokens are never held at once.

On a GPU a chunk of half-precision logits becomes its own gradient in one kernel: Liger's (the package liger-kernel,
arXiv 2410.10989) where it is installed, else one that torch compiles. Liger's own fused linear cross entropy is not used: it
reads a count back from the device at every call, and gives no loss per token, from which the losses per source are made.

Shapes: m masked tokens, V rows of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available
from torch.autograd import Function

from rexplug.model.cpu.bf16_products import in_bf16
from rexplug.model.cpu.cross_entropy import cross_entropy
from rexplug.model.cpu.onednn import has_onednn, pad_rows, product, weight_gradient
from rexplug.model.layers import HeadWeights, head_features
from rexplug.training_defaults import LOGITS_CPU, LOGITS_FUSED, LOGITS_GPU, loss_chunk

Kernel = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Takes logits `[m, V]` and labels `[m]`; returns the gradient of the summed loss (perhaps in the logits' memory), losses, hits."""


def masked_lm_loss(
    model: Any, hidden: Tensor, labels: Tensor, max_logits: int | None = None, kernel: str | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the losses, each token's loss, and whether the most probable token is the right one.

    Args:
        model: a masked language model.
        hidden: hidden states of masked tokens, `[m, hidden]`.
        labels: their true ids, `[m]`.
        max_logits: logits held at a time; those of `rexplug.training_defaults` if left out.
        kernel: what turns logits into their gradient: `liger`, `compiled` or `pieces` (torch's own operators); by
            `choose_loss` if left out.

    Returns:
        A scalar with a gradient, and `[m]` fp32 and bool without one.
    """
    head = HeadWeights.of(model)
    make_features = getattr(model.head, "features", head_features)
    features = make_features(hidden, *head[:-2])
    half = hidden.is_cuda and _product_dtype(features) != torch.float32
    if kernel is None:
        kernel = choose_loss(compiled=make_features is not head_features)[0] if half else "pieces"
    if max_logits is None:
        on_gpu = LOGITS_GPU if kernel == "pieces" else LOGITS_FUSED
        max_logits = on_gpu if hidden.is_cuda else LOGITS_CPU
    chunk = loss_chunk(max_logits, head.decoder.shape[0])
    apply: Callable[..., tuple[Tensor, Tensor, Tensor]] = _ChunkedLoss.apply
    return apply(features, head.decoder, head.decoder_bias, labels, chunk, kernel)


def choose_loss(*, compiled: bool) -> tuple[str, str]:
    """The kernel that turns half-precision logits on a GPU into their gradient, and why; `compiled`: whether layers are."""
    if find_spec("liger_kernel") is not None and find_spec("triton") is not None:
        return "liger", "liger-kernel is installed"
    if compiled:
        return "compiled", "liger-kernel is not installed"
    return "pieces", "liger-kernel is not installed, and nothing is compiled"


def _product_dtype(features: Tensor) -> torch.dtype:
    """The number format of the decoder's product."""
    device = features.device.type
    # "meta", on which shapes are worked out, has no autocast to ask for.
    if is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return features.dtype


class _ChunkedLoss(Function):
    """Cross entropy summed over tokens; the gradient is computed together with the loss, chunk by chunk.

    So logits are computed once and freed, and the backward pass only multiplies by the gradient of the sum (the idea of
    Liger kernels' fused linear cross entropy, arXiv 2410.10989).
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, chunk: int, kernel: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype = _product_dtype(features)
        x, w, b = features.detach().to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        needs_grad = any(ctx.needs_input_grad)
        num = len(labels)
        losses = torch.empty(num, dtype=torch.float32, device=features.device)
        hits = torch.empty(num, dtype=torch.bool, device=features.device)
        grad_features = torch.empty_like(x) if needs_grad else None
        grad_weight, grad_bias = _Sum(), _Sum()
        fused = None if kernel == "pieces" else _kernel(kernel)
        fast, on_cpu = has_onednn(x), x.device.type == "cpu" and dtype in (torch.float32, torch.bfloat16)
        for first in range(0, num, chunk):
            part = slice(first, first + chunk)
            if fused is not None:
                logits = F.linear(x[part], w, b)
                grad, losses[part], hits[part] = fused(logits, labels[part])
                if grad_features is not None:
                    torch.mm(grad, w, out=grad_features[part])
                    grad_weight.add_product(grad.t(), x[part])
                    if b is not None:
                        grad_bias.add(grad.sum(0, dtype=torch.float32))
                continue
            padded = pad_rows(x[part]) if fast or in_bf16(x) else x[part]
            count = len(labels[part])
            logits = product(padded, w, b) if fast else F.linear(padded, w, b)
            if on_cpu:
                # Summed while it is in the cache and in fp32, except in fp32, where no sum is to change.
                sums = torch.zeros(len(w)) if b is not None and dtype == torch.bfloat16 else None
                losses[part], hits[part] = cross_entropy(logits, labels[part], with_gradient=needs_grad, sums=sums)
                grad = logits
            else:
                at_labels = (torch.arange(count, device=logits.device), labels[part])
                log_probabilities = torch.log_softmax(logits.float(), -1)
                label_log_probabilities = log_probabilities[at_labels]
                losses[part] = -label_log_probabilities
                hits[part] = label_log_probabilities >= log_probabilities.amax(-1)
                grad = log_probabilities.exp_()
                grad[at_labels] -= 1
                sums = None
            if grad_features is None:
                continue
            if b is not None:
                grad_bias.add(grad.sum(0, dtype=torch.float32) if sums is None else sums)
            grad = grad.to(x.dtype)
            if fast:
                grad_features[part] = product(grad, w.t())[:count]
                grad_weight.add(weight_gradient(padded, grad).t())
            else:
                grad_features[part] = (grad @ w)[:count]
                grad_weight.add((padded.t() @ grad).float().t())
        if needs_grad and not num:  # FSDP: every rank must produce a gradient for every parameter
            grad_weight.add(torch.zeros_like(w))
            if b is not None:
                grad_bias.add(torch.zeros_like(b))
        ctx.save_for_backward(grad_features, grad_weight.value, grad_bias.value)
        ctx.kinds = features.dtype, weight.dtype, None if bias is None else bias.dtype
        ctx.mark_non_differentiable(losses, hits)
        return losses.sum(), losses, hits

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        grad_features, grad_weight, grad_bias = ctx.saved_tensors
        scaled_bias = None if grad_bias is None else (grad_bias * grad).to(ctx.kinds[2])
        return (
            (grad_features * grad).to(ctx.kinds[0]), (grad_weight * grad).to(ctx.kinds[1]), scaled_bias, None, None, None,
        )  # fmt: skip


@cache
def _kernel(name: str) -> Kernel:
    """The kernel of a name; see `choose_loss`."""
    if name == "liger":
        return _liger_gradient
    return _any_number(torch.compile(_gradient_of_logits))


def _any_number(compiled: Any) -> Kernel:
    """Compiled once for any number of tokens: the last chunk of a row has fewer."""

    def call(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        for tensor in (logits, labels):
            if len(tensor) > 1:
                torch._dynamo.maybe_mark_dynamic(tensor, 0)
        result: tuple[Tensor, Tensor, Tensor] = compiled(logits, labels)
        return result

    return call


def _gradient_of_logits(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient, losses and hits; compiled, it reads half-precision logits twice and writes their gradient once."""
    exact = logits.float()
    sums = torch.logsumexp(exact, -1)
    label_logits = exact.gather(1, labels[:, None])[:, 0]
    columns = torch.arange(logits.shape[1], device=logits.device)
    grad = torch.exp(exact - sums[:, None]) - (columns == labels[:, None]).float()
    return grad.to(logits.dtype), sums - label_logits, label_logits >= exact.amax(-1)


def _liger_gradient(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`_gradient_of_logits` by Liger's cross-entropy kernel, which writes the gradient over the logits."""
    from liger_kernel.ops.cross_entropy import liger_cross_entropy_kernel

    num, size = logits.shape
    losses = torch.empty(num, dtype=torch.float32, device=logits.device)
    hits = torch.empty(num, dtype=torch.float32, device=logits.device)
    labels = labels.contiguous()
    if num:
        liger_cross_entropy_kernel[(num,)](
            X_ptr=logits, X_stride=logits.stride(0), Y_ptr=labels, Y_stride=1, weight_ptr=None, loss_ptr=losses,
            z_loss_ptr=None, loss_stride=1, token_accuracy_ptr=hits, token_accuracy_stride=1, predicted_tokens_ptr=None,
            predicted_tokens_stride=0, n_cols=size, n_non_ignore=1, sum_non_ignore_weight=1, weight_sum=0.0,
            ignore_index=-100, lse_square_scale=0.0, label_smoothing=0.0, reduction="sum", softcap=None,
            RETURN_Z_LOSS=False, RETURN_TOKEN_ACCURACY=True, RETURN_PREDICTED_TOKENS=False, HAS_WEIGHT=False,
            HAS_SOFTCAPPING=False, HAS_GRADIENTS=True,
            BLOCK_SIZE=min(_LIGER_BLOCK, 1 << (size - 1).bit_length()), num_warps=_LIGER_WARPS,
        )  # fmt: skip
    return logits, losses, hits > 0


_LIGER_BLOCK, _LIGER_WARPS = 32_768, 32
"""Block size and warps of Liger's own calls on NVIDIA GPUs."""


class _Sum:
    """A sum of tensors that keeps its first term instead of adding it to zeros."""

    value: Tensor | None = None

    def add(self, term: Tensor) -> None:
        """Add a tensor, which the sum may change from then on."""
        self.value = term if self.value is None else self.value.add_(term)

    def add_product(self, left: Tensor, right: Tensor) -> None:
        """Add a product of half-precision matrices, summed in fp32."""
        if not _has_wide_products():
            self.add((left @ right).float())
        elif self.value is None:
            self.value = torch.ops.aten.mm.dtype(left, right, torch.float32)
        else:
            torch.ops.aten.addmm.dtype_out(self.value, left, right, torch.float32, out=self.value)


@cache
def _has_wide_products() -> bool:
    """Whether torch multiplies half-precision matrices into fp32 (from 2.8 on, on a GPU)."""
    return torch.cuda.is_available() and "dtype_out" in torch.ops.aten.addmm.overloads()
