"""What an optimizer of a recipe provides, and the base class of the CPU and FSDP optimizers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from optimi.utils import debias_beta
from torch import Tensor

from rexplug.recipe.schema import Phase

ParameterGroup = dict[str, Any]
"""`params` and `weight_decay`, as `torch.optim.Optimizer` takes them."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where parameters are stored: their device, and whether FSDP shards them (`DTensor`); and how they are to be stepped."""

    device: torch.device
    sharded: bool
    deterministic: bool = False
    """Whether a step must give the same bits at every run."""


def _unchanged(state: dict[str, Any], target: Target) -> dict[str, Any]:
    return state


@dataclass(frozen=True, slots=True)
class Implementation:
    """An optimizer as the engine uses it; `rexplug.optimizers.OPTIMIZERS` names one per optimizer."""

    build: Callable[[list[ParameterGroup], Phase, Target], torch.optim.Optimizer]
    """Makes the optimizer of a phase for parameters on a target. Its state tensors of a parameter's shape must be those
    that the table names, and its parameter groups must keep `lr`, the learning rate."""
    adapt_state: Callable[[dict[str, Any], Target], dict[str, Any]] = _unchanged
    """Turns the saved state of one parameter, which may come from another kind of device, into what this target expects."""


class PerGroupOptimizer(torch.optim.Optimizer, ABC):
    """Base class of the CPU, FSDP and deterministic optimizers: the step loop and an optimizer state compatible with torch-optimi.

    Subclasses also inherit from the torch-optimi optimizer whose steps they take; it supplies the constructor.
    """

    clips: bool
    """Whether the learning rate of a tensor is divided by its root mean square update (StableAdamW)."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step with the gradients of the parameters; returns what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not group["setup"]:
                group["setup"], group["step"] = True, torch.tensor(0, dtype=torch.int32)
            for parameter in parameters:
                self._init_state(parameter, group)
            group["step"] += 1
            step = int(group["step"])
            self.update(group, parameters, debias_beta(group["beta1"], step), debias_beta(group["beta2"], step))
        return loss

    @abstractmethod
    def update(self, group: dict[str, Any], parameters: list[Any], beta1: float, beta2: float) -> None:
        """Step the parameters of a group; the betas include Adam's bias correction."""

    def _init_state(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if state:
            return
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        if self.clips:
            state["eps_sq"] = torch.tensor(group["eps"] ** 2, dtype=parameter.dtype, device=parameter.device)
        state["kahan_comp"] = None
