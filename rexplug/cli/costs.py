"""What a recipe takes, as `rexplug plan` prints it: stages, memory, disk, GPUs and their price."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rexplug.cli.progress import amount, duration
from rexplug.errors import RecipeError
from rexplug.planning import Disk, Expected, Forecast, Memory, OnGpu

_HOPELESS = 100 * 86_400.0
"""Seconds of training on a machine without a GPU beyond which its stages are not told apart."""


@dataclass(frozen=True)
class Price:
    """What a GPU costs an hour, in any currency."""

    amount: float
    currency: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2.50`, `2.50EUR`, `EUR 2.50` or `$2.50`.

        Raises:
            RecipeError: it is none of these.
        """
        match = re.fullmatch(r"\s*([^\d\s.,-]{0,4})\s*(\d+(?:\.\d+)?)\s*([^\d\s.,-]{0,4})\s*", text)
        if match is None or (match[1] and match[3]) or not float(match[2]):
            raise RecipeError(f"--price: '{text}' is no price; write an amount an hour, e.g. 2.50, 2.50EUR or '$2.50'")
        return cls(float(match[2]), match[1] or match[3])

    def of(self, hours: float) -> str:
        """The price of so many GPU-hours."""
        found = self.amount * hours
        figure = f"{found:,.0f}" if found >= 100 else f"{found:.2f}"
        return f"{figure} {self.currency}".strip()


def print_costs(made: Forecast, console: Console, price: Price | None, *, gpus: bool) -> None:
    """Print time and memory of every stage, disk, and training on GPUs if `gpus`."""
    console.print()
    console.print(Text.assemble(("what it takes", "bold"), f"  on this machine: {made.machine}"), soft_wrap=True)
    hopeless = made.training_seconds > _HOPELESS and not made.machine.gpu
    _print_stages(_together(made.stages) if hopeless else made.stages, console)
    off = f" ({_off(made.off)})"
    console.print(
        f"  in all about {duration(made.seconds)}{off}; the largest process takes {made.memory_gib:.1f} GiB; "
        f"{_disk(made.disk)}",
        soft_wrap=True,
    )
    for note in dict.fromkeys([*(each.why for each in made.stages if each.why), *made.notes]):
        console.print(Text(f"  {note}" if ":" in note else f"  * {note}", "yellow"), soft_wrap=True)
    if gpus and made.gpus:
        _print_gpus(made.gpus, console, price)
    elif gpus:
        console.print("  GPUs: nothing can be said, because the model's shape is not known")


def _together(stages: Sequence[Expected]) -> list[Expected]:
    """The stages before training, and everything from the first model on as one."""
    first = next(i for i, each in enumerate(stages) if each.name == "train.initial")
    rest = stages[first:]
    longest = max(rest, key=lambda each: each.seconds or 0.0)
    whole = Expected(
        "training and the rest", sum(each.seconds or 0.0 for each in rest), rest[-1].memory_gib, longest.closeness,
        longest.num,
    )  # fmt: skip
    return [*stages[:first], whole]


def _print_stages(stages: Sequence[Expected], console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    table.add_column("  stage", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("what that rests on")
    for each in stages:
        seconds = "?" if each.seconds is None else duration(each.seconds)
        runs = f" ({each.num} runs)" if each.num > 1 else ""
        star = " *" if each.why else ""
        table.add_row(
            f"  {each.name}", seconds + star, f"{each.memory_gib:.1f} GiB",
            f"{each.closeness.words}{runs}, {_off(each.closeness.off)}",
        )  # fmt: skip
    console.print(table)


def _off(factor: float) -> str:
    return f"±{100 * (factor - 1):.0f} %" if factor < 1.5 else f"within {factor:.2g}x"


def _disk(disk: Disk) -> str:
    parts = [("corpus", disk.corpus), ("tokens", disk.tokens), ("checkpoints", disk.checkpoints), ("model", disk.model)]
    named = [f"{name} {size(each)}" for name, each in [*parts, ("figures", disk.figures)] if each is not None]
    return f"disk {size(disk.total)}: {', '.join(named)}"


def size(value: float) -> str:
    """Bytes in a unit that people read."""
    for unit, suffix in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if value >= unit:
            return f"{value / unit:.3g} {suffix}"
    return f"{value / 1e3:.0f} kB"


def _print_gpus(found: Sequence[OnGpu], console: Console, price: Price | None) -> None:
    num = found[0].num
    console.print()
    console.print(
        Text.assemble(("training alone", "bold"), f"  on {'one GPU' if num == 1 else f'{num} GPUs of a kind'}")
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("  GPU", no_wrap=True)
    for name in ("tokens/s each", "time", "GPU-hours", *(["price"] if price else []), "memory each"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found:
        room = "" if each.gpu.memory == math.inf else f" of {each.gpu.memory / 1e9:.0f}"
        table.add_row(
            f"  {each.gpu.title}{'' if each.gpu.seen else ' *'}", amount(each.tokens_per_second), _hours(each.seconds),
            _figure(each.gpu_hours), *([price.of(each.gpu_hours)] if price else []),
            f"{each.largest.memory.total / 1e9:.1f}{room} GB" + ("" if each.fits else " !"),
        )  # fmt: skip
    console.print(table)
    first = found[0]
    speeds = ", ".join(f"{phase.name} {amount(phase.tokens_per_second)}" for phase in first.phases)
    console.print(f"  {first.gpu.title}: {speeds} tokens/s each", soft_wrap=True)
    console.print(
        f"  speed: {first.share:.0%} of the dense bf16 peak, the share that others measured for encoders of this size on H100"
        if not first.measured
        else f"  speed: {first.share:.0%} of the dense bf16 peak, as earlier runs on {first.gpu.title} took",
        soft_wrap=True,
    )
    if not all(each.gpu.seen for each in found):
        console.print(
            "  * no published speed of these encoders: the H100's share of the peak is assumed", soft_wrap=True
        )
    console.print(f"  {first.largest.name} takes most memory: {_memory(first.largest.memory)}", soft_wrap=True)
    for each in found:
        if not each.fits:
            console.print(Text(f"  ! {_too_large(each)}", "yellow"), soft_wrap=True)
    if price:
        console.print(f"  price: {price.amount:g} {price.currency}".rstrip() + " for an hour of a GPU, as given")


def _hours(seconds: float) -> str:
    return f"{_figure(seconds / 3600)} h" if seconds >= 3600 else duration(seconds)


def _figure(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 1000 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2g}"


def _memory(memory: Memory) -> str:
    parts = {
        "weights": memory.weights, "gradients": memory.gradients, "moments": memory.moments, "copies": memory.copies,
        f"activations of {memory.tokens:,} tokens": memory.activations, "logits": memory.logits,
        "libraries and spare": memory.total - memory.weights - memory.gradients - memory.moments - memory.copies
        - memory.activations - memory.logits,
    }  # fmt: skip
    return ", ".join(f"{name} {size(value)}" for name, value in parts.items())


def _too_large(each: OnGpu) -> str:
    most = each.largest.memory.tokens_that_fit(each.gpu.memory)
    if not most:
        return f"{each.gpu.title}: model and optimizer alone do not fit"
    return (
        f"{each.gpu.title}: '{each.largest.name}' does not fit; microbatch_tokens of at most {most // 1024 * 1024:,} do"
    )
