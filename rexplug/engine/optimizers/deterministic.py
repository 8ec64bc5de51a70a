"""StableAdamW for whole parameters on a GPU with the same bits at every run.

torch-optimi's Triton kernel adds up the mean by which a step is limited atomically, in the order in which its blocks finish. Here
torch's operators add it up. Nothing is read back from the device. State has the names and values of torch-optimi.
"""

from __future__ import annotations

from typing import Any

import torch
from optimi import StableAdamW
from torch import Tensor

from rexplug.engine.optimizers.base import PerGroupOptimizer


class DeterministicStableAdamW(PerGroupOptimizer, StableAdamW):
    """StableAdamW without sums that depend on the order of a GPU's blocks."""

    clips = True

    def update(self, group: dict[str, Any], parameters: list[Any], beta1: float, beta2: float) -> None:
        """Step a group, many tensors at a time."""
        weights: list[Tensor] = [parameter.detach() for parameter in parameters]
        gradients: list[Tensor] = [parameter.grad for parameter in parameters]
        means = [self.state[parameter]["exp_avg"] for parameter in parameters]
        squares = [self.state[parameter]["exp_avg_sq"] for parameter in parameters]
        torch._foreach_lerp_(means, gradients, weight=1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        negative_rates = self._negative_rates(group, gradients, squares)
        if group["weight_decay"]:
            shrink = torch._foreach_mul(negative_rates, group["weight_decay"] / group["max_lr"])
            torch._foreach_add_(shrink, 1.0)
            torch._foreach_mul_(weights, shrink)
        divisors = torch._foreach_sqrt(squares)
        torch._foreach_add_(divisors, group["eps"])
        steps = torch._foreach_div(means, divisors)
        del divisors
        torch._foreach_mul_(steps, negative_rates)
        torch._foreach_add_(weights, steps)

    def _negative_rates(self, group: dict[str, Any], gradients: list[Tensor], squares: list[Tensor]) -> list[Tensor]:
        """Minus the learning rate of each tensor, `[]`: divided by the root of the mean of g^2 / v, where that is above 1."""
        ratios = torch._foreach_mul(gradients, gradients)
        torch._foreach_div_(ratios, torch._foreach_clamp_min(squares, group["eps"] ** 2))
        # All are positive, so that their sum is their 1-norm, which torch computes for many tensors in one kernel.
        rates = list(torch._foreach_norm(ratios, 1))
        torch._foreach_div_(rates, [float(ratio.numel()) for ratio in ratios])
        torch._foreach_sqrt_(rates)
        torch._foreach_clamp_min_(rates, 1.0)
        torch._foreach_reciprocal_(rates)
        torch._foreach_mul_(rates, -group["lr"])
        return rates
