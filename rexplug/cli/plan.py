"""`rexplug plan`: what a recipe will do and take, before it runs."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from rexplug.cli.progress import amount
from rexplug.planning import Known, Plan, PlannedPhase, SourceUse, make_plan
from rexplug.planning.draw import sparkline
from rexplug.planning.sources import BYTES_PER_TOKEN

_WIDTH = 48
"""Columns of a curve."""
_COLOURS = ("blue", "yellow", "green", "magenta", "red", "cyan")


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--run-dir", type=click.Path(path_type=Path), help="The run's folder; runs/NAME if left out.")
def plan(recipe: Path, overrides: tuple[str, ...], run_dir: Path | None) -> None:
    """Print tokens, epochs, steps, parameters, operations and the curves of RECIPE (with OVERRIDES).

    Nothing is read but the recipe and what a run in the folder has counted already: after tokenization the tokens of
    each source are exact, before it they are estimated or unknown.
    """
    from rexplug.recipe import load_recipe
    from rexplug.run_directory import RunDirectory

    resolved = load_recipe(recipe, overrides)
    root = run_dir or Path("runs") / resolved.name
    print_plan(make_plan(resolved, RunDirectory(root)), Console(highlight=False), root)


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
    for name, known in made.known.items():
        used = sum(phase.sources[name].tokens for phase in made.phases if name in phase.sources)
        console.print(Text(f"  source {name}: {_known(known, root)}; all phases take {amount(used)}"), soft_wrap=True)
    for phase in made.phases:
        console.print()
        _print_phase(phase, console)


def _known(known: Known, root: Path) -> str:
    if known.how == "unknown":
        return f"unknown {known.why}" if known.why.startswith("until") else f"unknown: {known.why}"
    documents = f"{known.num_documents or 0:,} documents"
    if known.store is not None:
        return f"{documents}, {known.store.num_tokens:,} tokens, counted in {root}"
    tokens = round((known.num_bytes or 0) / BYTES_PER_TOKEN)
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
            f"{phase.attended:,.0f} tokens {'on average over tokens' if phase.attended_known else 'at most'}",
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
