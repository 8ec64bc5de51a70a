"""How ranks hold a model: each the full model (DDP), or each a shard of every weight (FSDP).

With DDP the gradients of a step are summed over the ranks once, during the backward pass of its last row. With FSDP a weight,
its gradient and its moments are sharded along their first dimension over the ranks; the weights of a layer are gathered while
it computes, and gradients are summed over the ranks after each row, so that no rank holds all of them. Checkpoints hold full
weights and full moments in either case, so a run resumes with another number of ranks, or with the other strategy.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from composer.trainer import trainer as composer_trainer
from composer.utils import dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.hardware import device_memory
from rexplug.training_defaults import FSDP_MEMORY_SHARE


def choose_parallel(requested: str, needed: int, device: torch.device, world_size: int) -> tuple[str, str]:
    """The data-parallel strategy, `none`, `ddp` or `fsdp`, and why.

    Args:
        requested: the recipe's `model.parallel`.
        needed: bytes of weights, gradients and optimizer state of the full model.
        device: of this rank.
        world_size: number of ranks.
    """
    if world_size == 1:
        return "none", "one process"
    if requested != "auto":
        return requested, "the recipe asks for it"
    memory = device_memory(device)
    strategy, than = ("fsdp", "more than") if needed > FSDP_MEMORY_SHARE * memory else ("ddp", "at most")
    return strategy, (
        f"weights, gradients and moments take {needed / 2**30:.1f} GiB, {than} {FSDP_MEMORY_SHARE:.0%} of the "
        f"{memory / 2**30:.1f} GiB that a process has"
    )


def replicate(composer_model: torch.nn.Module, find_unused_parameters: bool = False) -> DistributedDataParallel:
    """Wrap a model whose gradients are summed over the ranks.

    Gradients are views of the buckets that are communicated, so that they exist once, and buffers, which are constants (RoPE's
    frequencies), are not sent at every step. DDP's `static_graph` is not set: torch 2.7 does not define it for
    steps whose first rows are not communicated, and every parameter gets a gradient from every row anyway.
    """
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    # torch 2.15 renamed the option; under the new name buffers are sent once, at the start.
    constant_buffers: dict[str, Any] = {
        "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers": False
    }
    return DistributedDataParallel(
        composer_model,
        find_unused_parameters=find_unused_parameters,
        gradient_as_bucket_view=True,
        **constant_buffers,
    )


@contextmanager
def our_replicas() -> Iterator[None]:
    """Inside the context Composer's trainer wraps models by `replicate`: it has no option for DDP's own options."""
    name = "prepare_ddp_module"
    original = getattr(composer_trainer, name)
    setattr(composer_trainer, name, replicate)
    try:
        yield
    finally:
        setattr(composer_trainer, name, original)


def zero_gradients(optimizer: torch.optim.Optimizer, model: torch.nn.Module) -> None:
    """Drop the gradients of the last step; with DDP set them to zero instead, which keeps them in the buckets."""
    optimizer.zero_grad(set_to_none=not isinstance(model, DistributedDataParallel))


def shard(composer_model: PackedMaskedLM, device: torch.device, gathered: torch.dtype | None = None) -> None:
    """Shard the weights of a model that every rank holds over the ranks, layer by layer.

    Weights are stored in fp32. Those of layers may be gathered in bf16, which halves what is sent and held; gradients are
    summed over the ranks in fp32. A layer's input is not rounded: the residual stream keeps its own format. Layers are
    gathered again for the backward pass.

    The embedding, which is tied to the decoder, the prediction head and the last norm are one unit in fp32, as without FSDP:
    they stay gathered from the forward pass to the end of the backward pass.

    Args:
        composer_model: the model.
        device: of this rank.
        gathered: number format in which the weights of layers are gathered; that in which they are stored if left out.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    # gloo cannot average. In fp64 torch divides by itself, and the sum is as exact as that of one process.
    reduce_dtype = torch.float64 if device.type == "cpu" else torch.float32
    policy = partial(MixedPrecisionPolicy, reduce_dtype=reduce_dtype, cast_forward_inputs=False)
    encoder = composer_model.model.base_model
    encoder.layer_by_layer = True
    for layer in encoder.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy(param_dtype=gathered))
    fully_shard(composer_model, mesh=mesh, mp_policy=policy())


def meta_copy(model: Any) -> Any:
    """A copy of a model whose weights are on the meta device: shapes without memory."""
    return copy.deepcopy(model).to("meta")


@dataclass(frozen=True)
class FullState:
    """Gathers the full model and optimizer state from all ranks; every rank calls, rank 0 gets them."""

    model: Any
    optimizer: torch.optim.Optimizer
    meta_model: Any = None
    """A `meta_copy` of the model from before it was sharded; None if it is not sharded."""

    def gather_model(self) -> Any:
        """A model that can be saved: the model itself if it is not sharded, else a copy on the CPU; None on other ranks."""
        if self.meta_model is None:
            return self.model
        gathered_of: dict[int, Tensor] = {}  # by identity, since the decoder's weight is the embedding's
        gathered = {}
        for name, value in self.model.state_dict(keep_vars=True).items():
            if id(value) not in gathered_of:
                gathered_of[id(value)] = _gather(value.detach())
            gathered[name] = gathered_of[id(value)]
        if dist.get_global_rank() != 0:
            return None
        self.meta_model.load_state_dict(gathered, assign=True)
        self.meta_model.tie_weights()
        return self.meta_model

    def gather_optimizer(self) -> dict[str, Any]:
        """The optimizer's `state_dict` as if it were not sharded; on other ranks without the gathered tensors."""
        saved = self.optimizer.state_dict()
        return {
            **saved,
            "state": {
                number: {name: _gather(value) if isinstance(value, DTensor) else value for name, value in state.items()}
                for number, state in saved["state"].items()
            },
        }


def _gather(value: Tensor) -> Tensor:
    """The full tensor on the CPU of rank 0; other ranks free it at once and get an empty one."""
    full = value.full_tensor() if isinstance(value, DTensor) else value
    return full.cpu() if dist.get_global_rank() == 0 else torch.empty(0)


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The norm of the full gradient, on its device; with FSDP, squared norms of the ranks' shards are summed."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    local = [gradient.to_local() if isinstance(gradient, DTensor) else gradient for gradient in gradients]
    norm: Tensor = torch.nn.utils.get_total_norm(local)
    if any(isinstance(gradient, DTensor) for gradient in gradients):
        squares = norm.double() ** 2
        dist.all_reduce(squares, "SUM")
        norm = squares.sqrt()
    return norm
