"""The metrics of a step, and the file metrics.jsonl that keeps them."""

from __future__ import annotations

import json
import math
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rexplug.model.flops import peak_of, training_flops
from rexplug.progress import Progress

_SMOOTHING = 0.95


@dataclass(frozen=True)
class Totals:
    """Sums over a global batch, per source: of losses, of tokens predicted right, of masked tokens."""

    losses: tuple[float, ...]
    hits: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Mean loss of the masked tokens; NaN without any."""
        return sum(self.losses) / sum(self.counts) if any(self.counts) else math.nan

    @property
    def accuracy(self) -> float:
        """Share of the masked tokens predicted right; NaN without any."""
        return sum(self.hits) / sum(self.counts) if any(self.counts) else math.nan

    @property
    def masked(self) -> int:
        """Number of masked tokens."""
        return int(sum(self.counts))

    def by_source(self, sources: Sequence[str]) -> dict[str, dict[str, float]]:
        """`source_loss` and `source_accuracy` of the sources that had masked tokens."""
        rows = list(zip(sources, self.losses, self.hits, self.counts, strict=True))
        return {
            "source_loss": {name: loss / count for name, loss, _, count in rows if count},
            "source_accuracy": {name: hits / count for name, _, hits, count in rows if count},
        }


@dataclass
class Smoothed:
    """Loss and accuracy smoothed over about the last twenty steps, from the first ones on."""

    values: dict[str, float] = field(default_factory=dict)

    def add(self, step: int, **values: float) -> None:
        """Update the averages with the values of step 1, 2, ..."""
        weight = min(_SMOOTHING, 1 - 1 / step)
        for name, value in values.items():
            self.values[name] = weight * self.values.get(name, value) + (1 - weight) * value


@dataclass
class Throughput:
    """Computes tokens per second, share of the device's peak (MFU), and memory."""

    config: Any
    device: torch.device
    precision: str
    world_size: int

    def __post_init__(self) -> None:
        on_gpu = self.device.type == "cuda" and self.precision == "bf16"
        self._peak = peak_of(torch.cuda.get_device_name(self.device)) if on_gpu else None

    def of_step(self, pairs: tuple[int, int], masked: int, tokens: int, seconds: float) -> dict[str, float]:
        """Metrics of a step over all ranks.

        Args:
            pairs: attended token pairs of a global and of a local layer.
            masked: masked tokens.
            tokens: tokens, padding not counted.
            seconds: how long the step took.
        """
        seconds = max(1e-9, seconds)
        flops = training_flops(
            self.config, num_tokens=tokens, global_pairs=pairs[0], local_pairs=pairs[1], num_masked=masked
        )  # fmt: skip
        metrics = {
            "tokens_per_second": tokens / seconds,
            "flops_per_second": flops / seconds,
            "memory_gib": self._memory(),
        }
        if self._peak is not None:
            metrics["mfu"] = flops / seconds / (self._peak * self.world_size)
        return metrics

    def _memory(self) -> float:
        if self.device.type == "cuda":
            return round(torch.cuda.max_memory_allocated(self.device) / 2**30, 3)
        unit = 1 if sys.platform == "darwin" else 1024
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30, 3)


@dataclass
class MetricsFile:
    """Appends lines to metrics.jsonl, and keeps them in memory while the disk is full."""

    path: Path
    progress: Progress
    unwritten: list[str] = field(default_factory=list)

    def add(self, line: Mapping[str, Any]) -> None:
        """Write a line, or keep it until the disk has space."""
        self.unwritten.append(json.dumps(_finite(line)) + "\n")
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(self.unwritten))
        except OSError as error:
            if len(self.unwritten) == 1:
                self.progress.note(
                    f"  warning: {self.path} cannot be written ({error.strerror}); its lines are kept in memory"
                )
            return
        self.unwritten.clear()


def _finite(value: Any) -> Any:
    """A value for JSON, which has neither NaN nor infinities: they become null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flatten(line: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a line under names like `shares/web`, as loggers take them."""
    numbers: dict[str, float] = {}
    for key, value in line.items():
        if isinstance(value, Mapping):
            numbers |= flatten(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[f"{prefix}{key}"] = float(value)
    return numbers
