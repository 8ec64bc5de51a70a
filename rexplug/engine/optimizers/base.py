"""What the optimizers of a CPU and those of weights in parts share: the order of a step, and the state that optimi keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from optimi.utils import debias_beta
from torch import Tensor


class OneByOne(torch.optim.Optimizer, ABC):
    """Steps group by group; how a group is stepped is said by `update`."""

    clips: bool

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step with the gradients that are there."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [each for each in group["params"] if each.grad is not None]
            if not group["setup"]:
                group["setup"], group["step"] = True, torch.tensor(0, dtype=torch.int32)
            for each in parameters:
                self._begin(each, group)
            group["step"] += 1
            step = int(group["step"])
            self.update(group, parameters, debias_beta(group["beta1"], step), debias_beta(group["beta2"], step))
        return loss

    @abstractmethod
    def update(self, group: dict[str, Any], parameters: list[Any], keep: float, keep_square: float) -> None:
        """Step a group; `keep` and `keep_square` are the betas with Adam's correction in them."""

    def _begin(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if state:
            return
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        if self.clips:
            state["eps_sq"] = torch.tensor(group["eps"] ** 2, dtype=parameter.dtype, device=parameter.device)
        state["kahan_comp"] = None
