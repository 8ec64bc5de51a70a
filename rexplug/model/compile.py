"""torch.compile for everything around attention: norms, products, rotation, GeGLU and residuals in fewer kernels.

Attention itself is one kernel already, and its documents differ from row to row; everything between two attentions sees one
shape as long as rows have one width.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor

from rexplug.model.layers import (
    LayerFunctions,
    between_attentions,
    final_states,
    head_features,
    output_and_mlp,
    project_qkv,
)


def choose_compile(requested: bool | Literal["auto"], device: torch.device) -> tuple[bool, str]:
    """Whether layers are compiled, and why.

    On a GPU torch needs triton, which needs a C compiler. On a CPU compiling takes a minute and gains little beside
    oneDNN's products, so layers are compiled there only if the recipe asks for it.
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


def compile_layers(model: Any, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile, at first use, the prediction head of a packed masked language model and all operations between its attentions.

    Weights, their names and what a checkpoint holds stay as they are. Kernels are made for one width of a row: rows of
    another width, as in a phase with another `microbatch_tokens`, are compiled once more. (Without `dynamic=False` torch
    would switch to slower kernels for any width, for good, at the second one.) What only masked tokens go through is
    compiled for any number of them.

    Args:
        model: the model, after `use_packed_attention`.
        backend: one of torch's compilers, by its name or as a function.
    """
    # All layers share the code of a few functions, compiled once per width of a row; torch gives up after eight versions.
    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, 64)
    # Inside DDP torch would split the graph between two attentions where a bucket of gradients is full. That is meant for
    # models compiled as a whole; here each layer has its own backward call, between which buckets are sent anyway.
    torch._dynamo.config.optimize_ddp = False

    def fixed_width(function: Callable[..., Any]) -> Any:
        return torch.compile(function, backend=backend, dynamic=False)

    functions = LayerFunctions(
        project_qkv=fixed_width(project_qkv),
        between_attentions=fixed_width(between_attentions),
        output_and_mlp=fixed_width(output_and_mlp),
        final_states=_any_length(torch.compile(final_states, backend=backend), 2),
    )
    encoder = model.base_model
    encoder.functions = functions
    for layer in encoder.layers:
        layer.functions = functions
    model.head.features = _any_length(torch.compile(head_features, backend=backend), 1)


def _any_length(compiled: Callable[..., Tensor], num: int) -> Callable[..., Tensor]:
    """A compiled function that is compiled once for any length of its first `num` arguments."""

    def call(*arguments: Any) -> Tensor:
        for tensor in arguments[:num]:
            if len(tensor) > 1:
                torch._dynamo.maybe_mark_dynamic(tensor, 0)
        return compiled(*arguments)

    return call
