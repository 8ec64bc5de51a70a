"""Lion (arXiv 2302.06675) as an example of a new optimizer, which needs one file."""

import torch

from rexplug.engine.optimizers.base import Implementation


class Lion(torch.optim.Optimizer):
    """Steps by the sign of an average of gradients; keeps one moment."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["exp_avg"] = torch.zeros_like(parameter)
                parameter.mul_(1 - group["lr"] / group["peak"] * group["weight_decay"])
                direction = (state["exp_avg"] * beta1 + parameter.grad * (1 - beta1)).sign()
                parameter.sub_(direction * group["lr"])
                state["exp_avg"].mul_(beta2).add_(parameter.grad, alpha=1 - beta2)
        return loss


def _build(groups, phase, target):
    peak = phase.learning_rate.peak
    return Lion(groups, {"lr": peak, "peak": peak, "betas": phase.optimizer.betas})


LION = Implementation(_build)
