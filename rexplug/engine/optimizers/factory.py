"""Builds the optimizer that a phase names, loads its saved state, and sets its learning rate."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from rexplug.engine.optimizers.base import Implementation, Target
from rexplug.optimizers import OPTIMIZERS
from rexplug.recipe.schema import Phase

_KEPT_OF_GROUPS = ("setup", "step")
"""Entries of a saved parameter group that are its history; all others are options, which the phase sets."""


def _implementation(name: str) -> Implementation:
    module, _, attribute = OPTIMIZERS[name].implementation.partition(":")
    implementation: Implementation = getattr(import_module(module), attribute)
    return implementation


def _target(parameter: torch.Tensor) -> Target:
    return Target(parameter.device, isinstance(parameter, DTensor), torch.are_deterministic_algorithms_enabled())


def build_optimizer(model: torch.nn.Module, phase: Phase) -> torch.optim.Optimizer:
    """The optimizer of a phase for the parameters of a model, which may be sharded; norms and biases are not decayed."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": phase.optimizer.weight_decay,
        },
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    build = _implementation(phase.optimizer.use).build
    return build([group for group in groups if group["params"]], phase, _target(parameters[0]))


def load_optimizer_state(optimizer: torch.optim.Optimizer, saved: dict[str, Any], name: str) -> None:
    """Load moments that the optimizer `name` saved in this or another phase, and keep this phase's own options.

    `saved` holds full tensors; where parameters are sharded, each rank takes its shards of them.
    """
    groups = [
        {**saved_group, **{key: value for key, value in group.items() if key not in ("params", *_KEPT_OF_GROUPS)}}
        for saved_group, group in zip(saved["param_groups"], optimizer.param_groups, strict=True)
    ]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    adapt = _implementation(name).adapt_state
    states = {
        number: _sharded_like(adapt(state, _target(parameters[number])), parameters[number])
        for number, state in saved["state"].items()
    }
    optimizer.load_state_dict({"state": states, "param_groups": groups})


def _sharded_like(state: dict[str, Any], parameter: torch.Tensor) -> dict[str, Any]:
    """The state of a parameter, with tensors of its shape sharded as it is."""
    if not isinstance(parameter, DTensor):
        return state
    return {
        name: distribute_tensor(
            value.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
        )
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape
        else value
        for name, value in state.items()
    }


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
