"""The figures of a step: what metrics.jsonl keeps of it."""

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

from rexplug.io.atomic import write_text
from rexplug.model.flops import peak_of, training_flops
from rexplug.progress import Progress
from rexplug.run_directory import RunDirectory

_SMOOTHING = 0.95


@dataclass(frozen=True)
class Totals:
    """What the model counted over a global batch, per source: summed loss, tokens predicted right, masked tokens."""

    losses: tuple[float, ...]
    hits: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Mean loss of the masked tokens; no number if there was none."""
        return sum(self.losses) / sum(self.counts) if any(self.counts) else math.nan

    @property
    def accuracy(self) -> float:
        """Share of the masked tokens predicted right; no number if there was none."""
        return sum(self.hits) / sum(self.counts) if any(self.counts) else math.nan

    @property
    def masked(self) -> int:
        """Masked tokens."""
        return int(sum(self.counts))

    def by_source(self, sources: Sequence[str]) -> dict[str, dict[str, float]]:
        """`source_loss` and `source_accuracy`, of the sources that had masked tokens."""
        lines = list(zip(sources, self.losses, self.hits, self.counts, strict=True))
        return {
            "source_loss": {name: loss / count for name, loss, _, count in lines if count},
            "source_accuracy": {name: hits / count for name, _, hits, count in lines if count},
        }


@dataclass
class Smoothed:
    """Loss and accuracy smoothed over about the last twenty steps, from the first ones on."""

    values: dict[str, float] = field(default_factory=dict)

    def add(self, step: int, **values: float) -> None:
        """Take in the values of step 1, 2, ..."""
        keep = min(_SMOOTHING, 1 - 1 / step)
        for name, value in values.items():
            self.values[name] = keep * self.values.get(name, value) + (1 - keep) * value


@dataclass
class Speed:
    """Tokens per second, share of the device's peak (MFU), and memory."""

    config: Any
    device: torch.device
    precision: str
    world: int

    def __post_init__(self) -> None:
        on_gpu = self.device.type == "cuda" and self.precision == "bf16"
        self._peak = peak_of(torch.cuda.get_device_name(self.device)) if on_gpu else None

    def of_step(self, pairs: tuple[int, int], masked: int, tokens: int, seconds: float) -> dict[str, float]:
        """The figures of a step of `tokens` tokens, over all ranks; `pairs` are those of global and of local layers."""
        seconds = max(1e-9, seconds)
        flops = training_flops(
            self.config, num_tokens=tokens, global_pairs=pairs[0], local_pairs=pairs[1], num_masked=masked
        )  # fmt: skip
        found = {
            "tokens_per_second": tokens / seconds,
            "flops_per_second": flops / seconds,
            "memory_gib": self._memory(),
        }
        if self._peak is not None:
            found["mfu"] = flops / seconds / (self._peak * self.world)
        return found

    def _memory(self) -> float:
        if self.device.type == "cuda":
            return round(torch.cuda.max_memory_allocated(self.device) / 2**30, 3)
        unit = 1 if sys.platform == "darwin" else 1024
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30, 3)


@dataclass
class MetricsFile:
    """Appends lines to metrics.jsonl; while the disk is full they wait in memory."""

    path: Path
    progress: Progress
    waiting: list[str] = field(default_factory=list)

    def add(self, line: Mapping[str, Any]) -> None:
        """Write one line, or keep it for later."""
        self.waiting.append(json.dumps(_finite(line)) + "\n")
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(self.waiting))
        except OSError as error:
            if len(self.waiting) == 1:
                self.progress.note(
                    f"  warning: {self.path} cannot be written ({error.strerror}); its lines wait in memory"
                )
            return
        self.waiting.clear()

    def cut(self, phase: str, step: int) -> None:
        """Take out lines of `phase` after `step`: a killed run wrote them, and they are about to be made again."""
        cut_metrics(self.path, phase, step)


def cut_metrics(path: Path, phase: str, step: int) -> None:
    """Take the lines of a phase after `step` out of a metrics file; 0 takes all of them."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the line that a kill cut off
        if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
            continue  # nor is that a line of ours
        if entry.get("phase") != phase or entry["step"] <= step:
            kept.append(line + "\n")
    write_text(path, "".join(kept))


def forget_figures(run: RunDirectory, phase: str) -> None:
    """Take the figures of a phase that is done again out of a run."""
    cut_metrics(run.metrics, phase, 0)


def _finite(value: Any) -> Any:
    """JSON has no infinities."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flat(line: Mapping[str, Any], before: str = "") -> dict[str, float]:
    """The numbers of a line under names like `shares/web`, as loggers want them."""
    found: dict[str, float] = {}
    for key, value in line.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{before}{key}"] = float(value)
    return found
