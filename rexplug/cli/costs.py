"""Prints what a recipe takes: time and memory of its stages, disk, GPUs and their price."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rexplug.cli.progress import amount, duration
from rexplug.errors import RecipeError

if TYPE_CHECKING:
    from rexplug.api import Disk, Forecast, GpuForecast, Memory, StageForecast

_TOO_LONG = 100 * 86_400.0
"""Seconds of training on a machine without a GPU above which its stages are shown as one."""


@dataclass(frozen=True)
class Price:
    """The price of a GPU per hour, in any currency."""

    amount: float
    currency: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2.50`, `2.50EUR`, `EUR 2.50` or `$2.50`.

        Raises:
            RecipeError: the text is not written like that.
        """
        match = re.fullmatch(r"\s*([^\d\s.,-]{0,4})\s*(\d+(?:\.\d+)?)\s*([^\d\s.,-]{0,4})\s*", text)
        if match is None or (match[1] and match[3]) or not float(match[2]):
            raise RecipeError(
                f"--price: '{text}' is not a price; write an amount per hour, e.g. 2.50, 2.50EUR or '$2.50'"
            )
        return cls(float(match[2]), match[1] or match[3])

    def of(self, hours: float) -> str:
        """The price of a number of GPU-hours."""
        total = self.amount * hours
        text = f"{total:,.0f}" if total >= 100 else f"{total:.2f}"
        return f"{text} {self.currency}".strip()


def print_costs(forecast: Forecast, console: Console, price: Price | None, *, gpus: bool) -> None:
    """Print time and memory of every stage, disk, and training on GPUs if `gpus`."""
    console.print()
    console.print(Text.assemble(("what it takes", "bold"), f"  on this machine: {forecast.machine}"), soft_wrap=True)
    too_long = forecast.training_seconds > _TOO_LONG and not forecast.machine.gpu
    _print_stages(_together(forecast.stages) if too_long else forecast.stages, console)
    console.print(
        f"  in all about {duration(forecast.seconds)} ({_error(forecast.error_factor)}); the largest process takes "
        f"{forecast.memory_gib:.1f} GiB; {_disk(forecast.disk)}",
        soft_wrap=True,
    )
    for note in dict.fromkeys([*(stage.why for stage in forecast.stages if stage.why), *forecast.notes]):
        console.print(Text(f"  {note}" if ":" in note else f"  * {note}", "yellow"), soft_wrap=True)
    if gpus and forecast.gpus:
        _print_gpus(forecast.gpus, console, price)
    elif gpus:
        console.print("  GPUs: cannot be estimated, because the model's shape is not known")


def _together(stages: Sequence[StageForecast]) -> list[StageForecast]:
    """The stages before training, and everything from the first model on as one stage."""
    first = next(i for i, stage in enumerate(stages) if stage.name == "train.initial")
    rest = stages[first:]
    longest = max(rest, key=lambda stage: stage.seconds or 0.0)
    total = replace(
        longest, name="training and the rest", seconds=sum(stage.seconds or 0.0 for stage in rest),
        memory_gib=rest[-1].memory_gib, why="",
    )  # fmt: skip
    return [*stages[:first], total]


