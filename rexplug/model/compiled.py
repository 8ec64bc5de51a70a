"""torch.compile for what lies around attention: norms, products, rotation, GeGLU and residuals in fewer kernels.

Attention itself is one kernel already, and its borders differ from row to row; a layer's other two parts see one shape as
long as rows have one width.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import Any, Literal

import torch


def choose_compile(requested: bool | Literal["auto"], device: torch.device) -> tuple[bool, str]:
    """Whether layers are compiled, and why.

    On a GPU torch needs triton, which needs a C compiler; on a CPU compiling takes a minute and gains little beside
    oneDNN's products, so there only the recipe's word counts.
    """
    if requested != "auto":
        return requested, "the recipe asks for it" if requested else "the recipe says no"
    if device.type != "cuda":
        return False, "the device is a CPU"
    if find_spec("triton") is None:
        return False, "triton is not installed"
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang")):
        return False, "triton needs a C compiler, and there is none on the PATH"
    return True, "on a GPU"


def compile_layers(model: Any, backend: str = "inductor") -> None:
    """Compile both parts of every packed layer of a `ModernBertForMaskedLM`, at their first use.

    Weights, their names and what a checkpoint holds stay as they are. `backend` is one of torch's compilers.
    """
    # All layers share the code of two functions, and each is compiled per layer type and per width of a row; torch gives
    # up after eight versions of one function.
    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, 64)
    for layer in model.model.layers:
        layer.project = torch.compile(layer.project, backend=backend)
        layer.finish = torch.compile(layer.finish, backend=backend)
