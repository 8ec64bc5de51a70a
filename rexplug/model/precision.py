"""Number formats of matrix products, and the context that models run in for each.

In bf16 weights, gradients and the optimizer's state stay fp32, and so do layer norms, rotation, scores and softmax of
attention, and the loss; products take bf16 and sum in fp32. On a CPU that is worth it only with instructions for it: without
them products are emulated, slower than in fp32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from rexplug.errors import DataError
from rexplug.model.cpu.instructions import bf16_instructions


def choose_precision(requested: str, device: torch.device) -> str:
    """The number format of products, from the recipe's `model.precision`: `fp32`, `tf32` or `bf16`.

    `auto` is bf16 on a GPU and fp32 on a CPU. bf16 on a CPU needs AVX512-BF16 or AMX, tf32 needs a GPU.

    Raises:
        DataError: this machine does not have what is requested.
    """
    on_gpu = device.type == "cuda"
    if requested == "auto":
        return "bf16" if on_gpu else "fp32"
    if requested == "tf32" and not on_gpu:
        raise DataError("model.precision: tf32 needs a GPU; 'auto' takes what this machine has")
    if requested == "bf16" and not on_gpu and not bf16_instructions():
        raise DataError(
            "model.precision: bf16 needs a GPU or a CPU with AVX512-BF16 or AMX; without them it is slower than fp32; 'auto' takes "
            "what this machine has"
        )
    return requested


def autocast_of(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """The context of a forward pass with products in `precision`; the backward pass runs outside of it.

    For bf16 torch's autocast, in which this package's layers take their own products on a CPU. TF32 is a switch of the
    whole process: `rexplug.engine.hardware.matmul_precision`.
    """
    if precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