def _print_stages(stages: Sequence[StageForecast], console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    table.add_column("  stage", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("based on")
    for stage in stages:
        seconds = "?" if stage.seconds is None else duration(stage.seconds)
        runs = f" ({stage.num} runs)" if stage.num > 1 else ""
        star = " *" if stage.why else ""
        table.add_row(
            f"  {stage.name}", seconds + star, f"{stage.memory_gib:.1f} GiB",
            f"{stage.match.basis}{runs}, {_error(stage.match.error_factor)}",
        )  # fmt: skip
    console.print(table)


def _error(factor: float) -> str:
    return f"±{100 * (factor - 1):.0f} %" if factor < 1.5 else f"within {factor:.2g}x"


def _disk(disk: Disk) -> str:
    parts = {
        "corpus": disk.corpus, "tokens": disk.tokens, "checkpoints": disk.checkpoints, "model": disk.model,
        "metrics": disk.metrics,
    }  # fmt: skip
    named = [f"{name} {size(value)}" for name, value in parts.items() if value is not None]
    return f"disk {size(disk.total)}: {', '.join(named)}"


def size(value: float) -> str:
    """Bytes with a unit, e.g. `1.2 GB`."""
    for unit, suffix in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if value >= unit:
            return f"{value / unit:.3g} {suffix}"
    return f"{value / 1e3:.0f} kB"


def _print_gpus(gpus: Sequence[GpuForecast], console: Console, price: Price | None) -> None:
    num = gpus[0].num
    console.print()
    console.print(
        Text.assemble(("training alone", "bold"), f"  on {'one GPU' if num == 1 else f'{num} GPUs of a kind'}")
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("  GPU", no_wrap=True)
    for name in ("tokens/s each", "time", "GPU-hours", *(["price"] if price else []), "memory each"):
        table.add_column(name, justify="right", no_wrap=True)
    for estimate in gpus:
        gpu = estimate.gpu
        memory = "" if gpu.memory == math.inf else f" of {gpu.memory / 1e9:.0f}"
        table.add_row(
            f"  {gpu.title}{'' if gpu.seen else ' *'}", amount(estimate.tokens_per_second), _hours(estimate.seconds),
            _number(estimate.gpu_hours), *([price.of(estimate.gpu_hours)] if price else []),
            f"{estimate.largest.memory.total / 1e9:.1f}{memory} GB" + ("" if estimate.fits else " !"),
        )  # fmt: skip
    console.print(table)
    first = gpus[0]
    speeds = ", ".join(f"{phase.name} {amount(phase.tokens_per_second)}" for phase in first.phases)
    console.print(f"  {first.gpu.title}: {speeds} tokens/s each", soft_wrap=True)
    console.print(
        f"  speed: {first.share:.0%} of the dense bf16 peak, the share that others measured for encoders of this size on H100"
        if not first.measured
        else f"  speed: {first.share:.0%} of the dense bf16 peak, as measured by earlier runs on {first.gpu.title}",
        soft_wrap=True,
    )
    if not all(estimate.gpu.seen for estimate in gpus):
        console.print(
            "  * no published speed of these encoders: the H100's share of the peak is assumed", soft_wrap=True
        )
    console.print(f"  {first.largest.name} takes most memory: {_memory(first.largest.memory)}", soft_wrap=True)
    for estimate in gpus:
        if not estimate.fits:
            console.print(Text(f"  ! {_too_large(estimate)}", "yellow"), soft_wrap=True)
    if price:
        console.print(f"  price: {price.amount:g} {price.currency}".rstrip() + " per GPU-hour, as given")


def _hours(seconds: float) -> str:
    return f"{_number(seconds / 3600)} h" if seconds >= 3600 else duration(seconds)


def _number(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 1000 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2g}"


def _memory(memory: Memory) -> str:
    parts = {
        "weights": memory.weights, "gradients": memory.gradients, "moments": memory.moments, "copies": memory.copies,
        f"activations of {memory.tokens:,} tokens": memory.activations, "logits": memory.logits,
        "libraries and spare": memory.total - memory.weights - memory.gradients - memory.moments - memory.copies
        - memory.activations - memory.logits,
    }  # fmt: skip
    return ", ".join(f"{name} {size(value)}" for name, value in parts.items())


def _too_large(estimate: GpuForecast) -> str:
    gpu, phase = estimate.gpu, estimate.largest
    most = phase.memory.tokens_that_fit(gpu.memory)
    if not most:
        return f"{gpu.title}: model and optimizer alone do not fit"
    return f"{gpu.title}: '{phase.name}' does not fit; microbatch_tokens of at most {most // 1024 * 1024:,} do"
