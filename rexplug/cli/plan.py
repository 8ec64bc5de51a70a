"""`rexplug plan`: what a recipe will do and take, before it runs."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from rexplug.cli import terminal
from rexplug.cli.progress import amount
from rexplug.cli.sparkline import sparkline
from rexplug.planning import GPUS, Plan, PlannedPhase, SourceSize, SourceUse, find_gpu, make_forecast
from rexplug.planning.sources import BYTES_PER_TOKEN

_WIDTH = 48
"""Columns of a curve."""
LONG = 86_400.0
"""Seconds of training on this machine beyond which GPUs are shown without being asked for."""
_COLOURS = ("blue", "yellow", "green", "magenta", "red", "cyan")


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run's folder; runs/NAME if left out.")
@click.option(
    "--gpu",
    "gpu_names",
    metavar="NAME",
    multiple=True,
    help="Work training out on h100, h200, a100, l4 or 4090; may be repeated.",
)
@click.option("--gpus", "num_gpus", metavar="N", type=click.IntRange(min=1), help="On so many of them; 1 if left out.")
@click.option("--price", metavar="AMOUNT", help="What a GPU costs an hour, e.g. 2.50, 2.50EUR or '$2.50'.")
def plan(
    recipe: Path, overrides: tuple[str, ...], run_dir: Path | None, gpu_names: tuple[str, ...], num_gpus: int | None,
    price: str | None,
) -> None:  # fmt: skip
    """Print what RECIPE (with OVERRIDES) will do and take: tokens, epochs, steps, operations, time, memory, disk, price.

    Nothing is read but the recipe, what a run in the folder has counted already, and what earlier runs on this machine
    took. Where nothing was measured a documented default stands, and the line says so. GPUs are shown if one of their
    options is given, or if training here would take more than a day.
    """
    from rexplug.cli.costs import Price, print_costs
    from rexplug.recipe import load_recipe
    from rexplug.run_directory import RunDirectory

    hourly = Price.parse(price) if price is not None else None
    asked = [find_gpu(name) for name in gpu_names]
    resolved = load_recipe(recipe, overrides)
    root = run_dir or Path("runs") / resolved.name
    num = num_gpus or 1
    made = make_forecast(resolved, RunDirectory(root), gpus=asked or list(GPUS.values()), num_gpus=num, processes=num)
    console = terminal.console()
    print_plan(made.plan, console, root)
    shown = bool(asked) or num_gpus is not None or hourly is not None or made.training_seconds > LONG
    print_costs(made, console, hourly, gpus=shown)


def print_plan(made: Plan, console: Console, root: Path) -> None:
    """Print a plan: the model, the sources, and each phase with its curves."""
    console.print(Text(made.name, "bold"))
    if made.parameters is not None:
        console.print(
            f"  model {made.model}: {made.parameters:,} parameters, {made.without_embedding:,} without the embedding of "
            f"{made.rows:,} rows",
            soft_wrap=True,
        )
    else:
        console.print(f"  model {made.model}: shape unknown; {made.why_unknown}", soft_wrap=True)
    work = f", {operations(made.flops)}" if made.flops is not None else ""
    console.print(f"  {amount(made.tokens)} tokens in {made.steps:,} steps{work}")
    for name, known in made.source_sizes.items():
        used = sum(phase.sources[name].tokens for phase in made.phases if name in phase.sources)
        console.print(Text(f"  source {name}: {_known(known, root)}; all phases take {amount(used)}"), soft_wrap=True)
    for phase in made.phases:
        console.print()
        _print_phase(phase, console)


def _known(known: SourceSize, root: Path) -> str:
    if known.how == "unknown":
        return f"unknown {known.why}" if known.why.startswith("until") else f"unknown: {known.why}"
    documents, tokens = f"{known.num_documents or 0:,} documents", known.num_tokens or 0
    if known.how != "estimated":
        where = f"counted in {root}" if known.how == "counted" else "counted by an earlier run"
        return f"{documents}, {tokens:,} tokens, {where}"
    return f"{documents}, about {amount(tokens)} tokens ({BYTES_PER_TOKEN} bytes a token; exact once tokenized)"


def _print_phase(phase: PlannedPhase, console: Console) -> None:
    head = Text(phase.name, "bold")
    head.append(f"  {amount(phase.tokens)} tokens, about {phase.steps:,} steps, context {phase.context:,}", "default")
    console.print(head)
    wide = max(len(name) for name in (*phase.sources, "batch"))
    for colour, (name, use) in zip(_COLOURS * 9, phase.sources.items(), strict=False):
        _line(console, name, wide, sparkline(use.shares, _WIDTH, top=1.0), colour, _share(use))
    rates = phase.learning_rate
    _line(
        console, "rate", wide, sparkline(rates, _WIDTH, top=max(rates)), "white",
        f"learning rate, peak {phase.peak:.3g}, at the end {phase.last_rate:.3g}",
    )  # fmt: skip
    sizes = phase.batch_tokens
    first, last = amount(phase.first_batch), amount(sizes[-1])
    ramp = f"{first} to {last}" if first != last else last
    _line(console, "batch", wide, sparkline(sizes, _WIDTH, top=max(sizes)), "white", f"{ramp} tokens")
    masks = phase.mask_rate
    moves = f"{masks[0]:.0%}" if masks[0] == masks[-1] else f"{masks[0]:.0%} to {masks[-1]:.0%}"
    _line(console, "masks", wide, sparkline(masks, _WIDTH, top=0.5), "white", f"{moves} by {phase.masking}")
    if phase.flops is not None:
        each = phase.flops / phase.tokens
        console.print(
            f"  {operations(phase.flops)}: {each / 1e9:.3g} GFLOP a token, samples of "
            f"{phase.attended:,.0f} tokens {'on average over tokens' if phase.attended_known else '(assumed)'}",
            soft_wrap=True,
        )


def _line(console: Console, name: str, wide: int, curve: str, colour: str, what: str) -> None:
    console.print(Text(f"  {name:<{wide}} ").append(curve, f"{colour} on grey15").append(f" {what}"), soft_wrap=True)


def _share(use: SourceUse) -> str:
    first, last = use.shares[0], use.shares[-1]
    share = f"{first:.0%}" if round(first, 2) == round(last, 2) else f"{first:.0%} to {last:.0%}"
    if use.epoch is None or use.epochs is None:
        return f"{share}, {amount(use.tokens)} tokens, epochs unknown"
    return f"{share}, {amount(use.tokens)} tokens, {use.epochs:.2f} epochs of {amount(use.epoch)}"


def operations(flops: float) -> str:
    """Floating-point operations in a unit that people read."""
    for size, suffix in ((1e24, "YFLOP"), (1e21, "ZFLOP"), (1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP")):
        if flops >= size:
            return f"{flops / size:.3g} {suffix}"
    return f"{flops / 1e9:.3g} GFLOP"
