"""Optimizers for weights of which every rank holds a part (FSDP).

They take the steps of the optimizers they are derived from and keep their state under the same names. All but one of
the operations go element by element, so a rank does them on its parts, many tensors at a time; the exception is the mean
over a tensor by which StableAdamW shortens a step, which is summed over the ranks for all tensors at once. (optimi's own
step would need one exchange per tensor, and its lists of tensors do not take parts.)
"""

from __future__ import annotations

from typing import Any

import torch
from composer.utils import dist
from optimi import AdamW, StableAdamW
from torch import Tensor

from rexplug.engine.optimizers.base import OneByOne


class _OfParts(OneByOne):
    """The step, shared by both."""

    def update(self, group: dict[str, Any], parameters: list[Any], keep: float, keep_square: float) -> None:
        """Step the parts of a group that this rank holds."""
        weights: list[Tensor] = [each.to_local() for each in parameters]
        gradients: list[Tensor] = [each.grad.to_local() for each in parameters]
        means = [self.state[each]["exp_avg"].to_local() for each in parameters]
        squares = [self.state[each]["exp_avg_sq"].to_local() for each in parameters]
        torch._foreach_lerp_(means, gradients, weight=1 - keep)
        torch._foreach_mul_(squares, keep_square)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - keep_square)
        rates = self._rates(group, [each.numel() for each in parameters], gradients, squares)
        if group["weight_decay"]:
            shrink = [1 - rate / group["max_lr"] * group["weight_decay"] for rate in rates]
            torch._foreach_mul_(weights, shrink)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_addcdiv_(weights, means, roots, scalars=[-rate for rate in rates])

    def _rates(
        self, group: dict[str, Any], sizes: list[int], gradients: list[Tensor], squares: list[Tensor]
    ) -> list[float]:
        """The learning rate of each tensor: divided by the root of the mean of g^2 / v, where that is above 1."""
        if not self.clips:
            return [group["lr"]] * len(sizes)
        ratios = torch._foreach_div(
            torch._foreach_mul(gradients, gradients), torch._foreach_clamp_min(squares, group["eps"] ** 2)
        )
        sums = torch.stack([each.sum(dtype=torch.float64) for each in ratios])
        dist.all_reduce(sums, "SUM")
        roots: list[float] = (sums / torch.tensor(sizes, dtype=torch.float64, device=sums.device)).sqrt().tolist()
        return [group["lr"] / max(1.0, root) for root in roots]


class StableAdamWOfParts(_OfParts, StableAdamW):
    """StableAdamW."""

    clips = True


class AdamWOfParts(_OfParts, AdamW):
    """AdamW."""

    clips = False
