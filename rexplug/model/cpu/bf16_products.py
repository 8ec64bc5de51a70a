"""Matrix products in bf16 on a CPU, for training with fp32 weights.

torch's own products of bf16 matrices are oneDNN's. Under torch's autocast they would cast a weight and its input once more
for every product and round sums with the residual; here each is cast once, and the residual stream stays fp32.

Shapes: T tokens, K input features, N output features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function


def in_bf16(tensor: Tensor) -> bool:
    """Whether products of this tensor are taken in bf16 on a CPU: in `rexplug.model.precision.autocast_of`."""
    return (
        tensor.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


def linear_in_bf16(x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor:
    """`x` `[T, K]` times `weight` `[N, K]`, plus `bias`, in bf16; with `residual` `[T, N]` their sum in its number format."""
    apply: Callable[..., Tensor] = _Linear.apply
    return apply(x, weight, bias, residual)


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor:
        """The product in bf16, with what its backward pass needs saved in bf16."""
        x16, weight16 = x.to(torch.bfloat16), weight.to(torch.bfloat16)
        ctx.save_for_backward(x16, weight16)
        ctx.dtypes = x.dtype, weight.dtype, None if bias is None else bias.dtype
        result = F.linear(x16, weight16, None if bias is None else bias.to(torch.bfloat16))
        return result if residual is None else result.to(residual.dtype).add_(residual)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the four inputs, each in its input's number format."""
        x16, weight16 = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.dtypes
        needs_x, needs_weight, needs_bias, needs_residual = ctx.needs_input_grad
        grad16 = grad.to(torch.bfloat16)
        return (
            (grad16 @ weight16).to(of_x) if needs_x else None,
            (grad16.t() @ x16).to(of_weight) if needs_weight else None,
            grad.sum(0, dtype=of_bias) if needs_bias else None,
            grad if needs_residual else None,
        )
