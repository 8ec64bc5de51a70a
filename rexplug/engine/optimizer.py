"""Optimizers with fully decoupled weight decay that stays right when the peak learning rate changes."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from rexplug.recipe.schema import Phase

_CARRIED = ("setup", "step")
"""What a parameter group knows of its own history; everything else is set by the phase."""


def make_optimizer(model: torch.nn.Module, phase: Phase) -> torch.optim.Optimizer:
    """The phase's optimizer (torch-optimi): a step multiplies weights by 1 - weight_decay * rate / peak.

    Norms and biases (one dimension) are spared from decay. The Triton kernel is left to GPUs: optimi picks it whenever
    Triton can be imported, which fails on a CPU; there its lists of tensors at a time are the fastest.
    """
    from optimi import AdamW, StableAdamW

    options = phase.optimizer
    kind = StableAdamW if options.use == "stable_adamw" else AdamW
    parameters = [each for each in model.parameters() if each.requires_grad]
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]
    peak = phase.learning_rate.peak
    on_gpu = parameters[0].is_cuda
    with warnings.catch_warnings():
        # optimi warns of every fully decoupled decay above its own default; the recipe states what it wants.
        warnings.filterwarnings("ignore", "You are using weight_decay", UserWarning)
        # Its advice is Triton, which a CPU does not have; a loop over tensors takes half as long again there.
        warnings.filterwarnings("ignore", "Parameter `foreach` is deprecated", DeprecationWarning)
        optimizer: torch.optim.Optimizer = kind(
            [group for group in groups if group["params"]],
            lr=peak, betas=options.betas, eps=options.eps, weight_decay=options.weight_decay,
            decouple_lr=True, max_lr=peak, triton=None if on_gpu else False, foreach=None if on_gpu else True,
        )  # fmt: skip
    return optimizer


def take_over(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load moments from another phase's or an earlier optimizer, and keep this phase's own rates and options."""
    own = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, options in zip(optimizer.param_groups, own, strict=True):
        group.update({key: value for key, value in options.items() if key not in _CARRIED})


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
