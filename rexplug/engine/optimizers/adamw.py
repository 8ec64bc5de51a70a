"""StableAdamW and AdamW: torch-optimi's on a GPU, ours with the same steps on a CPU and where FSDP shards parameters."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from optimi import AdamW, StableAdamW
from optimi.utils import HAS_TRITON

from rexplug.engine.optimizers.base import Implementation, ParameterGroup, Target
from rexplug.engine.optimizers.cpu import FusedAdamW, FusedStableAdamW
from rexplug.engine.optimizers.fsdp import ShardedAdamW, ShardedStableAdamW
from rexplug.recipe.schema import Phase


def _uses_triton(target: Target) -> bool:
    """Whether torch-optimi's Triton kernel steps the parameters.

    Decided here and not left to torch-optimi: it would try Triton on a CPU too, and forget its choice when state is loaded.
    """
    return bool(HAS_TRITON) and target.device.type == "cuda" and not target.sharded


def _build(
    on_gpu: type[torch.optim.Optimizer],
    on_cpu: type[torch.optim.Optimizer],
    sharded: type[torch.optim.Optimizer],
    groups: list[ParameterGroup],
    phase: Phase,
    target: Target,
) -> torch.optim.Optimizer:
    """An optimizer with fully decoupled weight decay: a step multiplies weights by 1 - weight_decay * learning rate / peak."""
    kind: Any = sharded if target.sharded else on_cpu if target.device.type == "cpu" else on_gpu
    options, peak, triton = phase.optimizer, phase.learning_rate.peak, _uses_triton(target)
    with warnings.catch_warnings():
        # torch-optimi warns of every fully decoupled decay above its own default; the recipe states what it wants.
        warnings.filterwarnings("ignore", "You are using weight_decay", UserWarning)
        # Its advice is Triton; a loop over tensors, which does not warn, takes half as long again on a CPU.
        warnings.filterwarnings("ignore", "Parameter `foreach` is deprecated", DeprecationWarning)
        optimizer: torch.optim.Optimizer = kind(
            groups, lr=peak, betas=options.betas, eps=options.eps, weight_decay=options.weight_decay,
            decouple_lr=True, max_lr=peak, triton=triton, foreach=not triton,
        )  # fmt: skip
    return optimizer


def _adapt_state(state: dict[str, Any], target: Target) -> dict[str, Any]:
    """The Triton kernel has workspace in the state of a parameter, the other optimizers have none."""
    adapted = {name: value for name, value in state.items() if name != "mean_square"}
    adapted["kahan_comp"] = torch.zeros(1, dtype=torch.uint8) if _uses_triton(target) else None
    return adapted


STABLE_ADAMW = Implementation(partial(_build, StableAdamW, FusedStableAdamW, ShardedStableAdamW), _adapt_state)
ADAMW = Implementation(partial(_build, AdamW, FusedAdamW, ShardedAdamW), _adapt_state)
