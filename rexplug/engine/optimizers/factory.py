"""Optimizers with fully decoupled weight decay that stays right when the peak learning rate changes."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from rexplug.recipe.schema import Phase

_CARRIED = ("setup", "step")
"""What a parameter group knows of its own history; everything else is set by the phase."""


def make_optimizer(model: torch.nn.Module, phase: Phase) -> torch.optim.Optimizer:
    """The phase's optimizer (torch-optimi): a step multiplies weights by 1 - weight_decay * rate / peak.

    Norms and biases (one dimension) are spared from decay. GPUs that hold whole weights take the Triton kernel, CPUs
    that do torch's fused one, parts of weights are stepped as lists of tensors. Which is said here and not left to optimi:
    it would try Triton on a CPU too, and forget its choice when moments are loaded.
    """
    from optimi import AdamW, StableAdamW
    from optimi.utils import HAS_TRITON

    options = phase.optimizer
    kind = StableAdamW if options.use == "stable_adamw" else AdamW
    parameters = [each for each in model.parameters() if each.requires_grad]
    in_parts = isinstance(parameters[0], DTensor)
    if in_parts:
        from rexplug.engine.optimizers.fsdp import AdamWOfParts, StableAdamWOfParts

        kind = StableAdamWOfParts if options.use == "stable_adamw" else AdamWOfParts
    elif parameters[0].device.type == "cpu":
        from rexplug.engine.optimizers.cpu import FusedAdamW, FusedStableAdamW

        kind = FusedStableAdamW if options.use == "stable_adamw" else FusedAdamW
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]
    peak = phase.learning_rate.peak
    kernel = HAS_TRITON and parameters[0].is_cuda and not in_parts
    with warnings.catch_warnings():
        # optimi warns of every fully decoupled decay above its own default; the recipe states what it wants.
        warnings.filterwarnings("ignore", "You are using weight_decay", UserWarning)
        # Its advice is Triton; a loop over tensors, which says nothing, takes half as long again on a CPU.
        warnings.filterwarnings("ignore", "Parameter `foreach` is deprecated", DeprecationWarning)
        optimizer: torch.optim.Optimizer = kind(
            [group for group in groups if group["params"]],
            lr=peak, betas=options.betas, eps=options.eps, weight_decay=options.weight_decay,
            decouple_lr=True, max_lr=peak, triton=kernel, foreach=not kernel,
        )  # fmt: skip
    return optimizer


def take_over(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load moments from another phase's or an earlier optimizer, and keep this phase's own rates and options.

    `state` holds whole tensors; where the parameters are cut into parts, each rank takes its part of them.
    """
    groups = [
        {**theirs, **{key: value for key, value in own.items() if key not in ("params", *_CARRIED)}}
        for theirs, own in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    kernel = bool(groups[0]["triton"])
    fitted = {number: _fitted(each, parameters[number], kernel) for number, each in state["state"].items()}
    optimizer.load_state_dict({"state": fitted, "param_groups": groups})


def _fitted(state: dict[str, Any], parameter: torch.Tensor, kernel: bool) -> dict[str, Any]:
    """A parameter's state as this optimizer keeps it: the kernel has room to work in, lists of tensors have none."""
    found = {name: value for name, value in state.items() if name != "mean_square"}
    found["kahan_comp"] = torch.zeros(1, dtype=torch.uint8) if kernel else None
    if isinstance(parameter, DTensor):
        for name in ("exp_avg", "exp_avg_sq"):
            found[name] = distribute_tensor(
                found[name].to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
            )
    return found


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
