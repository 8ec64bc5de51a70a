"""`rexplug ablate`: run variants of a recipe and compare them."""

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
    help="A key and the values to try; may be repeated, for every combination.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Times to train each variant.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for runs and tables; runs/NAME-ablation by default."
)
@click.option(
    "--share-with", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="RUN",
    help="A run to take finished stages from, where they are the same; may be repeated.",
)  # fmt: skip
@click.option("--all-metrics", is_flag=True, help="Compare every metric, not only the main ones.")
@click.option("--quiet", is_flag=True, help="Print only errors and the table.")
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

    Stages that no variant changes are done once. Seeds change weights, order and masks, but neither the corpus nor the
    held-out texts. An ablation that was stopped continues when the same command is given again.
    """
    from rexplug import api
    from rexplug.cli.comparison import print_comparison
    from rexplug.cli.progress import TerminalProgress
    from rexplug.cli.signals import interrupt_on_signals

    interrupt_on_signals()
    with TerminalProgress(quiet=quiet) as progress:
        result = api.ablate(
            recipe, overrides, vary=vary, seeds=seeds, out=out, share_with=share_with, all_metrics=all_metrics,
            command=shlex.join(["rexplug", *sys.argv[1:]]), progress=progress,
        )  # fmt: skip
    console = terminal.console()
    print_comparison(result.comparison, console)
    console.print(
        f"  page:       {result.folder / 'ablation.html'}\n  JSON:       {result.folder / 'ablation.json'}",
        soft_wrap=True,
    )
