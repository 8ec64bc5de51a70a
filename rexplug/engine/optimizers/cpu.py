"""StableAdamW and AdamW on a CPU: the steps of the optimizers they are derived from, in half their time or less.

optimi's lists of tensors go through the memory about fifteen times a step. torch has one kernel that goes through it once; all
it lacks is StableAdamW's rate per tensor, and that is worked out before, tensor by tensor, so that a tensor is still in the
cache when it is stepped. State has the names and values that optimi gives it.
"""

from __future__ import annotations

from typing import Any

import torch
from optimi import AdamW, StableAdamW
from torch import Tensor

from rexplug.engine.optimizers.base import OneByOne

_PIECE = 65_536
"""Elements at a time while the mean of g^2 / v is worked out; three buffers of so many fit into a core's cache."""
_FAR = 1e9
"""A step so late that torch's kernel corrects no bias: the betas it is given are corrected already."""


class _Fused(OneByOne):
    def update(self, group: dict[str, Any], parameters: list[Any], keep: float, keep_square: float) -> None:
        far = torch.tensor(_FAR)
        for each in parameters:
            mean, square = self.state[each]["exp_avg"], self.state[each]["exp_avg_sq"]
            rate = group["lr"]
            if self.clips:
                rate /= max(1.0, _root_mean(each.grad, square, keep_square, group["eps"] ** 2))
            torch._fused_adamw_(
                [each], [each.grad], [mean], [square], [], [far],
                lr=rate, beta1=keep, beta2=keep_square, weight_decay=group["weight_decay"] / group["max_lr"],
                eps=group["eps"], amsgrad=False, maximize=False,
            )  # fmt: skip


def _root_mean(gradient: Tensor, square: Tensor, keep: float, least: float) -> float:
    """The root of the mean of g^2 / v, with v as it will be after this step."""
    total = 0.0
    for g, v in zip(gradient.reshape(-1).split(_PIECE), square.view(-1).split(_PIECE), strict=True):
        squared = g * g
        after = (v * keep).add_(squared, alpha=1 - keep).clamp_min_(least)
        total += float(squared.div_(after).sum())
    return float((total / gradient.numel()) ** 0.5)


class FusedStableAdamW(_Fused, StableAdamW):
    """StableAdamW."""

    clips = True


class FusedAdamW(_Fused, AdamW):
    """AdamW."""

    clips = False
