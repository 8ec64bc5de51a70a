"""Measures within seconds how fast a model reads and trains on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from rexplug.evaluation.text_encoder import TextEncoder
from rexplug.evaluation.tuning import FineTune
from rexplug.evaluation.workload import Workload, weighted_tokens

_TEXT = "a steel kettle with a wooden handle and two red cotton towels for a small kitchen"
_READ = 512
"""Texts that are read."""
_FEW, _MANY = 8, 64
"""Texts of the two steps whose times are compared."""


@dataclass(frozen=True)
class Speed:
    """How many tokens a model reads and trains on in a second, weighted as in `Workload`."""

    read: float
    """Tokens without gradients."""
    trained: float = float("inf")
    """Tokens of a step of a fine-tune."""
    step_seconds: float = 0.0
    """Time of a step besides that of its tokens: mostly the optimizer's."""

    def seconds(self, work: Workload) -> float:
        """How long a workload takes."""
        return work.seconds + work.read / self.read + work.trained / self.trained + work.steps * self.step_seconds


def measure_speed(model: TextEncoder, *, training: bool) -> Speed:
    """Read some batches, and (`training`) take a few steps of a fine-tune that is thrown away."""
    rows = model.tokenize([_TEXT] * _READ)

    def pooled(indices: list[int]) -> Tensor:
        return model.pooled([rows[i] for i in indices])

    model.compute(rows[:_FEW], pooled)  # the first batch allocates
    started = time.perf_counter()
    model.compute(rows, pooled)
    read = weighted_tokens(rows, model) / (time.perf_counter() - started)
    if not training:
        return Speed(read)
    tuned = model.clone()
    parameters = [parameter for parameter in tuned.module.parameters() if parameter.requires_grad]

    def seconds(num: int) -> float:
        batch = rows[:num]

        def loss(indices: list[int]) -> Tensor:
            return tuned.means([batch[i] for i in indices]).square().mean()

        started = time.perf_counter()
        FineTune(tuned, parameters, loss, num, steps=1, batch=num, learning_rate=0.0, seed=0).run()
        if tuned.device.type == "cuda":
            torch.cuda.synchronize(tuned.device)
        return time.perf_counter() - started

    seconds(_FEW)  # the first step allocates
    few, many = seconds(_FEW), seconds(_MANY)
    tokens = weighted_tokens(rows[:1], model)
    rate = (_MANY - _FEW) * tokens / max(many - few, 1e-4)
    return Speed(read, rate, max(0.0, few - _FEW * tokens / rate))
