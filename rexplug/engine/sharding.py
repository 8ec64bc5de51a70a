"""How ranks share the work: each holds the whole model (DDP), or each a part of every weight (FSDP).

With FSDP a weight, its gradient and its two moments are cut along their first dimension into as many parts as there are
ranks; a layer is put together while it computes and taken apart again. Checkpoints know nothing of it: they hold whole
weights and whole moments, so a run goes on with another number of ranks, and the other way.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from composer.utils import dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.model.memory_limits import GRADIENT_BYTES, MOMENT_BYTES, WEIGHT_BYTES

BYTES_PER_PARAMETER = WEIGHT_BYTES + GRADIENT_BYTES + MOMENT_BYTES
"""A weight, its gradient and two moments in fp32."""
SHARE_OF_MEMORY = 0.25
"""Above this share of a rank's memory they are cut into parts; the rest is for what a batch needs. Our choice."""


def choose_parallel(requested: str, parameters: int, device: torch.device, world: int) -> tuple[str, str]:
    """How `world` ranks hold a model of so many parameters, and why: `none`, `ddp` or `fsdp`."""
    if world == 1:
        return "none", "one process"
    if requested != "auto":
        return requested, "the recipe asks for it"
    needed, memory = parameters * BYTES_PER_PARAMETER / 2**30, memory_of(device) / 2**30
    kind, than = ("fsdp", "more than") if needed > SHARE_OF_MEMORY * memory else ("ddp", "at most")
    return kind, (
        f"weights, gradients and moments take {needed:.1f} GiB, {than} {SHARE_OF_MEMORY:.0%} of the {memory:.1f} GiB "
        "that a process has"
    )


def memory_of(device: torch.device) -> float:
    """Bytes that a rank has: its GPU's, or its part of the machine's."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return machine / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def shard(wrapped: PackedMaskedLM, device: torch.device) -> None:
    """Cut the weights of a model that every rank holds into one part per rank, layer by layer.

    The embedding, tied to the decoder, the prediction head and the last norm stay together from the forward pass to the
    end of the backward pass.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    # gloo cannot average. In fp64 torch divides by itself, and the sum is as exact as that of one process.
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float64) if device.type == "cpu" else MixedPrecisionPolicy()
    encoder = wrapped.model.base_model
    encoder.layer_by_layer = True
    for layer in encoder.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(wrapped, mesh=mesh, mp_policy=policy)


@dataclass(frozen=True)
class Whole:
    """The whole model and the whole state of its optimizer, wherever the ranks keep them.

    `shell` is the model as it was before it was cut, without weights; None if it was not. What is cut is gathered: every
    rank calls, rank 0 gets it, on the CPU.
    """

    model: Any
    optimizer: torch.optim.Optimizer
    shell: Any = None

    @classmethod
    def shell_of(cls, model: Any) -> Any:
        """A copy of a model without its weights."""
        return copy.deepcopy(model).to("meta")

    def weights(self) -> Any:
        """A model that can be saved."""
        if self.shell is None:
            return self.model
        known: dict[int, Tensor] = {}  # the decoder's weight is the embedding's
        gathered = {}
        for name, value in self.model.state_dict(keep_vars=True).items():
            if id(value) not in known:
                known[id(value)] = _gathered(value.detach())
            gathered[name] = known[id(value)]
        if dist.get_global_rank() != 0:
            return None
        self.shell.load_state_dict(gathered, assign=True)
        self.shell.tie_weights()
        return self.shell

    def moments(self) -> dict[str, Any]:
        """The optimizer's `state_dict`, as one that holds the whole model would give it."""
        state = self.optimizer.state_dict()
        return {
            **state,
            "state": {
                number: {
                    name: _gathered(value) if isinstance(value, DTensor) else value for name, value in each.items()
                }
                for number, each in state["state"].items()
            },
        }


def _gathered(value: Tensor) -> Tensor:
    """The whole tensor on the CPU; other ranks than the first let go of it at once."""
    whole = value.full_tensor() if isinstance(value, DTensor) else value
    return whole.cpu() if dist.get_global_rank() == 0 else torch.empty(0)


def gradient_norm(parameters: Iterable[Tensor]) -> float:
    """The norm of the whole gradient: with FSDP a rank holds a part of each, and norms of parts add up as squares."""
    gradients = [each.grad for each in parameters if each.grad is not None]
    local = [each.to_local() if isinstance(each, DTensor) else each for each in gradients]
    norm = torch.nn.utils.get_total_norm(local)
    if any(isinstance(each, DTensor) for each in gradients):
        squares = norm.double() ** 2
        dist.all_reduce(squares, "SUM")
        norm = squares.sqrt()
    return float(norm)
