"""StableAdamW and AdamW for FSDP-sharded (DTensor) parameters.

They take the steps of torch-optimi and keep its state names. All operations but one are element-wise, so a rank computes them on
its shards, many tensors at a time; the exception is the mean over a tensor by which StableAdamW shortens a step, which is summed
over the ranks for all tensors at once. (torch-optimi's own step would need one all-reduce per tensor, and its foreach step does
not take DTensors.)
"""

from __future__ import annotations

from typing import Any

import torch
from composer.utils import dist
from optimi import AdamW, StableAdamW
from torch import Tensor

from rexplug.engine.optimizers.base import PerGroupOptimizer


class _ShardedOptimizer(PerGroupOptimizer):
    def update(self, group: dict[str, Any], parameters: list[Any], beta1: float, beta2: float) -> None:
        """Step this rank's shards of a group."""
        weights: list[Tensor] = [parameter.to_local() for parameter in parameters]
        gradients: list[Tensor] = [parameter.grad.to_local() for parameter in parameters]
        means = [self.state[parameter]["exp_avg"].to_local() for parameter in parameters]
        squares = [self.state[parameter]["exp_avg_sq"].to_local() for parameter in parameters]
        torch._foreach_lerp_(means, gradients, weight=1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        learning_rates = self._learning_rates(
            group, [parameter.numel() for parameter in parameters], gradients, squares
        )
        if group["weight_decay"]:
            shrink = [1 - learning_rate / group["max_lr"] * group["weight_decay"] for learning_rate in learning_rates]
            torch._foreach_mul_(weights, shrink)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_addcdiv_(weights, means, roots, scalars=[-learning_rate for learning_rate in learning_rates])

    def _learning_rates(
        self, group: dict[str, Any], sizes: list[int], gradients: list[Tensor], squares: list[Tensor]
    ) -> list[float]:
        """The learning rate of each tensor: divided by the root of the mean of g^2 / v, where that is above 1."""
        if not self.clips:
            return [group["lr"]] * len(sizes)
        ratios = torch._foreach_div(
            torch._foreach_mul(gradients, gradients), torch._foreach_clamp_min(squares, group["eps"] ** 2)
        )
        sums = torch.stack([ratio.sum(dtype=torch.float64) for ratio in ratios])
        dist.all_reduce(sums, "SUM")
        roots: list[float] = (sums / torch.tensor(sizes, dtype=torch.float64, device=sums.device)).sqrt().tolist()
        return [group["lr"] / max(1.0, root) for root in roots]


class ShardedStableAdamW(_ShardedOptimizer, StableAdamW):
    """StableAdamW for parameters that FSDP shards."""

    clips = True


class ShardedAdamW(_ShardedOptimizer, AdamW):
    """AdamW for parameters that FSDP shards."""

    clips = False
