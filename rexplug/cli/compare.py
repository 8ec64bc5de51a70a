"""`rexplug compare`: test the differences between results."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli import terminal
from rexplug.cli.comparison_files import comparison_files


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RUN_OR_RESULT...")
@comparison_files
@click.option("--all-metrics", is_flag=True, help="Compare every metric, not only the main ones.")
def compare(results: tuple[str, ...], all_metrics: bool, **files: Path | None) -> None:
    """Compare runs (`runs/a`, `runs/a@pretrain`) or folders that `rexplug evaluate` wrote with the first one.

    Differences are tested on the same items (paired permutation test, with Holm's correction over all of them). LABEL= may precede
    each. Runs of one label are one model that was trained with several seeds (`A=runs/a-1 A=runs/a-2 B=runs/b-1 B=runs/b-2`), as
    are the runs in the folder of an ablation's variant.
    """
    from rexplug import api
    from rexplug.cli.comparison import print_comparison

    comparison = api.compare(results, all_metrics=all_metrics)
    api.write_comparison(comparison, **files, title="Comparison")
    print_comparison(comparison, terminal.console())
