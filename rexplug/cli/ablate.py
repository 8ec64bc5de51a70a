"""`rexplug ablate`: variants of a recipe, compared."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from rexplug.cli import terminal


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--vary", multiple=True, required=True, metavar="KEY=[VALUE, ...]",
    help="A key and the values that it takes; several make every combination.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Trainings of each variant.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where runs and tables go; runs/NAME-ablation if left out."
)
@click.option(
    "--share-with", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="RUN",
    help="A run to take finished stages over from, where they are the same.",
)  # fmt: skip
@click.option("--all-metrics", is_flag=True, help="Compare every metric, not the main ones alone.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors and the table.")
def ablate(
    recipe: Path,
    overrides: tuple[str, ...],
    vary: tuple[str, ...],
    seeds: int,
    out: Path | None,
    share_with: tuple[Path, ...],
    all_metrics: bool,
    quiet: bool,
) -> None:
    """Run RECIPE (with OVERRIDES) once per variant and seed, and compare the variants with the first one.

    Stages that no variant changes are done once. Seeds change weights, order and masks, never corpus or held-out texts. An
    ablation that was stopped continues when the same command is given again.
    """

    from rexplug.cli.comparison import print_comparison
    from rexplug.cli.progress import TerminalProgress
    from rexplug.cli.run import listen
    from rexplug.pipeline.ablate import Ablation, Axis, run_ablation
    from rexplug.plugins.discovery import load_plugins
    from rexplug.run_directory import RunDirectory

    for each in share_with:
        if not RunDirectory(each).manifest.exists():
            raise click.BadParameter(f"{each} is no run: it has no run.json", param_hint="--share-with")
    registry = load_plugins()
    ablation = Ablation.plan(recipe, overrides, [Axis.parse(each) for each in vary], seeds, registry)
    name = next(iter(ablation.recipes.values())).name
    root = out or Path("runs") / f"{name}-ablation"
    listen()
    with TerminalProgress(quiet=quiet) as progress:
        comparison = run_ablation(
            ablation, root, progress, plugins=registry.versions(), command=shlex.join(["rexplug", *sys.argv[1:]]),
            every_metric=all_metrics, share_with=[RunDirectory(each) for each in share_with],
        )  # fmt: skip
    console = terminal.console()
    print_comparison(comparison, console)
    console.print(f"  page:       {root / 'ablation.html'}\n  machines:   {root / 'ablation.json'}", soft_wrap=True)
