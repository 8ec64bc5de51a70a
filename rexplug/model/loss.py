"""The masked-LM head and its loss, in pieces: the logits of all masked tokens are never held at once.

On a GPU a piece of half-precision logits becomes its own gradient in one kernel: Liger's (the package liger-kernel,
arXiv 2410.10989) where it is installed, else one that torch compiles. Its own fused linear cross entropy is not taken: it reads a
count back from the device at every call, and gives no loss per token, from which the losses per source are made.
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

from rexplug.model.cpu.onednn import has_onednn, linear, pad_rows, product, weight_gradient

LOGITS_CPU = 2**22
"""Logits held at a time on a CPU (16 MiB): they stay in the cache from product to gradient."""
LOGITS_GPU = 2**27
"""Logits held at a time on a GPU in fp32 (512 MiB)."""
LOGITS_FUSED = 2**29
"""Logits held at a time where a kernel turns them into their gradient in half precision (1 GiB)."""

Kernel = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Takes logits `[n, V]` and labels `[n]`; gives the gradient of the summed loss (in the logits' memory or not), losses and hits."""


def masked_lm_loss(
    model: Any, hidden: Tensor, labels: Tensor, max_logits: int | None = None, kernel: str | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the losses, each token's loss, and whether the likeliest token is the right one.

    Args:
        model: a `ModernBertForMaskedLM`.
        hidden: hidden states of masked tokens, `[num_masked, hidden]`.
        labels: their true ids, `[num_masked]`.
        max_logits: logits held at a time; a fitting number for the device if left out.
        kernel: what turns logits into their gradient: `liger`, `compiled` or `pieces`; by `choose_loss` if left out.

    Returns:
        A number with a gradient, and `[num_masked]` fp32 and bool without one.
    """
    head, decoder = model.head, model.decoder
    make = getattr(head, "features", features_of)
    features = make(
        hidden, head.dense.weight, head.dense.bias, head.act, head.norm.weight, getattr(head.norm, "bias", None),
        head.norm.eps,
    )  # fmt: skip
    half = hidden.is_cuda and _product_dtype(features) != torch.float32
    kernel = (choose_loss(compiled=make is not features_of)[0] if half else "pieces") if kernel is None else kernel
    if max_logits is None:
        on_gpu = LOGITS_GPU if kernel == "pieces" else LOGITS_FUSED
        max_logits = on_gpu if hidden.is_cuda else LOGITS_CPU
    size = max(64, max_logits // decoder.weight.shape[0] // 64 * 64)
    total, losses, hits = _Loss.apply(features, decoder.weight, decoder.bias, labels, size, kernel)  # type: ignore[no-untyped-call]
    return total, losses, hits


def features_of(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    activation: Callable[[Tensor], Tensor],
    norm: Tensor,
    norm_bias: Tensor | None,
    eps: float,
) -> Tensor:
    """What the decoder multiplies, `[num_masked, hidden]`: ModernBERT's prediction head."""
    active = activation(linear(hidden, weight, bias))
    return F.layer_norm(active, active.shape[-1:], norm, norm_bias, eps)


def choose_loss(*, compiled: bool) -> tuple[str, str]:
    """What turns half-precision logits on a GPU into their gradient, and why; `compiled`: whether layers are."""
    if find_spec("liger_kernel") is not None and find_spec("triton") is not None:
        return "liger", "liger-kernel is installed"
    if compiled:
        return "compiled", "liger-kernel is not installed"
    return "pieces", "liger-kernel is not installed, and nothing is compiled"


def _product_dtype(features: Tensor) -> torch.dtype:
    """The number format in which the decoder multiplies."""
    device = features.device.type
    # "meta", on which shapes are worked out, has no autocast to ask for.
    if is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return features.dtype


class _Loss(Function):
    """Cross entropy summed over tokens; the gradient is made beside the loss, piece by piece.

    So logits are computed once and thrown away, and the backward pass only multiplies by the gradient of the sum
    (after the idea of Liger kernels' fused linear cross entropy, arXiv 2410.10989).
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, size: int, kernel: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype = _product_dtype(features)
        x, w, b = features.detach().to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        wanted = any(ctx.needs_input_grad)
        num = len(labels)
        losses = torch.empty(num, dtype=torch.float32, device=features.device)
        hits = torch.empty(num, dtype=torch.bool, device=features.device)
        of_features = torch.empty_like(x) if wanted else None
        of_weight, of_bias = _Sum(), _Sum()
        fused = None if kernel == "pieces" else _kernel(kernel)
        fast = has_onednn(x)
        for first in range(0, num, size):
            part = slice(first, first + size)
            if fused is not None:
                logits = F.linear(x[part], w, b)
                grad, losses[part], hits[part] = fused(logits, labels[part])
                if of_features is not None:
                    torch.mm(grad, w, out=of_features[part])
                    of_weight.add_product(grad.t(), x[part])
                    if b is not None:
                        of_bias.add(grad.sum(0, dtype=torch.float32))
                continue
            piece = pad_rows(x[part]) if fast else x[part]
            count = len(labels[part])
            logits = (product(piece, w, b) if fast else F.linear(piece, w, b)).float()
            places = (torch.arange(count, device=logits.device), labels[part])
            log_probabilities = torch.log_softmax(logits, -1)
            of_labels = log_probabilities[places]
            losses[part] = -of_labels
            hits[part] = of_labels >= log_probabilities[:count].amax(-1)
            if of_features is None:
                continue
            grad = log_probabilities.exp_()
            grad[places] -= 1
            grad[count:] = 0
            if b is not None:
                of_bias.add(grad.sum(0))
            grad = grad.to(x.dtype)
            if fast:
                of_features[part] = product(grad, w.t())[:count]
                of_weight.add(weight_gradient(piece, grad).t())
            else:
                of_features[part] = grad @ w
                of_weight.add((piece.t() @ grad).float().t())
        if wanted and not num:  # ranks that hold parts of the weights exchange a gradient of each
            of_weight.add(torch.zeros_like(w))
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
            (of_features * grad).to(ctx.kinds[0]), (of_weight * grad).to(ctx.kinds[1]), scaled_bias, None, None, None,
        )  # fmt: skip


@cache
def _kernel(name: str) -> Kernel:
    """A kernel by its name; see `choose_loss`."""
    if name == "liger":
        return _by_liger
    return _any_number(torch.compile(_gradient_of_logits))


def _any_number(compiled: Any) -> Kernel:
    """Compiled once for any number of rows: the last piece of a row of tokens has fewer."""

    def call(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        for tensor in (logits, labels):
            if len(tensor) > 1:
                torch._dynamo.maybe_mark_dynamic(tensor, 0)
        made: tuple[Tensor, Tensor, Tensor] = compiled(logits, labels)
        return made

    return call


def _gradient_of_logits(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient, losses and hits; compiled, it reads half-precision logits twice and writes their gradient once."""
    exact = logits.float()
    sums = torch.logsumexp(exact, -1)
    right = exact.gather(1, labels[:, None])[:, 0]
    columns = torch.arange(logits.shape[1], device=logits.device)
    grad = torch.exp(exact - sums[:, None]) - (columns == labels[:, None]).float()
    return grad.to(logits.dtype), sums - right, right >= exact.amax(-1)


def _by_liger(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same by Liger's cross-entropy kernel, which writes the gradient where the logits were."""
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
"""As Liger's own calls on NVIDIA's GPUs."""


class _Sum:
    """A sum whose first term is taken over instead of added to zeros."""

    value: Tensor | None = None

    def add(self, term: Tensor) -> None:
        """Add a tensor, which is this sum's own from then on."""
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
