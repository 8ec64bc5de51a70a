"""StableAdamW and AdamW: of torch-optimi on a GPU, ours with the same steps on a CPU, for shards of FSDP, and deterministic."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from optimi import AdamW, StableAdamW
from optimi.utils import HAS_TRITON

from rexplug.engine.optimizers.base import Implementation, ParameterGroup, PerGroupOptimizer, Target
from rexplug.engine.optimizers.cpu import FusedAdamW, FusedStableAdamW
from rexplug.engine.optimizers.deterministic import DeterministicStableAdamW
from rexplug.engine.optimizers.fsdp import ShardedAdamW, ShardedStableAdamW
from rexplug.recipe.schema import Phase


@dataclass(frozen=True)
class _Classes:
    """The classes that take the steps of one optimizer."""

    on_gpu: type[torch.optim.Optimizer]
    on_cpu: type[torch.optim.Optimizer]
    sharded: type[torch.optim.Optimizer]
    deterministic: type[torch.optim.Optimizer]
    """On a GPU, where the same bits are asked for."""

    def suited_to(self, target: Target) -> type[torch.optim.Optimizer]:
        """The class for parameters on a target."""
        if target.sharded:
            return self.sharded
        if target.device.type == "cpu":
            return self.on_cpu
        return self.deterministic if target.deterministic else self.on_gpu

    def use_triton(self, target: Target) -> bool:
        """Whether torch-optimi's Triton kernel steps the parameters.

        Decided here and not left to torch-optimi: it would try Triton on a CPU too, and forget its choice when state is
        loaded.
        """
        ours = issubclass(self.suited_to(target), PerGroupOptimizer)
        return bool(HAS_TRITON) and target.device.type == "cuda" and not ours


def _build(classes: _Classes, groups: list[ParameterGroup], phase: Phase, target: Target) -> torch.optim.Optimizer:
    """An optimizer with fully decoupled weight decay: a step multiplies weights by 1 - weight_decay * learning rate / peak."""
    kind: Any = classes.suited_to(target)
    options, peak, triton = phase.optimizer, phase.learning_rate.peak, classes.use_triton(target)
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


def _adapt_state(classes: _Classes, state: dict[str, Any], target: Target) -> dict[str, Any]:
    """The Triton kernel has workspace in the state of a parameter, the other optimizers have none."""
    adapted = {name: value for name, value in state.items() if name != "mean_square"}
    adapted["kahan_comp"] = torch.zeros(1, dtype=torch.uint8) if classes.use_triton(target) else None
    return adapted


def _implementation(classes: _Classes) -> Implementation:
    return Implementation(partial(_build, classes), partial(_adapt_state, classes))


STABLE_ADAMW = _implementation(
    _Classes(StableAdamW, FusedStableAdamW, ShardedStableAdamW, deterministic=DeterministicStableAdamW)
)
# Every element is stepped alone: nothing depends on an order.
ADAMW = _implementation(_Classes(AdamW, FusedAdamW, ShardedAdamW, deterministic=AdamW))
