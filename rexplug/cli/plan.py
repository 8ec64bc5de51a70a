"""`rexplug plan`: what a recipe will do, and what it will take, before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from rexplug.cli import terminal
from rexplug.cli.mask_rates import masked_shares
from rexplug.cli.progress import amount
from rexplug.cli.sparkline import sparkline

if TYPE_CHECKING:
    from rexplug.api import Plan, PlannedPhase, SourceSize, SourceUse

_WIDTH = 48
"""Columns of a curve."""
_LONG = 86_400.0
"""Seconds of training on this machine above which GPUs are shown in any case."""
_COLOURS = ("blue", "yellow", "green", "magenta", "red", "cyan")


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run directory; runs/NAME by default.")
@click.option(
    "--gpu",
    "gpu_names",
    metavar="NAME",
    multiple=True,
    help="A GPU to estimate training for: h100, h200, a100, l4 or 4090; may be repeated.",
)
@click.option(
    "--gpus", "num_gpus", metavar="N", type=click.IntRange(min=1), help="Estimate for N of them; 1 by default."
)
@click.option("--price", metavar="AMOUNT", help="Price of a GPU per hour, e.g. 2.50, 2.50EUR or '$2.50'.")
def plan(
    recipe: Path, overrides: tuple[str, ...], run_dir: Path | None, gpu_names: tuple[str, ...], num_gpus: int | None,
    price: str | None,
) -> None:  # fmt: skip
    """Print what RECIPE (with OVERRIDES) will do and take: tokens, epochs, steps, operations, time, memory, disk, price.

    Only the recipe is read, what a run in the folder has counted already, and how long earlier runs on this machine took.
    Where nothing was measured, a documented default is used and marked as one. GPUs are shown if one of their options is
    given, or if training on this machine would take more than a day.
    """
    from rexplug import api
    from rexplug.cli.costs import Price, print_costs

    hourly = Price.parse(price) if price is not None else None
    resolved = api.load_recipe(recipe, overrides)
    root = run_dir or api.default_run_dir(resolved)
    forecast = api.plan(resolved, run_dir=root, gpus=gpu_names or None, num_gpus=num_gpus or 1)
    console = terminal.console()
    print_plan(forecast.plan, console, root)
    gpus_requested = bool(gpu_names) or num_gpus is not None or hourly is not None
    print_costs(forecast, console, hourly, gpus=gpus_requested or forecast.training_seconds > _LONG)


def print_plan(plan: Plan, console: Console, root: Path) -> None:
    """Print a plan: the model, the sources, and the phases with their curves."""
    console.print(Text(plan.name, "bold"))
    if plan.parameters is not None:
        console.print(
            f"  model {plan.model}: {plan.parameters:,} parameters, {plan.without_embedding:,} without the embedding of "
            f"{plan.rows:,} rows",
            soft_wrap=True,
        )
    else:
        console.print(f"  model {plan.model}: shape unknown; {plan.why_unknown}", soft_wrap=True)
    work = f", {operations(plan.flops)}" if plan.flops is not None else ""
    console.print(f"  {amount(plan.tokens)} tokens in {plan.steps:,} steps{work}")
    for name, size in plan.source_sizes.items():
        used = sum(phase.sources[name].tokens for phase in plan.phases if name in phase.sources)
        console.print(Text(f"  source {name}: {_size(size, root)}; all phases take {amount(used)}"), soft_wrap=True)
    for phase in plan.phases:
        console.print()
        _print_phase(phase, console)


def _size(size: SourceSize, root: Path) -> str:
    from rexplug import api

    if size.how == "unknown":
        return f"unknown {size.why}" if size.why.startswith("until") else f"unknown: {size.why}"
    documents, tokens = f"{size.num_documents or 0:,} documents", size.num_tokens or 0
    if size.how != "estimated":
        where = f"counted in {root}" if size.how == "counted" else "counted by an earlier run"
        return f"{documents}, {tokens:,} tokens, {where}"
    return f"{documents}, about {amount(tokens)} tokens ({api.BYTES_PER_TOKEN} bytes a token; exact once tokenized)"


def _print_phase(phase: PlannedPhase, console: Console) -> None:
    head = Text(phase.name, "bold")
    head.append(f"  {amount(phase.tokens)} tokens, about {phase.steps:,} steps, context {phase.context:,}", "default")
    console.print(head)
    width = max(len(name) for name in (*phase.sources, "batch"))
    for colour, (name, use) in zip(_COLOURS * 9, phase.sources.items(), strict=False):
        _line(console, name, width, sparkline(use.shares, _WIDTH, top=1.0), colour, _share(use))
    rates = phase.learning_rate
    _line(
        console, "rate", width, sparkline(rates, _WIDTH, top=max(rates)), "white",
        f"learning rate, peak {phase.peak_learning_rate:.3g}, at the end {phase.final_learning_rate:.3g}",
    )  # fmt: skip
    sizes = phase.batch_tokens
    first, last = amount(phase.initial_batch_tokens), amount(sizes[-1])
    ramp = f"{first} to {last}" if first != last else last
    _line(console, "batch", width, sparkline(sizes, _WIDTH, top=max(sizes)), "white", f"{ramp} tokens")
    masks = phase.mask_rate
    mask_rates = f"{masks[0]:.0%}" if masks[0] == masks[-1] else f"{masks[0]:.0%} to {masks[-1]:.0%}"
    _line(console, "masks", width, sparkline(masks, _WIDTH, top=0.5), "white", f"{mask_rates} by {phase.masking}")
    for name, use in phase.sources.items():
        if use.mask_rates:
            console.print(Text(f"  {'':<{width}} {name}: {masked_shares(use.mask_rates)}"), soft_wrap=True)
    if phase.flops is not None:
        per_token = phase.flops / phase.tokens
        console.print(
            f"  {operations(phase.flops)}: {per_token / 1e9:.3g} GFLOP a token, samples of "
            f"{phase.attended:,.0f} tokens {'on average over tokens' if phase.attended_known else '(assumed)'}",
            soft_wrap=True,
        )


def _line(console: Console, name: str, width: int, curve: str, colour: str, caption: str) -> None:
    console.print(
        Text(f"  {name:<{width}} ").append(curve, f"{colour} on grey15").append(f" {caption}"), soft_wrap=True
    )


def _share(use: SourceUse) -> str:
    first, last = use.shares[0], use.shares[-1]
    share = f"{first:.0%}" if round(first, 2) == round(last, 2) else f"{first:.0%} to {last:.0%}"
    if use.epoch is None or use.epochs is None:
        return f"{share}, {amount(use.tokens)} tokens, epochs unknown"
    return f"{share}, {amount(use.tokens)} tokens, {use.epochs:.2f} epochs of {amount(use.epoch)}"


def operations(flops: float) -> str:
    """Floating-point operations with a unit, e.g. `1.2 EFLOP`."""
    for size, suffix in ((1e24, "YFLOP"), (1e21, "ZFLOP"), (1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP")):
        if flops >= size:
            return f"{flops / size:.3g} {suffix}"
    return f"{flops / 1e9:.3g} GFLOP"
