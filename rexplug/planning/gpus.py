"""Estimates training on GPUs: peaks from the makers' data sheets, and the share of them that published runs reached."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from rexplug.errors import RecipeError
from rexplug.model.family import DEFAULT_FAMILY
from rexplug.model.flops import FP32_PEAKS, PEAKS
from rexplug.model.layout import EncoderShape
from rexplug.planning.memory import Memory, training_memory
from rexplug.planning.phases import Plan


@dataclass(frozen=True)
class Gpu:
    """A GPU: `peak` dense bf16 operations per second and `memory` bytes, both from its maker's data sheet.

    `sheet` names the row of the data sheet. `seen`: whether a speed of these encoders on it was published; if not, the
    H100's share of the peak is assumed.
    """

    name: str
    title: str
    peak: float
    memory: float
    sheet: str
    seen: bool

    @property
    def fp32_peak(self) -> float:
        """Operations per second in fp32 without TF32, in which models are evaluated by default; from the same data sheet."""
        return next(peak for name, peak in FP32_PEAKS.items() if name in self.title)


_GB = 1e9
GPUS: Mapping[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        Gpu("h100", "H100 SXM", PEAKS["H100"], 80 * _GB, "NVIDIA H100 data sheet: 989 TFLOP/s bf16 dense, 80 GB", True),
        Gpu("h200", "H200 SXM", PEAKS["H200"], 141 * _GB, "NVIDIA H200 data sheet: 989 TFLOP/s bf16 dense, 141 GB", False),
        Gpu("a100", "A100 80GB", PEAKS["A100"], 80 * _GB, "NVIDIA A100 data sheet: 312 TFLOP/s bf16 dense, 80 GB", False),
        Gpu("l4", "L4", PEAKS["L4"], 24 * _GB, "NVIDIA L4 data sheet: 121 TFLOP/s bf16 dense, 24 GB", False),
        Gpu("4090", "RTX 4090", PEAKS["RTX 4090"], 24 * _GB,
            "NVIDIA Ada whitepaper: 165 TFLOP/s bf16 dense with fp32 sums, 24 GB", True),
    )
}  # fmt: skip

_FP32_SHARE = 0.5
"""Share of the fp32 peak that an evaluation's products are assumed to reach; our choice, until one was measured."""
_MASKED = 0.3
_CONTEXT = 1024


@dataclass(frozen=True)
class GpuPhase:
    """A phase on GPUs: tokens per second and memory of one of them, seconds on all of them."""

    name: str
    tokens_per_second: float
    seconds: float
    memory: Memory


@dataclass(frozen=True)
class GpuForecast:
    """Training on `num` GPUs of a kind: its phases, the share of the peak, and whether earlier runs measured it."""

    gpu: Gpu
    num: int
    share: float
    measured: bool
    phases: tuple[GpuPhase, ...]

    @property
    def seconds(self) -> float:
        """Wall time of training."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second of one GPU, over all phases."""
        return sum(phase.seconds * phase.tokens_per_second for phase in self.phases) / self.seconds

    @property
    def gpu_hours(self) -> float:
        """Hours times GPUs, which is what is paid for."""
        return self.seconds * self.num / 3600

    @property
    def largest(self) -> GpuPhase:
        """The phase that takes the most memory."""
        return max(self.phases, key=lambda phase: phase.memory.total)

    @property
    def fits(self) -> bool:
        """Whether every phase fits into a GPU's memory."""
        return self.largest.memory.total <= self.gpu.memory


def find_gpu(name: str) -> Gpu:
    """The GPU with a name, in any spelling: `h100`, `H100`, `RTX 4090`.

    Raises:
        RecipeError: it is not in the table.
    """
    key = re.sub(r"[^a-z0-9]|nvidia|rtx|geforce|tesla", "", name.lower())
    if key in GPUS:
        return GPUS[key]
    close = difflib.get_close_matches(key, GPUS, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    raise RecipeError(f"--gpu: no GPU is called '{name}'{hint} (known: {', '.join(GPUS)})")


def gpu_of_device(device: str) -> Gpu | None:
    """The GPU with a driver's device name (`NVIDIA H100 80GB HBM3`); None if its peak is not known."""
    name = next((name for name in PEAKS if name in device), None)
    if name is None:
        return None
    listed = next((gpu for gpu in GPUS.values() if gpu.name.upper() in name.split() and gpu.peak == PEAKS[name]), None)
    return listed or Gpu(name, name, PEAKS[name], math.inf, "", False)


def evaluation_rate(gpu: Gpu, share: float, *, bf16: bool) -> float:
    """Operations per second of an evaluation: in bf16 training's `share` of the peak, in fp32 at most half of that peak."""
    return gpu.peak * share if bf16 else min(gpu.peak * share, gpu.fp32_peak * _FP32_SHARE)


def share_of_peak(without_embedding: float) -> float:
    """The share of an H100's dense bf16 peak that encoders of this size reach (MFU), interpolated between published ones.

    Linear in the logarithm of the parameters without the embedding, and constant beyond both ends.
    """
    published = [
        (math.log(speed.shape.without_embedding), _share(speed.shape, speed.tokens_per_second))
        for speed in DEFAULT_FAMILY.speeds
    ]
    at = math.log(without_embedding)
    if at <= published[0][0]:
        return published[0][1]
    for (before, low), (after, high) in pairwise(published):
        if at <= after:
            return low + (high - low) * (at - before) / (after - before)
    return published[-1][1]


def _share(shape: EncoderShape, tokens_per_second: float) -> float:
    """The share of an H100's peak at a published speed."""
    return (
        tokens_per_second
        * shape.flops_per_token(DEFAULT_FAMILY.speed_rows, attended=_CONTEXT, masked=_MASKED)
        / GPUS["h100"].peak
    )


def forecast_on_gpu(plan: Plan, gpu: Gpu, num: int, factor: float | None = None) -> GpuForecast | None:
    """Training of a plan on `num` GPUs; None if the model's shape is not known.

    Args:
        plan: the plan.
        gpu: the kind of GPU.
        num: how many; every one has a copy of the model, or a shard of it if the recipe shards or a copy is too large.
        factor: how many times longer earlier runs took on this GPU than the published share predicts; None if there were none.
    """
    if plan.shape is None or plan.rows is None:
        return None
    slower = factor or 1.0
    share = share_of_peak(plan.shape.without_embedding) / slower
    phases = []
    for phase in plan.phases:
        assert phase.flops is not None
        speed = gpu.peak * share / (phase.flops / phase.tokens)
        # Models smaller than the smallest published one are assumed to be no faster than it.
        speed = min(speed, DEFAULT_FAMILY.speeds[0].tokens_per_second * gpu.peak / GPUS["h100"].peak / slower)
        memory = training_memory(
            plan.shape, plan.rows, phase, gpu=True, processes=num, parallel=plan.parallel, room=gpu.memory
        )
        phases.append(GpuPhase(phase.name, speed, phase.tokens / speed / num, memory))
    return GpuForecast(gpu, num, share, factor is not None, tuple(phases))
