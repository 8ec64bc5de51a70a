"""Matrix products and GeGLU for training on a CPU: in fp32 torch's default operators take twice as long.

torch passes fp32 products to MKL, which reaches about half the speed of oneDNN on AMD processors (measured in
docs/benchmarks/training.md). oneDNN is part of torch, so its operator is called here, for the gradients too. Products in
bf16 are in `bf16_products`; on other devices torch's default operators run.

Shapes: T tokens, K input features, N output features, I intermediate size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from rexplug.model.cpu.bf16_products import in_bf16, linear_in_bf16

_ROWS = 64
"""Products have a multiple of this many rows: oneDNN makes a kernel per shape and keeps about 1,000."""


def has_onednn(tensor: Tensor) -> bool:
    """Whether products of this tensor are computed in fp32 by oneDNN."""
    return (
        tensor.device.type == "cpu"
        and tensor.dtype == torch.float32
        # The operator is private to torch, and torch.compile does not support it.
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias` by oneDNN, without gradient; either may be a transposed view."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, residual: Tensor | None = None) -> Tensor:
    """`x` `[T, K]` times `weight` `[N, K]`, plus `bias` and `residual` `[T, N]` if given."""
    if has_onednn(x) and len(x):
        apply: Callable[..., Tensor] = _Linear.apply
        return apply(x, weight, bias, residual)
    if in_bf16(x) and len(x):
        return linear_in_bf16(x, weight, bias, residual)
    result = F.linear(x, weight, bias)
    return result if residual is None else residual + result


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        if residual is None:
            return product(x, weight, bias)
        summed: Tensor = torch.ops.mkldnn._linear_pointwise(x, residual, weight, bias, "add")
        return summed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, needs_residual = ctx.needs_input_grad
        return (
            product(grad, weight.t()) if needs_x else None,
            weight_gradient(x, grad).t() if needs_weight else None,
            grad.sum(0) if needs_bias else None,
            grad if needs_residual else None,
        )


def weight_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """The gradient of a weight, transposed: `[K, N]` from `x` `[T, K]` and `grad` `[T, N]`. Faster than untransposed."""
    return product(x.t(), grad.t())


def geglu(x: Tensor) -> Tensor:
    """`gelu(a) * b` for `x` = `[a, b]`, `[T, 2 I]`; the result is `[T, I]`."""
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        apply: Callable[[Tensor], Tensor] = _GeGLU.apply
        return apply(x)
    gate, value = x.chunk(2, dim=-1)
    return F.gelu(gate) * value


class _GeGLU(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        gate, value = x.chunk(2, dim=-1)
        active = F.gelu(gate)
        ctx.save_for_backward(x, active)
        return active * value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, active = ctx.saved_tensors
        gate, value = x.chunk(2, dim=-1)
        result = torch.empty_like(x)
        # Both halves are written in place; autograd would compute them apart and concatenate them.
        torch.mul(grad, active, out=result[..., active.shape[-1] :])
        result[..., : active.shape[-1]] = torch.ops.aten.gelu_backward(grad * value, gate)
        return result


def pad_rows(x: Tensor, fill: float = 0.0) -> Tensor:
    """`x` with rows added until their number is a multiple of 64."""
    return F.pad(x, (0,) * (2 * x.ndim - 1) + (-len(x) % _ROWS,), value=fill)
